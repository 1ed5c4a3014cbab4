"""The watcher: the single writer of the journal store."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import sqlite3
from pathlib import Path

from seawall.door.passed_clients import Change
from seawall.door.passed_store import PassedStore
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
FORGET_AT_ONCE = 5000
"""Old rows that are dropped in one go, so that new ones are not held up."""


class Watcher(PartBase):
    """Keeps what the other children journal, as long as seawall_journal_retention says."""

    def __init__(self, common: Common) -> None:
        super().__init__(common)
        self._rows: list[tuple[float, str, int, str, str, bytes]] = []
        self._channels: list[Channel[m.LinkMessage]] = []
        self._deserted = asyncio.Event()
        self._deserted.set()
        self._store: Store | None = None
        self._clients: list[Change] = []
        self._passed: PassedStore | None = None
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
            os.umask(0o077)
            self._store = Store(self._path)
        except (sqlite3.Error, OSError) as trouble:
            self._complain(trouble)

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
            self._rows.extend(message.rows)
        elif isinstance(message, m.ClientsPassed):
            self._clients.extend(message.rows)
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
                os.umask(0o077)
                self._passed = PassedStore(store_path(self.common.settings))
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
        if store_path(self.common.settings).exists() and (passed := self._open_passed()) is not None:
            try:
                passed.forget(int(self.common.clock.now() - retention), FORGET_AT_ONCE)
            except sqlite3.Error as trouble:
                self._complain_of_clients(trouble)
        asyncio.get_running_loop().call_later(interval, self._clean_and_again)

    def _commit(self) -> None:
        self._commit_clients()
        self._greylist.commit()
        rows, self._rows = self._rows, []
        if not rows:
            return
        if self._store is None:
            self._open()
        if self._store is not None:
            try:
                self._store.add(rows)
            except sqlite3.Error as trouble:
                self._complain(trouble)

    def _forget_and_again(self) -> None:
        if self._store is not None and self._retention > 0:
            try:
                self._store.forget(self.common.clock.now() - self._retention, FORGET_AT_ONCE)
            except sqlite3.Error as trouble:
                self._complain(trouble)
        self._greylist.forget()
        asyncio.get_running_loop().call_later(FORGET_EVERY, self._forget_and_again)

    async def drain(self, seconds: float, farewell: bool) -> None:
        """Keep the rest: at the end of everything, what the others say until they have ended."""
        if farewell:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._deserted.wait(), seconds)
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
