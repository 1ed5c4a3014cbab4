"""The orders in which tables are asked: several tables for one key, several keys for one address, domain or network.

maps_find(3), mail_addr_find(3), access(5) "EMAIL ADDRESS PATTERNS", "HOST NAME/ADDRESS PATTERNS".
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Iterator
from enum import Enum, Flag, auto
from typing import NamedTuple, TypeAlias

from seawall.mail.address import quote_local, split_extension
from seawall.tables.table import Answer, Table, TableTrouble

IsLocal: TypeAlias = Callable[[str], "bool | Awaitable[bool]"]
"""Does mail for this domain stay here (myorigin, mydestination, our own addresses)?  resolve_local(3)"""


class Way(Flag):
    """The keys to try for an address.  mail_addr_find(3) MA_FIND_*"""

    FULL = auto()
    """``user+ext@domain``"""
    NO_EXTENSION = auto()
    """``user@domain``"""
    USER_IF_LOCAL = auto()
    """``user+ext``, ``user``, where the domain is local"""
    USER_AT_IF_LOCAL = auto()
    """``user+ext@``, ``user@``, where the domain is local"""
    AT_DOMAIN = auto()
    """``@domain``"""
    DOMAIN = auto()
    """``domain``"""
    PARENTS = auto()
    """with DOMAIN: its parents, as ``example``; MA_FIND_PMS"""
    DOT_PARENTS = auto()
    """with DOMAIN: its parents, as ``.example``; MA_FIND_PMDS"""
    USER_AT = auto()
    """``user+ext@``, ``user@``"""


_IF_LOCAL = Way.USER_IF_LOCAL | Way.USER_AT_IF_LOCAL
ADDRESS_MAP = Way.FULL | Way.NO_EXTENSION | Way.USER_IF_LOCAL | Way.AT_DOMAIN
"""virtual(5), canonical(5), relocated(5), recipient maps: MA_FIND_DEFAULT."""
_PLAIN = re.compile(r"[A-Za-z0-9_+=/-]+(?:\.[A-Za-z0-9_+=/-]+)*@[^@]*\Z")
"""An address that is the same in every form, so that there is one key for each way."""
ACCESS_MAP = Way.FULL | Way.NO_EXTENSION | Way.DOMAIN | Way.USER_AT
"""access(5); add PARENTS or DOT_PARENTS by parent_domain_matches_subdomains."""


class Form(Enum):
    """How an address is written when a table is asked.  MA_FORM_*"""

    INTERNAL = "internal"
    """``a b@example``"""
    EXTERNAL = "external"
    """``"a b"@example``"""
    EXTERNAL_FIRST = "external-first"
    """first quoted, then as it is"""


class Key(NamedTuple):
    """One key to try.  `whole` is False for a part of an address or name, which patterns are not asked for;
    `extension` is what was taken off to get here, with its delimiter."""

    text: str
    whole: bool = True
    extension: str = ""


def parents_of(domain: str, *, dotted: bool) -> list[str]:
    """``b.c`` and ``c`` of ``a.b.c``, or ``.b.c`` and ``.c``."""
    found: list[str] = []
    at = domain.find(".", 1)
    while at >= 0:
        domain = domain[at:] if dotted else domain[at + 1 :]
        if not domain:
            break
        found.append(domain)
        at = domain.find(".", 1)
    return found


def domain_keys(domain: str, parent_matches: bool) -> Iterator[Key]:
    """A host or domain name, then its parents.  `parent_matches` where parent_domain_matches_subdomains names the map."""
    if domain:
        yield Key(domain)
        for parent in parents_of(domain, dotted=not parent_matches):
            yield Key(parent, whole=False)


def network_keys(address: str) -> Iterator[Key]:
    """``192.0.2.1``, ``192.0.2``, ``192.0``, ``192``; IPv6 likewise at its colons.  access(5)"""
    yield Key(address)
    separator = ":" if ":" in address else "."
    while (at := address.rfind(separator)) >= 0:
        address = address[:at]
        if not address:
            return
        yield Key(address, whole=False)


def split_address_extension(address: str, delimiters: str) -> tuple[str, str]:
    """``user@domain`` and ``+ext`` of ``user+ext@domain``; the extension is empty where there is none.  strip_addr(3)"""
    if not delimiters:
        return address, ""
    local, at, domain = address.rpartition("@")
    if not at:
        local, domain = domain, ""
    user, extension = split_extension(local, delimiters)
    if extension is None:
        return address, ""
    return user + at + domain, local[len(user) :]


def address_keys(address: str, delimiters: str, ways: Way, form: Form = Form.INTERNAL) -> Iterator[Key]:
    """The keys for `address` (internal form) in mail_addr_find(3)'s order, each in the forms asked for.

    The keys of Way.USER_IF_LOCAL are given where asked for: leave the flag out where the domain is not local.
    The extension of a Key is empty but where the key is the user without it.
    """
    yield from _whole_keys(address, delimiters, ways, form)
    yield from _part_keys(address, delimiters, ways, form)


def _whole_keys(address: str, delimiters: str, ways: Way, form: Form) -> Iterator[Key]:
    """The address, with and without its extension."""
    if Way.FULL in ways:
        yield from _in_forms(address, form, whole=True)
    if Way.NO_EXTENSION in ways:
        bare, extension = split_address_extension(address, delimiters)
        if extension:
            yield from _in_forms(bare, form, extension=extension)


def _part_keys(address: str, delimiters: str, ways: Way, form: Form) -> Iterator[Key]:
    """Parts of the address: users first, then domains, then users again."""
    local, at, domain = address.rpartition("@")
    if not at:
        return
    users = [(local, "")]
    if Way.NO_EXTENSION in ways:
        bare, extension = split_address_extension(address, delimiters)
        if extension:
            users.append((bare.rpartition("@")[0], extension))
    if Way.USER_IF_LOCAL in ways:
        for name, taken in users:
            yield from _in_forms(name, form, extension=taken, bare=True)
    if Way.USER_AT_IF_LOCAL in ways:
        for name, taken in users:
            yield from _in_forms(name + "@", form, extension=taken)
    if Way.AT_DOMAIN in ways:
        yield Key("@" + domain, whole=False)
    if Way.DOMAIN in ways and domain:
        yield Key(domain, whole=False)
        if ways & (Way.PARENTS | Way.DOT_PARENTS):
            for parent in parents_of(domain, dotted=Way.DOT_PARENTS in ways):
                yield Key(parent, whole=False)
    if Way.USER_AT in ways:
        for name, taken in users:
            yield from _in_forms(name + "@", form, extension=taken)


def _in_forms(text: str, form: Form, *, whole: bool = False, extension: str = "", bare: bool = False) -> Iterator[Key]:
    """One key as it is, quoted, or both.  `bare` is a local part alone."""
    if form is Form.INTERNAL:
        yield Key(text, whole, extension)
        return
    quoted = quote_local(text, bare=bare)
    yield Key(quoted, whole, extension)
    if form is Form.EXTERNAL_FIRST and quoted != text:
        yield Key(text, whole, extension)


def _has_any(address: str, delimiters: str) -> bool:
    """Could there be an extension?"""
    return any(map(address.__contains__, delimiters))


class Maps:
    """Several tables as one: each is asked in turn, the first that knows the key answers.  maps(3)"""

    __slots__ = ("_fixed", "_tables", "title")

    def __init__(self, tables: tuple[Table, ...], title: str = "") -> None:
        self._tables = tables
        self._fixed = tuple(table for table in tables if table.fixed)
        self.title = title

    def __bool__(self) -> bool:
        return bool(self._tables)

    @property
    def tables(self) -> tuple[Table, ...]:
        """The tables, in order."""
        return self._tables

    def lookup(self, key: str, *, whole: bool = True) -> Answer:
        """As `find`, at once where no table is remote."""
        if not key:
            return None
        tables = self._tables if whole else self._fixed
        for table in tables:
            answer = table.lookup(key)
            if answer is not None:
                return self._found(answer, tables, table, key)
        return None

    def lookup_part(self, key: str) -> Answer:
        """The same for a part of something, which only tables of fixed strings are asked for."""
        if not key:
            return None
        for table in self._fixed:
            answer = table.lookup(key)
            if answer is not None:
                return self._found(answer, self._fixed, table, key)
        return None

    def _found(self, answer: Answer, tables: tuple[Table, ...], table: Table, key: str) -> Answer:
        """What a table said, or goes on from a table that has to wait."""
        if not isinstance(answer, str):
            return self._wait(answer, tables, tables.index(table), key)
        if not answer:
            raise self._empty(table, key)
        return answer

    async def _wait(self, answer: Answer, tables: tuple[Table, ...], at: int, key: str) -> str | None:
        """Go on from a table that has to wait."""
        while True:
            value = answer if answer is None or isinstance(answer, str) else await answer
            if value is not None:
                if not value:
                    raise self._empty(tables[at], key)
                return value
            at += 1
            if at == len(tables):
                return None
            answer = tables[at].lookup(key)

    def _empty(self, table: Table, key: str) -> TableTrouble:
        """An empty value is a mistake of the table's maker: it must not count as an answer.  maps_find(3)"""
        title = self.title or table.name
        return TableTrouble(
            table.name,
            f"{title} lookup of {key} returns an empty string result; "
            f"{title} should return NO RESULT in case of NOT FOUND",
        )

    async def find(self, key: str, *, whole: bool = True) -> str | None:
        """The value for `key`, or None; TableTrouble where a table that was reached cannot say.

        With ``whole=False`` the key is a part of something, and only tables of fixed strings are asked.
        """
        answer = self.lookup(key, whole=whole)
        if answer is None or isinstance(answer, str):
            return answer
        return await answer

    async def find_address(
        self,
        address: str,
        *,
        delimiters: str = "",
        ways: Way = ADDRESS_MAP,
        is_local: IsLocal | None = None,
        form: Form = Form.INTERNAL,
    ) -> tuple[str, str] | None:
        """The value for an address in internal form, and the extension that was taken off to find it.  mail_addr_find(3)

        `delimiters` is recipient_delimiter.  `is_local` is asked of the domain, and only when the whole address was
        not found; without it the domain counts as not local.
        """
        if ways is not ADDRESS_MAP or not _PLAIN.match(address) or (delimiters and _has_any(address, delimiters)):
            return await self._find_any(address, delimiters, ways, is_local, form)
        # the usual address: no extension, nothing to quote, three keys at most
        answer = self.lookup(address)
        value = answer if answer is None or isinstance(answer, str) else await answer
        if value is None:
            user, _, domain = address.partition("@")
            local = is_local(domain) if is_local is not None else False
            if local if isinstance(local, bool) else await local:
                answer = self.lookup_part(user)
                value = answer if answer is None or isinstance(answer, str) else await answer
            if value is None:
                answer = self.lookup_part("@" + domain)
                value = answer if answer is None or isinstance(answer, str) else await answer
        return None if value is None else (value, "")

    async def _find_any(
        self, address: str, delimiters: str, ways: Way, is_local: IsLocal | None, form: Form
    ) -> tuple[str, str] | None:
        """The same for every address."""
        found = await self.find_first(_whole_keys(address, delimiters, ways, form))
        if found is not None or "@" not in address:
            return found
        if ways & _IF_LOCAL:
            local = is_local(address.rpartition("@")[2]) if is_local is not None else False
            if not (local if isinstance(local, bool) else await local):
                ways &= ~_IF_LOCAL
        return await self.find_first(_part_keys(address, delimiters, ways, form))

    async def find_first(self, keys: Iterator[Key]) -> tuple[str, str] | None:
        """The value of the first key that is known, and the extension that goes with that key."""
        for key in keys:
            answer = self.lookup(key.text) if key.whole else self.lookup_part(key.text)
            if answer is None:
                continue
            value = answer if isinstance(answer, str) else await answer
            if value is not None:
                return value, key.extension
        return None
