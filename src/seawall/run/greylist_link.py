"""Greylisting between processes: a worker passes on what it learns, and asks the watcher what crosses networks.

A watcher that is gone or hangs costs no client more than the wait that a stranger has anyway: the answer is then that
nobody is known.
"""

from __future__ import annotations

import asyncio
import secrets
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

from seawall.breaker import Breaker
from seawall.journal.store import read_arrivals
from seawall.policy.greylist import SECRET, Elder, Greylist, NetworkRow, Rules, TripletRow, networks_seen
from seawall.policy.greylist_store import GreylistLookUps, GreylistStore
from seawall.policy.greylisting import Greylister
from seawall.run import messages as m
from seawall.run.channel import Channel

PATIENCE = 2.0
"""Seconds that the watcher may take; ours.  It answers in well under a millisecond, but for the moments of a slow disk."""
MOST_QUESTIONS = 200
"""Questions under way at one time; further strangers are simply new.  Ours."""
FLUSH = 0.5
"""Seconds between two packets to the watcher."""
IN_A_PACKET = 500
SWEPT = 64
"""Buckets looked through at each flush: all of two million triplets in some four minutes, a bucket in some 20 µs."""
FORGET_AT_ONCE = 5000
JOURNAL = "journal.sqlite"
MOST_ARRIVALS = 200_000
"""Of the journal's, that a new store learns from: read in a second or so."""


class Tells(Protocol):
    """The link to the watcher."""

    def tell(self, message: m.LinkMessage) -> bool:
        """Send; False where it cannot be taken now."""
        ...


class WorkerGreylist:
    """A worker's greylist.  `now` is wall time, `monotonic` what patience goes by; `warn` takes trouble with the file."""

    def __init__(
        self,
        rules: Rules,
        path: Path,
        link: Tells,
        now: Callable[[], float],
        monotonic: Callable[[], float],
        warn: Callable[[str], None],
        patience: float = PATIENCE,
    ) -> None:
        self._rules = rules
        self._path = path
        self._link = link
        self._now = now
        self._monotonic = monotonic
        self._warn = warn
        self._patience = patience
        self._waiting: dict[int, asyncio.Future[tuple[Elder, ...]]] = {}
        self._number = 0
        self._breaker = Breaker()
        self._unsent: list[m.GreylistChanges] = []
        self.greylister = Greylister(Greylist(rules, secrets.token_bytes(SECRET)), self.elders, now)

    async def begin(self) -> None:
        """Find the file, or make it, in a thread; pass on from now on what is learnt."""
        await asyncio.to_thread(self._find_store)
        self._flush_and_again()

    def _find_store(self) -> None:
        """What it holds is read as it is asked for."""
        try:
            store = GreylistStore(self._path, self._seed)
            for remark in store.take_remarks():
                self._warn(remark)
            kept = GreylistLookUps(self._path, self._warn)
            kept.open()
            kept.warm()
            store.close()
            self.greylister.greylist = Greylist(self._rules, store.secret, kept)
        except (sqlite3.Error, OSError) as trouble:
            self._warn(f"greylist {self._path}: {trouble}; what is learnt is kept in memory only")

    def _seed(self, secret: bytes) -> list[NetworkRow]:
        """The networks of which the journal says that they sent mail before: the first start finds friends."""
        now = self._now()
        arrivals = read_arrivals(self._path.with_name(JOURNAL), now - self._rules.keep, MOST_ARRIVALS)
        return networks_seen(Greylist(self._rules, secret), arrivals)

    def heard(self, message: m.LinkMessage) -> None:
        """An answer, where it is one."""
        if isinstance(message, m.GreylistAnswer):
            future = self._waiting.pop(message.number, None)
            if future is not None and not future.done():
                future.set_result(tuple(Elder(*elder) for elder in message.elders))

    def lost(self) -> None:
        """The watcher has ended; nobody waits for it any more."""
        waiting, self._waiting = self._waiting, {}
        for future in waiting.values():
            if not future.done():
                future.set_result(())

    async def elders(self, pair: int) -> tuple[Elder, ...]:
        """policy.greylisting.Elders"""
        if len(self._waiting) >= MOST_QUESTIONS or not self._breaker.may_ask(self._monotonic()):
            return ()
        self._number += 1
        number = self._number
        future: asyncio.Future[tuple[Elder, ...]] = asyncio.get_running_loop().create_future()
        self._waiting[number] = future
        try:
            if not self._link.tell(m.GreylistQuestion(number, pair)):
                return ()
            done, _ = await asyncio.wait({future}, timeout=self._patience)
        finally:
            self._waiting.pop(number, None)
        if not done:
            self._breaker.failed(self._monotonic(), refused=False)
            return ()
        self._breaker.answered(self._monotonic())
        return future.result()

    def _flush_and_again(self) -> None:
        self.flush()
        self.greylister.greylist.sweep(SWEPT, self._now())
        asyncio.get_running_loop().call_later(FLUSH, self._flush_and_again)

    def flush(self) -> None:
        """Pass on what has changed; what the watcher cannot take now waits, one round of it."""
        if not self._unsent:
            triplets, networks = self.greylister.greylist.take_changes()
            for at in range(0, max(len(triplets), len(networks)), IN_A_PACKET):
                end = at + IN_A_PACKET
                self._unsent.append(m.GreylistChanges(tuple(triplets[at:end]), tuple(networks[at:end])))
        while self._unsent and self._link.tell(self._unsent[0]):
            self._unsent.pop(0)


