"""The spawn process: runs a command for each connection to a spawn(8) service of master.cf.

It holds what it takes to become a service's user and to end his command, and nothing else; it reads nothing that a
client sends, and has no threads, since it forks.
"""

from __future__ import annotations

import socket

from seawall.config.settings import ConfigTrouble
from seawall.run.build import Common, PartBase, make_common
from seawall.run.child import ChildTrouble, Given
from seawall.run.privileges import RUN_AS_RECIPIENT, Powers
from seawall.run.spawn_connections import SpawnConnections
from seawall.run.spawn_services import SpawnService, read_service, spawn_places


class SpawnPart(PartBase):
    """Accepts, forks, and tells how commands end."""

    def __init__(self, common: Common, services: dict[int, SpawnService]) -> None:
        super().__init__(common)
        self._listeners = [(info.service, listener) for info, listener in common.given.listeners]
        self._connections = SpawnConnections(services, common.journal, common.clock)

    @property
    def powers(self) -> Powers:
        """To run a command as its user, and to end it."""
        return RUN_AS_RECIPIENT

    async def begin(self) -> None:
        """Accept."""
        await super().begin()
        self._connections.begin(self._listeners)

    def linked(self, peer: str, index: int, end: socket.socket, *, asks: bool) -> None:
        """Nobody asks here but by the services' own sockets."""
        end.close()

    @property
    def sessions(self) -> int:
        """Commands under way."""
        return self._connections.count

    async def drain(self, seconds: float, farewell: bool) -> None:
        """Let commands finish with their clients."""
        await self._connections.drain(seconds)
        await super().drain(seconds, farewell)


def build_spawn(given: Given) -> SpawnPart:
    """The spawn process's part.  Raises ChildTrouble for a service that spawn(8) would refuse."""
    common = make_common(given)
    try:
        services = {at: read_service(service, common.settings) for at, service in spawn_places(common.services)}
    except (ConfigTrouble, OSError) as trouble:
        raise ChildTrouble(str(trouble)) from trouble
    return SpawnPart(common, services)
