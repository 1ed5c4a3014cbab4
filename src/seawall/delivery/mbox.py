"""Mailbox files: locked, appended to, fsynced; cut back to their old length where that failed.  mbox(5), mbox_open(3)

Runs in a thread that is the recipient.  fcntl locks are taken for the open file (F_OFD_SETLK), because locks that belong
to the process would let two of its threads in at once.
"""

from __future__ import annotations

import errno
import fcntl
import itertools
import os
import stat
import struct
import time
from collections.abc import Callable
from dataclasses import dataclass

from seawall.delivery.content import quoted_pieces, write_all
from seawall.delivery.maildir import fsync_directory
from seawall.delivery.trouble import STATUS_OF_ERRNO, StoreTrouble
from seawall.mail.message import Content

_F_OFD_SETLK = 37  # fcntl(2); the fcntl module of 3.11 does not name it
_WHOLE_FILE = struct.pack("hhqqi4x", fcntl.F_WRLCK, os.SEEK_SET, 0, 0, 0)
_FLAGS = os.O_WRONLY | os.O_APPEND | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC


@dataclass(frozen=True, slots=True)
class Locking:
    """How mailboxes are locked.

    `styles` are words of mailbox_delivery_lock or virtual_mailbox_lock (``fcntl flock dotlock``); `attempts`, `delay`
    and `stale` (both in seconds) are deliver_lock_attempts, deliver_lock_delay and stale_lock_time.
    """

    styles: tuple[str, ...] = ("fcntl", "dotlock")
    attempts: int = 20
    delay: float = 1.0
    stale: float = 500.0
    dotlock_may_fail: bool = False
    sleep: Callable[[float], None] = time.sleep


@dataclass(frozen=True, slots=True)
class Checks:
    """What a mailbox file must be.  `owner` is the uid that strict_mailbox_ownership asks for, -1 for any;
    `default_status` is that of an errno without one of its own; `chown` the (uid, gid) that a new file is given."""

    owner: int = -1
    default_status: str = "5.2.0"
    chown: tuple[int, int] | None = None
    regular: bool = True
    """False for a ``/file`` of an alias, which may be a device but must not be executable."""


def append(
    path: str, head: bytes, content: Content, locking: Locking, checks: Checks = Checks(), limit: int = 0
) -> list[str]:
    """Append a message, quoted and ended by a blank line, to the file at `path`.  Durable when it returns.

    `limit` is the most bytes that the file may have, 0 for no limit.  Returns warnings; raises StoreTrouble.
    """
    warnings: list[str] = []
    dotted = "dotlock" in locking.styles and _may_lock(path) and _dot_lock(path, locking, checks, warnings)
    try:
        descriptor, created = _open(path, checks)
        try:
            _append(path, descriptor, head, content, locking, checks, limit)
            if created:
                fsync_directory(os.path.dirname(path) or "/")
        except OSError as trouble:
            raise StoreTrouble.from_errno(trouble, "4.3.0", f"sync directory of {path}") from trouble
        finally:
            os.close(descriptor)
    finally:
        if dotted:
            _unlock(path)
    return warnings


def _append(
    path: str, descriptor: int, head: bytes, content: Content, locking: Locking, checks: Checks, limit: int
) -> None:
    """Lock the open file, look at it once more, and write."""
    regular = stat.S_ISREG(os.fstat(descriptor).st_mode)
    if regular:
        for style in ("flock", "fcntl"):
            if style in locking.styles:
                _kernel_lock(descriptor, style, locking, checks)
    _inspect(path, descriptor, checks)
    start = os.lseek(descriptor, 0, os.SEEK_END) if regular else 0
    _copy(descriptor, head, content, start, regular=regular, limit=limit)


def _may_lock(path: str) -> bool:
    """True for a file, or for one that is still to be made; a device gets no lock file beside it."""
    try:
        return stat.S_ISREG(os.stat(path).st_mode)
    except OSError:
        return True


def _open(path: str, checks: Checks) -> tuple[int, bool]:
    """(descriptor, whether the file is new).  Open what exists, else create; no link may lead elsewhere.  safe_open(3)"""
    for _ in range(2):
        try:
            return _open_existing(path), False
        except FileNotFoundError:
            pass
        except OSError as trouble:
            raise _refused(trouble, checks, "cannot open file") from trouble
        try:
            descriptor = os.open(path, _FLAGS | os.O_CREAT | os.O_EXCL, 0o600)
        except FileExistsError:
            continue
        except OSError as trouble:
            raise _refused(trouble, checks, "cannot create file exclusively") from trouble
        if checks.chown is not None:
            try:
                os.fchown(descriptor, *checks.chown)
            except OSError as trouble:
                os.close(descriptor)
                os.unlink(path)
                raise _refused(trouble, checks, "cannot change file ownership") from trouble
        return descriptor, True
    raise StoreTrouble("4.2.0", "cannot create file exclusively: it comes and goes")


