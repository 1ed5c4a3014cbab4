"""Tables that live in files: held in memory whole, read again when the file changes, the old copy kept until then.

A file is never mapped into memory: postmap(1) cuts a Berkeley DB file to nothing and fills it again in place, and
reading a mapping then ends the process.  It is read under a shared lock, which postmap's exclusive one keeps out;
while postmap writes, the copy from before goes on answering.
"""

from __future__ import annotations

import errno
import fcntl
import os
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Protocol, TypeAlias

from seawall.tables.source import is_utf8
from seawall.tables.table import Answer, NotUtf8, Opening, TableTrouble, fold_ascii

Find: TypeAlias = Callable[[str], Answer]
"""A key's value, or None, from memory."""

BIG = 256 * 1024
"""Bytes from which a changed file is read in a thread; about 2 ms of reading. Ours."""
_FRESH = 0.02
_COARSE = 2.0
"""Seconds after a change within which a second one may bear the same time stamp: the kernel's tick, twice; and a
file system that keeps whole seconds."""
_PATIENCE = 10.0
"""Seconds that an opening waits for a writer's lock. Ours: Postfix waits without end."""

Stamp: TypeAlias = "tuple[int, int, int, int] | None"
"""(device, inode, size, time of change in ns) of a file, None where it is not there."""


class Contents(Protocol):
    """What was read: how to find a key, and all entries where they can be told one by one."""

    @property
    def find(self) -> Find:
        """Look a key up."""
        ...

    @property
    def entries(self) -> Mapping[str, str] | None:
        """All keys and values of a table of strings."""
        ...


class Strings:
    """Contents of a table of strings."""

    __slots__ = ("entries", "find")

    def __init__(self, entries: dict[str, str], fold: bool, utf8: bool = True) -> None:
        self.entries: Mapping[str, str] | None = entries
        self.find: Find = entries.get
        if fold:
            self.find = _folded(entries) if utf8 else lambda key: entries.get(fold_ascii(key))


def _folded(entries: dict[str, str]) -> Find:
    get = entries.get

    def find(key: str) -> Answer:
        return get(key.lower() if key.isascii() else key.casefold())

    return find


def guarded(find: Find, name: str) -> Find:
    """A key that is no UTF-8 is not found, a value that is none is trouble.  dict_utf8(3)"""

    def find_utf8(key: str) -> Answer:
        if not (key.isascii() or is_utf8(key)):
            return None
        value = find(key)
        if isinstance(value, str) and not (value.isascii() or is_utf8(value)):
            raise NotUtf8(name, key, value)
        return value

    return find_utf8


class Rules:
    """Contents of a table of patterns."""

    __slots__ = ("entries", "find")

    def __init__(self, find: Find) -> None:
        self.entries: Mapping[str, str] | None = None
        self.find = find


class Busy(Exception):
    """A writer holds the file's lock."""


Read: TypeAlias = Callable[[str], Contents]
"""Reads a file.  OSError or TableTrouble where it cannot be used, Busy while somebody writes it."""


def stamp(path: str) -> Stamp:
    """What tells a file from its former self."""
    try:
        found = os.stat(path)
    except (OSError, ValueError):  # ValueError: a NUL, with which no file has a name
        return None
    return found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns


@contextmanager
def opened(path: str, *, lock: bool = True, posix: bool = False) -> Iterator[int]:
    """The file, open for reading, under a shared lock that never waits: Busy where it is taken.

    `posix` is for fcntl(2) locks (LMDB), else flock(2).
    """
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        try:
            if lock:
                (fcntl.lockf if posix else fcntl.flock)(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            raise Busy(path) from None
        yield descriptor
    finally:
        os.close(descriptor)


def _is_fresh(changed: int) -> bool:
    """Was the file changed (nanoseconds) so lately that its time stamp would not show another change?"""
    return abs(time.time() - changed / 1e9) < (_FRESH if changed % 10**9 else _COARSE)


class WatchedTable:
    """A table read from the first of `paths` that is there.  `opens` begins the text for a file that cannot be opened."""

    __slots__ = (
        "_contents",
        "_fresh",
        "_opens",
        "_stamps",
        "_thread",
        "_trouble",
        "_unavailable_to",
        "_warn",
        "fixed",
        "lookup",
        "name",
        "paths",
        "read",
    )

    def __init__(
        self, opening: Opening, paths: tuple[str, ...], read: Read, *, fixed: bool, opens: str = "open"
    ) -> None:
        self.name = opening.name
        self.fixed = fixed
        self.paths = paths
        self.read = read
        self._warn = opening.warn
        self._unavailable_to = opening.unavailable
        self._opens = opens
        self._trouble: str | None = "not read yet"
        self._contents: Contents | None = None
        self.lookup: Find = self._unavailable
        """The value for a key.  TableTrouble where the file could not be read yet.  Ask it anew each time: it changes
        with the file."""
        self._stamps: tuple[Stamp, ...] = ()
        self._fresh = False
        self._thread: threading.Thread | None = None
        self._load_patiently()

    @property
    def entries(self) -> Mapping[str, str] | None:
        """All entries, None for patterns.  TableTrouble where the file could not be read yet."""
        if self._contents is None:
            raise TableTrouble(self.name, self._trouble or "")
        return self._contents.entries

    @property
    def trouble(self) -> str | None:
        """Why there is nothing to ask, None where there is."""
        return self._trouble

    def _unavailable(self, key: str) -> Answer:
        raise TableTrouble(self.name, self._trouble or "")

    def _load_patiently(self) -> None:
        """The first reading: waits for a writer, within bounds."""
        until = time.monotonic() + _PATIENCE
        while not self._load():
            if time.monotonic() > until:
                self._trouble = f"{self._opens} {self.paths[0]}: locked by a writer"
                self._unavailable_to(self.name, self._trouble)
                return
            time.sleep(0.02)

    def _load(self) -> bool:
        """Read the file and put the new contents in the old one's place.  False where a writer was at it."""
        stamps = tuple(map(stamp, self.paths))
        path = next((path for path, found in zip(self.paths, stamps, strict=True) if found), self.paths[0])
        try:
            if "\0" in path:
                raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT))
            contents = self.read(path)
        except Busy:
            return False
        except OSError as error:
            self._keep_old(f"{self._opens} {path}: {error.strerror}")
        except TableTrouble as error:
            self._keep_old(error.reason)
        else:
            self._contents, self.lookup, self._trouble = contents, contents.find, None
        self._stamps = stamps
        self._fresh = any(_is_fresh(found[3]) for found in stamps if found)
        return True

    def _keep_old(self, reason: str) -> None:
        """The file cannot be used: the copy from before goes on answering, where there is one."""
        if self._contents is None:
            self._trouble = reason
            self._unavailable_to(self.name, reason)
        else:
            self._warn(f"{self.name}: {reason}; the copy read before stays in use")

    def refresh(self) -> None:
        """Look at the file; read it again where it changed."""
        if self._thread is not None:
            if self._thread.is_alive():
                return
            self._thread = None
        stamps = tuple(map(stamp, self.paths))
        if stamps == self._stamps and not self._fresh:
            return
        if max((found[2] for found in stamps if found), default=0) < BIG:
            self._load()
            return
        self._thread = threading.Thread(target=self._load, name=f"read {self.name}", daemon=True)
        self._thread.start()

    def settle(self) -> None:
        """Wait for a reading that `refresh` started."""
        if self._thread is not None:
            self._thread.join()
            self._thread = None
