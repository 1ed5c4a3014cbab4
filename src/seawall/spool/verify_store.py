"""The persistent cache of verify(8): one table in SQLite, written behind.

A row an address.  The file carries the number of its format; a file of another format is put aside, never overwritten.
What a power cut takes is only tried again.
"""

from __future__ import annotations

import os
import sqlite3
import threading
from collections.abc import Iterable
from pathlib import Path

from seawall.mail.verified import Standing
from seawall.spool.verify_cache import Entry, Times

FORMAT = 1
"""Of the file; raised with every change."""
PATIENCE = 5.0
"""Seconds to wait while another process (the predecessor, at a reload) writes.  Ours."""
SCHEMA = """
CREATE TABLE meta (format INTEGER NOT NULL);
CREATE TABLE addresses (
    address BLOB PRIMARY KEY,
    standing TEXT NOT NULL,
    updated REAL NOT NULL,
    text TEXT NOT NULL
) WITHOUT ROWID;
CREATE INDEX addresses_updated ON addresses (updated);
"""

STANDINGS = {standing.value: standing for standing in Standing if standing is not Standing.IN_PROGRESS}
"""What may stand in a row; a probe under way is known to the process alone."""


class VerifyStore:
    """The file at `path`.  Methods may be called from any thread, and raise sqlite3.Error and OSError."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = threading.Lock()
        path.parent.mkdir(parents=True, exist_ok=True)
        self._database = self._open()

    def _connect(self) -> sqlite3.Connection:
        descriptor = os.open(self._path, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
        os.close(descriptor)
        return sqlite3.connect(self._path, timeout=PATIENCE, check_same_thread=False)

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

    def find(self, address: str) -> Entry | None:
        """What is kept of an address."""
        with self._lock:
            row = self._database.execute(
                "SELECT standing, updated, text FROM addresses WHERE address = ?", (key_of(address),)
            ).fetchone()
        if row is None or row[0] not in STANDINGS:
            return None
        return Entry(STANDINGS[row[0]], row[1], 0.0, row[2])

    def save(self, changes: Iterable[tuple[str, Entry | None]]) -> None:
        """Keep these entries in one transaction; None, and what is only in progress, is dropped."""
        kept: list[tuple[bytes, str, float, str]] = []
        dropped: list[tuple[bytes]] = []
        for address, entry in changes:
            if entry is None or entry.standing is Standing.IN_PROGRESS:
                dropped.append((key_of(address),))
            else:
                kept.append((key_of(address), entry.standing.value, entry.updated, clean(entry.text)))
        with self._lock, self._database:
            self._database.executemany("DELETE FROM addresses WHERE address = ?", dropped)
            self._database.executemany("INSERT OR REPLACE INTO addresses VALUES (?, ?, ?, ?)", kept)

    def forget(self, now: float, times: Times, most: int) -> int:
        """Drop what has expired, at most `most` rows in one go; how many went."""
        with self._lock, self._database:
            done = self._database.execute(
                "DELETE FROM addresses WHERE address IN (SELECT address FROM addresses WHERE updated < ? AND"
                " updated < CASE standing WHEN 'deliverable' THEN ? ELSE ? END LIMIT ?)",
                (
                    now - min(times.positive_expire, times.negative_expire),
                    now - times.positive_expire,
                    now - times.negative_expire,
                    most,
                ),
            )
        return done.rowcount

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            self._database.close()


def clean(text: str) -> str:
    """Text that SQLite can hold: octets that are no UTF-8 are shown, not kept."""
    return text.encode("utf-8", "backslashreplace").decode()


def key_of(address: str) -> bytes:
    """The key of an address: its octets, whatever they are."""
    return address.encode("utf-8", "surrogateescape")
