"""The user database: getpwnam_r(3) and getpwuid_r(3), with "no such user" kept apart from "could not ask".

Python's pwd module raises KeyError for both.  Behind NSS may stand a directory server; a user whom it could not tell
us of must be tried again later, not bounced.  Calls may block: ask from a thread.
"""

from __future__ import annotations

import ctypes
import errno
import functools
import os
from dataclasses import dataclass
from typing import Any, Final

_NOT_FOUND: Final = frozenset({0, errno.ENOENT, errno.ESRCH})
"""What getpwnam_r(3) returns for a name that is not there (glibc: 0; other systems and NSS modules: the others)."""
_MOST_ROOM: Final = 1 << 20
"""Bytes an entry may need; our choice, glibc's own suggestion is 1024."""


@dataclass(frozen=True, slots=True)
class User:
    """One line of passwd(5)."""

    name: str
    uid: int
    gid: int
    home: str
    shell: str


class _Passwd(ctypes.Structure):
    _fields_ = (
        ("pw_name", ctypes.c_char_p),
        ("pw_passwd", ctypes.c_char_p),
        ("pw_uid", ctypes.c_uint32),
        ("pw_gid", ctypes.c_uint32),
        ("pw_gecos", ctypes.c_char_p),
        ("pw_dir", ctypes.c_char_p),
        ("pw_shell", ctypes.c_char_p),
    )


@functools.cache
def _library() -> ctypes.CDLL:
    return ctypes.CDLL(None)


def _text(value: bytes | None) -> str:
    return os.fsdecode(value or b"")


def _ask(function: Any, key: Any) -> User | None:
    entry = _Passwd()
    found = ctypes.POINTER(_Passwd)()
    room = 4096
    while True:
        buffer = ctypes.create_string_buffer(room)
        trouble = int(function(key, ctypes.byref(entry), buffer, ctypes.c_size_t(room), ctypes.byref(found)))
        if trouble != errno.ERANGE or room >= _MOST_ROOM:
            break
        room *= 4
    if found:
        return User(
            name=_text(entry.pw_name),
            uid=entry.pw_uid,
            gid=entry.pw_gid,
            home=_text(entry.pw_dir),
            shell=_text(entry.pw_shell),
        )
    if trouble in _NOT_FOUND:
        return None
    raise OSError(trouble, os.strerror(trouble))


def find_user(name: str) -> User | None:
    """The user of that name, None where there is none; OSError where the database could not be asked."""
    try:
        key = os.fsencode(name)
    except UnicodeEncodeError:
        return None
    return None if b"\0" in key or not key else _ask(_library().getpwnam_r, ctypes.c_char_p(key))


def find_user_of(uid: int) -> User | None:
    """The user with that number, None where there is none; OSError where the database could not be asked."""
    return _ask(_library().getpwuid_r, ctypes.c_uint32(uid))
