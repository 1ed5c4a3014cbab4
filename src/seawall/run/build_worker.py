"""A worker: smtpd(8), cleanup(8) and trivial-rewrite(8) for the sessions of its share of the networks."""

from __future__ import annotations

import asyncio
import itertools
import os
import socket
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial

from seawall.config.master_cf import Service
from seawall.config.settings import ConfigTrouble, Settings
from seawall.edge.arrival import Arrival
from seawall.edge.edge import Edge
from seawall.edge.login import Login
from seawall.edge.login_dovecot import DovecotLogin
from seawall.edge.login_types import make_login
from seawall.edge.profile import Profile, compile_profile
from seawall.edge.session import Session
from seawall.intake.cleanup import Cleanup
from seawall.intake.content import InFlight
from seawall.patience import Patience
from seawall.policy.greylisting import Greylister
from seawall.policy.judge import Judge
from seawall.policy.policy_client import PolicyClients
from seawall.policy.trace import LiveTrace
from seawall.policy.traced import TracedJudge
from seawall.policy.world import Verifies, WorldFacts, policy_clients
from seawall.routing.resolve import Routing
from seawall.run import messages as m
from seawall.run.accepting import accept_from
from seawall.run.build import Common, PartBase, make_common, seconds_left
from seawall.run.build_door import Doors
from seawall.run.build_greylist import make_greylist
from seawall.run.build_upstream import Fronts, named_by_proxy
from seawall.run.channel import Channel
from seawall.run.child import ChildTrouble, Given
from seawall.run.counting import Counters
from seawall.run.crowd import make_crowd, remember
from seawall.run.greylist_link import WorkerGreylist
from seawall.run.links import DirectLink
from seawall.run.list_link import WorkerLists, make_lists
from seawall.run.load import Load, means
from seawall.run.load import Service as Loaded
from seawall.run.verify_link import VerifyLink
from seawall.spool.writer import QueueWriter
from seawall.tables.table import TableUnsupported
from seawall.upstream.rules import in_front, is_front

SESSIONS_A_GENERATION = 10_000_000
"""Apart from each other by so much, the session numbers of two generations do not meet."""
MOST_UNANNOUNCED = 100_000
"""Queue ids that are kept for the next queue manager while there is none."""
LOGIN_KNOWN = 2.0
"""Seconds that the first greeting waits for Dovecot to name its mechanisms."""


@dataclass(frozen=True, slots=True)
class Manner:
    """One service under one load (plain or stress): what its sessions go by."""

    profile: Profile
    judge: Judge


@dataclass(slots=True)
class Served:
    """One inet service of master.cf, compiled."""

    position: int
    service: Service
    settings: Settings
    routing: Routing
    facts: WorldFacts
    plain: Manner
    stressed: Manner
    login: Login | None
    crowded: int
    """Sessions of this service in this worker from which on new ones run under stress.  master(5) maxproc, docs/differences.md D-6"""


def _smtpd_of(service: Service, services: Sequence[Service], name: str) -> Service:
    """The smtpd whose options count: behind postscreen it is the ``pass`` service, best the one of this name."""
    if os.path.basename(service.command) != "postscreen":
        return service
    behind = [each for each in services if each.type == "pass" and os.path.basename(each.command) == "smtpd"]
    return next((each for each in behind if each.name == name), behind[0] if behind else service)


def _judge(settings: Settings, facts: WorldFacts) -> Judge:
    """The judge, traced where the journal is to keep what checks asked."""
    wanted = settings.text("seawall_journal_checks")
    if wanted == "none":
        return Judge(settings, facts, needs_guard=not is_front(settings))
    if wanted not in ("refused", "all"):
        where = settings.where("seawall_journal_checks")
        raise ConfigTrouble(f"seawall_journal_checks = {wanted}: none, refused or all is meant", where)
    trace = LiveTrace(time.perf_counter)
    return TracedJudge(settings, facts, trace, needs_guard=not is_front(settings), tells_all=wanted == "all")


