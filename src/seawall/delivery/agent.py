"""The delivery process's agents, joined: each job goes to the one that its transport names in master.cf."""

from __future__ import annotations

import grp
import os
import socket
from collections.abc import Iterable, Mapping
from dataclasses import replace

from seawall.clock import Clock, SystemClock
from seawall.config.master_cf import Service
from seawall.config.settings import ConfigTrouble, Settings
from seawall.delivery.children import Children
from seawall.delivery.direct import DirectDelivery
from seawall.delivery.local import LocalDelivery
from seawall.delivery.maildir import Maildirs, Step, no_step
from seawall.delivery.pipe import PipeDelivery, read_service
from seawall.delivery.refuse import DiscardDelivery, ErrorDelivery
from seawall.delivery.rounds import Rounds
from seawall.delivery.rules import read_rules
from seawall.delivery.trouble import as_deferred, failed
from seawall.delivery.virtual import VirtualDelivery
from seawall.delivery.work import FindUid, FindUser, Parts, Router
from seawall.delivery.writers import THREADS, Writers
from seawall.journal.record import Journal
from seawall.journey import Deliverer
from seawall.linux.identity import Borrower
from seawall.linux.users import User, find_user, find_user_of
from seawall.mail.job import Job
from seawall.mail.message import Message
from seawall.mail.outcome import Delivery, Outcome
from seawall.tables.registry import Tables
from seawall.tables.table import Use

UNAVAILABLE = "mail transport unavailable"

ALIASES = Use(substitute=False, trusted=True)
"""Alias tables may not build results from parts of the key, nor be tables that others can write.  local(8)"""


class System:
    """The host as delivery sees it: users, threads, children.  Outlives a configuration; a reload keeps it.

    Make it before the event loop runs, with the socket that `spawner.start_spawner` gave.
    """

    def __init__(
        self,
        spawner: socket.socket,
        clock: Clock | None = None,
        *,
        host: str = "",
        threads: int = THREADS,
        find_user: FindUser = find_user,
        find_uid: FindUid = find_user_of,
        step: Step = no_step,
    ) -> None:
        self.borrower = Borrower()
        self.writers = Writers(self.borrower, threads)
        self.children = Children(spawner)
        self.maildirs = Maildirs(host or socket.gethostname(), step)
        self.rounds = Rounds(self.borrower, self.maildirs, clock or SystemClock())
        self.find_user = find_user
        self.find_uid = find_uid

    def close(self) -> None:
        """Wait for the threads, let the spawner end."""
        self.rounds.close()
        self.writers.close()
        self.children.close()


