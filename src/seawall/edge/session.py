"""One client's session: the engine's events in their order, the judge's verdicts, the replies, and what the log says.

There is no task while everything is known at once.  Where a handler has to wait (a name, a list that asks DNS, the
message that is written) the session is busy: nothing more is taken from the engine until it is done.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from seawall.eager import run_eagerly
from seawall.edge.arrival import LOST, Arrival
from seawall.edge.counting import Counting
from seawall.edge.dispatch import CONTINUING, HANDLERS, UNLIKE_OTHERS, counted_as
from seawall.edge.transaction import Transaction
from seawall.edge.wire import WAITING_LIMIT
from seawall.journal.records import edge as records
from seawall.mail.reply import Reply
from seawall.policy.rates import Event as Counted
from seawall.policy.verdict import Verdict
from seawall.smtp.commands import LISTED_NOOP, UNKNOWN, VERBS
from seawall.smtp.end_of_data import BareNewline
from seawall.smtp.events import NEED_DATA, Command, Content, EndOfData, Event, NeedData, Pipelined, Refused
from seawall.smtp.replies import format_reply
from seawall.tables.table import TableTrouble

if TYPE_CHECKING:
    from seawall.edge.edge import Edge
    from seawall.edge.login import Exchange
    from seawall.policy.attempt import Attempt

IN_DATA = "DATA content"
IN_BDAT = "BDAT content"
END_OF_MESSAGE = "END-OF-MESSAGE"
TURN = 64
"""Events that one session may have before the others get their turn: some 2 ms of work (docs/design.md, "Processes")."""
TIMEOUT, TOO_MANY_ERRORS, CROWDED = "timeout", "too many errors", "too many connections"
LIMITED = frozenset(verb.name for verb in VERBS.values() if verb.is_limited)
PLACES: Mapping[str, int] = MappingProxyType({name: place for place, name in enumerate((*VERBS, UNKNOWN))})
"""Where a command stands in the disconnect line."""


class Session(Arrival):
    """State and dispatch; what each command means is in the `commands_*` modules."""

    handlers = HANDLERS
    """A door alone has others: edge/front.py."""

    __slots__ = (
        "_begun",
        "_ends",
        "exchange",
        "forgives",
        "junk",
        "mechanism",
        "screened",
        "transaction",
        "watch",
    )

    def __init__(self, edge: Edge) -> None:
        super().__init__(edge)
        self.transaction: Transaction | None = None
        self.junk = 0
        self.forgives = False
        """The refusal under way counts as no error."""
        self.exchange: Exchange | None = None
        self.mechanism = ""
        """The word of AUTH, safe to print."""
        self.screened: Callable[[Attempt], Reply] | None = None
        """Refuses the recipients of a client that did not pass the door, unless it logs in."""
        self.watch: Callable[[bytes], bool] | None = None
        """The door's, which still looks at what the client says; False where it has ended the session."""
        self._begun: Command | None = None
        self._ends = False

    # Work

    def received(self, data: bytes) -> None:
        """Commands or content."""
        if self.watch is not None and not self.watch(data):
            return
        if not self.limits.per_request_deadline:
            self.be_patient()
        elif self.where in (IN_DATA, IN_BDAT):
            self._give_time(len(data))
        self.engine.receive_data(data)
        if self.is_busy or self.is_blocked:
            self.hold(self.engine.waiting > WAITING_LIMIT)
        else:
            self.work()

    def work(self) -> None:
        """Take events from the engine until it needs data, something has to be waited for, or others must have a turn."""
        try:
            for _ in range(TURN):
                if self.is_busy or self.is_ending or self.is_blocked:
                    break
                event = self.engine.next_event()
                if event is NEED_DATA:
                    if self.waits_for_eof:
                        self.lose(LOST)
                    break
                self._take(event)
            else:
                self.flush()
                self.is_busy = True
                asyncio.get_running_loop().call_soon(self._go_on)
        except Exception as trouble:  # the client hears 421, the others go on
            self._failed(trouble)
        if self.is_busy and self._out:
            self.edge.flush_soon(self)
        else:
            self.flush()

    def _take(self, event: Event | NeedData) -> None:
        if isinstance(event, Command):
            kind = event.__class__
            if kind in UNLIKE_OTHERS:
                self._begin(event)
            else:
                self.where = name = event.verb
                self.counts[name] = self.counts.get(name, 0) + 1
            counting = self.edge.counting
            if counting is not None and counting.has_limits and (what := counted_as(event)) is not None:
                result = self._counted(counting, what, event)
            else:
                result = self.handlers[kind](self, event)
            if isinstance(result, Reply):
                self.answer(event, result)
            elif result is not None:
                self.wait_for(event, result)
        elif isinstance(event, Content):
            if self.transaction is not None and self.transaction.reception is not None:
                self.transaction.reception.write(event.data)
        elif isinstance(event, Pipelined):
            self.attempt.pipelined = True
            self.write(records.Pipelined, after=event.command, sample=event.sample)

    async def _counted(self, counting: Counting, what: Counted, event: Command) -> Reply | None:
        """A command that clients may only send so often."""
        if counting.limits_event(what):
            reply = await counting.refuse(self, what)
            if reply is not None:
                return reply
        answer = self.handlers[event.__class__](self, event)
        return answer if answer is None or isinstance(answer, Reply) else await answer

    def _go_on(self) -> None:
        """The others have had their turn."""
        self.is_busy = False
        if not self.is_closed:
            self.hold(False)
            self.work()

    def _begin(self, event: Command) -> None:
        """Count a command that is not like others, and remember it as the place where something may go wrong."""
        if event.__class__ in CONTINUING or event is LISTED_NOOP:
            return
        name = event.verb
        if isinstance(event, Refused):
            if event.goes_on:
                return
            name = event.command
            if event.moves:
                self.where = name if name in VERBS else "UNKNOWN"
        else:
            self.where = name
        self.counts[name] = self.counts.get(name, 0) + 1

    def wait_for(self, event: Command | None, work: Coroutine[Any, Any, Reply | None]) -> None:
        """Do `work`; where it really waits, the session is busy until it is done."""
        self.is_busy = True
        self._begun = event
        try:
            task = run_eagerly(work, self._done)
        except Exception as trouble:  # the client hears 421, the others go on
            self._failed(trouble)
            return
        if task is not None:
            task.add_done_callback(self._task_done)

    def _task_done(self, task: asyncio.Task[Reply | None]) -> None:
        if task.cancelled():
            self.abort()
            return
        trouble = task.exception()
        if trouble is not None:
            self._failed(trouble)
            return
        self._done(task.result())
        if not self.is_closed:
            self.hold(False)
            self.be_patient()
            self.work()

    def _done(self, reply: Reply | None) -> None:
        self.is_busy = False
        event, self._begun = self._begun, None
        if reply is not None and not self.is_closed and not self.is_ending:
            self.answer(event, reply)

    def _failed(self, trouble: BaseException) -> None:
        """A part of ours failed: temporary for the client, a line for the operator."""
        self.is_busy = False
        self._begun = None
        hostname = self.profile.rules.hostname
        if isinstance(trouble, TableTrouble):
            self.complain(str(trouble))
            text = f"{hostname} Server local data error"
        else:
            self.complain(f"{{client}}: {type(trouble).__name__} in {self.where}: {trouble}")
            text = f"{hostname} Server local error"
        reply = Reply(421, "4.3.0", text)
        self.write(
            records.Informed,
            message=f"{self.attempt.queue_id or 'NOQUEUE'}: reject: {self.where} from {{client}}: {reply.line()}",
        )
        self.say(format_reply(reply))
        self.hang_up()

    # Replies

    def answer(self, event: Command | None, reply: Reply) -> None:
        """Reply to an event, count, slow down or hang up who makes too many errors."""
        code = reply.code
        if code >= 400 and self.profile.dresses:
            reply = self.edge.dress(reply, self.attempt)
        wire = self.engine.send(reply)
        self.last_code = code
        limits = self.limits
        slow = self.errors >= limits.soft_errors and limits.error_sleep > 0
        ends = self._ends or code == 421 or code == 521 or self.where == "QUIT"
        if event is not None:
            self._count(event, code)
            ends = ends or (event.__class__ is Refused and event.hangs_up)
        if slow:
            self.is_busy = True
            self.flush()
            asyncio.get_running_loop().call_later(limits.error_sleep, self._say_late, wire, ends)
            return
        self._out.append(wire)
        if ends or self.errors >= limits.hard_errors or limits.per_request_deadline or self.edge.is_draining:
            self._after_reply(ends)

    def _say_late(self, wire: bytes, ends: bool) -> None:
        self.is_busy = False
        if self.is_closed or self.is_ending:
            return
        self.say(wire)
        self._after_reply(ends)
        if not self.is_ending:
            self._go_on()

    def _after_reply(self, ends: bool) -> None:
        if ends:
            self.hang_up()
        elif self.errors >= self.limits.hard_errors:
            self.cause = TOO_MANY_ERRORS
            reply = Reply(421, "4.7.0", f"{self.profile.rules.hostname} Error: too many errors")
            self.last_code = 421
            self.say(format_reply(reply))
            self.hang_up()
        else:
            if self.limits.per_request_deadline:
                self.be_patient()
            if self.edge.is_draining and self.transaction is None:
                self.farewell()

    def _count(self, event: Command, code: int) -> None:
        """An error, a success, or neither (354 and 334 leave that open)."""
        name = event.verb
        refused = False
        if event.__class__ in UNLIKE_OTHERS:
            if isinstance(event, Refused):
                name = event.command
                refused = True
            elif isinstance(event, EndOfData):
                name = "BDAT" if event.by_chunks else "DATA"
        if code >= 400 or refused:  # 221 to what is no SMTP is an error as well
            if not self.forgives:
                self.errors += 1
            else:
                self.forgives = False
                self.good[name] = self.good.get(name, 0) + 1
        elif code != 334 and code != 354 and event is not LISTED_NOOP:
            self.good[name] = self.good.get(name, 0) + 1
        if name in LIMITED:
            if self.junk > self.limits.junk_commands:
                self.errors += 1
            self.junk += 1

    def refusal(self, verdict: Verdict) -> Reply | None:
        """The judge's reply; None where it wants the connection closed without a word."""
        if verdict.reply is None:
            self.hang_up()
            return None
        self._ends = verdict.hangs_up
        return verdict.reply

    def forgive(self) -> None:
        """A message was accepted: what went wrong before is forgotten."""
        self.errors = 0
        self.junk = 0
        if self.place is not None:
            self.place.prove()

    # What handlers ask

    def enter_content(self, *, by_chunks: bool) -> None:
        """From here on the log names the content as the place of what happens."""
        self.where = IN_BDAT if by_chunks else IN_DATA

    def new_instance(self) -> str:
        """Unique to a transaction, for policy services.  SMTPD_POLICY_README instance"""
        now = self.edge.clock.now()
        return f"{self.number:x}.{int(now):x}.{int(now % 1 * 1e6):x}.{self.counts.get('MAIL', 0):x}"

    def received_protocol(self) -> str:
        """The word for Received: SMTP, ESMTP, ESMTPS, ESMTPSA, UTF8SMTP.  RFC 3848, RFC 6531 §3.7.3"""
        attempt = self.attempt
        word = "UTF8SMTP" if attempt.smtputf8 else attempt.protocol
        if attempt.protocol != "ESMTP":
            return word
        return word + ("S" if attempt.tls is not None else "") + ("A" if attempt.sasl_username else "")

    def forwarded_client(self) -> str:
        """The client that XFORWARD named, for the log."""
        told = self.forwarded
        if not told.keys() & {"NAME", "ADDR", "PROTO", "HELO"}:
            return ""
        name, address = told.get("NAME", "unknown"), told.get("ADDR", "unknown")
        return name if address == "unknown" else f"{name}[{address}]"

    # Time

    def _give_time(self, size: int) -> None:
        """Content earns time, at smtpd_min_data_rate, up to the whole of it."""
        limits = self.limits
        latest = self.edge.monotonic() + limits.timeout
        self.deadline = min(latest, self.deadline + size / limits.min_data_rate)

    def run_out(self) -> None:
        """The client's time is over, unless it waits for us."""
        if self.is_closed:
            return
        if self.is_ending or self.is_blocked:
            if not self.is_ending:
                self.lose(TIMEOUT)
            self.abort()
            return
        if self.is_busy and not (self.tls is not None and not self.tls.is_established):
            self.be_patient()
            self.edge.patience.watch(self)
            return
        if self.tls is not None and not self.tls.is_established:
            self.not_secured("Connection timed out")
            return
        reply = Reply(421, "4.4.2", f"{self.profile.rules.hostname} Error: timeout exceeded")
        self.say(format_reply(reply))
        self.last_code = 421
        self.lose(TIMEOUT)
        if not self.is_closed:  # what we said may take its time, but not for ever
            self.be_patient()
            self.edge.patience.watch(self)

    def farewell(self) -> None:
        """We are going down: nothing new from this client, and no handshake is waited for."""
        if self.tls is not None and not self.tls.is_established and not self.is_ending:
            self.not_secured("the service is shutting down")
            return
        if self.is_ending or self.is_busy or self.transaction is not None:
            return
        self.tell(Reply(421, "4.3.2", f"{self.profile.rules.hostname} Service shutting down"))
        self.hang_up()

    def shed(self) -> bool:
        """The client's place is needed for others.  False while it waits for us: a message may be becoming ours."""
        if self.is_ending:
            self.abort()
        elif self.tls is not None and not self.tls.is_established:
            self.not_secured(CROWDED)
        elif self.is_busy:
            return False
        else:
            self.tell(self.too_many())
            self.lose(CROWDED)
        return True

    # The end

    def ended(self) -> None:
        """The client sends no more: what it sent before is still answered, but a handshake is at its end."""
        if self.tls is not None and not self.tls.is_established:
            self.not_secured("lost connection")
        elif self.is_silent and not self.is_busy and not self.is_blocked:
            self.lose(LOST)
        elif not self.is_busy and not self.is_blocked:
            self.work()

    def unblocked(self) -> None:
        """Replies have gone out."""
        self.be_patient()
        if not self.is_busy:
            self.work()

    def lose(self, cause: str) -> None:
        """The session ends out of turn."""
        self.cause = self.cause or cause
        self.hang_up()

    def closed(self, was_ending: bool) -> None:
        """The connection is gone: the last lines of the log, in this turn or, where thousands go at once, in its own."""
        if not was_ending:
            self.cause = self.cause or LOST
        if self.edge.may_end(self):
            self.depart()

    def depart(self) -> None:
        """Give back everything."""
        edge = self.edge
        edge.patience.forget(self)
        edge.sessions.discard(self)
        if edge.crowd is not None and self.place is None:  # it was turned away at once
            return
        if edge.counting is not None:
            edge.counting.disconnect(self)
        if self.place is not None:
            self.place.leave()
        if self.is_put_off:
            self.remain_nameless()
        self._tell_end()
        if self.is_silent:
            return
        self.forget()
        if self.exchange is not None:
            self.exchange.close()
            self.exchange = None

    def _tell_end(self) -> None:
        where = self.where
        if self.is_silent:
            if self.cause:
                self.write(records.Aborted, cause=self.cause, after=where)
            seconds = self.edge.clock.now() - self.started
            self.write(records.Disconnected, seconds=seconds, last_code=self.last_code)
            return
        if self.cause and where in (IN_DATA, IN_BDAT):
            size = self.engine.content_so_far
            after = where.partition(" ")[0]
            self.write(records.Aborted, cause=self.cause, after=after, size=size, queue_id=self.attempt.queue_id)
        elif self.cause and (where != END_OF_MESSAGE or self.cause != LOST):
            self.write(records.Aborted, cause=self.cause, after=where, queue_id=self.attempt.queue_id)
        self.write(
            records.Disconnected,
            commands=self.tally(),
            bare_newlines=self.engine.noted_bare and self.engine.bare_newline is BareNewline.NOTE,
            seconds=self.edge.clock.now() - self.started,
            last_code=self.last_code,
        )

    def tally(self) -> tuple[tuple[str, int, int], ...]:
        """(name, succeeded, in all) for each command seen, in Postfix's order."""
        counts, good = self.counts, self.good
        return tuple([(name, good.get(name, 0), counts[name]) for name in sorted(counts, key=PLACES.__getitem__)])

    def forget(self) -> None:
        """No transaction any more.  The engine has its own way to know."""
        transaction, self.transaction = self.transaction, None
        if transaction is not None:
            transaction.abort()
        attempt = self.attempt
        attempt.sender = None
        attempt.recipient = None
        attempt.recipient_count = 0
        attempt.size = 0
        attempt.smtputf8 = False
        attempt.queue_id = ""
        attempt.instance = ""
        attempt.sasl_sender = ""
        attempt.actions.clear()
        self.forwarded.clear()