class GreylistKeeper:
    """The watcher's part: the single writer of the store.  The file is opened when somebody has something to keep."""

    def __init__(self, rules: Rules, path: Path, now: Callable[[], float], warn: Callable[[str], None]) -> None:
        self._rules = rules
        self._path = path
        self._now = now
        self._warn = warn
        self._store: GreylistStore | None = None
        self._triplets: list[TripletRow] = []
        self._networks: list[NetworkRow] = []
        self._trouble = ""

    def take(self, channel: Channel[m.LinkMessage], message: m.LinkMessage) -> None:
        """A worker's message."""
        if isinstance(message, m.GreylistChanges):
            self._triplets += [TripletRow(*row) for row in message.triplets]
            self._networks += [NetworkRow(*row) for row in message.networks]
        elif isinstance(message, m.GreylistQuestion):
            channel.send(m.GreylistAnswer(message.number, self._elders(message.pair)))

    def _elders(self, pair: int) -> tuple[Elder, ...]:
        store = self._open()
        if store is None:
            return ()
        try:
            return store.elders(pair)
        except sqlite3.Error as trouble:
            self._complain(trouble)
            return ()

    def _open(self) -> GreylistStore | None:
        if self._store is None:
            try:
                self._store = GreylistStore(self._path)
                for remark in self._store.take_remarks():
                    self._warn(remark)
            except (sqlite3.Error, OSError) as trouble:
                self._complain(trouble)
        return self._store

    def _complain(self, trouble: Exception) -> None:
        if str(trouble) != self._trouble:
            self._trouble = str(trouble)
            self._warn(f"greylist {self._path}: {trouble}; what is learnt is kept in memory only")

    def commit(self) -> None:
        """Keep what came since the last time."""
        triplets, self._triplets = self._triplets, []
        networks, self._networks = self._networks, []
        if (triplets or networks) and (store := self._open()) is not None:
            try:
                store.save(triplets, networks)
            except sqlite3.Error as trouble:
                self._complain(trouble)

    def forget(self) -> None:
        """Drop what is over."""
        if self._store is not None:
            try:
                self._store.forget(self._rules, self._now(), FORGET_AT_ONCE)
            except sqlite3.Error as trouble:
                self._complain(trouble)

    def close(self) -> None:
        """Keep the rest, and close the file."""
        self.commit()
        if self._store is not None:
            self._store.close()
            self._store = None
