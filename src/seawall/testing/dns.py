"""A name server on loopback for tests: what it answers is decided by the test, byte by byte if it likes."""

from __future__ import annotations

import asyncio
import struct
from collections.abc import Callable
from typing import cast

from seawall.dns.wire import KINDS, format_name

Replies = Callable[[bytes, bool], list[bytes]]
"""Takes a question as received, and whether it came by TCP; the messages to answer with, none for silence."""


def question_of(query: bytes) -> tuple[int, bytes]:
    """(id, question section) of a query with one question."""
    end = query.index(b"\x00", 12) + 5
    return struct.unpack_from(">H", query)[0], query[12:end]


def record(name: str, kind: str, data: bytes, ttl: int = 300) -> bytes:
    """One resource record on the wire."""
    return format_name(name) + struct.pack(">HHIH", KINDS[kind], 1, ttl, len(data)) + data


def message(
    query: bytes,
    answers: list[bytes],
    *,
    authority: list[bytes] | None = None,
    rcode: int = 0,
    flags: int = 0x8180,
    number: int | None = None,
) -> bytes:
    """An answer to `query`: recursion available, the question repeated.  `number` forges the id."""
    got, question = question_of(query)
    more = authority or []
    header = struct.pack(">HHHHHH", got if number is None else number, flags | rcode, 1, len(answers), len(more), 0)
    return header + question + b"".join(answers) + b"".join(more)


class _Datagrams(asyncio.DatagramProtocol):
    def __init__(self, server: FakeServer) -> None:
        self._server = server
        self._transport: asyncio.DatagramTransport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.DatagramTransport, transport)  # its class says nothing of it before 3.12

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        for reply in self._server.replies_to(data, by_tcp=False):
            if self._transport is not None:
                self._transport.sendto(reply, addr)


PORTS_TRIED = 20


class FakeServer:
    """Answers UDP and TCP at one port of 127.0.0.1, as `replies` says.  Keeps what it was asked in `queries`."""

    def __init__(self, replies: Replies) -> None:
        self._replies = replies
        self.queries: list[bytes] = []
        self.port = 0
        self._udp: asyncio.DatagramTransport | None = None
        self._tcp: asyncio.Server | None = None

    def replies_to(self, query: bytes, *, by_tcp: bool) -> list[bytes]:
        """What the test wants said."""
        self.queries.append(query)
        return self._replies(query, by_tcp)

    async def __aenter__(self) -> FakeServer:
        for _ in range(PORTS_TRIED):
            try:
                await self._listen()
                return self
            except OSError:  # free for TCP, taken for UDP
                await self.__aexit__()
        raise OSError("no port is free for both TCP and UDP")

    async def _listen(self) -> None:
        loop = asyncio.get_running_loop()
        self._tcp = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port = int(self._tcp.sockets[0].getsockname()[1])
        self._udp, _ = await loop.create_datagram_endpoint(
            lambda: _Datagrams(self), local_addr=("127.0.0.1", self.port)
        )

    async def __aexit__(self, *_: object) -> None:
        if self._udp is not None:
            self._udp.close()
        if self._tcp is not None:
            self._tcp.close()
            await self._tcp.wait_closed()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            length = int.from_bytes(await reader.readexactly(2), "big")
            for reply in self.replies_to(await reader.readexactly(length), by_tcp=True):
                writer.write(len(reply).to_bytes(2, "big") + reply)
            await writer.drain()
        except (OSError, EOFError):
            return
        finally:
            writer.close()
