"""A queue manager in a world of fakes: its disk in memory, its clock by hand, agents and intake by script."""

import asyncio
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import ParamSpec, TypeVar

from seawall.bounce.when import Reporting
from seawall.config.settings import Settings
from seawall.journal.record import MemoryJournal
from seawall.mail.action import Action
from seawall.mail.envelope import Envelope, Recipient, Submission
from seawall.mail.job import Job
from seawall.mail.message import Content, Message
from seawall.mail.outcome import Delivered, Delivery, Forward, Outcome
from seawall.mail.queue_id import QueueIds
from seawall.mail.reply import Reply
from seawall.spool.hands import Hands
from seawall.spool.manager import Ports, QueueManager
from seawall.spool.queue_files import QueueFiles
from seawall.spool.rules import rules_of
from seawall.spool.writer import trouble_of
from tests.crash.common import ARRIVED, PLACES, new_disk
from tests.crash.model_disk import ModelDisk

T = TypeVar("T")
P = ParamSpec("P")
SENT = Delivered(status="2.0.0", text="delivered to maildir", relay="local")
MAIN = """
myhostname = mx.example.org
mydestination = mx.example.org, b.example
minimal_backoff_time = 300s
maximal_backoff_time = 4000s
queue_run_delay = 300s
maximal_queue_lifetime = 1d
bounce_queue_lifetime = 1d
"""


class HandClock:
    """A clock that moves when it is told to."""

    def __init__(self, now: float = ARRIVED) -> None:
        self.time = now

    def now(self) -> float:
        return self.time

    def monotonic(self) -> float:
        return self.time


class InlineHands(Hands):
    """Does the work at once, so that a test sees every step in order."""

    async def do(self, work: Callable[P, T], *arguments: P.args, **named: P.kwargs) -> T:
        return work(*arguments, **named)


@dataclass(frozen=True)
class Way:
    transport: str
    nexthop: str
    recipient: str
    error: str = ""
    is_malformed: bool = False
    has_failed: bool = False


class Routes:
    """Everything goes to local, but for what a test says."""

    def __init__(self) -> None:
        self.ways: dict[str, Way] = {}

    async def resolve(self, address: str, sender: str = "") -> Way:
        del sender
        return self.ways.get(address, Way("local", address.rpartition("@")[2], address))


def title(content: bytes) -> str:
    """The first line; of a report, the message that it is on."""
    found = re.search(rb"^X-Seawall-Queue-ID: (.*)$", content, re.MULTILINE)
    return f"report on {found[1].decode()}" if found else content.split(b"\n")[0].decode()


class Agents:
    """Each recipient has a list of outcomes, one an attempt; the last one stays.  Without one he is delivered."""

    def __init__(self, disk: ModelDisk) -> None:
        self.script: dict[str, list[Outcome]] = {}
        self.forwards: dict[str, tuple[Forward, ...]] = {}
        self.jobs: list[Job] = []
        self.delivered: list[tuple[str, str]] = []
        """(first line, or which message a report is on; recipient)"""
        self.gate: asyncio.Event | None = None
        self._disk = disk

    async def deliver(self, job: Job) -> Delivery:
        self.jobs.append(job)
        if self.gate is not None:
            await self.gate.wait()
        outcomes: list[Outcome] = []
        forwards: list[Forward] = []
        for recipient in job.recipients:
            script = self.script.get(recipient.address, [SENT])
            outcome = script.pop(0) if len(script) > 1 else script[0]
            outcomes.append(outcome)
            if isinstance(outcome, Delivered):
                forwards += self.forwards.get(recipient.address, ())
                if not self._disk.stopped:
                    self.delivered.append((title(job.content.memory), recipient.address))
        return Delivery(tuple(outcomes), tuple(forwards))


@dataclass
class Received:
    """A message on its way into the fake intake, which stores it in the same queue."""

    queue_id: str
    submission: Submission
    world: "World"
    recipients: list[Recipient] = field(default_factory=list)
    data: bytes = b""

    def add_recipient(self, recipient: Recipient) -> None:
        self.recipients.append(recipient)

    def apply(self, action: Action) -> None:
        del action

    def write(self, data: bytes) -> None:
        self.data += data

    @property
    def received(self) -> int:
        return len(self.data)

    async def finish(self) -> Reply:
        world = self.world
        if world.intake_reply is not None:
            return world.intake_reply
        envelope = Envelope(self.submission.sender, tuple(self.recipients), self.submission.origin)
        item = Message(self.queue_id, world.clock.now(), envelope, Content(self.data))
        try:
            world.files.store(item)
        except OSError as error:
            return trouble_of(error).reply
        world.taken.append(item)
        if world.manager is not None:
            world.manager.announce(self.queue_id)
        return Reply(250, "2.0.0", f"Ok: queued as {self.queue_id}")

    def abort(self) -> None:
        self.data = b""


class World:
    """All of it.  `start` makes a manager on what the disk holds."""

    def __init__(self, main_cf: str = "", disk: ModelDisk | None = None) -> None:
        self.disk = disk or new_disk()
        self.files = QueueFiles(PLACES, self.disk)
        self.clock = HandClock()
        self.journal = MemoryJournal()
        self.routes = Routes()
        self.agents = Agents(self.disk)
        self.settings = Settings.from_text(MAIN + main_cf)
        self.taken: list[Message] = []
        self.intake_reply: Reply | None = None
        self.manager: QueueManager | None = None
        self.ids = QueueIds(7)

    def open(self, submission: Submission) -> Received:
        return Received(self.ids.next(self.clock.now()), submission, self)

    def room_for(self, size: int) -> bool:
        return size >= 0

    def start(self) -> QueueManager:
        ports = Ports(
            routing=self.routes,
            deliverer=self.agents,
            intake=self,
            reports=Reporting(self.settings, self.journal, self.clock),
            journal=self.journal,
            clock=self.clock,
        )
        self.manager = QueueManager(
            PLACES, rules_of(self.settings, ()), ports, disk=self.disk, hands=InlineHands(threads=1)
        )
        return self.manager

    async def send(self, item: Message) -> None:
        """Store a message, announce it, and let everything happen that happens now."""
        self.files.store(item)
        manager = self.manager or self.start()
        manager.announce(item.queue_id)
        await manager.quiet()

    async def later(self, seconds: float) -> None:
        """Time passes, and a queue run is made."""
        assert self.manager is not None
        self.clock.time += seconds
        await self.manager.queue_run()
        await self.manager.quiet()

    def lines(self) -> list[str]:
        return [record.text() for record in self.journal.records]

    def queue(self) -> list[str]:
        return self.disk.names(PLACES.queue)
