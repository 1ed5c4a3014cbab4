"""Invariant: whatever step of docs/spool.md a program is stopped at, whatever of its unsynced work is lost, what was acknowledged is there.

Each scenario is run once for every system call that it makes, and stopped there.  Then the program is killed, or the power
cut; recovery runs (and is itself stopped at every call); and the table of docs/spool.md is checked.
"""

import errno
import random
from collections.abc import Callable

import pytest

from seawall.journey import RestingTrouble
from seawall.mail.message import Message
from seawall.mail.outcome import Deferred, Delivered
from seawall.spool.pickup import write_drop
from seawall.spool.queue_file import CorruptFile, Outcomes, Result, StateRecord, Waiting
from seawall.spool.queue_files import QueueFiles
from seawall.spool.writer import trouble_of
from tests.crash.common import ARRIVED, PLACES, files_on, message, new_disk, ruins
from tests.crash.model_disk import ModelDisk, Stopped

SENT = Delivered(status="2.0.0", text="ok", relay="local")
LATER = Deferred(status="4.0.0", text="later")


class Promises:
    """What the program has said to anybody before it was stopped, or was about to change."""

    def __init__(self) -> None:
        self.kept: dict[str, Message] = {}
        """Acknowledged with 250 and not yet (asked to be) removed."""
        self.gone: set[str] = set()
        """Reported as removed."""
        self.leaving: set[str] = set()
        """Asked to be removed: may be there or not."""
        self.outcomes: dict[str, set[int]] = {}
        """Recipients whose outcome was recorded."""
        self.folder: dict[str, str] = {}
        """Where a message must be, once a move was acknowledged."""
        self.drops: set[str] = set()


def stored(files: QueueFiles, promises: Promises, *messages: Message) -> None:
    for item in messages:
        files.store(item)
        promises.kept[item.queue_id] = item


def store(files: QueueFiles, promises: Promises) -> None:
    stored(files, promises, message(1), message(2, hold=True), message(3, recipients=3, body=b"x" * 5000))


def record(files: QueueFiles, promises: Promises) -> None:
    item = message(1, recipients=3)
    stored(files, promises, item)
    path = f"{PLACES.queue}/{item.queue_id}"
    for place in range(3):
        records: list[StateRecord] = [
            Outcomes(ARRIVED, (Result(place, SENT if place else LATER),)),
            Waiting(ARRIVED + 300),
        ]
        files.append(path, records)
        promises.outcomes.setdefault(item.queue_id, set()).add(place)


def hold_and_release(files: QueueFiles, promises: Promises) -> None:
    item = message(1)
    stored(files, promises, item)
    files.move(item.queue_id, PLACES.queue, PLACES.hold)
    promises.folder[item.queue_id] = PLACES.hold
    del promises.folder[item.queue_id]
    files.move(item.queue_id, PLACES.hold, PLACES.queue)
    promises.folder[item.queue_id] = PLACES.queue


def remove(files: QueueFiles, promises: Promises) -> None:
    for item in (message(1), message(2)):
        stored(files, promises, item)
        promises.leaving.add(item.queue_id)
        del promises.kept[item.queue_id]
        files.remove(f"{PLACES.queue}/{item.queue_id}")
        files.disk.fsync_directory(PLACES.queue)
        promises.leaving.discard(item.queue_id)
        promises.gone.add(item.queue_id)


def write_anew(files: QueueFiles, promises: Promises) -> None:
    item = message(1, recipients=2)
    stored(files, promises, item)
    path = f"{PLACES.queue}/{item.queue_id}"
    files.append(path, [Outcomes(ARRIVED, (Result(0, SENT),))])
    promises.outcomes[item.queue_id] = {0}
    files.rewrite(path, [Outcomes(ARRIVED, (Result(0, SENT), Result(1, SENT)))])
    promises.outcomes[item.queue_id] = {0, 1}


def put_aside(files: QueueFiles, promises: Promises) -> None:
    item = message(1)
    stored(files, promises, item)
    files.put_aside(f"{PLACES.queue}/{item.queue_id}")
    promises.folder[item.queue_id] = PLACES.corrupt


def drop(files: QueueFiles, promises: Promises) -> None:
    write_drop(files.disk, PLACES, "secret", b"head\n", b"content")
    promises.drops.add("secret")


def store_without_nameless(files: QueueFiles, promises: Promises) -> None:
    disk = files.disk
    assert isinstance(disk, ModelDisk)
    disk.without_nameless = True
    store(files, promises)


Scenario = Callable[[QueueFiles, Promises], None]
SCENARIOS: tuple[Scenario, ...] = (
    store,
    record,
    hold_and_release,
    remove,
    write_anew,
    put_aside,
    drop,
    store_without_nameless,
)


def run_stopped(scenario: Scenario, calls: int | None) -> tuple[ModelDisk, Promises]:
    disk, promises = new_disk(), Promises()
    disk.stop_at = calls
    try:
        scenario(files_on(disk), promises)
    except Stopped:
        pass
    return disk, promises


