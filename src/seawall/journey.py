"""The handovers of a message's journey, in order: read this file first.

A client knocks (`door`) and speaks SMTP (`edge`).  What it hands over becomes ours (`Intake`), and either goes
straight into mailboxes (`DirectWay`) or is put to rest (`Resting`).  The queue manager hands it on when its turn
comes (`Deliverer`), stores what a delivery made anew, and tells the sender what failed (`Reports`).  Where Seawall is
the door alone, the session is joined with the server behind instead (`Joining`).

Stages never import each other: they know these protocols, and `run/build*.py` alone knows who stands behind them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
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


@dataclass(frozen=True, slots=True)
class Caller:
    """What the server behind is told of a client.  A name is empty where it is not known, None where DNS had trouble."""

    address: str
    port: str
    server_address: str
    server_port: str
    name: str | None = ""
    reverse_name: str | None = ""
    hello: tuple[str, str] | None = None
    """EHLO or HELO, and what the client said behind it."""


class Holder(Protocol):
    """edge → upstream: a session that has, or wants, one of the places at the server behind."""

    @property
    def worth(self) -> int:
        """Who waits for a place is served by this, the greater the sooner, then by arrival."""
        ...

    def spare(self, now: float) -> float | None:
        """Seconds (monotonic `now`) that the client has left its place unused beyond what is fair; None: it needs it."""
        ...

    def give_up(self) -> None:
        """Leave the place to somebody else."""
        ...


class Joined(Protocol):
    """edge → upstream: a connection to the server behind that speaks for one client.  Nothing here raises."""

    offers: tuple[str, ...]
    """What it answered to EHLO, without its name: ``SIZE 1000``."""
    is_gone: bool
    """It has ended, or does not answer."""
    is_full: bool
    """More was written than it takes at present."""

    async def ask(self, line: bytes) -> Reply:
        """Say a command, or the last line of a content, and hear the reply; 421 where none comes."""
        ...

    def write(self, data: bytes) -> None:
        """Content."""
        ...

    async def drained(self) -> None:
        """Until it takes more, or is gone."""
        ...

    def splice(self, heard: Callable[[bytes], None], room: Callable[[], None], ended: Callable[[], None]) -> None:
        """From here on bytes are passed on as they come, and `room` tells that it takes more again."""
        ...

    def hold(self, wanted: bool) -> None:
        """Read nothing from it while the client does not take it."""
        ...

    def close(self, *, politely: bool) -> None:
        """Leave; the place is free.  What was not ended is nobody's."""
        ...


class Joining(Protocol):
    """edge → upstream: the server behind, where Seawall is the door alone."""

    offers: tuple[str, ...]
    """What it offers to strangers before TLS, as far as it is known."""
    wants_names: bool
    """It is told the client's name, which must be known before."""
    patience: float
    """Seconds that it may be silent."""

    async def join(self, caller: Caller, holder: Holder) -> Joined | Reply:
        """A connection for this client; a Reply where there is none: 421, or what the server said itself.  Never raises."""
        ...

    def leave(self, holder: Holder) -> None:
        """The holder is gone, or wants no place any more."""
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
