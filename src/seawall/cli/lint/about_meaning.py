"""Checks by what they do to real senders and to a flooded server: own users, relaying, order, callouts."""

from __future__ import annotations

from collections.abc import Iterator

from seawall.cli.lint.about_lists import GUARDS, every_list, line_of
from seawall.cli.lint.checks import pairs
from seawall.cli.lint.rule import ADVICE, WARNING, Hit, Rule
from seawall.cli.lint.site import Site
from seawall.policy.order import WORDS, Cost

OWN = ("permit_mynetworks", "permit_sasl_authenticated", "permit_tls_clientcerts", "permit_tls_all_clientcerts")
STRANGERS_CHECKS = ("reject_rbl_client", "reject_unknown_client_hostname", "reject_unknown_reverse_client_hostname")


def own_checked(site: Site) -> Iterator[Hit]:
    """Checks that are meant for strangers, asked before one's own users are let through."""
    for view in site.mx_views():
        for stage in ("client", "helo", "sender", "relay", "recipient"):
            listing = view.lists[stage]
            for before, check in pairs(listing):
                if (
                    check.present not in STRANGERS_CHECKS
                    or check.warns
                    or any(each.present in OWN or each.trait.ends for each in before)
                ):
                    continue
                later = next((each for each in listing.checks if each.present in OWN), None)
                if later is not None:
                    what = f"{listing.parameter}: {check.shown} stands before {later.shown} ({line_of(later.location)}): it refuses our own users too"
                    yield Hit(what, check.location, f"put {later.name} before it")
                elif stage in ("client", "helo", "sender"):
                    what = (
                        f"{listing.parameter}: {check.shown}: nothing before it lets our own networks and users through"
                    )
                    yield Hit(what, check.location, "permit_mynetworks, permit_sasl_authenticated before it")


def permits_before_guard(site: Site) -> Iterator[Hit]:
    """What may permit a stranger before the guard against relaying."""
    for view in site.views:
        if any(check.present in (*GUARDS, "reject") for check in view.lists["relay"].checks):
            continue
        for before, check in pairs(view.lists["recipient"]):
            if any(each.present in (*GUARDS, "reject", "defer") for each in before):
                break
            if check.trait.permits and check.present not in (
                *OWN[:3],
                "permit_inet_interfaces",
                "permit_auth_destination",
                "permit_dnswl_client",
                "permit_rhswl_client",
                "permit_mx_backup",
            ):
                what = f"smtpd_recipient_restrictions: {check.shown} stands before reject_unauth_destination: each OK that it gives lets a stranger relay"
                yield Hit(what, check.location)


def late_guard(site: Site) -> Iterator[Hit]:
    """Dear questions for mail that would be refused for nothing."""
    for view in site.mx_views():
        if any(check.present in GUARDS for check in view.lists["relay"].checks):
            continue
        listing = view.lists["recipient"]
        for before, check in pairs(listing):
            dear = [each for each in before if each.cost >= Cost.REMOTE_TABLE and not each.trait.permits]
            dear += [each for each in before if each.trait.cost is Cost.SERVICE]
            if check.present == "reject_unauth_destination" and dear:
                names = ", ".join(dict.fromkeys(f"{each.shown} ({line_of(each.location)})" for each in dear))
                yield Hit(
                    f"{listing.parameter}: reject_unauth_destination costs nothing and stands behind {names}",
                    check.location,
                )


def late_unlisted(site: Site) -> Iterator[Hit]:
    """Dear questions about mail for users who do not exist."""
    for view in site.mx_views():
        if not view.flag("smtpd_reject_unlisted_recipient"):
            continue
        for stage in ("relay", "recipient"):
            listing = view.lists[stage]
            dear = next((each for each in listing.checks if each.cost >= Cost.DNS_LIST and each.trait.refuses), None)
            before = listing.checks[: listing.checks.index(dear)] if dear else ()
            if dear and not any(
                each.present in ("reject_unlisted_recipient", "reject_unverified_recipient") for each in before
            ):
                what = f"{listing.parameter}: {dear.shown} {WORDS[dear.cost]} also for recipients who do not exist"
                yield Hit(what, dear.location, "reject_unlisted_recipient before it")


