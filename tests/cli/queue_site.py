"""A queue on the real disk for the tests of the queue tools, with its manager running in a thread, or not."""

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from seawall.bounce.when import Reporting
from seawall.clock import SystemClock
from seawall.config.settings import Settings, load
from seawall.journal.record import MemoryJournal
from seawall.mail.outcome import Deferred, Outcome
from seawall.spool.control import Control, serve_control
from seawall.spool.disk import Disk
from seawall.spool.manager import Ports, QueueManager
from seawall.spool.places import Places, make_places, places_in
from seawall.spool.queue_files import QueueFiles
from seawall.spool.rules import rules_of
from seawall.spool.submission import SubmissionServer, serve_submission
from tests.crash.model_disk import ModelDisk
from tests.spool.test_handing_in import Desk
from tests.spool.world import Agents, Routes

LATER = Deferred(status="4.2.2", text="mailbox full", relay="local")


class QueueSite:
    """A configuration directory and a queue below `root`."""

    def __init__(self, root: Path) -> None:
        self.directory = root / "etc"
        self.directory.mkdir()
        queue = root / "spool"
        (self.directory / "main.cf").write_text(
            f"myhostname = mx.example.org\nqueue_directory = {queue}\nmessage_size_limit = 100000\n"
            "maximal_queue_lifetime = 9000d\n"
        )
        self.places: Places = places_in(str(queue))
        make_places(self.places, Disk())
        self.files = QueueFiles(self.places, Disk())
        self.agents = Agents(ModelDisk())
        self.desk = Desk()
        self.journal = MemoryJournal()

    @property
    def settings(self) -> Settings:
        return load(str(self.directory))

    def defer(self, *recipients: str) -> None:
        for recipient in recipients:
            script: list[Outcome] = [LATER]
            self.agents.script[recipient] = script

    @contextmanager
    def running(self) -> Iterator[None]:
        """The manager and the submission server, until the block ends; mail at rest was tried once when it starts."""
        ready, end = threading.Event(), threading.Event()
        thread = threading.Thread(target=lambda: asyncio.run(self._serve(ready, end)), daemon=True)
        thread.start()
        assert ready.wait(20)
        try:
            yield
        finally:
            end.set()
            thread.join(20)
            assert not thread.is_alive()

    async def _serve(self, ready: threading.Event, end: threading.Event) -> None:
        clock = SystemClock()
        reports = Reporting(self.settings, self.journal, clock)
        ports = Ports(Routes(), self.agents, self.desk, reports, self.journal, clock)
        manager = QueueManager(self.places, rules_of(self.settings, ()), ports)
        running = asyncio.ensure_future(manager.run())
        servers = [
            await serve_control(Control(manager), self.places.control_socket),
            await serve_submission(SubmissionServer(self.desk, self.journal, clock, 100000), self.places.submit_socket),
        ]
        while not manager.recovered:
            await asyncio.sleep(0.005)
        await manager.quiet()
        ready.set()
        await asyncio.to_thread(end.wait)
        for server in servers:
            server.close()
        await manager.stop(5)
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
