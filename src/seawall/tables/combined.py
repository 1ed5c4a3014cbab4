"""Tables made of tables: pipemap, unionmap, randmap, proxy.  DATABASE_README

Each works at once while its members do, and turns into an awaitable where one of them has to wait.
"""

from __future__ import annotations

import random
from collections.abc import Awaitable
from dataclasses import dataclass
from functools import lru_cache

from seawall.mail.words import split_words, unbrace
from seawall.tables.remote import RemoteTable
from seawall.tables.simple import MemoryTable, troubled
from seawall.tables.source import file_contents, files_trouble
from seawall.tables.table import Answer, Opening, Table

_PROXY = "proxy:"
_DEEPEST = 10  # braces inside braces; ours


def _members(opening: Opening) -> tuple[str, ...] | None:
    """The words inside ``{ … }``; None, with a warning, where there are none."""
    inside = unbrace(opening.text)
    words = split_words(inside) if inside is not None else []
    return tuple(words) or None


def _opened(opening: Opening) -> tuple[Table, ...] | None:
    """The tables inside ``{ … }``, opened in order; None where something else stands there."""
    tables: list[Table] = []
    for word in _members(opening) or ():
        if ":" not in word:
            return None
        tables.append(opening.open(word, opening.use))
    return tuple(tables) or None


def _bad(opening: Opening, what: str) -> Table:
    need = f'need "{opening.type}:{{{what}...}}"'
    return troubled(opening, f'bad syntax: "{opening.name}"; {need}')


@dataclass(frozen=True, slots=True)
class Pipe:
    """Each table's answer is the next one's question."""

    name: str
    tables: tuple[Table, ...]

    @property
    def fixed(self) -> bool:
        """As the first table is."""
        return self.tables[0].fixed

    def lookup(self, key: str) -> Answer:
        """The last table's answer; None as soon as one has none."""
        for at, table in enumerate(self.tables):
            answer = table.lookup(key)
            if answer is None:
                return None
            if not isinstance(answer, str):
                return self._wait(answer, at)
            key = answer
        return key

    async def _wait(self, answer: Awaitable[str | None], at: int) -> str | None:
        key = await answer
        for table in self.tables[at + 1 :]:
            if key is None:
                return None
            found = table.lookup(key)
            key = found if found is None or isinstance(found, str) else await found
        return key


def open_pipemap(opening: Opening) -> Table:
    """``pipemap:{type:name, type:name …}``"""
    tables = _opened(opening)
    return _bad(opening, "type:name") if tables is None else Pipe(opening.name, tables)


@dataclass(frozen=True, slots=True)
class Union:
    """All tables' answers, with commas between them."""

    name: str
    tables: tuple[Table, ...]

    @property
    def fixed(self) -> bool:
        """As the first table is."""
        return self.tables[0].fixed

    def lookup(self, key: str) -> Answer:
        """The answers of those that have one; None where none has."""
        answers: list[str] = []
        for at, table in enumerate(self.tables):
            answer = table.lookup(key)
            if answer is None:
                continue
            if not isinstance(answer, str):
                return self._wait(answer, at, key, answers)
            answers.append(answer)
        return _joined(answers)

    async def _wait(self, answer: Awaitable[str | None], at: int, key: str, answers: list[str]) -> str | None:
        found = await answer
        if found is not None:
            answers.append(found)
        for table in self.tables[at + 1 :]:
            further = table.lookup(key)
            value = further if further is None or isinstance(further, str) else await further
            if value is not None:
                answers.append(value)
        return _joined(answers)


def _joined(answers: list[str]) -> str | None:
    """Answers with commas; an empty one leaves its comma once there is something before it."""
    whole = ""
    for answer in answers:
        whole += "," + answer if whole else answer
    return whole or None


def open_unionmap(opening: Opening) -> Table:
    """``unionmap:{type:name, type:name …}``"""
    tables = _opened(opening)
    return _bad(opening, "type:name") if tables is None else Union(opening.name, tables)


def open_randmap(opening: Opening) -> Table:
    """``randmap:{value, value …}``: one of them by chance, whatever is asked."""
    words = _members(opening)
    if words is None:
        return _bad(opening, "value")
    if opening.use.files:
        contents = tuple(file_contents(word, opening.path) for word in words)
        for word, content in zip(words, contents, strict=True):
            if content is None:
                return troubled(opening, files_trouble(word, opening.path))
        return MemoryTable(opening.name, False, lambda key: random.choice(contents))
    return MemoryTable(opening.name, False, lambda key: random.choice(words))


@dataclass(frozen=True, slots=True)
class Proxied:
    """``proxy:type:name``: the table itself.  There is no process between, because nothing here is chrooted."""

    name: str
    table: Table

    @property
    def fixed(self) -> bool:
        """As the table is."""
        return self.table.fixed

    def lookup(self, key: str) -> Answer:
        """The table's answer."""
        return self.table.lookup(key)


def open_proxy(opening: Opening) -> Table:
    """``proxy:type:name``

    As with proxymap(8), only tables of proxy_read_maps are opened, but for users that want no proxy at all (aliases,
    virtual mailboxes): those open the table itself.
    """
    text = opening.text
    while text.startswith(_PROXY):
        text = text.removeprefix(_PROXY)
    approved = None if opening.use.trusted else opening.main_cf("proxy_read_maps")
    if approved is not None and text not in approved_tables(approved):
        opening.warn(f'request for unapproved table: "{text}"')
        opening.warn(f"to approve this table for read-only access, list {_PROXY}{text} in main.cf:proxy_read_maps")
        return troubled(opening, f'proxymap service is not configured for table "{text}"')
    return Proxied(opening.name, opening.open(text, opening.use))


@lru_cache(maxsize=16)
def approved_tables(value: str, depth: int = 0) -> frozenset[str]:
    """The tables that proxy_read_maps, expanded, lets be opened: each word that begins with ``proxy:``."""
    found: set[str] = set()
    for word in split_words(value):
        inside = unbrace(word) if word.startswith("{") and depth < _DEEPEST else None
        if inside is not None:
            found |= approved_tables(inside, depth + 1)
        elif word.startswith(_PROXY):
            while word.startswith(_PROXY):
                word = word.removeprefix(_PROXY)
            found.add(word)
    return frozenset(found)


def may_wait(table: Table) -> bool:
    """True for a table, or a table of tables, that asks another server: its answers are not there at once."""
    if isinstance(table, Pipe | Union):
        return any(map(may_wait, table.tables))
    return may_wait(table.table) if isinstance(table, Proxied) else isinstance(table, RemoteTable)
