"""A main.cf parameter, said once: name, kind, default text, bounds, and one sentence where Seawall acts on it.

The registry's tables are written with the constructors below (`text`, `raw`, `flag`, `number`, `time`), one line a
parameter.  The reference page, `seawall postconf` and `seawall check` are drawn from the same tables.
postconf(5), Postfix mail_conf_bool(3), mail_conf_int(3), mail_conf_time(3), mail_conf_str(3).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from types import MappingProxyType

from seawall.config.source import BLANKS, ConfigTrouble
from seawall.mail import words

UNITS: Mapping[str, int] = MappingProxyType({"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800})
"""Seconds of a time unit.  mail_conf_time(3)"""
TIME = re.compile(r"[ \t\r\n\v\f]*\+?(\d+)(.?)", re.ASCII | re.DOTALL)
NUMBER = re.compile(r"[ \t\r\n\v\f]*[+-]?\d{1,19}\Z", re.ASCII)
LARGEST = 2**31 - 1
"""Postfix keeps a time in a C int."""
LARGEST_NUMBER = 2**63 - 1
"""Sizes are a C long; for the others Postfix stops at an int, which nobody misses here."""
SEPARATORS = ", \t\r\n"


class Kind(Enum):
    """How a value is read."""

    TEXT = "text"
    RAW = "raw text"  # $name is left alone: whoever uses the value expands it
    FLAG = "yes or no"
    NUMBER = "number"
    TIME = "time"


@dataclass(frozen=True, slots=True, kw_only=True)
class Parameter:
    """One parameter.

    `low` and `high` bound a number, a time in seconds, or the length of a text; 0 is no bound, as in Postfix.
    `unit` is the time unit of a bare number.  `sentence` says what Seawall does with the value; empty where it does
    nothing, and `registry/unsupported.py` says what that means.
    """

    name: str
    kind: Kind
    default: str
    low: int = 0
    high: int = 0
    unit: str = "s"
    sentence: str = ""

    @property
    def is_acted_on(self) -> bool:
        """True where Seawall's behaviour follows the value."""
        return bool(self.sentence)


def text(name: str, default: str = "", sentence: str = "", *, low: int = 0, high: int = 0) -> Parameter:
    """A text, or a list of words; `low` is 1 where it may not be empty."""
    return Parameter(name=name, kind=Kind.TEXT, default=default, low=low, high=high, sentence=sentence)


def raw(name: str, default: str = "", sentence: str = "", *, low: int = 0, high: int = 0) -> Parameter:
    """A text whose $name is expanded when it is used, not when it is read."""
    return Parameter(name=name, kind=Kind.RAW, default=default, low=low, high=high, sentence=sentence)


def flag(name: str, default: str, sentence: str = "") -> Parameter:
    """``yes`` or ``no``."""
    return Parameter(name=name, kind=Kind.FLAG, default=default, sentence=sentence)


def number(name: str, default: str, sentence: str = "", *, low: int = 0, high: int = 0) -> Parameter:
    """A whole number."""
    return Parameter(name=name, kind=Kind.NUMBER, default=default, low=low, high=high, sentence=sentence)


def time(name: str, default: str, sentence: str = "", *, low: int = 0, high: int = 0, unit: str = "s") -> Parameter:
    """A time; a bare number counts `unit`s."""
    return Parameter(name=name, kind=Kind.TIME, default=default, low=low, high=high, unit=unit, sentence=sentence)


def read_flag(parameter: Parameter, value: str) -> bool:
    """``yes`` or ``no`` in any case.  Raises ConfigTrouble in Postfix's words.  mail_conf_bool(3)"""
    match value.lower():
        case "yes":
            return True
        case "no":
            return False
    raise ConfigTrouble(f"bad boolean configuration: {parameter.name} = {value}")


def read_number(parameter: Parameter, value: str) -> int:
    """A whole number within its bounds.  Raises ConfigTrouble in Postfix's words.  mail_conf_int(3)"""
    if not NUMBER.match(value) or abs(int(value)) > LARGEST_NUMBER:
        raise ConfigTrouble(f"bad numerical configuration: {parameter.name} = {value[:100]}")
    return check_bounds(parameter, int(value))


def read_time(parameter: Parameter, value: str) -> float:
    """A time in seconds within its bounds.  Raises ConfigTrouble in Postfix's words.  mail_conf_time(3)

    As in Postfix only the first character after the number counts: ``10seconds`` is ``10s``.
    """
    found = TIME.match(value)
    factor = UNITS.get(found.group(2) or parameter.unit) if found else None
    if found is None or factor is None or len(found.group(1)) > 15 or int(found.group(1)) * factor > LARGEST:
        raise ConfigTrouble(f"parameter {parameter.name}: bad time value or unit: {value[:100]}")
    return float(check_bounds(parameter, int(found.group(1)) * factor))


def check_bounds(parameter: Parameter, value: int) -> int:
    """The value, if it lies within the parameter's bounds; a bound of 0 is none."""
    if parameter.low and value < parameter.low:
        raise ConfigTrouble(f"invalid {parameter.name} parameter value {value} < {parameter.low}")
    if parameter.high and value > parameter.high:
        raise ConfigTrouble(f"invalid {parameter.name} parameter value {value} > {parameter.high}")
    return value


def read_text(parameter: Parameter, value: str) -> str:
    """A text of allowed length.  Raises ConfigTrouble in Postfix's words.  mail_conf_str(3)"""
    if parameter.low and len(value) < parameter.low:
        raise ConfigTrouble(f"bad string length {len(value)} < {parameter.low}: {parameter.name} = {value}")
    if parameter.high and len(value) > parameter.high:
        raise ConfigTrouble(f"bad string length {len(value)} > {parameter.high}: {parameter.name} = {value}")
    return value


def split_words(value: str, separators: str = SEPARATORS) -> tuple[str, ...]:
    """The words of a list; what stands in ``{ }`` stays whole, braces kept.  Postfix mystrtokq(3)"""
    return tuple(words.split_words(value, separators))


def unbrace(word: str) -> str:
    """The inside of ``{ text }`` without the blanks at its ends; any other word unchanged.  Postfix extpar(3)

    Raises ConfigTrouble in Postfix's words.
    """
    if not word.startswith("{"):
        return word
    trouble = words.group_trouble(word)
    if trouble is not None:
        raise ConfigTrouble(trouble)
    return word[1:-1].strip(BLANKS)
