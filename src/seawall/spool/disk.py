"""The seam between the spool and the disk: every system call that changes a queue goes through here, and nothing else.

docs/spool.md tells states as sequences of these calls; tests/crash puts a disk of its own in this place, which stops
after each of them, or forgets what was not fsynced.  Every method raises OSError as the kernel does.
"""

from __future__ import annotations

import errno
import os
import stat
from dataclasses import dataclass

from seawall.mail.message import FileSlice

CHUNK = 1 << 20
"""Bytes a copy moves at once; ours."""


@dataclass(frozen=True, slots=True)
class FileFacts:
    """What stat tells of a file."""

    size: int
    mode: int
    uid: int
    links: int
    modified: float

    @property
    def is_regular(self) -> bool:
        """True for a plain file."""
        return stat.S_ISREG(self.mode)


class Disk:
    """The real disk.  Paths are absolute; descriptors belong to whoever opened them."""

    def create_nameless(self, directory: str) -> int:
        """A new file in `directory` that has no name yet and vanishes when closed.  open(2) O_TMPFILE"""
        return os.open(directory, os.O_TMPFILE | os.O_RDWR | os.O_CLOEXEC, 0o600)

    def name(self, descriptor: int, path: str) -> None:
        """Give a nameless file its name; fails where the name is taken.  linkat(2)"""
        # With a directory descriptor Python calls linkat with AT_SYMLINK_FOLLOW, which /proc needs; as both paths are
        # absolute the descriptor itself is not looked at.
        os.link(f"/proc/self/fd/{descriptor}", path, src_dir_fd=descriptor)

    def create(self, path: str, mode: int = 0o600) -> int:
        """A new file under a name that nobody has."""
        return os.open(path, os.O_CREAT | os.O_EXCL | os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW, mode)

    def open_read(self, path: str) -> int:
        """Open for reading; never follows a link, never waits for a FIFO."""
        return os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)

    def open_append(self, path: str) -> int:
        """Open for writing at the end."""
        return os.open(path, os.O_RDWR | os.O_APPEND | os.O_NOFOLLOW | os.O_CLOEXEC)

    def read(self, descriptor: int, offset: int, length: int) -> bytes:
        """Up to `length` bytes from `offset`; fewer only at the end of the file."""
        parts = []
        while length > 0:
            part = os.pread(descriptor, length, offset)
            if not part:
                break
            parts.append(part)
            offset += len(part)
            length -= len(part)
        return parts[0] if len(parts) == 1 else b"".join(parts)

    def write(self, descriptor: int, data: bytes) -> None:
        """All of `data`."""
        rest = memoryview(data)
        while rest:
            done = os.write(descriptor, rest)
            if done == 0:
                raise OSError(errno.EIO, "nothing was written")
            rest = rest[done:]

    def copy(self, source: FileSlice, descriptor: int) -> None:
        """Append a slice of another file; inside the kernel where the file system can.  copy_file_range(2)"""
        offset, rest = source.offset, source.length
        inside = True
        while rest > 0:
            done = 0
            if inside:
                try:
                    done = os.copy_file_range(source.descriptor, descriptor, min(rest, 64 * CHUNK), offset)
                except OSError as trouble:
                    if trouble.errno in (errno.ENOSPC, errno.EDQUOT, errno.EIO):
                        raise
                    inside = False
                    continue
            if done == 0:
                inside = False
                data = os.pread(source.descriptor, min(rest, CHUNK), offset)
                if not data:
                    raise OSError(errno.EIO, "the spilled content is shorter than it should be")
                self.write(descriptor, data)
                done = len(data)
            offset += done
            rest -= done

    def truncate(self, descriptor: int, length: int) -> None:
        """Cut the file off after `length` bytes."""
        os.ftruncate(descriptor, length)

    def permit(self, descriptor: int, mode: int) -> None:
        """Change the mode of an open file."""
        os.fchmod(descriptor, mode)

    def fsync(self, descriptor: int) -> None:
        """Wait until the file is durable.  A failure is final for this descriptor (docs/spool.md)."""
        os.fsync(descriptor)

    def fsync_directory(self, path: str) -> None:
        """Wait until the names in a directory are durable."""
        descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)

    def sync(self) -> None:
        """Wait until everything is durable.  sync(2)"""
        os.sync()

    def close(self, descriptor: int) -> None:
        """Close."""
        os.close(descriptor)

    def link(self, path: str, other: str) -> None:
        """A second name for a file; fails where it is taken."""
        os.link(path, other)

    def rename(self, path: str, other: str) -> None:
        """Another name, in place of whatever has it."""
        os.rename(path, other)

    def unlink(self, path: str) -> None:
        """Take a name away."""
        os.unlink(path)

    def make_directory(self, path: str, mode: int) -> None:
        """A new directory with exactly this mode, whatever the umask."""
        os.mkdir(path, 0o700)
        os.chmod(path, mode)

    def is_same(self, path: str, other: str) -> bool:
        """True where both names are names of one file."""
        return os.path.samefile(path, other)

    def names(self, path: str) -> list[str]:
        """The names in a directory."""
        return os.listdir(path)

    def facts(self, descriptor: int) -> FileFacts:
        """What is known of an open file."""
        return _facts(os.fstat(descriptor))

    def facts_of(self, path: str) -> FileFacts:
        """What is known of a name; a symbolic link is not followed."""
        return _facts(os.lstat(path))


def _facts(found: os.stat_result) -> FileFacts:
    return FileFacts(found.st_size, found.st_mode, found.st_uid, found.st_nlink, found.st_mtime)
