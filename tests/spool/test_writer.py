"""QueueWriter: the promise behind 250, group commit, and what a client hears when the disk fails."""

import asyncio
import errno
import os
import threading
from pathlib import Path

import pytest

from seawall.journey import RestingTrouble
from seawall.spool.disk import Disk
from seawall.spool.hands import Hands, SharedFsync
from seawall.spool.places import Places, make_places
from seawall.spool.queue_files import QueueFiles
from seawall.spool.writer import QueueWriter
from tests.crash.common import message


class FailingDisk(Disk):
    """The real disk, but one kind of call fails."""

    def __init__(self, what: str, number: int) -> None:
        self._what = what
        self._number = number

    def _check(self, what: str) -> None:
        if what == self._what:
            raise OSError(self._number, os.strerror(self._number))

    def write(self, descriptor: int, data: bytes) -> None:
        self._check("write")
        super().write(descriptor, data)

    def fsync(self, descriptor: int) -> None:
        self._check("fsync")
        super().fsync(descriptor)

    def name(self, descriptor: int, path: str) -> None:
        self._check("name")
        super().name(descriptor, path)

    def fsync_directory(self, path: str) -> None:
        self._check("fsync_directory")
        super().fsync_directory(path)

    def create_nameless(self, directory: str) -> int:
        self._check("create_nameless")
        return super().create_nameless(directory)


@pytest.fixture
def places(tmp_path: Path) -> Places:
    found = Places(str(tmp_path / "seawall"))
    make_places(found, Disk())
    return found


async def test_a_message_is_whole_and_announced_when_store_returns(places: Places) -> None:
    told: list[str] = []
    writer = QueueWriter(places, told.append)
    items = [message(number) for number in range(1, 40)]
    await asyncio.gather(*(writer.store(item) for item in items))
    files = QueueFiles(places, Disk())
    for item in items:
        loaded = files.load(f"{places.queue}/{item.queue_id}")
        assert loaded is not None
        assert loaded.stored.envelope == item.envelope
    assert sorted(told) == sorted(item.queue_id for item in items)
    writer.close()


async def test_held_mail_goes_to_hold_and_is_not_announced(places: Places) -> None:
    told: list[str] = []
    writer = QueueWriter(places, told.append)
    await writer.store(message(1, hold=True))
    assert os.listdir(places.hold) == [message(1).queue_id]
    assert told == []
    writer.close()


@pytest.mark.parametrize("what", ["create_nameless", "write", "fsync", "name", "fsync_directory"])
@pytest.mark.parametrize(
    ("number", "reply"),
    [
        (errno.ENOSPC, "452 4.3.1 Insufficient system storage"),
        (errno.EDQUOT, "452 4.3.1 Insufficient system storage"),
        (errno.EIO, "451 4.3.0 Error: queue file write error"),
    ],
)
async def test_trouble_is_a_temporary_reply_and_leaves_nothing(
    places: Places, what: str, number: int, reply: str
) -> None:
    told: list[str] = []
    writer = QueueWriter(places, told.append, disk=FailingDisk(what, number))
    before = len(os.listdir("/proc/self/fd"))
    with pytest.raises(RestingTrouble) as caught:
        await writer.store(message(1))
    assert caught.value.reply.line() == reply
    assert told == []
    assert os.listdir(places.queue) == []
    assert len(os.listdir("/proc/self/fd")) == before
    writer.close()


class SlowDirectory(Disk):
    """Counts directory fsyncs, each of which waits to be let go."""

    def __init__(self) -> None:
        self.started = 0
        self.go = threading.Semaphore(0)
        self.fails = False

    def fsync_directory(self, path: str) -> None:
        self.started += 1
        self.go.acquire()
        if self.fails:
            raise OSError(errno.EIO, "failed")


async def test_everybody_waits_for_an_fsync_that_started_after_he_asked() -> None:
    disk, hands = SlowDirectory(), Hands(2)
    shared = SharedFsync(disk, hands)
    first = asyncio.ensure_future(shared.wait("/x"))
    while disk.started == 0:
        await asyncio.sleep(0)
    late = [asyncio.ensure_future(shared.wait("/x")) for _ in range(5)]
    await asyncio.sleep(0)
    disk.go.release()
    await first
    assert not any(waiter.done() for waiter in late), "the running fsync began before they came"
    disk.go.release()
    await asyncio.gather(*late)
    assert disk.started == 2, "they share one"
    hands.close()


async def test_a_failed_directory_fsync_is_told_to_all_who_waited_for_it() -> None:
    disk, hands = SlowDirectory(), Hands(2)
    disk.fails = True
    shared = SharedFsync(disk, hands)
    waiters = [asyncio.ensure_future(shared.wait("/x")) for _ in range(3)]
    await asyncio.sleep(0)
    for _ in range(3):
        disk.go.release()
    results = await asyncio.gather(*waiters, return_exceptions=True)
    assert [type(result) for result in results] == [OSError] * 3
    hands.close()
