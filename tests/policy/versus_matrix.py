"""Each restriction in each list where it may stand: permitting, refusing, with no opinion, with DNS or a table in trouble.

A list is ``RESTRICTION, reject`` to tell a permit from no opinion, and ``RESTRICTION, permit`` to show what was put off.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from tests.policy.versus import FORGED, INSIDER, NAMELESS, STRANGER, UNCLEAR, Client, Session
from tests.policy.versus_cases import ACCESS_VALUES, CLASSES

STAGES = ("client", "helo", "sender", "relay", "recipient", "data", "end_of_data", "etrn")
LISTED = Client("friend.example", "198.18.7.8")
UNANSWERED = Client("only-a.example", "198.18.7.9")
SIX = Client("only-6.example", "2001:db8::7")

USUAL = Session()
LOGGED_IN = replace(USUAL, login="joe", sender="joe@here.example")


@dataclass(frozen=True, slots=True)
class Row:
    """A restriction with its argument, the sessions that show what it can say, and what else is set."""

    text: str
    sessions: Sequence[Session]
    settings: Mapping[str, str]


def row(text: str, sessions: Sequence[Session] = (USUAL,), **settings: str) -> Row:
    return Row(text, sessions, settings)


def by_client(*who: Client) -> tuple[Session, ...]:
    return tuple(replace(USUAL, client=client) for client in who)


def by_helo(*names: str) -> tuple[Session, ...]:
    return tuple(replace(USUAL, helo=name) for name in names)


def by_sender(*names: str) -> tuple[Session, ...]:
    return tuple(replace(USUAL, sender=name) for name in names)


def by_recipient(*names: str) -> tuple[Session, ...]:
    return tuple(replace(USUAL, recipients=(name,)) for name in names)


EVERYBODY = by_client(STRANGER, NAMELESS, UNCLEAR, FORGED)
TWO = (replace(USUAL, sender="", recipients=("joe@here.example", "ann@here.example")),)

GENERIC = (
    row("permit"), row("reject"), row("defer"), row("defer_if_permit"), row("defer_if_reject"), row("sleep 0"), row("sleep"),
    row("warn_if_reject reject"), row("warn_if_reject defer_if_permit"), row("reject_unauth_pipelining"),
    row("reject_multi_recipient_bounce", TWO), row("reject_plaintext_session"), row("nonsense"), row("check_client_access"),
    row("check_helo_access nothing"), row("reject_rbl_client"), row("myclass", **CLASSES), row("MYCLASS", **CLASSES),
    row("inline:{bot.example=REJECT, friend.example=OK, here.example=DEFER}"), row("inline:{etrn.example=REJECT}"),
    row("fail:gone"), row("warn_if_reject fail:gone"),
)  # fmt: skip
CLIENT = (
    row("check_client_access inline:{bot.example=REJECT, 198.18.7.8=OK, unknown=DEFER}", EVERYBODY),
    row("check_client_access fail:gone"),
    row("check_client_a_access inline:{198.18.7.7=REJECT, 198.18.9.11=OK}", by_client(STRANGER, UNANSWERED, NAMELESS)),
    row("check_client_mx_access inline:{198.18.9.9=REJECT, 198.18.7=DEFER}", by_client(STRANGER, LISTED, NAMELESS)),
    row("check_client_mx_access fail:gone", by_client(LISTED)),
    row("check_client_ns_access inline:{ns.friend.example=REJECT}", by_client(STRANGER, LISTED)),
    row("check_reverse_client_hostname_access inline:{evil.example=REJECT, bot.example=OK, {unknown=550 who} }", EVERYBODY),
    row("check_reverse_client_hostname_access fail:gone"),
    row("check_reverse_client_hostname_a_access inline:{198.18.7.7=REJECT}", EVERYBODY),
    row("check_reverse_client_hostname_mx_access inline:{198.18.66.6=REJECT, 198.18.7=OK}", EVERYBODY),
    row("check_reverse_client_hostname_ns_access inline:{ns.evil.example=REJECT}", EVERYBODY),
    row("permit_mynetworks", by_client(STRANGER, INSIDER)), row("permit_mynetworks", mynetworks="fail:gone"),
    row("permit_inet_interfaces"),
    row("reject_unknown_client_hostname", EVERYBODY), row("reject_unknown_reverse_client_hostname", EVERYBODY),
    row("reject_unknown_client_hostname", EVERYBODY, unknown_client_reject_code="550"),
    row("reject_rbl_client bl.example", by_client(STRANGER, LISTED, UNANSWERED, FORGED, SIX)),
    row("reject_rbl_client bl.example=127.0.0.[2..3]", by_client(STRANGER, LISTED, UNANSWERED)),
    row("permit_dnswl_client bl.example", by_client(STRANGER, INSIDER, UNANSWERED)),
    row("permit_dnswl_client bl.example=127.0.0.9", by_client(STRANGER, UNANSWERED)),
    row("reject_rhsbl_client dbl.example", by_client(STRANGER, LISTED, UNANSWERED, NAMELESS)),
    row("permit_rhswl_client dbl.example", by_client(STRANGER, NAMELESS, UNANSWERED)),
    row("reject_rhsbl_reverse_client dbl.example", EVERYBODY),
)  # fmt: skip
LOGIN = {
    "smtpd_sasl_auth_enable": "yes",
    "smtpd_sender_login_maps": "inline:{joe@here.example=joe, ann@here.example=ann}",
}
LOGINS = (
    LOGGED_IN, replace(LOGGED_IN, sender="ann@here.example"), replace(LOGGED_IN, sender="x@friend.example"),
    replace(USUAL, sender="ann@here.example"), replace(USUAL, sender=""),
)  # fmt: skip
SASL = (
    row("permit_sasl_authenticated", LOGINS[:1] + LOGINS[3:4], **LOGIN), row("permit_sasl_authenticated"),
    row("check_sasl_access inline:{joe=REJECT}", LOGINS[:1] + LOGINS[3:4], **LOGIN), row("check_sasl_access inline:{a=OK}"),
    row("check_sasl_access fail:gone", LOGINS[:1], **LOGIN),
    row("reject_sender_login_mismatch", LOGINS, **LOGIN),
    row("reject_authenticated_sender_login_mismatch", LOGINS, **LOGIN),
    row("reject_unauthenticated_sender_login_mismatch", LOGINS, **LOGIN),
    row("reject_known_sender_login_mismatch", LOGINS, **LOGIN),
    row("reject_sender_login_mismatch", LOGINS[:1], **{**LOGIN, "smtpd_sender_login_maps": "fail:gone"}),
    row("permit_tls_clientcerts"), row("permit_tls_all_clientcerts"), row("check_ccert_access inline:{a=OK}"),
)  # fmt: skip
HELO = (
    row("check_helo_access inline:{bot.example=REJECT, friend.example=OK}", by_helo("bot.example", "x.friend.example", "y")),
    row("check_helo_access fail:gone"),
    row("check_helo_a_access inline:{198.18.7.7=REJECT}", by_helo("bot.example", "friend.example")),
    row("check_helo_mx_access inline:{198.18.9.9=REJECT, 198.18.7=OK}", by_helo("bot.example", "friend.example", "null.example")),
    row("check_helo_ns_access inline:{ns.friend.example=REJECT}", by_helo("friend.example", "broken.example")),
    row("reject_invalid_helo_hostname", by_helo("bot.example", "-bad.example", "[1.2.3]", "1.2.3.4")),
    row("reject_non_fqdn_helo_hostname", by_helo("bot.example", "bot", "[198.18.7.7]")),
    row("reject_unknown_helo_hostname", by_helo("bot.example", "nosuch.example", "broken.example", "half.example")),
    row("reject_unknown_helo_hostname", by_helo("broken.example"), unknown_helo_hostname_tempfail_action="defer"),
    row("reject_unknown_helo_hostname", by_helo("nosuch.example", "broken.example"), unknown_hostname_reject_code="550"),
    row("reject_rhsbl_helo dbl.example", by_helo("bot.example", "only-a.example", "nosuch.example", "1.2.3.4")),
)  # fmt: skip
SENDER = (
    row("check_sender_access inline:{friend.example=REJECT, a@only-a.example=OK, <>=DEFER}",
        by_sender("a@friend.example", "a@only-a.example", "", "b@evil.example")),
    row("check_sender_access inline:{null=REJECT}", by_sender(""), smtpd_null_access_lookup_key="null"),
    row("check_sender_access fail:gone"),
    row("check_sender_a_access inline:{198.18.9.11=REJECT}", by_sender("a@only-a.example", "")),
    row("check_sender_mx_access inline:{198.18.66.6=REJECT, 198.18.9=OK}",
        by_sender("a@evil.example", "a@friend.example", "a@broken.example", "a@[198.18.66.6]", "a@null.example")),
    row("check_sender_ns_access inline:{ns.evil.example=REJECT}", by_sender("a@sub.evil.example", "a@broken.example")),
    row("reject_non_fqdn_sender", by_sender("a@friend.example", "local", "a@host", "")),
    row("reject_unknown_sender_domain",
        by_sender("a@friend.example", "a@nosuch.example", "a@broken.example", "a@null.example", "a@badmx.example", "")),
    row("reject_unknown_sender_domain", by_sender("a@nosuch.example", "a@broken.example"), unknown_address_reject_code="550"),
    row("reject_unknown_sender_domain", by_sender("a@broken.example"), unknown_address_tempfail_action="defer"),
    row("reject_unlisted_sender", by_sender("joe@here.example", "no@here.example", "no@box.example")),
    row("reject_rhsbl_sender dbl.example", by_sender("a@friend.example", "a@only-a.example", "", "a@[1.2.3.4]")),
)  # fmt: skip
RECIPIENT = (
    row("check_recipient_access inline:{here.example=REJECT, friend.example=OK}",
        by_recipient("joe@here.example", "x@friend.example", "x@evil.example", "joe%friend.example@here.example")),
    row("check_recipient_access fail:gone"),
    row("check_recipient_a_access inline:{198.18.9.12=REJECT}", by_recipient("a@relay.example", "joe@here.example")),
    row("check_recipient_mx_access inline:{198.18.66.6=REJECT, 198.18.9=OK}",
        by_recipient("x@evil.example", "x@friend.example", "x@broken.example")),
    row("check_recipient_ns_access inline:{ns.evil.example=REJECT}", by_recipient("x@evil.example", "x@friend.example")),
    row("permit_auth_destination", by_recipient("joe@here.example", "a@relay.example", "x@friend.example")),
    row("permit_auth_destination", relay_domains="fail:gone"),
    row("permit_mx_backup", by_recipient("x@backup.example", "x@primary.example", "joe@here.example", "x@broken.example")),
    row("permit_mx_backup", by_recipient("x@backup.example"), permit_mx_backup_networks="198.18.9.0/24"),
    row("permit_mx_backup", by_recipient("x@backup.example"), permit_mx_backup_networks="198.18.1.0/24"),
    row("reject_unauth_destination", by_recipient("joe@here.example", "a@relay.example", "x@friend.example")),
    row("reject_unauth_destination", by_recipient("x@friend.example"), relay_domains="fail:gone"),
    row("reject_unauth_destination", by_recipient("x@friend.example"), relay_domains_reject_code="451"),
    row("defer_unauth_destination", by_recipient("joe@here.example", "x@friend.example")),
    row("reject_non_fqdn_recipient", by_recipient("joe@here.example", "joe", "x@host")),
    row("reject_unknown_recipient_domain",
        by_recipient("x@friend.example", "x@nosuch.example", "x@broken.example", "x@null.example", "joe@here.example")),
    row("reject_unlisted_recipient", by_recipient("joe@here.example", "no@here.example", "no@listed.example", "no@box.example")),
    row("reject_unlisted_recipient", local_recipient_maps="fail:gone"),
    row("check_recipient_maps", by_recipient("no@here.example", "no@alias.example")),
    row("reject_rhsbl_recipient dbl.example", by_recipient("x@friend.example", "x@only-a.example", "joe@here.example")),
)  # fmt: skip
ETRN = (
    row("check_etrn_access inline:{relay.example=REJECT, etrn.example=OK}"), row("check_etrn_access fail:gone"),
)  # fmt: skip
ROWS = (*GENERIC, *CLIENT, *SASL, *HELO, *SENDER, *RECIPIENT, *ETRN)

PASSES = "check_client_access static:OK, reject"
"""Lets everybody pass, and is a guard all the same."""


def settings_for(stage: str, text: str, more: Mapping[str, str]) -> dict[str, str]:
    """The list of one stage.  A relay list without a guard needs one behind it."""
    settings = {**more, f"smtpd_{stage}_restrictions": text}
    if stage == "relay":
        settings["smtpd_recipient_restrictions"] = PASSES
    return settings


def to_stage(stage: str, session: Session) -> Session:
    """The session, as far as that its list is asked."""
    if stage == "etrn":
        return replace(session, etrn="relay.example")
    return replace(session, data=stage in ("data", "end_of_data"), end=stage == "end_of_data")


UNSTEADY = ("reject_unlisted_sender",)
"""In lists before MAIL Postfix goes by what the last session of the process left."""


def by_matrix(stage: str) -> Iterator[Session]:
    """Every row in one list, behind it a refusal and then a permit."""
    for each in ROWS:
        if each.text in UNSTEADY and stage in ("client", "helo", "etrn"):
            continue
        for tail in ("reject", "permit"):
            settings = settings_for(stage, f"{each.text}, {tail}", each.settings)
            for session in each.sessions:
                yield to_stage(stage, replace(session, settings=settings))


def by_action(stage: str) -> Iterator[Session]:
    """Every action of an access table in one list, the HELO name being the key."""
    entries = ", ".join(f"{{ v{at}.example = {value} }}" for at, value in enumerate(ACCESS_VALUES))
    settings = settings_for(stage, f"check_helo_access inline:{{ {entries} }}, defer", CLASSES)
    for at in range(len(ACCESS_VALUES)):
        yield to_stage(stage, Session(settings, helo=f"v{at}.example"))


CODES = (
    ("reject_code", "client", "reject", USUAL), ("defer_code", "client", "defer", USUAL),
    ("unknown_client_reject_code", "client", "reject_unknown_client", EVERYBODY[1]),
    ("unknown_client_reject_code", "client", "reject_unknown_reverse_client_hostname", EVERYBODY[1]),
    ("invalid_hostname_reject_code", "helo", "reject_invalid_helo_hostname", by_helo("-bad")[0]),
    ("invalid_hostname_reject_code", "helo", "reject_non_fqdn_helo_hostname", by_helo("[1.2.3]")[0]),
    ("non_fqdn_reject_code", "helo", "reject_non_fqdn_helo_hostname", by_helo("bot")[0]),
    ("non_fqdn_reject_code", "sender", "reject_non_fqdn_sender", by_sender("a@host")[0]),
    ("non_fqdn_reject_code", "recipient", "reject_non_fqdn_recipient", by_recipient("a@host")[0]),
    ("unknown_hostname_reject_code", "helo", "reject_unknown_helo_hostname", by_helo("nosuch.example")[0]),
    ("unknown_address_reject_code", "sender", "reject_unknown_sender_domain", by_sender("a@nosuch.example")[0]),
    ("unknown_address_reject_code", "recipient", "reject_unknown_recipient_domain", by_recipient("a@nosuch.example")[0]),
    ("relay_domains_reject_code", "recipient", "reject_unauth_destination", by_recipient("x@friend.example")[0]),
    ("maps_rbl_reject_code", "client", "reject_rbl_client bl.example", USUAL),
    ("maps_rbl_reject_code", "sender", "reject_rhsbl_sender dbl.example", USUAL),
    ("access_map_reject_code", "client", "inline:{bot.example=REJECT}", USUAL),
    ("access_map_defer_code", "client", "inline:{bot.example=DEFER}", USUAL),
    ("access_map_defer_code", "sender", "check_client_access inline:{bot.example=DEFER_IF_PERMIT}", USUAL),
    ("multi_recipient_bounce_reject_code", "recipient", "reject_multi_recipient_bounce", TWO[0]),
    ("plaintext_reject_code", "client", "reject_plaintext_session", USUAL),
    ("unknown_local_recipient_reject_code", "recipient", "permit", by_recipient("no@here.example")[0]),
    ("unknown_relay_recipient_reject_code", "recipient", "permit", by_recipient("no@listed.example")[0]),
    ("unknown_virtual_alias_reject_code", "recipient", "permit", by_recipient("no@alias.example")[0]),
    ("unknown_virtual_mailbox_reject_code", "recipient", "permit", by_recipient("no@box.example")[0]),
)  # fmt: skip


def by_code() -> Iterator[Session]:
    """Every reject code parameter, permanent, temporary and senseless; under soft_bounce as well."""
    for name, stage, text, session in CODES:
        for code in ("577", "477", "277"):
            yield replace(session, settings=settings_for(stage, text, {name: code}))
        yield replace(session, settings=settings_for(stage, text, {name: "577", "soft_bounce": "yes"}))


TABLES = (
    "local_recipient_maps", "virtual_alias_maps", "virtual_mailbox_maps", "relay_recipient_maps", "canonical_maps",
    "recipient_canonical_maps", "relay_domains", "mydestination", "virtual_alias_domains", "virtual_mailbox_domains",
    "transport_maps", "mynetworks",
)  # fmt: skip
BROKEN = by_recipient(
    "joe@here.example",
    "no@here.example",
    "ok@listed.example",
    "known@alias.example",
    "user@box.example",
    "x@friend.example",
)


def by_broken_table() -> Iterator[Session]:
    """Every table that judging needs, out of order."""
    for name in TABLES:
        for session in BROKEN:
            yield replace(
                session,
                settings={
                    name: "fail:gone",
                    "smtpd_recipient_restrictions": "permit_mynetworks, reject_unauth_destination",
                },
            )


FILTERS = (
    "static:IGNORE", "static:nonsense", "fail:gone", "regexp:{{/ IN MX 10 mx\\.friend\\.example\\.$$/ ignore this}}",
    "regexp:{{/^friend\\.example\\. [0-9]+ IN MX/ IGNORE}}", "regexp:{{/ IN A 127\\.0\\.0\\.2$$/ IGNORE}}", "regexp:{{/ IN TXT /i IGNORE}}",
    "regexp:{{/^bot\\.example\\. .* A / IGNORE}}", "regexp:{{/ IN AAAA 2001:db8::11$$/ IGNORE}}",
)  # fmt: skip


def by_filter() -> Iterator[Session]:
    """smtpd_dns_reply_filter before every kind of question."""
    for value in FILTERS:
        more = {"smtpd_dns_reply_filter": value}
        for stage, text, sessions in (
            ("helo", "reject_unknown_helo_hostname", by_helo("bot.example", "friend.example", "only-6.example", "null.example")),
            ("sender", "reject_unknown_sender_domain", by_sender("a@friend.example", "a@only-6.example", "a@broken.example")),
            ("recipient", "reject_unknown_recipient_domain, permit", by_recipient("x@friend.example", "x@null.example")),
            ("client", "reject_rbl_client bl.example", by_client(STRANGER, LISTED)),
            ("client", "permit_dnswl_client bl.example, reject", by_client(STRANGER, NAMELESS)),
            ("sender", "reject_rhsbl_sender dbl.example", by_sender("a@friend.example")),
            ("sender", "check_sender_mx_access inline:{198.18.66.6=REJECT}", by_sender("a@evil.example")),
            ("sender", "check_sender_ns_access inline:{ns.evil.example=REJECT}", by_sender("a@sub.evil.example")),
            ("recipient", "permit_mx_backup, reject", by_recipient("x@backup.example")),
        ):  # fmt: skip
            for session in sessions:
                yield replace(session, settings=settings_for(stage, text, more))


def groups() -> dict[str, list[Session]]:
    """All, by name."""
    found = {f"restrictions in the {stage} list": list(by_matrix(stage)) for stage in STAGES}
    found |= {f"actions in the {stage} list": list(by_action(stage)) for stage in STAGES}
    found |= {"codes": list(by_code()), "broken tables": list(by_broken_table()), "DNS filters": list(by_filter())}
    return found


def every_session() -> list[Session]:
    """All of them."""
    return [session for group in groups().values() for session in group]
