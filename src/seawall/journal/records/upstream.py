"""What is noted of the server behind, where Seawall is the door alone.  Postfix has no such lines."""

from __future__ import annotations

from typing import ClassVar

from seawall.journal.record import Record


class Learnt(Record, frozen=True, tag=True, kw_only=True):
    """The server behind answers; `offers` where it was asked what it offers and that has changed."""

    program: ClassVar[str] = "smtpd"
    place: str
    offers: tuple[str, ...] = ()

    def text(self) -> str:
        """``127.0.0.1:10025 answers, and offers PIPELINING, SIZE 10240000``."""
        told = f", and offers {', '.join(self.offers)}" if self.offers else " again"
        return f"{self.place} answers{told}"
