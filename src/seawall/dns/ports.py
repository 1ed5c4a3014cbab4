"""UDP ports towards a server on this host, each shared by many questions.

A question to a server elsewhere has a port of its own, drawn at random: a forger must guess it (RFC 5452 §4.5).  A server
on a loopback address is out of a forger's reach, the kernel drops what claims to come from there; so its questions share
a few ports and are told apart by their ids, which saves a socket a question.
"""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import Callable
from typing import Generic, TypeVar

LARGEST_UDP = 65_535
IN_ONE_GO = 64
"""Answers that are read from a port before others on the loop have their turn."""
ROOM = 1 << 20
"""Bytes of answers that may wait in the kernel while the loop is busy; it grants what net.core.rmem_max allows."""
FULLEST = 512
"""Questions that share a port at one time; ours: ids stay easy to draw, a burst has several receive buffers."""


def is_on_this_host(address: str) -> bool:
    """True for a loopback address."""
    return address.startswith("127.") or address == "::1"


class Numbers:
    """Random ids, drawn from the kernel many at a time."""

    def __init__(self) -> None:
        self._drawn = b""
        self._at = 0

    def next(self) -> int:
        """The next id."""
        if self._at == len(self._drawn):
            self._drawn, self._at = os.urandom(1024), 0
        self._at += 2
        return self._drawn[self._at - 2] << 8 | self._drawn[self._at - 1]


Q = TypeVar("Q")


class SharedPort(Generic[Q]):
    """One connected socket.  `heard(question, number, data)` gets each answer whose id is asked here,
    `failed(question, text)` the news that nobody listens there, `stray()` whatever else comes: a word to questions that
    were given up.  A failure is the end of the port: uvloop hears no more of a socket that had an error."""

    def __init__(
        self,
        server: tuple[str, int],
        heard: Callable[[Q, int, bytes], None],
        failed: Callable[[Q, str], None],
        stray: Callable[[], None],
    ) -> None:
        """Raises OSError."""
        family = socket.AF_INET6 if ":" in server[0] else socket.AF_INET
        self._socket = socket.socket(family, socket.SOCK_DGRAM)
        self._socket.setblocking(False)
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, ROOM)
        self._socket.connect(server)
        self._heard = heard
        self._failed = failed
        self._stray = stray
        self._asked: dict[int, Q] = {}
        self.is_closed = False
        self._loop = asyncio.get_running_loop()
        self._loop.add_reader(self._socket.fileno(), self._readable)

    @property
    def is_full(self) -> bool:
        """True where another port should be opened."""
        return self.is_closed or len(self._asked) >= FULLEST

    def ask(self, question: Q, data: bytes, numbers: Numbers) -> int:
        """Send a question under an id that is free here; `data` lacks its first two bytes.  The id.  Raises OSError."""
        number = numbers.next()
        while number in self._asked:
            number = numbers.next()
        self.ask_again(number, data)
        self._asked[number] = question
        return number

    def ask_again(self, number: int, data: bytes) -> None:
        """Send it once more under its id.  Raises OSError."""
        try:
            self._socket.send(number.to_bytes(2, "big") + data)
        except OSError as error:
            # what send() reports befell an earlier datagram, and it is reported but once.  udp(7)
            self._loop.call_soon(self._fail_all, error.strerror or "no answer")
            raise

    def forget(self, number: int, question: Q) -> None:
        """It is answered or given up."""
        if self._asked.get(number) is question:
            del self._asked[number]

    def close(self) -> None:
        """Read no more."""
        if not self.is_closed:
            self.is_closed = True
            self._loop.remove_reader(self._socket.fileno())
            self._socket.close()

    def _readable(self) -> None:
        for _ in range(min(IN_ONE_GO, len(self._asked)) or 1):
            try:
                data = self._socket.recv(LARGEST_UDP)
            except (BlockingIOError, InterruptedError):
                return
            except OSError as error:
                self._fail_all(error.strerror or "no answer")
                return
            number = int.from_bytes(data[:2], "big") if len(data) >= 2 else -1
            known = self._asked.get(number)
            if known is not None:
                self._heard(known, number, data)
            else:
                self._stray()

    def _fail_all(self, text: str) -> None:
        self.close()
        asked, self._asked = self._asked, {}
        for question in asked.values():
            self._failed(question, text)
