"""The queue manager: takes up mail at rest, has it delivered, tells the sender, and removes what is done.  qmgr(8)

A message's *pass* is one attempt for all its pending recipients: load, route, deliver, conclude.  Between passes it
waits in `Alarms`.  docs/spool.md tells what is on disk at each step; nothing here relies on anything else.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from functools import partial

from seawall.clock import Clock
from seawall.journal.record import Journal, Record, Warned
from seawall.journal.records.spool import Expired, PutAside, Queued, Removed
from seawall.journey import Deliverer, Fates, Intake, Report, Reports
from seawall.mail.message import Message
from seawall.mail.outcome import Bounced, Deferred
from seawall.mail.queue_id import is_queue_id
from seawall.spool.deliveries import Deliveries
from seawall.spool.disk import Disk
from seawall.spool.entry import Entry, Ledger
from seawall.spool.hands import Hands
from seawall.spool.letters import Letters
from seawall.spool.places import Places
from seawall.spool.ports import Routing
from seawall.spool.queue_file import CorruptFile, MessageState
from seawall.spool.queue_files import Loaded
from seawall.spool.rules import Rules
from seawall.spool.scheduler import Alarms
from seawall.spool.upkeep import locked

SETTLED = 60.0
"""Seconds after which a file that nobody announced is taken up: its worker died between fsync and telling; ours."""
SCAN_STEP = 200
"""Files read in one go at a scan, so that new mail comes in between; ours."""


@dataclass(frozen=True, slots=True)
class Ports:
    """Everything that the manager is given by run/build.py."""

    routing: Routing
    deliverer: Deliverer
    intake: Intake
    reports: Reports
    journal: Journal
    clock: Clock
    probe_routing: Routing | None = None
    """For verify(8)'s probes, with the transports of address_verify_*; None: as for mail."""


