"""Small configurations, each of which could mislead the proof one way or the other."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from seawall.policy.proof.search import Kind
from tests.policy.proof.test_search import RELAY, answer

R, P, D = Kind.RELAYS, Kind.PROVED, Kind.DEPENDS
GUARD = "reject_unauth_destination"
CASES: Mapping[str, tuple[Kind, dict[str, str]]] = {
    "bad pattern": (
        P,
        {"mynetworks": "127.0.0.0/8, 192.168.0.0/8", RELAY: "permit_mynetworks, check_helo_access static:OK, reject"},
    ),
    "google dsl re": (
        P,
        {RELAY: r"check_client_access regexp:{ {/\.google\.com$$/ OK} {/dsl|dyn/ REJECT} }, " + GUARD},
    ),
    "google re open": (R, {RELAY: r"check_client_access regexp:{ {/google\.com$$/ OK} }, " + GUARD}),
    "ip regexp private": (
        R,
        {RELAY: r"check_client_access regexp:{ {/^192\.168\./ OK} {/^10\.0\.[0-9]+\./ OK} }, " + GUARD},
    ),
    "ip regexp narrow": (R, {RELAY: r"check_client_access regexp:{ {/^81\.2\.69\./ OK} }, " + GUARD}),
    "ip regexp wide": (R, {RELAY: r"check_client_access regexp:{ {/^81\./ OK} }, " + GUARD}),
    "ip regexp bug": (R, {RELAY: r"check_client_access pcre:{ {/^192.168./ OK} {/^1[0-9]/ OK} }, " + GUARD}),
    "if endif": (R, {RELAY: r"check_sender_access pcre:{ {if /@here\.example$$/} {/^boss/ OK} {endif} }, " + GUARD}),
    "if endif closed": (
        P,
        {RELAY: r"check_recipient_access pcre:{ {if /@here\.example$$/} {/^boss/ OK} {endif} }, " + GUARD},
    ),
    "negative": (R, {RELAY: r"check_sender_access pcre:{ {!/spam/ OK} }, " + GUARD}),
    "case": (R, {RELAY: r"check_sender_access pcre:{ {/^BOSS@HERE\.EXAMPLE$$/ OK} }, " + GUARD}),
    "subst": (R, {RELAY: r"check_sender_access pcre:{ {/^(ok)@here\.example$$/ $$1} }, " + GUARD}),
    "lookahead": (D, {RELAY: r"check_sender_access pcre:{ {/^(?=q{7}z)(?!a)q+z+@w+\.example$$/ OK} }, " + GUARD}),
    "alternation 30": (
        R,
        {
            RELAY: r"check_sender_access pcre:{ {/^(a|b|c|d|e|f|g|h|i|j|k|l|m)(1|2|3|4|5|6|7|8|9)@(x|y|z|w)\.example$$/ OK} }, "
            + GUARD
        },
    ),
    "classes nested": (
        R,
        {
            "smtpd_restriction_classes": "a b c",
            "a": "check_sender_access inline:{x.example=b}",
            "b": "check_helo_access inline:{h.example=c}",
            "c": "permit",
            RELAY: "a, " + GUARD,
        },
    ),
    "recursion": (P, {"smtpd_restriction_classes": "a b", "a": "b", "b": "a", RELAY: "a, " + GUARD}),
    "helo required reject": (
        P,
        {
            "smtpd_helo_required": "yes",
            "smtpd_helo_restrictions": "check_helo_access regexp:{ {/./ REJECT} }",
            RELAY: "check_sender_access static:OK, " + GUARD,
        },
    ),
    "helo not required": (
        R,
        {
            "smtpd_helo_required": "no",
            "smtpd_helo_restrictions": "check_helo_access regexp:{ {/./ REJECT} }",
            RELAY: "check_sender_access static:OK, " + GUARD,
        },
    ),
    "proxymap hash": (R, {RELAY: "check_sender_access proxy:inline:{x.example=OK}, " + GUARD}),
    "sasl only": (
        P,
        {"smtpd_sasl_auth_enable": "yes", RELAY: "permit_sasl_authenticated, check_sasl_access static:OK, " + GUARD},
    ),
    "rbl": (
        P,
        {
            RELAY: "reject_rbl_client zen.spamhaus.org=127.0.0.[2..11], reject_rhsbl_sender dbl.spamhaus.org, permit_dnswl_client list.dnswl.org=127.0.[0..255].[1..3], "
            + GUARD
        },
    ),
    "data with policy": (P, {"smtpd_data_restrictions": "check_policy_service unix:private/x"}),
    "eod": (P, {"smtpd_end_of_data_restrictions": "check_policy_service unix:private/x, permit"}),
    "relay in recipients two lists": (
        R,
        {
            RELAY: "check_sender_access inline:{a.example=OK}, reject",
            "smtpd_recipient_restrictions": "check_sender_access inline:{a.example=OK}, reject",
        },
    ),
    "relay in recipients two lists disjoint": (
        P,
        {
            RELAY: "check_sender_access inline:{a.example=OK}, reject",
            "smtpd_recipient_restrictions": "check_sender_access inline:{b.example=OK}, reject",
        },
    ),
    "two lists, helo+sender": (
        R,
        {
            RELAY: "check_sender_access inline:{a.example=OK}, reject",
            "smtpd_recipient_restrictions": "check_helo_access inline:{b.example=OK}, reject",
        },
    ),
    "uppercase": (R, {RELAY: "CHECK_SENDER_ACCESS inline:{a.example=ok}, REJECT_UNAUTH_DESTINATION"}),
    "removed name": (P, {RELAY: "check_relay_domains, permit"}),
    "ext delim": (
        R,
        {"recipient_delimiter": "+", RELAY: "check_sender_access inline:{boss+x@here.example=OK}, " + GUARD},
    ),
    "virtual alias domain regexp": (
        P,
        {"virtual_alias_domains": "regexp:{ {/./ x} }", "virtual_alias_maps": "inline:{a@b.example=joe}"},
    ),
    "transport any": (P, {"transport_maps": "inline:{*=smtp:[hub]}"}),
    "mailman": (P, {"relay_domains": "lists.here.example", "relay_recipient_maps": "inline:{a@lists.here.example=x}"}),
    "sleep": (P, {RELAY: "sleep 5, permit_mynetworks, " + GUARD}),
    "ipv6 literal": (
        P,
        {"mynetworks": "127.0.0.0/8 [::1]/128 [fe80::]/64 [::ffff:127.0.0.0]/104", "inet_protocols": "all"},
    ),
    "mapped any": (P, {"mynetworks": "127.0.0.0/8 [::ffff:0:0]/96", "inet_protocols": "all"}),
    "hostnames": (P, {RELAY: "check_client_access inline:{mx.partner.co.uk=OK, .partner.org=OK}, " + GUARD}),
    "co.uk": (R, {RELAY: "check_client_access inline:{co.uk=OK}, " + GUARD}),
    "hangup": (P, {RELAY: "check_sender_access static:HANGUP, permit"}),
    "permit tls wrapper noguard": (P, {"smtpd_tls_wrappermode": "yes", RELAY: "permit_sasl_authenticated, reject"}),
    "xclient LOGIN": (
        R,
        {
            "smtpd_authorized_xclient_hosts": "0.0.0.0/0",
            "mynetworks": "",
            "smtpd_sasl_auth_enable": "yes",
            RELAY: "permit_sasl_authenticated, reject",
        },
    ),
    "xclient nothing": (
        P,
        {"smtpd_authorized_xclient_hosts": "0.0.0.0/0", "mynetworks": "", RELAY: "permit_auth_destination, reject"},
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_the_answer_is_right(name: str) -> None:
    kind, values = CASES[name]

    assert answer(values).kind is kind
