"""cleanup(8): a message while it is received, and the moment in which it becomes ours.

`Cleanup` opens receptions; each takes recipients, actions and bytes without waiting, and does its work in `finish`:
envelope, headers, checks, then the direct way or the spool.  A 250 is only said for what is durable.
"""

from __future__ import annotations

import os

import msgspec

from seawall.clock import Clock
from seawall.config.settings import Settings
from seawall.intake.content import Incoming, InFlight
from seawall.intake.pipeline import Pipeline
from seawall.intake.rules import Rules
from seawall.intake.status import FULL, NO_ROOM, REPLIES, Status
from seawall.journal.record import Journal
from seawall.journal.records.delivery import delivery_line
from seawall.journal.records.intake import CleanupWarned
from seawall.journal.records.spool import Queued, Removed
from seawall.journey import DirectWay, Resting, RestingTrouble
from seawall.mail.action import Action
from seawall.mail.envelope import Notify, Recipient, Submission
from seawall.mail.message import Message
from seawall.mail.outcome import Delivered, Outcome
from seawall.mail.queue_id import QueueIds
from seawall.mail.reply import Reply
from seawall.routing.resolve import Routing
from seawall.tables.registry import Tables

MANY = 10
"""Recipients beyond which mail takes the queue.  docs/design.md, "The direct way"."""
SPARE_INODES = 100
"""Inodes that must be free before mail is taken, ours: every message in flight may need a few."""
SPACE_FACTOR = 1.5
"""smtpd(8): room for one and a half messages of message_size_limit must be there."""

LOOK = 1.0
"""Seconds for which free space is believed, ours: what fills a disk in less is met by the write itself, with 452."""
AMPLE = 4
"""Times the wanted room from which on it is believed at all; ours."""


class Cleanup:
    """Implements journey.Intake for one configuration.  `direct` is None where mail never goes straight to mailboxes."""

    def __init__(
        self,
        settings: Settings,
        routing: Routing,
        tables: Tables,
        resting: Resting,
        direct: DirectWay | None,
        journal: Journal,
        clock: Clock,
        queue_ids: QueueIds,
        *,
        flight: InFlight | None = None,
    ) -> None:
        self.rules = Rules(settings, routing, tables)
        self.resting = resting
        self.direct = direct if self.rules.direct else None
        self.journal = journal
        self.clock = clock
        self.flight = flight or InFlight()
        self._ids = queue_ids
        self._free = -1
        self._look_again = 0.0

    def open(self, submission: Submission) -> CleanupReception:
        """A new message; no I/O yet."""
        now = self.clock.now()
        return CleanupReception(self, submission, self._ids.next(now), now)

    def room_for(self, size: int) -> bool:
        """False where queue_minfree, a message of the greatest size, or `size` bytes more do not fit.

        What is in flight in nameless files is on the disk already; what is in memory has yet to get there.  The file
        system is asked once in LOOK seconds while it has far more room than is wanted, else every time.
        """
        wanted = max(self.rules.message_limit, size) * SPACE_FACTOR
        enough = max(wanted, self.rules.queue_minfree) + self.flight.in_memory
        if self._free < AMPLE * enough or self.clock.monotonic() >= self._look_again:
            self._look_again = self.clock.monotonic() + LOOK
            self._free = self._look()
        return self._free > enough

    def _look(self) -> int:
        """Free bytes; -1 where there is no file system, or too few inodes."""
        try:
            found = os.statvfs(self.rules.directory)
        except OSError:
            return -1
        if found.f_files and found.f_favail < SPARE_INODES:
            return -1
        return found.f_bavail * found.f_frsize


