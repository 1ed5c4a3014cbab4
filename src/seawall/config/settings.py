"""A configuration to ask: typed values of parameters, expanded, with file and line for every complaint.

``Settings`` is what every stage is given.  It is a view that never changes: a master.cf override, ``stress = yes`` or
a rehearsal derive another one with `with_overrides`.  postconf(5)
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from types import MappingProxyType
from typing import TypeVar

from seawall.config import host as hosts
from seawall.config.expand import expand
from seawall.config.host import Host
from seawall.config.main_cf import MainCf, Value, Warned, parse_main_cf, read_text
from seawall.config.parameter import (
    Kind,
    Parameter,
    read_flag,
    read_number,
    read_time,
    split_words,
)
from seawall.config.parameter import read_text as read_text_value
from seawall.config.registry import REGISTRY
from seawall.config.registry.templates import base_of
from seawall.config.source import ConfigTrouble, Location

Answer = TypeVar("Answer")

__all__ = ["ConfigTrouble", "Location", "Settings", "load"]

DEFAULT_DIRECTORY = "/etc/postfix"
DEFAULT_DOMAIN = "localdomain"
"""Where the host's name has no domain.  Postfix DEF_MYDOMAIN"""


def parameter_of(name: str) -> Parameter | None:
    """What is known of a parameter by its own name or its template; None for a name that a site made up."""
    known = REGISTRY.get(name)
    if known is not None:
        return known
    base = base_of(name)
    return replace(REGISTRY[base], name=name, default=f"${base}") if base else None


READ_ONLY = frozenset({"process_id", "process_name", "service_name"})
"""Names that a running program defines for itself.  postconf(5)"""


class Settings:
    """One configuration.

    Every question that reads a value raises ConfigTrouble, with the place, where the value cannot be read as what it
    should be.  Answers are kept, so asking again costs a dictionary look-up.
    """

    __slots__ = (
        "_flags",
        "_host",
        "_lists",
        "_numbers",
        "_texts",
        "_times",
        "_values",
        "directory",
        "root",
        "warnings",
    )

    def __init__(
        self,
        values: Mapping[str, Value],
        *,
        root: str = "",
        directory: str = DEFAULT_DIRECTORY,
        host: Host | None = None,
        warnings: tuple[Warned, ...] = (),
    ) -> None:
        """`values` as they stand in main.cf; `host` is asked for only where a default needs it."""
        self._values = values
        self._host = host
        self._texts: dict[str, str] = {}
        self._flags: dict[str, bool] = {}
        self._numbers: dict[str, int] = {}
        self._times: dict[str, float] = {}
        self._lists: dict[str, tuple[str, ...]] = {}
        self.root = root.rstrip("/")
        self.directory = directory
        self.warnings = warnings

    @staticmethod
    def from_text(
        main_cf: str, *, root: str = "", directory: str = DEFAULT_DIRECTORY, host: Host | None = None
    ) -> Settings:
        """A configuration from the text of a main.cf; no file is needed."""
        return Settings.from_main_cf(
            parse_main_cf(main_cf, f"{directory}/main.cf"), root=root, directory=directory, host=host
        )

    @staticmethod
    def from_main_cf(
        parsed: MainCf, *, root: str = "", directory: str = DEFAULT_DIRECTORY, host: Host | None = None
    ) -> Settings:
        """A configuration from a parsed main.cf."""
        return Settings(parsed.values, root=root, directory=directory, host=host, warnings=parsed.warnings)

    def with_overrides(self, overrides: Mapping[str, str], location: Location | None = None) -> Settings:
        """The same with some parameters set otherwise; `location` is where that is said.  master(5) -o"""
        values = {**self._values, **{name: Value(text, location) for name, text in overrides.items()}}
        return Settings(
            MappingProxyType(values),
            root=self.root,
            directory=self.directory,
            host=self._host,
            warnings=self.warnings,
        )

    @property
    def values(self) -> Mapping[str, Value]:
        """What is set, as it stands there, by name."""
        return self._values

    @property
    def host(self) -> Host:
        """The host that the defaults are computed for."""
        if self._host is None:
            self._host = Host.here()
        return self._host

    def names(self) -> tuple[str, ...]:
        """All known parameters and all that are set, sorted."""
        return tuple(sorted({*REGISTRY, *self._values}))

    def is_set(self, name: str) -> bool:
        """True where main.cf or an override sets it, be it to nothing."""
        return name in self._values

    def where(self, name: str) -> Location | None:
        """Where the value stands; None for a default."""
        value = self._values.get(name)
        return value.location if value else None

    def raw(self, name: str) -> str:
        """The value with its macros as they stand.  Raises ConfigTrouble for a name that nobody knows."""
        value = self.lookup(name)
        if value is None:
            raise ConfigTrouble(f"unknown parameter: {name}")
        return value

    def lookup(self, name: str) -> str | None:
        """The value with its macros as they stand, or the default, or None."""
        value = self._values.get(name)
        return value.text if value is not None else self.default(name)

    def default(self, name: str) -> str | None:
        """The default with its macros as they stand; None for a name that has none."""
        computed = COMPUTED.get(name)
        if computed is not None:
            return computed(self)
        known = REGISTRY.get(name)
        if known is not None:
            return known.default
        if name in READ_ONLY:
            return ""
        base = base_of(name)
        return f"${base}" if base else None

    def expand(self, text: str, location: Location | None = None) -> str:
        """A text of the configuration with all macros replaced."""
        try:
            return expand(text, self.lookup)
        except ConfigTrouble as trouble:
            raise trouble.at(location) from None

    def text(self, name: str) -> str:
        """The value, expanded.

        A parameter of kind RAW (`forward_path`, `default_rbl_reply` …) keeps its macros: they speak of one message.
        """
        kept = self._texts.get(name)
        return kept if kept is not None else self._ask(self._texts, name, read_text_value)

    def flag(self, name: str) -> bool:
        """``yes`` is True."""
        kept = self._flags.get(name)
        return kept if kept is not None else self._ask(self._flags, name, read_flag)

    def number(self, name: str) -> int:
        """A whole number."""
        kept = self._numbers.get(name)
        return kept if kept is not None else self._ask(self._numbers, name, read_number)

    def seconds(self, name: str) -> float:
        """A time in seconds; the parameter's own unit counts where the value names none."""
        kept = self._times.get(name)
        return kept if kept is not None else self._ask(self._times, name, read_time)

    def words(self, name: str) -> tuple[str, ...]:
        """The words of a list, parted by blanks and commas; ``{ … }`` stays one word, braces kept."""
        kept = self._lists.get(name)
        return kept if kept is not None else self._ask(self._lists, name, read_words)

    def path(self, text: str) -> str:
        """Where an absolute path of the configuration lies: below root."""
        return self.root + text if text.startswith("/") else text

    def check(self, name: str) -> None:
        """Read the value as its kind demands; raises ConfigTrouble as a Postfix program would stop."""
        known = parameter_of(name)
        match known.kind if known else Kind.TEXT:
            case Kind.FLAG:
                self.flag(name)
            case Kind.NUMBER:
                self.number(name)
            case Kind.TIME:
                self.seconds(name)
            case _:
                self.text(name)

    def _ask(self, kept: dict[str, Answer], name: str, read: Callable[[Parameter, str], Answer]) -> Answer:
        location = self.where(name)
        known = parameter_of(name) or Parameter(name=name, kind=Kind.TEXT, default="")
        value = self.raw(name)
        try:
            answer = read(known, value if known.kind is Kind.RAW else expand(value, self.lookup))
        except ConfigTrouble as trouble:
            raise trouble.at(location) from None
        kept[name] = answer
        return answer


