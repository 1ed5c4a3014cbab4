"""main.cf: name and value of each logical line, where each stands, and what Postfix would warn about.  postconf(5)"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from seawall.config.source import BLANKS, ConfigTrouble, Location, logical_lines, split_name_value


@dataclass(frozen=True, slots=True)
class Value:
    """What a parameter is set to, unexpanded, and where; None where it was set on a command line."""

    text: str
    location: Location | None


@dataclass(frozen=True, slots=True)
class Warned:
    """Something that Postfix accepts and remarks upon."""

    message: str
    location: Location
    shows_line: bool = True

    def __str__(self) -> str:
        return f"{self.location if self.shows_line else self.location.file}: {self.message}"


class MainCfTrouble(ConfigTrouble):
    """A line that is no ``name = value``; `warned` is what was remarked upon before it."""

    def __init__(self, message: str, location: Location, warned: tuple[Warned, ...]) -> None:
        super().__init__(message, location)
        self.warned = warned


@dataclass(frozen=True, slots=True)
class MainCf:
    """A parsed main.cf: the last value of each name, and the warnings in file order."""

    values: Mapping[str, Value]
    warnings: tuple[Warned, ...]


def parse_main_cf(text: str, file: str) -> MainCf:
    """Read the text of a main.cf; `file` is the name for messages.

    Raises ConfigTrouble for a line that is no ``name = value``, as Postfix's programs stop there.  A name that is set
    again with another value gets the last one and a warning.  dict_load_fp(3)
    """
    values: dict[str, Value] = {}
    warnings: list[Warned] = []
    for line in logical_lines(text):
        location = Location(file, line.first)
        if line.text.startswith(tuple(BLANKS)):
            shown = line.text[:30] + ("..." if len(line.text) > 30 else "")
            warnings.append(
                Warned(f'logical line must not start with whitespace: "{shown}"', location, shows_line=False)
            )
            continue
        parts = split_name_value(line.text)
        if isinstance(parts, str):
            raise MainCfTrouble(f'{parts}: "{line.text}"', location, tuple(warnings))
        name, value = parts
        earlier = values.get(name)
        if earlier is not None and earlier.text != value:
            warnings.append(Warned(f"overriding earlier entry: {name}={earlier.text}", location))
        values[name] = Value(value, location)
    return MainCf(MappingProxyType(values), tuple(warnings))


def read_text(path: str) -> str:
    """The text of a configuration file.  Raises ConfigTrouble where it cannot be read."""
    try:
        with open(path, "rb") as file:
            return file.read().decode("utf-8", "surrogateescape")
    except (OSError, ValueError) as trouble:
        reason = trouble.strerror if isinstance(trouble, OSError) else str(trouble)
        raise ConfigTrouble(f"open {path}: {reason}") from None
