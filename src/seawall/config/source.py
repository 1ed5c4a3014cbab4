"""How Postfix's configuration files are cut into logical lines, and these into name and value, with file and line kept.

main.cf, master.cf and the text form of lookup tables share these rules: empty lines and lines that start with ``#``
are skipped wherever they stand, a line that starts with white space goes on with the line before it.
postconf(5) "main.cf file format", Postfix readllines(3), split_nameval(3).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

BLANKS = " \t\r\n\v\f"
"""What isspace(3) calls white space in the C locale."""


@dataclass(frozen=True, slots=True)
class Location:
    """Where something stands: a file as the operator named it, and the line (from 1) on which it begins."""

    file: str
    line: int

    def __str__(self) -> str:
        return f"{self.file}, line {self.line}"


class ConfigTrouble(Exception):
    """A configuration that cannot be used as it is: what is wrong, and where it stands if it stands in a file."""

    def __init__(self, message: str, location: Location | None = None) -> None:
        super().__init__(f"{location}: {message}" if location else message)
        self.message = message
        self.location = location

    def at(self, location: Location | None) -> ConfigTrouble:
        """The same, with the place where it stands if that was not known yet."""
        return ConfigTrouble(self.message, self.location or location)


@dataclass(frozen=True, slots=True)
class LogicalLine:
    """One logical line: its text without the line ends, and the lines (from 1) that it spans."""

    text: str
    first: int
    last: int


def is_skipped(line: str) -> bool:
    """True for a line that says nothing: empty, only white space, or a comment."""
    rest = line.lstrip(BLANKS)
    return not rest or rest[0] == "#"


def logical_lines(text: str) -> Iterator[LogicalLine]:
    """The logical lines of a file.

    The parts of a continued line are joined as they stand, leading white space included.  A first line that starts
    with white space is handed out like any other: the caller says what is wrong with it.
    """
    parts: list[str] = []
    first = last = 0
    for number, line in enumerate(text.split("\n"), 1):
        if is_skipped(line):
            continue
        if parts and line[0] not in BLANKS:
            yield from _joined(parts, first, last)
            parts = []
        if not parts:
            first = number
        parts.append(line)
        last = number
    if parts:
        yield from _joined(parts, first, last)


def _joined(parts: list[str], first: int, last: int) -> Iterator[LogicalLine]:
    """A logical line of its parts.  A NUL ends it, as it does for a program that keeps text in C strings."""
    text = "".join(parts).partition("\0")[0]
    yield LogicalLine(text, first, last)


def split_name_value(text: str) -> tuple[str, str] | str:
    """(name, value) of ``name = value``; or what is wrong with it, in Postfix's words.  split_nameval(3)"""
    rest = text.lstrip(BLANKS)
    if not rest or rest[0] == "=":
        return "missing attribute name"
    end = next((at for at, char in enumerate(rest) if char in BLANKS or char == "="), len(rest))
    name, after = rest[:end], rest[end:].lstrip(BLANKS)
    if not after.startswith("="):
        return "missing '=' after attribute name"
    return name, after[1:].strip(BLANKS)
