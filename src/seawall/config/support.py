"""What of a configuration Seawall does not do, and whether that stops the start.

`findings` names every parameter that is set, not acted on, and not at its default; `stopping` are those for which no
server may start.  The rows are in `registry/unsupported.py`.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from seawall.config.master_cf import Service
from seawall.config.registry.unsupported import Act, not_served, unsupported
from seawall.config.settings import Settings
from seawall.config.source import ConfigTrouble, Location
from seawall.config.spawn import spawn_troubles

IGNORE_PARAMETERS = "seawall_ignore_parameters"


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One thing that is asked for and not done: a parameter, or a program of master.cf."""

    name: str
    value: str
    act: Act
    consequence: str
    remedy: str
    location: Location | None

    @property
    def stops(self) -> bool:
        """True where no server may start."""
        return self.act is Act.STOP

    def what(self) -> str:
        """The fact, without place and remedy."""
        return f"{self.name} is {'not implemented' if self.stops else 'ignored'}: {self.consequence}"

    def __str__(self) -> str:
        where = f"{self.location}: " if self.location else ""
        return f"{where}{self.what()}" + (f"; {self.remedy}" if self.remedy else "")


def findings(settings: Settings, services: Sequence[Service]) -> Iterator[Finding]:
    """Everything that is set and not done, main.cf first, then each service of master.cf.  Never raises."""
    ignored = frozenset(word_list(settings, IGNORE_PARAMETERS))
    programs = frozenset(os.path.basename(service.command) for service in services)
    yield from in_scope(settings, tuple(settings.values), ignored, programs)
    for service in services:
        yield from unserved([service], ignored)
        local = service.settings(settings)
        program = os.path.basename(service.command)
        yield from in_scope(local, tuple(service.overrides), ignored, frozenset({program}))


def unserved(services: Sequence[Service], ignored: frozenset[str] = frozenset()) -> Iterator[Finding]:
    """The services of master.cf behind which there will be nobody, or not what they ask for."""
    for service in services:
        program = os.path.basename(service.command)
        row = not_served(program, service.type, service.chroot)
        if row is not None:
            stops = row.act is Act.STOP and program not in ignored
            yield Finding(
                name=f"{program} ({service.name}/{service.type})",
                value="",
                act=Act.STOP if stops else Act.IGNORE,
                consequence=row.consequence,
                remedy=f"take the service out, or put '{program}' into {IGNORE_PARAMETERS}" if stops else "",
                location=service.location,
            )


def in_scope(
    settings: Settings, names: tuple[str, ...], ignored: frozenset[str], programs: frozenset[str]
) -> Iterator[Finding]:
    """The findings among some parameters of one view of the configuration."""
    for name in names:
        row = unsupported(name)
        if row is None or (row.program and row.program not in programs) or is_default(settings, name):
            continue
        stops = row.act is Act.STOP and name not in ignored
        yield Finding(
            name=name,
            value=settings.raw(name),
            act=Act.STOP if stops else Act.IGNORE,
            consequence=row.consequence,
            remedy=f"take it out, or put its name into {IGNORE_PARAMETERS}" if stops else "",
            location=settings.where(name),
        )


def is_default(settings: Settings, name: str) -> bool:
    """True where the value is the default, written out; False for one that cannot be read."""
    default = settings.default(name)
    try:
        return default is not None and settings.expand(settings.raw(name)) == settings.expand(default)
    except ConfigTrouble:
        return False


def word_list(settings: Settings, name: str) -> tuple[str, ...]:
    """The words of a list; none where it cannot be read."""
    try:
        return settings.words(name)
    except ConfigTrouble:
        return ()


def stopping(settings: Settings, services: Sequence[Service]) -> tuple[Finding, ...]:
    """The findings for which a server must not start."""
    return tuple(finding for finding in findings(settings, services) if finding.stops)


def bad_values(settings: Settings, services: Sequence[Service]) -> Iterator[ConfigTrouble]:
    """Every value that a Postfix program would stop at, each once, main.cf first."""
    seen: set[str] = set()
    yield from spawn_troubles(services)
    for view, names in (
        (settings, settings.names()),
        *((service.settings(settings), tuple(service.overrides)) for service in services),
    ):
        for name in names:
            try:
                view.check(name)
            except ConfigTrouble as trouble:
                if str(trouble) not in seen:
                    seen.add(str(trouble))
                    yield trouble
