"""What stands in a table: its keys, its expressions, its networks, and a digest of all of it."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from enum import Enum

from seawall.config.source import LogicalLine
from seawall.mail.network import Network
from seawall.mail.words import split_words, unbrace
from seawall.tables.match import parse_pattern
from seawall.tables.rules import inline_lines, is_word, starts_with_letter
from seawall.tables.source import lines_of, read_text
from seawall.tables.table import Table, TableTrouble
from seawall.tables.watched import stamp

CHUNK = 1 << 20


class Kind(Enum):
    """What a rule has on its left side."""

    KEY = "key"
    EXPRESSION = "expression"
    NETWORK = "network"
    ANYTHING = "anything"
    """It answers whatever it is asked."""


@dataclass(frozen=True, slots=True)
class Rule:
    """One entry.  `value` is its right side as it stands; `place` names it (``line 4``), empty for keys; `within` are the
    expressions of the ``if`` around it."""

    kind: Kind
    left: str
    value: str
    place: str = ""
    within: tuple[str, ...] = ()

    @property
    def network(self) -> Network | None:
        """The network of such a rule."""
        return parse_pattern(self.left) if self.kind is Kind.NETWORK else None


def members(spec: str) -> tuple[str, ...]:
    """The tables inside a ``pipemap:``, ``unionmap:`` or ``proxy:``; the table itself where it is none of these."""
    kind, _, text = spec.partition(":")
    if kind == "proxy":
        return members(text)
    if kind in ("pipemap", "unionmap"):
        return tuple(inner for word in split_words(unbrace(text) or "") for inner in members(word))
    return (spec,)


def rules_of(spec: str, table: Table) -> Iterator[Rule]:
    """All entries of one table (none of `members`' makers).  Nothing for one that cannot be read or listed."""
    kind, _, text = spec.partition(":")
    if kind == "static":
        yield Rule(Kind.ANYTHING, "", (unbrace(text) or text) if text.startswith("{") else text)
    elif kind == "randmap":
        for word in split_words(unbrace(text) or ""):
            yield Rule(Kind.ANYTHING, "", word)
    elif kind in ("regexp", "pcre", "cidr"):
        yield from _rules(_lines(text, table), _cidr_rule if kind == "cidr" else _expression_rule)
    else:
        try:
            entries = getattr(table, "entries", None)
        except TableTrouble:
            return
        for key, value in (entries or {}).items():
            yield Rule(Kind.KEY, key, value)


def _rules(lines: Iterator[LogicalLine], read: Callable[[LogicalLine], Rule | None]) -> Iterator[Rule]:
    """The rules of a file of patterns, each with the conditions around it."""
    within: list[str] = []
    for line in lines:
        text = line.text.strip()
        if is_word(text, "if"):
            within.append(_condition(text))
        elif is_word(text, "endif"):
            del within[-1:]
        else:
            rule = read(line)
            if rule is not None:
                yield replace(rule, within=tuple(one for one in within if one))


def _condition(text: str) -> str:
    """The expression of ``if /expression/``; empty behind a ``!``, and for a network."""
    body = text[2:].strip()
    end = body.rfind(body[:1]) if body else 0
    return body[1:end] if end > 0 and not body.startswith("!") else ""


def _lines(text: str, table: Table) -> Iterator[LogicalLine]:
    if text.startswith("{"):
        lines = inline_lines(text)
        yield from () if isinstance(lines, str) else lines
        return
    for path in paths_of(table):
        try:
            yield from lines_of(read_text(path), path, lambda warning: None)
        except OSError:
            return


def _expression_rule(line: LogicalLine) -> Rule | None:
    """``/expression/flags result``; an ``if`` has no result, and ``!/expression/`` matches nearly anything."""
    text = line.text.strip()
    place = f"line {line.first}"
    if is_word(text, "if") or is_word(text, "endif") or starts_with_letter(text):
        return None
    body = text.lstrip("!")
    end = 1
    while end < len(body) and body[end] != body[0]:
        end += 2 if body[end] == "\\" else 1
    if end >= len(body):
        return None
    words = body[end + 1 :].split(None, 1)
    value = words[1] if len(words) > 1 and not body[end + 1 :][:1].isspace() else body[end + 1 :].strip()
    if (len(text) - len(body)) % 2:
        return Rule(Kind.ANYTHING, "", value, place)
    return Rule(Kind.EXPRESSION, body[1:end], value, place)


def _cidr_rule(line: LogicalLine) -> Rule | None:
    words = line.text.strip().lstrip("!").split(None, 1)
    if len(words) < 2 or parse_pattern(words[0]) is None:
        return None
    return Rule(Kind.NETWORK, words[0], words[1], f"line {line.first}")


def paths_of(table: Table) -> tuple[str, ...]:
    """The file that a table was read from."""
    paths: tuple[str, ...] = getattr(table, "paths", ())
    return next(((path,) for path in paths if stamp(path) is not None), ())


def digest(spec: str, table: Table) -> str:
    """SHA-256 of the file behind a table, or of its own text; empty where there is neither."""
    if spec.startswith(("unix:", "environ:", "internal:")):
        return ""
    found = hashlib.sha256()
    paths = paths_of(table)
    if not paths:
        if hasattr(table, "paths"):
            return ""
        return hashlib.sha256(spec.encode("utf-8", "surrogateescape")).hexdigest()
    with open(paths[0], "rb") as file:
        while chunk := file.read(CHUNK):
            found.update(chunk)
    return found.hexdigest()
