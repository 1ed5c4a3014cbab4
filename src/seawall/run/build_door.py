"""The doors of a worker: which services have one, what they remember of clients, and how that is written behind.

postscreen(8) where master.cf says so, and in front of smtpd(8) where seawall_door does.
"""

from __future__ import annotations

import asyncio
import os
import ssl
from collections.abc import Awaitable, Callable
from pathlib import Path

from seawall.config.master_cf import Service
from seawall.config.settings import Settings
from seawall.door.dnsbl_score import Scores
from seawall.door.door import GRAIN, Door
from seawall.door.passed_clients import PassedClients
from seawall.door.passed_store import FILE, PassedLookUps
from seawall.door.rules import DoorRules, compile_rules
from seawall.door.screening import DEEP
from seawall.door.watch import Guest
from seawall.patience import Patience
from seawall.policy.exempt_file import open_exemptions
from seawall.policy.list_watching import Watching
from seawall.policy.worth import Crowd
from seawall.run import messages as m
from seawall.run.build import Common
from seawall.run.listeners import split_service
from seawall.run.site import OWN
from seawall.tls import TlsTrouble, server_context

WRITE_BEHIND = 1.0
"""Seconds between two looks at what has changed; ours."""
AT_ONCE = 500
"""Clients in one packet to the watcher."""
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

    def __init__(self, common: Common, lists: Watching) -> None:
        """`lists` watches over those whom a score is made of."""
        self._common = common
        self._lists = lists
        self._rules: dict[int, DoorRules] = {}
        self._settings: dict[int, Settings] = {}
        self._tls: dict[int, ssl.SSLContext] = {}
        self._doors: list[Door] = []
        self._scores: Scores | None = None
        self._patience: Patience | None = None
        self._tasks: list[asyncio.Task[None]] = []
        self._kept = PassedLookUps(store_path(common.settings), self._warn)
        self._passed = PassedClients(self._kept)

    def add(self, position: int, service: Service) -> None:
        """Compile the door of a service, where it has one: before privileges are dropped."""
        common = self._common
        settings = service.settings(common.settings)
        if wants_door(service, settings):
            self._settings[position] = settings
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
        """Ready to screen; what the store knows is read as it is asked for."""
        if not self._rules:
            return
        loop = asyncio.get_running_loop()
        common = self._common
        self._patience = Patience(loop.time, loop.call_later, GRAIN)
        self._scores = Scores(common.resolver, common.journal, common.clock, self._patience, self._lists)
        for rules in self._rules.values():
            self._scores.watch(rules.scores)
        await asyncio.to_thread(self._kept.open)
        self._kept.warm()
        self._tasks = [loop.create_task(self._write_behind())]

    @property
    def longest_wait(self) -> float:
        """Seconds that clients are kept silent for before their greeting, at most."""
        return max((rules.plain.greet_wait for rules in self._rules.values()), default=0.0)

    def has_behaved(self, address: str) -> bool:
        """Did the client pass a deep test when it was here before?  Silence alone is no merit: bots can wait."""
        stamps = self._passed.find(address) if self._rules else None
        now = self._common.clock.now()
        return stamps is not None and any(DEEP >> at & 1 and stamp > now for at, stamp in enumerate(stamps))

    def open(
        self,
        position: int,
        session: Callable[[], Guest],
        crowd: Crowd,
        is_pressed: Callable[[], bool],
        *,
        knows_logins: bool,
    ) -> Door | None:
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
            exemptions=open_exemptions(self._settings[position], common.tables, common.clock.now),
            crowd=crowd,
            is_pressed=is_pressed,
        )
        self._doors.append(door)
        return door

    def score(self, position: int, address: str) -> int | Awaitable[int | None] | None:
        """What the DNS lists of a service's door weigh against a client; None where it has none."""
        rules = self._rules.get(position)
        if self._scores is None or rules is None or not rules.scores.sites:
            return None
        return self._scores.rank(address, rules.scores)

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

    def drain(self) -> None:
        """Let everybody go who is being screened."""
        for door in self._doors:
            door.drain()

    def stop(self) -> None:
        """The last word to the watcher."""
        for task in self._tasks:
            task.cancel()
        self.write()
        self._kept.close()


def clean_times(settings: Settings) -> tuple[float, float]:
    """(seconds between two clean-ups, seconds that a client is remembered after all its results have expired)"""
    return settings.seconds("postscreen_cache_cleanup_interval"), settings.seconds("postscreen_cache_retention_time")
