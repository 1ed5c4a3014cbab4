"""Tables of rules that are tried in order, with ``if … endif`` around some of them: regexp, pcre, cidr."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Generic, TypeAlias, TypeVar

from seawall.config.source import LogicalLine, is_skipped
from seawall.mail.words import group_trouble, split_words, unbrace
from seawall.tables.simple import MemoryTable, troubled
from seawall.tables.source import file_contents, files_trouble, lines_of, read_text
from seawall.tables.table import Opening, Table, Use, Warn
from seawall.tables.watched import Find, Rules, WatchedTable, guarded

K = TypeVar("K")


@dataclass(slots=True)
class Step(Generic[K]):
    """One rule of a compiled table.

    A rule that answers has `answer`: the result, or None to go on.  An ``if`` has `holds`, and `skip_to`, the index
    of the step behind its ``endif``.
    """

    line: int
    answer: Callable[[K], str | None] | None = None
    holds: Callable[[K], bool] | None = None
    skip_to: int = 0


def run(steps: tuple[Step[K], ...], key: K) -> str | None:
    """The first answer."""
    at, end = 0, len(steps)
    while at < end:
        step = steps[at]
        if step.answer is not None:
            found = step.answer(key)
            if found is not None:
                return found
            at += 1
        elif step.holds is not None and step.holds(key):
            at += 1
        else:
            at = step.skip_to
    return None


class Builder(Generic[K]):
    """Steps as they are read, and which ``if`` is still open."""

    def __init__(self) -> None:
        self.steps: list[Step[K]] = []
        self._open: list[Step[K]] = []

    @property
    def depth(self) -> int:
        """How many ``if`` are open."""
        return len(self._open)

    def add_answer(self, line: int, answer: Callable[[K], str | None]) -> None:
        """A rule with a result."""
        self.steps.append(Step(line, answer=answer))

    def open_if(self, line: int, holds: Callable[[K], bool]) -> None:
        """An ``if``."""
        step: Step[K] = Step(line, holds=holds)
        self.steps.append(step)
        self._open.append(step)

    def open_guard(self, line: int) -> Step[K]:
        """A step before rules that `close_guard` may let be passed over; without that it changes nothing."""
        step: Step[K] = Step(line, skip_to=len(self.steps) + 1)
        self.steps.append(step)
        return step

    def close_guard(self, step: Step[K], holds: Callable[[K], bool]) -> None:
        """The rules since `step` can answer only where `holds` says yes."""
        step.holds, step.skip_to = holds, len(self.steps)

    def close_if(self) -> None:
        """An ``endif``."""
        self._open.pop().skip_to = len(self.steps)

    def finish(self) -> tuple[tuple[Step[K], ...], list[int]]:
        """The steps, and the lines of each ``if`` that was never closed, the last one first."""
        unclosed = [step.line for step in reversed(self._open)]
        while self._open:
            self.close_if()
        return tuple(self.steps), unclosed


ResultOf: TypeAlias = Callable[[str], str]
"""What a rule's result stands for: itself, or what is in the files that it names.  Unreadable where they cannot be read."""
Compile: TypeAlias = Callable[[Iterator[LogicalLine], str, Use, Warn, ResultOf], Find]
"""Makes the look-up function of (rules, name for warnings, use, where warnings go, results)."""


class Unreadable(Exception):
    """A file that a result names cannot be read; the text says which and why."""


def result_of(opening: Opening) -> ResultOf:
    """Results as the table's user means them.  postmap -F"""
    if not opening.use.files:
        return str

    def contents(value: str) -> str:
        content = file_contents(value, opening.path)
        if content is None:
            raise Unreadable(files_trouble(value, opening.path))
        return content

    return contents


def open_rules(opening: Opening, compile_rules: Compile) -> Table:
    """``type:/file`` or ``type:{ {rule}, {rule} … }``"""
    use, warn, results = opening.use, opening.warn, result_of(opening)
    if opening.text.startswith("{"):
        lines = inline_lines(opening.text)
        if isinstance(lines, str):
            return troubled(opening, f"{opening.type} map: {lines}", fixed=False)
        return MemoryTable(
            opening.name, False, _guarded(compile_rules(iter(lines), opening.text, use, warn, results), opening)
        )
    path = opening.path(opening.text)

    def read(path: str) -> Rules:
        return Rules(_guarded(compile_rules(lines_of(read_text(path), path, warn), path, use, warn, results), opening))

    return WatchedTable(opening, (path,), read, fixed=False)


def inline_lines(text: str) -> list[LogicalLine] | str:
    """The rules inside ``{ {rule}, {rule} … }`` as lines, or what is wrong with the text.  dict_stream_open(3)"""
    inside = unbrace(text)
    if inside is None:
        return group_trouble(text) or ""
    lines: list[LogicalLine] = []
    for number, word in enumerate(split_words(inside), 1):
        rule = unbrace(word)
        if rule is None:
            return group_trouble(word) or ""
        if not is_skipped(rule):
            lines.append(LogicalLine(rule, number, number))
    return lines


def _guarded(find: Find, opening: Opening) -> Find:
    """The question and the answer must be UTF-8 where the table's user asks for that."""
    return guarded(find, opening.name) if opening.use.utf8 else find


def is_word(text: str, word: str) -> bool:
    """Does the rule start with ``if`` or ``endif``, in any case of letters, and not with a longer word?"""
    return text[: len(word)].lower() == word and not _is_alnum(text[len(word) : len(word) + 1])


def starts_with_letter(text: str) -> bool:
    """True for what can be no pattern: ISALNUM(3) knows ASCII only."""
    return _is_alnum(text[:1])


def _is_alnum(letter: str) -> bool:
    return letter.isascii() and letter.isalnum()
