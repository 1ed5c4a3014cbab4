"""Every change to the queue as the sequence of system calls that docs/spool.md lists.  Nothing here waits for a loop.

These functions run in threads; two threads never work on one message at a time (the queue manager sees to that),
but any number on different ones.
"""

from __future__ import annotations

import contextlib
import errno
import zlib
from dataclasses import dataclass

from seawall.mail.message import FileSlice, Message
from seawall.mail.queue_id import is_queue_id
from seawall.spool.disk import CHUNK, Disk
from seawall.spool.places import NEW, Places
from seawall.spool.queue_file import (
    HEAD_SIZE,
    TRAILER_SIZE,
    CorruptFile,
    Head,
    MessageState,
    StateRecord,
    StoredEnvelope,
    format_envelope,
    format_head,
    format_records,
    format_trailer,
    parse_envelope,
    parse_head,
    parse_records,
)

WITHOUT_NAMELESS = frozenset({errno.EOPNOTSUPP, errno.EISDIR, errno.ENOENT, errno.EINVAL})
"""What open(2) says where the file system or the kernel has no O_TMPFILE."""


@dataclass(frozen=True, slots=True)
class Loaded:
    """A queue file as read: everything but the content, which starts at `content_offset` of the file."""

    stored: StoredEnvelope
    head: Head
    state: MessageState
    torn: int
    """Bytes after the last whole state record."""

    @property
    def content_offset(self) -> int:
        """Where the content starts."""
        return HEAD_SIZE


