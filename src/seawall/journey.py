"""The handovers of a message's journey, in order: read this file first.

A client knocks (`door`) and speaks SMTP (`edge`).  What it hands over becomes ours (`Intake`), and either goes
straight into mailboxes (`DirectWay`) or is put to rest (`Resting`).  The queue manager hands it on when its turn
comes (`Deliverer`), stores what a delivery made anew, and tells the sender what failed (`Reports`).

Stages never import each other: they know these protocols, and `run/build*.py` alone knows who stands behind them.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from seawall.mail.action import Action
from seawall.mail.envelope import Envelope, Recipient, Submission
from seawall.mail.job import Job
from seawall.mail.message import Content, Message
from seawall.mail.outcome import Delivery, Outcome
from seawall.mail.reply import Reply


class Reception(Protocol):
    """A message while it is being received.  `queue_id` is final from the first moment."""

    queue_id: str

    def add_recipient(self, recipient: Recipient) -> None:
        """A recipient that policy let in."""
        ...

    def apply(self, action: Action) -> None:
        """HOLD, DISCARD, FILTER, REDIRECT, PREPEND, BCC of an access table or policy service."""
        ...

    def write(self, data: bytes) -> None:
        """More content, LF line ends, dots unstuffed.  Never fails at once: trouble is told by `finish`."""
        ...

    @property
    def received(self) -> int:
        """Content bytes so far, as message_size_limit counts them."""
        ...

    async def finish(self) -> Reply:
        """Make the message ours.  A 250 is said only after it is durable; otherwise the reply says why not.

        The text is cleanup(8)'s (``2.0.0 Ok: queued as ID``, ``5.4.0 Error: too many hops`` …).  Never raises.
        """
        ...

    def abort(self) -> None:
        """Forget it: the client reset, vanished, or was refused at end of data."""
        ...


class Intake(Protocol):
    """edge → intake: where receptions come from.  cleanup(8)"""

    def open(self, submission: Submission) -> Reception:
        """A new message; no I/O yet."""
        ...

    def room_for(self, size: int) -> bool:
        """False where `size` bytes and queue_minfree do not fit.  postconf(5) queue_minfree"""
        ...


class DirectWay(Protocol):
    """intake → delivery: mailboxes written before the 250, without a queue file (docs/design.md, "The direct way")."""

    async def deliver(self, message: Message) -> tuple[Outcome, ...] | None:
        """One outcome for each recipient, each Delivered one durable; None where the conditions do not hold.

        None means nothing was written.  A recipient whose outcome is not Delivered goes to the spool for him alone.
        """
        ...


class RestingTrouble(Exception):
    """The spool could not keep a message: temporary, ours.  `reply` is what the client should hear."""

    def __init__(self, reply: Reply) -> None:
        super().__init__(reply.line())
        self.reply = reply


class Resting(Protocol):
    """intake → spool: put a message to rest.  Returns after the fsync of file and directory, or raises RestingTrouble."""

    async def store(self, message: Message) -> None:
        """Durable when it returns; the queue manager is told."""
        ...


class Deliverer(Protocol):
    """spool → delivery: one job, all its recipients of one transport and next hop."""

    async def deliver(self, job: Job) -> Delivery:
        """Outcomes in the order of `job.recipients`.  Never raises for trouble with mail: that is an Outcome."""
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
    """spool → bounce.  bounce(8), defer(8), trace(8): which reports a message calls for, already worded; often none.

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

    def statuses(self, message: Message, fates: Fates) -> Sequence[Report]:
        """So the recipients would fare; asked for with sendmail -bv."""
        ...
