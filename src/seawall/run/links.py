"""The links between children: questions with numbers, answers in any order, bodies as descriptors.

`DirectLink` and `JobLink` stand in the worker and the queue manager for the delivery process; a `JobLink` stands there
for the queue manager, which alone talks to other servers.  `DeliveryService` is the side that is asked.  Once a request
is sent it is answered, or the delivery process is dead: there is no time-out in between, so that a slow disk never
leads to two deliveries (docs/design.md, "The direct way").
"""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace

import msgspec

from seawall.delivery.direct import MOST_RECIPIENTS
from seawall.eager import within
from seawall.journal.batch import batches_of
from seawall.journal.record import Record
from seawall.mail.job import Job
from seawall.mail.message import Content, FileSlice, Message
from seawall.mail.outcome import Deferred, Delivery, Outcome
from seawall.mail.packing import pack, unpack
from seawall.run import messages as m
from seawall.run.channel import LARGEST, Channel

INLINE = LARGEST // 2
"""Bytes of content, or of an answer, that travel in the packet itself."""
MOST_OF_A_JOB = 100
"""Recipients in one packet: beside INLINE bytes there is room for the longest addresses of so many."""
TRIES = 2
"""A job is given to the successor of a process that died with it, once: it may be what killed it."""
ENDED = "delivery process ended before it answered"
FAILED = "unknown mail transport error"

_DELIVERY = msgspec.msgpack.Decoder(Delivery)


def to_wire(message: Message) -> tuple[m.WireMessage, list[int], list[int]]:
    """(wire form, descriptors to send, descriptors to close afterwards)."""
    content = message.content
    wire = m.WireMessage(message.queue_id, message.arrived, message.envelope, content.memory)
    if content.spilled is None and len(content.memory) <= INLINE:
        return wire, [], []
    if content.spilled is not None and len(content.memory) <= INLINE:
        spilled = content.spilled
        return _with_slice(wire, content.memory, spilled), [spilled.descriptor], []
    # A head this large goes into a file of its own, the spilled rest behind it.
    file = os.memfd_create("seawall-content")
    _write_all(file, content.memory)
    if content.spilled is not None:
        _copy(content.spilled, file)
    return _with_slice(wire, b"", FileSlice(file, 0, content.size)), [file], [file]


def _with_slice(wire: m.WireMessage, memory: bytes, spilled: FileSlice) -> m.WireMessage:
    return m.WireMessage(wire.queue_id, wire.arrived, wire.envelope, memory, spilled.offset, spilled.length)


def _write_all(file: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(file, view) :]


def _copy(source: FileSlice, file: int) -> None:
    at, left = source.offset, source.length
    while left:
        piece = os.pread(source.descriptor, min(left, 1 << 18), at)
        if not piece:
            raise OSError("a message's file is shorter than it was")
        _write_all(file, piece)
        at, left = at + len(piece), left - len(piece)


def from_wire(wire: m.WireMessage, descriptors: list[int]) -> Message:
    """The message; its spilled part belongs to the descriptor that came along."""
    spilled = FileSlice(descriptors[0], wire.spilled_offset, wire.spilled_length) if descriptors else None
    return Message(wire.queue_id, wire.arrived, wire.envelope, Content(wire.memory, spilled))


class _Asking:
    """The asking side of a link that may be renewed when the other process is replaced."""

    def __init__(self) -> None:
        self._channel: Channel[m.LinkMessage] | None = None
        self._waiting: dict[int, asyncio.Future[m.LinkMessage | None]] = {}
        self._number = 0
        self._linked: asyncio.Event = asyncio.Event()

    def renew(self, end: socket.socket) -> None:
        """Talk to the successor; what the predecessor still owes may yet come over the old pair."""
        loop = asyncio.get_running_loop()
        owed: dict[int, asyncio.Future[m.LinkMessage | None]] = {}

        def heard(message: m.LinkMessage, descriptors: list[int]) -> None:
            if isinstance(message, m.JobReply) and descriptors:
                message = m.JobReply(message.number, _read_all(descriptors[0]))
            for descriptor in descriptors:
                os.close(descriptor)
            if isinstance(message, m.DirectReply | m.JobReply):
                future = owed.pop(message.number, None)
                if future is not None and not future.done():
                    future.set_result(message)

        def lost() -> None:
            if self._waiting is owed:
                self._linked.clear()
            for future in owed.values():
                if not future.done():
                    loop.call_soon(_give_up, future)
            owed.clear()

        self._waiting = owed
        self._channel = Channel(end, m.LinkMessage, heard, lost)
        self._linked.set()

    def close(self) -> None:
        """Ask no more."""
        if self._channel is not None:
            self._channel.close()

    @property
    def is_linked(self) -> bool:
        """True while somebody is there to ask."""
        return self._channel is not None and self._channel.is_open

    async def linked(self) -> None:
        """Wait until there is somebody to ask."""
        await self._linked.wait()

    def ask(
        self, question: Callable[[int], m.LinkMessage], descriptors: list[int]
    ) -> asyncio.Future[m.LinkMessage | None]:
        """A future for the answer: None where the other process died before it answered."""
        future: asyncio.Future[m.LinkMessage | None] = asyncio.get_running_loop().create_future()
        self._number += 1
        if self._channel is None or not self._channel.is_open:
            future.set_result(None)
            return future
        self._waiting[self._number] = future
        if not self._channel.send(question(self._number), descriptors) and not future.done():
            future.set_result(None)
        return future


