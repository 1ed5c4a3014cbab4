"""How the server behind is told who the client is: what we write is what a server reads."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from seawall.journey import Caller
from seawall.smtp.proxy_header import parse_proxy_header
from seawall.upstream.naming import Manner, format_header, format_xclient

FOUR = Caller("198.18.3.4", "4660", "192.0.2.1", "25")
SIX = Caller("2001:db8::7", "1", "2001:db8::1", "65535")
OFFERS = ("PIPELINING", "XCLIENT NAME ADDR PROTO HELO REVERSE_NAME PORT LOGIN DESTADDR DESTPORT")


@pytest.mark.parametrize("manner", [Manner.PROXY, Manner.PROXY_V2])
@pytest.mark.parametrize("caller", [FOUR, SIX])
def test_a_header_says_both_ends(manner: Manner, caller: Caller) -> None:
    header = parse_proxy_header(format_header(manner, caller))
    assert header is not None
    assert header.ends == ((caller.address, caller.port), (caller.server_address, caller.server_port))


@given(st.sampled_from([Manner.PROXY, Manner.PROXY_V2]), st.text(), st.text(), st.ip_addresses(), st.ip_addresses())
def test_whatever_the_ends_are_the_header_can_be_read(
    manner: Manner, port: str, server_port: str, client: object, server: object
) -> None:
    caller = Caller(str(client), port, str(server), server_port)
    data = format_header(manner, caller)
    header = parse_proxy_header(data)
    assert header is not None
    assert header.length == len(data)


def test_a_client_without_an_address_is_nobody() -> None:
    assert format_header(Manner.PROXY, Caller("", "", "", "")) == b"PROXY TCP4 0.0.0.0 0.0.0.0 0 0\r\n"


def test_two_families_are_told_as_the_wider() -> None:
    caller = Caller("198.18.3.4", "1", "2001:db8::1", "25")
    assert format_header(Manner.PROXY, caller) == b"PROXY TCP6 ::ffff:198.18.3.4 2001:db8::1 1 25\r\n"


def test_the_others_have_no_header() -> None:
    assert format_header(Manner.XCLIENT, FOUR) == format_header(Manner.NONE, FOUR) == b""


def test_xclient_says_what_the_server_wants_to_know_and_no_more() -> None:
    caller = Caller("2001:db8::7", "99", "192.0.2.1", "25", name="a.example", reverse_name=None)
    assert format_xclient(caller, OFFERS) == (
        b"XCLIENT NAME=a.example ADDR=IPV6:2001:db8::7 REVERSE_NAME=[TEMPUNAVAIL] PORT=99 "
        b"DESTADDR=192.0.2.1 DESTPORT=25\r\n"
    )
    assert format_xclient(caller, ("xclient addr",)) == b"XCLIENT ADDR=IPV6:2001:db8::7\r\n"


def test_a_name_cannot_smuggle_a_command() -> None:
    caller = Caller("192.0.2.9", "1", "192.0.2.1", "25", name="a b\r\nMAIL=x")
    assert format_xclient(caller, ("XCLIENT NAME",)) == b"XCLIENT NAME=a+20b+0D+0AMAIL+3Dx\r\n"


def test_a_server_that_takes_no_xclient_is_told_nothing() -> None:
    assert format_xclient(FOUR, ("PIPELINING", "XCLIENTS NAME")) is None
    assert format_xclient(FOUR, ("XCLIENT FOO",)) is None