class QueueManager:
    """One for each queue.  `announce` is how it learns of new mail; `run` works until cancelled or `stop`ped."""

    def __init__(
        self, places: Places, rules: Rules, ports: Ports, *, disk: Disk | None = None, hands: Hands | None = None
    ) -> None:
        self.places = places
        self.rules = rules
        self.ports = ports
        self.hands = hands or Hands()
        self.ledger = Ledger(places, disk or Disk(), self.hands)
        self.letters = Letters(ports.intake, self.ledger.disk, self.hands, ports.journal, ports.clock)
        self.deliveries = Deliveries(
            rules,
            ports.routing,
            ports.deliverer,
            self.letters,
            self.ledger,
            ports.journal,
            ports.clock,
            self._spawn,
            ports.probe_routing,
        )
        self.alarms = Alarms()
        self.active: dict[str, Entry | None] = {}
        """Messages in a pass; None while their file is being read."""
        self.domains: dict[str, tuple[str, ...]] = {}
        """Of messages that wait: the domains of their pending recipients, for flush by site."""
        self._incoming: deque[str] = deque()
        self._known: set[str] = set()
        self._doubtful: dict[str, MessageState] = {}
        self._wishes: dict[str, str] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._stopping = False
        self._idle = asyncio.Event()
        self.recovered = False
        """True once every file that was there at the start is known."""

    # -- life ---------------------------------------------------------------------------------------------------

    async def run(self) -> None:
        """Recover, then make a queue run every queue_run_delay, until cancelled.  Raises upkeep.Busy, OSError."""
        with locked(self.places):
            await self.recover()
            while not self._stopping:
                await asyncio.sleep(self.rules.queue_run_delay)
                await self.queue_run()

    async def stop(self, seconds: float) -> None:
        """Start nothing more; wait up to `seconds` for deliveries under way.  The rest is on disk."""
        self._stopping = True
        self._incoming.clear()
        for entry in list(self.active.values()):
            if entry is not None:
                entry.withdrawn = entry.withdrawn or "stop"
                self.deliveries.withdraw(entry)
        if self._tasks:
            await asyncio.wait(set(self._tasks), timeout=seconds)
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await asyncio.to_thread(self.hands.close)

    async def quiet(self) -> None:
        """Wait until no message is active and none has been announced: for drains and tests."""
        while self.active or self._incoming or self._tasks:
            self._idle.clear()
            await self._idle.wait()

    async def recover(self) -> None:
        """What docs/spool.md says under "Recovery", for every file there is."""
        ids, _ = await self.hands.do(self.ledger.files.recover)
        for at in range(0, len(ids), SCAN_STEP):
            await asyncio.gather(*(self._meet(queue_id) for queue_id in ids[at : at + SCAN_STEP]))
        self.recovered = True

    async def queue_run(self) -> None:
        """Take up what is due, and what nobody announced.  postconf(5) queue_run_delay"""
        now = self.ports.clock.now()
        self.deliveries.scheduler.tidy(now)
        for queue_id in self.alarms.due(now):
            self.announce(queue_id)
        for queue_id in await self.hands.do(self._unannounced, now - SETTLED):
            if queue_id not in self._known:
                await self._meet(queue_id)

    def _unannounced(self, before: float) -> list[str]:
        disk = self.ledger.disk
        found = []
        for name in disk.names(self.places.queue):
            if is_queue_id(name) and name not in self._known:
                try:
                    if disk.facts_of(f"{self.places.queue}/{name}").modified < before:
                        found.append(name)
                except FileNotFoundError:
                    continue
        return sorted(found)

    async def _meet(self, queue_id: str) -> None:
        """A file found by a scan: due now, or at its recorded time."""
        loaded = await self._load(queue_id)
        if loaded is None:
            return
        state = loaded.state
        if state.until > self.ports.clock.now() and not state.asked:
            self._known.add(queue_id)
            self.domains[queue_id] = _domains(loaded)
            self.alarms.set(queue_id, state.until)
        else:
            self.announce(queue_id)

    # -- taking up ----------------------------------------------------------------------------------------------

    def announce(self, queue_id: str) -> None:
        """A message is at rest in ``queue/`` and due.  Safe to say twice."""
        if self._stopping or queue_id in self.active:
            return
        self._known.add(queue_id)
        self.alarms.drop(queue_id)
        self.active_or_later(queue_id)

    def active_or_later(self, queue_id: str) -> None:
        """Start a pass, or line up behind qmgr_message_active_limit."""
        if len(self.active) < self.rules.active_limit:
            self.active[queue_id] = None
            self._spawn(partial(self._pass, queue_id))
        else:
            self._incoming.append(queue_id)

    def _spawn(self, work: Callable[[], Awaitable[None]]) -> None:
        task = asyncio.ensure_future(_guard(work, self._failed))
        self._tasks.add(task)
        task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not self._tasks:
            self._idle.set()

    def _failed(self, error: Exception) -> None:
        self.warn(f"defect in the queue manager: {type(error).__name__}: {error}")

    async def _load(self, queue_id: str) -> Loaded | None:
        """Read a file; one that does not read is put aside.  None where there is nothing to work on."""
        path = f"{self.places.queue}/{queue_id}"
        try:
            return await self.hands.do(self.ledger.files.load, path)
        except CorruptFile as trouble:
            await self._put_aside(queue_id, path, str(trouble))
        except OSError as trouble:
            self.warn(f"{queue_id}: {trouble}")
            self._known.add(queue_id)
            self.alarms.set(queue_id, self.ports.clock.now() + self.rules.timing.minimal_backoff_time)
        return None

    async def _put_aside(self, queue_id: str, path: str, reason: str) -> None:
        try:
            await self.hands.do(self.ledger.files.put_aside, path)
        except OSError as trouble:
            self.warn(f"{queue_id}: {reason}; it could not be moved to corrupt/: {trouble}")
            return
        self.write(PutAside(at=self.ports.clock.now(), queue_id=queue_id, reason=reason))

    # -- a pass -------------------------------------------------------------------------------------------------

    async def _pass(self, queue_id: str) -> None:
        """One attempt for a message, from its file to its alarm or its end."""
        self._known.add(queue_id)
        try:
            entry = await self._enter(queue_id)
            if entry is not None:
                if not entry.withdrawn:
                    await self.deliveries.try_all(entry)
                await self._conclude(entry)
        finally:
            self.active.pop(queue_id, None)
            self._wishes.pop(queue_id, None)
            if queue_id not in self.alarms:
                self._known.discard(queue_id)
            if self._incoming and not self._stopping and len(self.active) < self.rules.active_limit:
                self.active_or_later(self._incoming.popleft())

    async def _enter(self, queue_id: str) -> Entry | None:
        loaded = await self._load(queue_id)
        if loaded is None:
            return None
        now = self.ports.clock.now()
        stored = loaded.stored
        doubtful = self._doubtful.pop(queue_id, None)
        entry = Entry(
            queue_id=queue_id,
            path=f"{self.places.queue}/{queue_id}",
            arrived=stored.arrived,
            envelope=stored.envelope,
            content_length=loaded.head.content_length,
            state=doubtful or loaded.state,
            active_at=now,
            in_doubt=doubtful is not None,
            withdrawn="stop" if self._stopping else self._wishes.pop(queue_id, ""),
        )
        self.active[queue_id] = entry
        if entry.withdrawn:
            return entry
        if "requeue" in entry.state.asked and await self.requeue(entry):
            return None
        count = len(entry.envelope.recipients)
        self.write(Queued(at=now, queue_id=queue_id, sender=entry.sender, size=entry.content_length, recipients=count))
        return entry

    # -- the end of a pass --------------------------------------------------------------------------------------

    async def _conclude(self, entry: Entry) -> None:
        """All recipients were tried, or the message was taken out: reports, then removal or the next alarm."""
        now = self.ports.clock.now()
        try:
            if entry.withdrawn and not entry.is_plainly_done():
                await self._give_back(entry, now)
                return
            if entry.envelope.asks:
                await self._tell_how_it_went(entry, now)
                return
            told = await self._report(entry, now)
            if told and (not entry.state.pending() or await self._expire(entry, now)):
                await self._remove(entry)
            else:
                await self._postpone(entry, now)
        except OSError as trouble:
            self.warn(f"{entry.queue_id}: {trouble}")
            self._keep_in_mind(entry, now)

    async def _tell_how_it_went(self, entry: Entry, now: float) -> None:
        """The end of a question of sendmail -bv: a report on everybody, and nothing is tried again.  trace(8)"""
        async with self.ledger.content(entry) as content:
            message, fates = entry.message(content), entry.all_fates()
            reports = await self.hands.do(self.ports.reports.statuses, message, fates)
        if await self.letters.send_reports(entry, reports):
            await self._remove(entry)
        else:
            self._wait(entry, now + self.rules.timing.minimal_backoff_time)

    async def _give_back(self, entry: Entry, now: float) -> None:
        """An operator holds or deletes the message, or the program ends: keep what is known, then do as he says."""
        if entry.withdrawn == "delete":
            await self._remove(entry)
            return
        await self.ledger.outcomes(entry, now)
        if entry.withdrawn == "hold":
            await self.hands.do(self.ledger.files.move, entry.queue_id, self.places.queue, self.places.hold)
            self.forget(entry.queue_id)

    async def _report(self, entry: Entry, now: float) -> bool:
        """Failure and success reports; False where one could not be sent, and the message must stay for it."""
        reports = self.ports.reports
        failed = entry.state.unreported("failure", Bounced)
        if failed and not await self._send(entry, "failure", failed, reports.failures, now):
            return False
        wanted = entry.wanting_success()
        return not wanted or await self._send(entry, "success", wanted, reports.successes, now)

    async def _send(
        self,
        entry: Entry,
        kind: str,
        places: tuple[int, ...],
        word: Callable[[Message, Fates], Sequence[Report]],
        now: float,
    ) -> bool:
        """Have reports worded and sent, then recorded; but where the removal follows at once it is the record."""
        async with self.ledger.content(entry) as content:
            reports: list[Report] = []
            message = entry.message(content)
            for tell, fates in entry.fates(places).items():
                worded = partial(self.ports.reports.failures, tell=tell) if tell else word
                reports += await self.hands.do(worded, message, fates)
        if not await self.letters.send_reports(entry, reports):
            return False
        if reports and entry.state.pending():
            await self.ledger.reported(entry, kind, places, now)
        else:
            entry.state.reported[kind].update(places)
        return True

    async def _expire(self, entry: Entry, now: float) -> bool:
        """Return to the sender what stayed too long; False where it may stay or the report was not sent."""
        forced = "expire" in entry.state.asked
        if not (forced or self.rules.timing.has_expired(entry.arrived, entry.sender, now)):
            return False
        self.write(Expired(at=now, queue_id=entry.queue_id, sender=entry.sender, forced=forced))
        late = tuple(place for place in entry.state.pending() if place in entry.state.outcomes)
        return await self._send(entry, "failure", late, self.ports.reports.failures, now)

    async def _postpone(self, entry: Entry, now: float) -> None:
        """Warn the sender where it is time, then wait for the next attempt."""
        if self.rules.timing.wants_warning(entry.arrived, now):
            late = entry.state.unreported("delay", Deferred)
            if late and not entry.state.reported["delay"]:
                await self._send(entry, "delay", late, self.ports.reports.delays, now)
        until = self.rules.timing.next_attempt(entry.arrived, now)
        await self.ledger.outcomes(entry, now)
        await self.ledger.waiting(entry, until)
        self._wait(entry, until)

    def _wait(self, entry: Entry, until: float) -> None:
        addresses = (entry.recipient(place).address for place in entry.state.pending())
        self.domains[entry.queue_id] = tuple({address.rpartition("@")[2].lower() for address in addresses})
        self.alarms.set(entry.queue_id, until)

    def _keep_in_mind(self, entry: Entry, now: float) -> None:
        """The disk fails: what is known stays in memory, and the message is looked at again after a while."""
        self._doubtful[entry.queue_id] = entry.state
        self._wait(entry, now + self.rules.timing.minimal_backoff_time)

    async def _remove(self, entry: Entry) -> None:
        await self.ledger.remove(entry.path)
        self.forget(entry.queue_id)
        self.write(Removed(at=self.ports.clock.now(), queue_id=entry.queue_id))

    # -- used by the control socket as well ---------------------------------------------------------------------

    def forget(self, queue_id: str) -> None:
        """The message is no longer in ``queue/``."""
        self.alarms.drop(queue_id)
        self.domains.pop(queue_id, None)
        self._doubtful.pop(queue_id, None)
        self._known.discard(queue_id)

    def take_out(self, queue_id: str, wish: str) -> bool:
        """An active message is to be held or deleted once its deliveries under way have ended; False where it is not active."""
        if queue_id not in self.active:
            return False
        entry = self.active[queue_id]
        if entry is None:
            self._wishes[queue_id] = wish
        else:
            entry.withdrawn = wish
            self.deliveries.withdraw(entry)
        return True

    async def requeue(self, entry: Entry) -> bool:
        """Send the pending recipients through intake again, and remove the original.  postsuper(1) -r"""
        recipients = [entry.recipient(place) for place in entry.state.pending()]
        async with self.ledger.content(entry) as content:
            reply = await self.letters.requeue(entry, recipients, content)
        if reply.code >= 300:
            self.warn(f"{entry.queue_id}: not requeued: {reply.line()}")
            return False
        await self._remove(entry)
        return True

    def write(self, record: Record) -> None:
        """Tell the journal."""
        self.ports.journal.write(record)

    def warn(self, message: str) -> None:
        """Tell the operator."""
        self.write(Warned(at=self.ports.clock.now(), source="qmgr", message=message))


async def _guard(work: Callable[[], Awaitable[None]], failed: Callable[[Exception], None]) -> None:
    """A defect in one message's pass must not end the others': it is told, and the file is still there."""
    try:
        await work()
    except Exception as error:
        failed(error)


def _domains(loaded: Loaded) -> tuple[str, ...]:
    recipients = loaded.stored.envelope.recipients
    return tuple({recipients[place].address.rpartition("@")[2].lower() for place in loaded.state.pending()})
