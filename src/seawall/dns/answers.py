"""The four answers DNS can give: found, no such name, no such data, try again.  Temporary and permanent are types."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias


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
    """The name exists, the kind does not."""

    ttl: int = 0


@dataclass(frozen=True, slots=True)
class TryAgain:
    """SERVFAIL, a timeout, a broken answer: nothing is known.  `reason` is for the log."""

    reason: str = ""


Answer: TypeAlias = Found | NoSuchName | NoData | TryAgain
