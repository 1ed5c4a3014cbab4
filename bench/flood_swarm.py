"""Plays clients of `flood_bots`, thousands at one time: `python -m bench.flood_swarm PLAN STATUS`, inside a box.

One process, one epoll loop, an object with slots and a socket for each client, no thread and no task: it shares two cores
with the server that it floods.  PLAN is JSON; STATUS is a file that is written anew twice a second, and a last time at the
end, with what has come of it.  It ends by itself: after `seconds`, or when every client is done, or at SIGTERM.
"""

from __future__ import annotations

import gc
import heapq
import itertools
import os
import resource
import select
import signal
import socket
import ssl
import sys
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import msgspec

from bench.flood_bots import ALL, DRIP, FOREVER, HEAR, REST, SAY, Kind, Step, source

TELLS = 0.5
"""Seconds between two looks at the status."""
AT_ONCE = 64
"""Clients that are started in one turn of the loop, and events that are looked at in one."""
LONGEST = 1 << 16
"""Bytes of a reply that are kept."""
DESCRIPTORS = 65536
BIND_ADDRESS_NO_PORT = 24  # ip(7)
Ways = dict[str, Callable[["Bot", Step], bool]]


@dataclass(slots=True)
class Group:
    """Clients of one kind: `count` of them, started at `rate` a second.

    `again`: seconds after which one that has gone is replaced; none is where that is negative.  `patience`: seconds that a
    session may take in all; 0 is no limit.  `source` names where they come from, `first` the number of the first.
    """

    kind: str
    count: int
    rate: float
    source: str = "bots"
    first: int = 0
    again: float = -1.0
    patience: float = 0.0


@dataclass(slots=True)
class Plan:
    """What to do to whom, for how many seconds at most."""

    groups: list[Group]
    seconds: float
    host: str = "192.0.2.1"
    port: int = 25
    nice: int = 0


@dataclass(slots=True)
class Tally:
    """What came of a group.  Seconds; `greetings` and `sessions` of good clients only, from the moment they were due."""

    kind: str
    started: int = 0
    connected: int = 0
    held: int = 0
    taken: int = 0
    """Those of the held to whom the server has said something: the others wait in the kernel."""
    ended: Counter[str] = field(default_factory=Counter)
    codes: Counter[str] = field(default_factory=Counter)
    greetings: list[float] = field(default_factory=list)
    sessions: list[float] = field(default_factory=list)


@dataclass(slots=True)
class Status:
    """What is told."""

    tallies: list[Tally]
    seconds: float = 0.0
    cpu: float = 0.0
    late: float = 0.0
    """The longest time that the loop was behind: what the figures may be wrong by."""
    is_over: bool = False


class Bot:
    """One client."""

    __slots__ = ("at", "began", "flock", "is_connected", "is_taken", "left", "rest", "socket", "steps", "tls")

    def __init__(self, flock: Flock, steps: tuple[Step, ...], began: float, made: socket.socket) -> None:
        self.flock = flock
        self.steps = steps
        self.began = began
        self.socket = made
        self.at = -1
        self.rest = b""
        self.left = b""
        self.is_connected = False
        self.is_taken = False
        self.tls: tuple[ssl.SSLObject, ssl.MemoryBIO, ssl.MemoryBIO] | None = None


class Flock:
    """A group at work."""

    __slots__ = ("group", "kind", "number", "pending", "tally")

    def __init__(self, group: Group) -> None:
        self.group = group
        self.kind: Kind = ALL[group.kind]
        self.number = group.first
        self.pending: list[float] = [at / group.rate for at in range(group.count)]
        """When each that is still to come is due, in seconds from the beginning; a heap."""
        self.tally = Tally(group.kind)


