"""The spawn(8) services of a master.cf: for which connections which command is run, as whom, how often, how long."""

from __future__ import annotations

import grp
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from seawall.config.master_cf import Service
from seawall.config.settings import ConfigTrouble, Settings
from seawall.config.source import Location
from seawall.config.spawn import SpawnWords, is_spawn, read_spawn
from seawall.delivery.spawner import clean_environment
from seawall.linux.identity import Identity
from seawall.linux.users import find_user
from seawall.run.privileges import is_root

NOBODYS = 0xFFFFFFFF
"""The id -1, which stands for no user and no group."""


@dataclass(frozen=True, slots=True)
class SpawnService:
    """One service: `most` commands at a time (0: any number), each for at most `seconds`, from `directory`."""

    name: str
    words: tuple[str, ...]
    identity: Identity
    seconds: float
    most: int
    directory: str
    environment: Mapping[str, str]
    syslog_name: str = ""


def spawn_places(services: Sequence[Service]) -> Iterator[tuple[int, Service]]:
    """The spawn services with their positions in master.cf."""
    return ((at, service) for at, service in enumerate(services) if is_spawn(service))


def read_service(service: Service, settings: Settings) -> SpawnService:
    """What a service asks for, with its user looked up.  Raises ConfigTrouble in spawn(8)'s words."""
    words = read_spawn(service)
    view = service.settings(settings)
    directory = settings.root + settings.directory
    return SpawnService(
        name=service.name,
        words=words.words,
        identity=identity_of(words, settings.text("mail_owner"), service.location),
        seconds=view.seconds(f"{service.name}_time_limit"),
        most=service.maxproc,
        directory=settings.path(settings.text("queue_directory")),
        environment=clean_environment({**os.environ, "MAIL_CONFIG": directory}, view.words("export_environment")),
        syslog_name=service.overrides.get("syslog_name", "") and view.text("syslog_name"),
    )


def identity_of(words: SpawnWords, mail_owner: str, where: Location | None) -> Identity:
    """Who runs the command: its `user=`; without root's power only whoever we are.  Raises ConfigTrouble."""
    if not is_root():
        return Identity(os.geteuid(), os.getegid())
    user, owner = find_user(words.user), find_user(mail_owner)
    if user is None:
        raise ConfigTrouble(f"unknown user name: {words.user}", where)
    gid = group_id(words.group, where) if words.group else user.gid
    if user.uid == 0:
        raise ConfigTrouble("request to deliver as root", where)
    if gid == 0:
        raise ConfigTrouble(f"request to use privileged group id {gid}", where)
    if owner is not None and user.uid == owner.uid:
        raise ConfigTrouble("request to deliver as mail system owner", where)
    if owner is not None and gid == owner.gid:
        raise ConfigTrouble(f"request to use mail system owner group id {gid}", where)
    if NOBODYS in (user.uid, gid):
        raise ConfigTrouble("user must not have user or group ID -1", where)
    return Identity(user.uid, gid)


def group_id(name: str, where: Location | None) -> int:
    """The number of a group.  Raises ConfigTrouble."""
    try:
        return grp.getgrnam(name).gr_gid
    except KeyError:
        raise ConfigTrouble(f"unknown group name: {name}", where) from None


def run_as_another(services: Sequence[Service]) -> Iterator[str]:
    """What to say at a start without root's power: commands that were to run as somebody else."""
    if is_root():
        return
    own = os.geteuid()
    for _, service in spawn_places(services):
        wanted = read_spawn(service).user
        user = find_user(wanted)
        if user is None or user.uid != own:
            yield (
                f"{service.location}: {service.name}: without root's power its command runs as "
                f"uid {own}, not as user={wanted}"
            )
