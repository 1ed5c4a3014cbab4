"""Limits and times: what lets a few clients hold all processes, and what sends real mail away."""

from __future__ import annotations

import os
from collections.abc import Iterator

from seawall.cli.lint.rule import ADVICE, ERROR, WARNING, Hit, Rule
from seawall.cli.lint.site import OTHER, Site, View
from seawall.config.registry import REGISTRY

MEGABYTE = 1_000_000
SMALL_MESSAGE = 10 * MEGABYTE
"""Large senders allow 25 MB and more; below 10 MB ordinary mail with pictures comes back."""
LONG_SILENCE = 100.0
"""Seconds that a fixed smtpd_timeout may have before it is told.  Ours: a third of Postfix's default without stress."""
SHORT_SILENCE = 10.0
"""What smtpd_timeout is under stress."""
LONG_SLEEP = 5.0
DAY = 86400.0
STRESSED = (
    "smtpd_timeout",
    "smtpd_starttls_timeout",
    "smtpd_hard_error_limit",
    "smtpd_junk_command_limit",
    "smtpd_per_request_deadline",
    "smtpd_per_record_deadline",
    "address_verify_poll_count",
)
"""Parameters whose defaults change under stress.  postconf(5), STRESS_README"""


def processes(view: View) -> int | None:
    """How many processes serve a view; None for no limit."""
    limit = view.service.maxproc if view.service else view.number("default_process_limit")
    return limit or None


