"""Who is told what: NOTIFY, RET, the null sender, notify_classes.  RFC 3461 §6; bounce(8), defer(8), trace(8)"""

from __future__ import annotations

import os
import re
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from seawall.bounce.report import Fate, Order, Subject, format_report, headers_of
from seawall.bounce.templates import BUILT_IN, Kind, Template, TemplateTrouble, expand_template, parse_templates
from seawall.clock import Clock
from seawall.config.settings import ConfigTrouble, Settings
from seawall.journal.record import Journal, Warned
from seawall.journal.records.bounce import NoticeDiscarded
from seawall.mail.dates import format_date
from seawall.mail.envelope import Body, Envelope, Notify, Origin, Recipient, Ret
from seawall.mail.message import Content, Message
from seawall.mail.outcome import Delivered, Outcome

MOST_HEADERS = 1 << 18
"""Bytes of the original that are searched for its headers; ours, above header_size_limit's 102400."""
MAILER_DAEMON = "MAILER-DAEMON"
MESSAGE_ID = re.compile(rb"^message-id:[ \t]*(<[^\s<>]+>)[ \t]*$", re.IGNORECASE | re.MULTILINE)
Fates = Sequence[tuple[Recipient, Outcome]]
ACTIONS = {Kind.FAILURE: "failed", Kind.DELAY: "delayed"}
"""RFC 3464 §2.3.3; for successes it depends on the way.  Never changed."""


@dataclass(frozen=True, slots=True)
class Report:
    """A report, ready for intake: `audience` is ``sender`` or ``postmaster``, `about` the log's word for its kind."""

    audience: str
    about: str
    envelope: Envelope
    content: Content


@dataclass(frozen=True, slots=True)
class Rules:
    """What main.cf says of reports."""

    host: str
    origin: str
    mail_name: str
    size_limit: int
    classes: frozenset[str]
    double_bounce: str
    bounce_notice: str
    double_bounce_notice: str
    delay_notice: str
    lifetime: float
    smtputf8: bool
    threaded: bool


def rules_of(settings: Settings) -> Rules:
    """The rules of a configuration.  Raises ConfigTrouble."""
    host = settings.text("myhostname")
    origin = settings.text("myorigin")
    if origin.startswith("/"):  # Debian: the name of a file, /etc/mailname
        origin = host
    return Rules(
        host=host,
        origin=origin,
        mail_name=settings.text("mail_name"),
        size_limit=settings.number("bounce_size_limit"),
        classes=frozenset(settings.words("notify_classes")),
        double_bounce=f"{settings.text('double_bounce_sender')}@{origin}",
        bounce_notice=settings.text("bounce_notice_recipient"),
        double_bounce_notice=settings.text("2bounce_notice_recipient"),
        delay_notice=settings.text("delay_notice_recipient"),
        lifetime=settings.seconds("maximal_queue_lifetime"),
        smtputf8=settings.flag("smtputf8_enable"),
        threaded=settings.flag("enable_threaded_bounces"),
    )


def read_templates(settings: Settings) -> dict[Kind, tuple[Template, str]]:
    """Each template with its text expanded.  Raises ConfigTrouble for a file that does not read."""
    chosen = dict(BUILT_IN)
    name = settings.text("bounce_template_file")
    if name:
        try:
            text = Path(settings.path(name)).read_bytes().decode("utf-8", "surrogateescape")
            chosen.update(parse_templates(text, name))
        except (OSError, TemplateTrouble) as trouble:
            raise ConfigTrouble(f"bounce_template_file: {trouble}", settings.where("bounce_template_file")) from trouble

    def value(parameter: str) -> str | None:
        return settings.text(parameter) if settings.lookup(parameter) is not None else None

    return {
        kind: (template, expand_template(template.text, value, settings.seconds)) for kind, template in chosen.items()
    }


def templates_or_built_in(settings: Settings, complain: Callable[[str], None]) -> dict[Kind, tuple[Template, str]]:
    """As bounce(8): a file that does not read is complained of, and the built-in templates serve."""
    try:
        return read_templates(settings)
    except ConfigTrouble as trouble:
        complain(f"{trouble} -- using built-in bounce templates")
        return read_templates(settings.with_overrides({"bounce_template_file": ""}))


