"""The delivery process: local(8), virtual(8), pipe(8), error(8), discard(8)."""

from __future__ import annotations

import asyncio
import socket

from seawall.config.settings import ConfigTrouble
from seawall.delivery.agent import DeliveryAgent, System
from seawall.delivery.spawner import start_spawner
from seawall.run.build import Common, PartBase, make_common
from seawall.run.child import ChildTrouble, Given
from seawall.run.links import DeliveryService
from seawall.tables.table import TableUnsupported


class DeliveryPart(PartBase):
    """Answers jobs and direct deliveries of all who are linked."""

    def __init__(self, common: Common, agent: DeliveryAgent, system: System) -> None:
        super().__init__(common)
        self._system = system
        self._service = DeliveryService(agent.deliver_directly, agent.deliver)

    def linked(self, peer: str, index: int, end: socket.socket) -> None:
        """A worker or the queue manager asks here."""
        self._service.serve(end)

    @property
    def sessions(self) -> int:
        """Requests under way."""
        return self._service.under_way

    async def drain(self, seconds: float, farewell: bool) -> None:
        """Finish what was begun: half a delivery is worse than a late end."""
        try:
            await asyncio.wait_for(self._service.idle(), seconds)
        except TimeoutError:
            self.common.warn("master", f"delivery process ends with {self._service.under_way} deliveries under way")
        self._service.close()
        await super().drain(seconds, farewell)


def build_delivery(given: Given) -> DeliveryPart:
    """The delivery process's part.  The spawner is forked first, before there is a thread."""
    spawner = start_spawner()
    common = make_common(given)
    try:
        system = System(spawner, common.clock)
        agent = DeliveryAgent(
            common.settings, common.tables, common.routing(), common.services, system, common.journal, common.clock
        )
    except (ConfigTrouble, TableUnsupported) as trouble:
        raise ChildTrouble(str(trouble)) from trouble
    return DeliveryPart(common, agent, system)
