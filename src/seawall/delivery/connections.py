"""Connections to other servers: a socket with a deadline on every wait, and TLS over it when it is asked for."""

from __future__ import annotations

import asyncio
import errno
import os
import socket
import ssl
from collections.abc import Callable
from typing import Final, cast

_HIGH_WATER: Final = 256 * 1024
"""Received bytes that wait before the socket is read no more; our choice."""


class ConnectionEnded(Exception):
    """The server closed the connection, or it broke."""


class TooSlow(Exception):
    """The server did not do its part in time."""


class Wire(asyncio.Protocol):
    """One connection.  Reads and writes wait at most the seconds they are given."""

    def __init__(self) -> None:
        self._transport: asyncio.Transport | None = None
        self._received = bytearray()
        self._ended = False
        self._paused = False
        self._waiter: asyncio.Future[None] | None = None
        self._tls: ssl.SSLObject | None = None
        self._incoming = ssl.MemoryBIO()
        self._outgoing = ssl.MemoryBIO()

    # -- what asyncio tells ------------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """asyncio's."""
        self._transport = cast(asyncio.Transport, transport)  # uvloop's transports are no subclass of asyncio's

    def data_received(self, data: bytes) -> None:
        """asyncio's."""
        if self._tls is None:
            self._received += data
        else:
            self._incoming.write(data)
        if len(self._received) + self._incoming.pending > _HIGH_WATER and self._transport is not None:
            self._transport.pause_reading()
        self._wake()

    def eof_received(self) -> bool:
        """asyncio's."""
        self._ended = True
        self._incoming.write_eof()
        self._wake()
        return False

    def connection_lost(self, trouble: Exception | None) -> None:
        """asyncio's."""
        self._ended = True
        self._paused = False
        self._wake()

    def pause_writing(self) -> None:
        """asyncio's."""
        self._paused = True

    def resume_writing(self) -> None:
        """asyncio's."""
        self._paused = False
        self._wake()

    # -- what the session does ---------------------------------------------------------------------------------

    async def read(self, seconds: float) -> bytes:
        """What has come, at least one byte.  Raises ConnectionEnded, TooSlow."""
        deadline = asyncio.get_running_loop().time() + seconds
        while True:
            data = self._take()
            if data:
                return data
            if self._ended:
                raise ConnectionEnded
            await self._wait(deadline)

    async def write(self, data: bytes, seconds: float) -> None:
        """Send; returns when little enough is left unsent.  Raises ConnectionEnded, TooSlow."""
        transport = self._transport
        if self._ended or transport is None:
            raise ConnectionEnded
        if self._tls is not None:
            self._tls.write(data)
            data = self._outgoing.read()
        transport.write(data)
        deadline = asyncio.get_running_loop().time() + seconds
        while self._paused:
            await self._wait(deadline)
            if self._ended:
                raise ConnectionEnded

    async def start_tls(self, context: ssl.SSLContext, name: str | None, seconds: float) -> None:
        """Shake hands; `name` is the server's, for SNI and where it is verified.

        Raises ssl.SSLError where that fails, ConnectionEnded, TooSlow.
        """
        self._tls = context.wrap_bio(self._incoming, self._outgoing, server_hostname=name)
        deadline = asyncio.get_running_loop().time() + seconds
        while True:
            try:
                self._tls.do_handshake()
                break
            except ssl.SSLWantReadError:
                self._flush()
                if self._ended:
                    raise ConnectionEnded from None
                await self._wait(deadline)
            except ssl.SSLError:
                self._flush()
                raise
        self._flush()

    @property
    def cipher(self) -> tuple[str, str, int]:
        """(protocol, cipher, bits) of the TLS session; empty texts without one."""
        found = self._tls.cipher() if self._tls is not None else None
        return (self._tls.version() or "", found[0], found[2]) if self._tls is not None and found else ("", "", 0)

    def close(self) -> None:
        """Send what is left, and close."""
        if self._transport is not None:
            self._transport.close()

    def abort(self) -> None:
        """Close at once."""
        if self._transport is not None:
            self._transport.abort()

    # -- inside ------------------------------------------------------------------------------------------------

    def _take(self) -> bytes:
        if self._tls is not None:
            self._decrypt(self._tls)
        data = bytes(self._received)
        self._received.clear()
        if data and self._transport is not None and not self._ended:
            self._transport.resume_reading()
        return data

    def _decrypt(self, tls: ssl.SSLObject) -> None:
        try:
            while data := tls.read(65536):
                self._received += data
            self._ended = True
        except (ssl.SSLWantReadError, ssl.SSLSyscallError):
            pass
        except ssl.SSLError:
            self._ended = True
        self._flush()

    def _flush(self) -> None:
        data = self._outgoing.read()
        if data and self._transport is not None:
            self._transport.write(data)

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    async def _wait(self, deadline: float) -> None:
        loop = asyncio.get_running_loop()
        left = deadline - loop.time()
        if left <= 0:
            raise TooSlow
        self._waiter = loop.create_future()
        timer = loop.call_later(left, _expire, self._waiter)
        try:
            await self._waiter
        finally:
            timer.cancel()
            self._waiter = None


def _expire(waiter: asyncio.Future[None]) -> None:
    if not waiter.done():
        waiter.set_exception(TooSlow())


async def connect(address: str, port: int, seconds: float, source: str = "", make: Callable[[], Wire] = Wire) -> Wire:
    """A TCP connection to an address; `source` is the address to come from.  Raises OSError with its errno."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    bound = (source, 0) if source else None
    return await _connect(family, (address, port), seconds, bound, make)


async def connect_unix(path: str, seconds: float, make: Callable[[], Wire] = Wire) -> Wire:
    """A connection to a UNIX-domain socket.  Raises OSError with its errno."""
    return await _connect(socket.AF_UNIX, path, seconds, None, make)


async def _connect(
    family: int, where: tuple[str, int] | str, seconds: float, bound: tuple[str, int] | None, make: Callable[[], Wire]
) -> Wire:
    loop = asyncio.get_running_loop()
    peer = socket.socket(family, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
    try:
        peer.setblocking(False)
        if bound is not None:
            peer.bind(bound)
        try:
            await asyncio.wait_for(loop.sock_connect(peer, where), seconds or None)
        except TimeoutError as trouble:
            raise OSError(errno.ETIMEDOUT, os.strerror(errno.ETIMEDOUT)) from trouble
        _, wire = await loop.create_connection(make, sock=peer)
    except BaseException:
        peer.close()
        raise
    return wire