def _give_up(future: asyncio.Future[m.LinkMessage | None]) -> None:
    if not future.done():
        future.set_result(None)


class DirectLink(_Asking):
    """journey.DirectWay, in a worker."""

    async def deliver(self, message: Message) -> tuple[Outcome, ...] | None:
        """As journey.DirectWay; Deferred for every recipient where the delivery process died in between.

        Those go to the spool and may be delivered twice: a duplicate is allowed there, a loss never (RFC 1047).
        """
        if not self.is_linked or len(message.envelope.recipients) > MOST_RECIPIENTS:
            return None
        wire, descriptors, mine = to_wire(message)
        try:
            future = self.ask(lambda number: m.DirectRequest(number, wire), descriptors)
        finally:
            for descriptor in mine:
                os.close(descriptor)
        reply = await future
        if isinstance(reply, m.DirectReply):
            return reply.outcomes
        return _unknown(len(message.envelope.recipients), ENDED)


class JobLink(_Asking):
    """journey.Deliverer for the transports of another process.

    With `patience` it is waited for only so many seconds; `tries` is to how many processes a job is given in turn.
    """

    def __init__(self, patience: float | None = None, tries: int = TRIES) -> None:
        super().__init__()
        self._patience = patience
        self._tries = tries

    async def deliver(self, job: Job) -> Delivery:
        """Deferred for all where the other process died in between, and its successor as well."""
        if len(job.recipients) <= MOST_OF_A_JOB:
            return await self._ask(job)
        parts = [
            (at, await self._ask(replace(job, recipients=job.recipients[at : at + MOST_OF_A_JOB])))
            for at in range(0, len(job.recipients), MOST_OF_A_JOB)
        ]
        return Delivery(
            tuple(outcome for _, part in parts for outcome in part.outcomes),
            tuple(
                msgspec.structs.replace(forward, place=at + forward.place)
                for at, part in parts
                for forward in part.forwards
            ),
        )

    async def _ask(self, job: Job) -> Delivery:
        for _ in range(self._tries):
            try:
                await within(self.linked(), self._patience)
            except TimeoutError:
                return Delivery(_unknown(len(job.recipients), "mail transport unavailable"))
            reply = await self._answer_to(job)
            if isinstance(reply, m.JobReply):
                return unpack(reply.delivery, _DELIVERY)
        return Delivery(_unknown(len(job.recipients), ENDED))

    def _answer_to(self, job: Job) -> asyncio.Future[m.LinkMessage | None]:
        envelope = msgspec.structs.replace(job.envelope, recipients=())
        message = Message(job.queue_id, job.arrived, envelope, job.content)
        wire, descriptors, mine = to_wire(message)
        try:
            return self.ask(
                lambda number: m.JobRequest(number, job.transport, job.nexthop, job.recipients, wire, job.is_probe),
                descriptors,
            )
        finally:
            for descriptor in mine:
                os.close(descriptor)


def _unknown(recipients: int, text: str) -> tuple[Outcome, ...]:
    """What is said of recipients where nobody said anything."""
    return tuple(Deferred(status="4.3.0", text=text) for _ in range(recipients))


def _read_all(file: int) -> bytes:
    return os.pread(file, os.fstat(file).st_size, 0)


