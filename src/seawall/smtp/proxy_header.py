"""The line or block in which a proxy names the client for whom it connects, pure.  haproxy's PROXY protocol, versions 1, 2"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from seawall.mail.network import format_address, parse_address

SIGNATURE = b"\r\n\r\n\0\r\nQUIT\n"
"""How version 2 begins."""
WORD = b"PROXY "
"""How version 1 begins."""
LONGEST_LINE = 256
LONGEST_BLOCK = 536
"""Bytes.  No address needs more; what a proxy adds beyond is not read."""
_MAPPED = 0xFFFF << 32
_FAMILIES: Mapping[int, int] = MappingProxyType({0x11: 32, 0x21: 128})

End = tuple[str, str]
"""(address, port)"""


class BadProxyHeader(Exception):
    """It cannot be understood; the reason is in Postfix's words.  haproxy_srvr(3)"""


@dataclass(frozen=True, slots=True)
class Proxied:
    """`ends` are the client's and ours, None where the proxy speaks for itself; `length` is what the header took."""

    ends: tuple[End, End] | None
    length: int


def parse_proxy_header(data: bytes) -> Proxied | None:
    """The header at the beginning of `data`; None where more of it must come.  Raises BadProxyHeader."""
    if data.startswith(SIGNATURE[: len(data)]):
        return _parse_block(data)
    if data.startswith(WORD[: len(data)]):
        return _parse_line(data)
    raise BadProxyHeader("unrecognized protocol header" if len(data) > len(SIGNATURE) else "short protocol header")


def _parse_line(data: bytes) -> Proxied | None:
    """``PROXY TCP4 192.0.2.1 192.0.2.2 1234 25``."""
    end = data.find(b"\n", 0, LONGEST_LINE)
    if end < 0:
        if len(data) >= LONGEST_LINE:
            raise BadProxyHeader("missing protocol header terminator")
        return None
    words = data[len(WORD) : end].decode("latin-1").split()
    width = {"TCP4": 32, "TCP6": 128}.get(words[0] if words else "")
    if width is None:
        raise BadProxyHeader("bad or missing protocol type")
    fields = dict(zip(("client address", "server address", "client port", "server port"), words[1:], strict=False))
    peer, here = (_address(fields, whose, width) for whose in ("client", "server"))
    return Proxied(((peer, _port(fields, "client")), (here, _port(fields, "server"))), end + 1)


def _address(fields: dict[str, str], whose: str, width: int) -> str:
    parsed = parse_address(fields.get(f"{whose} address", ""))
    if parsed is None or parsed[1] != width:
        raise BadProxyHeader(f"bad or missing {whose} address")
    return _plain(*parsed)


def _port(fields: dict[str, str], whose: str) -> str:
    text = fields.get(f"{whose} port", "")
    if not (text.isascii() and text.isdigit() and int(text) <= 65535):
        raise BadProxyHeader(f"bad or missing {whose} port")
    return str(int(text))


def _plain(value: int, width: int) -> str:
    """An IPv4 address that is written as IPv6 as IPv4."""
    if width == 128 and value >> 32 == _MAPPED >> 32:
        return format_address(value & 0xFFFFFFFF, 32)
    return format_address(value, width)


def _parse_block(data: bytes) -> Proxied | None:
    if len(data) < 16:
        return None
    version_and_command, family, length = data[12], data[13], int.from_bytes(data[14:16], "big")
    if version_and_command not in (0x20, 0x21):
        raise BadProxyHeader("unrecognized protocol version")
    if 16 + length > LONGEST_BLOCK:
        raise BadProxyHeader("too long address field")
    if len(data) < 16 + length:
        return None
    if version_and_command == 0x20:  # LOCAL: a health check of the proxy's own
        return Proxied(None, 16 + length)
    width = _FAMILIES.get(family)
    if width is None:
        raise BadProxyHeader("unsupported network protocol")
    size = width // 8
    if length < 2 * size + 4:
        raise BadProxyHeader("short address field")
    body = data[16:]
    peer, here = (_plain(int.from_bytes(body[at : at + size], "big"), width) for at in (0, size))
    ports = (str(int.from_bytes(body[at : at + 2], "big")) for at in (2 * size, 2 * size + 2))
    return Proxied(((peer, next(ports)), (here, next(ports))), 16 + length)
