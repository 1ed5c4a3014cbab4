"""Whose turn it is: next hops, how many deliveries each may have, when a message is tried again.  Pure.  qmgr(8)

The scheduler knows queue ids, places of recipients, transports and next hops, and decides; it never looks at a clock,
a file or a message.  A *site* is a transport and a next hop; where a transport takes one recipient at a time the
recipient is part of the site, so that one mailbox's trouble holds up no other.  qmgr(8), postconf(5) transport_destination_recipient_limit

Messages take turns; qmgr(8)'s preemptive scheduling is not there (docs/differences.md D-14).
"""

from __future__ import annotations

import heapq
from collections import OrderedDict, deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from seawall.mail.outcome import Deferred


@dataclass(frozen=True, slots=True)
class TransportLimits:
    """What postconf(5) says of one transport; 0 stands for "no limit"."""

    concurrency: int = 20
    """transport_destination_concurrency_limit"""
    initial: int = 5
    """transport_initial_destination_concurrency"""
    recipients: int = 50
    """transport_destination_recipient_limit"""
    processes: int = 100
    """maxproc of the service in master.cf"""
    failed_cohorts: float = 1.0
    """transport_destination_concurrency_failed_cohort_limit"""


@dataclass(frozen=True, slots=True)
class Timing:
    """Seconds between attempts, and seconds that mail may stay.  postconf(5) of the same names."""

    minimal_backoff_time: float = 300.0
    maximal_backoff_time: float = 4000.0
    maximal_queue_lifetime: float = 432000.0
    bounce_queue_lifetime: float = 432000.0
    delay_warning_time: float = 0.0

    def next_attempt(self, arrived: float, now: float) -> float:
        """As long again as the message has waited so far, within the bounds.  qmgr(8): the age doubles."""
        return now + min(self.maximal_backoff_time, max(self.minimal_backoff_time, now - arrived))

    def has_expired(self, arrived: float, sender: str, now: float) -> bool:
        """True where the message is given up after the attempt that just failed; a lifetime of 0 means one attempt."""
        lifetime = self.maximal_queue_lifetime if sender else self.bounce_queue_lifetime
        return now >= arrived + lifetime

    def wants_warning(self, arrived: float, now: float) -> bool:
        """True once delay_warning_time has passed."""
        return self.delay_warning_time > 0 and now >= arrived + self.delay_warning_time


@dataclass(frozen=True, slots=True)
class Target:
    """One recipient as routed: his place in the envelope, where he goes, his address after routing."""

    place: int
    transport: str
    nexthop: str
    recipient: str


@dataclass(frozen=True, slots=True)
class Turn:
    """A delivery that may start now, or (from `Scheduler.finished`) recipients that will not be tried."""

    queue_id: str
    transport: str
    nexthop: str
    targets: tuple[Target, ...]
    site: tuple[str, str]


@dataclass(slots=True)
class _Site:
    """One next hop of one transport: who waits for it, how many deliveries it has, how many it may have."""

    window: float
    waiting: OrderedDict[str, deque[Target]] = field(default_factory=OrderedDict)
    busy: int = 0
    failed_cohorts: float = 0.0
    dead_until: float = 0.0
    reason: Deferred | None = None


@dataclass(slots=True)
class _Transport:
    limits: TransportLimits
    ready: OrderedDict[tuple[str, str], None] = field(default_factory=OrderedDict)
    busy: int = 0


