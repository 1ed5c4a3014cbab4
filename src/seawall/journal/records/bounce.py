"""Facts of reports to senders and postmasters.  bounce(8), defer(8), trace(8)"""

from __future__ import annotations

from typing import ClassVar

from seawall.journal.record import Record


class ReportSent(Record, frozen=True, tag=True, kw_only=True):
    """A report about a message was made, as a message of its own."""

    program: ClassVar[str] = "bounce"
    queue_id: str
    audience: str
    """``sender`` or ``postmaster``."""
    about: str
    """``non-delivery``, ``delay`` or ``delivery status``."""
    report_id: str

    def text(self) -> str:
        """``ID: sender non-delivery notification: ID2``."""
        return f"{self.queue_id}: {self.audience} {self.about} notification: {self.report_id}"


class NoticeDiscarded(Record, frozen=True, tag=True, kw_only=True):
    """A postmaster notification could not be delivered either: there is nobody left to tell."""

    program: ClassVar[str] = "bounce"
    level: ClassVar[str] = "warning"
    queue_id: str

    def text(self) -> str:
        """``warning: ID: undeliverable postmaster notification discarded``."""
        return f"warning: {self.queue_id}: undeliverable postmaster notification discarded"