def _serve(
    common: Common,
    position: int,
    service: Service,
    policies: PolicyClients,
    verifier: Verifies,
    greylister: Greylister | None,
    lists: WorkerLists,
) -> Served:
    """Compile one service.  Raises ConfigTrouble, TableUnsupported."""
    name = service.settings(common.settings).text("smtpd_service_name")
    settings = in_front(_smtpd_of(service, common.services, name).settings(common.settings))
    routing = Routing(settings, common.tables)
    facts = WorldFacts(
        settings,
        common.tables,
        routing,
        common.resolver,
        clock=common.clock,
        policies=policies,
        verifier=verifier,
        greylister=greylister,
        lists=lists.watching,
    )

    def manner(stress: str) -> Manner:
        under = settings.with_overrides({"stress": stress})
        return Manner(compile_profile(under, common.tables), _judge(under, facts))

    login = make_login(settings, common.tables) if settings.flag("smtpd_sasl_auth_enable") else None
    most = service.maxproc or settings.number("default_process_limit")
    return Served(
        position=position,
        service=service,
        settings=settings,
        routing=routing,
        facts=facts,
        plain=manner(""),
        stressed=manner("yes"),
        login=login,
        crowded=max(1, most // common.given.start.workers),
    )


class WorkerPart(PartBase):
    """The sessions of one worker."""

    def __init__(
        self,
        common: Common,
        served: Sequence[Served],
        verify: VerifyLink,
        greylist: WorkerGreylist | None,
        lists: WorkerLists,
    ) -> None:
        super().__init__(common)
        self._lists = lists
        self._verify = verify
        self._greylist = greylist
        self._served = {each.position: each for each in served}
        self._direct = DirectLink()
        writer, flight = QueueWriter(common.places, self._announce), InFlight()
        self._intakes = {each.position: self._make_intake(each, writer, flight) for each in served}
        self._announcing: Channel[m.LinkMessage] | None = None
        self._unannounced: list[str] = []
        self._edges: list[Edge] = []
        self._doors = Doors(common, lists.watching)
        self._fronts = Fronts(common)
        for each in served:
            self._doors.add(each.position, each.service)
            each.facts.score_of = partial(self._doors.score, each.position)
            self._fronts.add(each.position, each.settings)
        has = means(common)
        self._crowd = make_crowd(common, has.places, self._doors)
        self._load = Load(common, self._crowd, has)
        self._factories: dict[int, Callable[[], asyncio.BaseProtocol]] = {}
        self._servers: list[asyncio.Server] = []
        self._adopted: dict[int, list[asyncio.Server]] = {}
        self._tasks: list[asyncio.Task[None]] = []
        self._counters = Counters(common)
        for each in served:
            for text in (*each.plain.profile.warnings, *each.plain.judge.problems):
                common.warn("smtpd", text)

    async def begin(self) -> None:
        """Accept."""
        await super().begin()
        await self._doors.begin()
        if self._greylist is not None:
            await self._greylist.begin()
        self._lists.begin()
        await self._fronts.begin()
        loop = asyncio.get_running_loop()
        start = self.common.given.start
        numbers = itertools.count(SESSIONS_A_GENERATION * (start.generation - 1) + start.index + 1, start.workers)
        patience = Patience(loop.time, loop.call_later)
        for each in self._served.values():
            self._open_service(each, patience, numbers)
        for login in {id(each.login): each.login for each in self._served.values()}.values():
            if isinstance(login, DovecotLogin):
                self._tasks.append(loop.create_task(login.run()))
                await login.known(LOGIN_KNOWN)
        self._tasks.append(loop.create_task(self._counters.tell()))
        self._load.begin()
        self._tasks.append(loop.create_task(remember(self.common, self._crowd)))
        for info, listener in self.common.given.listeners:
            self._servers += await accept_from(listener, self._factories[info.service])

    def _make_intake(self, served: Served, writer: QueueWriter, flight: InFlight) -> Cleanup:
        common = self.common
        return Cleanup(
            served.settings,
            served.routing,
            common.tables,
            writer,
            self._direct,
            common.journal,
            common.clock,
            common.queue_ids,
            flight=flight,
        )

    def _open_service(self, served: Served, patience: Patience, numbers: Iterator[int]) -> None:
        common, intake = self.common, self._intakes[served.position]
        sessions: set[Arrival] = set()
        counting = self._counters.of_service(served.settings, served.service.name)
        make_edge = self._fronts.edge_of(served.position, served.settings, served.plain.judge)

        def edge(manner: Manner) -> Edge:
            return make_edge(
                manner.profile,
                manner.judge,
                intake,
                common.journal,
                common.clock,
                served.facts.names,
                login=served.login,
                patience=patience,
                next_number=numbers.__next__,
                service=served.service.name,
                sessions=sessions,
                flush=self._flush,
                counting=counting,
                crowd=self._crowd,
                lacks_answers=common.resolver.is_nearly_full,
            )

        plain, stressed = edge(served.plain), edge(served.stressed)
        self._edges += [plain, stressed]

        load = self._load
        loaded = Loaded(served.service.name, served.crowded, sessions.__len__)
        load.add(loaded)

        def session() -> Session:
            return (stressed if load.is_stressed(loaded) else plain).session()

        knows_logins = served.login is not None or self._fronts.knows_logins(served.position)
        door = self._doors.open(served.position, session, self._crowd, load.is_pressed, knows_logins=knows_logins)
        self._factories[served.position] = (
            named_by_proxy(served.settings, plain, session) if door is None else door.stranger
        )

    def _announce(self, queue_id: str) -> None:
        """Tell the queue manager, or the next one; what is not told either, a queue run finds."""
        told = self._announcing is not None and self._announcing.send(m.Announce(queue_id))
        if not told and len(self._unannounced) < MOST_UNANNOUNCED:
            self._unannounced.append(queue_id)

    async def _flush(self, domain: str) -> bool:
        """ETRN: ask the queue manager to try a domain now; False where it cannot be asked."""
        return self._announcing is not None and self._announcing.send(m.Flush(domain))

    def linked(self, peer: str, index: int, end: socket.socket, *, asks: bool) -> None:
        """The delivery process for the direct way, the queue manager for announcements."""
        if peer == "delivery":
            self._direct.renew(end)
        else:
            self._announcing = Channel(
                end, m.LinkMessage, lambda message, fds: self._verify.heard(message), self._verify.lost
            )
            self._verify.renew(self._announcing.send)
            owed, self._unannounced = self._unannounced, []
            for queue_id in owed:
                self._announce(queue_id)

    def adopt(self, index: int, listeners: tuple[tuple[m.ListenerInfo, socket.socket], ...]) -> None:
        """Accept from a silent neighbour's sockets, or stop doing so."""
        for server in self._adopted.pop(index, []):
            server.close()
        if listeners:
            self._tasks.append(asyncio.get_running_loop().create_task(self._accept_for(index, listeners)))

    async def _accept_for(self, index: int, listeners: tuple[tuple[m.ListenerInfo, socket.socket], ...]) -> None:
        servers = self._adopted.setdefault(index, [])
        for info, listener in listeners:
            servers += await accept_from(listener, self._factories[info.service])

    @property
    def sessions(self) -> int:
        """Sessions that are open, and clients that are being screened for one."""
        return sum(len(edge.sessions) for edge in self._edges[::2]) + len(self._doors)

    async def drain(self, seconds: float, farewell: bool) -> None:
        """Accept no more; let sessions end, or take leave of them."""
        end = time.monotonic() + seconds
        self._lists.stop()
        for server in (*self._servers, *itertools.chain(*self._adopted.values())):
            server.close()
        if farewell:
            self._doors.drain()
            for edge in self._edges:
                edge.drain()
        while self.sessions and seconds_left(end):
            await asyncio.sleep(0.05)
        for task in self._tasks:
            task.cancel()
        self._counters.tell_now()
        self._load.stop()
        self._fronts.stop()
        self._doors.stop()
        if self._greylist is not None:
            self._greylist.flush()
        await super().drain(seconds, farewell)


def build_worker(given: Given) -> WorkerPart:
    """A worker's part."""
    common = make_common(given)
    try:
        positions = {info.service for info, _ in given.listeners}
        policies = policy_clients(common.settings)
        verify = VerifyLink(time.monotonic)
        greylist = make_greylist(common)
        greylister = None if greylist is None else greylist.greylister
        lists = make_lists(common)
        served = [
            _serve(common, at, common.services[at], policies, verify.verify, greylister, lists)
            for at in sorted(positions)
        ]
        return WorkerPart(common, served, verify, greylist, lists)
    except (ConfigTrouble, TableUnsupported) as trouble:
        raise ChildTrouble(str(trouble)) from trouble
