"""The clients that have passed, as they outlive the server: one table in SQLite, written behind by a single writer.

A row an address.  What a power cut takes is only tested again.  How the file is opened, written and read: `seawall.store`.
docs/differences.md D-51
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import NamedTuple

from seawall.door.passed_clients import Change
from seawall.store import Database, LookUps, Shape

FILE = "passed-clients.sqlite"
"""Below $data_directory/seawall."""
FORMAT = 1
"""Of the file; raised with every change."""
SCHEMA = """
CREATE TABLE clients (
    address TEXT PRIMARY KEY,
    pregreet INTEGER NOT NULL,
    dnsbl INTEGER NOT NULL,
    pipelining INTEGER NOT NULL,
    non_smtp INTEGER NOT NULL,
    bare_newline INTEGER NOT NULL
) WITHOUT ROWID;
"""
SHAPE = Shape(FORMAT, SCHEMA)
COLUMNS = "pregreet, dnsbl, pipelining, non_smtp, bare_newline"
FIND = f"SELECT {COLUMNS} FROM clients WHERE address = ?"
WARM = "SELECT max(pregreet + dnsbl) FROM clients"


class Cleaned(NamedTuple):
    """What a look through some clients led to; `last` is where the next one begins, empty at the end."""

    retained: int
    dropped: int
    last: str


class PassedStore:
    """The file at `path`.  Methods raise sqlite3.Error and OSError."""

    def __init__(self, path: Path) -> None:
        self._database = Database(path, SHAPE)
        self.take_remarks = self._database.take_remarks

    def save(self, changes: Iterable[Change]) -> None:
        """Keep these, in one transaction; who has nothing is forgotten."""
        kept: list[tuple[object, ...]] = []
        dropped: list[tuple[str]] = []
        for address, stamps in changes:
            if stamps:
                kept.append((address, *stamps))
            else:
                dropped.append((address,))
        with self._database.writing() as database:
            database.executemany("DELETE FROM clients WHERE address = ?", dropped)
            database.executemany("INSERT OR REPLACE INTO clients VALUES (?, ?, ?, ?, ?, ?)", kept)

    def clean(self, before: int, after: str, most: int) -> Cleaned:
        """Look at the next `most` clients after an address; those go of whom everything had expired at `before`."""
        text = f"SELECT address, max({COLUMNS}) < ? FROM clients WHERE address > ? ORDER BY address LIMIT ?"
        rows = self._database.rows(text, (before, after, most))
        over = [(address,) for address, is_over in rows if is_over]
        if over:
            with self._database.writing() as database:
                database.executemany("DELETE FROM clients WHERE address = ?", over)
        return Cleaned(len(rows) - len(over), len(over), rows[-1][0] if len(rows) == most else "")

    def shorten(self, bound: int, most: int) -> int:
        """Where there are more than `bound`, drop who was passed longest ago, at most `most` in one go; how many went."""
        excess = self._database.rows("SELECT count(*) FROM clients")[0][0] - bound
        if excess <= 0:
            return 0
        return self._database.write(
            f"DELETE FROM clients WHERE address IN (SELECT address FROM clients ORDER BY max({COLUMNS}) LIMIT ?)",
            (min(excess, most),),
        )

    def close(self) -> None:
        """Close the file."""
        self._database.close()


class PassedLookUps:
    """The same for a worker: what is known of one client, at once.  `warned` takes trouble with the file."""

    def __init__(self, path: Path, warned: Callable[[str], None]) -> None:
        self._rows = LookUps(path, SHAPE, WARM, warned)
        self.open, self.warm, self.close = self._rows.open, self._rows.warm, self._rows.close

    def find(self, address: str) -> tuple[int, ...] | None:
        """door.passed_clients.Kept"""
        return next(iter(self._rows.rows(FIND, (address,))), None)
