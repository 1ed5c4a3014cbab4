"""How the server behind is told who the client is, pure: haproxy's PROXY protocol, versions 1 and 2, and XCLIENT."""

from __future__ import annotations

from collections.abc import Iterable
from enum import Enum

from seawall.journey import Caller
from seawall.mail.network import format_address, parse_address
from seawall.smtp.client import format_xtext
from seawall.smtp.proxy_header import SIGNATURE

STREAM = {32: 0x11, 128: 0x21}
"""TCP over IPv4 and IPv6, by the bits of an address."""
NO_NAME, NO_NAME_NOW = "[UNAVAILABLE]", "[TEMPUNAVAIL]"
_MAPPED = 0xFFFF << 32
_NOBODY = (0, 32)


class Manner(Enum):
    """seawall_upstream_protocol"""

    NONE = "none"
    """It is not told: our own address is what it sees."""
    PROXY = "proxy"
    PROXY_V2 = "proxy-v2"
    XCLIENT = "xclient"

    @property
    def begins(self) -> bool:
        """True where the client is named before the server's greeting."""
        return self in (Manner.PROXY, Manner.PROXY_V2)


def format_header(manner: Manner, caller: Caller) -> bytes:
    """What goes before everything else; empty where the manner has no such thing."""
    if manner is Manner.PROXY:
        return _line(caller)
    return _block(caller) if manner is Manner.PROXY_V2 else b""


def _ends(caller: Caller) -> tuple[int, int, int]:
    """(client, server, bits): both of one family, as the protocol has it."""
    client, width = parse_address(caller.address) or _NOBODY
    server, other = parse_address(caller.server_address) or (0, width)
    if width == other:
        return client, server, width
    return (_MAPPED | client, server, 128) if width == 32 else (client, _MAPPED | server, 128)


def _port(text: str) -> int:
    return int(text) if text.isascii() and text.isdigit() and int(text) <= 65535 else 0


def _line(caller: Caller) -> bytes:
    client, server, width = _ends(caller)
    word = "TCP4" if width == 32 else "TCP6"
    addresses = f"{format_address(client, width)} {format_address(server, width)}"
    return f"PROXY {word} {addresses} {_port(caller.port)} {_port(caller.server_port)}\r\n".encode("ascii")


def _block(caller: Caller) -> bytes:
    client, server, width = _ends(caller)
    size = width // 8
    ends = client.to_bytes(size, "big") + server.to_bytes(size, "big")
    ends += _port(caller.port).to_bytes(2, "big") + _port(caller.server_port).to_bytes(2, "big")
    return SIGNATURE + bytes((0x21, STREAM[width])) + len(ends).to_bytes(2, "big") + ends


def format_xclient(caller: Caller, offers: Iterable[str]) -> bytes | None:
    """The XCLIENT command with what the server wants to know of it; None where it takes none from us.  XCLIENT_README"""
    wanted = next((offer.split()[1:] for offer in offers if offer.upper().split()[:1] == ["XCLIENT"]), None)
    if wanted is None:
        return None
    told = {
        "NAME": _name(caller.name),
        "REVERSE_NAME": _name(caller.reverse_name),
        "ADDR": _address(caller.address),
        "PORT": caller.port or NO_NAME,
        "DESTADDR": _address(caller.server_address),
        "DESTPORT": caller.server_port or NO_NAME,
    }
    words = [f"{name}={format_xtext(told[name])}" for name in map(str.upper, wanted) if name in told]
    return f"XCLIENT {' '.join(words)}\r\n".encode("utf-8", "surrogateescape") if words else None


def _name(name: str | None) -> str:
    return NO_NAME_NOW if name is None else name or NO_NAME


def _address(address: str) -> str:
    if not address:
        return NO_NAME
    return f"IPV6:{address}" if ":" in address else address
