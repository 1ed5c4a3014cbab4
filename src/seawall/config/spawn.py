"""What the arguments of a spawn(8) service say: ``user=filter:mail argv=/usr/bin/policyd --quiet``."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from seawall.config.master_cf import Service, paired_options
from seawall.config.source import ConfigTrouble

PROGRAM = "spawn"
SERVED_TYPES = frozenset({"unix", "inet"})
"""Kinds of services whose connections a command can have; `pass` and `fifo` have none to give."""


@dataclass(frozen=True, slots=True)
class SpawnWords:
    """A spawn(8) service as it is written: `group` is empty for the user's own, `words` are the command's."""

    user: str
    group: str
    words: tuple[str, ...]


def is_spawn(service: Service) -> bool:
    """True for a service that runs a command for each of its connections."""
    return os.path.basename(service.command) == PROGRAM


def read_spawn(service: Service) -> SpawnWords:
    """Parse ``user=`` and ``argv=``, which takes all that follow.  Raises ConfigTrouble in spawn(8)'s words."""
    user, group = "", ""
    words: tuple[str, ...] = ()
    where = service.location
    options = sum(1 if value is None else 2 for _, value in paired_options(service.arguments))
    arguments = service.arguments[options:]
    for at, word in enumerate(arguments):
        name, equals, value = word.partition("=")
        if equals and name.lower() == "user":
            user, _, group = value.partition(":")
        elif equals and name.lower() == "argv":
            words = (value, *arguments[at + 1 :])
            break
        else:
            raise ConfigTrouble(f"unknown attribute name: {word}", where)
    if not user:
        raise ConfigTrouble("missing user= attribute", where)
    if not words or not words[0]:
        raise ConfigTrouble("missing argv= attribute", where)
    if service.unprivileged:
        raise ConfigTrouble(f"service {service.name} requires privileged operation: write n in its third column", where)
    if service.type not in SERVED_TYPES:
        raise ConfigTrouble(f"a spawn service is of type unix or inet, not {service.type}", where)
    return SpawnWords(user, group, words)


def spawn_troubles(services: Sequence[Service]) -> Iterator[ConfigTrouble]:
    """What keeps spawn(8) services from being run, as far as master.cf alone tells."""
    for service in services:
        if is_spawn(service):
            try:
                read_spawn(service)
            except ConfigTrouble as trouble:
                yield trouble
