"""smtpd(8) as one object: makes sessions for a listener, and holds what all sessions of a configuration share."""

from __future__ import annotations

import asyncio
import itertools
import time
from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import replace

from seawall.clock import Clock
from seawall.edge.arrival import Arrival
from seawall.edge.counting import Counting
from seawall.edge.login import Login
from seawall.edge.ports import Judging, Naming
from seawall.edge.profile import Profile, Traits
from seawall.edge.session import Session
from seawall.journal.record import Journal
from seawall.journey import Intake
from seawall.mail.reply import Reply
from seawall.patience import Patience
from seawall.policy.attempt import Attempt
from seawall.policy.dnsbl import session_values
from seawall.policy.worth import Crowd
from seawall.smtp.end_of_data import BareNewline
from seawall.smtp.extensions import parse_discarded

HOLD = 0.002
"""Seconds that replies wait for company where the command behind them has to wait; ours: most answers are there by then,
and a client that sent more has no use for the first replies alone."""
AT_ONCE = 16
"""Sessions that end in one turn of the loop, each some 40 µs with its log lines: a botnet may hang up all at once."""
TURNS = 2
"""Turns of the loop behind that: uvloop runs what was called soon before it looks at sockets, so one is not enough."""


class Edge:
    """One configuration at work.  `session` is a protocol factory for a listener.

    `profile` may be another one than plain where the caller found stress; sessions keep what they began with.
    A worker's edges share one `patience` and one `next_number`.
    """

    def __init__(
        self,
        profile: Profile,
        judge: Judging,
        intake: Intake,
        journal: Journal,
        clock: Clock,
        names: Naming,
        *,
        login: Login | None = None,
        flush: Callable[[str], Awaitable[bool]] | None = None,
        patience: Patience | None = None,
        next_number: Callable[[], int] | None = None,
        service: str = "smtp",
        sessions: set[Arrival] | None = None,
        counting: Counting | None = None,
        crowd: Crowd | None = None,
        lacks_answers: Callable[[], bool] = bool,
    ) -> None:
        loop = asyncio.get_running_loop()
        self.profile = profile
        self.judge = judge
        self.intake = intake
        self.journal = journal
        self.clock = clock
        self.names = names
        self.login = login
        self.flush = flush
        """Asks the queue to deliver what waits for a domain; False where it cannot."""
        self.service = service
        self.counting = counting
        """Counts what each client does; None where nobody is counted."""
        self.crowd = crowd
        """Gives each connection its place; None where there is room for all."""
        self.lacks_answers = lacks_answers
        """So many questions wait for name servers that the rest is for those who need an answer."""
        self.monotonic = loop.time
        self.patience = patience or Patience(loop.time, loop.call_later)
        self.next_number: Callable[[], int] = next_number or itertools.count(1).__next__
        self.sessions: set[Arrival] = set() if sessions is None else sessions
        """Those that are open."""
        self.is_draining = False
        self._loop = loop
        self._held: list[Session] = []
        self._ended = 0
        """In this turn of the loop."""
        self._ending: deque[Arrival] = deque()
        self.no_traits = Traits()
        """What nobody has who was not looked at yet."""

    def session(self) -> Session:
        """A protocol for one connection."""
        return Session(self)

    def flush_soon(self, session: Session) -> None:
        """What this session has said goes out with what it says next, or after HOLD seconds."""
        if not self._held:
            self._loop.call_later(HOLD, self._flush_held, TURNS)
        self._held.append(session)

    def _flush_held(self, turns: int) -> None:
        """First let the loop read what came meanwhile: where it is busy, the answer lies there unread."""
        if turns:
            self._loop.call_soon(self._flush_held, turns - 1)
            return
        held, self._held = self._held, []
        for session in held:
            session.flush()

    def may_end(self, session: Arrival) -> bool:
        """True where it may end now; else it is told to when others had their turn."""
        if not self._ended:
            self._loop.call_soon(self._end_more)
        self._ended += 1
        if self._ended <= AT_ONCE:
            return True
        self._ending.append(session)
        return False

    def _end_more(self) -> None:
        ending = self._ending
        for _ in range(min(AT_ONCE, len(ending))):
            ending.popleft().depart()
        self._ended = 0
        if ending:
            self._ended = AT_ONCE
            self._loop.call_later(0, self._end_more)

    def drain(self) -> None:
        """Take leave of every session that has no message under way, and of the others when theirs is done."""
        self.is_draining = True
        for session in tuple(self.sessions):
            session.farewell()

    async def learn_traits(self, session: Arrival) -> None:
        """What a client may because of its name and address.  Raises TableTrouble where a list cannot tell."""
        if session.traits is not self.no_traits:
            return
        lists = self.profile.lists
        attempt = session.attempt
        found: list[bool] = []
        for each in (lists.xclient, lists.xforward, lists.verp, lists.no_auth, lists.bare_newlines):
            matched = each.test(attempt.name, attempt.address) if each else False
            found.append(matched if isinstance(matched, bool) else await matched)
        discarded = None
        if lists.discard_maps is not None:
            words = await lists.discard_maps.find(attempt.address)
            if words is not None:
                discarded, _ = parse_discarded(words.replace(",", " ").split())
        xclient, xforward, verp, no_auth, bare_newlines = found
        session.traits = Traits(xclient, xforward, verp, no_auth, bare_newlines, discarded)
        engine = session.engine
        engine.may_xclient, engine.may_xforward, engine.may_verp = xclient, xforward, verp
        engine.bare_newline = BareNewline.NO if bare_newlines else self.profile.rules.bare_newline
        engine.discarded = (self.profile.rules.discarded if discarded is None else discarded) | session.withheld

    def mechanisms(self, session: Arrival) -> tuple[str, ...]:
        """What AUTH offers here; empty where it is not open."""
        profile = self.profile
        encrypted = session.engine.is_encrypted
        if self.login is None or not profile.rules.sasl or session.traits.no_auth:
            return ()
        if profile.rules.auth_needs_tls and not encrypted:
            return ()
        return self.login.mechanisms(encrypted)

    def dress(self, reply: Reply, attempt: Attempt) -> Reply:
        """A refusal as this site wants it: with its footer, softened where soft_bounce says so."""
        profile = self.profile
        if profile.footers:
            reply = profile.footers.add(reply, lambda name: self._macro(name, attempt))
        if profile.soft_bounce and reply.code >= 500:
            status = "4" + reply.status[1:] if reply.status.startswith("5") else reply.status
            reply = replace(reply, code=reply.code - 100, status=status)
        return reply

    def _macro(self, name: str, attempt: Attempt) -> str | None:
        """Names that smtpd_reject_footer may use.  postconf(5)"""
        if name == "localtime":
            return time.strftime("%b %d %H:%M:%S", time.localtime(self.clock.now()))
        return session_values(attempt, self.profile.rules.hostname).get(name)
