"""The journal store: records kept in SQLite, for those who ask later what happened.

One table, a row a record, the record itself as JSON: what is asked for often (time, program, session, queue id, kind)
are columns.  The file carries the number of its format; a file of another format is put aside, never overwritten.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import msgspec

from seawall.journal.record import FORMAT, Record

SCHEMA = """
CREATE TABLE meta (format INTEGER NOT NULL);
CREATE TABLE records (
    id INTEGER PRIMARY KEY,
    at REAL NOT NULL,
    program TEXT NOT NULL,
    session INTEGER NOT NULL,
    kind TEXT NOT NULL,
    queue_id TEXT NOT NULL,
    record TEXT NOT NULL
);
CREATE INDEX records_at ON records (at);
CREATE INDEX records_queue_id ON records (queue_id) WHERE queue_id != '';
CREATE INDEX records_session ON records (program, session, at);
"""


class Row(NamedTuple):
    """A record as it is kept: `record` is its JSON, `session` the number that tells sessions of one program apart."""

    at: float
    program: str
    session: int
    kind: str
    queue_id: str
    record: bytes


_ENCODER = msgspec.json.Encoder()


def row_of(record: Record) -> Row:
    """The row for a record.  Bytes that are no UTF-8 (kept as surrogates) become ``?``."""
    try:
        encoded = _ENCODER.encode(record)
    except UnicodeEncodeError:
        encoded = _ENCODER.encode(_without_surrogates(msgspec.to_builtins(record)))
    name = getattr(record, "source", "") or record.program
    queue_id = str(getattr(record, "queue_id", ""))
    return Row(record.at, name, record.number, type(record).__name__, queue_id, encoded)


def _without_surrogates(value: object) -> object:
    if isinstance(value, str):
        return value.encode("utf-8", "replace").decode()
    if isinstance(value, dict):
        return {key: _without_surrogates(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_without_surrogates(item) for item in value]
    return value


def read_rows(path: Path, *, program: str = "", session: int | None = None, queue_id: str = "") -> list[Row]:
    """Rows in order of time for somebody who only looks.  sqlite3.Error where there is no store of our format."""
    wanted = {"program": program or None, "session": session, "queue_id": queue_id or None}
    asked = {name: value for name, value in wanted.items() if value is not None}
    where = " AND ".join(f"{name} = ?" for name in asked) or "1"
    database = sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)
    try:
        if database.execute("SELECT format FROM meta").fetchone() != (FORMAT,):
            raise sqlite3.DatabaseError(f"{path} has another format")
        text = f"SELECT at, program, session, kind, queue_id, record FROM records WHERE {where} ORDER BY at, id"
        return [Row(*row) for row in database.execute(text, list(asked.values()))]
    finally:
        database.close()


def read_arrivals(path: Path, since: float, most: int) -> list[tuple[float, str]]:
    """(when, client's address) of mail that was taken, the newest `most` of them, in order of time.

    Nothing where there is no store of our format.
    """
    if not path.exists():
        return []
    try:
        database = sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)
        try:
            if database.execute("SELECT format FROM meta").fetchone() != (FORMAT,):
                return []
            text = (
                "SELECT at, json_extract(record, '$.address') FROM records"
                " WHERE kind = 'Opened' AND at >= ? ORDER BY at DESC LIMIT ?"
            )
            return [(at, str(address)) for at, address in database.execute(text, (since, most))][::-1]
        finally:
            database.close()
    except sqlite3.Error:
        return []


class Store:
    """One writer, many readers.  Raises sqlite3.Error where the disk fails: the journal may be lost, mail may not."""

    def __init__(self, path: Path) -> None:
        self._path = path
        path.parent.mkdir(parents=True, exist_ok=True)
        self._database = self._open()

    def _open(self) -> sqlite3.Connection:
        database = sqlite3.connect(self._path)
        found = database.execute("SELECT count(*) FROM sqlite_master WHERE name = 'meta'").fetchone()[0]
        if found and database.execute("SELECT format FROM meta").fetchone() != (FORMAT,):
            database.close()
            os.replace(self._path, f"{self._path}.other-format")
            database, found = sqlite3.connect(self._path), 0
        database.execute("PRAGMA journal_mode = WAL")
        database.execute("PRAGMA synchronous = NORMAL")  # the journal tells of mail, it does not hold any
        if not found:
            database.executescript(SCHEMA)
            database.execute("INSERT INTO meta VALUES (?)", (FORMAT,))
            database.commit()
        return database

    def add(self, rows: Iterable[Sequence[object]]) -> None:
        """Keep rows (as `Row` has them), in one transaction."""
        with self._database:
            self._database.executemany(
                "INSERT INTO records (at, program, session, kind, queue_id, record) VALUES (?, ?, ?, ?, ?, ?)", rows
            )

    def forget(self, before: float, most: int) -> int:
        """Drop records older than `before` (seconds since the epoch), at most `most` of them; how many went."""
        with self._database:
            done = self._database.execute(
                "DELETE FROM records WHERE id IN (SELECT id FROM records WHERE at < ? ORDER BY at LIMIT ?)",
                (before, most),
            )
        return done.rowcount

    def rows(self, *, queue_id: str = "", since: float = 0.0) -> Iterator[Row]:
        """Rows in order of time, of one queue id or of all."""
        text = "SELECT at, program, session, kind, queue_id, record FROM records WHERE at >= ?"
        values: list[object] = [since]
        if queue_id:
            text += " AND queue_id = ?"
            values.append(queue_id)
        for row in self._database.execute(text + " ORDER BY at, id", values):
            yield Row(*row)

    def close(self) -> None:
        """Close the file."""
        self._database.close()
