"""LMDB files as postmap(1) makes them: one file, no lock file beside it, fcntl(2) locks.  lmdb_table(5)"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Mapping

import lmdb

from seawall.tables.table import TableTrouble
from seawall.tables.watched import opened


def read_file(path: str, lock: bool = True) -> list[tuple[bytes, bytes]]:
    """All pairs, in key order.  Busy where somebody writes it; ``lock=False`` is for who holds the lock already."""
    with opened(path, lock=lock, posix=True):
        try:
            environment = lmdb.open(path, subdir=False, readonly=True, lock=False, create=False, max_dbs=0)
        except lmdb.Error as error:
            raise TableTrouble(f"lmdb:{path}", f"open database {path}: {_words(error, path)}") from None
        try:
            with environment.begin() as transaction, transaction.cursor() as cursor:
                return [(bytes(key), bytes(value)) for key, value in cursor]
        except lmdb.Error as error:
            raise TableTrouble(f"lmdb:{path}", f"read database {path}: {_words(error, path)}") from None
        finally:
            environment.close()


def _words(error: lmdb.Error, path: str) -> str:
    return str(error).removeprefix(f"{path}: ")


def format_file(pairs: Mapping[bytes, bytes]) -> bytes:
    """A whole file with these pairs, built out of the way.  ValueError for a key that LMDB cannot hold (511 bytes)."""
    size = 1 << 20
    while size < 4 * sum(len(key) + len(value) + 64 for key, value in pairs.items()):
        size *= 2
    with tempfile.TemporaryDirectory() as directory:
        path = os.path.join(directory, "made.lmdb")
        environment = lmdb.open(path, subdir=False, lock=False, map_size=size, max_dbs=0)
        try:
            with environment.begin(write=True) as transaction:
                for key in sorted(pairs):
                    transaction.put(key, pairs[key])
        except lmdb.Error as error:
            raise ValueError(str(error)) from None
        finally:
            environment.close()
        with open(path, "rb") as file:
            return file.read()
