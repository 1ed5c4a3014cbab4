"""Address verification in the queue manager's process: the cache, and the probes that fill it.  verify(8)"""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3
from functools import partial
from pathlib import Path

from seawall.intake.cleanup import Cleanup
from seawall.intake.probe import address_probe
from seawall.routing.probe_sender import probe_sender_of
from seawall.run import messages as m
from seawall.run.build import Common
from seawall.run.channel import Channel
from seawall.run.site import OWN
from seawall.spool.manager import QueueManager
from seawall.spool.probes import Prober
from seawall.spool.verifier import Verifier, read_verify_rules
from seawall.spool.verify_store import VerifyStore

FILE = "verify.sqlite"
"""Below $data_directory/seawall."""


class VerifyService:
    """Answers workers over their links."""

    def __init__(self, common: Common, manager: QueueManager, intake: Cleanup) -> None:
        """Raises ConfigTrouble."""
        self._common = common
        self._manager = manager
        settings = common.settings
        self._rules = read_verify_rules(settings)
        self._prober = Prober(
            manager.deliveries,
            manager.rules,
            partial(address_probe, intake),
            probe_sender_of(settings),
            common.queue_ids,
            common.journal,
            common.clock,
        )
        self._path = Path(settings.path(settings.text("data_directory"))) / OWN / FILE
        self._verifier: Verifier | None = None
        self._cleaning: asyncio.Task[None] | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    def begin(self) -> None:
        """Open the file (it is ours only once we have become who we are), and serve."""
        store = None
        if self._rules.is_persistent:
            try:
                store = VerifyStore(self._path)
                for remark in store.take_remarks():
                    self._warn(remark)
            except (sqlite3.Error, OSError) as trouble:
                text = f"address verification cache {self._path}: {trouble}; what is learned is kept in memory only"
                self._warn(text)
        self._verifier = Verifier(
            self._rules, self._prober.probe, store, self._manager.hands, self._common.clock, self._warn
        )
        self._cleaning = asyncio.get_running_loop().create_task(self._verifier.run())

    def _warn(self, text: str) -> None:
        self._common.warn("verify", text)

    def asked(self, channel: Channel[m.LinkMessage], request: m.VerifyRequest) -> None:
        """Answer a worker, in a while."""
        if self._verifier is None:
            return  # not begun yet: he waits no longer than for a probe
        task = asyncio.get_running_loop().create_task(self._answer(self._verifier, channel, request))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _answer(self, verifier: Verifier, channel: Channel[m.LinkMessage], request: m.VerifyRequest) -> None:
        verified = await verifier.ask(request.address, request.patience)
        channel.send(m.VerifyReply(request.number, verified))

    async def stop(self) -> None:
        """Answer nobody any more; what is known is written."""
        for task in (*self._tasks, *([self._cleaning] if self._cleaning is not None else [])):
            task.cancel()
        if self._verifier is not None:
            with contextlib.suppress(sqlite3.Error, OSError):
                await self._verifier.stop()
