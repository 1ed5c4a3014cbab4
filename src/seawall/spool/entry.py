"""A message while the queue manager works on it, and the reading and recording of its file."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field

from seawall.mail.envelope import Envelope, Notify, Recipient
from seawall.mail.message import Content, FileSlice, Message
from seawall.mail.outcome import Bounced, Delivered, Outcome
from seawall.spool.disk import Disk
from seawall.spool.hands import Hands, SharedFsync
from seawall.spool.places import Places
from seawall.spool.queue_file import HEAD_SIZE, Asked, MessageState, Outcomes, Reported, Result, StateRecord, Waiting
from seawall.spool.queue_files import QueueFiles

SMALL = 1 << 16
"""Content up to this is handed to agents in memory, larger content as a descriptor; ours, as intake's limit."""


@dataclass(eq=False, slots=True)
class Entry:
    """One message in the active queue.  `active_at` is in seconds since the epoch."""

    queue_id: str
    path: str
    arrived: float
    envelope: Envelope
    content_length: int
    state: MessageState
    active_at: float
    left: set[int] = field(default_factory=set)
    """Places whose outcome this pass still waits for."""
    settled: asyncio.Event = field(default_factory=asyncio.Event)
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    in_doubt: bool = False
    """True after a failed fsync: the file must be written anew before anything relies on it."""
    withdrawn: str = ""
    """``hold``, ``delete`` or ``stop``, once somebody took the message out."""
    fresh: list[Result] = field(default_factory=list)
    """Outcomes that are known but not recorded yet."""
    is_probe: bool = False
    """True for a question about an address (verify(8)): there is no file, and nothing is recorded or delivered."""

    @property
    def sender(self) -> str:
        """The envelope sender, empty for the null sender."""
        return self.envelope.sender

    @property
    def asks(self) -> bool:
        """True where nothing is delivered: for a probe, and for a question of sendmail -bv."""
        return self.is_probe or self.envelope.asks

    def all_fates(self) -> list[tuple[Recipient, Outcome]]:
        """Everything that became of everybody, in the order of the envelope."""
        return [
            (each.final or self.recipient(place), each)
            for place, outcome in sorted(self.state.outcomes.items())
            for each in (*outcome.also, outcome)
        ]

    def recipient(self, place: int) -> Recipient:
        """The recipient at a place of the envelope."""
        return self.envelope.recipients[place]

    def fates(self, places: tuple[int, ...]) -> dict[str, list[tuple[Recipient, Outcome]]]:
        """These recipients with their outcomes, by who is told in the sender's place: mostly "", the sender himself."""
        found: dict[str, list[tuple[Recipient, Outcome]]] = {}
        for place in places:
            outcome = self.state.outcomes[place]
            for each in (outcome, *outcome.also):
                found.setdefault(each.tell if isinstance(each, Bounced) else "", []).append(
                    (each.final or self.recipient(place), each)
                )
        return found

    def is_plainly_done(self) -> bool:
        """True where everybody has the message and nobody is to be told: then the removal is the record."""
        return not (self.state.pending() or self.state.unreported("failure", Bounced) or self.wanting_success())

    def wanting_success(self) -> tuple[int, ...]:
        """Places of delivered recipients whose sender asked for NOTIFY=SUCCESS and was not told yet."""
        delivered = self.state.unreported("success", Delivered)
        return tuple(place for place in delivered if self.recipient(place).notify & Notify.SUCCESS.value)

    def message(self, content: Content) -> Message:
        """As the stages hand it to each other."""
        return Message(self.queue_id, self.arrived, self.envelope, content)


class OpenContent:
    """The content of an entry for as long as the `async with` lasts: small in memory, large behind a descriptor."""

    def __init__(self, disk: Disk, hands: Hands, entry: Entry) -> None:
        self._disk = disk
        self._hands = hands
        self._entry = entry
        self._descriptor = -1

    async def __aenter__(self) -> Content:
        return await self._hands.do(self._open)

    async def __aexit__(self, *trouble: object) -> None:
        if self._descriptor >= 0:
            self._disk.close(self._descriptor)

    def _open(self) -> Content:
        entry = self._entry
        self._descriptor = self._disk.open_read(entry.path)
        if entry.content_length <= SMALL:
            return Content(self._disk.read(self._descriptor, HEAD_SIZE, entry.content_length))
        return Content(b"", FileSlice(self._descriptor, HEAD_SIZE, entry.content_length))


class Ledger:
    """Records what becomes of messages, durably, one change of a file at a time.  Methods raise OSError."""

    def __init__(self, places: Places, disk: Disk, hands: Hands) -> None:
        self.places = places
        self.disk = disk
        self.files = QueueFiles(places, disk)
        self.hands = hands
        self.shared = SharedFsync(disk, hands)

    async def record(self, entry: Entry, *records: StateRecord) -> None:
        """Make records durable; where an earlier fsync failed, by writing the file anew.  They count from now on."""
        for record in records:
            entry.state.apply(record)
        async with entry.lock:
            if not entry.in_doubt:
                try:
                    await self.hands.do(self.files.append, entry.path, list(records))
                except FileNotFoundError:
                    return  # deleted by an operator meanwhile
                except OSError:
                    entry.in_doubt = True
            if entry.in_doubt:
                await self.hands.do(self.files.rewrite, entry.path, entry.state.records(entry.active_at))
                entry.in_doubt = False

    async def outcomes(self, entry: Entry, now: float) -> None:
        """Record the outcomes that are known but not recorded."""
        if entry.fresh:
            fresh, entry.fresh = tuple(entry.fresh), []
            await self.record(entry, Outcomes(now, fresh))

    async def waiting(self, entry: Entry, until: float) -> None:
        """Record the time of the next attempt."""
        await self.record(entry, Waiting(until))

    async def reported(self, entry: Entry, kind: str, places: tuple[int, ...], now: float) -> None:
        """Record that a report went out."""
        await self.record(entry, Reported(now, kind, places))

    async def asked(self, entry: Entry, what: str, now: float) -> None:
        """Record an operator's wish."""
        await self.record(entry, Asked(now, what))

    def content(self, entry: Entry) -> OpenContent:
        """The content, for an `async with`."""
        return OpenContent(self.disk, self.hands, entry)

    async def remove(self, path: str) -> bool:
        """Unlink and wait until that is durable; False where the file was gone already."""
        there = await self.hands.do(self.files.remove, path)
        await self.shared.wait(path.rpartition("/")[0])
        return there
