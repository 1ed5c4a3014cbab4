"""Who a thread is to the file system: setfsuid(2), setfsgid(2) and setgroups(2) for one thread alone.

glibc's setgroups() changes every thread of a process, the system call only the one that makes it.  So the raw calls are
made here, for x86-64 and aarch64, and what they did is read back before anything is opened: setfsuid(2) reports no
error.  A thread that cannot get its own identity back must not go on, nor may its process (`borrowed`).
"""

from __future__ import annotations

import ctypes
import functools
import os
import platform
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final

from seawall.linux import capabilities

STUCK_EXIT: Final = 70
"""Exit code (sysexits(3) EX_SOFTWARE) of a process in which a thread could not become itself again."""

_UNCHANGED: Final = 0xFFFFFFFF
"""An impossible id: setfsuid(-1) changes nothing and tells the present one."""


@dataclass(frozen=True, slots=True)
class _Numbers:
    """System call numbers of one machine; `setgroups` takes 32-bit ids on both."""

    setfsuid: int
    setfsgid: int
    getgroups: int
    setgroups: int


_NUMBERS: Final[Mapping[str, _Numbers]] = {
    "x86_64": _Numbers(setfsuid=122, setfsgid=123, getgroups=115, setgroups=116),
    "aarch64": _Numbers(setfsuid=151, setfsgid=152, getgroups=158, setgroups=159),
}


class IdentityTrouble(Exception):
    """A thread or process could not become who it should be; the text says who and why."""


@dataclass(frozen=True, slots=True)
class Identity:
    """A user and his only group: what Postfix's set_eugid() gives a delivery."""

    uid: int
    gid: int


@functools.cache
def _syscall() -> Callable[[int, int, int], int]:
    """syscall(2) with two integer arguments.  It keeps the interpreter's lock: these calls never wait."""
    function = ctypes.PyDLL(None, use_errno=True).syscall
    function.restype = ctypes.c_long
    function.argtypes = (ctypes.c_long, ctypes.c_long, ctypes.c_long)
    made: Callable[[int, int, int], int] = function
    return made


def can_borrow() -> bool:
    """True where threads may take identities: a machine with known call numbers, and root or CAP_SETUID and CAP_SETGID."""
    if platform.machine() not in _NUMBERS:
        return False
    return os.geteuid() == 0 or capabilities.effective() >= {capabilities.SETUID, capabilities.SETGID}


def _groups(numbers: _Numbers) -> tuple[int, ...]:
    """The supplementary groups of the calling thread."""
    room = (ctypes.c_uint32 * 65536)()
    count = _syscall()(numbers.getgroups, 65536, ctypes.addressof(room))
    if count < 0:
        raise IdentityTrouble(f"getgroups: {os.strerror(ctypes.get_errno())}")
    return tuple(room[:count])


def _set(numbers: _Numbers, uid: int, gid: int, groups: tuple[int, ...]) -> bool:
    """Take the three ids, groups first, and read all back.  False where one did not take."""
    call = _syscall()
    count = len(groups)
    listed = (ctypes.c_uint32 * (count + 1))(*groups)
    if call(numbers.setgroups, count, ctypes.addressof(listed)) < 0:
        return False
    call(numbers.setfsgid, gid, 0)
    call(numbers.setfsuid, uid, 0)
    if call(numbers.setfsgid, _UNCHANGED, 0) != gid or call(numbers.setfsuid, _UNCHANGED, 0) != uid:
        return False
    found = (ctypes.c_uint32 * (count + 1))()
    return call(numbers.getgroups, count + 1, ctypes.addressof(found)) == count and tuple(found[:count]) == groups


def current() -> tuple[int, int, tuple[int, ...]]:
    """(fsuid, fsgid, supplementary groups) of the calling thread."""
    numbers, call = _NUMBERS[platform.machine()], _syscall()
    return call(numbers.setfsuid, _UNCHANGED, 0), call(numbers.setfsgid, _UNCHANGED, 0), _groups(numbers)


class Borrower:
    """Lends the identity of a recipient to threads of this process.

    Made once, before any thread borrows: it remembers who the process is (`remember` again where that changes
    afterwards).  Where the process runs as an ordinary user, only that user's own identity can be had, and `borrowed`
    of another raises IdentityTrouble.
    """

    def __init__(self) -> None:
        self._numbers = _NUMBERS.get(platform.machine())
        self.remember()

    def remember(self) -> None:
        """Take note of who the process is now."""
        self.may_change = can_borrow()
        self.own_uid = os.geteuid()
        self._own = (self.own_uid, os.getegid(), tuple(os.getgroups()))

    def can_be(self, identity: Identity) -> bool:
        """True where `borrowed` of this identity can work."""
        return self.may_change or identity.uid == self.own_uid

    @contextmanager
    def borrowed(self, identity: Identity) -> Iterator[None]:
        """Be `identity` to the file system within the block; only this thread changes.

        Raises IdentityTrouble where it cannot be had.
        """
        with self.acting() as be:
            be(identity)
            yield

    @contextmanager
    def acting(self) -> Iterator[Callable[[Identity], None]]:
        """A function that makes this thread one identity after the other; it is itself again after the block.

        The function raises IdentityTrouble where an identity cannot be had.  Where the thread cannot become itself
        again the process ends at once: anything it did from then on would be done with a stranger's rights.
        """
        numbers = self._numbers
        if not self.may_change or numbers is None:
            yield self._check
            return

        def be(identity: Identity) -> None:
            if not _set(numbers, identity.uid, identity.gid, (identity.gid,)):
                raise IdentityTrouble(f"cannot act for uid {identity.uid} gid {identity.gid}")

        try:
            yield be
        finally:
            if not _set(numbers, *self._own):
                os._exit(STUCK_EXIT)

    def _check(self, identity: Identity) -> None:
        if identity.uid != self.own_uid:
            raise IdentityTrouble(f"uid {self.own_uid} cannot act for uid {identity.uid}")


def become(identity: Identity) -> None:
    """Be `identity` for good: the whole process, all three user ids and group ids.  For a child without threads.

    Whoever is not root afterwards has no capability either.  A process that already is this user and may not change
    groups keeps those it has.  Raises IdentityTrouble.
    """
    if not can_borrow() and os.geteuid() == identity.uid:
        return
    try:
        os.setgroups([identity.gid])
        os.setresgid(identity.gid, identity.gid, identity.gid)
        os.setresuid(identity.uid, identity.uid, identity.uid)
        if identity.uid != 0:
            capabilities.hold_only(())
    except OSError as trouble:
        raise IdentityTrouble(f"cannot become uid {identity.uid} gid {identity.gid}: {trouble.strerror}") from trouble
    if os.getresuid() != (identity.uid,) * 3 or os.getresgid() != (identity.gid,) * 3:
        raise IdentityTrouble(f"did not become uid {identity.uid} gid {identity.gid}")