def sleeps(site: Site) -> Iterator[Hit]:
    """Pauses that hold a process."""
    for _, listing in every_list(site):
        for check in listing.checks:
            if check.present == "sleep":
                what = f"{listing.parameter}: {check.shown} holds one of Postfix's processes for every client"
                yield Hit(what, check.location)


def callouts(site: Site) -> Iterator[Hit]:
    """Sender verification of all mail."""
    for view in site.mx_views():
        for stage in ("client", "helo", "sender", "relay", "recipient"):
            for check in view.lists[stage].checks:
                if check.present == "reject_unverified_sender":
                    yield Hit(
                        f"{view.lists[stage].parameter}: {check.shown} asks the sender's server about every sender",
                        check.location,
                    )


def greylists(site: Site) -> Iterator[Hit]:
    """Policy services that are known to greylist."""
    for view in site.mx_views():
        for listing in view.listings():
            for check in listing.checks:
                if check.present == "check_policy_service" and any(
                    word in check.argument
                    for word in ("postgrey", "10023", "sqlgrey", "2501", "gld", "milter-greylist")
                ):
                    yield Hit(f"{listing.parameter}: {check.shown} looks like greylisting", check.location)


def strict_helo(site: Site) -> Iterator[Hit]:
    """HELO checks that real servers fail."""
    for view in site.mx_views():
        for listing in view.listings():
            for check in listing.checks:
                if check.present == "reject_unknown_helo_hostname" and not check.warns:
                    yield Hit(
                        f"{listing.parameter}: {check.shown} refuses servers whose HELO name is not in the public DNS",
                        check.location,
                    )


def short_helo(site: Site) -> Iterator[Hit]:
    """HELO names without a dot."""
    for view in site.mx_views():
        code = view.number("non_fqdn_reject_code")
        for listing in view.listings():
            for check in listing.checks:
                if (
                    check.present == "reject_non_fqdn_helo_hostname"
                    and not check.warns
                    and code is not None
                    and code >= 500
                ):
                    what = (
                        f"{listing.parameter}: {check.shown} refuses for good ({code}) whoever greets with a short name"
                    )
                    yield Hit(
                        what,
                        check.location,
                        "non_fqdn_reject_code = 450, or warn_if_reject before it, until the log has convinced you",
                    )


def helo_skipped(site: Site) -> Iterator[Hit]:
    """HELO checks that a client escapes by saying no HELO."""
    for view in site.mx_views():
        refusing = [check for check in view.lists["helo"].checks if check.trait.refuses]
        if refusing and not view.flag("smtpd_helo_required"):
            yield Hit("smtpd_helo_restrictions: a client that says no HELO passes by them", refusing[0].location)


def mx_backup(site: Site) -> Iterator[Hit]:
    """permit_mx_backup."""
    for _, listing in every_list(site):
        for check in listing.checks:
            if check.present == "permit_mx_backup":
                yield Hit(
                    f"{listing.parameter}: {check.shown} takes mail for every domain whose MX names this host",
                    check.location,
                )


def logins_off(site: Site) -> Iterator[Hit]:
    """permit_sasl_authenticated without logins.  In the relay list it is what everybody's configuration says."""
    if any(view.flag("smtpd_sasl_auth_enable") for view in site.views):
        return
    for view in site.views:
        for stage, listing in view.lists.items():
            for check in listing.checks:
                if check.present == "permit_sasl_authenticated" and stage != "relay":
                    yield Hit(
                        f"{listing.parameter}: {check.shown} permits nobody: smtpd_sasl_auth_enable = no",
                        check.location,
                    )


