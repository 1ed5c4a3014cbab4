"""memcache: tables.  memcache_table(5)

A key is asked of the cache, then of the backup table, if there is one, whose answer is put into the cache.
"""

from __future__ import annotations

import asyncio

from seawall.tables.parameters import BadParameters, Parameters, read_parameters
from seawall.tables.pool import Garbled, Patience, Refusal, Unreachable
from seawall.tables.remote import RemoteTable, make_templates
from seawall.tables.simple import troubled
from seawall.tables.streams import Stream, make_pool, read_endpoint, to_bytes, to_text
from seawall.tables.table import Opening, Table
from seawall.tables.template import Parts, fill

_SET = b"set "


class Limits:
    """How long lines and data may be, and how often a command is tried."""

    def __init__(self, parameters: Parameters) -> None:
        self.line = parameters.number("line_size_limit", 1024, low=1)
        self.data = parameters.number("data_size_limit", 10240, low=1)
        self.tries = parameters.number("max_try", 2, low=1)
        self.pause = parameters.number("retry_pause", 1, low=1)
        self.timeout = parameters.number("timeout", 2)
        self.ttl = parameters.number("ttl", 3600)
        self.flags = parameters.number("flags", 0)

    async def speak(self, stream: Stream, question: bytes) -> bytes | None:
        """A ``get``, whose answer is the value; a ``set``, which has none."""
        await stream.send(question)
        line = (await stream.line(self.line)).rstrip(b"\r")
        if question.startswith(_SET):
            if line != b"STORED":
                raise Garbled(f"update failed: {to_text(line)[:30]}")
            return None
        if line == b"END":
            return None
        words = line.split()
        if len(words) < 4 or words[0] != b"VALUE" or not words[3].isdigit() or int(words[3]) > self.data:
            raise Garbled(f"unexpected memcache server reply: {to_text(line)[:30]}")
        data = await stream.exactly(int(words[3]) + 2)
        if (await stream.line(self.line)).rstrip(b"\r") != b"END":
            raise Garbled("unexpected memcache server reply after the data")
        return data[:-2].partition(b"\0")[0]


class MemcacheTable(RemoteTable):
    """A cache, with or without a table behind it."""

    texts_only = False

    def __init__(self, opening: Opening, parameters: Parameters) -> None:
        self._limits = Limits(parameters)
        key_format = parameters.text("key_format", "%s")
        super().__init__(opening, make_templates(parameters, [key_format], "%s"), parameters.text("domain"))
        host = read_endpoint(parameters.text("memcache", "inet:localhost:11211"), opening)
        timeout = float(self._limits.timeout or 100)
        patience = Patience(connect=min(5.0, timeout), answer=timeout)
        longest = max(self._limits.line, self._limits.data)
        self._pool = make_pool(opening, "memcache", host, self._limits.speak, patience, longest)
        backup = parameters.text("backup")
        self._backup = opening.open(backup, opening.use) if backup else None

    async def _ask(self, key: Parts) -> str | None:
        cached = to_bytes(fill(self._templates.questions[0], key))
        if not cached or any(sign in b" \t\n\v\f\r" for sign in cached):
            return None
        trouble: Unreachable | Refusal | None = None
        try:
            value = await self._try(b"get %b\r\n" % cached)
            if value is not None:
                return to_text(value)
        except (Unreachable, Refusal) as error:
            trouble = error
        if self._backup is None:
            if trouble is not None:
                raise trouble
            return None
        answer = self._backup.lookup(key.whole)
        found = answer if answer is None or isinstance(answer, str) else await answer
        if found is not None and trouble is None:
            await self._remember(cached, to_bytes(found))
        return found

    async def _try(self, command: bytes) -> bytes | None:
        """A command, again where it failed, but not where nobody listens."""
        for left in reversed(range(self._limits.tries)):
            try:
                return await self._pool.ask(command)
            except (Unreachable, Garbled) as trouble:
                if not left or (isinstance(trouble, Unreachable) and trouble.refused):
                    raise
                await asyncio.sleep(self._limits.pause)
        return None

    async def _remember(self, key: bytes, value: bytes) -> None:
        limits = self._limits
        if len(value) > limits.data:
            self._warn(
                f"database {self.name}: data for key {to_text(key)} is too long "
                f"(data_size_limit={limits.data}) -- not stored"
            )
            return
        try:
            await self._pool.ask(b"set %b %d %d %d\r\n%b\r\n" % (key, limits.flags, limits.ttl, len(value), value))
        except (Unreachable, Refusal) as trouble:
            self._warn(f"database {self.name}: {trouble}")


def open_memcache(opening: Opening) -> Table:
    """``memcache:/path``"""
    if opening.use.trusted:
        return troubled(opening, f"{opening.name} map is not allowed for security-sensitive data")
    try:
        return MemcacheTable(opening, read_parameters(opening))
    except BadParameters as bad:
        return troubled(opening, str(bad))
