"""Root's power in parts, capabilities(7): what a process may keep of it when it becomes an ordinary user.

Capabilities belong to threads; all of these calls are for a process that has one thread still.
"""

from __future__ import annotations

import ctypes
from collections.abc import Collection
from typing import Final

CHOWN: Final = 0
DAC_OVERRIDE: Final = 1
KILL: Final = 5
SETGID: Final = 6
SETUID: Final = 7
"""Numbers of linux/capability.h."""

_VERSION: Final = 0x20080522  # _LINUX_CAPABILITY_VERSION_3: two words of 32 each
_PR_SET_KEEPCAPS: Final = 8  # linux/prctl.h
_PR_SET_NO_NEW_PRIVS: Final = 38


class _Header(ctypes.Structure):
    _fields_ = (("version", ctypes.c_uint32), ("pid", ctypes.c_int))


class _Data(ctypes.Structure):
    _fields_ = (("effective", ctypes.c_uint32), ("permitted", ctypes.c_uint32), ("inheritable", ctypes.c_uint32))


def _raise_for(result: int) -> None:
    if result:
        number = ctypes.get_errno()
        raise OSError(number, f"capabilities: error {number}")


def _library() -> ctypes.CDLL:
    return ctypes.CDLL(None, use_errno=True)


def effective() -> frozenset[int]:
    """The capabilities that the calling thread acts with.  capget(2)"""
    header, data = _Header(_VERSION, 0), (_Data * 2)()
    _raise_for(_library().capget(ctypes.byref(header), ctypes.byref(data)))
    return frozenset(n for n in range(64) if data[n // 32].effective >> n % 32 & 1)


def hold_only(acting: Collection[int], in_reserve: Collection[int] = ()) -> None:
    """Give up all capabilities but these; those `in_reserve` are permitted, not effective.  capset(2)  Raises OSError.

    Capabilities about files that are in reserve become effective while a thread's fsuid is 0.  capabilities(7)
    """
    data = (_Data * 2)()
    for number in (*acting, *in_reserve):
        data[number // 32].permitted |= 1 << number % 32
    for number in acting:
        data[number // 32].effective |= 1 << number % 32
    _raise_for(_library().capset(ctypes.byref(_Header(_VERSION, 0)), ctypes.byref(data)))


def keep_across_change(keep: bool) -> None:
    """Whether what is permitted outlives the change from root to a user.  prctl(2) PR_SET_KEEPCAPS  Raises OSError."""
    _raise_for(_library().prctl(_PR_SET_KEEPCAPS, int(keep), 0, 0, 0))


def forbid_new_privileges() -> None:
    """No program that we exec gains privileges by its file's bits.  prctl(2) PR_SET_NO_NEW_PRIVS  Raises OSError."""
    _raise_for(_library().prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))