def calls_of(scenario: Scenario) -> int:
    return len(run_stopped(scenario, None)[0].calls)


def check(disk: ModelDisk, promises: Promises) -> None:
    files = files_on(disk)
    queued, held = files.recover()
    assert not set(queued) & set(held)
    assert not [name for folder in (PLACES.queue, PLACES.hold) for name in disk.names(folder) if name.endswith(".new")]
    corrupt = set(disk.names(PLACES.corrupt))
    found = {**dict.fromkeys(queued, PLACES.queue), **dict.fromkeys(held, PLACES.hold)}
    for queue_id, item in promises.kept.items():
        folder = promises.folder.get(queue_id)
        if folder == PLACES.corrupt:
            assert queue_id in corrupt
            continue
        assert queue_id in found or queue_id in corrupt, "an acknowledged message is lost"
        where = found.get(queue_id, PLACES.corrupt)
        assert folder in (None, where)
        loaded = files.load(f"{where}/{queue_id}")
        assert loaded is not None
        assert loaded.stored.envelope == item.envelope
        data = disk._inode(f"{where}/{queue_id}").data
        assert data[loaded.content_offset : loaded.content_offset + loaded.head.content_length] == item.content.memory
        assert promises.outcomes.get(queue_id, set()) <= set(loaded.state.outcomes), "a recorded outcome is lost"
        again = files.load(f"{where}/{queue_id}")
        assert again is not None
        assert again.torn == 0
    for queue_id in found:
        try:
            files.load(f"{found[queue_id]}/{queue_id}")
        except CorruptFile as trouble:  # the order of steps leaves no name without its content
            raise AssertionError("a torn file has a name") from trouble
    assert not promises.gone & set(found), "a removed message is back"
    names = disk.names(PLACES.maildrop)
    for name in promises.drops:
        assert name in names
        assert disk._inode(f"{PLACES.maildrop}/{name}").data == b"head\ncontent"
    for name in names:
        inode = disk._inode(f"{PLACES.maildrop}/{name}")
        assert not inode.mode & 0o004 or inode.data == b"head\ncontent", "a torn drop counts as complete"


@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda scenario: scenario.__name__)
def test_stopped_after_any_system_call_nothing_acknowledged_is_lost(scenario: Scenario) -> None:
    for calls in range(calls_of(scenario) + 1):
        disk, promises = run_stopped(scenario, calls)
        for ruin in ruins(disk):
            check(ruin, promises)


@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda scenario: scenario.__name__)
def test_a_recovery_that_is_stopped_itself_loses_nothing(scenario: Scenario) -> None:
    for calls in range(calls_of(scenario) + 1):
        disk, promises = run_stopped(scenario, calls)
        for ruin in ruins(disk):
            for at in range(4):
                second = ruin.kill()
                second.stop_at = at
                try:
                    files = files_on(second)
                    for name in files.recover()[0]:
                        files.load(f"{PLACES.queue}/{name}")
                except Stopped:
                    pass
                for seed in range(3):
                    check(second.cut_power(random.Random(seed)), promises)


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT, errno.EIO])
def test_trouble_at_any_step_of_storing_leaves_nothing_behind(number: int) -> None:
    calls = len(run_stopped(lambda files, _: files.store(message(1)), None)[0].calls)
    assert calls == 6
    for at in range(1, calls + 1):
        disk = new_disk()
        disk.fail = {at: number}
        with pytest.raises(OSError) as caught:
            files_on(disk).store(message(1))
        assert disk.names(PLACES.queue) == []
        assert not disk._open
        reply = trouble_of(caught.value)
        assert isinstance(reply, RestingTrouble)
        expected = "451 4.3.0 Error: queue file write error"
        if number != errno.EIO:
            expected = "452 4.3.1 Insufficient system storage"
        assert reply.reply.line() == expected


def test_trouble_at_any_step_of_a_drop_leaves_nothing_complete_behind() -> None:
    calls = calls_of(drop)
    for at in range(1, calls + 1):
        disk = new_disk()
        disk.fail = {at: errno.ENOSPC}
        with pytest.raises(OSError):
            write_drop(disk, PLACES, "secret", b"head\n", b"content")
        assert disk.names(PLACES.maildrop) == []


def test_a_file_that_does_not_read_is_kept_aside_under_a_free_name() -> None:
    disk = new_disk()
    files = files_on(disk)
    for _ in range(3):
        files.store(message(1))
        inode = disk._inode(f"{PLACES.queue}/{message(1).queue_id}")
        inode.data = inode.data[:-3]
        with pytest.raises(CorruptFile):
            files.load(f"{PLACES.queue}/{message(1).queue_id}")
        files.put_aside(f"{PLACES.queue}/{message(1).queue_id}")
    name = message(1).queue_id
    assert sorted(disk.names(PLACES.corrupt)) == [name, f"{name}.1", f"{name}.2"]