class DeliveryService:
    """The side that is asked, for all links: `direct` and `deliver` are the agents, whose defects go to `warn`."""

    def __init__(
        self,
        direct: Callable[[Message], Awaitable[tuple[Outcome, ...] | None]],
        deliver: Callable[[Job], Awaitable[Delivery]],
        warn: Callable[[str], None] = lambda text: None,
    ) -> None:
        self._direct = direct
        self._deliver = deliver
        self._warn = warn
        self._tasks: set[asyncio.Task[None]] = set()
        self._channels: list[Channel[m.LinkMessage]] = []
        self._deserted = asyncio.Event()
        self._deserted.set()

    @property
    def under_way(self) -> int:
        """Requests not yet answered."""
        return len(self._tasks)

    def serve(self, end: socket.socket) -> None:
        """Answer on this pair until the other side ends."""
        channel: Channel[m.LinkMessage] = Channel(
            end, m.LinkMessage, lambda message, fds: self._take(channel, message, fds), self._lost
        )
        self._channels = [*(each for each in self._channels if each.is_open), channel]
        self._deserted.clear()

    def _lost(self) -> None:
        if not any(channel.is_open for channel in self._channels):
            self._deserted.set()

    def _take(self, channel: Channel[m.LinkMessage], message: m.LinkMessage, descriptors: list[int]) -> None:
        task = asyncio.get_running_loop().create_task(self._answer(channel, message, descriptors))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _answer(self, channel: Channel[m.LinkMessage], message: m.LinkMessage, descriptors: list[int]) -> None:
        try:
            match message:
                case m.DirectRequest():
                    channel.send(m.DirectReply(message.number, await self._take_directly(message, descriptors)))
                case m.JobRequest():
                    _send_answer(channel, message.number, await self._take_job(message, descriptors))
                case _:
                    pass
        finally:
            for descriptor in descriptors:
                os.close(descriptor)

    async def _take_directly(self, request: m.DirectRequest, descriptors: list[int]) -> tuple[Outcome, ...] | None:
        """The outcomes; after a defect nobody knows what was written, so the spool takes it, and may write it again."""
        message = from_wire(request.message, descriptors)
        try:
            return await self._direct(message)
        except Exception as error:  # a defect in one delivery must not leave the asker waiting for ever
            self._warn(f"{message.queue_id}: {type(error).__name__}: {error}")
            return _unknown(len(message.envelope.recipients), FAILED)

    async def _take_job(self, request: m.JobRequest, descriptors: list[int]) -> Delivery:
        whole = from_wire(request.message, descriptors)
        job = Job(
            whole.queue_id,
            whole.arrived,
            request.transport,
            request.nexthop,
            whole.envelope,
            request.recipients,
            whole.content,
            request.is_probe,
        )
        try:
            return await self._deliver(job)
        except Exception as error:  # as above
            self._warn(f"{job.queue_id}: transport {job.transport}: {type(error).__name__}: {error}")
            return Delivery(_unknown(len(job.recipients), FAILED))

    async def deserted(self) -> None:
        """Wait until nobody is left who could ask."""
        await self._deserted.wait()

    async def idle(self) -> None:
        """Wait until everything taken is answered."""
        while self._tasks:
            await asyncio.wait(set(self._tasks))

    def close(self) -> None:
        """Answer no more."""
        for channel in self._channels:
            channel.close()


def _send_answer(channel: Channel[m.LinkMessage], number: int, delivery: Delivery) -> None:
    """Answer a job, in the packet where there is room for it."""
    packed = pack(delivery)
    if len(packed) <= INLINE:
        channel.send(m.JobReply(number, packed))
        return
    file = os.memfd_create("seawall-answer")
    try:
        _write_all(file, packed)
        channel.send(m.JobReply(number, b""), [file])
    finally:
        os.close(file)


class WatcherLink:
    """Where a child's records go: to the watcher, or nowhere while there is none (the log has them all the same)."""

    MOST_WAITING = 200
    """Packets that may wait for the watcher; more are dropped: the store must never hold up mail."""

    def __init__(self) -> None:
        self._channel: Channel[m.LinkMessage] | None = None
        self.dropped = 0
        self.heard: Callable[[m.LinkMessage], None] = lambda message: None
        """Takes what the watcher answers."""
        self.lost: Callable[[], None] = lambda: None

    def renew(self, end: socket.socket) -> None:
        """Talk to the (new) watcher."""
        self._channel = Channel(end, m.LinkMessage, self._heard, lambda: self.lost())

    def _heard(self, message: m.LinkMessage, descriptors: list[int]) -> None:
        for descriptor in descriptors:
            os.close(descriptor)
        self.heard(message)

    def close(self) -> None:
        """Tell nothing more."""
        if self._channel is not None:
            self._channel.close()

    def tell(self, message: m.LinkMessage) -> bool:
        """Pass something else on, in one packet; False where it cannot be taken now."""
        channel = self._channel
        if channel is None or not channel.is_open or channel.backlog > self.MOST_WAITING:
            return False
        return channel.send(message)

    def send(self, records: Sequence[Record]) -> None:
        """Pass records on, in packets that fit."""
        channel = self._channel
        if channel is None or not channel.is_open or channel.backlog > self.MOST_WAITING:
            self.dropped += len(records)
            return
        for batch in batches_of(records, LARGEST // 2):
            channel.send(m.Records(batch))
