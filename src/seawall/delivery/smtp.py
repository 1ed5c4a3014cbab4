"""smtp(8) and lmtp(8): mail goes to the next server.  Runs in the queue manager's process, without privilege.

A next hop is a list of destinations, each a list of addresses; they are tried in order until one takes the mail.
A peer's 2xx after the final dot is the only success.
"""

from __future__ import annotations

import asyncio
import codecs
import os
import ssl
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Protocol

import msgspec

from seawall.clock import Clock
from seawall.config.master_cf import Service
from seawall.config.settings import Settings
from seawall.delivery.connections import Wire, connect, connect_unix
from seawall.delivery.smtp_rules import ClientRules, TlsLevel, client_context, port_of, read_client_rules
from seawall.delivery.smtp_session import Peer, Session, SessionFailed, Why
from seawall.delivery.trouble import as_deferred, failed
from seawall.journal.record import Journal
from seawall.journal.records.delivery import ServerSkipped
from seawall.mail.envelope import Recipient
from seawall.mail.job import Job
from seawall.mail.outcome import Delivered, Delivery, Outcome
from seawall.routing.mx import BadDestination, Destination, NoTarget, Target, parse_nexthop

NOBODY = Why("4.3.0", "server unavailable or unable to receive mail")
CONNECTIONS = 500
"""Connections open at once, over all destinations; our choice, far below the limit of open files."""


class Exchanges(Protocol):
    """Whom to try for a destination.  routing/mx.py"""

    async def find(self, destination: Destination, *, loops_matter: bool = True) -> list[Target] | NoTarget:
        """Addresses in order, or why there is none."""
        ...


@dataclass(frozen=True, slots=True)
class _Client:
    """One service of master.cf that runs smtp(8) or lmtp(8)."""

    rules: ClientRules
    queue_directory: str
    contexts: Mapping[bool, ssl.SSLContext | None]
    """TLS contexts: demanded (True) and opportunistic."""


class SmtpDelivery:
    """The agents of all services that run smtp(8) or lmtp(8); implements journey.Deliverer.

    Raises ConfigTrouble for parameters that cannot be served.
    """

    def __init__(
        self,
        settings: Settings,
        services: Iterable[Service],
        exchanges: Exchanges,
        journal: Journal,
        clock: Clock,
        lmtp_exchanges: Exchanges | None = None,
    ) -> None:
        """`lmtp_exchanges` look for servers of lmtp(8), where that sees DNS otherwise."""
        self._exchanges = {False: exchanges, True: lmtp_exchanges or exchanges}
        self._journal = journal
        self._clock = clock
        self._soft_bounce = settings.flag("soft_bounce")
        codecs.lookup("idna")  # every connection asks for it; it is loaded while all of Python may still be read
        self._room = asyncio.Semaphore(CONNECTIONS)
        self._clients: dict[str, _Client] = {}
        for service in services:
            program = os.path.basename(service.command)
            if program in ("smtp", "lmtp") and service.type != "inet":
                self._clients[service.name] = _make_client(service.settings(settings), lmtp=program == "lmtp")

    @property
    def transports(self) -> frozenset[str]:
        """The transports that are served here."""
        return frozenset(self._clients)

    async def deliver(self, job: Job) -> Delivery:
        """One job.  Never raises for trouble with mail."""
        client = self._clients.get(job.transport)
        if client is None:
            return Delivery(tuple(failed("4.3.0", "mail transport unavailable") for _ in job.recipients))
        async with self._room:
            attempt = _Attempt(client, job, self._exchanges[client.rules.is_lmtp], self._journal, self._clock)
            outcomes = await attempt.run()
        if self._soft_bounce and not job.is_probe:
            outcomes = tuple(map(as_deferred, outcomes))
        return Delivery(outcomes)


