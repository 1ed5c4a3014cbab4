"""How sendmail(1) hands in a message, over the socket or through the maildrop: one format for both, format 1.

A line of JSON (`Handed`), then exactly `size` bytes of content with LF line ends.  The checksum tells a whole drop from
a torn one.
"""

from __future__ import annotations

import zlib

import msgspec

FORMAT = 1
LINE = 4 << 20
"""The longest first line, bytes: some hundred thousand recipients; ours."""


class HandedRecipient(msgspec.Struct, frozen=True, omit_defaults=True):
    """A recipient and the integer of his `Notify`."""

    address: str
    notify: int = 0
    orcpt: str = ""
    """``type;address``, as sendmail -bs may hear it.  RFC 3461"""


class Handed(msgspec.Struct, frozen=True, omit_defaults=True):
    """Everything but the content.  Addresses are in internal form; `sender` None is "whoever I am"."""

    format: int
    recipients: tuple[HandedRecipient, ...]
    size: int
    checksum: int
    """CRC-32 of the content."""
    sender: str | None = None
    full_name: str = ""
    body: str = ""
    ret: str = ""
    envid: str = ""
    smtputf8: bool = False
    asks: bool = False
    """sendmail -bv: how would it go?"""


class Verdict(msgspec.Struct, frozen=True):
    """The server's answer: an SMTP reply."""

    code: int
    status: str
    text: str


class NotHanded(Exception):
    """The bytes are no submission; the text says why."""


def format_handed(handed: Handed) -> bytes:
    """The first line."""
    return msgspec.json.encode(handed) + b"\n"


def parse_handed(line: bytes) -> Handed:
    """The first line; raises NotHanded."""
    try:
        handed = msgspec.json.decode(line, type=Handed)
    except (msgspec.MsgspecError, UnicodeDecodeError) as trouble:
        raise NotHanded(f"the submission does not read: {trouble}") from trouble
    if handed.format != FORMAT:
        raise NotHanded(f"submission format {handed.format} is not known to this version")
    if handed.size < 0 or not handed.recipients:
        raise NotHanded("no recipients" if not handed.recipients else "impossible size")
    return handed


def escape(text: str) -> str:
    """JSON holds no stray octets: they are written as U+FFFD in names, and refused in addresses by `is_clean`."""
    return text.encode("utf-8", "surrogateescape").decode("utf-8", "replace")


def is_clean(address: str) -> bool:
    """True for an address that JSON can hold."""
    try:
        address.encode()
    except UnicodeEncodeError:
        return False
    return True


def checksum(content: bytes) -> int:
    """What `Handed.checksum` must be."""
    return zlib.crc32(content)
