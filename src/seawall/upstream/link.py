"""One connection to the server behind: commands with their replies, content, and after STARTTLS bytes as they come.

Nothing is buffered beyond what the transport holds; who writes stops where `is_full` says so.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import cast

from seawall.mail.reply import Reply
from seawall.patience import Patience
from seawall.smtp.client import ClientEngine, ServerConfusion, ServerReply, Step
from seawall.smtp.replies import ReadyReply
from seawall.upstream.offers import read_offers

MOST_UNREAD = 1 << 16
"""Bytes that may wait for the server to read them before the client is held; ours, what a transport has by default."""


class Link(asyncio.Protocol):
    """`gone` is what a client hears where the server does not answer any more; `seconds` how long it may be silent."""

    __slots__ = (
        "_awaited",
        "_ended",
        "_engine",
        "_gone",
        "_heard",
        "_is_content",
        "_left",
        "_loop",
        "_patience",
        "_room",
        "_room_again",
        "_said",
        "_seconds",
        "_transport",
        "bucket",
        "deadline",
        "is_full",
        "is_gone",
        "offers",
        "trouble",
    )

    def __init__(self, gone: Reply, patience: Patience, seconds: float) -> None:
        self._loop = asyncio.get_running_loop()
        self._gone = gone
        self._patience = patience
        self._seconds = seconds
        self._awaited = ""
        """What it will have failed to do if the deadline passes."""
        self.bucket = 0
        self.deadline = self._loop.time() + seconds
        self._engine = ClientEngine()
        self._transport: asyncio.Transport | None = None
        self._said: asyncio.Future[None] | None = None
        self._room: asyncio.Future[None] | None = None
        self._heard: Callable[[bytes], None] | None = None
        self._room_again: Callable[[], None] | None = None
        self._ended: Callable[[], None] | None = None
        self._left: Callable[[], None] | None = None
        self._is_content = False
        """Between 354 and the end of the content: a QUIT would be part of it."""
        self.offers: tuple[str, ...] = ()
        self.is_gone = False
        self.is_full = False
        self.trouble = "connection closed"
        """Why it is gone."""

    # What the loop calls

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """The server is there."""
        self._transport = cast(asyncio.Transport, transport)
        self._transport.set_write_buffer_limits(high=MOST_UNREAD)
        self._patience.watch(self)

    def data_received(self, data: bytes) -> None:
        """Replies, or what goes to the client as it is."""
        if self._heard is not None:
            self._heard(data)
            return
        self._engine.receive_data(data)
        if self._engine.is_waiting:
            self._wake(self._said)
        else:
            self.lose("it spoke out of turn")  # most often 421 to a client that is silent for too long

    def eof_received(self) -> bool:
        """It says no more."""
        return False

    def pause_writing(self) -> None:
        """It does not read."""
        self.is_full = True

    def resume_writing(self) -> None:
        """It reads again."""
        self.is_full = False
        self._wake(self._room)
        if self._room_again is not None:
            self._room_again()

    def connection_lost(self, exc: Exception | None) -> None:
        """It is over."""
        self._transport = None
        self.lose("connection closed" if exc is None else str(exc) or type(exc).__name__)

    # What its holder calls

    def attend(self, left: Callable[[], None]) -> None:
        """Call this once, when the connection is not used any more."""
        self._left = left

    async def greeting(self) -> Reply:
        """What it says first."""
        return await self._hear()

    async def ask(self, line: bytes) -> Reply:
        """One command, one reply; never raises, and after a 421 of ours `is_gone` is set."""
        self._is_content = False
        try:
            self._engine.next_reply()  # what it said unasked answers no command
        except ServerConfusion as trouble:
            self.lose(str(trouble))
        self.write(self._engine.send(Step.COMMAND, line))
        reply = await self._hear()
        self._is_content = reply.code == 354
        if reply.code == 250 and line[:5].upper() == b"EHLO ":
            self.offers = read_offers(reply.text.split("\n")[1:])
        return reply

    def write(self, data: bytes) -> None:
        """Content or commands; nothing where it is gone."""
        if self._transport is not None and not self.is_gone:
            self._transport.write(data)

    async def drained(self) -> None:
        """Until there is room again, or nobody who needs it."""
        while self.is_full and not self.is_gone:
            self._room = self._loop.create_future()
            await self._wait(self._room, "it does not read")

    def splice(self, heard: Callable[[bytes], None], room: Callable[[], None], ended: Callable[[], None]) -> None:
        """From here on bytes go to `heard`; `room` when it takes more again, `ended` when it has closed."""
        self._heard = heard
        self._room_again = room
        self._ended = ended
        if self.is_gone:
            ended()

    def hold(self, wanted: bool) -> None:
        """Do not read, or read again."""
        transport = self._transport
        if transport is None or transport.is_closing():
            return
        if not wanted:
            transport.resume_reading()
        elif transport.is_reading():
            transport.pause_reading()

    def close(self, *, politely: bool) -> None:
        """Leave; with QUIT where there is time for it, at once where it could be taken for more."""
        transport = self._transport
        if transport is not None and not transport.is_closing():
            if politely and not self._is_content and self._heard is None and self._said is None and not self.is_gone:
                transport.write(b"QUIT\r\n")
                transport.close()
            elif self._heard is not None and politely:
                transport.close()
            else:
                transport.abort()
        self._ended = None
        self.lose("closed by us")

    def lose(self, trouble: str) -> None:
        """It counts no more."""
        if self.is_gone:
            return
        self.is_gone = True
        self.trouble = trouble
        self._patience.forget(self)
        self._wake(self._said)
        self._wake(self._room)
        left, self._left = self._left, None
        ended, self._ended = self._ended, None
        self._heard = self._heard and _nobody
        self._room_again = None
        if self._transport is not None and not self._transport.is_closing():
            self._transport.close()
        if left is not None:
            left()
        if ended is not None:
            ended()

    # Waiting

    async def _hear(self) -> Reply:
        try:
            while not self.is_gone:
                said = self._engine.next_reply()
                if said is not None:
                    return as_reply(said)
                self._said = self._loop.create_future()
                await self._wait(self._said, "it does not answer")
                self._said = None
        except ServerConfusion as trouble:
            self.lose(str(trouble))
        return self._gone

    async def _wait(self, sign: asyncio.Future[None], trouble: str) -> None:
        self._awaited = trouble
        self.deadline = self._loop.time() + self._seconds
        await sign
        self._awaited = ""

    def run_out(self) -> None:
        """The time for a reply is over, or it was not one's turn to wait."""
        if self._awaited:
            self.lose(f"{self._awaited} for {self._seconds:g} s")
        elif not self.is_gone:
            self.deadline = self._loop.time() + self._seconds
            self._patience.watch(self)

    @staticmethod
    def _wake(sign: asyncio.Future[None] | None) -> None:
        if sign is not None and not sign.done():
            sign.set_result(None)


def _nobody(data: bytes) -> None:
    """Whoever listened has left."""


def as_reply(said: ServerReply) -> ReadyReply:
    """The server's words as the client will hear them: each line with the code of the last."""
    if len(said.lines) == 1:
        line = said.lines[0]
        return ReadyReply(said.code, "", line[4:], f"{line}\r\n".encode("utf-8", "surrogateescape"))
    texts = [line[4:] if line[:3].isdigit() else line for line in said.lines]
    last = len(texts) - 1
    lines = (f"{said.code}{' ' if at == last else '-'}{text}\r\n" for at, text in enumerate(texts))
    return ReadyReply(said.code, "", "\n".join(texts), "".join(lines).encode("utf-8", "surrogateescape"))