class DeliveryAgent:
    """local(8), virtual(8), pipe(8), error(8), discard(8) of one configuration; implements journey.Deliverer.

    `services` are those of master.cf; `others` takes jobs that a mailbox_transport or fallback_transport gives to a
    transport that is not served here (smtp, lmtp).  Raises ConfigTrouble, TableUnsupported for what cannot be served.
    """

    def __init__(
        self,
        settings: Settings,
        tables: Tables,
        routing: Router,
        services: Iterable[Service],
        system: System,
        journal: Journal,
        clock: Clock,
        others: Deliverer | None = None,
    ) -> None:
        self._settings = settings
        self._tables = tables
        self._routing = routing
        self._system = system
        self._journal = journal
        self._clock = clock
        self._others = others
        self._soft_bounce = settings.flag("soft_bounce")
        self._agents: dict[str, Deliverer] = {}
        for service in services:
            if service.type != "inet":
                agent = self._make(service)
                if agent is not None:
                    self._agents[service.name] = agent
        local = {name: agent for name, agent in self._agents.items() if isinstance(agent, LocalDelivery)}
        virtual = {name: agent for name, agent in self._agents.items() if isinstance(agent, VirtualDelivery)}
        self._direct = (
            DirectDelivery(
                local,
                virtual,
                system.rounds,
                system.writers,
                settings.words("defer_transports"),
                soft_bounce=self._soft_bounce,
            )
            if local
            else None
        )

    @property
    def transports(self) -> frozenset[str]:
        """The transports that are served here."""
        return frozenset(self._agents)

    async def deliver(self, job: Job) -> Delivery:
        """One job.  Never raises for trouble with mail."""
        agent = self._agents.get(job.transport)
        if agent is None:
            return Delivery(tuple(failed("4.3.0", UNAVAILABLE) for _ in job.recipients))
        delivery = await agent.deliver(job)
        if self._soft_bounce and not job.is_probe:
            return Delivery(tuple(map(as_deferred, delivery.outcomes)), delivery.forwards)
        return delivery

    async def deliver_directly(self, message: Message) -> tuple[Outcome, ...] | None:
        """journey.DirectWay: into the Maildirs at once, or None with nothing written."""
        return None if self._direct is None else await self._direct.deliver(message)

    async def _pass_on(self, transport: str, job: Job) -> Delivery:
        """Give a job to ``transport:nexthop``; the job's own next hop stands where that names none."""
        name, _, nexthop = transport.partition(":")
        job = replace(job, transport=name, nexthop=nexthop or job.nexthop)
        if name in self._agents:
            return await self._agents[name].deliver(job)
        if self._others is not None:
            return await self._others.deliver(job)
        return Delivery(tuple(failed("4.3.0", UNAVAILABLE) for _ in job.recipients))

    def _make(self, service: Service) -> Deliverer | None:
        """The agent behind a service; None for a program that is not one of ours."""
        settings = service.settings(self._settings)
        system = self._system
        match os.path.basename(service.command):
            case "local":
                return LocalDelivery(self._local_parts(service.name, settings))
            case "virtual":
                if not settings.text("virtual_mailbox_base"):
                    return None  # virtual(8) would stop at its first mail; a site without virtual mailboxes has none
                return VirtualDelivery(
                    settings, self._tables, system.writers, system.maildirs, self._journal, self._clock, service.name
                )
            case "pipe":
                read = read_service(service.arguments, system.find_user, find_group, service.location)
                return PipeDelivery(settings, read, service.name, system.children, system.borrower, self._clock)
            case "error":
                return ErrorDelivery(service.name)
            case "discard":
                return DiscardDelivery()
            case _:
                return None

    def _local_parts(self, name: str, settings: Settings) -> Parts:
        system, tables = self._system, self._tables

        def maps(parameter: str) -> str:
            return settings.text(parameter)

        return Parts(
            service=name,
            settings=settings,
            rules=read_rules(settings, self._default_user(settings)),
            alias_maps=tables.maps(maps("alias_maps"), ALIASES, title="alias_maps"),
            command_maps=tables.maps(maps("mailbox_command_maps"), ALIASES, title="mailbox_command_maps"),
            transport_maps=tables.maps(
                maps("mailbox_transport_maps"), Use(substitute=False), title="mailbox_transport_maps"
            ),
            fallback_maps=tables.maps(
                maps("fallback_transport_maps"), Use(substitute=False), title="fallback_transport_maps"
            ),
            routing=self._routing,
            writers=system.writers,
            children=system.children,
            maildirs=system.maildirs,
            journal=self._journal,
            clock=self._clock,
            find_user=system.find_user,
            find_uid=system.find_uid,
            pass_on=self._pass_on,
            environment=self._environment(settings),
        )

    def _default_user(self, settings: Settings) -> User:
        name = settings.text("default_privs")
        try:
            user = self._system.find_user(name)
        except OSError as trouble:
            raise ConfigTrouble(f"default_privs: {name}: {trouble}", settings.where("default_privs")) from trouble
        if user is None:
            raise ConfigTrouble(f"default_privs: unknown user: {name}", settings.where("default_privs"))
        return user

    @staticmethod
    def _environment(settings: Settings) -> Mapping[str, str]:
        """What commands may inherit, named by export_environment."""
        return {**os.environ, "MAIL_CONFIG": settings.directory}


def find_group(name: str) -> int | None:
    """The number of a group, None where there is none."""
    try:
        return grp.getgrnam(name).gr_gid
    except KeyError:
        return None
