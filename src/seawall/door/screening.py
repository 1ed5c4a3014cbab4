"""The screening of one client, pure: what is tested, what comes of it, and what the log says.  postscreen(8)

The order: connection count, permanent access list, what is known of the client (`Stamps`), MX policy, tests before the
greeting (early talkers, DNS lists), tests after it (in `talk`), verdict.  Times are arguments: `now` in whole seconds
since the epoch is what expiry goes by, `at` in seconds of a clock that only goes forward is what is measured with.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum, IntEnum, auto
from typing import Any, TypeAlias

from seawall.policy.exempt import DOOR

Stamps: TypeAlias = list[int]
"""For each test in the order of `Test`: when its result expires, in seconds since the epoch; or NEVER or WAS_OFF."""
NEVER, WAS_OFF = 0, 1
"""The test was never passed; the same, and it was switched off when this was noted.  Postfix's cache has the same."""


class Test(IntEnum):
    """The tests, in the order of their results."""

    __test__ = False  # no test of pytest's

    PREGREET = 0
    DNSBL = 1
    PIPELINING = 2
    NON_SMTP = 3
    BARE_NEWLINE = 4


PREGREET, DNSBL, PIPELINING, NON_SMTP, BARE_NEWLINE = (1 << test for test in Test)
EARLY = PREGREET | DNSBL
DEEP = PIPELINING | NON_SMTP | BARE_NEWLINE
BEFORE, AFTER = "tests before SMTP handshake", "tests after SMTP handshake"


class Action(Enum):
    """What a failed test leads to."""

    IGNORE = "ignore"
    ENFORCE = "enforce"
    DROP = "drop"


class Listing(Enum):
    """What the permanent access list says."""

    UNKNOWN = auto()
    ALLOWED = auto()
    DENIED = auto()


class Fact(Enum):
    """What the log is told; facts that belong to it are named at `Screening.note`."""

    KNOCKED = auto()
    PASSED = auto()
    IN_LIST = auto()
    SPOKE_EARLY = auto()
    RANKED = auto()
    BROKE_RULE = auto()
    HUNG_UP = auto()
    TURNED_AWAY = auto()
    REFUSED = auto()
    SAID = auto()
    SPARED = auto()
    LEFT = auto()


@dataclass(frozen=True, slots=True)
class TestRules:
    """One test: whether it is made, what its failure leads to, and for how long a success is good."""

    __test__ = False

    is_on: bool
    action: Action
    ttl: int


@dataclass(frozen=True, slots=True)
class ScreenRules:
    """What the tests go by.  postconf(5) postscreen_*"""

    tests: tuple[TestRules, ...]
    """In the order of `Test`."""
    denylist: Action
    threshold: int
    allow_threshold: int
    """Where it is below 0, a score of it or less lets a client past every other test."""
    connections: int
    """For one client at one time; 0 is no limit."""
    respectful: bool
    """The log says ALLOW and DENY, not WHITE and BLACK."""

    @property
    def enabled(self) -> int:
        """The tests that are made."""
        return sum(1 << at for at, test in enumerate(self.tests) if test.is_on)

    @property
    def shortest(self) -> int:
        """Seconds for which a deep test counts as passed whose failure is ignored."""
        return min(test.ttl for test in self.tests)


class Client:
    """What the connections of one address share."""

    __slots__ = ("connections", "passed", "stamps")

    def __init__(self) -> None:
        self.connections = 0
        self.passed = 0
        """Connections that were the first to pass."""
        self.stamps: Stamps = [NEVER] * len(Test)


def expired(stamps: Stamps, enabled: int, now: int) -> int:
    """The tests that are due."""
    return sum(1 << at for at, stamp in enumerate(stamps) if enabled >> at & 1 and now > stamp)


