"""The questions that a watch over DNS lists asks, and who is told of what they bring.

One `Watching` for an event loop.  Whoever finds its client listed asks `Watched.believes` first: where the list has not been
asked this second what no list may have, that is asked now, so that a list that lists everybody refuses nobody.  Of the two
questions one is new to the resolver, and they are asked only where somebody is listed: who is refused waits, nobody else.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Generator, Mapping
from types import MappingProxyType
from typing import Protocol

from seawall.dns.answers import Answer, Coming
from seawall.policy.list_watch import ByteSets, Draw, Heard, Kind, ListWatch, News, Purpose, Round, What

START = 60.0
"""Seconds after the start at which lists are asked for the first time; ours: the mail that waited comes first."""
SPREAD = 5.0
"""Seconds between two lists."""


class AsksAtOnce(Protocol):
    """Whoever answers questions without a task for each."""

    def ask(self, name: str, kind: str) -> Answer | Coming:
        """The records of `kind` at `name`."""
        ...


class Deciding:
    """Whether an entry counts: not known yet.  It may be awaited, or told whom to call."""

    __slots__ = ("_listeners", "decided")

    def __init__(self) -> None:
        self.decided: bool | None = None
        self._listeners: list[Callable[[bool], None]] = []

    def then(self, listener: Callable[[bool], None]) -> None:
        """Call with the answer, at once where it is there."""
        if self.decided is None:
            self._listeners.append(listener)
        else:
            listener(self.decided)

    def decide(self, counts: bool) -> None:
        """It is known."""
        self.decided = counts
        listeners, self._listeners = self._listeners, []
        for listener in listeners:
            listener(counts)

    def __await__(self) -> Generator[object, None, bool]:
        if self.decided is None:
            future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self.then(lambda counts: None if future.done() else future.set_result(None))
            yield from future.__await__()
        return bool(self.decided)


class _Asking:
    """A round under way."""

    __slots__ = ("answers", "deciding", "left", "round")

    def __init__(self, asked: Round) -> None:
        self.round = asked
        self.answers: list[Answer | None] = [None] * len(asked.points)
        self.left = len(asked.points)
        self.deciding = Deciding()


class Watched:
    """One list, as those know it who ask it about clients."""

    def __init__(self, watching: Watching, watch: ListWatch) -> None:
        self._watching = watching
        self.watch = watch
        self._under_way: dict[Purpose, _Asking] = {}
        self.next_regular = 0.0

    @property
    def is_aside(self) -> bool:
        """True where nobody should ask it."""
        return self.watch.is_aside

    def heard(self, heard: Heard, about: str, answer: str = "") -> None:
        """What it said of a client (an address or a domain); `answer` where that is an error."""
        now = self._watching.now()
        news = self.watch.heard(heard, about, now, answer)
        if news is not None:
            self._watching.tell(news)
        self.look(now)

    def believes(self) -> bool | Deciding:
        """Does an entry that it has for a client count?"""
        now = self._watching.now()
        if self.watch.is_aside:
            return False
        if self.watch.is_believed(now):
            return True
        deciding = self._ask(Purpose.CONFIRM, now)
        return deciding if deciding.decided is None else deciding.decided

    def look(self, now: float) -> None:
        """Ask what is due."""
        purpose = self.watch.due(now)
        if purpose is not None:
            self._ask(purpose, now)

    def ask_regularly(self, now: float) -> None:
        """Ask the test points, unless it is aside."""
        if not self.watch.is_aside:
            self._ask(Purpose.REGULAR, now)

    def _ask(self, purpose: Purpose, now: float) -> Deciding:
        """Begin a round, or join it where it is under way."""
        asking = self._under_way.get(purpose)
        if asking is not None:
            return asking.deciding
        asking = self._under_way[purpose] = _Asking(self.watch.begin(purpose, now, self._watching.draw))
        for at, point in enumerate(asking.round.points):
            self._put(asking, at, point.query)
        return asking.deciding

    def _put(self, asking: _Asking, at: int, query: str) -> None:
        def heard(answer: Answer) -> None:
            asking.answers[at] = answer
            asking.left -= 1
            if not asking.left:
                self._end(asking)

        answer = self._watching.asks.ask(query, "A")
        if isinstance(answer, Coming):
            answer.then(heard)
        else:
            heard(answer)

    def _end(self, asking: _Asking) -> None:
        self._under_way.pop(asking.round.purpose, None)
        answers = [answer for answer in asking.answers if answer is not None]
        for news in self.watch.judge(asking.round, answers, self._watching.now()):
            self._watching.tell(news)
        asking.deciding.decide(not self.watch.is_aside)


class Watching:
    """All lists of a process.

    `now` gives monotonic seconds.  `told` takes what changed; `interval` is the seconds between two regular rounds, 0 for
    none, and `longest` the longest pause before a list that is aside is asked again.
    """

    def __init__(
        self,
        asks: AsksAtOnce,
        now: Callable[[], float],
        draw: Draw,
        told: Callable[[News], None],
        *,
        interval: float = 0.0,
        longest: float = 3600.0,
    ) -> None:
        self.asks = asks
        self.now = now
        self.draw = draw
        self._told = told
        self._interval = interval
        self._longest = longest
        self._watched: dict[str, Watched] = {}
        self._aside: list[Callable[[Watched], None]] = []

    @property
    def lists(self) -> Mapping[str, Watched]:
        """By zone."""
        return MappingProxyType(self._watched)

    def watch(self, domain: str, kind: Kind, reply_filter: ByteSets | None = None) -> Watched:
        """A configuration asks this list."""
        zone = domain.lower().rstrip(".")
        watched = self._watched.get(zone)
        if watched is None:
            watched = self._watched[zone] = Watched(self, ListWatch(zone, self._longest))
            if self._interval:
                watched.next_regular = self.now() + min(START, self._interval) + SPREAD * (len(self._watched) - 1)
        watched.watch.use(kind, reply_filter)
        return watched

    def when_aside(self, listener: Callable[[Watched], None]) -> None:
        """Call with each list that is put aside: whoever waits for it need not."""
        self._aside.append(listener)

    def tell(self, news: News) -> None:
        """Something changed."""
        self._told(news)
        watched = self._watched.get(news.zone)
        if watched is not None and news.what is What.ASIDE:
            self._let_go(watched)

    def adopt(self, news: News) -> None:
        """Something changed in another process."""
        watched = self._watched.get(news.zone)
        if watched is not None and watched.watch.adopt(news, self.now()) and watched.is_aside:
            self._let_go(watched)

    def _let_go(self, watched: Watched) -> None:
        for listener in self._aside:
            listener(watched)

    def look(self) -> None:
        """Ask what is due: to be called every few seconds."""
        now = self.now()
        for watched in list(self._watched.values()):
            watched.look(now)
            if self._interval and now >= watched.next_regular:
                hundredth = self._interval / 100
                watched.next_regular = now + 95 * hundredth + self.draw(11) * hundredth
                watched.ask_regularly(now)