def _refused(trouble: OSError, checks: Checks, doing: str) -> StoreTrouble:
    return StoreTrouble.from_errno(trouble, checks.default_status, doing)


def _open_existing(path: str) -> int:
    descriptor = os.open(path, _FLAGS)
    try:
        opened = os.fstat(descriptor)
        found = os.lstat(path)
        reason = ""
        if opened.st_nlink != 1:
            reason = f"file has {opened.st_nlink} hard links"
        elif stat.S_ISLNK(found.st_mode):
            reason = "" if found.st_uid == 0 else "file is a symbolic link"
        elif (opened.st_dev, opened.st_ino) != (found.st_dev, found.st_ino):
            reason = "file status changed unexpectedly"
        if reason:
            raise StoreTrouble("5.2.0", reason, errno.EPERM)
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor


def _inspect(path: str, descriptor: int, checks: Checks) -> None:
    """The last look before writing, with the lock held."""
    status = os.fstat(descriptor)
    regular = stat.S_ISREG(status.st_mode)
    if checks.regular and not regular:
        raise StoreTrouble("5.2.0", f"destination {path} is not a regular file")
    if regular and status.st_nlink != 1:
        raise StoreTrouble("4.2.0", "target file status changed unexpectedly", errno.EAGAIN)
    if not checks.regular and status.st_mode & 0o111:
        raise StoreTrouble("5.7.1", "destination file is executable")
    if checks.owner not in (-1, status.st_uid):
        raise StoreTrouble("4.2.0", f"destination {path} is not owned by recipient")


def _copy(descriptor: int, head: bytes, content: Content, start: int, *, regular: bool, limit: int) -> None:
    size = start
    try:
        for piece in itertools.chain((head,), quoted_pieces(content)):
            size += len(piece)
            if limit and regular and size > limit:
                raise OSError(errno.EFBIG, os.strerror(errno.EFBIG))
            write_all(descriptor, piece)
        if regular:
            os.fsync(descriptor)
    except OSError as trouble:
        _cut_back(descriptor, start, regular)
        raise StoreTrouble.from_errno(trouble, "5.3.0", "error writing message") from trouble
    except StoreTrouble:
        _cut_back(descriptor, start, regular)
        raise


def _cut_back(descriptor: int, start: int, regular: bool) -> None:
    if regular:
        os.ftruncate(descriptor, start)


def _dot_lock(path: str, locking: Locking, checks: Checks, warnings: list[str]) -> bool:
    """Make the lock file; False where it cannot be made and need not."""
    try:
        _make_lock_file(path + ".lock", locking)
        return True
    except OSError as trouble:
        reason = f"unable to create lock file {path}.lock: {os.strerror(trouble.errno or 0)}"
        if trouble.errno == errno.EEXIST or not locking.dotlock_may_fail:
            number = errno.EAGAIN if trouble.errno == errno.EEXIST else trouble.errno or 0
            raise StoreTrouble(STATUS_OF_ERRNO.get(number, checks.default_status), reason, number) from trouble
        warnings.append(reason)
        return False


def _make_lock_file(path: str, locking: Locking) -> None:
    for attempt in range(1, max(locking.attempts, 1) + 1):
        try:
            os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0))
            return
        except FileExistsError:
            if attempt == max(locking.attempts, 1):
                raise
        try:
            if time.time() > os.stat(path).st_ctime + locking.stale:
                os.unlink(path)
        except FileNotFoundError:
            continue
        locking.sleep(locking.delay)


def _kernel_lock(descriptor: int, style: str, locking: Locking, checks: Checks) -> None:
    for attempt in range(1, max(locking.attempts, 1) + 1):
        try:
            if style == "flock":
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            else:
                fcntl.fcntl(descriptor, _F_OFD_SETLK, _WHOLE_FILE)
            return
        except OSError as trouble:
            if trouble.errno not in (errno.EAGAIN, errno.EACCES) or attempt == max(locking.attempts, 1):
                reason = "unable to lock for exclusive access"
                raise StoreTrouble.from_errno(trouble, checks.default_status, reason) from trouble
        locking.sleep(locking.delay)


def _unlock(path: str) -> None:
    try:
        os.unlink(path + ".lock")
    except OSError:
        return
