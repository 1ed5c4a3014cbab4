"""What the rules look at: one configuration, the views that its SMTP servers have of it, and the tables it names."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

from seawall.cli.lint.checks import Listing, read_listings
from seawall.cli.lint.written import Assignment, Word, read_assignments, words_of
from seawall.config.main_cf import read_text
from seawall.config.master_cf import STANDARD, Entry, Service, is_disabled, make_service, parse_entries
from seawall.config.settings import Settings
from seawall.config.source import ConfigTrouble, Location

Answer = TypeVar("Answer")

MX, SUBMISSION, WRAPPED, OTHER = "mx", "submission", "wrapped", "other"
ROLES: Mapping[str, str] = {
    "smtp": MX,
    "25": MX,
    "smtpd": MX,  # behind postscreen(8)
    "submission": SUBMISSION,
    "587": SUBMISSION,
    "submissions": WRAPPED,
    "smtps": WRAPPED,
    "465": WRAPPED,
}
"""What an SMTP server is for, by the port in its service's name."""


class Calm:
    """A configuration to ask without trouble: a value that cannot be read is told once, by its own rule, and here
    counts as its default, or as nothing."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings

    def text(self, name: str) -> str:
        """The expanded value; empty for one that cannot be read."""
        try:
            return self.settings.text(name)
        except ConfigTrouble:
            return ""

    def words(self, name: str) -> tuple[str, ...]:
        """The words of a value; none for one that cannot be read."""
        try:
            return self.settings.words(name)
        except ConfigTrouble:
            return ()

    def flag(self, name: str) -> bool:
        """yes or no; no for one that cannot be read."""
        try:
            return self.settings.flag(name)
        except ConfigTrouble:
            return False

    def number(self, name: str) -> int | None:
        """The number; None for one that cannot be read."""
        try:
            return self.settings.number(name)
        except ConfigTrouble:
            return None

    def seconds(self, name: str) -> float | None:
        """The time; None for one that cannot be read."""
        try:
            return self.settings.seconds(name)
        except ConfigTrouble:
            return None

    def is_set(self, name: str) -> bool:
        """True where it is set anywhere."""
        return self.settings.is_set(name)

    def where(self, name: str) -> Location | None:
        """Where it is set."""
        return self.settings.where(name)


class View(Calm):
    """What one SMTP server sees; where master.cf has none, what main.cf says."""

    def __init__(self, settings: Settings, service: Service | None, assignments: dict[str, Assignment]) -> None:
        super().__init__(settings)
        self.service = service
        self._assignments = assignments
        self.lists, self.classes = read_listings(self)

    @property
    def role(self) -> str:
        """What the server is for."""
        if self.service is None:
            return MX
        return ROLES.get(self.service.name.rpartition(":")[2], OTHER)

    @property
    def name(self) -> str:
        """``smtp/inet``; empty for main.cf alone."""
        return f"{self.service.name}/{self.service.type}" if self.service else ""

    @property
    def main_says(self) -> Mapping[str, Assignment]:
        """What main.cf assigns."""
        return self._assignments

    def placed(self, name: str) -> tuple[Word, ...]:
        """The words of a list, each with its line."""
        return words_of(self.settings, name, self._assignments)

    def listings(self) -> Iterator[Listing]:
        """Every restriction list, and every class that a list uses."""
        yield from self.lists.values()
        yield from self.classes.values()


@dataclass(frozen=True, slots=True, kw_only=True)
class Site:
    """One configuration.  `now` is the time of the examination, in seconds since 1970."""

    main: Calm
    assignments: tuple[Assignment, ...]
    entries: tuple[Entry, ...]
    services: tuple[Service, ...]
    views: tuple[View, ...]
    master_trouble: ConfigTrouble | None
    now: float
    has_master: bool = True
    last: dict[str, Assignment] = field(default_factory=dict)
    memory: dict[str, Any] = field(default_factory=dict)

    def once(self, what: str, make: Callable[[], Answer]) -> Answer:
        """What several rules look at, made by the first that asks."""
        if what not in self.memory:
            self.memory[what] = make()
        answer: Answer = self.memory[what]
        return answer

    @property
    def settings(self) -> Settings:
        """main.cf."""
        return self.main.settings

    def placed(self, name: str) -> tuple[Word, ...]:
        """The words of a parameter of main.cf, each with its line."""
        return words_of(self.settings, name, self.last)

    def mx_views(self) -> Iterator[View]:
        """The servers that strangers' mail comes to: on port 25, or where there is none on others of one's own."""
        found = [view for view in self.views if view.role == MX]
        return iter(found or [view for view in self.views if view.role == OTHER])

    def scopes(self) -> Iterator[tuple[Calm, Service | None]]:
        """main.cf, then what each service of master.cf makes of it."""
        yield self.main, None
        for service in self.services:
            yield Calm(service.settings(self.settings)), service


def read_site(settings: Settings, now: float) -> Site:
    """Read all that a configuration consists of.  Never raises: trouble is kept."""
    assignments = read_assignments(settings)
    last = {each.name: each for each in assignments}
    trouble: ConfigTrouble | None = None
    entries: tuple[Entry, ...] = ()
    services: tuple[Service, ...] = ()
    file = f"{settings.directory}/master.cf"
    has_master = os.path.exists(settings.path(file))
    try:
        entries = parse_entries(read_text(settings.path(file)) if has_master else STANDARD, file)
        services = make_services(entries, settings)
    except ConfigTrouble as found:
        trouble = found
    smtpd = [service for service in services if os.path.basename(service.command) == "smtpd"]
    views = tuple(View(place_overrides(each, settings), each, last) for each in smtpd)
    return Site(
        main=Calm(settings),
        assignments=assignments,
        entries=entries,
        services=services,
        views=views or (View(settings, None, last),),
        master_trouble=trouble,
        now=now,
        has_master=has_master,
        last=last,
    )


def make_services(entries: tuple[Entry, ...], settings: Settings) -> tuple[Service, ...]:
    """The services that are not disabled.  Raises ConfigTrouble."""
    disabled = settings.words("master_service_disable")
    return tuple(make_service(entry, settings) for entry in entries if not is_disabled(entry, disabled))


def place_overrides(service: Service, settings: Settings) -> Settings:
    """What a service sees, with each ``-o`` at its own line."""
    view = service.settings(settings)
    try:
        lines = read_text(settings.path(service.location.file)).split("\n")
    except ConfigTrouble:
        return view
    for name, value in service.overrides.items():
        for number in range(service.location.line, len(lines) + 1):
            line = lines[number - 1]
            if number > service.location.line and line[:1] not in (" ", "\t", "#", ""):
                break
            if not line.lstrip().startswith("#") and names_option(line, name):
                view = view.with_overrides({name: value}, Location(service.location.file, number))
    return view


def names_option(line: str, name: str) -> bool:
    """True for a line that says ``-o name=`` or ``-o { name =``."""
    at = line.find(name)
    while at >= 0:
        before, after = line[:at].rstrip(" \t{"), line[at + len(name) :].lstrip()
        if before.endswith("-o") and after.startswith("="):
            return True
        at = line.find(name, at + 1)
    return False
