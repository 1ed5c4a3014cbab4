"""The recipients of active messages on their way to the agents: routing, turns, forwards, outcomes.  qmgr(8)"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from functools import partial

import msgspec

from seawall.clock import Clock
from seawall.journal.record import Journal, Warned
from seawall.journal.records.delivery import PROBED, STATUS, DeliveryLine, delivery_line
from seawall.journey import Deliverer
from seawall.mail.envelope import Recipient
from seawall.mail.job import Job
from seawall.mail.message import Content
from seawall.mail.outcome import Bounced, Deferred, Delivered, Delivery, Outcome
from seawall.spool.entry import Entry, Ledger
from seawall.spool.letters import Letters
from seawall.spool.ports import Routing, Way
from seawall.spool.queue_file import Result
from seawall.spool.rules import Rules
from seawall.spool.scheduler import Scheduler, Target, Turn

BAD_SYNTAX = Bounced(status="5.1.3", text="bad address syntax")
NOT_RESOLVED = Deferred(status="4.3.0", text="address resolver failure")
HELD_BACK = Deferred(status="4.3.2", text="deferred transport", transport="retry")
AGENT_FAILED = Deferred(status="4.3.0", text="unknown mail transport error")
GONE = Deferred(status="4.3.0", text="queue file is not readable now")
REDIRECTED = Delivered(status="2.0.0", text="redirected")
NOTICE_LOST = Delivered(status="2.0.0", text="undeliverable postmaster notification discarded", transport="qmgr")


class Deliveries:
    """Runs the scheduler over active entries.  `spawn` starts a task that the manager keeps and awaits at its end."""

    def __init__(
        self,
        rules: Rules,
        routing: Routing,
        deliverer: Deliverer,
        letters: Letters,
        ledger: Ledger,
        journal: Journal,
        clock: Clock,
        spawn: Callable[[Callable[[], Awaitable[None]]], object],
        probe_routing: Routing | None = None,
    ) -> None:
        self._rules = rules
        self._routing = routing
        self._probe_routing = probe_routing or routing
        self._deliverer = deliverer
        self._letters = letters
        self._ledger = ledger
        self._journal = journal
        self._clock = clock
        self._spawn = spawn
        self._entries: dict[str, Entry] = {}
        self.scheduler = Scheduler(rules.limits_of, rules.timing.minimal_backoff_time)

    async def try_all(self, entry: Entry) -> None:
        """One attempt for each pending recipient.  Returns when every one has an outcome, recorded or in `entry.fresh`."""
        pending = entry.state.pending()
        if entry.envelope.redirect:
            pending = self._redirect(entry, pending)
        entry.left = set(pending)
        entry.settled.clear()
        self._entries[entry.queue_id] = entry
        try:
            targets = [target for place in pending if (target := await self._route(entry, place)) is not None]
            for target, reason in self.scheduler.add(entry.queue_id, targets, self._clock.now()):
                self._settle(entry, target, reason)
            self.dispatch()
            if entry.left:
                await entry.settled.wait()
        finally:
            del self._entries[entry.queue_id]

    def withdraw(self, entry: Entry) -> None:
        """Wait no more for recipients that are not under way: the message is held, deleted, or the program ends."""
        entry.left -= {target.place for target in self.scheduler.withdraw(entry.queue_id)}
        if not entry.left:
            entry.settled.set()

    def dispatch(self) -> None:
        """Start whatever may start."""
        for turn in self.scheduler.next_turns():
            self._spawn(partial(self._run, turn))

    def _redirect(self, entry: Entry, pending: tuple[int, ...]) -> tuple[int, ...]:
        """One copy goes to the REDIRECT address; the other recipients are done without a word.  access(5)

        The copy is that of the recipient whose domain and name sort first, as qmgr_message.c has them by then.
        """

        def order(place: int) -> tuple[str, str]:
            name, _, domain = entry.recipient(place).address.lower().rpartition("@")
            return domain, name

        first = min(pending, key=order, default=-1)
        for place in pending:
            if place != first:
                entry.fresh.append(Result(place, REDIRECTED))
                entry.state.outcomes[place] = REDIRECTED
        return tuple(place for place in pending if place == first)

    # -- where to -----------------------------------------------------------------------------------------------

    async def _route(self, entry: Entry, place: int) -> Target | None:
        """Where a recipient goes; None where that alone settles him."""
        recipient = entry.recipient(place)
        address = entry.envelope.redirect or recipient.address
        routing = self._probe_routing if entry.is_probe else self._routing
        way = await routing.resolve(address, entry.sender)
        verdict = self._verdict(way)
        if verdict is not None:
            self._settle(entry, Target(place, "error", "", address), verdict)
            return None
        transport, nexthop = way.transport, way.nexthop
        if entry.envelope.filter and not entry.asks:
            transport, _, wanted = entry.envelope.filter.partition(":")
            nexthop = wanted or nexthop
        if transport in self._rules.defer_transports:
            self._settle(entry, Target(place, transport, nexthop, way.recipient), HELD_BACK)
            return None
        return Target(place, transport, nexthop, way.recipient)

    def _verdict(self, way: Way) -> Outcome | None:
        if way.has_failed:
            return NOT_RESOLVED
        if way.is_malformed:
            return BAD_SYNTAX
        user = way.recipient.rpartition("@")[0]
        if way.transport == "local" and user.lower() == self._rules.double_bounce_sender.lower():
            return NOTICE_LOST
        return None

    # -- turns --------------------------------------------------------------------------------------------------

    async def _run(self, turn: Turn) -> None:
        """One delivery, from the agent's start to the record of its outcomes."""
        entry = self._entries[turn.queue_id]
        started = self._clock.now()
        outcomes = await self._deliver(entry, turn)
        now = self._clock.now()
        queued = (max(0.0, entry.active_at - entry.arrived), max(0.0, started - entry.active_at))
        for target, outcome in zip(turn.targets, outcomes, strict=True):
            self._note(entry, target, outcome, queued)
        entry.left -= {target.place for target in turn.targets}
        await self._record(entry, now)
        down = next((o for o in outcomes if isinstance(o, Deferred) and o.site_down), None)
        for given_up in self.scheduler.finished(turn, down, now):
            other = self._entries[given_up.queue_id]
            for target in given_up.targets:
                self._settle(other, target, Deferred(status=down.status, text=down.text) if down else GONE)
        if not entry.left:
            entry.settled.set()
        self.dispatch()

    async def _deliver(self, entry: Entry, turn: Turn) -> Sequence[Outcome]:
        recipients = tuple(self._final(entry, target) for target in turn.targets)
        try:
            if entry.is_probe:
                job = _job(entry, turn, recipients, Content(b""))
                outcomes: Sequence[Outcome] = (await self._deliverer.deliver(job)).outcomes
            else:
                async with self._ledger.content(entry) as content:
                    job = _job(entry, turn, recipients, content)
                    outcomes = await self._keep_forwards(entry, await self._deliverer.deliver(job), job)
        except asyncio.CancelledError:
            raise
        except OSError as error:
            self._warn(f"{entry.queue_id}: {error}")
            return [GONE] * len(recipients)
        except Exception as error:  # an agent's defect is our trouble, not the sender's
            self._warn(f"{entry.queue_id}: transport {turn.transport}: {type(error).__name__}: {error}")
            return [AGENT_FAILED] * len(recipients)
        if len(outcomes) != len(recipients):
            self._warn(f"{entry.queue_id}: transport {turn.transport}: an outcome is missing")
            return [AGENT_FAILED] * len(recipients)
        return outcomes

    def _final(self, entry: Entry, target: Target) -> Recipient:
        """The recipient with the address that routing gave him."""
        recipient = entry.recipient(target.place)
        if recipient.address == target.recipient:
            return recipient
        return Recipient(target.recipient, recipient.original, recipient.orcpt, recipient.notify)

    async def _keep_forwards(self, entry: Entry, delivery: Delivery, job: Job) -> list[Outcome]:
        """The outcomes, once what the delivery made anew is queued; where that failed the delivery must be repeated."""
        outcomes = list(delivery.outcomes)
        for forward in delivery.forwards:
            outcome = outcomes[forward.place]
            if isinstance(outcome, Deferred):
                continue
            queue_id, reply = await self._letters.forward(entry, forward, job.content)
            if reply.code >= 300:
                trouble = Deferred(status="4.3.0", text=f"cannot forward: {reply.line()}", relay=outcome.relay)
                outcomes[forward.place] = _and_also(trouble, outcome) if outcome.text else trouble
            else:
                outcomes[forward.place] = _forwarded(outcome, queue_id)
        return outcomes

    # -- outcomes -----------------------------------------------------------------------------------------------

    def _settle(self, entry: Entry, target: Target, outcome: Outcome) -> None:
        """An outcome without a delivery."""
        queued = (max(0.0, entry.active_at - entry.arrived), max(0.0, self._clock.now() - entry.active_at))
        self._note(entry, target, outcome, queued)
        entry.left.discard(target.place)
        if not entry.left:
            entry.settled.set()

    def _note(self, entry: Entry, target: Target, outcome: Outcome, queued: tuple[float, float]) -> None:
        """Write the log lines, and keep the outcome for the record."""
        for told in (*outcome.also, outcome):
            self._tell(entry, target, told, queued)
        if not entry.envelope.asks:
            outcome = _for_the_record(outcome)
        entry.fresh.append(Result(target.place, outcome))
        entry.state.outcomes[target.place] = outcome

    def _tell(self, entry: Entry, target: Target, outcome: Outcome, queued: tuple[float, float]) -> None:
        """The log line of a recipient, or of one address to which an alias led."""
        original, final = entry.recipient(target.place), outcome.final
        names = (final.address, final.original) if final else (target.recipient, original.original or original.address)
        transport = outcome.transport or target.transport
        line = delivery_line(
            self._clock.now(),
            self._rules.program_of(transport),
            entry.queue_id,
            names,
            outcome,
            queued,
            self._rules.probe_words if entry.is_probe else PROBED if entry.envelope.asks else STATUS,
        )
        self._journal.write(self._named(line, transport))

    def _named(self, line: DeliveryLine, transport: str) -> DeliveryLine:
        name = self._rules.log_names.get(transport)
        if not name:
            return line
        fields = {field: getattr(line, field) for field in line.__struct_fields__}
        return DeliveryLine(**{**fields, "service": name})

    async def _record(self, entry: Entry, now: float) -> None:
        """Make outcomes durable, but where the message is plainly done: then its removal is the record."""
        if entry.asks or (not entry.left and entry.is_plainly_done()):
            return
        try:
            await self._ledger.outcomes(entry, now)
        except OSError as error:
            self._warn(f"{entry.queue_id}: outcomes are not on disk yet: {error}")

    def _warn(self, message: str) -> None:
        self._journal.write(Warned(at=self._clock.now(), source="qmgr", message=message))


