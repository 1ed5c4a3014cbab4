"""The watcher: the single writer of the journal store."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import sqlite3
from pathlib import Path

from seawall.door.passed_clients import MOST, Change
from seawall.door.passed_store import PassedStore
from seawall.journal.batch import Batch
from seawall.journal.records.door import CacheCleaned
from seawall.journal.store import Store
from seawall.policy.greylist_store import FILE as GREYLIST
from seawall.policy.greylisting import read_rules
from seawall.run import messages as m
from seawall.run.build import Common, PartBase, make_common
from seawall.run.build_door import clean_times, store_path
from seawall.run.channel import Channel
from seawall.run.child import Given
from seawall.run.greylist_link import GreylistKeeper
from seawall.run.site import OWN

COMMIT = 0.5
"""Seconds between two commits of the store; ours."""
FORGET_EVERY = 60.0
FORGET_AT_ONCE = 20_000
"""Old records that are dropped in one go, so that new ones are not held up."""
AND_AGAIN = 0.1
"""Seconds until the next go, where there was more: a flood's records must go as fast as they came."""


class Watcher(PartBase):
    """Keeps what the other children journal, as long as seawall_journal_retention says."""

    def __init__(self, common: Common) -> None:
        super().__init__(common)
        self._batches: list[Batch] = []
        self._channels: list[Channel[m.LinkMessage]] = []
        self._deserted = asyncio.Event()
        self._deserted.set()
        self._store: Store | None = None
        self._clients: list[Change] = []
        self._passed: PassedStore | None = None
        self._cleaning: asyncio.Task[None] | None = None
        self._trouble = ""
        settings = common.settings
        self._path = Path(settings.path(settings.text("data_directory"))) / OWN / "journal.sqlite"
        self._retention = settings.seconds("seawall_journal_retention")
        self._greylist = GreylistKeeper(
            read_rules(settings),
            self._path.with_name(GREYLIST),
            common.clock.now,
            lambda text: common.warn("smtpd", text),
        )

    async def begin(self) -> None:
        """Open the store and keep what comes."""
        await super().begin()
        self._open()
        self._commit_and_again()
        self._forget_and_again()
        self._clean_and_again()

    def _open(self) -> None:
        try:
            self._store = Store(self._path)
            self._tell(self._store.take_remarks())
        except (sqlite3.Error, OSError) as trouble:
            self._complain(trouble)

    def _tell(self, remarks: list[str]) -> None:
        for remark in remarks:
            self.common.warn("master", remark)

    def _complain(self, trouble: Exception) -> None:
        if str(trouble) != self._trouble:
            self._trouble = str(trouble)
            self.common.warn("master", f"journal store {self._path}: {trouble}; records are in the log only")

    def linked(self, peer: str, index: int, end: socket.socket, *, asks: bool) -> None:
        """Another child journals here."""
        channel: Channel[m.LinkMessage] = Channel(
            end, m.LinkMessage, lambda message, fds: self._take(channel, message, fds), self._lost
        )
        self._channels = [*(each for each in self._channels if each.is_open), channel]
        self._deserted.clear()

    def _lost(self) -> None:
        if not any(channel.is_open for channel in self._channels):
            self._deserted.set()

    def _take(self, channel: Channel[m.LinkMessage], message: m.LinkMessage, descriptors: list[int]) -> None:
        for descriptor in descriptors:
            os.close(descriptor)
        if isinstance(message, m.Records):
            self._batches.append(message.batch)
        elif isinstance(message, m.ClientsPassed):
            self._clients.extend(message.rows)
        elif isinstance(message, m.ListNews):
            for each in self._channels:
                if each is not channel:
                    each.send(message)
        else:
            self._greylist.take(channel, message)

    def _commit_and_again(self) -> None:
        self._commit()
        asyncio.get_running_loop().call_later(COMMIT, self._commit_and_again)

    def _commit_clients(self) -> None:
        """What the workers' doors know of clients; where it cannot be kept, they are tested anew one day."""
        clients, self._clients = self._clients, []
        if not clients:
            return
        passed = self._open_passed()
        if passed is not None:
            try:
                passed.save(clients)
            except sqlite3.Error as trouble:
                self._complain_of_clients(trouble)

    def _open_passed(self) -> PassedStore | None:
        if self._passed is None:
            try:
                self._passed = PassedStore(store_path(self.common.settings))
                self._tell(self._passed.take_remarks())
            except (sqlite3.Error, OSError) as trouble:
                self._complain_of_clients(trouble)
        return self._passed

    def _complain_of_clients(self, trouble: Exception) -> None:
        path = store_path(self.common.settings)
        self.common.warn("postscreen", f"passed clients {path}: {trouble}; they are kept in memory only")

    def _clean_and_again(self) -> None:
        """Clients of whom nobody has heard for long.  postconf(5) postscreen_cache_cleanup_interval"""
        interval, retention = clean_times(self.common.settings)
        if interval <= 0:
            return
        loop = asyncio.get_running_loop()
        if store_path(self.common.settings).exists() and (passed := self._open_passed()) is not None:
            self._cleaning = loop.create_task(self._clean(passed, int(self.common.clock.now() - retention)))
        loop.call_later(interval, self._clean_and_again)

    async def _clean(self, passed: PassedStore, before: int) -> None:
        retained = dropped = 0
        last = "!"  # before every address
        try:
            while last:
                done = passed.clean(before, last, FORGET_AT_ONCE)
                retained, dropped, last = retained + done.retained, dropped + done.dropped, done.last
                await asyncio.sleep(0)
            while gone := passed.shorten(MOST, FORGET_AT_ONCE):
                retained, dropped = retained - gone, dropped + gone
                await asyncio.sleep(0)
        except sqlite3.Error as trouble:
            self._complain_of_clients(trouble)
        if retained or dropped:
            name = self.common.settings.text("postscreen_cache_map")
            now = self.common.clock.now()
            self.common.journal.write(CacheCleaned(at=now, name=name, retained=retained, dropped=dropped))

    def _commit(self) -> None:
        self._commit_clients()
        self._greylist.commit()
        batches, self._batches = self._batches, []
        if not batches:
            return
        if self._store is None:
            self._open()
        if self._store is not None:
            try:
                self._store.add(batches)
            except sqlite3.Error as trouble:
                self._complain(trouble)

    def _forget_and_again(self) -> None:
        gone = 0
        if self._store is not None and self._retention > 0:
            try:
                gone = self._store.forget(self.common.clock.now() - self._retention, FORGET_AT_ONCE)
            except sqlite3.Error as trouble:
                self._complain(trouble)
        self._greylist.forget()
        pause = FORGET_EVERY if gone < FORGET_AT_ONCE else AND_AGAIN
        asyncio.get_running_loop().call_later(pause, self._forget_and_again)

    async def drain(self, seconds: float, farewell: bool) -> None:
        """Keep the rest: at the end of everything, what the others say until they have ended."""
        if farewell:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._deserted.wait(), seconds)
        if self._cleaning is not None:
            self._cleaning.cancel()
        await super().drain(seconds, farewell)
        self._commit()
        self._greylist.close()
        if self._store is not None:
            self._store.close()
            self._store = None
        if self._passed is not None:
            self._passed.close()
            self._passed = None


def build_watcher(given: Given) -> Watcher:
    """The watcher's part."""
    return Watcher(make_common(given))
