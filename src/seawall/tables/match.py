"""Lists of patterns, and whether a string, domain or address is in them.  match_list(3), namadr_list(3), domain_list(3)

A pattern is a string, a network, ``type:table`` (its keys are what matches, its values do not matter), ``/file/name``
(the file's lines stand in its place), or any of these after ``!``.  The first pattern that matches decides.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Protocol, TypeAlias

from seawall.mail.network import Network, parse_address, parse_network
from seawall.tables.search import domain_keys
from seawall.tables.table import USUAL, Answer, Table, TableTrouble, Use, fold
from seawall.tables.words import split_words

_DEPTH = 100  # files that name files; ours, as Postfix has no bound
_ADDRESS = re.compile(r"[0-9a-fA-F.:]+\Z")
_NETWORK = re.compile(r"[0-9a-fA-F.:\[\]/]+\Z")
_IPV4 = re.compile(r"[0-9.]+\Z")


class Opens(Protocol):
    """What a list needs of the set of tables."""

    def open(self, spec: str, use: Use = USUAL) -> Table:
        """The table ``type:name``."""
        ...

    def path(self, text: str) -> str:
        """A file of the configuration as this process finds it."""
        ...

    def warn(self, text: str) -> None:
        """A line for the log."""
        ...


@dataclass(frozen=True, slots=True)
class Pattern:
    """One pattern.  `match` is False after ``!``; exactly one of text, table and trouble counts."""

    match: bool
    text: str
    table: Table | None = None
    network: Network | None = None
    trouble: str = ""


Found: TypeAlias = "bool | Awaitable[bool]"
"""True, False, or the promise of either."""


def read_patterns(value: str, tables: Opens, title: str = "") -> tuple[Pattern, ...]:
    """The patterns of a list.  `title` is the parameter, for warnings.

    A file that cannot be read is a pattern that gives trouble once it is reached.  TableUnsupported for a type we lack.
    """
    return tuple(_read(value, tables, title, True, 0))


def _read(value: str, tables: Opens, title: str, positive: bool, depth: int) -> list[Pattern]:
    patterns: list[Pattern] = []
    for word in split_words(value):
        if word.startswith("#"):
            tables.warn(f"{title}: comment at end of line is not supported: {value[value.index(word) :].rstrip()}")
            break
        item = word.lstrip("!")
        match = positive ^ bool((len(word) - len(item)) % 2)
        if not item:
            tables.warn(f"{title}: no pattern after '!'")
            patterns.append(Pattern(match, word, trouble="no pattern after '!'"))
        elif item.startswith("/"):
            patterns.extend(_read_file(item, tables, title, match, depth))
        elif not item.startswith("[") and ":" in item:
            patterns.append(Pattern(match, item, table=tables.open(item)))
        else:
            patterns.append(_plain(item, tables, title, match))
    return patterns


def _read_file(name: str, tables: Opens, title: str, match: bool, depth: int) -> list[Pattern]:
    if depth == _DEPTH:
        return [Pattern(match, name, trouble=f"{name}: too many files inside files")]
    try:
        with open(tables.path(name), encoding="utf-8", errors="surrogateescape", newline="\n") as file:
            lines = [line for line in file if not line.startswith("#")]
    except OSError as error:
        tables.warn(f"{title}: open file {name}: {error.strerror}")
        return [Pattern(match, name, trouble=f"open file {name}: {error.strerror}")]
    return [pattern for line in lines for pattern in _read(line, tables, title, match, depth + 1)]


def _plain(item: str, tables: Opens, title: str, match: bool) -> Pattern:
    """A string; what is written like a network must be one."""
    if not _NETWORK.match(item) or _IPV4.match(item) or not (":" in item or "/" in item):
        return Pattern(match, fold(item))
    network = parse_pattern(item)
    if network is not None:
        return Pattern(match, fold(item), network=network)
    trouble = network_trouble(item)
    tables.warn(f"{title}: {trouble}")
    return Pattern(match, fold(item), trouble=trouble)


def parse_pattern(item: str) -> Network | None:
    """``addr``, ``addr/bits``, ``[addr]``, ``[addr]/bits`` or ``[addr/bits]``.  cidr_match_parse(3)"""
    if not item.isascii():
        return None
    if not item.startswith("["):
        return parse_network(item)
    inside, closed, rest = item[1:].partition("]")
    if not closed or (rest and not rest.startswith("/")):
        return None
    return parse_network(inside + rest)


def network_trouble(item: str) -> str:
    """What is wrong with a network, in the words of cidr_match_parse(3)."""
    text = item
    if item.startswith("["):
        text, closed, rest = item[1:].partition("]")
        if not closed:
            return f"missing ']' character after \"[{text}\""
        if rest and not rest.startswith("/"):
            return f'garbage after "[{text}]"'
        text += rest
    body, slash, prefix = text.partition("/")
    address = parse_address(body)
    if not slash:
        return f'bad address pattern: "{body}"'
    if not (prefix.isascii() and prefix.isdigit()):
        return f'bad mask value in "{body}/{prefix}"'
    if int(prefix) > (128 if ":" in body else 32):
        return f'bad mask length in "{body}/{prefix}"'
    if address is None:
        return f'bad network value in "{body}/{prefix}"'
    value, width = address
    bits = int(prefix)
    start = format_address(value >> (width - bits) << (width - bits), width)
    return f'non-null host address bits in "{body}/{prefix}", perhaps you should use "{start}/{bits}" instead'


def format_address(value: int, width: int) -> str:
    """The printed form of an address.  inet_ntop(3)"""
    if width == 32:
        return str(ipaddress.IPv4Address(value))
    return str(ipaddress.IPv6Address(value))


class _List:
    """Patterns, asked in turn.  `parent_matches`: a pattern ``x.example`` matches names below it, else ``.x.example`` does."""

    __slots__ = ("_parents", "_patterns", "_title")

    def __init__(self, patterns: tuple[Pattern, ...], parent_matches: bool = False, title: str = "") -> None:
        self._patterns = patterns
        self._parents = parent_matches
        self._title = title

    def __bool__(self) -> bool:
        return bool(self._patterns)

    @property
    def patterns(self) -> tuple[Pattern, ...]:
        """The patterns, files already replaced by their lines."""
        return self._patterns

    def _decide(self, ask: Callable[[Pattern], Found]) -> Found:
        """The first pattern that matches decides; waits only where a table does."""
        for at, pattern in enumerate(self._patterns):
            found = ask(pattern)
            if found is True:
                return pattern.match
            if found is not False:
                return self._wait(found, at, ask)
        return False

    async def _wait(self, found: Found, at: int, ask: Callable[[Pattern], Found]) -> bool:
        while True:
            if found is True or (found is not False and await found):
                return self._patterns[at].match
            at += 1
            if at == len(self._patterns):
                return False
            found = ask(self._patterns[at])

    def _usable(self, pattern: Pattern) -> None:
        if pattern.trouble:
            raise TableTrouble(self._title or pattern.text, pattern.trouble)

    def _ask_name(self, pattern: Pattern, key: str) -> Found:
        if pattern.table is not None:
            return _ask_table(pattern.table, key, self._parents)
        self._usable(pattern)
        return _is_below(key, pattern.text, self._parents)


def _is_there(answer: Answer) -> Found:
    """Whether a table knows the key; the value does not matter."""
    if answer is None:
        return False
    if isinstance(answer, str):
        return True
    return _will_be_there(answer)


async def _will_be_there(answer: Awaitable[str | None]) -> bool:
    return await answer is not None


class StringList(_List):
    """Strings, compared whole, in lower case.  string_list(3)"""

    __slots__ = ()

    def test(self, text: str) -> Found:
        """As `matches`, at once where no table is remote."""
        key = fold(text)

        def ask(pattern: Pattern) -> Found:
            if pattern.table is not None:
                return _is_there(pattern.table.lookup(key))
            self._usable(pattern)
            return pattern.text == key

        return self._decide(ask)

    async def matches(self, text: str) -> bool:
        """Is `text` in the list?  TableTrouble where a table that was reached cannot say."""
        found = self.test(text)
        return found if isinstance(found, bool) else await found


class DomainList(_List):
    """Domains and, by the rules of parent_domain_matches_subdomains, what lies below them.  domain_list(3)"""

    __slots__ = ()

    def test(self, name: str) -> Found:
        """As `matches`, at once where no table is remote."""
        key = fold(name)
        return self._decide(lambda pattern: self._ask_name(pattern, key))

    async def matches(self, name: str) -> bool:
        """Is the domain in the list?  TableTrouble where a table that was reached cannot say."""
        found = self.test(name)
        return found if isinstance(found, bool) else await found


def _is_below(name: str, pattern: str, parents: bool) -> bool:
    """A string pattern and a name, both in lower case."""
    if name == pattern:
        return True
    if parents:
        return bool(pattern) and name.endswith("." + pattern) and len(name) > len(pattern) + 1
    return pattern.startswith(".") and name.endswith(pattern) and len(name) > len(pattern)


def _ask_table(table: Table, name: str, parents: bool) -> Found:
    """The name and, of tables of fixed strings, its parents."""
    keys = [key.text for key in domain_keys(name, parents) if key.whole or table.fixed]
    for at, key in enumerate(keys):
        answer = table.lookup(key)
        if answer is None:
            continue
        if isinstance(answer, str):
            return True
        return _ask_on(table, answer, keys[at + 1 :])
    return False


async def _ask_on(table: Table, answer: Answer, keys: list[str]) -> bool:
    """Go on from a table that has to wait."""
    for key in (*keys, ""):
        if answer is not None and (isinstance(answer, str) or await answer is not None):
            return True
        answer = table.lookup(key) if key else None
    return False


class AddressList(_List):
    """Host names, addresses and networks: mynetworks and the lists of exceptions.  namadr_list(3), addr_match_list(3)"""

    __slots__ = ()

    def test(self, name: str, address: str) -> Found:
        """As `matches`, at once where no table is remote."""
        low_name, low_address = fold(name), address.lower()
        number = parse_address(address)

        def ask(pattern: Pattern) -> Found:
            if pattern.table is not None:
                return _either(
                    _ask_table(pattern.table, low_name, self._parents),
                    lambda: _is_there(pattern.table.lookup(low_address)) if number and pattern.table else False,
                )
            self._usable(pattern)
            if pattern.network is not None:
                return number is not None and pattern.network.contains(*number)
            text = pattern.text
            return _is_below(low_name, text, self._parents) or text in (low_address, f"[{low_address}]")

        return self._decide(ask)

    async def matches(self, name: str, address: str) -> bool:
        """Is the client in the list, by its name (may be empty) or its address?  TableTrouble as elsewhere."""
        found = self.test(name, address)
        return found if isinstance(found, bool) else await found


def _either(first: Found, second: Callable[[], Found]) -> Found:
    if first is True:
        return True
    if first is False:
        return second()
    return _either_later(first, second)


async def _either_later(first: Awaitable[bool], second: Callable[[], Found]) -> bool:
    if await first:
        return True
    found = second()
    return found if isinstance(found, bool) else await found