class QueueFiles:
    """The queue below `places`, on `disk`."""

    def __init__(self, places: Places, disk: Disk) -> None:
        self.places = places
        self.disk = disk

    # -- store: S0 → S2; the caller fsyncs the folder for S3 ---------------------------------------------------

    def put(self, message: Message) -> str:
        """Write the message, fsync it, name it (S2); the folder that the caller must now fsync.

        Where it raises OSError nothing stays behind.
        """
        folder = self.places.hold if message.envelope.hold else self.places.queue
        path = f"{folder}/{message.queue_id}"
        descriptor, temporary = self._draft(path, folder)
        try:
            self._write_message(descriptor, message)
            self.disk.fsync(descriptor)
            if temporary:
                self.disk.link(temporary, path)
            else:
                self.disk.name(descriptor, path)
        finally:
            self._give_up(descriptor, temporary)
        return folder

    def store(self, message: Message) -> None:
        """The whole way from S0 to S3, for callers without company."""
        folder = self.put(message)
        try:
            self.disk.fsync_directory(folder)
        except OSError:
            self.take_back(message)
            raise

    def take_back(self, message: Message) -> None:
        """Unlink a message that was named but whose folder could not be fsynced: nobody was told that it is ours."""
        folder = self.places.hold if message.envelope.hold else self.places.queue
        with contextlib.suppress(OSError):
            self.disk.unlink(f"{folder}/{message.queue_id}")

    def _draft(self, path: str, folder: str) -> tuple[int, str]:
        """An empty file, and its name where the file system cannot do without one."""
        try:
            return self.disk.create_nameless(folder), ""
        except OSError as trouble:
            if trouble.errno not in WITHOUT_NAMELESS:
                raise
        return self.disk.create(path + NEW), path + NEW

    def _give_up(self, descriptor: int, temporary: str) -> None:
        self.disk.close(descriptor)
        if temporary:
            with contextlib.suppress(OSError):
                self.disk.unlink(temporary)

    def _write_message(self, descriptor: int, message: Message) -> None:
        content = message.content
        envelope = format_envelope(StoredEnvelope(message.queue_id, message.arrived, message.envelope))
        head = format_head(content.size, len(envelope), message.arrived)
        checksum = zlib.crc32(content.memory)
        if content.spilled is None:
            whole = b"".join((head, content.memory, envelope, format_trailer(checksum, envelope)))
            self.disk.write(descriptor, whole)
            return
        self.disk.write(descriptor, head + content.memory)
        self.disk.copy(content.spilled, descriptor)
        checksum = self._checksum(content.spilled, checksum)
        self.disk.write(descriptor, envelope + format_trailer(checksum, envelope))

    def _checksum(self, part: FileSlice, checksum: int = 0) -> int:
        at, end = part.offset, part.offset + part.length
        while at < end:
            data = self.disk.read(part.descriptor, at, min(CHUNK, end - at))
            if not data:
                raise OSError(errno.EIO, "the file became shorter while it was read")
            checksum = zlib.crc32(data, checksum)
            at += len(data)
        return checksum

    # -- read ---------------------------------------------------------------------------------------------------

    def read(self, descriptor: int) -> Loaded:
        """Everything but the content, all checksums checked; raises CorruptFile or OSError."""
        size = self.disk.facts(descriptor).size
        first = self.disk.read(descriptor, 0, min(size, 1 << 16))
        head = parse_head(first, size)
        at = head.envelope_offset
        rest = first[at:] if size <= len(first) else self.disk.read(descriptor, at, size - at)
        stored, content_sum = parse_envelope(rest, head)
        if at <= len(first):
            found = zlib.crc32(first[HEAD_SIZE:at])
        else:
            found = self._checksum(FileSlice(descriptor, HEAD_SIZE, head.content_length))
        if found != content_sum:
            raise CorruptFile("the content is damaged")
        tail = rest[head.envelope_length + TRAILER_SIZE :]
        records, length = parse_records(tail)
        state = MessageState(stored.envelope.recipients, records)
        return Loaded(stored, head, state, len(tail) - length)

    def read_path(self, path: str) -> Loaded:
        """As `read`, by name."""
        descriptor = self.disk.open_read(path)
        try:
            return self.read(descriptor)
        finally:
            self.disk.close(descriptor)

    # -- record: S3 → S4, S7 ------------------------------------------------------------------------------------

    def append(self, path: str, records: list[StateRecord]) -> None:
        """Add state records and fsync; raises OSError, after which the file must be written anew."""
        descriptor = self.disk.open_append(path)
        try:
            self.disk.write(descriptor, format_records(records))
            self.disk.fsync(descriptor)
        finally:
            self.disk.close(descriptor)

    def cut(self, path: str, torn: int) -> None:
        """Cut `torn` bytes off the end, and fsync."""
        descriptor = self.disk.open_append(path)
        try:
            self.disk.truncate(descriptor, self.disk.facts(descriptor).size - torn)
            self.disk.fsync(descriptor)
        finally:
            self.disk.close(descriptor)

    def rewrite(self, path: str, records: list[StateRecord]) -> None:
        """A new file with the same message and these records, in place of one whose fsync failed (S7)."""
        folder = path.rpartition("/")[0]
        source = self.disk.open_read(path)
        try:
            size = self.disk.facts(source).size
            head = parse_head(self.disk.read(source, 0, HEAD_SIZE), size)
            with contextlib.suppress(FileNotFoundError):
                self.disk.unlink(path + NEW)
            descriptor = self.disk.create(path + NEW)
            try:
                self.disk.copy(FileSlice(source, 0, head.records_offset), descriptor)
                self.disk.write(descriptor, format_records(records))
                self.disk.fsync(descriptor)
            finally:
                self.disk.close(descriptor)
        finally:
            self.disk.close(source)
        self.disk.rename(path + NEW, path)
        self.disk.fsync_directory(folder)

    # -- remove, hold, release, put aside -----------------------------------------------------------------------

    def remove(self, path: str) -> bool:
        """Unlink (S8); the caller fsyncs the folder.  False where it was gone already."""
        try:
            self.disk.unlink(path)
        except FileNotFoundError:
            return False
        return True

    def move(self, queue_id: str, source: str, target: str) -> bool:
        """hold and release (S5): both names for a moment, so that no crash can lose the file.  False where it is gone."""
        try:
            self.disk.link(f"{source}/{queue_id}", f"{target}/{queue_id}")
        except FileNotFoundError:
            return False
        except FileExistsError:
            if not self.disk.is_same(f"{source}/{queue_id}", f"{target}/{queue_id}"):
                raise
        self.disk.fsync_directory(target)
        self.disk.unlink(f"{source}/{queue_id}")
        self.disk.fsync_directory(source)
        return True

    def put_aside(self, path: str) -> str:
        """Move a file that does not read to ``corrupt/`` (S9); its new path, or empty where it vanished."""
        folder, _, name = path.rpartition("/")
        for number in range(1000):
            target = f"{self.places.corrupt}/{name}" + (f".{number}" if number else "")
            try:
                self.disk.link(path, target)
                break
            except FileNotFoundError:
                return ""
            except FileExistsError:
                if self.disk.is_same(path, target):
                    break
        self.disk.fsync_directory(self.places.corrupt)
        self.disk.unlink(path)
        self.disk.fsync_directory(folder)
        return target

    # -- recovery -----------------------------------------------------------------------------------------------

    def recover(self) -> tuple[list[str], list[str]]:
        """Points 1 and 2 of docs/spool.md, "Recovery": (ids in ``queue/``, ids in ``hold/``), sorted, oldest first."""
        names = self.disk.names(self.places.queue)
        held = {name for name in self.disk.names(self.places.hold) if is_queue_id(name)}
        for folder in (self.places.queue, self.places.hold):
            for name in self.disk.names(folder):
                if name.endswith(NEW):
                    self.disk.unlink(f"{folder}/{name}")
        both = sorted(held.intersection(names))
        if both:  # the name in hold/ may not be durable yet, and becomes the only one
            self.disk.fsync_directory(self.places.hold)
        for name in both:
            self.disk.unlink(f"{self.places.queue}/{name}")
        return sorted(name for name in names if is_queue_id(name) and name not in held), sorted(held)

    def load(self, path: str) -> Loaded | None:
        """Point 4: the file, cut where its end is torn; None where it is gone.

        Raises CorruptFile where it must be put aside, OSError for trouble that may pass (EIO, EMFILE).
        """
        try:
            loaded = self.read_path(path)
        except FileNotFoundError:
            return None
        if loaded.torn:
            self.cut(path, loaded.torn)
        return loaded