def read_words(parameter: Parameter, value: str) -> tuple[str, ...]:
    """The words of a list."""
    return split_words(read_text_value(parameter, value))


def load(directory: str, root: str = "", host: Host | None = None) -> Settings:
    """Read ``directory/main.cf`` below `root`.  Raises ConfigTrouble where it cannot be read or parsed."""
    prefix = root.rstrip("/")
    text = read_text(f"{prefix}{directory}/main.cf")
    return Settings.from_main_cf(
        parse_main_cf(text, f"{directory}/main.cf"), root=prefix, directory=directory, host=host
    )


def default_myhostname(settings: Settings) -> str:
    """The host's name, with mydomain where it has no domain.  get_hostname(3)"""
    name = settings.host.name
    if "." in name:
        return name
    value = settings.values.get("mydomain")
    return f"{name}.{settings.expand(value.text, value.location) if value else DEFAULT_DOMAIN}"


def default_mydomain(settings: Settings) -> str:
    """What follows the first dot of myhostname.  postconf(5) mydomain"""
    return settings.text("myhostname").partition(".")[2] or DEFAULT_DOMAIN


def default_mynetworks(settings: Settings) -> str:
    """The networks of this host's interfaces.  postconf(5) mynetworks_style"""
    return hosts.mynetworks(
        settings.text("mynetworks_style"),
        settings.host,
        settings.words("inet_interfaces"),
        settings.words("inet_protocols"),
    )


COMPUTED: Mapping[str, Callable[[Settings], str]] = MappingProxyType(
    {
        "config_directory": lambda settings: settings.directory,
        "mydomain": default_mydomain,
        "myhostname": default_myhostname,
        "mynetworks": default_mynetworks,
    }
)
"""Defaults that depend on the host or on where the configuration lies."""
