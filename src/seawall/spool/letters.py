"""Mail that the queue manager itself sends: reports, what local(8) forwards, what an operator has queued anew.

Each is a message of its own that goes through intake and is durable before the original records the fact.
"""

from __future__ import annotations

import os
from collections.abc import Sequence

from seawall.clock import Clock
from seawall.journal.record import Journal, Warned
from seawall.journal.records.bounce import ReportSent
from seawall.journal.records.spool import PickedUp
from seawall.journey import Intake, Report
from seawall.mail.envelope import Body, Origin, Recipient, Ret, Submission
from seawall.mail.message import Content
from seawall.mail.outcome import Forward
from seawall.mail.reply import Reply
from seawall.spool.disk import CHUNK, Disk
from seawall.spool.entry import Entry
from seawall.spool.hands import Hands

INTERNAL = "internal"
"""Among `Submission.extra`: mail of our own making.  postconf(5) internal_mail_filter_classes"""


class Letters:
    """Hands mail of our own to intake."""

    def __init__(self, intake: Intake, disk: Disk, hands: Hands, journal: Journal, clock: Clock) -> None:
        self._intake = intake
        self._disk = disk
        self._hands = hands
        self._journal = journal
        self._clock = clock

    async def send_reports(self, entry: Entry, reports: Sequence[Report]) -> bool:
        """Send them all; False where one could not be kept, so that all will be sent again later."""
        for report in reports:
            submission = Submission(
                origin=Origin(is_local=True), sender=report.envelope.sender, size=report.content.size, extra=(INTERNAL,)
            )
            queue_id, reply = await self._send(submission, report.envelope.recipients, b"", report.content)
            if reply.code >= 300:
                self._warn(f"{entry.queue_id}: {report.about} notification was not sent: {reply.line()}")
                return False
            self._journal.write(
                ReportSent(
                    at=self._clock.now(),
                    queue_id=entry.queue_id,
                    audience=report.audience,
                    about=report.about,
                    report_id=queue_id,
                )
            )
        return True

    async def forward(self, entry: Entry, forward: Forward, content: Content) -> tuple[str, Reply]:
        """What an alias or a .forward made of a message: its queue id, and whether it is kept.

        Its headers are completed where those of the original were: a stranger's stay as they are.
        """
        envelope = entry.envelope
        submission = Submission(
            origin=Origin(is_local=envelope.origin.is_local),
            sender=forward.sender,
            body=Body(envelope.body),
            smtputf8=envelope.smtputf8,
            ret=Ret(envelope.ret),
            envid=envelope.envid,
            extra=(INTERNAL,),
        )
        head = b""
        if forward.delivered_to:
            head = b"Delivered-To: " + forward.delivered_to.encode("utf-8", "surrogateescape") + b"\n"
        return await self._send(submission, forward.recipients, head, content)

    async def requeue(self, entry: Entry, recipients: Sequence[Recipient], content: Content) -> Reply:
        """The same message once more through intake, for these recipients.  postsuper(1) -r"""
        envelope, uid = entry.envelope, os.geteuid()
        submission = Submission(
            origin=Origin(is_local=True, submitted_by=f"userid {uid}"),
            sender=envelope.sender,
            body=Body(envelope.body),
            smtputf8=envelope.smtputf8,
            ret=Ret(envelope.ret),
            envid=envelope.envid,
        )
        queue_id, reply = await self._send(submission, recipients, b"", content)
        self._journal.write(
            PickedUp(
                at=self._clock.now(), queue_id=queue_id, uid=uid, sender=envelope.sender, original_id=entry.queue_id
            )
        )
        return reply

    async def _send(
        self, submission: Submission, recipients: Sequence[Recipient], head: bytes, content: Content
    ) -> tuple[str, Reply]:
        reception = self._intake.open(submission)
        for recipient in recipients:
            reception.add_recipient(recipient)
        reception.write(head + content.memory)
        spilled = content.spilled
        if spilled is not None:
            at, end = spilled.offset, spilled.offset + spilled.length
            while at < end:
                data = await self._hands.do(self._disk.read, spilled.descriptor, at, min(CHUNK, end - at))
                if not data:
                    reception.abort()
                    return reception.queue_id, Reply(451, "4.3.0", "Error: queue file read error")
                reception.write(data)
                at += len(data)
        return reception.queue_id, await reception.finish()

    def _warn(self, message: str) -> None:
        self._journal.write(Warned(at=self._clock.now(), source="bounce", message=message))
