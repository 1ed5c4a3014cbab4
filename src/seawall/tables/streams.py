"""Small protocols over one connection: tcp, socketmap, memcache.  Every reply is bounded."""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import Awaitable, Callable

from seawall.tables.parameters import BadParameters
from seawall.tables.pool import Connection, Garbled, Host, Patience, Pool, Unreachable
from seawall.tables.table import Opening

Speak = Callable[["Stream", bytes], Awaitable[bytes | None]]
"""Asks one key, and reads the answer: None where the key is not there.  Raises Refusal, Unreachable, Garbled."""


class Stream:
    """A connection that is read in lines and pieces."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    async def send(self, data: bytes) -> None:
        """Write all."""
        try:
            self._writer.write(data)
            await self._writer.drain()
        except OSError as error:
            raise Unreachable(reason_of(error), refused=True) from None

    async def line(self, most: int) -> bytes:
        """Up to the next line feed, without it.  Garbled where there are more than `most` bytes before it."""
        return await self.until(b"\n", most)

    async def until(self, end: bytes, most: int) -> bytes:
        """Up to the next `end`, without it."""
        try:
            data = (await self._reader.readuntil(end))[: -len(end)]
        except asyncio.IncompleteReadError:
            raise Unreachable("connection closed", refused=True) from None
        except asyncio.LimitOverrunError:
            raise Garbled(f"text longer than {most}") from None
        except OSError as error:
            raise Unreachable(reason_of(error), refused=True) from None
        if len(data) > most:
            raise Garbled(f"text longer than {most}")
        return data

    async def exactly(self, size: int) -> bytes:
        """So many bytes."""
        try:
            return await self._reader.readexactly(size)
        except asyncio.IncompleteReadError:
            raise Unreachable("connection closed", refused=True) from None
        except OSError as error:
            raise Unreachable(reason_of(error), refused=True) from None

    def close(self) -> None:
        """Hang up."""
        self._writer.transport.abort()


class Speaker:
    """A stream and the protocol that is spoken on it."""

    ends_when_closed = True

    def __init__(self, stream: Stream, speak: Speak) -> None:
        self._stream = stream
        self._speak = speak

    async def ask(self, question: bytes) -> bytes | None:
        """What `speak` says."""
        return await self._speak(self._stream, question)

    def close(self) -> None:
        """Hang up."""
        self._stream.close()


def reason_of(error: OSError) -> str:
    """The system's words."""
    return os.strerror(error.errno) if error.errno and error.errno > 0 else str(error) or type(error).__name__


def read_endpoint(text: str, opening: Opening) -> Host:
    """``inet:host:port``, ``unix:path`` or ``host:port``.  Raises BadParameters."""
    if text.startswith("unix:"):
        path = text[5:]
        if not path.startswith("/"):
            path = f"{opening.main_cf('queue_directory') or ''}/{path}"
        return Host(text, opening.path(path), 0, True)
    name, colon, port = text.removeprefix("inet:").rpartition(":")
    if not colon:
        raise BadParameters(f"{opening.name}: missing service name in {text}")
    if name.startswith("[") and name.endswith("]"):
        name = name[1:-1]
    return Host(text, name or "localhost", _port(port, text))


def _port(text: str, shown: str) -> int:
    if text.isascii() and text.isdigit():
        return int(text)
    try:
        return socket.getservbyname(text, "tcp")
    except OSError:
        raise BadParameters(f"bad service name in {shown}") from None


def make_pool(
    opening: Opening, kind: str, host: Host, speak: Speak, patience: Patience, longest: int
) -> Pool[bytes, bytes | None]:
    """The connections to one server; `longest` bytes may be in one piece of a reply."""

    async def join(at: Host) -> Connection[bytes, bytes | None]:
        try:
            if at.local:
                reader, writer = await asyncio.open_unix_connection(at.name, limit=longest + 100)
            else:
                reader, writer = await asyncio.open_connection(at.name, at.port, limit=longest + 100)
        except OSError as error:
            raise Unreachable(reason_of(error), refused=True) from None
        return Speaker(Stream(reader, writer), speak)

    def make() -> Pool[bytes, bytes | None]:
        return Pool(kind, [host], join, warn=opening.warn, patience=patience)

    pool = opening.shared((kind, host, patience, longest), make)
    if not isinstance(pool, Pool):
        raise TypeError(f"{kind}: not a pool")
    return pool


def to_bytes(text: str) -> bytes:
    """As it goes over the wire."""
    return text.encode("utf-8", "surrogateescape")


def to_text(data: bytes) -> str:
    """As it is inside."""
    return data.decode("utf-8", "surrogateescape")
