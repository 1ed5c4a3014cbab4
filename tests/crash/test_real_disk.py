"""Invariant: a process that dies after any system call of the spool leaves on a real file system what docs/spool.md says.

The model disk decides about power cuts; this is the same code on the real thing, ended by _exit in a child.
"""

import os
from pathlib import Path

import pytest

from seawall.mail.message import Content, FileSlice, Message
from seawall.mail.outcome import Delivered
from seawall.spool.disk import Disk
from seawall.spool.places import Places, make_places
from seawall.spool.queue_file import Outcomes, Result
from seawall.spool.queue_files import QueueFiles
from tests.crash.common import ARRIVED, message

SENT = Delivered(status="2.0.0", text="ok", relay="local")
CHANGES = (
    "create_nameless",
    "name",
    "create",
    "write",
    "copy",
    "truncate",
    "fsync",
    "fsync_directory",
    "link",
    "rename",
    "unlink",
)


class DyingDisk(Disk):
    """The real disk; the process ends after `calls` calls that change something."""

    def __init__(self, calls: int) -> None:
        self._left = calls

    def __getattribute__(self, name: str) -> object:
        if name in CHANGES:
            if self._left == 0:
                os._exit(77)
            self._left -= 1
        return super().__getattribute__(name)


def life(files: QueueFiles, said: int) -> None:
    """Store, record, hold, release, write anew, remove: each promise is said to the parent when it is given."""
    first, second = message(1, recipients=2), message(2)
    for item in (first, second):
        files.store(item)
        os.write(said, b"stored %s\n" % item.queue_id.encode())
    path = f"{files.places.queue}/{first.queue_id}"
    files.append(path, [Outcomes(ARRIVED, (Result(0, SENT),))])
    os.write(said, b"recorded\n")
    files.move(first.queue_id, files.places.queue, files.places.hold)
    files.move(first.queue_id, files.places.hold, files.places.queue)
    files.rewrite(path, [Outcomes(ARRIVED, (Result(0, SENT), Result(1, SENT)))])
    os.write(said, b"leaving\n")
    files.remove(f"{files.places.queue}/{second.queue_id}")
    files.disk.fsync_directory(files.places.queue)
    os.write(said, b"removed\n")


def die_after(calls: int, places: Places) -> tuple[list[str], bool]:
    """What the child said, and whether it came to its end."""
    heard, said = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            os.close(heard)
            life(QueueFiles(places, DyingDisk(calls)), said)
            os._exit(0)
        finally:
            os._exit(1)
    os.close(said)
    with os.fdopen(heard) as stream:
        lines = stream.read().splitlines()
    return lines, os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


def test_a_process_that_dies_anywhere_keeps_its_promises(tmp_path: Path) -> None:
    for calls in range(200):
        places = Places(str(tmp_path / str(calls) / "seawall"))
        make_places(places, Disk())
        lines, ended = die_after(calls, places)
        files = QueueFiles(places, Disk())
        queued, held = files.recover()
        first, second = message(1).queue_id, message(2).queue_id
        there = {**dict.fromkeys(queued, places.queue), **dict.fromkeys(held, places.hold)}
        loaded = {name: files.load(f"{folder}/{name}") for name, folder in there.items()}
        assert os.listdir(places.corrupt) == []
        assert not [name for name in os.listdir(places.queue) if "." in name]
        if f"stored {first}" in lines:
            state = loaded[first]
            assert state is not None
            if "recorded" in lines:
                assert 0 in state.state.outcomes
        if f"stored {second}" in lines and "leaving" not in lines:
            assert second in loaded
        if "removed" in lines:
            assert second not in loaded
        if ended:
            assert calls > 20
            return
    pytest.fail("the life never came to its end")


def test_large_content_is_copied_from_its_descriptor(tmp_path: Path) -> None:
    places = Places(str(tmp_path / "seawall"))
    make_places(places, Disk())
    files = QueueFiles(places, Disk())
    body = os.urandom(3_000_000)
    descriptor = os.open(tmp_path, os.O_TMPFILE | os.O_RDWR)
    try:
        os.write(descriptor, b"skip" + body)
        item = message(1)
        content = Content(b"Subject: large\n\n", FileSlice(descriptor, 4, len(body)))
        files.store(Message(item.queue_id, item.arrived, item.envelope, content))
    finally:
        os.close(descriptor)
    loaded = files.load(f"{places.queue}/{item.queue_id}")
    assert loaded is not None
    data = (Path(places.queue) / item.queue_id).read_bytes()
    assert (
        data[loaded.content_offset : loaded.content_offset + loaded.head.content_length] == b"Subject: large\n\n" + body
    )


def test_content_that_is_shorter_than_promised_is_not_stored(tmp_path: Path) -> None:
    places = Places(str(tmp_path / "seawall"))
    make_places(places, Disk())
    files = QueueFiles(places, Disk())
    descriptor = os.open(tmp_path, os.O_TMPFILE | os.O_RDWR)
    try:
        item = message(1)
        content = Content(b"", FileSlice(descriptor, 0, 100))
        with pytest.raises(OSError):
            files.store(Message(item.queue_id, item.arrived, item.envelope, content))
    finally:
        os.close(descriptor)
    assert os.listdir(places.queue) == []


def test_a_second_message_of_the_same_id_does_not_replace_the_first(tmp_path: Path) -> None:
    places = Places(str(tmp_path / "seawall"))
    make_places(places, Disk())
    files = QueueFiles(places, Disk())
    files.store(message(1))
    with pytest.raises(FileExistsError):
        files.store(message(1, body=b"other\n"))
    loaded = files.load(f"{places.queue}/{message(1).queue_id}")
    assert loaded is not None
    assert loaded.head.content_length == message(1).content.size
