"""The sessions that the judge and the real Postfix must answer alike: each restriction permitting, refusing, in trouble."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from tests.policy.versus import FORGED, INSIDER, NAMELESS, STRANGER, UNCLEAR, Client, Session

CLIENTS = (STRANGER, NAMELESS, UNCLEAR, FORGED, INSIDER, Client("trusted.example", "198.18.7.11"))
HELOS = (
    "bot.example", "bot", "bot.example.", "-bad.example", "1.2.3.4", "[198.18.7.7]", "[1.2.3]", "[IPv6:2001:db8::1]",
    "under_score.example", "a..b", "friend.example", "nosuch.example", "broken.example", "text.example", "evil.example",
    "null.example", "x" * 64 + ".example",
)  # fmt: skip
SENDERS = (
    "a@friend.example", "", "a@nosuch.example", "a@only-a.example", "a@only-6.example", "a@text.example",
    "a@null.example", "a@broken.example", "a@half.example", "a@badmx.example", "a@cname.example", "a@lost.example",
    "a@evil.example", "x+tag@evil.example", "a@sub.evil.example", "local", "a@host", "a@[198.18.7.7]", "joe@here.example",
    "nobody@here.example", "a@relay.example", "no@listed.example", "nobody@alias.example", "no@box.example", "a@.example",
)  # fmt: skip
RECIPIENTS = (
    "joe@here.example", "nobody@here.example", "JOE@HERE.Example", "joe+tag@here.example", "ann@mail.here.example",
    "postmaster@here.example", "postmaster", "joe", "mailer-daemon@here.example", "double-bounce@here.example",
    "a@relay.example", "a@sub.relay.example", "ok@listed.example", "no@listed.example", "known@alias.example",
    "no@alias.example", "user@box.example", "no@box.example", "moved@here.example", "x@friend.example",
    "x@nosuch.example", "x@null.example", "x@broken.example", "joe%friend.example@here.example",
    "@friend.example:joe@here.example", "friend.example!joe@here.example", "x@friend.example@here.example",
    "x@[198.18.7.7]", "joe@[192.0.2.1]", "x@backup.example", "x@primary.example", "dashed-name@here.example",
    '"joe"@here.example', '"a b"@here.example', "x@evil.example",
)  # fmt: skip

ACCESS_VALUES = (
    "OK", "RELAY", "ok with text", "1234", "DUNNO", "dunno text", "REJECT", "REJECT go away", "REJECT 5.1.1 gone",
    "REJECT 4.1.8 odd", "DEFER", "DEFER 4.1.7 later", "450 4.1.2 wait", "550 no", "550 5.1.2 no", "521 bye", "421 bye",
    "399 no", "600 no", "55 no", "550", "DEFER_IF_PERMIT", "DEFER_IF_PERMIT 4.1.1 hm", "DEFER_IF_REJECT",
    "WARN", "INFO x", "HOLD", "HOLD x", "DISCARD", "DISCARD x", "FILTER smtp:[198.18.1.1]", "FILTER", "FILTER x",
    "REDIRECT joe@here.example", "REDIRECT joe", "BCC ann@here.example", "PREPEND X-A: b", "PREPEND nonsense",
    "reject", "permit", "reject_unknown_sender_domain", "permit_mynetworks reject", "hash:/no/such", "nonsense",
    "warn_if_reject reject", "myclass", "defer", "defer_if_permit", "permit, reject", "reject_non_fqdn_helo_hostname",
)  # fmt: skip
CLASSES = {"smtpd_restriction_classes": "myclass", "myclass": "reject_unauth_pipelining, reject"}


def _with(**settings: str) -> dict[str, str]:
    return settings


def clients(settings: Mapping[str, str], who: Sequence[Client] = CLIENTS) -> Iterator[Session]:
    """One session for each client."""
    return (Session(settings, client=client) for client in who)


def helos(settings: Mapping[str, str], names: Sequence[str] = HELOS) -> Iterator[Session]:
    """One session for each HELO name."""
    return (Session(settings, helo=helo) for helo in names)


def senders(settings: Mapping[str, str], names: Sequence[str] = SENDERS) -> Iterator[Session]:
    """One session for each sender."""
    return (Session(settings, sender=sender) for sender in names)


def recipients(settings: Mapping[str, str], names: Sequence[str] = RECIPIENTS, size: int = 5) -> Iterator[Session]:
    """Sessions of a few recipients each."""
    return (Session(settings, recipients=names[at : at + size]) for at in range(0, len(names), size))


def by_client() -> Iterator[Session]:
    for value in (
        "reject_unknown_client_hostname", "reject_unknown_client", "reject_unknown_reverse_client_hostname",
        "permit_mynetworks, reject", "permit_inet_interfaces, reject", "reject_plaintext_session",
        "check_client_access inline:{bot.example=REJECT, {198.18=550 net}, unknown=DEFER, here.example=OK}",
        "inline:{ {198.18.7.8=REJECT by address} } reject_unknown_client",
        "check_reverse_client_hostname_access inline:{evil.example=REJECT, bot.example=OK}",
        "check_client_mx_access inline:{198.18.7.7=REJECT}", "check_client_ns_access inline:{here.example=REJECT}",
        "check_client_a_access inline:{ {198.18.7=REJECT mine} }",
        "check_reverse_client_hostname_mx_access inline:{198.18.66.6=REJECT}",
        "check_reverse_client_hostname_a_access inline:{198.18.7.7=OK}",
    ):  # fmt: skip
        yield from clients(_with(smtpd_client_restrictions=value))
    yield from clients(_with(smtpd_client_restrictions="reject_unknown_client", unknown_client_reject_code="550"))


def by_helo() -> Iterator[Session]:
    for value in (
        "reject_invalid_helo_hostname", "reject_invalid_hostname", "reject_non_fqdn_helo_hostname",
        "reject_non_fqdn_hostname", "reject_unknown_helo_hostname", "reject_unknown_hostname",
        "check_helo_access inline:{ {bot.example=550 you}, example=DUNNO, 1.2.3.4=REJECT}",
        "check_helo_mx_access inline:{198.18.66.6=REJECT, {mx.friend.example=550 friend} }",
        "check_helo_ns_access inline:{ns.evil.example=REJECT}", "check_helo_a_access inline:{198.18.9=REJECT}",
    ):  # fmt: skip
        yield from helos(_with(smtpd_helo_restrictions=value))
    yield from helos(
        _with(smtpd_helo_restrictions="reject_unknown_hostname", unknown_helo_hostname_tempfail_action="defer")
    )
    yield from helos(_with(smtpd_helo_restrictions="reject_non_fqdn_hostname", smtpd_delay_reject="no"))


def by_sender() -> Iterator[Session]:
    for value in (
        "reject_non_fqdn_sender", "reject_unknown_sender_domain", "reject_unknown_address", "reject_unlisted_sender",
        "check_sender_access inline:{friend.example=REJECT, a@only-a.example=OK, {<>=550 null}, {x@evil.example=REJECT ext} }",
        "check_sender_access inline:{ {.example=550 dot}, {example=550 top}, {a@=REJECT user} }",
        "check_sender_access regexp:{{/^a@(.*)example$$/ REJECT got $$1}}",
        "check_sender_mx_access inline:{198.18.66=REJECT, 198.18.9.9=OK}",
        "check_sender_ns_access inline:{ns.evil.example=REJECT}", "check_sender_a_access inline:{198.18.9.11=REJECT}",
        "reject_sender_login_mismatch",
    ):  # fmt: skip
        yield from senders(_with(smtpd_sender_restrictions=value))
    for name, value in (
        ("unknown_address_reject_code", "550"),
        ("unknown_address_tempfail_action", "defer"),
        ("smtpd_delay_reject", "no"),
        ("soft_bounce", "yes"),
    ):
        yield from senders({"smtpd_sender_restrictions": "reject_unknown_sender_domain", name: value})
    yield from senders(_with(smtpd_reject_unlisted_sender="yes"))
    yield from senders(_with(smtpd_reject_unlisted_sender="yes", smtpd_delay_reject="no"))
    yield from senders(
        _with(
            smtpd_sender_restrictions="check_sender_access inline:{ {example=550 parent} }",
            parent_domain_matches_subdomains="",
        )
    )


def by_recipient() -> Iterator[Session]:
    for value in (
        "reject_unauth_destination", "defer_unauth_destination", "permit_auth_destination, reject",
        "reject_non_fqdn_recipient, reject_unauth_destination",
        "reject_unknown_recipient_domain, reject_unauth_destination", "reject_unlisted_recipient, permit",
        "check_recipient_maps, permit", "permit_mx_backup, reject_unauth_destination", "permit",
        "check_recipient_access inline:{here.example=OK, {joe@=REJECT joe}, friend.example=OK}, reject_unauth_destination",
        "inline:{ {joe@here.example=550 bare} } reject_unauth_destination",
        "check_recipient_access fail:broken, permit", "check_recipient_mx_access inline:{198.18.66.6=REJECT}, permit",
        "check_recipient_ns_access inline:{ns.evil.example=REJECT}, permit",
        "check_recipient_a_access inline:{198.18.9.12=REJECT}, permit",
        "reject_multi_recipient_bounce, permit", "reject", "defer", "defer_if_permit", "defer_if_reject, reject",
        "warn_if_reject reject_unauth_destination, permit", "warn_if_reject, permit, reject", "permit_mynetworks reject",
        "nonsense", "check_client_access, permit", "check_client_access hash", "sleep x", "sleep 0, reject",
        "PERMIT", "Reject_Unauth_Destination", "permit_sasl_authenticated, reject", "permit_tls_clientcerts, reject",
        "reject_unverified_nothing", "check_sasl_access inline:{a=OK}, reject", "check_helo_access inline:{bot.example=DEFER}",
        "check_ccert_access inline:{a=OK} defer",
    ):  # fmt: skip
        yield from recipients(_with(smtpd_recipient_restrictions=value))
    yield from recipients(_with(smtpd_recipient_restrictions="permit", smtpd_reject_unlisted_recipient="no"))
    yield from recipients(_with(smtpd_recipient_restrictions="permit", unknown_local_recipient_reject_code="450"))
    for value in ("reject_unauth_destination", "check_client_access static:OK, reject", "defer_unauth_destination"):
        for first in ("yes", "no"):
            yield from recipients(
                _with(
                    smtpd_relay_restrictions=value,
                    smtpd_recipient_restrictions="reject_unknown_recipient_domain",
                    smtpd_relay_before_recipient_restrictions=first,
                )
            )
    for value in ("fail:broken", "inline:{joe=x}, fail:broken"):
        yield from recipients(_with(local_recipient_maps=value, smtpd_recipient_restrictions="permit"))


def by_access_value() -> Iterator[Session]:
    for at, value in enumerate(ACCESS_VALUES):
        for place, key in (
            ("smtpd_client_restrictions = check_client_access", "bot.example"),
            ("smtpd_helo_restrictions = check_helo_access", "bot.example"),
            ("smtpd_sender_restrictions = check_sender_access", "friend.example"),
            ("smtpd_recipient_restrictions = check_recipient_access", "here.example"),
        ):
            name, _, check = place.partition(" = ")
            tail = ", reject_unauth_destination" if "recipient" in name else ""
            settings = {name: f"{check} inline:{{ {{ {key} = {value} }} }}{tail}", **CLASSES}
            yield Session(settings, recipients=("joe@here.example", "x@friend.example"), data=at % 2 == 0)


def by_deferral() -> Iterator[Session]:
    for lists in (
        _with(smtpd_client_restrictions="defer_if_permit", smtpd_recipient_restrictions="permit"),
        _with(smtpd_client_restrictions="defer_if_permit", smtpd_recipient_restrictions="reject"),
        _with(smtpd_client_restrictions="defer_if_reject", smtpd_recipient_restrictions="reject"),
        _with(smtpd_recipient_restrictions="defer_if_reject, reject_unauth_destination"),
        _with(smtpd_recipient_restrictions="defer_if_reject, defer_if_permit, reject"),
        _with(smtpd_recipient_restrictions="defer_if_permit, defer_if_reject, permit"),
        _with(smtpd_helo_restrictions="defer_if_permit", smtpd_sender_restrictions="reject_unknown_sender_domain"),
        _with(smtpd_sender_restrictions="reject_unknown_sender_domain", smtpd_data_restrictions="reject"),
        _with(smtpd_data_restrictions="reject_multi_recipient_bounce, defer_if_permit"),
        _with(smtpd_data_restrictions="check_recipient_access inline:{here.example=REJECT}"),
        _with(smtpd_data_restrictions="inline:{a=b}"),
        _with(smtpd_data_restrictions="reject_unauth_pipelining, permit"),
        _with(smtpd_recipient_restrictions="warn_if_reject defer_if_permit, permit"),
        _with(smtpd_recipient_restrictions="warn_if_reject check_recipient_access fail:x, permit"),
        _with(smtpd_recipient_restrictions="warn_if_reject myclass, permit", **CLASSES),
        _with(smtpd_recipient_restrictions="myclass, permit", **CLASSES),
        _with(smtpd_recipient_restrictions="MyClass, permit", **CLASSES),
        _with(smtpd_recipient_restrictions="myclass", smtpd_restriction_classes="myclass", myclass="permit"),
    ):
        for sender in ("a@broken.example", "", "a@nosuch.example"):
            yield Session(lists, sender=sender, recipients=("joe@here.example", "x@friend.example"), data=True)
            yield Session(lists, sender=sender, recipients=("joe@here.example", "ann@here.example"), data=True)
        yield Session(lists, client=NAMELESS, data=True)


LIST_SENDERS = ("a@friend.example", "", "a@only-a.example", "a@[198.18.7.7]", "a@nosuch.example")


def by_dns_list() -> Iterator[Session]:
    for value in (
        "reject_rbl_client bl.example", "reject_rbl bl.example", "reject_rbl_client bl.example=127.0.0.2",
        "reject_rbl_client bl.example=127.0.0.[1;3..5]", "reject_rbl_client bl.example=[127].0.[0..1].[2..255]",
        "reject_rbl_client nolist.example", "reject_rbl_client", "warn_if_reject reject_rbl_client bl.example",
        "permit_dnswl_client bl.example, reject", "permit_dnswl_client bl.example=127.0.0.2, defer",
        "permit_rhswl_client dbl.example, reject", "reject_rhsbl_client dbl.example",
        "reject_rhsbl_reverse_client dbl.example", "reject_rhsbl_helo dbl.example", "reject_rhsbl_sender dbl.example",
        "reject_rhsbl_recipient dbl.example",
    ):  # fmt: skip
        yield from clients(_with(smtpd_client_restrictions=value))
    for value in ("reject_rhsbl_sender dbl.example", "reject_rhsbl_sender dbl.example=127.0.1.2"):
        yield from senders(_with(smtpd_sender_restrictions=value), LIST_SENDERS)
    for value in (
        "permit_dnswl_client bl.example, reject", "reject_rhsbl_recipient dbl.example",
        "permit_rhswl_client dbl.example, reject",
    ):  # fmt: skip
        yield from recipients(_with(smtpd_recipient_restrictions=value))
    for name, value in (
        ("maps_rbl_reject_code", "450"),
        ("default_rbl_reply", "$rbl_code 5.1.1 $client|$client_name|$sender_name|$recipient_domain|$rbl_what|$rbl_txt"),
        ("default_rbl_reply", "550 4.1.2 ${rbl_reason?{because $rbl_reason}:{no reason}}"),
        ("default_rbl_reply", "${rbl_class}: no code"),
        ("default_rbl_reply", "521 $rbl_domain"),
        ("rbl_reply_maps", "inline:{ {bl.example=554 5.2.1 from the map: $$helo_name} }"),
        ("rbl_reply_maps", "inline:{ {bl.example=554 $$nonsense} }"),
        ("rbl_reply_maps", "inline:{ {bl.example=nonsense} }"),
        ("rbl_reply_maps", "fail:gone"),
        ("smtpd_expansion_filter", "abcdefghijklmnopqrstuvwxyz\\40"),
        ("soft_bounce", "yes"),
    ):
        yield from clients({"smtpd_client_restrictions": "reject_rbl_client bl.example", name: value})


def every_session() -> list[Session]:
    """All of them."""
    groups = (by_client, by_helo, by_sender, by_recipient, by_access_value, by_deferral, by_dns_list)
    return [session for group in groups for session in group()]
