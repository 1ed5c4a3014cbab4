"""The maildrop: mail that users handed in while the server was down.  pickup(8); docs/spool.md, D1 to D3

The folder is 1733, so anybody can put anything there.  A drop is a regular file with one name, complete (mode 0644),
whole by its checksum, and no larger than mail may be; its owner is who submitted it.
"""

from __future__ import annotations

import errno
import os
from collections.abc import AsyncIterator

from seawall.clock import Clock
from seawall.journal.record import Journal, Warned
from seawall.journey import Intake
from seawall.spool.disk import CHUNK, Disk
from seawall.spool.handing_in import LINE, Handed, NotHanded, parse_handed
from seawall.spool.hands import Hands
from seawall.spool.places import Places
from seawall.spool.submission import hand_to_intake

COMPLETE = 0o004
"""The mode bit that sendmail sets last: readable by us."""


class Refused(Exception):
    """A file in the maildrop that is no drop; the text says why."""


def write_drop(disk: Disk, places: Places, name: str, head: bytes, content: bytes) -> None:
    """What sendmail does with the server down (D0 → D2).  Raises OSError, and then nothing stays behind.

    `name` must be one that nobody can guess: the folder cannot be listed, but a drop can be read by who knows its name.
    """
    path = f"{places.maildrop}/{name}"
    descriptor = disk.create(path)
    try:
        try:
            disk.write(descriptor, head)
            disk.write(descriptor, content)
            disk.fsync(descriptor)
            disk.permit(descriptor, 0o644)
            disk.sync()  # the folder cannot be opened by a user, so its fsync is had with everybody's
        except OSError:
            disk.unlink(path)
            raise
    finally:
        disk.close(descriptor)


class Pickup:
    """Takes drops into the queue.  `size_limit` is message_size_limit, 0 for none."""

    def __init__(
        self,
        places: Places,
        intake: Intake,
        journal: Journal,
        clock: Clock,
        size_limit: int,
        *,
        disk: Disk,
        hands: Hands,
    ) -> None:
        self._places = places
        self._intake = intake
        self._journal = journal
        self._clock = clock
        self._size_limit = size_limit
        self._disk = disk
        self._hands = hands
        self._warned: set[str] = set()

    async def sweep(self) -> int:
        """Take everything that is complete; how many.  Call it at start and every minute (master.cf: wakeup 60)."""
        taken = 0
        names = await self._hands.do(self._disk.names, self._places.maildrop)
        self._warned.intersection_update(names)
        for name in sorted(names):
            try:
                taken += await self._take(f"{self._places.maildrop}/{name}")
            except Refused as trouble:
                self._warn(name, str(trouble))
            except OSError as trouble:
                if trouble.errno != errno.ENOENT:
                    self._warn(name, str(trouble))
        return taken

    def _warn(self, name: str, reason: str) -> None:
        if name not in self._warned:  # once a file, not once a minute
            self._warned.add(name)
            self._journal.write(Warned(at=self._clock.now(), source="pickup", message=f"maildrop/{name}: {reason}"))

    async def _take(self, path: str) -> int:
        if not await self._hands.do(self._is_complete, path):
            return 0
        descriptor = await self._hands.do(self._disk.open_read, path)
        try:
            uid = await self._hands.do(self._check, descriptor)
            handed, offset = await self._hands.do(self._head, descriptor)
            pieces = self._pieces(descriptor, offset, handed.size)
            reply = await hand_to_intake(self._intake, self._journal, self._clock, handed, uid, pieces)
        finally:
            self._disk.close(descriptor)
        if reply.is_temporary:
            raise Refused(reply.line())
        if reply.code >= 500:
            self._warn(os.path.basename(path), f"removed: {reply.line()}")
        await self._hands.do(self._forget, path)
        return 1

    def _is_complete(self, path: str) -> bool:
        """Looked at before it is opened: opening a device or a FIFO may have effects."""
        facts = self._disk.facts_of(path)
        if not facts.is_regular:
            raise Refused("not a regular file")
        return bool(facts.mode & COMPLETE)

    def _check(self, descriptor: int) -> int:
        """The owner of a file that is what a drop must be."""
        facts = self._disk.facts(descriptor)
        if not facts.is_regular:
            raise Refused("not a regular file")
        if facts.links != 1:
            raise Refused("it has more than one name")
        if self._size_limit and facts.size > self._size_limit + LINE:
            raise Refused("larger than message_size_limit")
        return facts.uid

    def _head(self, descriptor: int) -> tuple[Handed, int]:
        first = self._disk.read(descriptor, 0, 1 << 16)
        if b"\n" not in first:
            first = self._disk.read(descriptor, 0, LINE)
        line, end, _ = first.partition(b"\n")
        if not end:
            raise Refused("no submission")
        try:
            handed = parse_handed(line)
        except NotHanded as trouble:
            raise Refused(str(trouble)) from trouble
        if self._size_limit and handed.size > self._size_limit:
            raise Refused("larger than message_size_limit")
        return handed, len(line) + 1

    async def _pieces(self, descriptor: int, offset: int, size: int) -> AsyncIterator[bytes]:
        while size > 0:
            piece = await self._hands.do(self._disk.read, descriptor, offset, min(CHUNK, size))
            if not piece:
                return
            offset, size = offset + len(piece), size - len(piece)
            yield piece

    def _forget(self, path: str) -> None:
        self._disk.unlink(path)
        self._disk.fsync_directory(self._places.maildrop)
