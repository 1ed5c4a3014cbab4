"""Greylisting for `seawall policy-service`: one process, which reads and writes the store itself."""

from __future__ import annotations

import asyncio
import contextlib
import re
import sqlite3
import time
from collections.abc import Callable
from pathlib import Path

from seawall.config.settings import ConfigTrouble, Settings
from seawall.policy.greylist import Elder, Greylist, Rules
from seawall.policy.greylist_store import FILE, GreylistLookUps, GreylistStore
from seawall.policy.greylisting import NAME, Greylister, Mode, read_mode, read_rules

SAVE = 0.5
"""Seconds between two commits."""
FORGET_EVERY = 60.0
SWEPT = 64
FORGET_AT_ONCE = 5000


def open_greylist(
    settings: Settings, restrictions: str, tell: Callable[[str], None], *, listens: bool
) -> LocalGreylist | None:
    """The greylist, where the restrictions or seawall_greylist ask for it.  Raises ConfigTrouble, OSError.

    One process must know all strangers, so a service that spawn(8) starts for each conversation has none.
    """
    if NAME not in re.split(r"[\s,]+", restrictions) and read_mode(settings) is Mode.NO:
        return None
    if not listens:
        tell(f"warning: {NAME} needs --listen: a process for each conversation knows too little; nobody is put off")
        return None
    path = Path(settings.path(settings.text("data_directory"))) / "seawall" / FILE
    try:
        return LocalGreylist(path, read_rules(settings), tell)
    except sqlite3.Error as trouble:
        raise ConfigTrouble(f"{path}: {trouble}") from None


class LocalGreylist:
    """The store and its greylist in one process."""

    def __init__(self, path: Path, rules: Rules, tell: Callable[[str], None]) -> None:
        """Raises sqlite3.Error, OSError."""
        self._tell = tell
        self._store = GreylistStore(path)
        for remark in self._store.take_remarks():
            tell(f"warning: {remark}")
        self._kept = GreylistLookUps(path, lambda text: tell(f"warning: greylist {text}"))
        self._kept.warm()
        greylist = Greylist(rules, self._store.secret, self._kept)
        self.greylister = Greylister(greylist, self._elders, time.time)
        self._forgotten = time.monotonic()

    async def _elders(self, pair: int) -> tuple[Elder, ...]:
        try:
            return self._store.elders(pair)
        except sqlite3.Error as trouble:
            self._tell(f"warning: greylist: {trouble}")
            return ()

    def begin(self) -> None:
        """Write behind, from now on."""
        self._save()
        asyncio.get_running_loop().call_later(SAVE, self.begin)

    def _save(self) -> None:
        greylist = self.greylister.greylist
        greylist.sweep(SWEPT, time.time())
        triplets, networks = greylist.take_changes()
        try:
            if triplets or networks:
                self._store.save(triplets, networks)
            if time.monotonic() - self._forgotten > FORGET_EVERY:
                self._forgotten = time.monotonic()
                self._store.forget(greylist.rules, time.time(), FORGET_AT_ONCE)
        except sqlite3.Error as trouble:
            self._tell(f"warning: greylist: {trouble}")

    def close(self) -> None:
        """Write the rest."""
        self._save()
        self._kept.close()
        with contextlib.suppress(sqlite3.Error):
            self._store.close()
