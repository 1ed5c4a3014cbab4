"""The four answers DNS can give: found, no such name, no such data, try again.  Temporary and permanent are types."""

from __future__ import annotations

from collections.abc import Awaitable
from dataclasses import dataclass
from enum import Enum
from typing import Protocol, TypeAlias


@dataclass(frozen=True, slots=True)
class Resource:
    """One resource record: `data` is the printed form (address, host name without final dot, text); `preference` is MX's."""

    kind: str
    name: str
    data: str
    ttl: int
    preference: int = 0


@dataclass(frozen=True, slots=True)
class Found:
    """At least one record of the kind asked for; `secure` is the AD bit of a resolver we trust."""

    records: tuple[Resource, ...]
    secure: bool = False


@dataclass(frozen=True, slots=True)
class NoSuchName:
    """NXDOMAIN."""

    ttl: int = 0


@dataclass(frozen=True, slots=True)
class NoData:
    """The name exists, the kind does not.

    `malformed` is true where records were there and none was usable: their host names are none.  (DNS_INVAL)
    """

    ttl: int = 0
    malformed: bool = False


@dataclass(frozen=True, slots=True)
class TryAgain:
    """SERVFAIL, a timeout, a broken answer: nothing is known.  `reason` is for the log."""

    reason: str = ""


Answer: TypeAlias = Found | NoSuchName | NoData | TryAgain


class Asks(Protocol):
    """Whoever answers questions: the resolver, or a zone file."""

    def ask(self, name: str, kind: str) -> Answer | Awaitable[Answer]:
        """The records of `kind` (A, MX …) at `name`; at once where the answer is known.  Never raises."""
        ...


class NameStatus(Enum):
    """How a client's name was found.  The numbers are those of XCLIENT tests and of Postfix's own test driver."""

    OK = 2
    TEMPORARY = 4
    PERMANENT = 5
    FORGED = 6
    """The reverse name exists, but does not lead back to the address."""
