"""How much a worker has to do: the loop's lateness, descriptors, memory, sessions; and what follows from it.

Stress begins and ends by it, for new sessions (docs/differences.md D-62); who has no place any more is let go, and the log
is told of it in one line for many.
"""

from __future__ import annotations

import asyncio
import os
import resource
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from seawall.journal.records.load import CrowdThinned, StressChanged
from seawall.policy.stress import Smooth, Stress
from seawall.policy.worth import Crowd
from seawall.run.build import Common

TICK = 0.1
"""Seconds between two looks."""
LATE = 0.1
"""Seconds that the loop comes late, in the mean of the last second, where stress begins; ours: five times what a good client's
greeting may take in a flood."""
FULL = 0.8
"""The share of descriptors and memory at which stress begins.  Ours."""
AT_ONCE = 16
"""Clients that are let go at one look, each some 60 µs."""
TELL = 10.0
"""Seconds between two lines about clients that were not served."""
LEAST_PLACES = 100
"""Memory never takes more: so many are served however large the process has become."""
SPARE = 1500
"""Descriptors that are not for connections: files, name servers (`dns.resolver.MOST_IN_FLIGHT`), databases, services; at
most a quarter of all."""


@dataclass(frozen=True, slots=True)
class Means:
    """What a worker has."""

    places: int
    """Connections that it may hold."""
    memory: int
    """Bytes that it may fill."""


def means(common: Common) -> Means:
    """What one worker has: its descriptors, and its share of what the parameters allow, or of half of the host's memory."""
    workers, settings = common.given.start.workers, common.settings
    most, megabytes = settings.number("seawall_most_sessions"), settings.number("seawall_most_memory")
    descriptors = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    places = max(1, descriptors - min(SPARE, descriptors // 4))
    if most:
        places = min(places, max(1, most // workers))
    return Means(places, max(1, (megabytes << 20 or host_memory() // 2) // workers))


def host_memory() -> int:
    """Bytes of memory that this host, or the control group that we are in, has."""
    found = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    try:
        limit = Path("/sys/fs/cgroup/memory.max").read_text().strip()
    except OSError:
        return found
    return min(found, int(limit)) if limit.isdigit() else found


def memory_used() -> int:
    """Bytes of memory that are this process's own.  proc(5) statm"""
    try:
        words = Path("/proc/self/statm").read_text().split()
    except OSError:
        return 0
    return (int(words[1]) - int(words[2])) * os.sysconf("SC_PAGE_SIZE")


def fitting(has: Means, memory: int, most: int, held: int) -> int:
    """How many places there may be: fewer while memory is short, an eighth a second; more again when it is not."""
    if memory > has.memory:
        return max(min(LEAST_PLACES, has.places), min(most, held) * 7 // 8)
    if most < has.places and memory < has.memory * FULL:
        return min(has.places, most + most // 8 + 1)
    return most


@dataclass(slots=True)
class Service:
    """One service's sessions, and its own stress."""

    name: str
    crowded: int
    sessions: Callable[[], int]
    stress: Stress = field(default_factory=Stress)

    def share(self) -> Mapping[str, float]:
        """How near it is to where stress begins."""
        return {"sessions": self.sessions() / self.crowded}

    def cause(self) -> str:
        """Why it is under stress."""
        return f"{self.sessions()} sessions, and {self.crowded} are this worker's share of its process limit"


class Load:
    """One worker's."""

    def __init__(self, common: Common, crowd: Crowd, has: Means) -> None:
        self._common = common
        self._crowd = crowd
        self._means = has
        self._services: list[Service] = []
        self._stress = Stress()
        self._late = Smooth(TICK)
        self._memory = 0
        self._who = f"worker {common.given.start.index}"
        self._told = 0, 0
        self._next_tale = 0.0
        self._told_at = 0.0
        self._ticks = 0
        self._timer: asyncio.TimerHandle | None = None

    def begin(self) -> None:
        """Look, from now on."""
        loop = asyncio.get_running_loop()
        self._told_at = loop.time()
        self._memory = memory_used()
        self._timer = loop.call_later(TICK, self._tick, loop.time() + TICK)

    def stop(self) -> None:
        """Look no more."""
        if self._timer is not None:
            self._timer.cancel()
        self._tell(asyncio.get_running_loop().time())

    def add(self, service: Service) -> None:
        """One more service."""
        self._services.append(service)

    def is_stressed(self, service: Service) -> bool:
        """Whether a session that begins now runs under stress."""
        if not service.stress.is_on and service.sessions() >= service.crowded:
            self._look_at(service, asyncio.get_running_loop().time())
        return service.stress.is_on or self._stress.is_on

    def is_pressed(self) -> bool:
        """The worker as a whole is under stress."""
        return self._stress.is_on

    def _tick(self, due: float) -> None:
        loop = asyncio.get_running_loop()
        now = loop.time()
        self._late.add(max(0.0, now - due))
        self._ticks += 1
        if self._ticks % 10 == 0:
            self._memory = memory_used()
            self._crowd.most = fitting(self._means, self._memory, self._crowd.most, self._crowd.held)
        self._crowd.shed(AT_ONCE)
        if self._stress.look(self._shares(), now):
            self._note(self._who, self._stress, self._cause(self._stress.cause))
        for service in self._services:
            self._look_at(service, now)
        if now >= self._next_tale:
            self._tell(now)
        self._timer = loop.call_later(TICK, self._tick, loop.time() + TICK)

    def _shares(self) -> dict[str, float]:
        has = self._means
        return {
            "lateness": self._late.value / LATE,
            "connections": self._crowd.held / (has.places * FULL),
            "memory": self._memory / (has.memory * FULL),
        }

    def _cause(self, name: str) -> str:
        match name:
            case "lateness":
                return f"its loop comes late by {self._late.value:.2f} s"
            case "connections":
                return f"{self._crowd.held} connections of {self._means.places} that it has descriptors for"
            case _:
                return f"{self._memory >> 20} MB of memory, and {self._means.memory >> 20} MB are its share"

    def _look_at(self, service: Service, now: float) -> None:
        if service.stress.look(service.share(), now):
            self._note(f"service {service.name}", service.stress, service.cause())

    def _note(self, who: str, stress: Stress, cause: str) -> None:
        self._common.journal.write(
            StressChanged(at=self._common.clock.now(), who=who, is_on=stress.is_on, cause=cause if stress.is_on else "")
        )

    def _tell(self, now: float) -> None:
        """One line for all who were not served since the last."""
        crowd, told = self._crowd, self._told
        turned_away, let_go = crowd.turned_away - told[0], crowd.let_go - told[1]
        if turned_away or let_go:
            self._told = crowd.turned_away, crowd.let_go
            self._next_tale = now + TELL
            self._common.journal.write(
                CrowdThinned(
                    at=self._common.clock.now(),
                    who=self._who,
                    turned_away=turned_away,
                    let_go=let_go,
                    seconds=now - self._told_at,
                    held=crowd.held,
                    most=crowd.most,
                    loudest=tuple(crowd.loudest_networks(3)),
                )
            )
            self._told_at = now
        elif now - self._told_at > TELL:
            self._told_at = now