class CleanupReception:
    """Implements journey.Reception."""

    __slots__ = (
        "_actions",
        "_cleanup",
        "_incoming",
        "_recipients",
        "_refused",
        "_size",
        "arrived",
        "queue_id",
        "submission",
    )

    def __init__(self, cleanup: Cleanup, submission: Submission, queue_id: str, arrived: float) -> None:
        self._cleanup = cleanup
        self._incoming = Incoming(cleanup.rules.directory, cleanup.flight)
        self._recipients: list[Recipient] = []
        self._actions: list[Action] = []
        self._size = 0
        self._refused = False
        self.submission = submission
        self.queue_id = queue_id
        self.arrived = arrived

    def add_recipient(self, recipient: Recipient) -> None:
        """A recipient that policy let in."""
        self._recipients.append(recipient)

    def apply(self, action: Action) -> None:
        """HOLD, DISCARD, FILTER, REDIRECT, PREPEND, BCC of an access table or policy service."""
        self._actions.append(action)

    @property
    def received(self) -> int:
        """Content bytes so far, each line end counted as the two bytes that it was on the wire."""
        return self._size

    def write(self, data: bytes) -> None:
        """More content, LF line ends.  Beyond message_size_limit nothing is kept; `finish` tells."""
        self._size += len(data) + data.count(b"\n")
        rules = self._cleanup.rules
        if rules.message_limit and self._size > rules.message_limit:
            return
        if rules.replaces_cr and b"\r" in data:
            data = data.replace(b"\r", b" ")
        if rules.refused and not self._refused and rules.is_filtered(self.submission):
            self._refused = any(byte in data for byte in rules.refused)
        if rules.stripped and rules.is_filtered(self.submission):
            data = data.translate(None, rules.stripped)
        self._incoming.write(data)

    def abort(self) -> None:
        """Forget it."""
        self._incoming.close()

    async def finish(self) -> Reply:
        """Make the message ours; the reply says whether it is."""
        try:
            return await self._finish()
        except RestingTrouble as trouble:
            return trouble.reply
        except OSError as trouble:
            self._warn(f"write queue file: {trouble.strerror}")
            return NO_ROOM if trouble.errno in FULL else REPLIES[Status.WRITE]
        finally:
            self._incoming.close()

    def _warn(self, message: str, *, general: bool = False) -> None:
        cleanup = self._cleanup
        queue_id = "" if general else self.queue_id
        cleanup.journal.write(CleanupWarned(at=cleanup.clock.now(), queue_id=queue_id, message=message))

    async def _finish(self) -> Reply:
        limit = self._cleanup.rules.message_limit
        if limit and self._size > limit:
            self._warn("queue file size limit exceeded")
            return REPLIES[Status.SIZE]
        if self._incoming.trouble is not None:
            raise self._incoming.trouble
        pipeline = Pipeline(
            self._cleanup.rules,
            self.submission,
            self.queue_id,
            self.arrived,
            tuple(self._recipients),
            tuple(self._actions),
            journal=self._cleanup.journal,
            clock=self._cleanup.clock,
            flight=self._cleanup.flight,
        )
        try:
            message = await pipeline.run(self._incoming, refused=self._refused)
            for warning in pipeline.errors.general:
                self._warn(warning, general=True)
            for warning in pipeline.errors.warnings:
                self._warn(warning)
            if pipeline.errors:
                return pipeline.errors.reply()
            if message is not None:
                await self._place(message, copied=pipeline.copied)
        finally:
            pipeline.close()
        return Reply(250, "2.0.0", f"Ok: queued as {self.queue_id}")

    async def _place(self, message: Message, *, copied: bool) -> None:
        """Into the mailboxes where the direct way is open, else into the spool.  Raises RestingTrouble."""
        cleanup = self._cleanup
        outcomes: tuple[Outcome, ...] | None = None
        if cleanup.direct is not None and not copied and self._may_go_directly(message):
            outcomes = await cleanup.direct.deliver(message)
        if outcomes is None:
            await cleanup.resting.store(message)
            return
        envelope = message.envelope
        left = tuple(
            recipient
            for recipient, outcome in zip(envelope.recipients, outcomes, strict=True)
            if not isinstance(outcome, Delivered)
        )
        self._tell(message, outcomes, finished=not left)
        if left:
            rest = _with_recipients(message, left)
            await cleanup.resting.store(rest)

    def _may_go_directly(self, message: Message) -> bool:
        """The conditions that can be seen from here; delivery has its own."""
        envelope = message.envelope
        if envelope.hold or envelope.filter or envelope.redirect:
            return False
        if any(recipient.notify & Notify.SUCCESS.value for recipient in envelope.recipients):
            return False
        return 0 < len(envelope.recipients) <= MANY

    def _tell(self, message: Message, outcomes: tuple[Outcome, ...], *, finished: bool) -> None:
        """The lines that Postfix's log has for mail that was queued and delivered."""
        journal, envelope, now = self._cleanup.journal, message.envelope, self._cleanup.clock.now()
        journal.write(
            Queued(
                at=now,
                queue_id=self.queue_id,
                sender=envelope.sender,
                size=message.content.size,
                recipients=len(envelope.recipients),
            )
        )
        for recipient, outcome in zip(envelope.recipients, outcomes, strict=True):
            if isinstance(outcome, Delivered):
                queued = (max(0.0, now - message.arrived - outcome.connecting - outcome.sending), 0.0)
                named = (recipient.address, recipient.original)
                journal.write(delivery_line(now, outcome.relay, self.queue_id, named, outcome, queued))
        if finished:
            journal.write(Removed(at=now, queue_id=self.queue_id))


def _with_recipients(message: Message, recipients: tuple[Recipient, ...]) -> Message:
    """The same message for fewer recipients."""
    envelope = message.envelope
    return Message(
        message.queue_id, message.arrived, msgspec.structs.replace(envelope, recipients=recipients), message.content
    )
