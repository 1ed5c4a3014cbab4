"""The bytes of one connection: reading, writing in one go, TLS above it, and what happens when the other side is slow.

A connection at rest holds no buffer here.  Works over asyncio's own loop and over uvloop.
"""

from __future__ import annotations

import asyncio
import ssl
from typing import cast

from seawall.tls import TlsServer, TlsTrouble

WAITING_LIMIT = 1 << 17
"""Bytes that may wait while the session is busy; then reading pauses."""


class Wire(asyncio.Protocol):
    """What a session is built on.  The methods at the end are the session's to fill in."""

    __slots__ = ("_is_reading", "_out", "is_blocked", "is_closed", "is_ending", "tls", "transport", "waits_for_eof")

    def __init__(self) -> None:
        self.transport: asyncio.Transport | None = None
        self.tls: TlsServer | None = None
        self.is_closed = False
        """The connection is gone."""
        self.is_ending = False
        """We have said our last word."""
        self.is_blocked = False
        """The client does not read what we wrote."""
        self.waits_for_eof = False
        """The client sends no more."""
        self._is_reading = True
        self._out: list[bytes] = []

    # What the loop calls

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """A client is here."""
        self.transport = cast(asyncio.Transport, transport)
        self.opened()

    def data_received(self, data: bytes) -> None:
        """Bytes from the client."""
        if self.is_ending:
            return
        if self.tls is None:
            self.received(data)
        else:
            self._encrypted(self.tls, data)

    def eof_received(self) -> bool:
        """The client has closed its half; ours stays open until its commands are answered."""
        self.waits_for_eof = True
        self.ended()
        return True

    def pause_writing(self) -> None:
        """Our replies pile up: nothing more is read or done until they are gone."""
        self.is_blocked = True
        self._read(False)

    def resume_writing(self) -> None:
        """The client reads again."""
        self.is_blocked = False
        if not self.is_closed:
            self._read(True)
            self.unblocked()

    def connection_lost(self, exc: Exception | None) -> None:
        """It is over."""
        was_ending = self.is_ending
        self.is_closed = True
        self.is_ending = True
        self._out.clear()
        self.tls = None
        self.closed(was_ending)
        self.transport = None

    # What the session calls

    def say(self, data: bytes) -> None:
        """Something for the client; it goes with the next `flush`."""
        self._out.append(data)

    def flush(self) -> None:
        """Write what was said, at once."""
        out = self._out
        if not out:
            return
        data = out[0] if len(out) == 1 else b"".join(out)
        out.clear()
        if self.tls is not None:
            try:
                self.tls.send(data)
            except TlsTrouble:
                self.abort()
                return
            data = self.tls.take_output()
        if data and self.transport is not None and not self.is_closed:
            self.transport.write(data)

    def hold(self, is_too_much: bool) -> None:
        """Pause reading while too much waits."""
        self._read(not is_too_much)

    def _read(self, wanted: bool) -> None:
        wanted = wanted and not self.is_blocked
        if wanted is self._is_reading or self.transport is None or self.is_closed or self.transport.is_closing():
            return
        self._is_reading = wanted
        if wanted:
            self.transport.resume_reading()
        else:
            self.transport.pause_reading()

    def hang_up(self) -> None:
        """Say what is to be said, then close."""
        if self.is_ending:
            return
        self.flush()
        self.is_ending = True
        if self.tls is not None:
            self.tls.say_goodbye()
            rest = self.tls.take_output()
            if rest and self.transport is not None:
                self.transport.write(rest)
        if self.transport is not None:
            self.transport.close()

    def abort(self) -> None:
        """Close without another word."""
        self.is_ending = True
        if self.transport is not None:
            self.transport.abort()

    def start_tls(self, context: ssl.SSLContext) -> None:
        """From here on everything is TLS; `secured` or `not_secured` follows."""
        self.tls = TlsServer(context)

    def _encrypted(self, tls: TlsServer, data: bytes) -> None:
        was_established = tls.is_established
        try:
            text = tls.receive(data)
        except TlsTrouble as trouble:
            self._send_tls(tls)
            self.not_secured(str(trouble))
            return
        self._send_tls(tls)
        if tls.is_established and not was_established:
            self.secured(tls)
        if text:
            self.received(text)
        if tls.has_ended and not self.waits_for_eof and not self.is_ending:
            self.waits_for_eof = True
            self.ended()

    def _send_tls(self, tls: TlsServer) -> None:
        data = tls.take_output()
        if data and self.transport is not None:
            self.transport.write(data)

    # What the session fills in

    def opened(self) -> None:
        """The connection is made."""

    def received(self, data: bytes) -> None:
        """Plain text has come."""

    def ended(self) -> None:
        """No more will come."""

    def unblocked(self) -> None:
        """Our replies are gone, work may go on."""

    def closed(self, was_ending: bool) -> None:
        """The connection is gone; `was_ending`: by our will."""

    def secured(self, tls: TlsServer) -> None:
        """The handshake is done."""

    def not_secured(self, reason: str) -> None:
        """What came is no TLS, or none that we speak."""
