"""`assume` in a rehearsal: tables, services, DNS, TLS and names that are taken for granted."""

from __future__ import annotations

import asyncio

import pytest

from seawall.cli.rehearse_stage import Rehearsal
from seawall.dns.zone import Zone


def play(*lines: str) -> list[str]:
    rehearsal = Rehearsal(None, Zone(""))

    async def all_lines() -> list[str]:
        answered = [await rehearsal.play(line) for line in lines]
        return [one.answer for one in answered if one is not None]

    return asyncio.run(all_lines())


def last(*lines: str) -> str:
    return play(*lines)[-1]


def test_a_table_says_what_is_assumed_and_else_nothing() -> None:
    rule = "recipient_restrictions check_sender_access,proxy:pgsql:/x,reject_unauth_destination"
    known = "assume proxy:pgsql:/x a@b.example OK"

    assert last(rule, known, "mail a@b.example", "rcpt x@y.example") == "OK"
    assert last(rule, known, "mail z@b.example", "rcpt x@y.example").startswith("554 5.7.1")
    assert last(rule, "assume proxy:pgsql:/x", "mail a@b.example", "rcpt x@y.example").startswith("554 5.7.1")


def test_what_is_not_assumed_of_a_table_that_can_be_read_it_says_itself() -> None:
    table = "inline:{a@b.example=REJECT}"
    lines = (f"recipient_restrictions check_sender_access,{table},reject", f"assume {table} z@b.example OK")

    assert last(*lines, "mail z@b.example", "rcpt x@y.example") == "OK"
    assert "Sender address rejected" in last(*lines, "mail a@b.example", "rcpt x@y.example")


def test_a_service_always_says_the_same() -> None:
    rule = "recipient_restrictions check_policy_service,unix:private/p,reject"

    assert last(rule, "assume unix:private/p OK", "rcpt x@y.example") == "OK"
    assert "go away" in last(rule, "assume unix:private/p REJECT go away", "rcpt x@y.example")


def test_names_are_there() -> None:
    rule = "recipient_restrictions reject_unknown_recipient_domain,permit"

    assert last(rule, "assume dns y.example MX 10 mx.y.example", "rcpt x@y.example") == "OK"
    assert last(rule, "rcpt x@y.example").startswith("450 4.1.2")


def test_tls_certificates_logins_and_reverse_names() -> None:
    lists = {
        "reject_plaintext_session,permit": "assume tls",
        "permit_tls_all_clientcerts,reject": "assume tls trusted",
        "check_reverse_client_hostname_access,inline:{z.example=REJECT},permit": "assume reverse y.example",
    }
    for restrictions, line in lists.items():
        assert last(f"recipient_restrictions {restrictions}", line, "rcpt x@y.example") == "OK"
    login = ("smtpd_sasl_auth_enable yes", "recipient_restrictions permit_sasl_authenticated,reject")
    assert last(*login, "assume login ann", "rcpt x@y.example") == "OK"
    assert last(*login, "rcpt x@y.example").startswith("554")


@pytest.mark.parametrize(
    "line", ["assume x", "assume unix:private/p", "assume pgsql:/x key", "assume dns a MX x", "assume tls no"]
)
def test_what_is_no_assumption_is_told(line: str) -> None:
    assert last(line).startswith("bad assumption")
