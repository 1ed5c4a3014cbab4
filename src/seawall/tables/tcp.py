"""tcp: tables.  tcp_table(5)"""

from __future__ import annotations

from seawall.tables.parameters import BadParameters
from seawall.tables.pool import Patience, Pool, Refusal
from seawall.tables.remote import RemoteTable, printable
from seawall.tables.simple import troubled
from seawall.tables.streams import Stream, make_pool, read_endpoint, to_bytes, to_text
from seawall.tables.table import Opening, Table
from seawall.tables.template import Parts, Templates

LONGEST = 4096
"""Bytes in a reply line, its line feed among them.  tcp_table(5)"""
PATIENCE = Patience(answer=100.0, idle=60.0)
"""tcp_table(5) gives each question 100 seconds; what is idle is hung up after one minute, ours."""
_HEX = frozenset(b"0123456789abcdefABCDEF")


def encode(text: bytes) -> bytes:
    """With ``%XX`` for ``%``, blanks and all that is not printable.  hex_quote(3)"""
    return b"".join(bytes((sign,)) if 0x20 < sign < 0x7F and sign != 0x25 else b"%%%02X" % sign for sign in text)


def decode(text: bytes) -> bytes | None:
    """None for a ``%`` without two hexadecimal digits.  hex_unquote(3)"""
    found = bytearray()
    at = 0
    while at < len(text):
        if text[at] != 0x25:
            found.append(text[at])
            at += 1
            continue
        digits = text[at + 1 : at + 3]
        if len(digits) < 2 or not _HEX.issuperset(digits):
            return None
        found.append(int(digits, 16))
        at += 3
    return bytes(found)


async def speak(stream: Stream, question: bytes) -> bytes | None:
    """``get KEY``; 200 has the value, 500 says that there is none, 400 and all else is trouble."""
    await stream.send(b"get " + encode(question) + b"\n")
    line = await stream.line(LONGEST - 1)
    value = decode(line[4:])
    if value is None or not line[:3].isdigit() or not line[3:4].isspace():
        raise Refusal(f"malformed reply: {printable(to_text(line))[:100]}")
    match line[:1]:
        case b"2":
            return value
        case b"5":
            return None
        case b"4":
            raise Refusal(f"lookup failed: {printable(to_text(value))[:100]}")
        case _:
            raise Refusal(f"unexpected reply: {printable(to_text(line))[:100]}")


class TcpTable(RemoteTable):
    """A table behind ``host:port``.  Parts of keys are not asked for."""

    fixed = False
    folds = False
    texts_only = False

    def __init__(self, opening: Opening, pool: Pool[bytes, bytes | None]) -> None:
        super().__init__(opening, Templates(["%s"]))
        self._pool = pool

    async def _ask(self, key: Parts) -> str | None:
        value = await self._pool.ask(to_bytes(key.whole))
        return None if value is None else to_text(value)


def open_tcp(opening: Opening) -> Table:
    """``tcp:host:port``"""
    if opening.use.trusted:
        return troubled(opening, f"{opening.name} map is not allowed for security sensitive data", fixed=False)
    try:
        host = read_endpoint(opening.text, opening)
    except BadParameters as bad:
        return troubled(opening, str(bad), fixed=False)
    return TcpTable(opening, make_pool(opening, "tcp", host, speak, PATIENCE, LONGEST))
