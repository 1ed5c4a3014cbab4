"""What outlives the server of greylisting: triplets and networks in SQLite, written behind by one process.

The file carries the key of the hashes.  What a power cut takes is half a second of first attempts.  How the file is opened,
written and read: `seawall.store`.
"""

from __future__ import annotations

import secrets
import sqlite3
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TypeAlias

from seawall.policy.greylist import MOST_ELDERS, SECRET, Elder, Entry, NetworkRow, Rules, TripletRow
from seawall.store import Database, LookUps, Shape

FILE = "greylist.sqlite"
"""Below $data_directory/seawall."""
FORMAT = 1
"""Of the file; raised with every change."""
PATIENCE = 30.0
"""Seconds to wait while another process writes: the predecessor at a reload, or who fills a new file.  Ours."""
Seed: TypeAlias = Callable[[bytes], Iterable[NetworkRow]]
"""Takes the key of the hashes."""
SCHEMA = """
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
SHAPE = Shape(FORMAT, SCHEMA, "secret BLOB NOT NULL", PATIENCE)
FIND = (
    "SELECT 'triplet', first, last, passed FROM triplets WHERE triplet = ?"
    " UNION ALL SELECT 'network', first, last, retried FROM networks WHERE network = ?"
)
"""Both in one question: half of its time goes by before the first row is looked for."""
WARM = "SELECT (SELECT max(passed) FROM triplets) + (SELECT max(retried) FROM networks)"
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
        self._seed = seed
        self.secret = b""
        """The key of the hashes, drawn when the file was made."""
        self._database = Database(path, SHAPE, self._begin)
        self.take_remarks = self._database.take_remarks
        self.secret = bytes(self._database.rows("SELECT secret FROM meta")[0][0])

    def _begin(self, database: sqlite3.Connection) -> tuple[bytes]:
        """A file that takes a damaged one's place keeps its key: others hold it already."""
        secret = self.secret or secrets.token_bytes(SECRET)
        database.executemany(_KEEP_NETWORK, self._seed(secret) if self._seed is not None else ())
        return (secret,)

    def save(self, triplets: Iterable[TripletRow], networks: Iterable[NetworkRow]) -> None:
        """Keep these, in one transaction."""
        rows = ((*row[:5], row.address, _clean(row.name)) for row in triplets)
        with self._database.writing() as database:
            database.executemany(_KEEP_TRIPLET, rows)
            database.executemany(_KEEP_NETWORK, networks)

    def elders(self, pair: int) -> tuple[Elder, ...]:
        """The attempts of a pair: who has passed before who waits, the oldest first."""
        text = "SELECT triplet, first, address, name FROM triplets WHERE pair = ? ORDER BY passed = 0, first LIMIT ?"
        return tuple(Elder(*row) for row in self._database.rows(text, (pair, MOST_ELDERS)))

    def forget(self, rules: Rules, now: float, most: int) -> int:
        """Drop what is over, and what is more than `rules.most`: at most `most` rows in one go; how many went."""
        kept = now - rules.keep
        done = self._drop("WHERE last < ? ORDER BY last LIMIT ?", kept, most)
        done += self._drop("WHERE passed = 0 AND last < ? ORDER BY last LIMIT ?", now - rules.window, most)
        self._database.write("DELETE FROM networks WHERE last < ?", (kept,))
        excess = self._database.rows("SELECT count(*) FROM triplets")[0][0] - rules.most
        for which in ("WHERE passed = 0 AND last <= ? ORDER BY last LIMIT ?", "WHERE last <= ? ORDER BY last LIMIT ?"):
            if excess > 0:  # who waits goes before who has passed
                gone = self._drop(which, now, min(most, excess))
                done, excess = done + gone, excess - gone
        return done

    def _drop(self, which: str, before: float, most: int) -> int:
        text = f"DELETE FROM triplets WHERE triplet IN (SELECT triplet FROM triplets {which})"
        return self._database.write(text, (before, most))

    def close(self) -> None:
        """Close the file."""
        self._database.close()


class GreylistLookUps:
    """policy.greylist.Kept over the same file, for who serves.  `warned` takes trouble with the file."""

    def __init__(self, path: Path, warned: Callable[[str], None]) -> None:
        self._rows = LookUps(path, SHAPE, WARM, warned)
        self.open, self.warm, self.close = self._rows.open, self._rows.warm, self._rows.close

    def find(self, triplet: int, network: int) -> tuple[Entry | None, Entry | None]:
        """policy.greylist.Kept"""
        found = {row[0]: Entry(*row[1:]) for row in self._rows.rows(FIND, (triplet, network))}
        return found.get("triplet"), found.get("network")


def _clean(text: str) -> str:
    """Text that SQLite can hold: octets that are no UTF-8 are shown, not kept."""
    return text.encode("utf-8", "backslashreplace").decode()
