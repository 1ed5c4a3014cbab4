"""A proxy names the client (smtpd_upstream_proxy_protocol): what is heard and logged, beside Debian's smtpd(8)."""

from __future__ import annotations

import re
import struct

import pytest

from seawall.config.master_cf import STANDARD
from seawall.smtp.proxy_header import SIGNATURE
from tests.box import Box
from tests.system.server import until

pytestmark = pytest.mark.peer

PORT = 2601
REFUSAL = "421 4.3.0 mx.example Server local error"
MAIN_CF = """\
compatibility_level = 3.6
myhostname = mx.example
mail_name = Mail
mynetworks =
mydestination = example.com
local_recipient_maps =
alias_maps =
smtpd_relay_restrictions = reject_unauth_destination
seawall_workers = 1
"""
SERVICE = f"{PORT} inet n - n - - smtpd -o smtpd_upstream_proxy_protocol=haproxy -o smtpd_upstream_proxy_timeout=1s\n"


def block(command: int, family: int, ends: bytes, length: int = -1) -> str:
    header = SIGNATURE + bytes((command, family)) + struct.pack(">H", len(ends) if length < 0 else length) + ends
    return header.decode("latin-1")


FOUR = bytes((198, 18, 3, 4, 127, 0, 0, 1)) + struct.pack(">HH", 4660, 25)
SIX = bytes.fromhex("20010db8") + bytes(11) + b"\1" + bytes(15) + b"\1" + struct.pack(">HH", 4660, 25)
HEADERS = {
    "line": "PROXY TCP4 198.18.3.4 127.0.0.1 4660 25\r\n",
    "line that ends in LF": "PROXY TCP4 198.18.3.4 127.0.0.1 4660 25\n",
    "line of IPv6": "PROXY TCP6 2001:db8::1 ::1 4660 25\r\n",
    "mapped": "PROXY TCP6 ::ffff:198.18.3.4 ::ffff:127.0.0.1 4660 25\r\n",
    "block": block(0x21, 0x11, FOUR),
    "block of IPv6": block(0x21, 0x21, SIX),
    "block with more": block(0x21, 0x11, FOUR + b"\x03\0\x04abcd"),
    "block for the proxy itself": block(0x20, 0, b""),
    "line of an unknown family": "PROXY UNKNOWN\r\n",
    "no address": "PROXY TCP4 198.18.3 127.0.0.1 4660 25\r\n",
    "no port": "PROXY TCP4 198.18.3.4 127.0.0.1 x 25\r\n",
    "too large a port": "PROXY TCP4 198.18.3.4 127.0.0.1 99999 25\r\n",
    "half a line": "PROXY TCP4 198.18.3.4\r\n",
    "no words": "PROXY\r\n",
    "no blank": "PROXYTCP4 198.18.3.4 127.0.0.1 4660 25\r\n",
    "lower case": "proxy tcp4 198.18.3.4 127.0.0.1 4660 25\r\n",
    "a command": "EHLO client.example\r\n",
    "two letters": "EH",
    "a datagram's block": block(0x21, 0x12, FOUR),
    "a block of no family": block(0x21, 0, FOUR),
    "an old block": block(0x11, 0x11, FOUR),
    "a block too short": block(0x21, 0x11, FOUR[:2]),
}
MASK = re.compile(r"^.*?postfix/smtpd\[\d+\]: ")


def lay_out(box: Box) -> None:
    """One configuration for both servers."""
    box.wipe()
    box.write("/etc/postfix/main.cf", MAIN_CF)
    box.write("/etc/postfix/master.cf", re.sub(r"(?m)^smtp +inet .*\n", SERVICE, STANDARD, count=1))
    box.zone("")


def played(box: Box) -> dict[str, tuple[list[tuple[str, ...]], list[str]]]:
    """What each header leads to: what is heard, and what smtpd's log says."""
    found = {}
    for name, header in HEADERS.items():
        before = box.log()[1]
        acts = [("send", header), ("listen", 0.1), ("send", "QUIT\r\n"), ("listen", 0.1)]
        heard = [each.lines for each in box.talk(acts, port=PORT, source="198.18.9.9", patience=12)]
        found[name] = heard, told(box, before)
    return found


def told(box: Box, before: int) -> list[str]:
    """smtpd's lines, once the session is over."""
    until(lambda: "disconnect from" in box.log(before)[0], "it is over")
    return [
        MASK.sub("", line) for line in box.log(before)[0].splitlines() if MASK.match(line) and "dict_nis" not in line
    ]


def test_whatever_a_proxy_says_both_servers_do_the_same(box: Box) -> None:
    lay_out(box)
    pid = box.start_postfix()
    try:
        theirs = played(box)
    finally:
        box.stop_postfix(pid)
    lay_out(box)
    pid = box.start_seawall(port=PORT)
    until(lambda: "disconnect from" in box.log()[0], "the look whether it accepts is over")
    try:
        ours = played(box)
        slow = [("send", HEADERS["line"][:20]), ("pause", 0.2), ("send", HEADERS["line"][20:]), ("listen", 0.1)]
        assert box.talk(slow, port=PORT)[0].lines == ("220 mx.example ESMTP Mail",)  # docs/differences.md D-69
        until(lambda: "lost connection after CONNECT" in box.log()[0], "that is over")
        before = box.log()[1]
        assert box.talk([("send", "PROXY"), ("listen", 0.1)], port=PORT)[0].lines == (REFUSAL,)
        assert told(box, before)[0] == "warning: haproxy read: timeout error"
    finally:
        box.stop(pid, timeout=30)
    assert ours == theirs
    assert any(lines[0].startswith("warning: haproxy read: ") for _, lines in theirs.values())


def test_a_door_believes_the_same_proxy(box: Box) -> None:
    lay_out(box)
    box.write("/etc/postfix/main.cf", f"{MAIN_CF}seawall_door = yes\npostscreen_greet_wait = 1s\n")
    pid = box.start_seawall(port=PORT)
    try:
        acts = [("send", HEADERS["line"]), ("expect", 2), ("send", "EHLO client.example\r\n"), ("listen", 0.1)]
        heard = box.talk([*acts, ("send", "QUIT\r\n"), ("expect", 1)], port=PORT)
        assert heard[0].lines == ("220-mx.example ESMTP Mail", "220 mx.example ESMTP Mail")
        assert heard[-1].lines == ("221 2.0.0 Bye",)
        until(lambda: "PASS NEW [198.18.3.4]:4660" in box.log()[0], "the client is known by its own address")
    finally:
        box.stop(pid, timeout=30)