class Screening:
    """One connection.  The methods at the end are for whoever has the socket to fill in."""

    __slots__ = (
        "_began",
        "_done",
        "_failed",
        "_is_denied",
        "_is_new",
        "_passed",
        "_score",
        "_spared",
        "_todo",
        "address",
        "client",
        "final_reply",
        "goes_no_further",
        "has_hung_up",
        "port",
        "rcpt_reply",
        "rules",
        "server_address",
        "server_port",
        "tests",
    )

    def __init__(self, rules: ScreenRules, client: Client, peer: tuple[str, str], here: tuple[str, str]) -> None:
        self.rules = rules
        self.client = client
        self.address, self.port = peer
        self.server_address, self.server_port = here
        self.final_reply = "421 4.3.2 Service currently unavailable"
        self.rcpt_reply = "450 4.3.2 Service currently unavailable"
        self.goes_no_further = False
        """The client gets no session, whatever it passes."""
        self.has_hung_up = False
        self.tests = ""
        """The tests under way, as the log calls them."""
        self._began = 0.0
        self._todo = self._passed = self._failed = self._done = self._spared = 0
        self._is_new = False
        self._is_denied = False
        """By a list or by where it came to: what it passes does not count."""
        self._score: tuple[int, str, int] | None = None

    # What happens to a client, in this order

    def knock(self) -> bool:
        """It is here; False where it has too many connections, and is gone."""
        self.client.connections += 1
        self.note(Fact.KNOCKED, server_address=self.server_address, server_port=self.server_port)
        self.enter()
        too_many = "421 4.7.0 Error: too many connections"
        if 0 < self.rules.connections < self.client.connections and not self.is_exempt("connection_count", too_many):
            self.turn_away(too_many, is_full=False)
            return False
        return True

    def judge(self, listing: Listing, known: Stamps | None, now: int, at: float, *, is_backup: bool) -> None:
        """The access list has spoken; `known` is what was remembered.  `is_backup`: nobody is let past who came here."""
        if listing is Listing.ALLOWED:
            self.note(Fact.IN_LIST, word="ALLOWLISTED" if self.rules.respectful else "WHITELISTED")
            self.conclude()
            return
        if listing is Listing.DENIED and not self._deny():
            return
        if self._is_known(known, now):
            self.note(Fact.PASSED, is_new=False)
            self.conclude()
            return
        if is_backup:
            self._is_denied = self.goes_no_further = True
            self.note(Fact.IN_LIST, word="ALLOWLIST VETO" if self.rules.respectful else "WHITELIST VETO")
        if self.may_be_screened():
            self._begin(at)

    def _deny(self) -> bool:
        """False where the client is gone."""
        self.note(Fact.IN_LIST, word="DENYLISTED" if self.rules.respectful else "BLACKLISTED")
        if self.rules.denylist is Action.DROP:
            self._is_denied = True
            self.drop("521 5.3.2 Service currently unavailable")
            return False
        if self.rules.denylist is Action.ENFORCE:
            self._is_denied = True
            self.enforce("550 5.3.2 Service currently unavailable")
        return True

    def _is_known(self, known: Stamps | None, now: int) -> bool:
        """Find out which tests are due; True where there is none, and some were passed before."""
        client, enabled = self.client, self.rules.enabled
        is_known = False
        if not self._is_denied and client.connections == 1 and known is not None:
            client.stamps[:] = known
            is_known = True
        elif client.connections == 1:
            client.stamps[:] = [NEVER] * len(Test)
        self._todo = expired(client.stamps, enabled, now)
        self._is_new = NEVER in client.stamps
        return is_known and not self._todo

    def _begin(self, at: float) -> None:
        if self._todo & EARLY:
            self.tests, self._began = BEFORE, at
            self.wait(teases=bool(self._todo & PREGREET))
            if self._todo & DNSBL:
                self.ask_score()
        elif self._todo & DEEP or self.goes_no_further:
            self._talk(at)
        else:
            self.conclude()

    # Before the greeting

    @property
    def awaits_silence(self) -> bool:
        """True while the client must not speak."""
        return bool(self._todo & PREGREET) and not self._done & PREGREET and self.tests == BEFORE

    def spoke(self, size: int, sample: str, now: int, at: float) -> None:
        """The client did not wait."""
        self.note(Fact.SPOKE_EARLY, size=size, seconds=at - self._began, sample=sample[:100])
        self._failed |= PREGREET
        action = self._action(Test.PREGREET, "521 5.5.1 Protocol error")
        if action is Action.DROP:
            self.drop("521 5.5.1 Protocol error")
            return
        if action is Action.ENFORCE:
            self.enforce("550 5.5.1 Protocol error")
        self._done |= PREGREET
        self._end_wait_early(now, at)

    def scored(self, score: int, name: str, ttl: int, now: int, at: float) -> None:
        """All DNS lists have answered: the sum, the list that weighs most, and how long a success is good."""
        if self.tests != BEFORE:
            return
        self._take_score(score, name, ttl, now)
        self._done |= DNSBL
        self._end_wait_early(now, at)

    def _end_wait_early(self, now: int, at: float) -> None:
        if self._done & EARLY == self._todo & EARLY:
            self.waited(now, at)

    def _take_score(self, score: int, name: str, ttl: int, now: int) -> None:
        self._score = score, name, ttl
        rules = self.rules
        if self._has_failed or score >= rules.threshold or not score <= rules.allow_threshold < 0:
            return
        others = (PREGREET | DEEP) & self._todo & ~self._passed  # well known elsewhere: no other test is needed
        self._done |= others
        self._passed |= others
        stamps = self.client.stamps
        for test in Test:
            if test is not Test.DNSBL and stamps[test] < now + ttl:
                stamps[test] = now + ttl

    def waited(self, now: int, at: float) -> None:
        """The time before the greeting is over."""
        rules = self.rules
        if self._todo & PREGREET and not (self._failed | self._done) & PREGREET:
            self._pass(Test.PREGREET, now + rules.tests[Test.PREGREET].ttl)
        if self._failed & PREGREET and (rules.tests[Test.PREGREET].action is Action.IGNORE or self._spared & PREGREET):
            self._failed &= ~PREGREET  # it is no success: tested again the next time
        if self._todo & DNSBL and not self._weigh(now):
            return
        if self.goes_no_further or self._passed & DEEP != self._todo & DEEP:
            self._talk(at)
        else:
            self.conclude()

    def _weigh(self, now: int) -> bool:
        """What DNS lists said so far; False where the client is gone."""
        if self._score is None:
            self._take_score(*self.score_so_far(), now)
        score, name, ttl = self._score or (0, "", 0)
        if score < self.rules.threshold:
            self._pass(Test.DNSBL, now + ttl)
            return True
        self.note(Fact.RANKED, score=score)
        text = f"5.7.1 Service unavailable; client [{self.address}] blocked using {name}"
        action = self._action(Test.DNSBL, f"521 {text}", f"550 {text}")
        if action is Action.DROP:
            self._failed |= DNSBL
            return self.drop_listed(f"521 {text}")
        if action is Action.ENFORCE:
            self._failed |= DNSBL
            self.enforce(f"550 {text}")
        return True

    # After the greeting

    def _talk(self, at: float) -> None:
        self.tests, self._began = AFTER, at
        if self._has_failed:
            self._todo |= DEEP  # who failed already is looked at all the more
        self.talk(greets=not self._failed & PREGREET)

    def is_tested(self, test: Test) -> bool:
        """True where the client can still fail the test."""
        return self._todo >> test & 1 == 1 and not self._done >> test & 1

    def breaks(self, test: Test, now: int, reply: str, **facts: Any) -> bool:
        """The client fails a deep test; False where it is gone."""
        self.note(Fact.BROKE_RULE, **facts)
        self._failed |= 1 << test
        self._passed &= ~(1 << test)
        self._done |= 1 << test
        self.client.stamps[test] = WAS_OFF
        action = self._action(test, reply)
        if action is Action.DROP:
            self.drop(reply)
            return False
        if action is Action.ENFORCE:
            self.enforce("550 5.5.1 Protocol error")
        else:
            self._failed &= ~(1 << test)
            self._pass(test, now + self.rules.shortest)  # left in peace until something else expires
        return True

    def reached_recipient(self, now: int) -> None:
        """The client has got as far as RCPT: what it did not fail it has passed, for now."""
        for test in (Test.BARE_NEWLINE, Test.NON_SMTP, Test.PIPELINING):
            if self._todo & ~(self._passed | self._failed) & 1 << test:
                self._pass(test, now + self.rules.tests[test].ttl)

    # The end

    def _action(self, test: Test, dropped: str, enforced: str = "550 5.5.1 Protocol error") -> Action:
        """What failing a test leads to, each with what the client would hear; nothing where it is exempt from it."""
        action = self.rules.tests[test].action
        said = dropped if action is Action.DROP else enforced
        if action is Action.IGNORE or not self.is_exempt(DOOR[test], said):
            return action
        self._spared |= 1 << test
        return Action.IGNORE

    @property
    def _has_failed(self) -> bool:
        return self._is_denied or self._failed != 0

    def _pass(self, test: Test, until: int) -> None:
        self._passed |= 1 << test
        self.client.stamps[test] = until

    def enforce(self, reply: str) -> None:
        """No session; recipients hear this."""
        self.rcpt_reply = reply
        self.goes_no_further = True

    def drop(self, reply: str) -> None:
        """The last word."""
        self.final_reply = reply
        self.goes_no_further = True
        self.conclude()

    def drop_listed(self, reply: str) -> bool:
        """The last word, because of what DNS lists say of the address; True where it is put off."""
        self.drop(reply)
        return False

    def turn_away(self, reply: str, *, is_full: bool) -> None:
        """There is no room for this client."""
        self.note(Fact.TURNED_AWAY, is_full=is_full)
        self.drop(reply)

    def hung_up(self, at: float) -> None:
        """The client left: no failure, but no session either."""
        self.has_hung_up = True
        if self.tests:
            self.note(Fact.HUNG_UP, seconds=at - self._began, tests=self.tests)
        self.goes_no_further = True
        self.conclude()

    def conclude(self) -> None:
        """Remember what was passed, and hand the client on or let it go."""
        self.settle()
        if not self.goes_no_further:
            self.hand_on()
            return
        if not self.has_hung_up:
            self.reply(self.final_reply)
        self.note(Fact.LEFT)
        self.leave()

    def settle(self) -> None:
        """What was passed goes to the log and into memory; nothing of a client that failed something."""
        client = self.client
        if self._has_failed:
            self._passed = 0
        if not self._passed:
            return
        if self._passed == self._todo:
            self.note(Fact.PASSED, is_new=self._is_new and client.passed == 0)
            client.passed += self._is_new
        enabled = self.rules.enabled
        for at, stamp in enumerate(client.stamps):
            if stamp == NEVER and not enabled >> at & 1:
                client.stamps[at] = WAS_OFF
        self.remember(client.stamps)

    # What the one with the socket fills in

    def note(self, fact: Fact, **facts: Any) -> None:
        """Tell the log."""

    def is_exempt(self, check: str, said: str) -> bool:
        """True where the client is exempt from a check, which would have `said` something; the log is told."""
        return False

    def enter(self) -> None:
        """The client counts from now on, until it is handed on or leaves."""

    def may_be_screened(self) -> bool:
        """False where there are too many; the client was turned away then."""
        return True

    def wait(self, *, teases: bool) -> None:
        """Nothing is said but half a greeting (`teases`); `waited` or `spoke` follow."""

    def ask_score(self) -> None:
        """Ask DNS lists; `scored` follows."""

    def score_so_far(self) -> tuple[int, str, int]:
        """What they said up to now, as `scored` takes it."""
        return 0, "", 0

    def talk(self, *, greets: bool) -> None:
        """The client is to speak, though to nobody."""

    def reply(self, text: str) -> None:
        """A line for the client."""

    def remember(self, stamps: Stamps) -> None:
        """Keep what was passed."""

    def hand_on(self) -> None:
        """The client gets its session."""

    def leave(self) -> None:
        """The connection is closed."""
