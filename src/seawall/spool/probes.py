"""A probe on its way: a message without content that goes through rewriting, routing and its agent, and stops there.

It takes turns with the mail, so that the limits of a destination hold for both together.  Nothing of it is on disk, and
nobody hears of it but who asked.  verify(8), qmgr(8)
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import TypeAlias

from seawall.clock import Clock
from seawall.journal.record import Journal
from seawall.journal.records.delivery import delivery_line
from seawall.journal.records.spool import Queued, Removed
from seawall.mail.envelope import Envelope, Origin, Recipient
from seawall.mail.outcome import Bounced, Deferred, Delivered, Outcome
from seawall.mail.probe_sender import ProbeSender
from seawall.mail.queue_id import QueueIds
from seawall.mail.verified import Learned, Standing
from seawall.spool.deliveries import Deliveries
from seawall.spool.entry import Entry
from seawall.spool.queue_file import MessageState
from seawall.spool.rules import Rules

SEVERAL = Delivered(status="2.0.0", text="aliased to multiple recipients")
"""The outcome for an alias of several: somebody is there, and which of them matters nobody can say.  cleanup(8)"""
STANDINGS = {Delivered: Standing.DELIVERABLE, Deferred: Standing.DEFERRED, Bounced: Standing.UNDELIVERABLE}


Address: TypeAlias = Callable[[str, str], Awaitable[tuple[str, tuple[Recipient, ...]] | None]]
"""(sender, recipient): the two mapped as those of mail of our own are, an alias followed; None where a table failed."""


class Prober:
    """Sends probes.  `probe` is a verifier.Probe."""

    def __init__(
        self,
        deliveries: Deliveries,
        rules: Rules,
        address: Address,
        sender: ProbeSender,
        queue_ids: QueueIds,
        journal: Journal,
        clock: Clock,
    ) -> None:
        self._deliveries = deliveries
        self._rules = rules
        self._address = address
        self._sender = sender
        self._ids = queue_ids
        self._journal = journal
        self._clock = clock

    async def probe(self, address: str) -> Sequence[Learned]:
        """What one probe learned of `address`, and of the address that it was rewritten to."""
        now = self._clock.now()
        addressed = await self._address(self._sender.at(now), address)
        if addressed is None:
            return ()
        sender, recipients = addressed
        queue_id = self._ids.next(now)
        if len(recipients) > 1:
            self._tell_several(queue_id, address)
            recipients = ()
        count = len(recipients)
        self._journal.write(Queued(at=now, queue_id=queue_id, sender=sender, size=0, recipients=count))
        try:
            if not recipients:
                return (_learned(address, SEVERAL),)
            outcome = await self._try(queue_id, sender, recipients, now)
        finally:
            self._journal.write(Removed(at=self._clock.now(), queue_id=queue_id))
        if outcome is None:
            return ()
        final = recipients[0].address
        return tuple(_learned(each, outcome) for each in dict.fromkeys((address, final)))

    def _tell_several(self, queue_id: str, address: str) -> None:
        """cleanup(8) settles it itself, before there is anything to queue."""
        names = (address, address)
        words = self._rules.probe_words
        self._journal.write(
            delivery_line(self._clock.now(), "cleanup", queue_id, names, SEVERAL, (0.0, 0.0), words),
        )

    async def _try(self, queue_id: str, sender: str, recipients: tuple[Recipient, ...], now: float) -> Outcome | None:
        """The outcome of the one recipient; None where the attempt was broken off."""
        entry = Entry(
            queue_id=queue_id,
            path="",
            arrived=now,
            envelope=Envelope(sender, recipients, Origin(is_local=True)),
            content_length=0,
            state=MessageState(recipients),
            active_at=now,
            is_probe=True,
        )
        try:
            await self._deliveries.try_all(entry)
        finally:
            if entry.left:
                self._deliveries.withdraw(entry)
        return entry.state.outcomes.get(0)


def _learned(address: str, outcome: Outcome) -> Learned:
    return Learned(address, STANDINGS[outcome.__class__], outcome.text)
