"""The parameters of a remote table: from a file of its own, or from main.cf as ``NAME_parameter``.  cfg_parser(3)"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeVar

from seawall.config.main_cf import parse_main_cf
from seawall.config.settings import Settings
from seawall.config.source import ConfigTrouble
from seawall.tables.table import FromMainCf, Opening

Choice = TypeVar("Choice")
_LONGEST_NUMBER = 2**31


class BadParameters(Exception):
    """The table cannot be used as it is described; the text says why, in Postfix's words where it has some."""


class Parameters:
    """What describes one table.  `source` is a path, or the name before the underscore in main.cf."""

    __slots__ = ("_from_main_cf", "_in_file", "source")

    def __init__(self, source: str, in_file: Mapping[str, str] | None, from_main_cf: FromMainCf) -> None:
        self.source = source
        self._in_file = in_file
        self._from_main_cf = from_main_cf

    def get(self, name: str) -> str | None:
        """The value as it stands, None where it is not set.  Macros are expanded in main.cf and nowhere else."""
        if self._in_file is not None:
            return self._in_file.get(name)
        return self._from_main_cf(f"{self.source}_{name}")

    def text(self, name: str, default: str = "", *, low: int = 0) -> str:
        """A text of at least `low` characters."""
        value = self.get(name)
        if value is None:
            value = default
        if len(value) < low:
            shown = name if self._in_file is not None else f"{self.source}_{name}"
            raise BadParameters(f"{self.source}: bad string length {len(value)} < {low}: {shown} = {value}")
        return value

    def number(self, name: str, default: int, *, low: int = 0, high: int = 0) -> int:
        """A whole number; a bound of 0 is none."""
        value = self.get(name)
        if value is None:
            return default
        try:
            if not value.strip() or value != value.rstrip() or "_" in value:
                raise ValueError
            number = int(value)
        except ValueError:
            raise BadParameters(f"{self.source}: bad numerical configuration: {name} = {value}") from None
        if not -_LONGEST_NUMBER <= number < _LONGEST_NUMBER:
            raise BadParameters(f"{self.source}: bad numerical configuration: {name} = {value}")
        if low and number < low:
            raise BadParameters(f"{self.source}: invalid {name} parameter value {number} < {low}")
        if high and number > high:
            raise BadParameters(f"{self.source}: invalid {name} parameter value {number} > {high}")
        return number

    def flag(self, name: str, default: bool) -> bool:
        """``yes`` or ``no``."""
        value = self.get(name)
        if value is None:
            return default
        if value.lower() not in ("yes", "no"):
            raise BadParameters(f"{self.source}: bad boolean configuration: {name} = {value}")
        return value.lower() == "yes"

    def words(self, name: str, default: str = "") -> list[str]:
        """Words with blanks or commas between."""
        return self.text(name, default).replace(",", " ").split()

    def choice(self, name: str, default: str, choices: Mapping[str, Choice]) -> Choice | None:
        """What one of a few words means, whatever its case; None for another word."""
        return choices.get(self.text(name, default, low=1).lower())


def main_cf_of(settings: Settings) -> FromMainCf:
    """What tables may ask of a configuration: any parameter by name, expanded."""

    def value(name: str) -> str | None:
        try:
            return settings.text(name) if settings.lookup(name) is not None else None
        except ConfigTrouble:
            return None

    return value


def read_parameters(opening: Opening) -> Parameters:
    """The parameters of the table ``type:text``.  Raises BadParameters."""
    source = opening.text
    if not source:
        raise BadParameters("cfg_parser_alloc: null parser name")
    if source[0] not in "/.":
        return Parameters(source, None, opening.main_cf)
    path = opening.path(source)
    try:
        with open(path, encoding="utf-8", errors="surrogateescape", newline="\n") as file:
            parsed = parse_main_cf(file.read(), source)
    except OSError as error:
        raise BadParameters(f"open {source}: {error.strerror}") from None
    except ConfigTrouble as trouble:
        raise BadParameters(str(trouble)) from None
    for warned in parsed.warnings:
        opening.warn(str(warned))
    return Parameters(source, {name: value.text for name, value in parsed.values.items()}, opening.main_cf)