def no_ground(site: Site) -> Iterator[Hit]:
    """Checks whose ground is missing: logins where none are offered, owners of senders that nobody named …"""
    for view, listing in every_list(site):
        for check in listing.checks:
            if check.present.endswith("sender_login_mismatch") and not view.text("smtpd_sender_login_maps"):
                yield Hit(
                    f"{listing.parameter}: {check.shown} knows no owners: smtpd_sender_login_maps is empty",
                    check.location,
                    "set smtpd_sender_login_maps",
                )
            elif check.present in (
                "check_ccert_access",
                "permit_tls_clientcerts",
                "permit_tls_all_clientcerts",
            ) and not (view.flag("smtpd_tls_ask_ccert") or view.flag("smtpd_tls_req_ccert")):
                yield Hit(
                    f"{listing.parameter}: {check.shown}: no certificate is ever asked for",
                    check.location,
                    "smtpd_tls_ask_ccert = yes",
                )
            elif check.present == "permit_tls_clientcerts" and not view.text("relay_clientcerts"):
                yield Hit(
                    f"{listing.parameter}: {check.shown} permits nobody: relay_clientcerts is empty",
                    check.location,
                    "set relay_clientcerts",
                )


RULES = (
    Rule(
        "own-users-checked",
        WARNING,
        "Users at home sit behind addresses that lists name and that have no good name: such checks are for strangers.",
        "permit_mynetworks and permit_sasl_authenticated first",
        own_checked,
    ),
    Rule(
        "permit-before-guard",
        WARNING,
        "Whatever permits before reject_unauth_destination permits relaying; a sender, a HELO and a reverse name can be forged.",
        "smtpd_relay_restrictions = permit_mynetworks, permit_sasl_authenticated, reject_unauth_destination; see seawall relay-proof",
        permits_before_guard,
    ),
    Rule(
        "guard-late",
        ADVICE,
        "Most of a flood is refused for nothing by reject_unauth_destination; what stands before it is asked for all of it.",
        "reject_unauth_destination right behind permit_mynetworks and permit_sasl_authenticated",
        late_guard,
    ),
    Rule(
        "unlisted-late",
        ADVICE,
        "Mail for users who do not exist is most of a flood, and the server's own tables know them.",
        "reject_unlisted_recipient before the first check that asks the network",
        late_unlisted,
    ),
    Rule(
        "sleep-holds-process",
        WARNING,
        "A pause in Postfix is a process that waits, and a flood takes them all.",
        "take it out; postscreen_greet_wait makes strangers wait without a process",
        sleeps,
    ),
    Rule(
        "sender-callouts",
        WARNING,
        "Asking another server about each sender doubles a flood towards the forged domain, and gets this server listed.",
        "take it out, or name single domains in a check_sender_access table",
        callouts,
    ),
    Rule(
        "greylisting",
        ADVICE,
        "Large senders come back from another address each time: greylisting delays their mail by hours, and few bots give up today.",
        "except those who pass SPF or a permit list, or take it out",
        greylists,
    ),
    Rule(
        "helo-unknown",
        WARNING,
        "Many large senders greet with an internal name; the check refuses real mail and few bots.",
        "reject_invalid_helo_hostname and reject_non_fqdn_helo_hostname",
        strict_helo,
    ),
    Rule(
        "helo-short",
        ADVICE,
        "Printers, scanners and some servers of real people greet with a short name; bots have learnt better.",
        "450",
        short_helo,
    ),
    Rule(
        "helo-skippable",
        WARNING,
        "HELO is asked for only by smtpd_helo_required.",
        "smtpd_helo_required = yes",
        helo_skipped,
    ),
    Rule(
        "mx-backup",
        WARNING,
        "Anybody can point an MX record here; and a backup that does not know the users makes bounces to forged senders.",
        "relay_domains with relay_recipient_maps",
        mx_backup,
    ),
    Rule(
        "logins-off",
        ADVICE,
        "Nobody can be authenticated where no login is offered.",
        "smtpd_sasl_auth_enable = yes (on port 587), or take it out",
        logins_off,
    ),
    Rule(
        "check-without-ground",
        WARNING,
        "The check asks for something that the configuration never provides.",
        "provide it, or take the check out",
        no_ground,
    ),
)
