"""The parts joined: what each child process is made of.  The only place where the stages of the journey meet.

Everything that needs privilege (map files, keys, the log) is opened here, before a child becomes mail_owner.
The other half of the joining is in `build_worker`, `build_queue` and `build_delivery`, one a kind of child.
"""

from __future__ import annotations

import asyncio
import os
import socket
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from seawall.clock import SystemClock
from seawall.config.master_cf import Service
from seawall.config.settings import ConfigTrouble, Settings
from seawall.dns.resolv_conf import read_resolv_conf
from seawall.dns.resolver import Resolver
from seawall.journal.log_lines import LineFormat
from seawall.journal.record import Record, Warned
from seawall.journal.writer import BatchingJournal, FileSink, FunctionSink, Sink
from seawall.mail.queue_id import QueueIds
from seawall.routing.resolve import Routing
from seawall.run import messages as m
from seawall.run.child import ChildTrouble, Given
from seawall.run.configuration import services_of, settings_of
from seawall.run.links import WatcherLink
from seawall.run.privileges import NONE, Powers
from seawall.run.records import LoopStalled
from seawall.run.serve import MOST_WORKERS, log_elsewhere
from seawall.run.site import OWN
from seawall.spool.places import Places
from seawall.tables.parameters import main_cf_of
from seawall.tables.registry import Tables
from seawall.tables.table import TableUnsupported

OTHERS = {"queue-manager": 2690, "delivery": 2691, "watcher": 2692}
"""Places in a queue id (of 52 * 52) of the children that are no workers."""
LOOK_AT_TABLES = 1.0
"""Seconds between two looks at the map files (docs/design.md, Reload)."""
STALL = 0.1
"""Seconds without a turn of the loop that are worth a line in the log; the goal is 2 ms, the clock of a busy host is coarser."""


@dataclass(slots=True)
class Common:
    """What every child has: the configuration, the journal, tables, routing, names."""

    given: Given
    settings: Settings
    services: tuple[Service, ...]
    clock: SystemClock
    journal: BatchingJournal
    watcher: WatcherLink
    tables: Tables
    resolver: Resolver
    queue_ids: QueueIds

    @property
    def places(self) -> Places:
        """The spool."""
        return Places(f"{self.settings.path(self.settings.text('queue_directory')).rstrip('/')}/{OWN}")

    def warn(self, source: str, text: str) -> None:
        """A warning in the log, in the name of a program."""
        self.journal.write(Warned(at=self.clock.now(), source=source, message=text))

    def routing(self) -> Routing:
        """Routing over this child's tables."""
        return Routing(self.settings, self.tables)

    def services_with(self, *commands: str) -> list[tuple[int, Service]]:
        """The services (with their positions) behind which one of these programs stands."""
        return [
            (at, service) for at, service in enumerate(self.services) if os.path.basename(service.command) in commands
        ]

    def look_at_tables(self) -> None:
        """Reload what changed, now and every second."""
        loop = asyncio.get_running_loop()
        self.tables.refresh(loop.time())
        loop.call_later(LOOK_AT_TABLES, self.look_at_tables)


def _later(delay: float, call: Callable[[], None]) -> object:
    """On the running loop; while a child is being built there is none, and `begin` flushes."""
    try:
        return asyncio.get_running_loop().call_later(delay, call)
    except RuntimeError:
        return None


class LoggedAlone:
    """A sink for the log where there are records that are not for it."""

    def __init__(self, inner: Sink) -> None:
        self._inner = inner

    def take(self, records: Sequence[Record]) -> None:
        """Pass the others on."""
        logged = [record for record in records if record.is_logged]
        if logged:
            self._inner.take(logged)


def _sinks(given: Given, form: LineFormat, watcher: WatcherLink, *, keeps_more: bool) -> list[Sink]:
    """The log, and the watcher.  `keeps_more`: the watcher is told more than the log says."""
    log: Sink = log_elsewhere(form) if given.log is None else FileSink(given.log, form)
    if keeps_more:
        log = LoggedAlone(log)
    return [log, FunctionSink(watcher.send)]


def make_common(given: Given) -> Common:
    """Read the configuration and open its tables.  Raises ChildTrouble with everything that the operator must know."""
    start = given.start
    clock = SystemClock()
    try:
        settings = settings_of(given.configuration, start.root, start.directory)
        services = services_of(given.configuration, settings)
        watcher = WatcherLink()
        form = LineFormat(settings.text("myhostname"), settings.text("syslog_name"), os.getpid())
        keeps_more = settings.text("seawall_journal_checks") == "all"
        journal = BatchingJournal(_sinks(given, form, watcher, keeps_more=keeps_more), _later)

        def warn(text: str) -> None:
            journal.write(Warned(at=clock.now(), source=start.role, message=text))

        tables = Tables(start.root, start.directory, warn=warn, main_cf=main_cf_of(settings))
        resolver = Resolver(read_resolv_conf(settings.path("/etc/resolv.conf")), clock, warn)
    except (ConfigTrouble, TableUnsupported) as trouble:
        raise ChildTrouble(str(trouble)) from trouble
    # ids of different children never meet: the child's place is part of each id
    place = OTHERS.get(start.role, start.index + MOST_WORKERS * (start.generation % 20))
    queue_ids = QueueIds(place)
    return Common(given, settings, services, clock, journal, watcher, tables, resolver, queue_ids)


class PartBase:
    """What the parts of all children do alike."""

    def __init__(self, common: Common) -> None:
        self.common = common

    @property
    def powers(self) -> Powers:
        """None of root's."""
        return NONE

    async def begin(self) -> None:
        """Start what every child has."""
        self.common.journal.flush()
        self.common.look_at_tables()
        self._watch_loop(asyncio.get_running_loop().time() + STALL)

    def _watch_loop(self, due: float) -> None:
        """The watchdog: a loop that stood still is journaled."""
        loop = asyncio.get_running_loop()
        late = loop.time() - due
        if late > STALL:
            start = self.common.given.start
            now = self.common.clock.now()
            self.common.journal.write(LoopStalled(at=now, role=f"{start.role} {start.index}", seconds=late))
        self.common.journal.flush()  # a record that a thread wrote has no timer of its own
        loop.call_later(STALL, self._watch_loop, loop.time() + STALL)

    def link(self, peer: str, index: int, end: socket.socket, *, asks: bool) -> None:
        """Take a pair to another child."""
        if peer == "watcher":
            self.common.watcher.renew(end)
        else:
            self.linked(peer, index, end, asks=asks)

    def linked(self, peer: str, index: int, end: socket.socket, *, asks: bool) -> None:
        """A pair to a child that is not the watcher; who has no use for it closes it."""
        end.close()

    def adopt(self, index: int, listeners: tuple[tuple[m.ListenerInfo, socket.socket], ...]) -> None:
        """Only workers help a neighbour."""

    @property
    def sessions(self) -> int:
        """What is under way."""
        return 0

    async def drain(self, seconds: float, farewell: bool) -> None:
        """Write what the log still lacks."""
        self.common.journal.flush()


def seconds_left(end: float) -> float:
    """Seconds until a moment of the monotonic clock, not below 0."""
    return max(0.0, end - time.monotonic())
