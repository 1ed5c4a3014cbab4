"""What is noted of DNS lists themselves: put aside, taken back, without the test entry that every list should have."""

from __future__ import annotations

from typing import ClassVar

from seawall.journal.record import Record
from seawall.journal.records.delivery import format_seconds


class ListPutAside(Record, frozen=True, tag=True, kw_only=True):
    """A list lies or answers nothing.

    `why` is ``forbidden entry``, ``error answer``, ``silent`` or ``whole world``; `evidence` says it in words; `pause` is
    the seconds until it is asked again.
    """

    program: ClassVar[str] = "dnsblog"
    level: ClassVar[str] = "warning"
    zone: str
    why: str
    evidence: str
    pause: float

    def text(self) -> str:
        """``warning: DNS list bl.example put aside: it lists 127.0.0.1 …; it neither refuses nor permits …``."""
        return (
            f"warning: DNS list {self.zone} put aside: {self.evidence}; "
            f"it neither refuses nor permits until it answers soundly; asked again in {format_seconds(self.pause)} s"
        )


class ListTakenBack(Record, frozen=True, tag=True, kw_only=True):
    """A list answers soundly again, after `seconds` aside."""

    program: ClassVar[str] = "dnsblog"
    zone: str
    seconds: float

    def text(self) -> str:
        """``DNS list bl.example taken back: it answers soundly, after 61 s aside``."""
        return f"DNS list {self.zone} taken back: it answers soundly, after {format_seconds(self.seconds)} s aside"


class ListLacksTest(Record, frozen=True, tag=True, kw_only=True):
    """A list does not have the entry (`point`) that every list should have; it is asked all the same."""

    program: ClassVar[str] = "dnsblog"
    zone: str
    point: str

    def text(self) -> str:
        """``DNS list bl.example does not list 127.0.0.2, the test entry of RFC 5782: …``."""
        return (
            f"DNS list {self.zone} does not list {self.point}, the test entry of RFC 5782: "
            "it is empty, dead or without test entries, and is asked as before"
        )
