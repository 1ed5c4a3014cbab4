"""Where each word of a configuration stands: the line of the word, not only of the parameter that it belongs to."""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass

from seawall.config.main_cf import read_text
from seawall.config.settings import Settings
from seawall.config.source import BLANKS, ConfigTrouble, Location, is_skipped, split_name_value
from seawall.mail.words import split_words

DEEPEST = 20
_WHOLE_MACRO = re.compile(r"\$(?:\{([A-Za-z0-9_]+)\}|\(([A-Za-z0-9_]+)\)|([A-Za-z0-9_]+))\Z")


@dataclass(frozen=True, slots=True)
class Word:
    """A word of a value, expanded, and where it stands; None for the word of a default."""

    text: str
    location: Location | None


@dataclass(frozen=True, slots=True)
class Assignment:
    """``name = value`` of main.cf; `starts` are (offset in `value`, line) of its parts, in order."""

    name: str
    value: str
    location: Location
    starts: tuple[tuple[int, int], ...]

    def at(self, offset: int) -> Location:
        """Where a character of the value stands."""
        index = bisect_right(self.starts, (offset, 1 << 60)) - 1
        return Location(self.location.file, self.starts[max(index, 0)][1])


@dataclass(frozen=True, slots=True)
class Part:
    """A logical line as it is joined, with (offset, line) of each physical line in it."""

    text: str
    starts: tuple[tuple[int, int], ...]


def parts_of(text: str) -> Iterator[Part]:
    """The logical lines of a file, each with where its physical lines begin in it."""
    kept: list[str] = []
    starts: list[tuple[int, int]] = []
    for number, line in enumerate(text.split("\n"), 1):
        if is_skipped(line):
            continue
        if kept and line[0] not in BLANKS:
            yield from _part(kept, starts)
            kept, starts = [], []
        starts.append((sum(map(len, kept)), number))
        kept.append(line)
    if kept:
        yield from _part(kept, starts)


def _part(kept: list[str], starts: list[tuple[int, int]]) -> Iterator[Part]:
    """What has been collected; a NUL ends it, as in `config/source`."""
    text = "".join(kept).partition("\0")[0]
    if text:
        yield Part(text, tuple(starts))


def read_assignments(settings: Settings) -> tuple[Assignment, ...]:
    """All assignments of main.cf in order, those that a later one overrides included; none where it cannot be read."""
    file = f"{settings.directory}/main.cf"
    try:
        text = read_text(settings.path(file))
    except ConfigTrouble:
        return ()
    return tuple(assignments_in(text, file))


def assignments_in(text: str, file: str) -> Iterator[Assignment]:
    """The assignments of a main.cf's text; lines that are none are left out."""
    for part in parts_of(text):
        pair = split_name_value(part.text)
        if part.text[0] in BLANKS or isinstance(pair, str):
            continue
        name, value = pair
        offset = part.text.index("=", len(name)) + 1
        offset += len(part.text[offset:]) - len(part.text[offset:].lstrip(BLANKS))
        starts = tuple((max(start - offset, 0), line) for start, line in part.starts)
        yield Assignment(name, value, Location(file, part.starts[0][1]), starts)


def words_of(settings: Settings, name: str, assignments: dict[str, Assignment], depth: int = 0) -> tuple[Word, ...]:
    """The words of a parameter, each with its own line; a word that is ``$name`` stands where `name` is set."""
    try:
        whole = settings.words(name)
    except ConfigTrouble:
        return ()
    value, assigned = settings.values.get(name), assignments.get(name)
    where = settings.where(name)
    if value is None or assigned is None or assigned.value != value.text or assigned.location != where:
        return tuple(Word(text, where) for text in whole)
    words = tuple(_split(settings, assigned, assignments, depth))
    return words if tuple(word.text for word in words) == whole else tuple(Word(text, where) for text in whole)


def _split(settings: Settings, assigned: Assignment, assignments: dict[str, Assignment], depth: int) -> Iterator[Word]:
    at = 0
    for text in split_words(assigned.value):
        at = assigned.value.index(text, at)
        location = assigned.at(at)
        at += len(text)
        if "$" not in text:
            yield Word(text, location)
            continue
        macro = _WHOLE_MACRO.match(text)
        other = next(filter(None, macro.groups()), "") if macro else ""
        if other in settings.values and depth < DEEPEST:
            yield from words_of(settings, other, assignments, depth + 1)
            continue
        try:
            yield from (Word(word, location) for word in split_words(settings.expand(text)))
        except ConfigTrouble:
            return
