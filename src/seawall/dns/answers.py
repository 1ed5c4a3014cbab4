"""The four answers DNS can give: found, no such name, no such data, try again.  Temporary and permanent are types."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Generator
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


class Coming:
    """An answer that is under way.  It may be awaited, or told whom to call: that needs no task and no future."""

    __slots__ = ("answer", "listeners")

    def __init__(self) -> None:
        self.answer: Answer | None = None
        self.listeners: list[Callable[[Answer], None]] = []

    def then(self, listener: Callable[[Answer], None]) -> None:
        """Call with the answer, at once where it is there."""
        if self.answer is None:
            self.listeners.append(listener)
        else:
            listener(self.answer)

    def come(self, answer: Answer) -> None:
        """The answer is here: tell everybody."""
        self.answer = answer
        listeners, self.listeners = self.listeners, []
        for listener in listeners:
            try:
                listener(answer)
            except Exception as trouble:  # a defect of one must not keep the answer from the others
                report = {"message": "a listener for a DNS answer failed", "exception": trouble}
                asyncio.get_running_loop().call_exception_handler(report)

    def __await__(self) -> Generator[object, None, Answer]:
        if self.answer is None:
            future: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
            self.listeners.append(lambda answer: None if future.done() else future.set_result(answer))
            yield from future.__await__()
        if self.answer is None:
            raise RuntimeError("woken without an answer")
        return self.answer


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
