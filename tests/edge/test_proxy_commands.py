"""XCLIENT and XFORWARD from hosts that may use them."""

import pytest

from seawall.policy.attempt import NameStatus
from tests.edge.world import HOST, Dialogue, World

XCLIENT = "smtpd_authorized_xclient_hosts = 192.0.2.0/24\n"
XFORWARD = "smtpd_authorized_xforward_hosts = 192.0.2.0/24\n"


def begun(main_cf: str) -> tuple[World, Dialogue]:
    world = World(main_cf)
    talk = world.dialogue()
    talk.heard()
    return world, talk


async def test_the_session_begins_anew_as_another_client() -> None:
    world, talk = begun(XCLIENT)
    assert any("XCLIENT NAME ADDR" in line for line in talk.say("EHLO x"))
    assert talk.say("XCLIENT NAME=spam.example ADDR=198.51.100.9 PORT=99 LOGIN=ann") == [f"220 {HOST} ESMTP Seawall"]
    attempt = talk.session.attempt
    assert (attempt.name, attempt.address, attempt.port) == ("spam.example", "198.51.100.9", "99")
    assert (attempt.helo, attempt.protocol, attempt.sasl_username) == (None, "SMTP", "ann")
    assert talk.say("MAIL FROM:<a@b.c>", "RCPT TO:<u@example.com>")[-1] == "250 2.1.5 Ok"
    assert world.log[-1] == "Q1: client=spam.example[198.51.100.9], sasl_method=XCLIENT, sasl_username=ann"
    assert talk.say("RSET", "XCLIENT ADDR=192.0.2.1")[-1] == "550 5.7.0 Error: insufficient authorization"
    talk.say("QUIT")
    assert "xclient=0/2" in world.log[-1]


async def test_a_name_may_be_unknown_for_good_or_for_now() -> None:
    _, talk = begun(XCLIENT)
    talk.say("XCLIENT NAME=[TEMPUNAVAIL] ADDR=IPV6:2001:db8::1")
    attempt = talk.session.attempt
    assert (attempt.name, attempt.name_status) == ("unknown", NameStatus.TEMPORARY)
    assert attempt.address == "2001:db8::1"


async def test_hello_and_protocol_may_come_along() -> None:
    world, talk = begun(XCLIENT)
    talk.say("XCLIENT NAME=[UNAVAILABLE] ADDR=198.51.100.9 HELO=mail+2Eexample PROTO=ESMTP")
    assert talk.session.engine.helo == "mail.example"
    assert talk.session.engine.protocol == "ESMTP"
    talk.say("MAIL FROM:<a@b.c>", "RCPT TO:<u@example.com>")
    assert world.intake.opened[0].submission.origin.helo == "mail.example"


@pytest.mark.parametrize(
    ("line", "reply"),
    [
        ("XCLIENT", "501 5.5.4 Syntax: XCLIENT attribute=value..."),
        ("XCLIENT NAME", "501 5.5.4 Error: attribute=value expected"),
        ("XCLIENT NAME=" + "x" * 300, "501 5.5.4 Error: attribute value too long"),
        ("XCLIENT NAME=-x", "501 5.5.4 Bad NAME syntax: -x"),
        ("XCLIENT ADDR=1.2.3", "501 5.5.4 Bad ADDR syntax: 1.2.3"),
        ("XCLIENT PORT=x", "501 5.5.4 Bad PORT syntax: x"),
        ("XCLIENT PROTO=HTTP", "501 5.5.4 Bad PROTO syntax: HTTP"),
        ("XCLIENT FOO=x", "501 5.5.4 Bad XCLIENT attribute name: FOO"),
        ("XFORWARD NAME=x", "550 5.7.0 Error: insufficient authorization"),
    ],
)
async def test_what_is_wrong_hears_what_postfix_says(line: str, reply: str) -> None:
    _, talk = begun(XCLIENT)
    assert talk.say(line) == [reply]


async def test_strangers_may_not() -> None:
    world = World(XCLIENT)
    talk = world.dialogue(("203.0.113.1", 1))
    assert not any("XCLIENT" in line for line in talk.say("EHLO x"))
    assert talk.say("XCLIENT NAME=x") == ["550 5.7.0 Error: insufficient authorization"]


async def test_the_log_names_the_client_that_was_forwarded() -> None:
    world, talk = begun(XFORWARD)
    assert any("XFORWARD NAME ADDR PROTO HELO SOURCE PORT IDENT" in line for line in talk.say("EHLO x"))
    assert talk.say("XFORWARD NAME=far.example ADDR=198.51.100.9 IDENT=ABC SOURCE=LOCAL") == ["250 2.0.0 Ok"]
    talk.say("MAIL FROM:<a@b.c>", "RCPT TO:<u@example.com>")
    assert world.log[-1] == (
        "Q1: client=client.example.org[192.0.2.7], orig_queue_id=ABC, orig_client=far.example[198.51.100.9]"
    )
    assert world.intake.opened[0].submission.origin.is_local
    assert talk.say("RSET", "MAIL FROM:<a@b.c>", "RCPT TO:<u@example.com>")[-1] == "250 2.1.5 Ok"
    assert world.log[-1] == "Q2: client=client.example.org[192.0.2.7]"


async def test_keywords_are_taken_away_by_client() -> None:
    _, talk = begun("smtpd_discard_ehlo_keyword_address_maps = inline:{ {192.0.2.7 = dsn, chunking} }\n")
    lines = talk.say("EHLO x")
    assert not any("DSN" in line or "CHUNKING" in line for line in lines)
    assert talk.say("MAIL FROM:<a@b.c> RET=FULL") == ["501 5.7.1 DSN support is disabled"]
