"""Maildir, durably: written in tmp/, fsynced, renamed into new/, and new/ fsynced.  maildir(5), docs/spool.md.

A message counts as delivered only after the last of these steps.  The steps are functions of their own, because the
direct way does each of them for all recipients before the next.  All run in a thread that is the recipient.
"""

from __future__ import annotations

import errno
import itertools
import os
from collections.abc import Callable
from dataclasses import dataclass

from seawall.delivery.content import pieces, write_all
from seawall.delivery.trouble import StoreTrouble
from seawall.mail.message import Content

Step = Callable[[str], None]
"""Called between two system calls that matter, with the name of what was just done: the seam of the kill tests."""

LOCAL_STATUS, VIRTUAL_STATUS = "5.2.0", "4.2.0"
"""A Maildir that cannot be written to: local(8) gives up, virtual(8) tries again.  maildir.c of each"""

_REMEMBERED = 65536
"""Directories known to be durable that are remembered at once; our choice, a few MiB."""


def no_step(_name: str) -> None:
    """The seam in production."""


def fsync_directory(path: str) -> None:
    """Make the entries of a directory durable."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _fsync_parent(path: str) -> None:
    """Make the entry `path` itself durable.  A parent that we may enter but not read is flushed with everything else."""
    try:
        fsync_directory(os.path.dirname(path) or "/")
    except PermissionError:
        os.sync()


def make_directories(path: str, mode: int = 0o700) -> None:
    """Make a directory and what is missing above it, each durable before the next.  OSError where that fails."""
    missing = []
    at = path.rstrip("/")
    while at and not os.path.isdir(at):
        missing.append(at)
        at = os.path.dirname(at)
    for directory in reversed(missing):
        try:
            os.mkdir(directory, mode)
        except FileExistsError:
            if not os.path.isdir(directory):
                raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), directory) from None
        _fsync_parent(directory)


@dataclass(frozen=True, slots=True)
class Written:
    """A message in tmp/ with its name for new/.  `descriptor` is open until `Maildirs.sync`."""

    maildir: str
    temporary: str
    final: str
    descriptor: int
    status: str


class Maildirs:
    """Delivers into Maildirs.  One object a process: it numbers the temporary files.  Safe to use from many threads.

    `host` is this machine's name as it goes into file names.
    """

    def __init__(self, host: str, step: Step = no_step) -> None:
        self._host = host.replace("/", "\\057").replace(":", "\\072")  # maildir(5)
        self._numbers = itertools.count(1)
        self._pid = os.getpid()
        self._step = step
        self._durable: set[tuple[int, int]] = set()

    def write(
        self, maildir: str, head: bytes, content: Content, *, now: float, limit: int = 0, status: str = LOCAL_STATUS
    ) -> Written:
        """Put `head` and `content` into tmp/.  `maildir` ends in a slash; `limit` in bytes, 0 for none.

        `status` is that of an errno without one of its own, where a file cannot be made: local(8)'s or virtual(8)'s.
        Makes the Maildir where it is missing.  StoreTrouble as Postfix words it; then nothing is left behind.
        """
        seconds, micros = divmod(int(now * 1_000_000), 1_000_000)
        temporary = f"{maildir}tmp/{seconds}.P{self._pid}Q{next(self._numbers)}.{self._host}"
        try:
            descriptor = _create(temporary, maildir + "tmp")
            facts = os.fstat(descriptor)
        except OSError as trouble:
            raise StoreTrouble.from_errno(trouble, status, f"create maildir file {temporary}") from trouble
        self._step("created")
        final = f"{maildir}new/{seconds}.V{facts.st_dev:x}I{facts.st_ino:x}M{micros}.{self._host}"
        written = Written(maildir, temporary, final, descriptor, status)
        try:
            self._fill(descriptor, head, content, limit)
        except BaseException:
            os.close(descriptor)
            self.withdraw(written)
            raise
        self._step("written")
        return written

    @staticmethod
    def _fill(descriptor: int, head: bytes, content: Content, limit: int) -> None:
        try:
            if limit and len(head) + content.size > limit:
                raise OSError(errno.EFBIG, os.strerror(errno.EFBIG))
            if content.spilled is None:
                end = b"" if content.memory.endswith(b"\n") or not content.memory else b"\n"
                write_all(descriptor, b"".join((head, content.memory, end)))
            else:
                write_all(descriptor, head)
                for piece in pieces(content):
                    write_all(descriptor, piece)
        except OSError as trouble:
            raise StoreTrouble.from_errno(trouble, "5.3.0", "error writing message") from trouble

    def sync(self, written: Written) -> None:
        """Fsync the file in tmp/ and close it.  After StoreTrouble it is for `withdraw`: a failed fsync is final."""
        try:
            try:
                os.fsync(written.descriptor)
            finally:
                os.close(written.descriptor)
        except OSError as trouble:
            raise StoreTrouble.from_errno(trouble, "5.3.0", "error writing message") from trouble
        self._step("synced")

    def publish(self, written: Written) -> None:
        """Rename into new/.  The mail can be seen from here on, but a power cut may still take it back."""
        try:
            _rename(written)
        except OSError as trouble:
            self.withdraw(written)
            raise StoreTrouble.from_errno(trouble, written.status, f"create maildir file {written.final}") from trouble
        self._step("renamed")

    def open_new(self, written: Written) -> int:
        """A descriptor of new/ for `settle`.

        The first time that a Maildir is met, the directories above new/ are fsynced: whoever made them may not have
        done so.
        """
        try:
            directory = os.open(written.maildir + "new", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            status = os.fstat(directory)
            key = (status.st_dev, status.st_ino)
            if key not in self._durable:
                self._settle_above(written, directory)
                if len(self._durable) >= _REMEMBERED:
                    self._durable.clear()
                self._durable.add(key)
        except OSError as trouble:
            raise StoreTrouble.from_errno(trouble, "4.3.0", f"sync maildir {written.maildir}new") from trouble
        return directory

    @staticmethod
    def _settle_above(written: Written, directory: int) -> None:
        try:
            _fsync_parent(written.maildir + "new")
            _fsync_parent(written.maildir.rstrip("/"))
        except OSError:
            os.close(directory)
            raise

    def settle(self, written: Written, directory: int) -> None:
        """Fsync new/, which `open_new` opened, and close it: after this the mail is delivered."""
        try:
            try:
                os.fsync(directory)
            finally:
                os.close(directory)
        except OSError as trouble:
            raise StoreTrouble.from_errno(trouble, "4.3.0", f"sync maildir {written.maildir}new") from trouble
        self._step("settled")

    def withdraw(self, written: Written) -> None:
        """Remove a temporary file that will not be published.  A file that stays is for the mail reader's cleaning."""
        try:
            os.unlink(written.temporary)
        except OSError:
            return

    def deliver(
        self, maildir: str, head: bytes, content: Content, *, now: float, limit: int = 0, status: str = LOCAL_STATUS
    ) -> None:
        """All steps for one recipient.  Durable when it returns; StoreTrouble otherwise."""
        written = self.write(maildir, head, content, now=now, limit=limit, status=status)
        try:
            self.sync(written)
        except StoreTrouble:
            self.withdraw(written)
            raise
        self.publish(written)
        self.settle(written, self.open_new(written))


_NEW_FILE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW


def _create(path: str, directory: str) -> int:
    try:
        return os.open(path, _NEW_FILE, 0o600)
    except FileNotFoundError:
        make_directories(directory)
        return os.open(path, _NEW_FILE, 0o600)


def _rename(written: Written) -> None:
    try:
        os.rename(written.temporary, written.final)
    except FileNotFoundError:
        make_directories(written.maildir + "cur")
        make_directories(written.maildir + "new")
        os.rename(written.temporary, written.final)
