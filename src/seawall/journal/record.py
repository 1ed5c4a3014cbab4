"""What every journal record is: a frozen fact that knows which program tells it and how Postfix would word it."""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar, Protocol

import msgspec

FORMAT = 2
"""Number of the journal's format; raised with every change that an older reader would misread."""


class Record(msgspec.Struct, frozen=True, tag=True, kw_only=True):
    """One fact.

    `at` is seconds since the epoch.  `number` is the number for the log line's brackets (``smtpd[number]``):
    unique among live sessions, because log readers pair connect and disconnect by it; 0 stands for the process.
    """

    program: ClassVar[str] = "seawall"
    level: ClassVar[str] = "info"
    """syslog severity: info, warning, err, crit."""
    is_logged: ClassVar[bool] = True
    """False for what the journal alone keeps; such a record is written only where `LoggedAlone` guards the log."""

    at: float
    number: int = 0
    service: str = ""
    """syslog_name of the master.cf service where its `-o` sets one; empty for the configuration's own."""

    def text(self) -> str:
        """The line after ``program[number]: ``, Postfix-shaped.  Untrusted parts are cleaned by the sink."""
        return ""


class Journal(Protocol):
    """The one method through which facts go."""

    def write(self, record: Record) -> None:
        """Take a record; never blocks, never raises.  It is written in a batch, off the caller's path."""
        ...


class MemoryJournal:
    """Keeps records in a list: for tests and rehearsals."""

    def __init__(self, heard: Callable[[Record], None] | None = None) -> None:
        self.records: list[Record] = []
        self._heard = heard

    def write(self, record: Record) -> None:
        """Keep it, and tell whoever listens."""
        self.records.append(record)
        if self._heard is not None:
            self._heard(record)


class Warned(Record, frozen=True, tag=True, kw_only=True):
    """Something the operator should look at, said by any part: `source` is the program's name."""

    level: ClassVar[str] = "warning"
    source: str
    message: str

    def text(self) -> str:
        """``warning: message``, as every Postfix program has it."""
        return f"warning: {self.message}"