def _make_client(settings: Settings, *, lmtp: bool) -> _Client:
    rules = read_client_rules(settings, lmtp=lmtp)
    prefix = "lmtp_" if lmtp else "smtp_"
    demanded = max(rules.tls, TlsLevel.ENCRYPT)
    contexts = {
        True: client_context(settings, prefix, demanded) if rules.tls >= TlsLevel.ENCRYPT else None,
        False: client_context(settings, prefix, TlsLevel.MAY) if rules.tls is TlsLevel.MAY else None,
    }
    return _Client(rules, settings.path(settings.text("queue_directory")), contexts)


@dataclass(slots=True)
class _Attempt:
    """One job under way: who has an outcome, and why the others have none yet."""

    client: _Client
    job: Job
    exchanges: Exchanges
    journal: Journal
    clock: Clock
    outcomes: dict[int, Outcome] = field(default_factory=dict)
    why: Why = NOBODY
    relay: str = "none"
    last: dict[int, tuple[Why, str]] = field(default_factory=dict)
    """The last temporary answer about one recipient, and the relay that gave it."""
    started: float = 0.0
    connected: float = 0.0

    async def run(self) -> tuple[Outcome, ...]:
        """Outcomes in the order of the job's recipients."""
        self.started = self.connected = self.clock.monotonic()
        if self.client.rules.is_lmtp and self.job.nexthop.startswith("unix:"):
            await self._unix(self.job.nexthop.removeprefix("unix:"))
        else:
            await self._inet()
        for at in self._left():
            why, relay = self.last.get(at, (self.why, self.relay))
            self._settle(at, why.outcome(relay))
        return tuple(self.outcomes[at] for at in range(len(self.job.recipients)))

    def _left(self) -> list[int]:
        return [at for at in range(len(self.job.recipients)) if at not in self.outcomes]

    def _settle(self, at: int, outcome: Outcome) -> None:
        now = self.clock.monotonic()
        self.outcomes[at] = msgspec.structs.replace(
            outcome, connecting=max(0.0, self.connected - self.started), sending=max(0.0, now - self.connected)
        )

    # -- destinations ------------------------------------------------------------------------------------------

    async def _inet(self) -> None:
        rules = self.client.rules
        nexthop = self.job.nexthop.removeprefix("inet:") if rules.is_lmtp else self.job.nexthop
        own = parse_nexthop(nexthop)
        sites = own + [site for relay in rules.fallback_relay for site in parse_nexthop(relay)]
        for number, site in enumerate(sites):
            final = number == len(sites) - 1
            targets = await self._targets(site, fallback=number >= len(own))
            if targets is None:
                if self.why.status.endswith(".4.6"):
                    return  # mail that loops would only loop by another way
                continue
            destination, port, found = targets
            await self._try_all(destination, port, found, final=final)
            if not self._left():
                return

    async def _targets(
        self, site: Destination | BadDestination, *, fallback: bool
    ) -> tuple[Destination, int, list[Target]] | None:
        """Whom to try for one destination; None where nobody, and then `why` says so."""
        rules = self.client.rules
        self.relay = "none"
        if isinstance(site, BadDestination):
            self.why = Why("4.3.5", site.text)
            return None
        port = port_of(site.port or rules.default_port)
        if port is None:
            self.why = Why("4.3.5", f"unknown service: {site.port or rules.default_port}/tcp")
            return None
        if rules.is_lmtp:
            site = replace(site, ask_mx=False)
        found = await self.exchanges.find(site, loops_matter=not rules.is_lmtp and port == 25)
        if isinstance(found, NoTarget):
            status = found.status
            if not found.is_temporary and (fallback or (rules.relayhost and self.job.nexthop == rules.relayhost)):
                status = "4.3.5"  # our own configuration's fault: the mail waits until it is mended
            self.why = Why(status, found.text)
            return None
        return site, port, found

    async def _try_all(self, site: Destination, port: int, targets: list[Target], *, final: bool) -> None:
        """Address by address, within smtp_mx_address_limit and smtp_mx_session_limit."""
        rules = self.client.rules
        targets = targets[: rules.address_limit or None]
        best = min((target.preference for target in targets), default=0)
        sessions = 0
        for number, target in enumerate(targets):
            last = final and number == len(targets) - 1
            peer = Peer(target.host, target.address, port)
            detect = port == 25 and not rules.is_lmtp and target.preference == best
            level = rules.tls
            while True:
                session = await self._session(peer, level, detect_loops=detect, last=last)
                if session is None and self.why.retry_plain and level is TlsLevel.MAY:
                    level = TlsLevel.NONE
                    continue
                break
            if session is not None:
                sessions += 1
                last = last or (final and sessions == rules.session_limit)
                await self._transfer(session, last=last)
            if not self._left() or (rules.session_limit and sessions >= rules.session_limit):
                return

    async def _unix(self, path: str) -> None:
        """lmtp(8) over a UNIX-domain socket; a relative path lies in queue_directory."""
        rules = self.client.rules
        peer = Peer(rules.myhostname, path, 0)
        level = rules.tls if rules.tls >= TlsLevel.ENCRYPT else TlsLevel.NONE
        session = await self._session(peer, level, detect_loops=False, last=True)
        if session is not None:
            await self._transfer(session, last=True)

    # -- one server --------------------------------------------------------------------------------------------

    async def _session(self, peer: Peer, level: TlsLevel, *, detect_loops: bool, last: bool) -> Session | None:
        """An open session; None where there is none, and then `why` says so and everybody settled that can be."""
        self.relay = "none"
        self.started = self.started if not self.outcomes else self.clock.monotonic()
        try:
            wire = await self._connect(peer)
        except OSError as trouble:
            where = peer.relay
            self.why = Why("4.4.1", f"connect to {where}: {os.strerror(trouble.errno or 0)}")
            self._skip("", self.why)
            return None
        session = Session(wire, peer, self.client.rules, self.job.nexthop, detect_loops=detect_loops)
        try:
            await session.open(level, self.client.contexts[level >= TlsLevel.ENCRYPT])
        except SessionFailed as ended:
            self.connected = self.clock.monotonic()
            self._give_up(ended.why, peer, last=last and not ended.why.retry_plain)
            await session.quit()
            return None
        except BaseException:
            wire.abort()
            raise
        self.connected = self.clock.monotonic()
        self.relay = peer.relay
        return session

    async def _connect(self, peer: Peer) -> Wire:
        rules = self.client.rules
        if not peer.port:
            path = peer.address if peer.address.startswith("/") else f"{self.client.queue_directory}/{peer.address}"
            return await connect_unix(path, rules.timeouts.connect)
        source = rules.bind6 if ":" in peer.address else rules.bind
        return await connect(peer.address, peer.port, rules.timeouts.connect, source)

    async def _transfer(self, session: Session, *, last: bool) -> None:
        """Hand the message over, and settle everybody whose answer is final."""
        left = self._left()
        recipients: list[Recipient] = [self.job.recipients[at] for at in left]
        broke: Why | None = None
        try:
            await session.transfer(self.job, recipients)
        except SessionFailed as ended:
            broke = ended.why
        except BaseException:
            await session.quit()
            raise
        peer = session.peer
        for at, answer in zip(left, session.answers, strict=False):
            if isinstance(answer, Delivered):
                self._settle(at, answer)
            elif answer is not None and (last or not answer.is_temporary):
                self._settle(at, answer.outcome(peer.relay))
            elif answer is not None:
                self.last[at] = (answer, peer.relay)
                self._skip(self.job.queue_id, answer)
        if broke is not None:
            self._give_up(broke, peer, last=last)
        await session.quit()

    def _give_up(self, why: Why, peer: Peer, *, last: bool) -> None:
        """A server that does not work out: the next one is tried, unless this was the last or it refused for good."""
        self.why, self.relay = why, peer.relay
        if why.is_temporary and not last:
            self._skip(self.job.queue_id, why)
            return
        for at in self._left():
            self._settle(at, why.outcome(peer.relay))

    def _skip(self, queue_id: str, why: Why) -> None:
        self.journal.write(ServerSkipped(at=self.clock.now(), queue_id=queue_id, reason=why.text))
