"""socketmap: tables.  socketmap_table(5)"""

from __future__ import annotations

from seawall.tables.parameters import BadParameters
from seawall.tables.pool import Garbled, Patience, Pool, Refusal
from seawall.tables.remote import RemoteTable, printable
from seawall.tables.simple import troubled
from seawall.tables.streams import Speak, Stream, make_pool, read_endpoint, to_bytes, to_text
from seawall.tables.table import Opening, Table
from seawall.tables.template import Parts, Templates

REPLY = 100_000
"""Bytes in a reply.  postconf(5) socketmap_max_reply_size"""
QUERY = 10_000
"""Bytes in a question; a longer one is not asked.  postconf(5) socketmap_max_query_size"""
PATIENCE = Patience(answer=100.0, idle=10.0, age=100.0)
"""As Postfix has it."""
_CLASSES = {b"TEMP": "temporary", b"TIMEOUT": "timeout", b"PERM": "permanent"}
_DIGITS = 9  # of a netstring's length


def speaks(longest: int) -> Speak:
    """The protocol, with replies of up to `longest` bytes."""

    async def speak(stream: Stream, question: bytes) -> bytes | None:
        await stream.send(b"%d:%b," % (len(question), question))
        reply = await read_netstring(stream, longest)
        word, blank, rest = reply.partition(b" ")
        if word == b"OK":
            return rest if blank else None
        if word == b"NOTFOUND":
            return None
        text = printable(to_text(rest.lstrip()))[:200]
        raise Refusal(f"socketmap server {_CLASSES.get(word, 'unknown')} error{': ' if text else ''}{text}")

    return speak


async def read_netstring(stream: Stream, longest: int) -> bytes:
    """``5:hello,``.  Raises Garbled for what is none, or is longer."""
    digits = await stream.until(b":", _DIGITS)
    if not digits.isdigit() or (digits != b"0" and digits.startswith(b"0")):
        raise Garbled("netstring format error")
    size = int(digits)
    if size > longest:
        raise Garbled("input exceeds size limit")
    data = await stream.exactly(size + 1)
    if data[-1:] != b",":
        raise Garbled("netstring format error")
    return data[:-1]


class SocketmapTable(RemoteTable):
    """A named map of a server.  Parts of keys are not asked for."""

    fixed = False
    folds = False
    texts_only = False

    def __init__(self, opening: Opening, map_name: str, pool: Pool[bytes, bytes | None], longest: int) -> None:
        super().__init__(opening, Templates(["%s"]))
        self._map = to_bytes(map_name)
        self._pool = pool
        self._longest = longest

    async def _ask(self, key: Parts) -> str | None:
        question = self._map + b" " + to_bytes(key.whole)
        if len(question) > self._longest:
            self._warn(f"{self.name}: key of {len(question)} bytes is longer than socketmap_max_query_size: not asked")
            return None
        value = await self._pool.ask(question)
        return None if value is None else to_text(value)


def open_socketmap(opening: Opening) -> Table:
    """``socketmap:inet:host:port:name`` or ``socketmap:unix:path:name``"""
    if opening.use.trusted:
        return troubled(opening, f"{opening.name} map is not allowed for security-sensitive data", fixed=False)
    server, colon, name = opening.text.rpartition(":")
    if not colon:
        return troubled(opening, "socketmap requires server:socketmap argument", fixed=False)
    try:
        host = read_endpoint(server, opening)
    except BadParameters as bad:
        return troubled(opening, str(bad), fixed=False)
    longest = int(opening.main_cf("socketmap_max_reply_size") or REPLY)
    query = int(opening.main_cf("socketmap_max_query_size") or QUERY)
    return SocketmapTable(
        opening, name, make_pool(opening, "socketmap", host, speaks(longest), PATIENCE, longest + 1), query
    )
