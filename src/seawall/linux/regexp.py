"""POSIX regular expressions by the C library, the engine that Postfix's regexp: tables speak to.  regcomp(3)

Python's `re` finds the first alternative that fits, POSIX the longest: a table written for one is wrong with the other.
Expressions are compiled in the C locale, as Postfix's are: one character is one byte.
"""

from __future__ import annotations

import ctypes
import functools
import os
from typing import Any, Final

EXTENDED: Final = 1
ICASE: Final = 2
NEWLINE: Final = 4
NOSUB: Final = 8
"""Flags of regcomp(3); Linux's values, in glibc and musl."""
_NO_MATCH: Final = 1
_ROOM: Final = 256
"""Bytes kept for a regex_t; glibc needs 64, musl 56."""
_LC_ALL_MASK: Final = 0x1FBF


class RegexpTrouble(Exception):
    """The library's own words for a bad expression, or for a match that it gave up."""


class _Library:
    """The C library's functions, and what depends on which library it is."""

    def __init__(self) -> None:
        library = ctypes.CDLL(None)
        is_glibc = "CS_GNU_LIBC_VERSION" in os.confstr_names
        self.offset: Any = ctypes.c_int if is_glibc else ctypes.c_long  # regoff_t
        self.groups_at = 48 if is_glibc else 0  # re_nsub in regex_t
        self.regcomp = library.regcomp
        self.regcomp.argtypes = (ctypes.c_void_p, ctypes.c_char_p, ctypes.c_int)
        self.regexec = library.regexec
        self.regexec.argtypes = (ctypes.c_void_p, ctypes.c_char_p, ctypes.c_size_t, ctypes.c_void_p, ctypes.c_int)
        self.regerror = library.regerror
        self.regerror.argtypes = (ctypes.c_int, ctypes.c_void_p, ctypes.c_char_p, ctypes.c_size_t)
        self.regfree = library.regfree
        self.regfree.argtypes = (ctypes.c_void_p,)
        self.regfree.restype = None
        library.newlocale.restype = ctypes.c_void_p
        library.newlocale.argtypes = (ctypes.c_int, ctypes.c_char_p, ctypes.c_void_p)
        self.uselocale = library.uselocale
        self.uselocale.restype = ctypes.c_void_p
        self.uselocale.argtypes = (ctypes.c_void_p,)
        self.c_locale = library.newlocale(_LC_ALL_MASK, b"C", None)


@functools.cache
def _library() -> _Library:
    return _Library()


class Regexp:
    """One compiled expression.  `groups` is the number of its parentheses."""

    def __init__(self, pattern: bytes, flags: int) -> None:
        self._compiled = False
        self._space = ctypes.create_string_buffer(_ROOM)
        library = _library()
        before = library.uselocale(library.c_locale)
        try:
            code = int(library.regcomp(self._space, pattern, flags))
        finally:
            library.uselocale(before)
        if code:
            raise RegexpTrouble(self._words(code))
        self._compiled = True
        self._run = library.regexec
        self._free = library.regfree
        self.groups = ctypes.c_size_t.from_buffer(self._space, library.groups_at).value
        self._spans: Any = None if flags & NOSUB else (library.offset * (2 * (self.groups + 1)))

    def __del__(self) -> None:
        if self._compiled:
            self._free(self._space)

    def _words(self, code: int) -> str:
        text = ctypes.create_string_buffer(256)
        _library().regerror(code, self._space, text, len(text))
        return text.value.decode("utf-8", "surrogateescape")

    def matches(self, subject: bytes) -> bool:
        """Does it match anywhere?  RegexpTrouble where the library gave up."""
        code = self._run(self._space, subject, 0, None, 0)
        if code > _NO_MATCH:
            raise RegexpTrouble(self._words(code))
        return bool(code == 0)

    def search(self, subject: bytes) -> tuple[bytes, ...] | None:
        """The whole match and each parenthesis (empty where it took no part), or None."""
        spans = self._spans()
        code = self._run(self._space, subject, self.groups + 1, spans, 0)
        if code > _NO_MATCH:
            raise RegexpTrouble(self._words(code))
        if code:
            return None
        numbers = list(spans)
        return tuple(
            subject[start:end] if start >= 0 else b"" for start, end in zip(numbers[::2], numbers[1::2], strict=True)
        )