class Reporting:
    """Words the reports of the queue manager (journey.Reports).

    Its methods read the original (a large one from its descriptor), so they belong in a thread.
    """

    def __init__(self, settings: Settings, journal: Journal, clock: Clock) -> None:
        self._rules = rules_of(settings)
        self._journal = journal
        self._clock = clock
        self._templates = templates_or_built_in(settings, self._warn)

    # -- who is told -------------------------------------------------------------------------------------------

    def failures(self, message: Message, fates: Fates, tell: str = "") -> tuple[Report, ...]:
        """Reports for recipients that are given up; `tell` is who hears of them in the sender's place."""
        rules, sender = self._rules, tell or message.envelope.sender
        if sender.lower() == rules.double_bounce.lower():
            self._journal.write(NoticeDiscarded(at=self._clock.now(), queue_id=message.queue_id))
            return ()
        if not sender:  # a bounce that bounces: the sender cannot be told, the postmaster may want to be
            if "2bounce" not in rules.classes:
                return ()
            return (self._notice(Kind.FAILURE, message, fates, rules.double_bounce_notice, full=True),)
        told = tuple(fate for fate in fates if _wants(fate[0], Notify.FAILURE))
        if not told:
            return ()
        full = message.envelope.ret != Ret.HDRS.value
        reports = [self._to_sender(Kind.FAILURE, message, told, full=full, tell=tell)]
        if "bounce" in rules.classes:
            reports.append(self._notice(Kind.FAILURE, message, told, rules.bounce_notice, full=False))
        return tuple(reports)

    def delays(self, message: Message, fates: Fates) -> tuple[Report, ...]:
        """Warnings for recipients that are late."""
        rules, sender = self._rules, message.envelope.sender
        if not sender or sender.lower() == rules.double_bounce.lower():
            return ()
        told = tuple(fate for fate in fates if _wants(fate[0], Notify.DELAY))
        if not told:
            return ()
        reports = [self._to_sender(Kind.DELAY, message, told, full=False)]
        if "delay" in rules.classes:
            reports.append(self._notice(Kind.DELAY, message, told, rules.delay_notice, full=False))
        return tuple(reports)

    def successes(self, message: Message, fates: Fates) -> tuple[Report, ...]:
        """Reports for delivered recipients whose sender asked."""
        told = tuple(fate for fate in fates if fate[0].notify & Notify.SUCCESS.value)
        if not told or not message.envelope.sender:
            return ()
        return (self._to_sender(Kind.SUCCESS, message, told, full=False),)

    def statuses(self, message: Message, fates: Fates) -> tuple[Report, ...]:
        """The report that sendmail -bv asked for.  trace(8)"""
        return (self._to_sender(Kind.VERIFY, message, fates, full=False),) if message.envelope.sender else ()

    # -- the report --------------------------------------------------------------------------------------------

    def _to_sender(self, kind: Kind, message: Message, fates: Fates, *, full: bool, tell: str = "") -> Report:
        pair = ("", tell or message.envelope.sender)
        return self._report(kind, message, fates, pair, full=full, for_postmaster=False)

    def _notice(self, kind: Kind, message: Message, fates: Fates, recipient: str, *, full: bool) -> Report:
        pair = (self._rules.double_bounce, recipient)
        return self._report(kind, message, fates, pair, full=full, for_postmaster=True)

    def _report(
        self,
        kind: Kind,
        message: Message,
        fates: Fates,
        pair: tuple[str, str],
        *,
        full: bool,
        for_postmaster: bool,
    ) -> Report:
        """`pair` is the report's own sender and recipient."""
        rules = self._rules
        sender, recipient = pair
        headers_only = not full or bool(rules.size_limit and message.content.size > rules.size_limit)
        original = _read(message.content, MOST_HEADERS if headers_only else message.content.size)
        headers = headers_of(original[:MOST_HEADERS])
        order = Order(
            kind=kind,
            recipient=recipient,
            for_postmaster=for_postmaster,
            headers_only=headers_only,
            retry_until=_date(message.arrived + rules.lifetime) if kind is Kind.DELAY else "",
        )
        template, text = self._templates[kind]
        named = [Fate(who, outcome, ACTIONS.get(kind) or _word(kind, outcome)) for who, outcome in fates]
        subject = self._subject(message, headers)
        content = format_report(order, subject, template, text, named, headers if headers_only else original)
        about = {Kind.FAILURE: "non-delivery", Kind.DELAY: "delay"}.get(kind, "delivery status")
        return Report(
            audience="postmaster" if for_postmaster else "sender",
            about=about,
            envelope=Envelope(
                sender=sender,
                recipients=(Recipient(recipient, recipient),),
                origin=Origin(is_local=True),
                smtputf8=subject.smtputf8,
                is_report=True,
            ),
            content=Content(content),
        )

    def _subject(self, message: Message, headers: bytes) -> Subject:
        rules, envelope = self._rules, message.envelope
        found = MESSAGE_ID.search(headers) if rules.threaded else None
        return Subject(
            queue_id=message.queue_id,
            sender=envelope.sender or f"{MAILER_DAEMON}@{rules.origin}",
            arrived=_date(message.arrived),
            now=_date(self._clock.now()),
            envid=envelope.envid,
            host=rules.host,
            mail_name=rules.mail_name,
            boundary=f"{message.queue_id}.{int(self._clock.now())}/{rules.host}",
            encoding=self._encoding(envelope),
            smtputf8=envelope.smtputf8,
            message_id=found[1].decode("utf-8", "surrogateescape") if found else "",
        )

    def _encoding(self, envelope: Envelope) -> str:
        if self._rules.smtputf8 or envelope.smtputf8 or envelope.body == Body.EIGHT_BIT.value:
            return "8bit"
        return "7bit" if envelope.body == Body.SEVEN_BIT.value else ""

    def _warn(self, message: str) -> None:
        self._journal.write(Warned(at=self._clock.now(), source="bounce", message=message))


def _wants(recipient: Recipient, what: Notify) -> bool:
    """RFC 3461 §4.1: without NOTIFY, failures and delays are told."""
    return recipient.notify == Notify.DEFAULT.value or bool(recipient.notify & what.value)


def _word(kind: Kind, outcome: Outcome) -> str:
    """The action for one recipient of a report that is about more than one kind of outcome."""
    if kind is Kind.VERIFY:
        return "deliverable" if isinstance(outcome, Delivered) else "undeliverable"
    return _success_word(outcome)


def _success_word(outcome: Outcome) -> str:
    """``relayed`` where another server has it now, whose own reports may follow; ``delivered`` where it is final."""
    return "relayed" if "[" in outcome.relay else "delivered"


def _read(content: Content, most: int) -> bytes:
    """The first `most` bytes."""
    data = content.memory[:most]
    spilled = content.spilled
    at = 0
    while spilled is not None and len(data) < most and at < spilled.length:
        part = os.pread(spilled.descriptor, min(most - len(data), spilled.length - at), spilled.offset + at)
        if not part:
            break
        data += part
        at += len(part)
    return data


def _date(at: float) -> str:
    local = time.localtime(at)
    return format_date(at, local.tm_gmtoff, local.tm_zone)