def _job(entry: Entry, turn: Turn, recipients: tuple[Recipient, ...], content: Content) -> Job:
    """What the agent of a turn is told."""
    return Job(
        queue_id=entry.queue_id,
        arrived=entry.arrived,
        transport=turn.transport,
        nexthop=turn.nexthop,
        envelope=entry.envelope,
        recipients=recipients,
        content=content,
        is_probe=entry.asks,
    )


def _and_also(outcome: Outcome, *others: Outcome) -> Outcome:
    """The outcome, standing for the others as well."""
    flat = (each for other in others for each in (*other.also, msgspec.structs.replace(other, also=())))
    return msgspec.structs.replace(outcome, also=(*outcome.also, *flat))


def _forwarded(outcome: Outcome, queue_id: str) -> Outcome:
    """The outcome of a recipient for whom a new message was queued as well, or was all that there is."""
    text = f"forwarded as {queue_id}"
    if not outcome.text:
        return msgspec.structs.replace(outcome, text=text)
    return _and_also(outcome, Delivered(status="2.0.0", text=text, relay=outcome.relay, sending=outcome.sending))


def _for_the_record(outcome: Outcome) -> Outcome:
    """What a report may need later: further failures beside a failure.  A list has too many successes to keep."""
    if not outcome.also:
        return outcome
    failures = (each for each in outcome.also if isinstance(each, Bounced) and isinstance(outcome, Bounced))
    return msgspec.structs.replace(outcome, also=tuple(failures))
