"""A queue on the real disk for the tests of the queue tools, with its manager running in a thread, or not."""

import asyncio
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from seawall.bounce.when import Reporting
from seawall.clock import SystemClock
from seawall.config.settings import Settings, load
from seawall.journal.record import MemoryJournal
from seawall.mail.message import Message
from seawall.mail.outcome import Deferred, Outcome
from seawall.spool.control import Control, serve_control
from seawall.spool.disk import Disk
from seawall.spool.manager import Ports, QueueManager
from seawall.spool.places import Places, make_places, places_in
from seawall.spool.queue_files import QueueFiles
from seawall.spool.rules import rules_of
from seawall.spool.submission import SubmissionServer, serve_submission
from tests.crash.common import message
from tests.crash.model_disk import ModelDisk
from tests.spool.test_handing_in import Desk
from tests.spool.world import Agents, Routes

LATER = Deferred(status="4.2.2", text="mailbox full", relay="local")


def fresh(number: int = 1, *, recipients: int = 1, hold: bool = False) -> Message:
    """A message that arrived a minute ago."""
    item = message(number, recipients=recipients, hold=hold)
    return Message(item.queue_id, float(int(time.time()) - 60), item.envelope, item.content)


class QueueSite:
    """A configuration directory and a queue below `root`."""

    def __init__(self, root: Path) -> None:
        self.directory = root / "etc"
        self.directory.mkdir()
        queue = root / "spool"
        (self.directory / "main.cf").write_text(
            f"myhostname = mx.example.org\nqueue_directory = {queue}\nmessage_size_limit = 100000\n"
        )
        self.places: Places = places_in(str(queue))
        make_places(self.places, Disk())
        self.files = QueueFiles(self.places, Disk())
        self.agents = Agents(ModelDisk())
        self.desk = Desk()
        self.journal = MemoryJournal()
        self._settle: Callable[[], None] = lambda: None

    @property
    def settings(self) -> Settings:
        return load(str(self.directory))

    def defer(self, *recipients: str) -> None:
        for recipient in recipients:
            script: list[Outcome] = [LATER]
            self.agents.script[recipient] = script

    def settle(self) -> None:
        """Wait until the running manager has nothing active; at once where none runs."""
        self._settle()

    @contextmanager
    def running(self) -> Iterator[None]:
        """The manager and the submission server, until the block ends; mail at rest was tried once when it starts."""
        ready, end = threading.Event(), threading.Event()
        thread = threading.Thread(target=lambda: asyncio.run(self._serve(ready, end)), daemon=True)
        thread.start()
        try:
            assert ready.wait(20)
            yield
        finally:
            end.set()
            thread.join(20)
            assert not thread.is_alive()

    async def _serve(self, ready: threading.Event, end: threading.Event) -> None:
        clock, loop = SystemClock(), asyncio.get_running_loop()
        reports = Reporting(self.settings, self.journal, clock)
        ports = Ports(Routes(), self.agents, self.desk, reports, self.journal, clock)
        manager = QueueManager(self.places, rules_of(self.settings, ()), ports)
        running = asyncio.ensure_future(manager.run())
        control, submission = Control(manager), SubmissionServer(self.desk, self.journal, clock, 100000)
        servers = [
            await serve_control(control, self.places.control_socket),
            await serve_submission(submission, self.places.submit_socket),
        ]
        while not manager.recovered:
            await asyncio.sleep(0.005)
        await manager.quiet()
        self._settle = lambda: asyncio.run_coroutine_threadsafe(manager.quiet(), loop).result(10)
        ready.set()
        await asyncio.to_thread(end.wait)
        for server in servers:
            server.close()
        await control.visits.quiet()
        await submission.visits.quiet()
        await manager.stop(5)
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