class Swarm:
    """A plan at work."""

    def __init__(self, plan: Plan, status: Path) -> None:
        self._plan = plan
        self._file = status
        self._flocks = [Flock(group) for group in plan.groups]
        self._status = Status([flock.tally for flock in self._flocks])
        self._poll = select.epoll()
        self._bots: dict[int, Bot] = {}
        self._timers: list[tuple[float, int, Callable[[Bot], None], Bot, int]] = []
        self._serial = itertools.count()
        self._ends = False
        self._ways: Ways = {HEAR: self._hear, SAY: self._say, DRIP: self._drip, REST: self._rest}
        self._tls = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        self._tls.check_hostname = False
        self._tls.verify_mode = ssl.CERT_NONE
        self._zero = time.perf_counter()

    def _now(self) -> float:
        return time.perf_counter() - self._zero

    def stop(self, *_: object) -> None:
        """End soon."""
        self._ends = True

    def run(self) -> None:
        """All of it."""
        told = 0.0
        while not self._ends and (now := self._now()) < self._plan.seconds:
            if now >= told:
                self._tell()
                told = now + TELLS
            if not self._bots and not any(flock.pending for flock in self._flocks):
                break
            due = self._start_due(now)
            wait = max(0.0, min(due, self._timers[0][0] if self._timers else FOREVER, told, self._plan.seconds) - now)
            for descriptor, _ in self._poll.poll(wait, AT_ONCE):
                bot = self._bots.get(descriptor)
                if bot is not None:
                    self._stir(bot)
            self._ring()
        self._status.is_over = True
        self._tell()

    def _tell(self) -> None:
        usage = resource.getrusage(resource.RUSAGE_SELF)
        self._status.cpu = usage.ru_utime + usage.ru_stime
        self._status.seconds = self._now()
        fresh = self._file.with_suffix(".new")
        fresh.write_bytes(msgspec.json.encode(self._status))
        os.replace(fresh, self._file)

    # Who comes when

    def _start_due(self, now: float) -> float:
        """Start who is due; when the next one is."""
        for flock in self._flocks:
            pending = flock.pending
            for _ in range(AT_ONCE):
                if not pending or pending[0] > now:
                    break
                self._start(flock, heapq.heappop(pending))
        return min((flock.pending[0] for flock in self._flocks if flock.pending), default=FOREVER)

    def _start(self, flock: Flock, due: float) -> None:
        flock.number += 1
        tally, group = flock.tally, flock.group
        tally.started += 1
        scripts = flock.kind.scripts
        made = socket.socket()
        made.setblocking(False)
        where = source(group.source, flock.number - 1)
        if where:
            made.setsockopt(socket.SOL_IP, BIND_ADDRESS_NO_PORT, 1)
            made.bind((where, 0))
        bot = Bot(flock, scripts[flock.number % len(scripts)], due, made)
        self._bots[made.fileno()] = bot
        tally.held += 1
        with suppress(BlockingIOError):
            made.connect((self._plan.host, self._plan.port))
        self._poll.register(made, select.EPOLLOUT)
        if group.patience:
            self._later(due + group.patience, self._give_up, bot)

    def _later(self, when: float, then: Callable[[Bot], None], bot: Bot) -> None:
        heapq.heappush(self._timers, (when, next(self._serial), then, bot, bot.at))

    def _ring(self) -> None:
        now = self._now()
        timers = self._timers
        if timers:
            self._status.late = max(self._status.late, now - timers[0][0])
        while timers and timers[0][0] <= now:
            _, _, then, bot, at = heapq.heappop(timers)
            if bot.socket.fileno() >= 0 and (at == bot.at or at < 0):
                then(bot)

    def _give_up(self, bot: Bot) -> None:
        self._end(bot, "waited in vain" if bot.at > 0 else "never greeted")

    def _end(self, bot: Bot, how: str) -> None:
        tally, group = bot.flock.tally, bot.flock.group
        tally.ended[how] += 1
        tally.held -= 1
        tally.taken -= bot.is_taken
        del self._bots[bot.socket.fileno()]
        bot.socket.close()
        if group.again >= 0:
            heapq.heappush(bot.flock.pending, self._now() + group.again)

    # What happens to one

    def _stir(self, bot: Bot) -> None:
        if not bot.is_connected:
            trouble = bot.socket.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
            if trouble:
                self._end(bot, f"no connection: {os.strerror(trouble)}")
                return
            bot.is_connected = True
            bot.flock.tally.connected += 1
            self._poll.modify(bot.socket, select.EPOLLIN)
            self._go_on(bot)
            return
        try:
            data = bot.socket.recv(LONGEST)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data:
            self._end(bot, "closed by the server")
            return
        if not bot.is_taken:
            bot.is_taken = True
            bot.flock.tally.taken += 1
        if bot.tls is not None:
            self._hear_tls(bot, bot.tls, data)
        else:
            self._hear_text(bot, data)

    def _go_on(self, bot: Bot) -> None:
        """On to the next step, as far as it goes without waiting."""
        while True:
            bot.at += 1
            if bot.at == len(bot.steps):
                self._end(bot, "done")
                return
            step = bot.steps[bot.at]
            if not self._ways.get(step.does, self._begin_tls)(bot, step):
                return

    def _send(self, bot: Bot, data: bytes) -> bool:
        try:
            bot.socket.send(data)
        except BlockingIOError:
            pass  # the server does not read: its loss
        except OSError:
            self._end(bot, "closed by the server")
            return False
        return True

    def _hear(self, bot: Bot, step: Step) -> bool:
        return False

    def _say(self, bot: Bot, step: Step) -> bool:
        return self._send(bot, step.data)

    def _rest(self, bot: Bot, step: Step) -> bool:
        if step.seconds < FOREVER:
            self._later(self._now() + step.seconds, self._go_on, bot)
        return False

    def _drip(self, bot: Bot, step: Step) -> bool:
        bot.left = step.data
        self._later(self._now() + step.seconds, self._drop, bot)
        return False

    def _drop(self, bot: Bot) -> None:
        if self._send(bot, bot.left[:1]):
            bot.left = bot.left[1:]
            if bot.left:
                self._later(self._now() + bot.steps[bot.at].seconds, self._drop, bot)
            else:
                self._go_on(bot)

    # What it hears

    def _hear_text(self, bot: Bot, data: bytes) -> None:
        waits = bot.at < len(bot.steps) and bot.steps[bot.at].does == HEAR
        bot.rest = (bot.rest + data)[-LONGEST:]
        code = reply(bot.rest, bot.steps[bot.at].data if waits else b"")
        if code is None:
            return
        bot.rest = b""
        word = code.decode("latin-1")
        bot.flock.tally.codes[word] += 1
        if not waits:
            return
        if bot.flock.kind.is_good and not self._is_well(bot, word):
            self._end(bot, f"refused: {word}")
            return
        self._go_on(bot)

    def _is_well(self, bot: Bot, code: str) -> bool:
        """Take the times of a good client; False where it is refused."""
        tally, took = bot.flock.tally, self._now() - bot.began
        if code[:1] in "45" or code in ("NO", "BAD"):
            return False
        if bot.at == 0:
            tally.greetings.append(took)
        if bot.at == len(bot.steps) - 1:
            tally.sessions.append(took)
        return True

    # TLS

    def _begin_tls(self, bot: Bot, step: Step) -> bool:
        inward, outward = ssl.MemoryBIO(), ssl.MemoryBIO()
        bot.tls = self._tls.wrap_bio(inward, outward), inward, outward
        self._hear_tls(bot, bot.tls, b"")
        return False

    def _hear_tls(self, bot: Bot, tls: tuple[ssl.SSLObject, ssl.MemoryBIO, ssl.MemoryBIO], data: bytes) -> None:
        channel, inward, outward = tls
        inward.write(data)
        try:
            channel.do_handshake()
        except ssl.SSLWantReadError:
            self._send(bot, outward.read())
            return
        except ssl.SSLError:
            self._end(bot, "no TLS")
            return
        if self._send(bot, outward.read()) and bot.steps[bot.at].does == "tls":
            bot.flock.tally.codes["TLS"] += 1
            bot.tls = None  # what comes after is not read for its meaning
            self._go_on(bot)


def reply(data: bytes, tag: bytes) -> bytes | None:
    """The code of the last reply of SMTP, or the word behind the tag of one of IMAP; None where it is not whole."""
    if not data.endswith(b"\n"):
        return None
    last = data.splitlines()[-1]
    if tag:
        return last.split(b" ", 2)[1] if last.startswith(tag) else None
    return last[:3] if last[3:4] != b"-" and last[:3].isdigit() else None


def read_plan(text: str) -> Plan:
    """From JSON."""
    return msgspec.json.decode(text, type=Plan)


def raise_descriptors() -> None:
    """As many as may be."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    for wanted in (max(DESCRIPTORS, hard), hard):
        with suppress(ValueError, OSError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, wanted))
            return


def main() -> None:
    """Play the plan."""
    plan = read_plan(sys.argv[1])
    if plan.nice:
        os.nice(plan.nice)
    raise_descriptors()
    gc.disable()
    swarm = Swarm(plan, Path(sys.argv[2]))
    signal.signal(signal.SIGTERM, swarm.stop)
    swarm.run()


if __name__ == "__main__":
    main()
