"""How a proxy names the client: versions 1 and 2, whole and in pieces."""

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from seawall.smtp.proxy_header import SIGNATURE, BadProxyHeader, Proxied, parse_proxy_header

FOUR = (("198.51.100.7", "1234"), ("192.0.2.9", "25"))
SIX = (("2001:db8::1", "1"), ("::1", "2"))
BLOCK_4 = SIGNATURE + b"\x21\x11\0\x0c" + bytes([198, 51, 100, 7, 192, 0, 2, 9]) + struct.pack(">HH", 1234, 25)
BLOCK_6 = (
    SIGNATURE + b"\x21\x21\0\x24" + bytes.fromhex("20010db8") + bytes(11) + b"\1" + bytes(15) + b"\1"
    + struct.pack(">HH", 1, 2)
)  # fmt: skip
GOOD = (
    (b"PROXY TCP4 198.51.100.7 192.0.2.9 1234 25\r\n", FOUR),
    (b"PROXY TCP6 2001:db8::1 ::1 1 2\r\n", SIX),
    (b"PROXY TCP6 ::ffff:198.51.100.7 ::ffff:192.0.2.9 1234 25\n", FOUR),
    (BLOCK_4, FOUR),
    (BLOCK_6, SIX),
    (SIGNATURE + b"\x20\0\0\0", None),
)


@pytest.mark.parametrize(("data", "ends"), GOOD)
def test_a_header_is_understood_whole_and_in_pieces_with_what_follows_it(data: bytes, ends: object) -> None:
    for end in range(1, len(data)):
        assert parse_proxy_header(data[:end]) is None
    assert parse_proxy_header(data + b"EHLO x\r\n") == Proxied(ends, len(data))


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"HELLO\r\n", "short protocol header"),
        (b"x" * 40, "unrecognized protocol header"),
        (b"PROXY UNKNOWN\r\n", "bad or missing protocol type"),
        (b"PROXY TCP4 a b 1 2\r\n", "bad or missing client address"),
        (b"PROXY TCP4 1.2.3.4 ::1 1 2\r\n", "bad or missing server address"),
        (b"PROXY TCP4 1.2.3.4 1.2.3.5 x 2\r\n", "bad or missing client port"),
        (b"PROXY TCP4 1.2.3.4 1.2.3.5 1 65536\r\n", "bad or missing server port"),
        (b"PROXY " + b"x" * 300, "missing protocol header terminator"),
        (SIGNATURE + b"\x31\x11\0\0", "unrecognized protocol version"),
        (SIGNATURE + b"\x21\x12\0\0", "unsupported network protocol"),
        (SIGNATURE + b"\x21\x11\0\4abcd", "short address field"),
        (SIGNATURE + b"\x21\x11\xff\xff", "too long address field"),
    ],
)
def test_what_is_no_header_is_refused_with_the_reason(data: bytes, reason: str) -> None:
    with pytest.raises(BadProxyHeader, match=f"^{reason}$"):
        parse_proxy_header(data)


@given(st.sampled_from([b"", b"PROXY TCP4 ", SIGNATURE, SIGNATURE + b"\x21\x11\0"]), st.binary(max_size=600))
def test_no_bytes_do_worse_than_be_refused(head: bytes, data: bytes) -> None:
    try:
        header = parse_proxy_header(head + data)
    except BadProxyHeader:
        return
    assert header is None or 0 < header.length <= len(head + data)
