"""Landlock: a process shuts itself out of every file but those named, for good.  Kernel documentation, landlock(7).

It cannot be undone, in a thread either; so it is for children that do one thing.  Where the kernel lacks it, `restrict`
says so and changes nothing: it is a second wall behind the user id, not the first.
"""

from __future__ import annotations

import ctypes
import os
import platform
from typing import Final

_CREATE_RULESET: Final = 444
_ADD_RULE: Final = 445
_RESTRICT_SELF: Final = 446
_PR_SET_NO_NEW_PRIVS: Final = 38
_RULE_PATH_BENEATH: Final = 1
_CREATE_RULESET_VERSION: Final = 1

_READ_FILE: Final = 1 << 2
_ALL_OF_FIRST_ABI: Final = (1 << 13) - 1
"""Every right of ABI 1: execute, write, read, list, remove, make."""
_MACHINES: Final = frozenset({"x86_64", "aarch64"})


class _RulesetAttr(ctypes.Structure):
    _fields_ = (("handled_access_fs", ctypes.c_uint64),)


class _PathBeneathAttr(ctypes.Structure):
    _pack_ = 1
    _layout_ = "ms"
    _fields_ = (("allowed_access", ctypes.c_uint64), ("parent_fd", ctypes.c_int32))


def restrict_to_reading(*paths: str) -> bool:
    """From now on this process may read the files named and open nothing else.  False where the kernel cannot.

    Files must exist (OSError otherwise); what is open already stays usable.
    """
    if platform.machine() not in _MACHINES:
        return False
    library = ctypes.CDLL(None, use_errno=True)
    call = library.syscall
    call.restype = ctypes.c_long
    version = call(ctypes.c_long(_CREATE_RULESET), None, ctypes.c_size_t(0), ctypes.c_uint32(_CREATE_RULESET_VERSION))
    if version < 1:
        return False
    attributes = _RulesetAttr(_ALL_OF_FIRST_ABI)
    size = ctypes.c_size_t(ctypes.sizeof(attributes))
    ruleset = call(ctypes.c_long(_CREATE_RULESET), ctypes.byref(attributes), size, ctypes.c_uint32(0))
    if ruleset < 0:
        return False
    try:
        for path in paths:
            file = os.open(path, os.O_PATH | os.O_CLOEXEC)
            try:
                rule = _PathBeneathAttr(_READ_FILE, file)
                kind = ctypes.c_int(_RULE_PATH_BENEATH)
                if call(ctypes.c_long(_ADD_RULE), ctypes.c_int(ruleset), kind, ctypes.byref(rule), ctypes.c_uint32(0)):
                    return False
            finally:
                os.close(file)
        if library.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0):
            return False
        return bool(call(ctypes.c_long(_RESTRICT_SELF), ctypes.c_int(ruleset), ctypes.c_uint32(0)) == 0)
    finally:
        os.close(ruleset)
