"""crypt(3): the password hashes of /etc/shadow and of many mail sites, by the library that made them."""

from __future__ import annotations

import ctypes
import ctypes.util
import hmac

LARGEST_STATE = 1 << 16
"""Bytes of crypt_r's state: 32768 in libxcrypt; what is more does no harm."""


def crypt(password: bytes, setting: bytes) -> bytes | None:
    """The hash of `password` in the manner of `setting` (a hash, or ``$6$salt``); None where the library refuses.

    It takes as long as the hash's cost says: call it in a thread.  Raises OSError where there is no libcrypt.
    """
    if b"\0" in password or b"\0" in setting:
        return None
    library = ctypes.CDLL(ctypes.util.find_library("crypt") or "libcrypt.so.1")
    function = library.crypt_r
    function.restype = ctypes.c_char_p
    function.argtypes = (ctypes.c_char_p, ctypes.c_char_p, ctypes.c_void_p)
    state = ctypes.create_string_buffer(LARGEST_STATE)
    made: bytes | None = function(password, setting, state)
    return None if made is None or made.startswith(b"*") else made


def is_right(password: bytes, hashed: bytes) -> bool:
    """True where `hashed` is the hash of `password`."""
    made = crypt(password, hashed)
    return made is not None and hmac.compare_digest(made, hashed)
