"""The persistent cache of verify(8): one table in SQLite, written behind.

A row an address.  What a power cut takes is only tried again.  How the file is opened and written: `seawall.store`.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from seawall.mail.verified import Standing
from seawall.spool.verify_cache import Entry, Times
from seawall.store import Database, Shape

FORMAT = 1
"""Of the file; raised with every change."""
SCHEMA = """
CREATE TABLE addresses (
    address BLOB PRIMARY KEY,
    standing TEXT NOT NULL,
    updated REAL NOT NULL,
    text TEXT NOT NULL
) WITHOUT ROWID;
CREATE INDEX addresses_updated ON addresses (updated);
"""
SHAPE = Shape(FORMAT, SCHEMA)

STANDINGS = {standing.value: standing for standing in Standing if standing is not Standing.IN_PROGRESS}
"""What may stand in a row; a probe under way is known to the process alone."""


class VerifyStore:
    """The file at `path`.  Methods may be called from any thread, and raise sqlite3.Error and OSError."""

    def __init__(self, path: Path) -> None:
        self._database = Database(path, SHAPE)
        self.take_remarks = self._database.take_remarks

    def find(self, address: str) -> Entry | None:
        """What is kept of an address."""
        rows = self._database.rows(
            "SELECT standing, updated, text FROM addresses WHERE address = ?", (key_of(address),)
        )
        if not rows or rows[0][0] not in STANDINGS:
            return None
        standing, updated, text = rows[0]
        return Entry(STANDINGS[standing], updated, 0.0, text)

    def save(self, changes: Iterable[tuple[str, Entry | None]]) -> None:
        """Keep these entries in one transaction; None, and what is only in progress, is dropped."""
        kept: list[tuple[bytes, str, float, str]] = []
        dropped: list[tuple[bytes]] = []
        for address, entry in changes:
            if entry is None or entry.standing is Standing.IN_PROGRESS:
                dropped.append((key_of(address),))
            else:
                kept.append((key_of(address), entry.standing.value, entry.updated, clean(entry.text)))
        with self._database.writing() as database:
            database.executemany("DELETE FROM addresses WHERE address = ?", dropped)
            database.executemany("INSERT OR REPLACE INTO addresses VALUES (?, ?, ?, ?)", kept)

    def forget(self, now: float, times: Times, most: int) -> int:
        """Drop what has expired, at most `most` rows in one go; how many went."""
        return self._database.write(
            "DELETE FROM addresses WHERE address IN (SELECT address FROM addresses WHERE updated < ? AND"
            " updated < CASE standing WHEN 'deliverable' THEN ? ELSE ? END LIMIT ?)",
            (
                now - min(times.positive_expire, times.negative_expire),
                now - times.positive_expire,
                now - times.negative_expire,
                most,
            ),
        )

    def close(self) -> None:
        """Close the file."""
        self._database.close()


def clean(text: str) -> str:
    """Text that SQLite can hold: octets that are no UTF-8 are shown, not kept."""
    return text.encode("utf-8", "backslashreplace").decode()


def key_of(address: str) -> bytes:
    """The key of an address: its octets, whatever they are."""
    return address.encode("utf-8", "surrogateescape")
