"""anvil(8)'s counting, pure: how many connections a client holds, and what it did in the time unit that is running.

The kernel gives all connections of a network to one worker, so what is counted there is exact, and nobody is asked.
Times are seconds of a monotonic clock, an argument everywhere.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import IntEnum

from seawall.mail.network import format_address, parse_address

CONNECTION_RATE, CONNECTION_COUNT = "connection rate", "connection count"


class Event(IntEnum):
    """What a client is counted for; the value is its place in a client's counters."""

    CONNECTION = 0
    MESSAGE = 1
    RECIPIENT = 2
    NEW_TLS = 3
    AUTH = 4

    @property
    def word(self) -> str:
        """anvil(8)'s word in its status lines."""
        return self.name.lower().replace("_", "")


_CONNECTION = int(Event.CONNECTION)


@dataclass(slots=True)
class Client:
    """One client of one service, or one network where an administrator counts networks."""

    ident: str
    """``service:address``, as status lines name it."""
    since: float
    """When the running time unit began."""
    connections: int = 0
    """Open now."""
    done: list[int] = field(default_factory=lambda: [0] * len(Event))
    """By event, in the running time unit."""


@dataclass(frozen=True, slots=True)
class Greatest:
    """The greatest number seen since the last status line: `what` is ``connection rate``, ``connection count`` …"""

    what: str
    number: int
    ident: str
    at: float
    """When, as the caller's clock has it."""


class Rates:
    """All clients of a worker.  `unit` is anvil_rate_time_unit, in seconds."""

    def __init__(self, unit: float) -> None:
        self.unit = unit
        self._clients: dict[str, Client] = {}
        self._greatest: dict[str, Greatest] = {}
        self.most_connections = self.most_at_once = 0
        """The greatest connection rate and count that are noted: asked at every connection."""
        self._most_clients = Greatest("cache size", 0, "", 0.0)
        self._swept = 0.0

    def __len__(self) -> int:
        return len(self._clients)

    def connect(self, ident: str, now: float, at: float = 0.0) -> Client:
        """One more connection; the client's `connections` and its rate include it.  `at` is the time for status lines."""
        if now - self._swept > self.unit:
            self._sweep(now)
        client = self._clients.get(ident)
        if client is None:
            client = self._clients[ident] = Client(ident, now)
            if len(self._clients) > self._most_clients.number:
                self._most_clients = Greatest("cache size", len(self._clients), "", at)
        elif now - client.since > self.unit:
            client.since = now
            client.done = [0] * len(Event)
        client.connections += 1
        client.done[_CONNECTION] += 1
        return client

    def disconnect(self, client: Client) -> None:
        """One connection less.  The client is forgotten when a time unit has passed without another."""
        client.connections -= 1

    def count(self, client: Client, event: Event, now: float) -> int:
        """One more of `event`; how many it makes in the time unit."""
        if now - client.since > self.unit:
            client.since = now
            client.done = [0] * len(Event)
        client.done[event] += 1
        return client.done[event]

    def rate(self, client: Client, event: Event) -> int:
        """How many of `event` were counted last."""
        return client.done[event]

    def is_greatest(self, what: str, number: int) -> bool:
        """True where no greater number is noted since the last status lines."""
        known = self._greatest.get(what)
        return known is None or number > known.number

    def note(self, what: str, number: int, ident: str, at: float) -> None:
        """Keep it for the next status lines."""
        self._greatest[what] = Greatest(what, number, ident, at)
        if what == CONNECTION_RATE:
            self.most_connections = number
        elif what == CONNECTION_COUNT:
            self.most_at_once = number

    def take_greatest(self) -> tuple[tuple[Greatest, ...], Greatest]:
        """(the greatest numbers, the most clients at one time) since this was asked last."""
        greatest, self._greatest = self._greatest, {}
        self.most_connections = self.most_at_once = 0
        most, self._most_clients = self._most_clients, Greatest("cache size", 0, "", 0.0)
        return tuple(greatest.values()), most

    def _sweep(self, now: float) -> None:
        """Forget who is gone for longer than a time unit."""
        self._swept = now
        for ident in list(self._gone(now)):
            del self._clients[ident]

    def _gone(self, now: float) -> Iterator[str]:
        for ident, client in self._clients.items():
            if client.connections <= 0 and now - client.since > self.unit:
                yield ident


def aggregate(address: str, ipv4_bits: int, ipv6_bits: int) -> str:
    """The address, or its network where less than all bits count.  postconf(5) smtpd_client_ipv4_prefix_length"""
    parsed = None if ipv4_bits >= 32 and ":" not in address else parse_address(address)
    if parsed is None:
        return address
    value, width = parsed
    bits = ipv4_bits if width == 32 else ipv6_bits
    if bits >= width:
        return address
    masked = value >> (width - bits) << (width - bits)
    return f"{format_address(masked, width)}/{bits}"
