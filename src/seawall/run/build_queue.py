"""The queue manager's process: qmgr(8), pickup(8), bounce(8), smtp(8), lmtp(8), and what local programs hand in."""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
import socket
import time
from functools import partial

from seawall.bounce.when import Reporting
from seawall.config.settings import ConfigTrouble
from seawall.delivery.smtp import SmtpDelivery
from seawall.dns.hosts import Hosts
from seawall.dns.names import Names
from seawall.intake.cleanup import Cleanup
from seawall.mail.job import Job
from seawall.mail.message import Message
from seawall.mail.outcome import Deferred, Delivery
from seawall.policy.world import address_kinds, filtered
from seawall.routing.mx import Exchanges
from seawall.routing.resolve import Routing
from seawall.run import messages as m
from seawall.run.build import Common, PartBase, make_common, seconds_left
from seawall.run.build_verify import VerifyService
from seawall.run.channel import Channel
from seawall.run.child import ChildTrouble, Given
from seawall.run.links import DeliveryService, JobLink
from seawall.spool.control import Control, Request, serve_control
from seawall.spool.disk import Disk
from seawall.spool.hands import Hands
from seawall.spool.manager import Ports, QueueManager
from seawall.spool.permission import allowed_by
from seawall.spool.pickup import Pickup
from seawall.spool.rules import rules_of
from seawall.spool.submission import SubmissionServer, serve_submission
from seawall.spool.visits import Visits
from seawall.spool.writer import QueueWriter
from seawall.tables.table import TableUnsupported

WITHOUT_DELIVERY = 3.0
"""Seconds that a drain takes at most where there is no delivery process; ours: most remote servers answer in less."""
PICKUP_EVERY = 60.0
"""Seconds between two looks into the maildrop, as master.cf wakes pickup(8) up."""


NOBODY = Deferred(status="4.3.0", text="mail transport unavailable", transport="retry")
"""Of a transport that master.cf does not have: the retry service says so, as in Postfix."""


async def _no_direct_way(message: Message) -> None:
    """Mailboxes are not written here."""


class Agents:
    """journey.Deliverer: smtp(8) and lmtp(8) here, everything else in the delivery process."""

    def __init__(self, smtp: SmtpDelivery, others: JobLink, served: frozenset[str]) -> None:
        self._smtp = smtp
        self._others = others
        self._served = served

    async def deliver(self, job: Job) -> Delivery:
        """One job, to whom its transport belongs."""
        if job.transport in self._smtp.transports:
            return await self._smtp.deliver(job)
        if job.transport in self._served:
            return await self._others.deliver(job)
        return Delivery((NOBODY,) * len(job.recipients))


