"""Lists of patterns, and whether a string, domain or address is in them.  match_list(3), namadr_list(3), domain_list(3)

A pattern is a string, a network, ``type:table`` (its keys are what matches, its values do not matter), ``/file/name``
(the file's lines stand in its place), or any of these after ``!``.  The first pattern that matches decides.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, replace
from typing import Protocol, TypeAlias

from seawall.mail.network import Network, parse_address, parse_network
from seawall.mail.words import split_words
from seawall.tables.search import parents_of
from seawall.tables.table import USUAL, Answer, Table, TableTrouble, Use, fold

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


@dataclass(frozen=True, slots=True)
class _Block:
    """Neighbours in a list that come to the same decision, strings and networks, so that their order does not matter.

    `networks` has the leading bits of each, by (width, bits to shift away).
    """

    match: bool
    strings: frozenset[str]
    networks: Mapping[tuple[int, int], frozenset[int]]

    def has_number(self, number: tuple[int, int] | None) -> bool:
        """Does one of the networks hold the address (value, width)?"""
        if number is None:
            return False
        value, width = number
        for (of_width, shift), starts in self.networks.items():
            if width == of_width and value >> shift in starts:
                return True
        return False


def _block(patterns: list[Pattern]) -> _Block:
    networks: dict[tuple[int, int], set[int]] = {}
    for pattern in patterns:
        network = pattern.network
        if network is not None:
            shift = network.width - network.bits
            networks.setdefault((network.width, shift), set()).add(network.value >> shift)
    return _Block(
        patterns[0].match,
        frozenset(pattern.text for pattern in patterns if pattern.network is None),
        {key: frozenset(starts) for key, starts in networks.items()},
    )


_Step: TypeAlias = "_Block | Pattern"


def _steps(patterns: tuple[Pattern, ...], *, networks: bool) -> tuple[_Step, ...]:
    """The list as it is asked: blocks, and one by one tables and what gives trouble.

    Without `networks` what is written like one is a string as any other.
    """
    steps: list[_Step] = []
    plain: list[Pattern] = []
    for pattern in patterns:
        alone = pattern.table is not None or bool(pattern.trouble)
        if plain and (alone or pattern.match is not plain[0].match):
            steps.append(_block(plain))
            plain = []
        if alone:
            steps.append(pattern)
        else:
            plain.append(pattern if networks else replace(pattern, network=None))
    if plain:
        steps.append(_block(plain))
    return tuple(steps)


class _List:
    """Patterns, asked in turn.  `parent_matches`: a pattern ``x.example`` matches names below it, else ``.x.example`` does."""

    __slots__ = ("_parents", "_patterns", "_steps", "_title")
    _networks = False

    def __init__(self, patterns: tuple[Pattern, ...], parent_matches: bool = False, title: str = "") -> None:
        self._patterns = patterns
        self._parents = parent_matches
        self._title = title
        self._steps = _steps(patterns, networks=self._networks)

    def __bool__(self) -> bool:
        return bool(self._patterns)

    @property
    def patterns(self) -> tuple[Pattern, ...]:
        """The patterns, files already replaced by their lines."""
        return self._patterns

    async def _wait(self, found: Awaitable[bool], at: int, ask: Callable[[_Step], Found]) -> bool:
        """Go on from a table that has to wait."""
        here: Found = found
        while True:
            if here is True or (here is not False and await here):
                return self._steps[at].match
            at += 1
            if at == len(self._steps):
                return False
            here = ask(self._steps[at])

    def _trouble(self, pattern: Pattern) -> TableTrouble:
        return TableTrouble(self._title or pattern.text, pattern.trouble)


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
        for at, step in enumerate(self._steps):
            found = key in step.strings if step.__class__ is _Block else self._ask(step, key)
            if found is True:
                return step.match
            if found is not False:
                return self._wait(found, at, lambda step: self._ask(step, key))
        return False

    def _ask(self, step: _Step, key: str) -> Found:
        if isinstance(step, _Block):
            return key in step.strings
        if step.table is None:
            raise self._trouble(step)
        return _is_there(step.table.lookup(key))

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
        parents = parents_of(key, dotted=not self._parents)
        for at, step in enumerate(self._steps):
            found = self._ask(step, key, parents)
            if found is True:
                return step.match
            if found is not False:
                return self._wait(found, at, lambda step: self._ask(step, key, parents))
        return False

    def _ask(self, step: _Step, key: str, parents: list[str]) -> Found:
        if isinstance(step, _Block):
            return key in step.strings or not step.strings.isdisjoint(_ends(key, parents, self._parents))
        if step.table is None:
            raise self._trouble(step)
        return _ask_table(step.table, key, parents)

    async def matches(self, name: str) -> bool:
        """Is the domain in the list?  TableTrouble where a table that was reached cannot say."""
        found = self.test(name)
        return found if isinstance(found, bool) else await found


def _ends(name: str, parents: list[str], parent_matches: bool) -> list[str]:
    """The string patterns above `name`: its parents, and where dots stand side by side all that follows any dot."""
    if not parent_matches or ".." not in name:
        return parents
    return [name[at + 1 :] for at in range(1, len(name) - 1) if name[at] == "."]


def _ask_table(table: Table, name: str, parents: list[str]) -> Found:
    """The name and, of tables of fixed strings, its parents."""
    if not name:
        return False
    keys = [name, *parents] if table.fixed else [name]
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
    _networks = True

    def test(self, name: str, address: str) -> Found:
        """As `matches`, at once where no table is remote."""
        client = _Client(name, address, self._parents)
        for at, step in enumerate(self._steps):
            found = self._ask(step, client)
            if found is True:
                return step.match
            if found is not False:
                return self._wait(found, at, lambda step: self._ask(step, client))
        return False

    def _ask(self, step: _Step, client: _Client) -> Found:
        if isinstance(step, _Block):
            return not step.strings.isdisjoint(client.texts(self._parents)) or step.has_number(client.number)
        table = step.table
        if table is None:
            raise self._trouble(step)
        found = _ask_table(table, client.name, client.parents)
        if found is False:
            return client.number is not None and _is_there(table.lookup(client.address))
        return found if found is True else _either_later(found, lambda: self._ask_address(table, client))

    @staticmethod
    def _ask_address(table: Table, client: _Client) -> Found:
        return client.number is not None and _is_there(table.lookup(client.address))

    async def matches(self, name: str, address: str) -> bool:
        """Is the client in the list, by its name (may be empty) or its address?  TableTrouble as elsewhere."""
        found = self.test(name, address)
        return found if isinstance(found, bool) else await found


class _Client:
    """A client as lists ask for it.  `number` is None where the address is none."""

    __slots__ = ("address", "name", "number", "parents")

    def __init__(self, name: str, address: str, parent_matches: bool) -> None:
        self.name = fold(name)
        self.address = address.lower()
        self.number = parse_address(address)
        self.parents = parents_of(self.name, dotted=not parent_matches)

    def texts(self, parent_matches: bool) -> tuple[str, ...]:
        """The strings that mean this client."""
        above = _ends(self.name, self.parents, parent_matches)
        return (self.name, *above, self.address, f"[{self.address}]")


async def _either_later(first: Awaitable[bool], second: Callable[[], Found]) -> bool:
    if await first:
        return True
    found = second()
    return found if isinstance(found, bool) else await found
