"""Making and changing indexed files: what postmap(1) and postalias(1) do to hash, btree, lmdb and cdb.  mkmap(3)

A file is always written whole: to a temporary name beside it, fsynced, and renamed over it, so that no reader ever
sees half of it.  Where the directory does not allow that, it is written in place under an exclusive lock
(docs/differences.md D-12).
"""

from __future__ import annotations

import fcntl
import os
import secrets
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TypeAlias

from seawall.tables import berkeley_write, cdb, lmdb_file
from seawall.tables.indexed import BTREE, CDB, HASH, LMDB, Family
from seawall.tables.table import Warn, fold

Pairs: TypeAlias = dict[bytes, bytes]


@dataclass(frozen=True, slots=True)
class Format:
    """How one type is written: the bytes of a whole file.  `null` where keys and values end in a NUL unless asked
    otherwise; `shown` is how warnings name the file, made from its type, source and index."""

    family: Family
    format: Callable[[Pairs], bytes]
    null: bool
    shown: str


def _format_hash(pairs: Pairs) -> bytes:
    return berkeley_write.format_hash(pairs, secrets.token_bytes(20))


def _format_btree(pairs: Pairs) -> bytes:
    return berkeley_write.format_btree(pairs, secrets.token_bytes(20))


def _format_cdb(pairs: Pairs) -> bytes:
    return cdb.format_file(pairs.items())


FORMATS: Mapping[str, Format] = {
    "hash": Format(HASH, _format_hash, True, "{index}"),
    "btree": Format(BTREE, _format_btree, True, "{index}"),
    "cdb": Format(CDB, _format_cdb, False, "{source}"),
    "lmdb": Format(LMDB, lmdb_file.format_file, False, "{type}:{source}"),
}
"""The types that postmap builds."""


class BuildTrouble(Exception):
    """The text is what ends the tool."""


@dataclass(frozen=True, slots=True)
class Choices:
    """What the options of postmap say about writing.

    fold, utf8: as in `Use`.  duplicates: ``warn`` keeps the first and says so, ``ignore`` keeps the first, ``replace`` the last (-w, -r).
    null: None as the type has it, else with (-N) or without (-n) a NUL behind keys and values.  mode: of a new file.
    """

    fold: bool = True
    utf8: bool = True
    duplicates: str = "warn"
    null: bool | None = None
    mode: int = 0o644


class Database:
    """An indexed file being changed, its pairs in memory; `save` puts it in place."""

    def __init__(self, kind: str, source: str, choices: Choices, warn: Warn) -> None:
        self.format = FORMATS[kind]
        self.index = source + self.format.family.suffix
        self._choices = choices
        self._warn = warn
        self._null = self.format.null if choices.null is None else choices.null
        self._pairs: Pairs = {}
        self._shown = self.format.shown.format(type=kind, source=source, index=self.index)
        self.changed = False

    def load(self) -> None:
        """Start from the file that is there.  OSError where it cannot be read, TableTrouble where it is none."""
        for key, value in self.format.family.read(self.index, False):
            self._pairs[_bare(key)] = value

    def add(self, key: str, value: str) -> None:
        """One entry, by the choice about duplicates."""
        name = fold(key, self._choices.utf8) if self._choices.fold else key
        data = name.encode("utf-8", "surrogateescape")
        if data in self._pairs and self._choices.duplicates != "replace":
            if self._choices.duplicates == "warn":
                self._warn(f'{self._shown}: duplicate entry: "{name}"')
            return
        self._set(data, value)

    def put(self, key: str, value: str) -> None:
        """One entry, in the place of what was there."""
        self._set(key.encode("utf-8", "surrogateescape"), value)

    def _set(self, data: bytes, value: str) -> None:
        self._pairs[data] = value.encode("utf-8", "surrogateescape") + (b"\0" if self._null else b"")
        self.changed = True

    def delete(self, key: str) -> bool:
        """False where the key was not there."""
        name = fold(key, self._choices.utf8) if self._choices.fold else key
        if self._pairs.pop(name.encode("utf-8", "surrogateescape"), None) is None:
            return False
        self.changed = True
        return True

    def save(self) -> None:
        """Put the pairs in the file's place.  BuildTrouble where that fails; the old file is then untouched."""
        end = b"\0" if self._null else b""
        pairs = {key + (b"\0" if value.endswith(b"\0") else end): value for key, value in self._pairs.items()}
        try:
            data = self.format.format(pairs)
        except ValueError as error:
            raise BuildTrouble(f"open database {self.index}: {error}") from None
        try:
            try:
                _replace(self.index, data, _mode(self.index, self._choices.mode))
            except PermissionError:
                if not os.path.exists(self.index):
                    raise
                _overwrite(self.index, data)
        except OSError as error:
            raise BuildTrouble(f"open database {self.index}: {error.strerror}") from None


def _mode(path: str, new: int) -> int:
    """The rights of the file that is there, or those of a new one."""
    try:
        return os.stat(path).st_mode & 0o7777
    except FileNotFoundError:
        return new


def _replace(path: str, data: bytes, mode: int) -> None:
    """A file of that content comes into being beside it and takes its name, whole and durable."""
    temporary = f"{path}.{secrets.token_hex(6)}.tmp"
    descriptor = os.open(temporary, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
            file.flush()
            os.fchmod(file.fileno(), mode)
            os.fsync(file.fileno())
        os.rename(temporary, path)
    except BaseException:
        os.unlink(temporary)
        raise
    directory = os.open(os.path.dirname(path) or ".", os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)


def _overwrite(path: str, data: bytes) -> None:
    """In place, for a directory that we may not write; readers are kept out by the lock that `writing` holds."""
    with open(path, "r+b") as file:
        file.truncate(0)
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


def _bare(key: bytes) -> bytes:
    return key[:-1] if key.endswith(b"\0") else key


@contextmanager
def writing(index: str) -> Iterator[None]:
    """Keeps other writers of the same file out, postmap(1)'s own included, from reading it to putting it in place.

    The lock is on the file that is there; when that was replaced while we waited, the new one is locked.
    """
    while True:
        try:
            descriptor = os.open(index, os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError:
            yield
            return
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            try:
                same = os.path.samestat(os.fstat(descriptor), os.stat(index))
            except FileNotFoundError:
                same = False
            if same:
                yield
                return
        finally:
            os.close(descriptor)
