"""cidr: tables: networks in order, the first that holds the address answers.  cidr_table(5)

Rules that follow each other without an ``if`` or ``!`` between become one step: a dictionary for each prefix length,
and of the rules found the lowest number wins.  So a table of any length costs as many look-ups as it has lengths.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TypeAlias

from seawall.config.source import BLANKS, LogicalLine
from seawall.mail.network import Network, parse_address
from seawall.tables.match import network_trouble, parse_pattern
from seawall.tables.rules import Builder, ResultOf, Step, Unreadable, is_word, open_rules, run
from seawall.tables.table import Opening, Table, Use, Warn
from seawall.tables.watched import Find

Key: TypeAlias = tuple[int, int]
"""(value, width in bits)"""


class _Skipped(Exception):
    """The text is why a rule is left out."""


class _Networks:
    """Rules that stand together."""

    def __init__(self) -> None:
        self._count = 0
        self._lengths: dict[int, dict[int, dict[int, tuple[int, str]]]] = {32: {}, 128: {}}

    def add(self, network: Network, result: str) -> None:
        """One more rule; a network that an earlier rule names stays as it is."""
        shift = network.width - network.bits
        known = self._lengths[network.width].setdefault(shift, {})
        known.setdefault(network.value >> shift, (self._count, result))
        self._count += 1

    def compile(self) -> Callable[[Key], str | None]:
        """The step's look-up."""
        four = tuple((shift, known.get) for shift, known in self._lengths[32].items())
        six = tuple((shift, known.get) for shift, known in self._lengths[128].items())

        def answer(key: Key) -> str | None:
            value, width = key
            best: tuple[int, str] | None = None
            for shift, get in four if width == 32 else six:
                found = get(value >> shift)
                if found is not None and (best is None or found[0] < best[0]):
                    best = found
            return best[1] if best is not None else None

        return answer


class _Compiler:
    """Reads the rules of one table."""

    def __init__(self, result_of: ResultOf) -> None:
        self.builder: Builder[Key] = Builder()
        self._result_of = result_of
        self._together: _Networks | None = None
        self._since = 0

    def rule(self, line: LogicalLine) -> None:
        """One line of the table."""
        text = line.text.rstrip(BLANKS)
        if is_word(text, "if"):
            network, positive = self._pattern(text[2:].strip(BLANKS))
            self.flush()
            self.builder.open_if(line.first, lambda key: _says(network, key, positive))
        elif is_word(text, "endif"):
            if text[5:].strip(BLANKS):
                raise _Skipped("garbage after ENDIF")
            if not self.builder.depth:
                raise _Skipped("ENDIF without IF")
            self.flush()
            self.builder.close_if()
        else:
            self._answering(line, text)

    def _answering(self, line: LogicalLine, text: str) -> None:
        body = text.lstrip("!" + BLANKS)
        positive = text[: len(text) - len(body)].count("!") % 2 == 0
        words = body.split(None, 1)
        if not words:
            raise _Skipped("no address pattern")
        network = self._network(words[0])
        if len(words) == 1:
            raise _Skipped("no lookup result")
        try:
            result = self._result_of(words[1])
        except Unreadable as trouble:
            raise _Skipped(str(trouble)) from None
        if positive:
            if self._together is None:
                self._together, self._since = _Networks(), line.first
            self._together.add(network, result)
        else:
            self.flush()
            self.builder.add_answer(line.first, lambda key: result if _says(network, key, False) else None)

    def _pattern(self, text: str) -> tuple[Network, bool]:
        body = text.lstrip("!" + BLANKS)
        network = self._network(body.strip(BLANKS))
        return network, text[: len(text) - len(body)].count("!") % 2 == 0

    def _network(self, text: str) -> Network:
        if not text:
            raise _Skipped("no address pattern")
        network = parse_pattern(text)
        if network is None:
            raise _Skipped(network_trouble(text))
        return network

    def flush(self) -> None:
        """The rules that stood together become a step."""
        if self._together is not None:
            self.builder.add_answer(self._since, self._together.compile())
            self._together = None


def _says(network: Network, key: Key, positive: bool) -> bool:
    """A network, or ``!network``; neither says anything about addresses of the other family."""
    return key[1] == network.width and network.contains(*key) is positive


def compile_cidr(lines: Iterator[LogicalLine], name: str, use: Use, warn: Warn, result_of: ResultOf = str) -> Find:
    """The look-up function of the rules."""
    compiler = _Compiler(result_of)
    for line in lines:
        try:
            compiler.rule(line)
        except _Skipped as reason:
            warn(f"cidr map {name}, line {line.first}: {reason}: skipping this rule")
    compiler.flush()
    steps, unclosed = compiler.builder.finish()
    for number in unclosed:
        warn(f"cidr map {name}, line {number}: IF has no matching ENDIF")
    return _finder(steps)


def _finder(steps: tuple[Step[Key], ...]) -> Find:
    """Asks by text; what is no address matches nothing."""
    alone = steps[0].answer if len(steps) == 1 else None

    def find(text: str) -> str | None:
        key = parse_address(text)
        if key is None:
            return None
        return alone(key) if alone is not None else run(steps, key)

    return find


def open_cidr(opening: Opening) -> Table:
    """``cidr:/file`` or ``cidr:{ {network result}, … }``"""
    return open_rules(opening, compile_cidr)