class Scheduler:
    """Turns for all transports.  `limits_of` tells a transport's limits once; `dead_time` is how long a dead site rests."""

    def __init__(self, limits_of: Callable[[str], TransportLimits], dead_time: float = 300.0) -> None:
        self._limits_of = limits_of
        self._dead_time = dead_time
        self._sites: dict[tuple[str, str], _Site] = {}
        self._transports: dict[str, _Transport] = {}

    def add(self, queue_id: str, targets: Iterable[Target], now: float) -> list[tuple[Target, Deferred]]:
        """Queue the recipients of a message; those for a dead site are returned at once with its trouble."""
        refused = []
        for target in targets:
            transport = self._transport(target.transport)
            key = self._key(target, transport.limits)
            site = self._sites.get(key)
            if site is None:
                site = self._sites[key] = _Site(float(transport.limits.initial))
            if site.reason is not None:
                if now < site.dead_until:
                    refused.append((target, site.reason))
                    continue
                site.window, site.failed_cohorts, site.reason = float(transport.limits.initial), 0.0, None
            site.waiting.setdefault(queue_id, deque()).append(target)
            self._mark(key, site, transport)
        return refused

    def next_turns(self) -> list[Turn]:
        """All deliveries that may start now: sites in turn, and at each site messages in turn."""
        turns: list[Turn] = []
        for name, transport in self._transports.items():
            while transport.ready and self._has_process(transport):
                key, _ = transport.ready.popitem(last=False)
                site = self._sites[key]
                turns.append(self._take(key, name, site, transport))
                self._mark(key, site, transport)
        return turns

    def finished(self, turn: Turn, trouble: Deferred | None, now: float) -> list[Turn]:
        """A delivery ended; `trouble` where it showed that the site is down.

        Returns what else was waiting for a site that is dead by now: those recipients are deferred untried.
        """
        transport = self._transport(turn.transport)
        site = self._sites[turn.site]
        transport.busy -= 1
        site.busy -= 1
        given_up: list[Turn] = []
        if trouble is None:
            self._succeeded(site, transport.limits)
        elif self._failed(site, transport.limits):
            site.reason, site.dead_until = trouble, now + self._dead_time
            transport.ready.pop(turn.site, None)
            given_up = [
                Turn(queue_id, turn.transport, turn.nexthop, tuple(targets), turn.site)
                for queue_id, targets in site.waiting.items()
            ]
            site.waiting.clear()
        self._mark(turn.site, site, transport)
        if not (site.waiting or site.busy or site.reason):
            del self._sites[turn.site]
        return given_up

    def withdraw(self, queue_id: str) -> tuple[Target, ...]:
        """Take a message's waiting recipients out (held, deleted); those under way are not among them."""
        taken: list[Target] = []
        for key in [key for key, site in self._sites.items() if queue_id in site.waiting]:
            site = self._sites[key]
            taken += site.waiting.pop(queue_id)
            self._mark(key, site, self._transports[key[0]])
            if not (site.waiting or site.busy or site.reason):
                del self._sites[key]
        return tuple(taken)

    def forgive(self) -> None:
        """Dead sites may be tried again at once: the operator flushed the queue."""
        for key, site in list(self._sites.items()):
            if site.reason is not None:
                del self._sites[key]
                if site.busy:
                    self._sites[key] = _Site(float(self._transports[key[0]].limits.initial), busy=site.busy)

    def tidy(self, now: float) -> None:
        """Forget dead sites whose rest is over: whoever comes next tries them."""
        for key in [key for key, site in self._sites.items() if site.reason is not None and now >= site.dead_until]:
            if not self._sites[key].busy:
                del self._sites[key]

    def dead_sites(self, now: float) -> tuple[tuple[str, str], ...]:
        """(transport, next hop) of the sites that rest now."""
        return tuple(key for key, site in self._sites.items() if site.reason is not None and now < site.dead_until)

    # -- inside -------------------------------------------------------------------------------------------------

    def _transport(self, name: str) -> _Transport:
        transport = self._transports.get(name)
        if transport is None:
            transport = self._transports[name] = _Transport(self._limits_of(name))
        return transport

    @staticmethod
    def _key(target: Target, limits: TransportLimits) -> tuple[str, str]:
        if limits.recipients == 1:
            return target.transport, f"{target.nexthop} {target.recipient.lower()}"
        return target.transport, target.nexthop

    @staticmethod
    def _has_process(transport: _Transport) -> bool:
        return transport.limits.processes <= 0 or transport.busy < transport.limits.processes

    @staticmethod
    def _mark(key: tuple[str, str], site: _Site, transport: _Transport) -> None:
        """Keep `ready` true: sites with somebody waiting and room in their window, in the order they became so."""
        limit = transport.limits.concurrency
        room = min(site.window, limit) if limit > 0 else site.window
        if site.waiting and site.reason is None and site.busy < max(1, int(room)):
            transport.ready.setdefault(key)
        else:
            transport.ready.pop(key, None)

    @staticmethod
    def _take(key: tuple[str, str], name: str, site: _Site, transport: _Transport) -> Turn:
        """The next message's turn at this site; what exceeds the recipient limit goes to the end of the line."""
        queue_id, waiting = site.waiting.popitem(last=False)
        limit = transport.limits.recipients or len(waiting)
        nexthop = waiting[0].nexthop
        targets = tuple(waiting.popleft() for _ in range(min(limit, len(waiting))))
        if waiting:
            site.waiting[queue_id] = waiting
        site.busy += 1
        transport.busy += 1
        return Turn(queue_id, name, nexthop, targets, key)

    @staticmethod
    def _succeeded(site: _Site, limits: TransportLimits) -> None:
        """The window grows by one for each success while it is in use.  postconf(5) positive_feedback = 1"""
        site.failed_cohorts = 0.0
        if site.reason is None and site.window < site.busy + 1 + limits.initial:
            site.window = min(site.window + 1, limits.concurrency) if limits.concurrency > 0 else site.window + 1

    @staticmethod
    def _failed(site: _Site, limits: TransportLimits) -> bool:
        """The window shrinks; True where as many deliveries as it holds have failed in a row: the site is dead."""
        site.failed_cohorts += 1.0 / max(1.0, site.window)
        site.window = max(1.0, site.window - 1)
        return limits.failed_cohorts > 0 and site.failed_cohorts >= limits.failed_cohorts


class Alarms:
    """When deferred messages come back: queue ids by the time (seconds since the epoch) of their next attempt."""

    def __init__(self) -> None:
        self._heap: list[tuple[float, str]] = []
        self._until: dict[str, float] = {}

    def __len__(self) -> int:
        return len(self._until)

    def __contains__(self, queue_id: str) -> bool:
        return queue_id in self._until

    def set(self, queue_id: str, until: float) -> None:
        """Set or move a message's alarm."""
        self._until[queue_id] = until
        heapq.heappush(self._heap, (until, queue_id))

    def drop(self, queue_id: str) -> bool:
        """Forget it; False where it was not set."""
        return self._until.pop(queue_id, None) is not None

    def due(self, now: float) -> list[str]:
        """Take the messages whose time has come, the longest waiting first."""
        ready = []
        while self._heap and self._heap[0][0] <= now:
            until, queue_id = heapq.heappop(self._heap)
            if self._until.get(queue_id) == until:  # else it was moved or dropped
                del self._until[queue_id]
                ready.append(queue_id)
        return ready

    def ids(self) -> tuple[str, ...]:
        """All that wait."""
        return tuple(self._until)
