"""What tests of intake need: a configuration from text, a spool in memory, a clock that stands."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from seawall.config.settings import Settings
from seawall.intake.cleanup import Cleanup
from seawall.journal.record import MemoryJournal
from seawall.journey import DirectWay, RestingTrouble
from seawall.mail.message import Content, Message
from seawall.mail.queue_id import QueueIds
from seawall.routing.resolve import Routing
from seawall.tables.registry import Tables

NOW = 1_795_440_300.0


class StoppedClock:
    """It is always 23 November 2026, 13:25 UTC."""

    def now(self) -> float:
        return NOW

    def monotonic(self) -> float:
        return 0.0


def all_bytes(content: Content) -> bytes:
    """A message's bytes, from memory and file."""
    if content.spilled is None:
        return content.memory
    return content.memory + os.pread(content.spilled.descriptor, content.spilled.length, content.spilled.offset)


class MemorySpool:
    """Keeps what it is given, content read out, because descriptors are closed afterwards."""

    def __init__(self) -> None:
        self.messages: list[Message] = []
        self.trouble: RestingTrouble | None = None

    async def store(self, message: Message) -> None:
        if self.trouble is not None:
            raise self.trouble
        kept = Content(all_bytes(message.content))
        self.messages.append(Message(message.queue_id, message.arrived, message.envelope, kept))

    @property
    def only(self) -> Message:
        """The one message."""
        assert len(self.messages) == 1
        return self.messages[0]


class Bench:
    """A cleanup with its spool and journal."""

    def __init__(self, main_cf: str, directory: Path, direct: DirectWay | None = None) -> None:
        settings = Settings.from_text(main_cf)
        tables = Tables()
        self.routing = Routing(settings, tables)
        self.spool = MemorySpool()
        self.journal = MemoryJournal()
        self.cleanup = Cleanup(
            settings, self.routing, tables, self.spool, direct, self.journal, StoppedClock(), QueueIds(1)
        )
        self.cleanup.rules.directory = str(directory)

    @property
    def lines(self) -> list[str]:
        """The log so far."""
        return [record.text() for record in self.journal.records]


MakeBench = Callable[..., Bench]


@pytest.fixture
def bench(tmp_path: Path) -> MakeBench:
    """Makes a Bench from main.cf text."""

    def make(main_cf: str = "", direct: DirectWay | None = None) -> Bench:
        base = "compatibility_level = 3.6\nmyhostname = mail.example.org\nmydestination = example.org\nmyorigin = example.org\n"
        return Bench(base + main_cf, tmp_path, direct)

    return make