class QueuePart(PartBase):
    """The queue and all that goes with it."""

    def __init__(self, common: Common, routing: Routing) -> None:
        super().__init__(common)
        settings, clock, journal = common.settings, common.clock, common.journal
        self._routing = routing
        self._rules = rules_of(settings, common.services)
        self._size_limit = settings.number("message_size_limit")
        self._reporting = Reporting(settings, journal, clock)
        self._jobs = JobLink()
        self._smtp = SmtpDelivery(
            settings, common.services, self._exchanges("smtp_"), journal, clock, self._exchanges("lmtp_")
        )
        self._relays = DeliveryService(_no_direct_way, self._smtp.deliver, partial(common.warn, "qmgr"))
        self._manager, self._intake = self._make_manager()
        self._verify = VerifyService(common, self._manager, self._intake)
        self._servers: list[asyncio.Server] = []
        self._visits: tuple[Visits, ...] = ()
        self._control: Control | None = None
        self._tasks: list[asyncio.Task[None]] = []

    def _exchanges(self, prefix: str) -> Exchanges:
        """How smtp(8) or, with ``lmtp_``, lmtp(8) finds servers."""
        settings, common = self.common.settings, self.common
        dns = filtered(settings, common.tables, f"{prefix}dns_reply_filter", common.resolver)
        names = Names(dns, Hosts.read(settings.path("/etc/hosts")), address_kinds(settings))
        return Exchanges(
            dns,
            names,
            self._routing.interfaces.has,
            random.random,
            shuffled=settings.flag(f"{prefix}randomize_addresses"),
            ignore_mx_errors=settings.flag("ignore_mx_lookup_error"),
            defer_if_no_address=settings.flag(f"{prefix}defer_if_no_mx_address_found"),
            last_kind=address_kinds(settings)[-1],
        )

    def _make_manager(self) -> tuple[QueueManager, Cleanup]:
        common = self.common
        hands, disk = Hands(), Disk()
        writer = QueueWriter(common.places, self._announce, disk=disk, hands=hands)
        intake = Cleanup(
            common.settings,
            self._routing,
            common.tables,
            writer,
            None,
            common.journal,
            common.clock,
            common.queue_ids,
        )
        served = frozenset(service.name for service in common.services if service.type != "inet")
        agents = Agents(self._smtp, self._jobs, served)
        ports = Ports(
            self._routing,
            agents,
            intake,
            self._reporting,
            common.journal,
            common.clock,
            Routing(common.settings, common.tables, verify=True),
        )
        return QueueManager(common.places, self._rules, ports, disk=disk, hands=hands), intake

    def _announce(self, queue_id: str) -> None:
        self._manager.announce(queue_id)

    async def begin(self) -> None:
        """Recover the queue, then serve."""
        await super().begin()
        common = self.common
        self._tasks.append(asyncio.get_running_loop().create_task(self._run_manager(self._manager)))
        self._verify.begin()
        allowed = allowed_by(common.settings, common.tables)
        submission = SubmissionServer(self._intake, common.journal, common.clock, self._size_limit, allowed)
        self._control = control = Control(self._manager, allowed)
        self._visits = (submission.visits, control.visits)
        local = {info.address: listener for info, listener in common.given.listeners}
        self._servers.append(await serve_control(control, local[os.path.basename(common.places.control_socket)]))
        self._servers.append(await serve_submission(submission, local[os.path.basename(common.places.submit_socket)]))
        pickup = Pickup(
            common.places,
            self._intake,
            common.journal,
            common.clock,
            self._size_limit,
            disk=Disk(),
            hands=self._manager.hands,
        )
        self._tasks.append(asyncio.get_running_loop().create_task(self._pick_up(pickup)))

    async def _run_manager(self, manager: QueueManager) -> None:
        """The manager, until it is stopped; what ends it otherwise ends this process, and a new one recovers."""
        try:
            await manager.run()
        except OSError as trouble:
            self.common.warn("qmgr", f"the queue cannot be managed: {trouble}")
            self.common.journal.flush()
            raise SystemExit(71) from trouble

    async def _pick_up(self, pickup: Pickup) -> None:
        while True:
            with contextlib.suppress(OSError):
                await pickup.sweep()
            await asyncio.sleep(PICKUP_EVERY)

    def linked(self, peer: str, index: int, end: socket.socket, *, asks: bool) -> None:
        """Workers announce; the delivery process is asked, and has mail of its users relayed (mailbox_transport)."""
        if asks:
            self._jobs.renew(end)
        elif peer == "delivery":
            self._relays.serve(end)
        else:
            channel: Channel[m.LinkMessage] = Channel(
                end, m.LinkMessage, lambda message, fds: self._heard(channel, message), lambda: None
            )

    def _heard(self, channel: Channel[m.LinkMessage], message: m.LinkMessage) -> None:
        if isinstance(message, m.Announce):
            self._announce(message.queue_id)
        elif isinstance(message, m.Flush) and self._control is not None:
            self._control.flush(Request(do="flush", site=message.domain))
        elif isinstance(message, m.VerifyRequest):
            self._verify.asked(channel, message)

    @property
    def sessions(self) -> int:
        """Messages in a delivery attempt."""
        return len(self._manager.active)

    async def drain(self, seconds: float, farewell: bool) -> None:
        """Begin no delivery, let those under way end; the rest is on disk.

        Without a delivery process most of them wait for one in vain, and the others have less time.
        """
        end = time.monotonic() + (seconds if self._jobs.is_linked else min(seconds, WITHOUT_DELIVERY))
        for server in self._servers:
            server.close()
        with contextlib.suppress(TimeoutError):  # a submission under way is taken to its end
            await asyncio.wait_for(asyncio.gather(*(visits.quiet() for visits in self._visits)), seconds_left(end))
        await self._verify.stop()
        await self._manager.stop(seconds_left(end))
        for task in self._tasks:
            task.cancel()
        self._jobs.close()
        self._relays.close()
        await super().drain(seconds, farewell)


def build_queue_manager(given: Given) -> QueuePart:
    """The queue manager's part."""
    common = make_common(given)
    try:
        return QueuePart(common, common.routing())
    except (ConfigTrouble, TableUnsupported) as trouble:
        raise ChildTrouble(str(trouble)) from trouble
