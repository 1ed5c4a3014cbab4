"""The clients that have passed, as they outlive the server: one table in SQLite, written behind by a single writer.

A row an address.  The file carries the number of its format; a file of another format is put aside, never overwritten.
What a power cut takes is only tested again.  docs/differences.md D-51
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterable, Iterator
from pathlib import Path

from seawall.door.passed_clients import Change

FILE = "passed-clients.sqlite"
"""Below $data_directory/seawall."""
FORMAT = 1
"""Of the file; raised with every change."""
PATIENCE = 5.0
"""Seconds to wait while another process (the predecessor, at a reload) writes.  Ours."""
AT_ONCE = 10_000
SCHEMA = """
CREATE TABLE meta (format INTEGER NOT NULL);
CREATE TABLE clients (
    address TEXT PRIMARY KEY,
    pregreet INTEGER NOT NULL,
    dnsbl INTEGER NOT NULL,
    pipelining INTEGER NOT NULL,
    non_smtp INTEGER NOT NULL,
    bare_newline INTEGER NOT NULL
) WITHOUT ROWID;
"""
COLUMNS = "pregreet, dnsbl, pipelining, non_smtp, bare_newline"


class PassedStore:
    """The file at `path`.  Methods raise sqlite3.Error and OSError."""

    def __init__(self, path: Path) -> None:
        self._path = path
        path.parent.mkdir(parents=True, exist_ok=True)
        self._database = self._open()

    def _connect(self) -> sqlite3.Connection:
        descriptor = os.open(self._path, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
        os.close(descriptor)
        return sqlite3.connect(self._path, timeout=PATIENCE)

    def _open(self) -> sqlite3.Connection:
        database = self._connect()
        found = database.execute("SELECT count(*) FROM sqlite_master WHERE name = 'meta'").fetchone()[0]
        if found and database.execute("SELECT format FROM meta").fetchone() != (FORMAT,):
            database.close()
            os.replace(self._path, f"{self._path}.other-format")
            database, found = self._connect(), 0
        database.execute("PRAGMA journal_mode = WAL")
        database.execute("PRAGMA synchronous = NORMAL")
        if not found:
            database.executescript(SCHEMA)
            database.execute("INSERT INTO meta VALUES (?)", (FORMAT,))
            database.commit()
        return database

    def save(self, changes: Iterable[Change]) -> None:
        """Keep these, in one transaction; who has nothing is forgotten."""
        kept: list[tuple[object, ...]] = []
        dropped: list[tuple[str]] = []
        for address, stamps in changes:
            if stamps:
                kept.append((address, *stamps))
            else:
                dropped.append((address,))
        with self._database:
            self._database.executemany("DELETE FROM clients WHERE address = ?", dropped)
            self._database.executemany("INSERT OR REPLACE INTO clients VALUES (?, ?, ?, ?, ?, ?)", kept)

    def forget(self, before: int, most: int) -> int:
        """Drop clients of whom everything had expired at that time, at most `most` in one go; how many went."""
        with self._database:
            done = self._database.execute(
                f"DELETE FROM clients WHERE address IN (SELECT address FROM clients WHERE max({COLUMNS}) < ? LIMIT ?)",
                (before, most),
            )
        return done.rowcount

    def close(self) -> None:
        """Close the file."""
        self._database.close()


def read_passed(path: Path) -> Iterator[list[Change]]:
    """Everybody in the store, in lists of some thousands, for a worker that begins; nobody where there is no store."""
    if not path.exists():
        return
    database = sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True, timeout=PATIENCE)
    try:
        if database.execute("SELECT format FROM meta").fetchone() != (FORMAT,):
            return
        cursor = database.execute(f"SELECT address, {COLUMNS} FROM clients")
        while rows := cursor.fetchmany(AT_ONCE):
            yield [(str(row[0]), tuple(row[1:])) for row in rows]
    finally:
        database.close()
