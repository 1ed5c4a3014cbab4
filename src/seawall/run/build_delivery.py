"""The delivery process: local(8), virtual(8), pipe(8), error(8), discard(8)."""

from __future__ import annotations

import asyncio
import os
import socket
import stat
from functools import partial

from seawall.config.settings import ConfigTrouble
from seawall.delivery.agent import DeliveryAgent, System
from seawall.delivery.spawner import start_spawner
from seawall.linux import capabilities
from seawall.run.build import Common, PartBase, make_common
from seawall.run.child import ChildTrouble, Given
from seawall.run.links import DeliveryService, JobLink
from seawall.run.privileges import ACT_AS_RECIPIENT, RUN_AS_RECIPIENT, Powers, become, find_account
from seawall.tables.table import TableUnsupported

OF_ROOT = frozenset({capabilities.CHOWN, capabilities.DAC_OVERRIDE})
"""What local(8) needs, while it acts as root, to give a user his first mailbox file in a folder of root's."""

RELAY_PATIENCE = 5.0
"""Seconds to wait for a queue manager to relay through: whoever gave us the job is one, and only its link may be late."""


class DeliveryPart(PartBase):
    """Answers jobs and direct deliveries of all who are linked."""

    def __init__(self, common: Common, agent: DeliveryAgent, system: System, relay: JobLink) -> None:
        super().__init__(common)
        self._system = system
        self._relay = relay
        self._service = DeliveryService(agent.deliver_directly, agent.deliver, partial(common.warn, "delivery"))

    @property
    def powers(self) -> Powers:
        """To be whoever gets the mail; more only where mailbox files lie in a folder that root alone may write to."""
        return Powers(ACT_AS_RECIPIENT, OF_ROOT if any(map(_is_of_root, self._spools())) else frozenset())

    def _spools(self) -> list[str]:
        """The folders in which local services keep mailbox files."""
        found = []
        for _, service in self.common.services_with("local"):
            settings = service.settings(self.common.settings)
            folder = settings.text("mail_spool_directory")
            if not settings.text("home_mailbox") and not folder.endswith("/"):
                found.append(settings.path(folder))
        return found

    async def begin(self) -> None:
        """Deliver, as whoever we are now."""
        self._system.borrower.remember()
        self._system.children.watch(self._end)
        await super().begin()

    def _end(self) -> None:
        """Without its spawner this process is of no use: let the supervisor replace both.

        At once, as if it were killed: what was under way is tried again, and a thread that writes may hang.
        """
        self.common.warn("master", "the process that runs commands is gone: the delivery process ends with it")
        self.common.journal.flush()
        os._exit(71)

    def linked(self, peer: str, index: int, end: socket.socket, *, asks: bool) -> None:
        """A worker or the queue manager asks here; the queue manager is asked for smtp and lmtp."""
        if asks:
            self._relay.renew(end)
        else:
            self._service.serve(end)

    @property
    def sessions(self) -> int:
        """Requests under way."""
        return self._service.under_way

    async def drain(self, seconds: float, farewell: bool) -> None:
        """Finish what was begun: half a delivery is worse than a late end.

        At the end of everything, also what those who ask have yet to finish: without a supervisor (killed) all drain
        at once.
        """
        try:
            await asyncio.wait_for(self._finished(farewell), seconds)
        except TimeoutError:
            self.common.warn("master", f"delivery process ends with {self._service.under_way} deliveries under way")
        self._service.close()
        self._relay.close()
        await super().drain(seconds, farewell)

    async def _finished(self, at_the_end: bool) -> None:
        if at_the_end:
            await self._service.deserted()
        await self._service.idle()


def _is_of_root(folder: str) -> bool:
    """True where neither a group nor everybody may make files there."""
    try:
        return not os.stat(folder).st_mode & (stat.S_IWGRP | stat.S_IWOTH)
    except OSError:
        return False


def build_delivery(given: Given) -> DeliveryPart:
    """The delivery process's part.  The spawner is forked first, before there is a thread."""
    account = find_account(given.start.user) if given.start.user else None
    spawner = start_spawner(lambda: become(account, RUN_AS_RECIPIENT) if account is not None else None)
    common = make_common(given)
    try:
        system = System(spawner, common.clock)
        relay = JobLink(patience=RELAY_PATIENCE, tries=1)  # whose queue manager died wants no answer any more
        agent = DeliveryAgent(
            common.settings,
            common.tables,
            common.routing(),
            common.services,
            system,
            common.journal,
            common.clock,
            relay,
        )
    except (ConfigTrouble, TableUnsupported) as trouble:
        raise ChildTrouble(str(trouble)) from trouble
    return DeliveryPart(common, agent, system, relay)
