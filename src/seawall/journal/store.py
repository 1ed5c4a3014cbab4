"""The journal store: records kept in SQLite, for those who ask later what happened.

A row holds many records, as lines of JSON (`seawall.journal.batch`), and between which times and session numbers they
are; queue ids have a table of their own.  Whoever looks for a session reads the few rows that may have it.  How the
file is opened and written: `seawall.store`.
"""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Collection, Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

import msgspec

from seawall.journal.batch import Batch, joined
from seawall.journal.record import FORMAT
from seawall.store import Database, Shape, open_to_look

MOST_IN_ROW = 4000
"""Records from which on a row is full.  Ours: read in some 5 ms."""
SCHEMA = """
CREATE TABLE batches (
    id INTEGER PRIMARY KEY,
    first REAL NOT NULL,
    last REAL NOT NULL,
    count INTEGER NOT NULL,
    lines BLOB NOT NULL
);
CREATE TABLE spans (
    batch INTEGER NOT NULL,
    program TEXT NOT NULL,
    low INTEGER NOT NULL,
    high INTEGER NOT NULL,
    PRIMARY KEY (batch, program)
) WITHOUT ROWID;
CREATE TABLE queue_ids (
    queue_id TEXT NOT NULL,
    batch INTEGER NOT NULL,
    PRIMARY KEY (queue_id, batch)
) WITHOUT ROWID;
CREATE INDEX queue_ids_batch ON queue_ids (batch);
"""
SHAPE = Shape(FORMAT, SCHEMA)
_IN_ORDER = "SELECT lines FROM batches WHERE {where} ORDER BY id {direction}"
_SESSION = "id IN (SELECT batch FROM spans WHERE program = ? AND low <= ? AND high >= ?)"
_QUEUE_ID = "id IN (SELECT batch FROM queue_ids WHERE queue_id = ?)"


class Row(NamedTuple):
    """A record as it is kept: `record` is its JSON, `session` the number that tells sessions of one program apart."""

    at: float
    program: str
    session: int
    kind: str
    queue_id: str
    record: bytes


class _Head(msgspec.Struct):
    """What every record says of itself."""

    at: float
    type: str
    number: int = 0
    queue_id: str = ""


_LINES = msgspec.json.Decoder(tuple[str, msgspec.Raw])
_HEAD = msgspec.json.Decoder(_Head)


def _rows_in(lines: bytes) -> Iterator[Row]:
    for program, raw in _LINES.decode_lines(lines):
        head = _HEAD.decode(raw)
        yield Row(head.at, program, head.number, head.type, head.queue_id, bytes(raw))


def read_rows(
    path: Path, *, program: str = "", session: int | None = None, queue_id: str = "", since: float = 0.0
) -> list[Row]:
    """Rows in order of time for somebody who only looks; a session's number goes with its program.

    sqlite3.Error where there is no store of our format.
    """
    with contextlib.closing(open_to_look(path, SHAPE)) as database:
        return sorted(_found(database, program, session, queue_id, since), key=lambda row: row.at)


def _found(
    database: sqlite3.Connection, program: str, session: int | None, queue_id: str, since: float
) -> Iterator[Row]:
    where, values = ["last >= ?"], [since]
    wanted: list[object] = [*values]
    if session is not None:
        where.append(_SESSION)
        wanted += [program, session, session]
    if queue_id:
        where.append(_QUEUE_ID)
        wanted.append(queue_id)
    for (lines,) in database.execute(_IN_ORDER.format(where=" AND ".join(where), direction="ASC"), wanted):
        for row in _rows_in(lines):
            if (
                row.at >= since
                and program in ("", row.program)
                and session in (None, row.session)
                and queue_id in ("", row.queue_id)
            ):
                yield row


def each_row(path: Path, kinds: Collection[str], since: float = 0.0) -> Iterator[Row]:
    """Rows of these kinds as they were kept, which is nearly in order of time, and never more than a batch in memory.

    sqlite3.Error where there is no store of our format.
    """
    wanted = [f'"type":"{kind}"'.encode() for kind in kinds]
    with contextlib.closing(open_to_look(path, SHAPE)) as database:
        for (lines,) in database.execute(_IN_ORDER.format(where="last >= ?", direction="ASC"), (since,)):
            if any(kind in lines for kind in wanted):
                yield from (row for row in _rows_in(lines) if row.kind in kinds and row.at >= since)


def read_arrivals(path: Path, since: float, most: int) -> list[tuple[float, str]]:
    """(when, client's address) of mail that was taken, the newest `most` of them, in order of time.

    Nothing where there is no store of our format.
    """
    if not path.exists():
        return []
    found: list[tuple[float, str]] = []
    try:
        with contextlib.closing(open_to_look(path, SHAPE)) as database:
            for (lines,) in database.execute(_IN_ORDER.format(where="last >= ?", direction="DESC"), (since,)):
                found += _arrivals_in(lines, since)
                if len(found) >= most:
                    break
    except sqlite3.Error:
        return []
    return sorted(found)[-most:]


class _Opened(msgspec.Struct):
    """The part of the record of a message that was taken."""

    address: str = ""


_OPENED = msgspec.json.Decoder(_Opened)


def _arrivals_in(lines: bytes, since: float) -> list[tuple[float, str]]:
    if b'"type":"Opened"' not in lines:
        return []
    rows = (row for row in _rows_in(lines) if row.kind == "Opened" and row.at >= since)
    return [(row.at, _OPENED.decode(row.record).address) for row in rows]


class Store:
    """One writer, many readers.  Raises sqlite3.Error where the disk fails: the journal may be lost, mail may not."""

    def __init__(self, path: Path) -> None:
        self._database = Database(path, SHAPE)
        self.take_remarks = self._database.take_remarks

    def add(self, batches: Iterable[Batch]) -> None:
        """Keep records, in one transaction."""
        with self._database.writing() as database:
            for batch in _filled(batches):
                values = (batch.first, batch.last, batch.count, batch.lines)
                done = database.execute("INSERT INTO batches (first, last, count, lines) VALUES (?, ?, ?, ?)", values)
                spans = [(done.lastrowid, *span) for span in batch.spans]
                database.executemany("INSERT INTO spans VALUES (?, ?, ?, ?)", spans)
                ids = [(queue_id, done.lastrowid) for queue_id in batch.queue_ids]
                database.executemany("INSERT INTO queue_ids VALUES (?, ?)", ids)

    def forget(self, before: float, most: int) -> int:
        """Drop the oldest batches that are wholly older than `before` (seconds since the epoch), until at least `most`
        records are gone; how many went."""
        gone, ids = 0, []
        for each, last, count in self._database.rows(
            "SELECT id, last, count FROM batches ORDER BY id LIMIT ?", (most,)
        ):
            if last >= before or gone >= most:
                break
            ids.append((each,))
            gone += count
        with self._database.writing() as database:
            for table, column in (("batches", "id"), ("spans", "batch"), ("queue_ids", "batch")):
                database.executemany(f"DELETE FROM {table} WHERE {column} = ?", ids)
        return gone

    def close(self) -> None:
        """Close the file."""
        self._database.close()


def _filled(batches: Iterable[Batch]) -> Iterator[Batch]:
    """The batches, small ones together."""
    waiting: list[Batch] = []
    for batch in batches:
        if waiting and sum(each.count for each in waiting) + batch.count > MOST_IN_ROW:
            yield joined(waiting)
            waiting = []
        waiting.append(batch)
    if waiting:
        yield joined(waiting)
