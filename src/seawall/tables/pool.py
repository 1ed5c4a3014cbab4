"""Connections to the servers behind remote tables: few, bounded in time, closed when idle, each server behind a breaker.

All tables that name the same servers with the same login share one pool.  Servers are chosen as Postfix chooses them
(those that are connected first, sockets of this host before the network, else by chance); what differs is how long a
dead one is left alone: seconds, not a minute, and nobody waits for it in the meantime (docs/differences.md D-21, D-22).
"""

from __future__ import annotations

import asyncio
import random
import time
from collections import deque
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass
from typing import Any, Generic, Protocol, TypeVar

from seawall.breaker import Breaker

Question = TypeVar("Question")
Answer = TypeVar("Answer")
Result = TypeVar("Result")
Question_contra = TypeVar("Question_contra", contravariant=True)
Answer_co = TypeVar("Answer_co", covariant=True)


class Unreachable(Exception):
    """A server that did not answer.  `refused`: nobody is there, as against silence."""

    def __init__(self, reason: str, *, refused: bool = False) -> None:
        super().__init__(reason)
        self.reason = reason
        self.refused = refused


class Refusal(Exception):
    """The server answered, and what it said is an error."""


class Garbled(Refusal):
    """The server answered what cannot be read; nothing more can be read on that connection."""


@dataclass(frozen=True, slots=True)
class Host:
    """Where a server is.  `local`: a socket of this host; `name` is then its path, or empty for the usual one."""

    shown: str
    name: str
    port: int = 0
    local: bool = False


class Connection(Protocol[Question_contra, Answer_co]):
    """One connection.  It is asked one thing at a time."""

    @property
    def ends_when_closed(self) -> bool:
        """True where `close` ends an `ask` that waits.  Then it needs no task of its own."""
        ...

    async def ask(self, question: Question_contra, /) -> Answer_co:
        """Raises Refusal, or Unreachable where the connection is of no more use."""
        ...

    def close(self) -> None:
        """Hang up at once, without a word that would have to be waited for."""
        ...


@dataclass(frozen=True, slots=True)
class Patience:
    """Seconds: until a connection stands, until an answer is there, until an idle connection is closed; and the age from
    which on a connection is not used again (0: any)."""

    connect: float = 5.0
    answer: float = 10.0
    idle: float = 60.0
    age: float = 0.0


MOST = 8
"""Connections of one pool, so of one process, to one server; ours.  A proxymap(8) has one for each table, and there are up
to 100 of those."""
MOST_WAITING = 500
"""Questions that wait for a free connection; more are turned away at once."""
TRIAL = 1.0
"""Seconds that whoever asks waits for a server that is being tried again; the trial itself goes on."""


LOOK = 0.25
"""Seconds between two looks whether an answer is overdue: a timer for each question would cost more than the rest."""


class _Place(Generic[Question, Answer]):
    """A connection, since when it has been standing and idle, and when its answer is due (0: it is not asked)."""

    __slots__ = ("connection", "due", "idle_since", "is_late", "made")

    def __init__(self, connection: Connection[Question, Answer], now: float) -> None:
        self.connection = connection
        self.made = now
        self.idle_since = now
        self.due = 0.0
        self.is_late = False


class _Server(Generic[Question, Answer]):
    """One server, on one event loop."""

    def __init__(self, host: Host, most: int) -> None:
        self.host = host
        self.breaker = Breaker()
        self.idle: list[_Place[Question, Answer]] = []
        self.busy: set[_Place[Question, Answer]] = set()
        self.free = most
        self.waiting: deque[tuple[float, asyncio.Future[None]]] = deque()
        """Who waits for a connection, and until when."""
        self.trial: asyncio.Task[Answer] | None = None
        self.reason = ""
        self.sweep: asyncio.TimerHandle | None = None
        self.look: asyncio.TimerHandle | None = None

    @property
    def is_connected(self) -> bool:
        """Does a connection stand?"""
        return bool(self.idle or self.busy)


