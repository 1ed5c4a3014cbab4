"""A question in flight, the servers that it may be put to, and the ways that it has taken so far."""

from __future__ import annotations

import asyncio
import socket
from dataclasses import dataclass

from seawall.breaker import Breaker
from seawall.dns.answers import Coming
from seawall.dns.ports import SharedPort, is_on_this_host

PROBE = ("", "probe")
"""The key of a question to one server whether it is there again: no name that anybody asks for has this kind."""


class NameServer:
    """One server, and whether it is worth waiting for.

    A question that waited in vain, with no word from it meanwhile, is told to the breaker; any answer takes that back.
    Once is enough, as a probe must stay unanswered too: a server that just has nothing to say of some names answers that.
    """

    __slots__ = ("address", "breaker", "heard", "is_dead", "is_here", "is_suspect", "ports", "timer")

    def __init__(self, address: tuple[str, int]) -> None:
        self.address = address
        self.is_here = is_on_this_host(address[0])
        self.ports: list[SharedPort[Question]] = []
        self.heard = 0
        """Answers so far."""
        self.breaker = Breaker(failures=1)
        self.is_suspect = False
        """True from the first question in vain to the next answer."""
        self.is_dead = False
        """True while nobody waits for it: the breaker is open, and a probe had no answer either."""
        self.timer: asyncio.TimerHandle | None = None
        """The next probe."""


@dataclass(frozen=True, slots=True)
class Way:
    """A try whose time is over; its answer may still come, to this port or socket, under this number.

    `heard` is how many answers the server had given when it was asked.
    """

    server: NameServer
    port: SharedPort[Question] | None
    socket: socket.socket | None
    number: int
    heard: int


class Question(Coming):
    """Who waits for it, and how far it has got.  `tries` counts those places in the order of servers that are used up."""

    __slots__ = (
        "earlier",
        "edns",
        "heard",
        "is_done",
        "key",
        "kind",
        "name",
        "number",
        "only",
        "port",
        "server",
        "socket",
        "start",
        "tcp",
        "timer",
        "tries",
        "trouble",
        "wire",
    )

    def __init__(self, key: tuple[str, str], start: int, only: NameServer | None = None) -> None:
        """`start`: the server that is first.  With `only`, a probe: the root's servers, which every server knows."""
        super().__init__()
        self.key = key
        self.name, self.kind = key if only is None else ("", "NS")
        self.start = start
        self.only = only
        self.tries = 0
        self.number = 0
        self.edns = True
        self.wire = b""
        """The message without its id, as it was last sent."""
        self.server: NameServer | None = None
        self.heard = 0
        self.port: SharedPort[Question] | None = None
        self.socket: socket.socket | None = None
        self.earlier: tuple[Way, ...] = ()
        self.timer: asyncio.TimerHandle | None = None
        self.is_done = False
        self.trouble = ""
        self.tcp: asyncio.Task[None] | None = None
