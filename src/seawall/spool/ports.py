"""What the queue manager is given: where mail goes, who carries it, who words the reports.  Protocols only.

`journey.Deliverer` and `journey.Intake` complete the list; `run/build.py` knows who stands behind each.
"""

from __future__ import annotations

from collections.abc import Awaitable, Sequence
from typing import Protocol

from seawall.mail.envelope import Envelope, Recipient
from seawall.mail.message import Content, Message
from seawall.mail.outcome import Outcome


class Way(Protocol):
    """What is asked of a route (routing/route.py)."""

    @property
    def transport(self) -> str:
        """A master.cf service."""
        ...

    @property
    def nexthop(self) -> str:
        """Its destination."""
        ...

    @property
    def recipient(self) -> str:
        """The address that the agent is given."""
        ...

    @property
    def error(self) -> str:
        """What went wrong, where something did."""
        ...

    @property
    def is_malformed(self) -> bool:
        """True where no mail can be for such an address."""
        ...

    @property
    def has_failed(self) -> bool:
        """True where the answer is not known now."""
        ...


class Routing(Protocol):
    """Where mail for an address goes."""

    def resolve(self, address: str, sender: str = "") -> Awaitable[Way]:
        """The way of one recipient; trouble is told in the answer, never raised."""
        ...


class Report(Protocol):
    """A message about a message."""

    @property
    def audience(self) -> str:
        """``sender`` or ``postmaster``."""
        ...

    @property
    def about(self) -> str:
        """``non-delivery``, ``delay`` or ``delivery status``."""
        ...

    @property
    def envelope(self) -> Envelope:
        """Sender and recipients of the report."""
        ...

    @property
    def content(self) -> Content:
        """Its text, in memory."""
        ...


Fates = Sequence[tuple[Recipient, Outcome]]


class Reports(Protocol):
    """bounce(8), defer(8), trace(8): which reports a message calls for, already worded; often none.

    `message.content` must be readable while they work.
    """

    def failures(self, message: Message, fates: Fates, tell: str = "") -> Sequence[Report]:
        """These recipients are given up (also: they expired; then the outcome is a Deferred).

        `tell` is who hears of it in the sender's place.
        """
        ...

    def delays(self, message: Message, fates: Fates) -> Sequence[Report]:
        """These recipients are late."""
        ...

    def successes(self, message: Message, fates: Fates) -> Sequence[Report]:
        """These recipients were delivered or relayed; asked for with NOTIFY=SUCCESS."""
        ...