class Pool(Generic[Question, Answer]):
    """The connections to servers that are each other's copies.

    `connect` makes one; it is bounded here.  `in_order`: the servers are tried as they are written, not by chance.
    """

    def __init__(
        self,
        kind: str,
        hosts: Sequence[Host],
        connect: Callable[[Host], Coroutine[Any, Any, Connection[Question, Answer]]],
        *,
        warn: Callable[[str], None],
        patience: Patience | None = None,
        most: int = MOST,
        in_order: bool = False,
    ) -> None:
        self._kind = kind
        self._hosts = tuple(hosts)
        self._connect = connect
        self._warn = warn
        self._patience = patience or Patience()
        self._most = most
        self._in_order = in_order
        self._loop: asyncio.AbstractEventLoop | None = None
        self._servers: tuple[_Server[Question, Answer], ...] = ()

    @property
    def connections(self) -> int:
        """Connections that stand now."""
        return sum(len(server.idle) + len(server.busy) for server in self._servers)

    async def ask(self, question: Question) -> Answer:
        """The answer of one of the servers.  Raises Unreachable where none gives one, Refusal."""
        self._attend_loop()
        if len(self._servers) == 1 and not self._servers[0].breaker.is_open:
            return await self._ask(self._servers[0], question)
        tried: set[int] = set()
        reason = ""
        while True:
            server = self._choose(tried)
            if server is None:
                return await self._try_again(question, tried, reason)
            tried.add(id(server))
            if len(self._servers) > 1:
                self._revive(question)
            try:
                return await self._ask(server, question)
            except Unreachable as trouble:
                reason = trouble.reason

    def close(self) -> None:
        """Hang up everywhere; the next question connects anew."""
        for server in self._servers:
            for timer in (server.sweep, server.look):
                if timer is not None:
                    timer.cancel()
            for place in server.busy:
                place.connection.close()
            while server.waiting:
                _give_up(server.waiting.popleft()[1], "the table was closed")
            if server.trial is not None and self._loop is not None and not self._loop.is_closed():
                server.trial.cancel()
            for place in server.idle:
                place.connection.close()
            server.idle.clear()
        self._servers = ()
        self._loop = None

    def _attend_loop(self) -> None:
        """Connections belong to the loop that made them: on another one everything begins anew."""
        loop = asyncio.get_running_loop()
        if loop is not self._loop:
            self._loop = loop
            self._servers = tuple(_Server(host, self._most) for host in self._hosts)

    def _choose(self, tried: set[int]) -> _Server[Question, Answer] | None:
        """A server that is not known to be dead; None where there is none."""
        alive = [server for server in self._servers if not server.breaker.is_open and id(server) not in tried]
        if len(alive) < 2 or self._in_order:
            return alive[0] if alive else None
        for group in (
            [server for server in alive if server.is_connected and server.host.local],
            [server for server in alive if server.is_connected],
            [server for server in alive if server.host.local],
        ):
            if group:
                return random.choice(group)
        return random.choice(alive)

    async def _try_again(self, question: Question, tried: set[int], reason: str) -> Answer:
        """Nobody is known to be alive: let one of the dead be tried, and wait a moment for it."""
        now = time.monotonic()
        for server in self._servers:
            if id(server) in tried or not server.breaker.is_open or server.trial is not None:
                continue
            if server.breaker.may_ask(now):
                trial = self._start_trial(server, question)
                done, _ = await asyncio.wait({trial}, timeout=TRIAL)
                if done and not trial.cancelled():
                    return trial.result()
                break
        raise Unreachable(reason or next((server.reason for server in self._servers if server.reason), "no server"))

    def _revive(self, question: Question) -> None:
        """While others answer: try the dead ones in their turn, and wait for none of them."""
        for server in self._servers:
            if server.breaker.is_open and server.trial is None and server.breaker.may_ask(time.monotonic()):
                self._start_trial(server, question)

    def _start_trial(self, server: _Server[Question, Answer], question: Question) -> asyncio.Task[Answer]:
        def over(task: asyncio.Task[Answer]) -> None:
            server.trial = None
            if not task.cancelled():
                task.exception()  # it was told to the breaker already

        trial = server.trial = asyncio.get_running_loop().create_task(self._ask(server, question))
        trial.add_done_callback(over)
        return trial

    async def _ask(self, server: _Server[Question, Answer], question: Question) -> Answer:
        """Ask one server, and tell its breaker how that ended."""
        is_trial = server.breaker.is_open
        if server.free:
            server.free -= 1
        else:
            await self._wait_for_place(server)
        if server.breaker.is_open and not is_trial:
            self._give_place(server)
            raise Unreachable(server.reason)
        try:
            place = self._take_idle(server)
            if place is None:
                answer = await self._ask_afresh(server, question)
            else:
                try:
                    answer = await self._ask_on(server, place, question)
                except Unreachable as trouble:
                    if not trouble.refused:
                        raise
                    self._drop_idle(server)  # it was idle, and may have been closed at the other end long ago
                    answer = await self._ask_afresh(server, question)
        except Unreachable as trouble:
            self._note_failure(server, trouble)
            raise
        except Refusal:
            self._note_answer(server)
            raise
        finally:
            self._give_place(server)
        if server.reason or is_trial:
            self._note_answer(server)
        return answer

    async def _wait_for_place(self, server: _Server[Question, Answer]) -> None:
        """Returns with the right to one connection."""
        if len(server.waiting) >= MOST_WAITING:
            raise Unreachable("too many questions wait for a connection")
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        server.waiting.append((time.monotonic() + self._patience.answer, future))
        if server.look is None:
            self._look_later(server)
        try:
            await future
        except asyncio.CancelledError:
            if not future.cancelled():
                self._give_place(server)  # it was given to him just now
            raise

    def _give_place(self, server: _Server[Question, Answer]) -> None:
        """To whoever has waited longest."""
        while server.waiting:
            _, future = server.waiting.popleft()
            if not future.done():
                future.set_result(None)
                return
        server.free += 1

    async def _ask_afresh(self, server: _Server[Question, Answer], question: Question) -> Answer:
        """On a new connection."""
        now = time.monotonic()
        connection = await _within(self._connect(server.host), self._patience.connect, "no connection")
        return await self._ask_on(server, _Place(connection, now), question)

    async def _ask_on(
        self, server: _Server[Question, Answer], place: _Place[Question, Answer], question: Question
    ) -> Answer:
        """Ask on this connection.  Unreachable is `refused` where it was lost, and not where time ran out."""
        seconds = self._patience.answer
        place.due = time.monotonic() + seconds
        server.busy.add(place)
        if server.look is None:
            self._look_later(server)
        keep = False
        try:
            if place.connection.ends_when_closed:
                answer = await place.connection.ask(question)
            else:
                answer = await _within(place.connection.ask(question), seconds, "no answer")
            keep = True
            return answer
        except Refusal as refusal:
            keep = not isinstance(refusal, Garbled)
            raise
        except Unreachable:
            if place.is_late:
                raise Unreachable(f"no answer within {seconds:g} seconds") from None
            raise
        finally:
            server.busy.discard(place)
            if keep and not place.is_late and server in self._servers:
                self._put_back(server, place)
            else:
                place.connection.close()

    def _look_later(self, server: _Server[Question, Answer]) -> None:
        server.look = asyncio.get_running_loop().call_later(LOOK, self._look, server)

    def _look(self, server: _Server[Question, Answer]) -> None:
        """Hang up where an answer is overdue: whoever waits for it hears of that; so does who has no connection yet."""
        server.look = None
        now = time.monotonic()
        for place in tuple(server.busy):
            if now > place.due and place.connection.ends_when_closed:
                place.is_late = True
                place.connection.close()
        while server.waiting and now > server.waiting[0][0]:
            _give_up(server.waiting.popleft()[1], "all connections are busy")
        if server.busy or server.waiting:
            self._look_later(server)

    def _take_idle(self, server: _Server[Question, Answer]) -> _Place[Question, Answer] | None:
        now = time.monotonic()
        while server.idle:
            place = server.idle.pop()
            if not self._patience.age or now - place.made < self._patience.age:
                return place
            place.connection.close()
        return None

    def _drop_idle(self, server: _Server[Question, Answer]) -> None:
        while server.idle:
            server.idle.pop().connection.close()

    def _put_back(self, server: _Server[Question, Answer], place: _Place[Question, Answer]) -> None:
        place.idle_since = time.monotonic()
        server.idle.append(place)
        if server.sweep is None:
            server.sweep = asyncio.get_running_loop().call_later(self._patience.idle, self._close_idle, server)

    def _close_idle(self, server: _Server[Question, Answer]) -> None:
        """Hang up what has been idle for long enough; look again when the next one will have been."""
        server.sweep = None
        now = time.monotonic()
        while server.idle and now - server.idle[0].idle_since >= self._patience.idle - 0.01:
            server.idle.pop(0).connection.close()
        if server.idle:
            due = server.idle[0].idle_since + self._patience.idle - now
            server.sweep = asyncio.get_running_loop().call_later(due, self._close_idle, server)

    def _note_answer(self, server: _Server[Question, Answer]) -> None:
        if server.breaker.is_open:
            self._warn(f"{self._kind} server {server.host.shown}: answers again")
        server.reason = ""
        server.breaker.answered(time.monotonic())

    def _note_failure(self, server: _Server[Question, Answer], trouble: Unreachable) -> None:
        was_open = server.breaker.is_open
        server.reason = trouble.reason
        server.breaker.failed(time.monotonic(), refused=trouble.refused)
        if not was_open:
            pause = "; it is left alone for seconds" if server.breaker.is_open else ""
            self._warn(f"{self._kind} server {server.host.shown}: {trouble.reason}{pause}")
            self._drop_idle(server)


def _give_up(future: asyncio.Future[None], reason: str) -> None:
    if not future.done() and not future.get_loop().is_closed():
        future.set_exception(Unreachable(reason))


async def _within(work: Coroutine[Any, Any, Result], seconds: float, otherwise: str) -> Result:
    """The result of something that may hang; it is given up after so many seconds."""
    task = asyncio.get_running_loop().create_task(work)
    try:
        await asyncio.wait({task}, timeout=seconds)
    finally:
        if not task.done():
            task.cancel()
    if not task.done():
        raise Unreachable(f"{otherwise} within {seconds:g} seconds")
    return task.result()
