"""Message headers: where the block of them ends, what is known of each name, and whom ``sendmail -t`` writes to.

Content is bytes with LF line ends.  A header is its first line with all continuation lines, without the last LF.
header_opts(3), is_header(3), RFC 5322 §2.2
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import Flag, auto
from types import MappingProxyType

from seawall.mail.rfc822 import addresses, parse

# Header lines with their continuations.  A name is printable ASCII; blanks before the colon are an old custom.
# Without possessive repeats, which Debian 12's Python 3.11.2 gets wrong; every step is decided by its next byte anyhow.
_BLOCK = re.compile(rb"(?:[\x21-\x39\x3b-\x7e]+[ \t]*:[^\n]*\n(?:[ \t][^\n]*\n)*)*")
_ONE = re.compile(rb"([\x21-\x39\x3b-\x7e]+)([ \t]*):([^\n]*(?:\n[ \t][^\n]*)*)\n?")
_IS_HEADER = re.compile(rb"[\x21-\x39\x3b-\x7e]+[ \t]*:")


class Role(Flag):
    """What intake does with a header."""

    NONE = 0
    SENDER = auto()
    """Its addresses are rewritten as senders."""
    RECIPIENT = auto()
    """Its addresses are rewritten as recipients."""
    EXTRACT = auto()
    """``sendmail -t`` takes its recipients from here."""
    RESENT = auto()
    """It belongs to a resending (RFC 5322 §3.6.6), whose missing headers are ``Resent-`` too."""
    MIME = auto()
    """mime_header_checks look at it, also among the primary headers."""


_TO = Role.RECIPIENT | Role.EXTRACT
ROLES: Mapping[bytes, Role] = MappingProxyType(
    {
        b"apparently-to": Role.RECIPIENT,
        b"bcc": _TO,
        b"cc": _TO,
        b"content-description": Role.MIME,
        b"content-disposition": Role.MIME,
        b"content-id": Role.MIME,
        b"content-length": Role.NONE,
        b"content-transfer-encoding": Role.MIME,
        b"content-type": Role.MIME,
        b"delivered-to": Role.NONE,
        b"disposition-notification-to": Role.SENDER,
        b"date": Role.NONE,
        b"errors-to": Role.SENDER,
        b"from": Role.SENDER,
        b"mail-followup-to": Role.SENDER,
        b"message-id": Role.NONE,
        b"mime-version": Role.MIME,
        b"received": Role.NONE,
        b"reply-to": Role.SENDER,
        b"resent-bcc": _TO | Role.RESENT,
        b"resent-cc": _TO | Role.RESENT,
        b"resent-date": Role.RESENT,
        b"resent-from": Role.SENDER | Role.RESENT,
        b"resent-message-id": Role.RESENT,
        b"resent-reply-to": Role.RECIPIENT | Role.RESENT,
        b"resent-sender": Role.SENDER | Role.RESENT,
        b"resent-to": _TO | Role.RESENT,
        b"return-path": Role.SENDER,
        b"return-receipt-to": Role.SENDER,
        b"sender": Role.SENDER,
        b"to": _TO,
    }
)
"""Every header that Postfix knows, by its name in small letters."""


@dataclass(frozen=True, slots=True)
class Header:
    """One header: `name` as written, `value` all that follows the colon, continuation lines included."""

    name: bytes
    value: bytes

    @property
    def key(self) -> bytes:
        """The name in small letters."""
        return self.name.lower()

    @property
    def raw(self) -> bytes:
        """The header's text, without the last LF.  Blanks before the colon are gone (mime_state(3))."""
        return self.name + b":" + self.value


def block_end(content: bytes) -> int:
    """Where the header block of `content` ends: at the blank line, or at the first line that is no header."""
    found = _BLOCK.match(content)
    return found.end() if found else 0


def is_header(text: bytes) -> bool:
    """True where `text` starts as a header does."""
    return _IS_HEADER.match(text) is not None


def split_header(text: bytes) -> Header | None:
    """A header from its text, or None where it is none."""
    found = _ONE.match(text)
    return Header(found.group(1), found.group(3)) if found else None


def headers(block: bytes) -> Iterator[Header]:
    """The headers of a block, in order."""
    for found in _ONE.finditer(block):
        yield Header(found.group(1), found.group(3))


def extract_recipients(block: bytes) -> list[str]:
    """The recipients that a header block names, in internal form: of the resending where there is one.  sendmail(1) -t"""
    plain: list[str] = []
    resent: list[str] = []
    seen_resent = False
    for header in headers(block):
        role = ROLES.get(header.key, Role.NONE)
        seen_resent = seen_resent or Role.RESENT in role
        if Role.EXTRACT in role:
            found = addresses(parse(header.value.decode("utf-8", "surrogateescape")))
            (resent if Role.RESENT in role else plain).extend(address.internal for address in found)
    return resent if seen_resent else plain
