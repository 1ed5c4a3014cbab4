"""What an operator does to the queue: delete, hold, release, requeue, expire, purge.  postsuper(1)

The same steps whether a queue manager runs (then it takes them, `control.py`) or not (then postsuper does, with
the lock in its hand).
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Container, Iterator
from contextlib import contextmanager

from seawall.mail.queue_id import is_queue_id
from seawall.spool.disk import Disk
from seawall.spool.listing import ACTIVE, DEFERRED, INCOMING
from seawall.spool.places import CORRUPT, HOLD, QUEUE, Places
from seawall.spool.queue_file import Asked, CorruptFile
from seawall.spool.queue_files import QueueFiles

ALL = "ALL"
"""In place of a queue id: every message of the queues."""
DONE = {
    "delete": "removed",
    "hold": "placed on hold",
    "release": "released from hold",
    "requeue": "requeued",
    "expire": "expired",
}
"""What the log says of each act.  Never changed."""
SOURCES = {
    "delete": (HOLD, INCOMING, ACTIVE, DEFERRED),
    "hold": (INCOMING, ACTIVE, DEFERRED),
    "release": (HOLD,),
    "requeue": (HOLD, INCOMING, ACTIVE, DEFERRED),
    "expire": (HOLD, INCOMING, ACTIVE, DEFERRED),
}
"""The queues that each act looks in where the operator names none.  postsuper(1)"""
STALE = 86400.0
"""Seconds after which what a broken-off submission left behind may be purged; ours (Postfix waits a week)."""


class Busy(Exception):
    """A queue manager runs: it must be asked."""


@contextmanager
def locked(places: Places) -> Iterator[None]:
    """Hold the lock on ``queue/``, as whoever changes queue files must.  Raises Busy where another holds it, OSError."""
    descriptor = os.open(places.queue, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise Busy from None
        yield
    finally:
        os.close(descriptor)


class Upkeep:
    """Acts on files.  `active` holds the ids that a manager works on (nothing, where none runs)."""

    def __init__(self, files: QueueFiles, active: Container[str] = ()) -> None:
        self._files = files
        self._active = active

    def chosen(self, ids: list[str], queues: tuple[str, ...]) -> list[tuple[str, str]]:
        """(folder, id) of the messages that are meant and exist; `ids` may be [ALL]."""
        found = []
        for folder in (QUEUE, HOLD, CORRUPT):
            if folder != QUEUE and folder not in queues:
                continue
            there = self._files.disk.names(f"{self._files.places.root}/{folder}")
            names = sorted(there) if ALL in ids else sorted(set(ids).intersection(there))
            found += [(folder, name) for name in names if self._is_meant(folder, name, queues)]
        return found

    def _is_meant(self, folder: str, name: str, queues: tuple[str, ...]) -> bool:
        if folder != QUEUE:
            return True
        if not is_queue_id(name):
            return False
        if {INCOMING, ACTIVE, DEFERRED}.issubset(queues):
            return True
        return self._class_of(name) in queues

    def _class_of(self, queue_id: str) -> str:
        if queue_id in self._active:
            return ACTIVE
        try:
            loaded = self._files.read_path(f"{self._files.places.queue}/{queue_id}")
        except (OSError, CorruptFile):
            return INCOMING
        return DEFERRED if loaded.state.was_deferred else INCOMING

    def act(self, what: str, folder: str, queue_id: str, now: float) -> bool:
        """Do `what` (a key of DONE) to a message that nobody works on; False where it is gone.  Raises OSError."""
        places = self._files.places
        path = f"{places.root}/{folder}/{queue_id}"
        if what == "delete":
            there = self._files.remove(path)
            self._files.disk.fsync_directory(f"{places.root}/{folder}")
            return there
        if what == "hold":
            return self._files.move(queue_id, places.queue, places.hold)
        try:
            if what in ("requeue", "expire"):
                self._files.append(path, [Asked(now, what)])
        except FileNotFoundError:
            return False
        if folder == HOLD and what != "expire":
            return self._files.move(queue_id, places.hold, places.queue)
        return True


def purge(places: Places, disk: Disk, now: float) -> int:
    """Remove what broken-off submissions left in the maildrop; how many.  postsuper(1) -p"""
    count = 0
    for name in disk.names(places.maildrop):
        path = f"{places.maildrop}/{name}"
        try:
            facts = disk.facts_of(path)
            if facts.is_regular and not facts.mode & 0o004 and facts.modified < now - STALE:
                disk.unlink(path)
                count += 1
        except FileNotFoundError:
            continue
    if count:
        disk.fsync_directory(places.maildrop)
    return count
