"""The doors of a worker: which services have one, what they remember of clients, and how that is written behind.

postscreen(8) where master.cf says so, and in front of smtpd(8) where seawall_door does.
"""

from __future__ import annotations

import asyncio
import os
import sqlite3
import ssl
from collections.abc import Callable
from pathlib import Path

from seawall.config.master_cf import Service
from seawall.config.settings import Settings
from seawall.door.dnsbl_score import Scores
from seawall.door.door import GRAIN, Door
from seawall.door.passed_clients import PassedClients
from seawall.door.passed_store import FILE, read_passed
from seawall.door.rules import DoorRules, compile_rules
from seawall.door.watch import Guest
from seawall.journal.records.door import CacheCleaned
from seawall.patience import Patience
from seawall.run import messages as m
from seawall.run.build import Common
from seawall.run.listeners import split_service
from seawall.run.site import OWN
from seawall.tls import TlsTrouble, server_context

WRITE_BEHIND = 1.0
"""Seconds between two looks at what has changed; ours."""
AT_ONCE = 500
"""Clients in one packet to the watcher, and clients that are looked at in one turn of the loop."""
SUBMISSION = frozenset({"submission", "submissions", "smtps", "587", "465"})
"""Services whose clients log in: nobody is screened there, whatever seawall_door says."""


def wants_door(service: Service, settings: Settings) -> bool:
    """Does this inet service have one?  `settings` are the service's own."""
    if os.path.basename(service.command) == "postscreen":
        return True
    if not settings.flag("seawall_door") or settings.flag("smtpd_tls_wrappermode"):
        return False
    return split_service(service.name)[1] not in SUBMISSION


def store_path(settings: Settings) -> Path:
    """The file of the clients that have passed."""
    return Path(settings.path(settings.text("data_directory"))) / OWN / FILE


class Doors:
    """All of one worker.  Raises ConfigTrouble and TableUnsupported as services are added."""

    def __init__(self, common: Common) -> None:
        self._common = common
        self._rules: dict[int, DoorRules] = {}
        self._tls: dict[int, ssl.SSLContext] = {}
        self._doors: list[Door] = []
        self._scores: Scores | None = None
        self._patience: Patience | None = None
        self._tasks: list[asyncio.Task[None]] = []
        self._passed = PassedClients()

    def add(self, position: int, service: Service) -> None:
        """Compile the door of a service, where it has one: before privileges are dropped."""
        common = self._common
        settings = service.settings(common.settings)
        if wants_door(service, settings):
            workers = common.given.start.workers
            rules = self._rules[position] = compile_rules(settings, common.tables, self._warn, workers=workers)
            if rules.talk.offers_tls:
                self._read_keys(position, settings, mandatory=rules.talk.requires_tls)

    def _read_keys(self, position: int, settings: Settings, *, mandatory: bool) -> None:
        """Without a usable certificate STARTTLS is answered by 454."""
        try:
            self._tls[position] = server_context(settings, mandatory=mandatory)
        except TlsTrouble as trouble:
            self._warn(str(trouble))

    def _warn(self, text: str) -> None:
        self._common.warn("postscreen", text)

    def __bool__(self) -> bool:
        return bool(self._rules)

    def __len__(self) -> int:
        """Clients that are being screened."""
        return sum(len(door.strangers) for door in self._doors)

    async def begin(self) -> None:
        """Remember what the store knows."""
        if not self._rules:
            return
        loop = asyncio.get_running_loop()
        common = self._common
        self._patience = Patience(loop.time, loop.call_later, GRAIN)
        self._scores = Scores(common.resolver, common.journal, common.clock, self._patience)
        try:
            await asyncio.to_thread(self._load, self._passed)
        except (sqlite3.Error, OSError) as trouble:
            self._warn(f"passed clients {store_path(common.settings)}: {trouble}; everybody is tested anew")
        self._tasks = [loop.create_task(self._write_behind()), loop.create_task(self._clean(self._passed))]

    def _load(self, passed: PassedClients) -> None:
        for rows in read_passed(store_path(self._common.settings)):
            passed.load(rows)

    def open(self, position: int, session: Callable[[], Guest], *, knows_logins: bool) -> Door | None:
        """The door of a service; None where it has none."""
        rules, patience, scores = self._rules.get(position), self._patience, self._scores
        if rules is None or patience is None or scores is None:
            return None
        common = self._common
        door = Door(
            rules,
            session,
            common.journal,
            common.clock,
            patience,
            scores,
            self._passed if rules.remembers else None,
            tls=self._tls.get(position),
            knows_logins=knows_logins,
        )
        self._doors.append(door)
        return door

    async def _write_behind(self) -> None:
        while True:
            await asyncio.sleep(WRITE_BEHIND)
            self.write()

    def write(self) -> None:
        """Tell the watcher what has changed; later, where it cannot take it now."""
        passed = self._passed
        while changes := passed.take_changes(AT_ONCE):
            if not self._common.watcher.tell(m.ClientsPassed(tuple(changes))):
                passed.give_back(changes)
                return

    async def _clean(self, passed: PassedClients) -> None:
        """Forget who has not come for long.  postconf(5) postscreen_cache_cleanup_interval"""
        common = self._common
        settings = common.settings
        interval, retention = clean_times(settings)
        enabled = 0
        for rules in self._rules.values():
            enabled |= rules.screen.enabled
        while interval > 0:
            counts = 0, 0
            before = int(common.clock.now() - retention)
            for so_far in passed.clean(enabled, before, AT_ONCE):
                counts = so_far
                await asyncio.sleep(0)
            if any(counts):
                self._tell_cleaned(*counts)
            await asyncio.sleep(interval)

    def _tell_cleaned(self, retained: int, dropped: int) -> None:
        common = self._common
        name = common.settings.text("postscreen_cache_map")
        common.journal.write(CacheCleaned(at=common.clock.now(), name=name, retained=retained, dropped=dropped))

    def drain(self) -> None:
        """Let everybody go who is being screened."""
        for door in self._doors:
            door.drain()

    def stop(self) -> None:
        """The last word to the watcher."""
        for task in self._tasks:
            task.cancel()
        self.write()


def clean_times(settings: Settings) -> tuple[float, float]:
    """(seconds between two clean-ups, seconds that a client is remembered after all its results have expired)"""
    return settings.seconds("postscreen_cache_cleanup_interval"), settings.seconds("postscreen_cache_retention_time")
