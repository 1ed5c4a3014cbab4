"""The watch over DNS lists between processes: each worker hears what its own clients' questions bring, one asks regularly.

Who finds a list out tells the log and, by the watcher, the other workers; these put it aside without a word and without a
question.  So a list costs the same few questions whatever the number of workers, and a verdict needs no other process: a
worker that hears nothing of the others finds everything out for itself.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Callable
from typing import Protocol

from seawall.clock import Clock
from seawall.journal.record import Journal, Record
from seawall.journal.records.dns_lists import ListLacksTest, ListPutAside, ListTakenBack
from seawall.policy.list_watch import News, What
from seawall.policy.list_watching import AsksAtOnce, Watching
from seawall.run import messages as m
from seawall.run.build import Common

LOOK = 5.0
"""Seconds between two looks at what is due."""


class Link(Protocol):
    """The link to the watcher."""

    heard: Callable[[m.LinkMessage], None]

    def tell(self, message: m.LinkMessage) -> bool:
        """Send; False where it cannot be taken now."""
        ...


class WorkerLists:
    """A worker's watch.  Takes the watcher's messages, and passes on what is not about lists."""

    def __init__(
        self, asks: AsksAtOnce, clock: Clock, journal: Journal, link: Link, interval: float, *, asks_regularly: bool
    ) -> None:
        """`interval` is seconds: of the regular rounds, and the longest before a list that is aside is asked again."""
        self._clock = clock
        self._journal = journal
        self._link = link
        self.watching = Watching(
            asks,
            clock.monotonic,
            secrets.randbelow,
            self._told,
            interval=interval if asks_regularly else 0.0,
            longest=interval,
        )
        self._pause = min(LOOK, interval / 4)
        self._timer: asyncio.TimerHandle | None = None
        self._others = link.heard
        link.heard = self._heard

    def begin(self) -> None:
        """Look at what is due, from now on."""
        self.watching.look()
        self._timer = asyncio.get_running_loop().call_later(self._pause, self.begin)

    def stop(self) -> None:
        """Ask nothing more of one's own accord."""
        if self._timer is not None:
            self._timer.cancel()

    def _told(self, news: News) -> None:
        record = record_of(news, self._clock.now())
        if record is not None:
            self._journal.write(record)
        self._link.tell(m.ListNews(news.what.value, news.zone, news.why, news.pause))

    def _heard(self, message: m.LinkMessage) -> None:
        if isinstance(message, m.ListNews):
            self.watching.adopt(News(What(message.what), message.zone, message.why, pause=message.pause))
        else:
            self._others(message)


def make_lists(common: Common) -> WorkerLists:
    """The watch of a worker; the first one asks regularly, for all."""
    return WorkerLists(
        common.resolver,
        common.clock,
        common.journal,
        common.watcher,
        common.settings.seconds("seawall_dnsbl_watch_interval"),
        asks_regularly=common.given.start.index == 0,
    )


def record_of(news: News, at: float) -> Record | None:
    """What the log is told; None for what only other processes must know."""
    match news.what:
        case What.ASIDE:
            return ListPutAside(at=at, zone=news.zone, why=news.why, evidence=news.evidence, pause=news.pause)
        case What.BACK:
            return ListTakenBack(at=at, zone=news.zone, seconds=news.pause)
        case What.LACKS_TEST:
            return ListLacksTest(at=at, zone=news.zone, point=news.evidence)
        case What.STILL:
            return None
