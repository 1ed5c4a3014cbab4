"""What outlives the server of greylisting: triplets and networks in SQLite, written behind by one process.

The file carries the number of its format, and the key of the hashes; a file of another format is put aside, never
overwritten.  What a power cut takes is half a second of first attempts.
"""

from __future__ import annotations

import os
import secrets
import sqlite3
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TypeAlias

from seawall.policy.greylist import MOST_ELDERS, SECRET, Elder, Greylist, NetworkRow, Rules, TripletRow

FILE = "greylist.sqlite"
"""Below $data_directory/seawall."""
FORMAT = 1
"""Of the file; raised with every change."""
PATIENCE = 30.0
"""Seconds to wait while another process writes: the predecessor at a reload, or who fills a new file.  Ours."""
Seed: TypeAlias = Callable[[bytes], Iterable[NetworkRow]]
"""Takes the key of the hashes."""
SCHEMA = """
CREATE TABLE meta (format INTEGER NOT NULL, secret BLOB NOT NULL);
CREATE TABLE triplets (
    triplet INTEGER PRIMARY KEY,
    pair INTEGER NOT NULL,
    first INTEGER NOT NULL,
    last INTEGER NOT NULL,
    passed INTEGER NOT NULL,
    address TEXT NOT NULL,
    name TEXT NOT NULL
);
CREATE INDEX triplets_pair ON triplets (pair);
CREATE INDEX triplets_last ON triplets (last);
CREATE INDEX triplets_waiting ON triplets (last) WHERE passed = 0;
CREATE TABLE networks (
    network INTEGER PRIMARY KEY,
    first INTEGER NOT NULL,
    last INTEGER NOT NULL,
    retried INTEGER NOT NULL
);
"""
_KEEP_TRIPLET = """
INSERT INTO triplets VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT (triplet) DO UPDATE SET
    first = excluded.first, last = max(last, excluded.last), passed = excluded.passed,
    address = excluded.address, name = excluded.name
"""
_KEEP_NETWORK = """
INSERT INTO networks VALUES (?, ?, ?, ?) ON CONFLICT (network) DO UPDATE SET
    first = excluded.first, last = max(last, excluded.last), retried = max(retried, excluded.retried)
"""


class GreylistStore:
    """The file at `path`, made where it is not there.  Methods raise sqlite3.Error and OSError."""

    def __init__(self, path: Path, seed: Seed | None = None) -> None:
        """`seed` tells what is known already where the file is new; others who open it meanwhile wait for that."""
        self._path = path
        self._seed = seed
        path.parent.mkdir(parents=True, exist_ok=True)
        self._database = self._open()
        secret = self._database.execute("SELECT secret FROM meta").fetchone()[0]
        self.secret = bytes(secret)
        """The key of the hashes, drawn when the file was made."""

    def _connect(self) -> sqlite3.Connection:
        descriptor = os.open(self._path, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
        os.close(descriptor)
        database = sqlite3.connect(self._path, timeout=PATIENCE, isolation_level=None, check_same_thread=False)
        database.execute("PRAGMA journal_mode = WAL")
        database.execute("PRAGMA synchronous = NORMAL")
        return database

    def _open(self) -> sqlite3.Connection:
        """Several processes may come first; one of them makes the tables."""
        database = self._connect()
        database.execute("BEGIN IMMEDIATE")
        found = database.execute("SELECT count(*) FROM sqlite_master WHERE name = 'meta'").fetchone()[0]
        if found and database.execute("SELECT format FROM meta").fetchone()[0] != FORMAT:
            database.execute("ROLLBACK")
            database.close()
            os.replace(self._path, f"{self._path}.other-format")
            return self._open()
        if not found:
            for statement in filter(str.strip, SCHEMA.split(";")):
                database.execute(statement)
            secret = secrets.token_bytes(SECRET)
            database.execute("INSERT INTO meta VALUES (?, ?)", (FORMAT, secret))
            database.executemany(_KEEP_NETWORK, self._seed(secret) if self._seed is not None else ())
        database.execute("COMMIT")
        return database

    def save(self, triplets: Iterable[TripletRow], networks: Iterable[NetworkRow]) -> None:
        """Keep these, in one transaction."""
        self._database.execute("BEGIN IMMEDIATE")
        try:
            rows = ((*row[:5], row.address, _clean(row.name)) for row in triplets)
            self._database.executemany(_KEEP_TRIPLET, rows)
            self._database.executemany(_KEEP_NETWORK, networks)
        except BaseException:
            self._database.execute("ROLLBACK")
            raise
        self._database.execute("COMMIT")

    def elders(self, pair: int) -> tuple[Elder, ...]:
        """The attempts of a pair: who has passed before who waits, the oldest first."""
        return tuple(
            Elder(*row)
            for row in self._database.execute(
                "SELECT triplet, first, address, name FROM triplets WHERE pair = ? ORDER BY passed = 0, first LIMIT ?",
                (pair, MOST_ELDERS),
            )
        )

    def load(self, greylist: Greylist, now: float) -> int:
        """Fill a greylist with what is kept; how many triplets that are."""
        greylist.triplets.load(self._database.execute("SELECT triplet, first, last, passed FROM triplets"), int(now))
        greylist.networks.load(self._database.execute("SELECT network, first, last, retried FROM networks"), int(now))
        return len(greylist.triplets)

    def forget(self, rules: Rules, now: float, most: int) -> int:
        """Drop what is over, and what is more than `rules.most`: at most `most` rows in one go; how many went."""
        kept = now - rules.keep
        done = self._drop("WHERE last < ? ORDER BY last LIMIT ?", kept, most)
        done += self._drop("WHERE passed = 0 AND last < ? ORDER BY last LIMIT ?", now - rules.window, most)
        self._database.execute("DELETE FROM networks WHERE last < ?", (kept,))
        excess = self._database.execute("SELECT count(*) FROM triplets").fetchone()[0] - rules.most
        for which in ("WHERE passed = 0 AND last <= ? ORDER BY last LIMIT ?", "WHERE last <= ? ORDER BY last LIMIT ?"):
            if excess > 0:  # who waits goes before who has passed
                gone = self._drop(which, now, min(most, excess))
                done, excess = done + gone, excess - gone
        return done

    def _drop(self, which: str, before: float, most: int) -> int:
        text = f"DELETE FROM triplets WHERE triplet IN (SELECT triplet FROM triplets {which})"
        return self._database.execute(text, (before, most)).rowcount

    def close(self) -> None:
        """Close the file."""
        self._database.close()


def _clean(text: str) -> str:
    """Text that SQLite can hold: octets that are no UTF-8 are shown, not kept."""
    return text.encode("utf-8", "backslashreplace").decode()