def cap_too_high(site: Site) -> Iterator[Hit]:
    """A few clients can hold every process."""
    for view in site.mx_views():
        cap, limit = view.number("smtpd_client_connection_count_limit"), processes(view)
        if cap is None or limit is None:
            continue
        where = view.where("smtpd_client_connection_count_limit")
        if cap == 0:
            what = f"smtpd_client_connection_count_limit = 0: one client may hold all {limit} processes"
        elif cap * 2 >= limit:
            clients = -(-limit // cap)
            who = {1: "one client holds", 2: "two clients hold"}.get(clients, f"{clients} clients hold")
            what = f"smtpd_client_connection_count_limit = {cap} of {limit} processes: {who} them all"
        else:
            continue
        if where is not None or view.is_set("default_process_limit"):
            yield Hit(
                what,
                where or view.where("default_process_limit"),
                f"smtpd_client_connection_count_limit = {max(limit // 20, 2)}",
            )


def stress_overridden(site: Site) -> Iterator[Hit]:
    """Values that no longer change under stress."""
    for view in site.mx_views():
        for name in STRESSED:
            value = view.settings.values.get(name)
            if value is None or "stress" in value.text:
                continue
            default = REGISTRY[name].default if name in REGISTRY else ""
            seconds = view.seconds(name) if name == "smtpd_timeout" else None
            if seconds is not None and (seconds <= SHORT_SILENCE or (seconds > LONG_SILENCE and processes(view))):
                continue  # short enough as it is; or told by timeout-holds-processes
            if value.text.strip() and default:
                under = default.replace(
                    "${smtpd_per_record_deadline?{$smtpd_per_record_deadline}:{${stress?{yes}:{no}}}}",
                    "${stress?{yes}:{no}}",
                )
                what = f"{name} = {value.text}: fixed, so it stays so when all processes are busy"
                yield Hit(what, value.location, f"{name} = {with_normal(under, value.text)}")


def with_normal(default: str, value: str) -> str:
    """The default's form for stress with the site's own value for quiet times."""
    at = default.find(":{")
    if not default.startswith("${stress?") or at < 0:
        return default
    number = value.strip().rstrip("smhdw") if default.endswith("s") and value.strip().endswith("s") else value.strip()
    return f"{default[:at]}:{{{number}}}}}" + default[default.rindex("}") + 1 :]


def long_silence(site: Site) -> Iterator[Hit]:
    """A fixed long timeout with a bound number of processes."""
    for view in site.mx_views():
        seconds, limit = view.seconds("smtpd_timeout"), processes(view)
        value = view.settings.values.get("smtpd_timeout")
        if value is None or "stress" in value.text or seconds is None or limit is None or seconds <= LONG_SILENCE:
            continue
        what = (
            f"smtpd_timeout = {value.text}: {limit} silent clients hold all {limit} processes for {seconds:.0f} seconds"
        )
        yield Hit(what, value.location, f"smtpd_timeout = {with_normal(REGISTRY['smtpd_timeout'].default, value.text)}")


def sleeps_long(site: Site) -> Iterator[Hit]:
    """Pauses before error replies."""
    for view in site.mx_views():
        seconds = view.seconds("smtpd_error_sleep_time")
        if seconds is not None and seconds > LONG_SLEEP and processes(view):
            yield Hit(
                f"smtpd_error_sleep_time = {seconds:.0f}s: each client that errs holds a process for that long, each time",
                view.where("smtpd_error_sleep_time"),
            )


def never_sleeps(site: Site) -> Iterator[Hit]:
    """No pause at all."""
    for view in site.mx_views():
        if view.seconds("smtpd_error_sleep_time") == 0:
            yield Hit(
                "smtpd_error_sleep_time = 0: a client that tries names is answered as fast as it asks",
                view.where("smtpd_error_sleep_time"),
            )


def soft_above_hard(site: Site) -> Iterator[Hit]:
    """The soft limit never comes."""
    for view in site.views:
        if view.role == OTHER:
            continue  # a filter's way back in wants no limits at all
        soft, hard = view.number("smtpd_soft_error_limit"), view.number("smtpd_hard_error_limit")
        if soft is not None and hard is not None and soft >= hard:
            where = view.where("smtpd_soft_error_limit") or view.where("smtpd_hard_error_limit")
            yield Hit(
                f"smtpd_soft_error_limit = {soft} is not below smtpd_hard_error_limit = {hard}: nobody is ever slowed",
                where,
            )


def few_recipients(site: Site) -> Iterator[Hit]:
    """Fewer recipients than the standard promises."""
    for view in site.views:
        count = view.number("smtpd_recipient_limit")
        if count is not None and count < 100:
            yield Hit(
                f"smtpd_recipient_limit = {count}: RFC 5321 §4.5.3.1.8 promises 100",
                view.where("smtpd_recipient_limit"),
            )


def small_messages(site: Site) -> Iterator[Hit]:
    """A limit that ordinary mail exceeds."""
    for view in site.views:
        size = view.number("message_size_limit")
        if size is not None and 0 < size < SMALL_MESSAGE:
            yield Hit(
                f"message_size_limit = {size}: ordinary mail with a few pictures is refused",
                view.where("message_size_limit"),
            )


def mailbox_too_small(site: Site) -> Iterator[Hit]:
    """A mailbox that holds less than one message."""
    message = site.main.number("message_size_limit")
    for name in ("mailbox_size_limit", "virtual_mailbox_limit"):
        size = site.main.number(name)
        if message is None or size is None or size == 0 or (0 < message <= size):
            continue
        if name == "virtual_mailbox_limit" and not (
            site.main.text("virtual_transport") == "virtual" and site.main.words("virtual_mailbox_domains")
        ):
            continue  # virtual(8) delivers nothing here
        if site.main.is_set(name) or site.main.is_set("message_size_limit"):
            where = site.main.where(name) or site.main.where("message_size_limit")
            shown = "no limit" if message == 0 else str(message)
            yield Hit(
                f"{name} = {size} is less than message_size_limit ({shown}): Postfix's delivery agent stops",
                where,
                f"{name} = 0, or more than message_size_limit",
            )


def little_free(site: Site) -> Iterator[Hit]:
    """queue_minfree below what one message may need."""
    free, message = site.main.number("queue_minfree"), site.main.number("message_size_limit")
    if free and message and free < 1.5 * message:
        yield Hit(
            f"queue_minfree = {free} is less than one and a half messages of message_size_limit = {message}",
            site.main.where("queue_minfree"),
            f"queue_minfree = {int(1.5 * message)}, or 0",
        )


def short_lives(site: Site) -> Iterator[Hit]:
    """Queue lifetimes that do not outlast a weekend."""
    seconds = site.main.seconds("maximal_queue_lifetime")
    if seconds is not None and seconds < 2 * DAY and site.main.is_set("maximal_queue_lifetime"):
        what = f"maximal_queue_lifetime = {site.main.text('maximal_queue_lifetime')}: mail comes back when a server is away for {seconds / DAY:.0f} day{'s' if seconds != DAY else ''}"
        yield Hit(what, site.main.where("maximal_queue_lifetime"))
    if site.main.seconds("bounce_queue_lifetime") == 0 and site.main.is_set("bounce_queue_lifetime"):
        yield Hit(
            "bounce_queue_lifetime = 0: a bounce is tried once",
            site.main.where("bounce_queue_lifetime"),
            "bounce_queue_lifetime = 1d or more",
        )


def one_process(site: Site) -> Iterator[Hit]:
    """One process for all strangers, or for all deliveries."""
    for service in site.services:
        if service.type == "inet" and os.path.basename(service.command) == "smtpd" and service.maxproc == 1:
            yield Hit(
                f"{service.name}/{service.type}: a process limit of 1: one client at a time (1 is postscreen's)",
                service.location,
                "- for default_process_limit",
            )


RULES = (
    Rule(
        "client-cap-too-high",
        WARNING,
        "A cap for each client keeps processes for the others; half of all processes keeps too few.",
        "a twentieth of the processes",
        cap_too_high,
    ),
    Rule(
        "stress-overridden",
        ADVICE,
        "Postfix shortens this by itself when a flood takes all processes; a fixed value does not.",
        "the form with ${stress?…}",
        stress_overridden,
    ),
    Rule(
        "timeout-holds-processes",
        WARNING,
        "A silent client holds a process until the timeout; a flood of them holds all.",
        "a shorter one under stress",
        long_silence,
    ),
    Rule(
        "error-sleep-long",
        WARNING,
        "In Postfix a client that waits is a process that waits.",
        "smtpd_error_sleep_time = 1s",
        sleeps_long,
    ),
    Rule(
        "error-sleep-zero",
        ADVICE,
        "A second's pause makes guessing addresses and passwords slow, and costs real clients nothing.",
        "smtpd_error_sleep_time = 1s",
        never_sleeps,
    ),
    Rule(
        "soft-limit-above-hard",
        WARNING,
        "The soft limit slows a client before the hard one hangs up.",
        "smtpd_soft_error_limit below smtpd_hard_error_limit",
        soft_above_hard,
    ),
    Rule(
        "recipient-limit-small",
        WARNING,
        "Senders rely on what the standard promises, and lists send to a hundred at a time.",
        "smtpd_recipient_limit = 1000",
        few_recipients,
    ),
    Rule(
        "message-size-small",
        WARNING,
        "Large senders allow 25 MB and more.",
        "message_size_limit = 26214400",
        small_messages,
    ),
    Rule(
        "mailbox-below-message",
        ERROR,
        "A mailbox must hold one message; local(8) and virtual(8) refuse to run otherwise.",
        "a larger mailbox",
        mailbox_too_small,
    ),
    Rule(
        "queue-minfree-small",
        WARNING,
        "The server promises a size at MAIL that the disk may not hold.",
        "one and a half times message_size_limit",
        little_free,
    ),
    Rule(
        "queue-lifetime-short",
        ADVICE,
        "RFC 5321 §4.5.4.1 wants four to five days; a server may well be away for a weekend.",
        "maximal_queue_lifetime = 5d",
        short_lives,
    ),
    Rule("one-process", WARNING, "The second client waits until the first has gone.", "-", one_process),
)
