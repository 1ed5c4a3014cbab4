"""Network addresses as numbers: parsing, prefixes, and the printed forms that Postfix uses."""

from __future__ import annotations

import socket
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Network:
    """`bits` leading bits of `value`, out of `width` (32 or 128)."""

    value: int
    bits: int
    width: int

    def contains(self, value: int, width: int) -> bool:
        """True where the address lies inside; families never mix."""
        shift = self.width - self.bits
        return width == self.width and value >> shift == self.value >> shift


def parse_address(text: str) -> tuple[int, int] | None:
    """(value, width in bits) of an IPv4 or IPv6 address without brackets, or None."""
    try:
        if ":" in text:
            return int.from_bytes(socket.inet_pton(socket.AF_INET6, text), "big"), 128
        return int.from_bytes(socket.inet_pton(socket.AF_INET, text), "big"), 32
    except (OSError, ValueError):
        return None


def parse_network(text: str) -> Network | None:
    """``192.0.2.0/24``, ``192.0.2.1``, ``[2001:db8::]/32``; None where it is no network or has host bits set."""
    body, slash, prefix = text.partition("/")
    if body.startswith("[") and body.endswith("]"):
        body = body[1:-1]
    address = parse_address(body)
    if address is None:
        return None
    value, width = address
    if not slash:
        return Network(value, width, width)
    if not (prefix.isascii() and prefix.isdigit()) or not 0 <= int(prefix) <= width:
        return None
    bits = int(prefix)
    if bits < width and value & ((1 << (width - bits)) - 1):
        return None
    return Network(value, bits, width)


def format_address(value: int, width: int) -> str:
    """The printed form of an address of `width` bits (32 or 128)."""
    family = socket.AF_INET if width == 32 else socket.AF_INET6
    return socket.inet_ntop(family, value.to_bytes(width // 8, "big"))
