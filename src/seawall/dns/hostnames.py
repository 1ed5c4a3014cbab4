"""Host names and host addresses as SMTP and DNS check them.  Postfix valid_hostname(3), RFC 5321 §4.1.3."""

from __future__ import annotations

import re

import idna

from seawall.mail.address import is_hostname
from seawall.mail.network import parse_address

_USUAL = re.compile(
    r"(?:[A-Za-z0-9_](?:[A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?\.)+[A-Za-z](?:[A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?\Z"
)
"""What nearly every client sends: one look instead of one for each label."""
_OCTETS = re.compile(r"\d+\.\d+\.\d+\.\d+")


def is_fqdn(name: str, *, utf8: bool = False) -> bool:
    """True for a host name with a dot in it; a dot at its end does not count."""
    if len(name) <= 255 and _USUAL.match(name):
        return True
    bare = without_final_dot(name)
    return "." in bare and is_utf8_hostname(bare, utf8=utf8)


def is_utf8_hostname(name: str, *, utf8: bool) -> bool:
    """As `is_hostname`; with `utf8` also a name whose A-label form is one."""
    if name.isascii():
        return is_hostname(name)
    ascii_name = to_ascii(name) if utf8 else None
    return ascii_name is not None and is_hostname(ascii_name)


def to_ascii(name: str) -> str | None:
    """The A-label form of an internationalized domain name (IDNA 2008, UTS 46), or None where there is none."""
    if name.isascii():
        return name
    try:
        return idna.encode(name, uts46=True).decode("ascii")
    except (idna.IDNAError, UnicodeError):
        return None


def is_hostaddr(text: str) -> bool:
    """True for an IPv4 or IPv6 address without brackets or prefix; ``0.1.2.3`` is none.  valid_hostaddr(3)"""
    if ":" in text:
        return parse_address(text) is not None
    if not _OCTETS.fullmatch(text):
        return False
    octets = [int(octet) for octet in text.split(".")]
    return max(octets) <= 255 and (octets[0] != 0 or not any(octets))


def mailhost_address(text: str) -> str | None:
    """The bare address inside a domain literal: of ``192.0.2.1`` or ``IPv6:2001:db8::1``.  valid_mailhost_addr(3)"""
    if text[:5].lower() == "ipv6:":
        bare = text[5:]
        return bare if ":" in bare and is_hostaddr(bare) else None
    return text if ":" not in text and is_hostaddr(text) else None


def without_final_dot(name: str) -> str:
    """``a.example.`` without its last dot; ``a..`` and ``.`` stay as they are."""
    if len(name) > 1 and name[-1] == "." and name[-2] != ".":
        return name[:-1]
    return name
