"""The sockets of spawn(8) services, as master(8) makes them: `private/NAME` or `public/NAME` in the queue, or a port.

They outlive generations: a reload opens those of services that are new, and closes those of services that are gone.
"""

from __future__ import annotations

import contextlib
import grp
import os
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TypeAlias

from seawall.config.master_cf import Service
from seawall.config.settings import Settings
from seawall.run import listeners as sockets
from seawall.run.configuration import Read
from seawall.run.listeners import BACKLOG, ListenTrouble
from seawall.run.messages import ListenerInfo
from seawall.run.privileges import Account
from seawall.run.spawn_services import spawn_places

Place: TypeAlias = tuple[str, str, int]
"""Where a socket is: its family, a path or a host, a port."""


class SpawnSockets:
    """All of them, owned by the supervisor.  `account` is mail_owner where we are root: the local ones are his."""

    def __init__(self, account: Account | None) -> None:
        self._account = account
        self._open: dict[Place, socket.socket] = {}

    def of(self, found: Read) -> list[tuple[ListenerInfo, socket.socket]]:
        """The sockets of a configuration, those that are open already among them.

        Raises ListenTrouble and has then opened nothing.
        """
        made: dict[Place, socket.socket] = {}
        result: list[tuple[ListenerInfo, socket.socket]] = []
        try:
            for at, service in spawn_places(found.services):
                for place, opening in self._places(at, service, found.settings):
                    if place not in self._open and place not in made:
                        made[place] = opening()
                    result.append((ListenerInfo(at, *place), self._open.get(place) or made[place]))
        except ListenTrouble:
            for listener in made.values():
                listener.close()
            raise
        self._open.update(made)
        return result

    def keep_only(self, infos: list[ListenerInfo]) -> None:
        """Close what a configuration that is in use now does not have."""
        wanted = {(info.family, info.address, info.port) for info in infos}
        for place in [place for place in self._open if place not in wanted]:
            self._open.pop(place).close()
            if place[0] == "unix":
                with contextlib.suppress(OSError), self._as_owner():
                    os.unlink(place[1])

    def close(self) -> None:
        """Close all."""
        self.keep_only([])

    def _places(
        self, at: int, service: Service, settings: Settings
    ) -> Iterator[tuple[Place, Callable[[], socket.socket]]]:
        if service.type == "inet":
            families = sockets.protocol_families(settings.words("inet_protocols"))
            interfaces = service.settings(settings).words("inet_interfaces")
            for address in sockets.addresses(at, service.name, interfaces, families):
                family = "ipv6" if address.family == socket.AF_INET6 else "ipv4"
                yield (family, address.host, address.port), partial(sockets.open_one, address)
        else:
            queue = Path(settings.path(settings.text("queue_directory")))
            path = queue / ("private" if service.private else "public") / service.name
            yield ("unix", str(path), 0), partial(self._local, path, settings)

    def _local(self, path: Path, settings: Settings) -> socket.socket:
        """A socket as master(8) makes it: mail_owner's, in a folder that decides who may connect."""
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            self._folder(path.parent, settings)
            with self._as_owner():
                path.unlink(missing_ok=True)
                before = os.umask(0o111)
                try:
                    listener.bind(str(path))
                finally:
                    os.umask(before)
            listener.listen(BACKLOG)
        except OSError as trouble:
            listener.close()
            raise ListenTrouble(f"cannot listen on {path}: {trouble.strerror or trouble}") from None
        return listener

    def _folder(self, folder: Path, settings: Settings) -> None:
        """`private`, for mail_owner alone, or `public`, for setgid_group as well, where it is missing.  postfix-files"""
        if folder.is_dir():
            return
        is_private = folder.name == "private"
        folder.mkdir(mode=0o700 if is_private else 0o710)
        if self._account is not None:
            group = 0 if is_private else _group(settings.text("setgid_group"), self._account.gid)
            os.chown(folder, self._account.uid, group, follow_symlinks=False)

    @contextmanager
    def _as_owner(self) -> Iterator[None]:
        """Be mail_owner to the file system: what lies in his folders root must not trust."""
        if self._account is None:
            yield
            return
        gid = os.getegid()
        os.setegid(self._account.gid)
        os.seteuid(self._account.uid)
        try:
            yield
        finally:
            os.seteuid(0)
            os.setegid(gid)


def _group(name: str, otherwise: int) -> int:
    try:
        return grp.getgrnam(name).gr_gid
    except KeyError:
        return otherwise
