"""The permanent access list: who is let in, or refused, without a test.  postscreen_access(5)

Words of the list, or of a table's value: ``permit_mynetworks``, ``permit``, ``reject``, ``dunno``; in the list also
``type:table``, which is asked for the client's address.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from types import MappingProxyType
from typing import TypeAlias

from seawall.door.screening import Listing
from seawall.mail.words import split_words
from seawall.tables.match import AddressList
from seawall.tables.registry import Tables
from seawall.tables.table import Table, TableTrouble

ACCESS_LIST = "postscreen_access_list"
_SAID: Mapping[str, Listing] = MappingProxyType(
    {"permit": Listing.ALLOWED, "reject": Listing.DENIED, "dunno": Listing.UNKNOWN}
)

Said: TypeAlias = "Listing | Awaitable[Listing]"


class AccessList:
    """Compiled once; TableUnsupported for a type of table that we lack."""

    def __init__(self, value: str, mynetworks: AddressList, tables: Tables, warn: Callable[[str], None]) -> None:
        self._mynetworks = mynetworks
        self._warn = warn
        self._steps: tuple[str | Table, ...] = tuple(
            tables.open(word) if ":" in word else word for word in split_words(value)
        )

    def ask(self, address: str) -> Said:
        """What the list says of a client; at once where no table is remote."""
        for at, step in enumerate(self._steps):
            found = self._ask_one(step, address)
            if found is None:
                continue
            if isinstance(found, Listing):
                return found
            return self._wait(found, at, address)
        return Listing.UNKNOWN

    async def _wait(self, found: Awaitable[Listing | None], at: int, address: str) -> Listing:
        while True:
            said = await found
            if said is not None:
                return said
            for place, step in enumerate(self._steps[at + 1 :], at + 1):
                answer = self._ask_one(step, address)
                if isinstance(answer, Listing):
                    return answer
                if answer is not None:
                    found, at = answer, place
                    break
            else:
                return Listing.UNKNOWN

    def _ask_one(self, step: str | Table, address: str) -> Listing | Awaitable[Listing | None] | None:
        """None where the next word is to be asked."""
        if isinstance(step, str):
            return self._word(step, ACCESS_LIST, address)
        try:
            answer = step.lookup(address)
        except TableTrouble:
            return self._trouble(step)
        if answer is None:
            return None
        return self._value(answer, step.name, address) if isinstance(answer, str) else self._late(step, answer, address)

    async def _late(self, table: Table, answer: Awaitable[str | None], address: str) -> Listing | None:
        try:
            value = await answer
        except TableTrouble:
            return self._trouble(table)
        if value is None:
            return None
        said = self._value(value, table.name, address)
        return said if said is None or isinstance(said, Listing) else await said

    def _trouble(self, table: Table) -> Listing:
        self._warn(f"{ACCESS_LIST}: {table.name}: table lookup error -- ignoring the remainder of this access list")
        return Listing.UNKNOWN

    def _value(self, value: str, origin: str, address: str) -> Listing | Awaitable[Listing | None] | None:
        """The words of a table's value; ``dunno`` there goes on with the list."""
        words: Sequence[str] = split_words(value)
        for word in words:
            if ":" in word:
                self._warn(
                    f'table {origin}: lookup result "{word}" is not allowed -- ignoring remainder of access list'
                )
                return None
            said = self._word(word, origin, address)
            if said is not None:
                return None if word.lower() == "dunno" else said
        return None

    def _word(self, word: str, origin: str, address: str) -> Listing | Awaitable[Listing | None] | None:
        said = _SAID.get(word.lower())
        if said is not None:
            return said
        if word.lower() != "permit_mynetworks":
            self._warn(f"{origin}: unknown command: {word} -- ignoring the remainder of this access list")
            return Listing.UNKNOWN
        try:
            found = self._mynetworks.test("", address)
        except TableTrouble:
            return self._no_networks(origin, word)
        if isinstance(found, bool):
            return Listing.ALLOWED if found else None
        return self._late_networks(found, origin, word)

    async def _late_networks(self, found: Awaitable[bool], origin: str, word: str) -> Listing | None:
        try:
            return Listing.ALLOWED if await found else None
        except TableTrouble:
            return self._no_networks(origin, word)

    def _no_networks(self, origin: str, word: str) -> Listing:
        self._warn(f"{origin}: {word}: mynetworks lookup error -- ignoring the remainder of this access list")
        return Listing.UNKNOWN
