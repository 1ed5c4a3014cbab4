"""What outlives the server in SQLite: one way to open a file, put a strange one aside, write to it, and look things up in it.

The file carries the number of its format in the table `meta`.  A file of another format, or of somebody else's, is put
aside and never overwritten, and so is one that is found damaged; one that is no database at all is left where it is,
and an error.  There is one writer, and there may be many readers (write-ahead log): a reader never waits for the writer.
"""

from __future__ import annotations

import contextlib
import os
import resource
import sqlite3
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

Values: TypeAlias = Sequence[object]
Row: TypeAlias = tuple[Any, ...]

OTHER_FORMAT, DAMAGED = "other-format", "damaged"
"""What is put behind the name of a file that is put aside; ``.2``, ``.3`` and so on where there is one already."""
SLOW = 0.002
"""Seconds that nothing may take on a worker's loop (docs/design.md, Processes)."""
MOST_WAITED = 0.01
"""Seconds that look-ups may wait for a disk in `REST` seconds: a hundredth of the loop's time.  Ours."""
REST = 1.0
"""Seconds without look-ups after that, and between two attempts to open a file.  Ours."""
MOST_ASIDE = 100
_BESIDE = ("-wal", "-shm")


@dataclass(frozen=True, slots=True)
class Shape:
    """What a file holds: `schema` has the statements that make it, `meta` further columns of that table.

    `patience` is how many seconds its writer waits while another process writes (the predecessor, at a reload).
    """

    format: int
    schema: str
    meta: str = ""
    patience: float = 5.0


class Database:
    """The file at `path`, for its writer; made where it is not there.  Any thread may use it.

    Methods raise sqlite3.Error and OSError.  A file that turns out to be damaged is put aside, and a new one begun, before
    the error that says so is raised: what comes next is kept.
    """

    def __init__(self, path: Path, shape: Shape, begin: Callable[[sqlite3.Connection], Values] | None = None) -> None:
        """`begin` fills a new file within the transaction that makes it, and gives the values of `shape.meta`."""
        self.path = path
        self._remarks: list[str] = []
        self._shape = shape
        self._begin = begin
        self._lock = threading.RLock()
        path.parent.mkdir(parents=True, exist_ok=True)
        self._database = self._open()

    def _open(self) -> sqlite3.Connection:
        """A connection to a file of ours, whatever was there before."""
        for _ in range(MOST_ASIDE):
            with contextlib.suppress(FileExistsError):  # never opened a second time: closing would drop SQLite's locks
                os.close(os.open(self.path, os.O_CREAT | os.O_EXCL | os.O_RDWR | os.O_CLOEXEC, 0o600))
            database = sqlite3.connect(
                self.path, timeout=self._shape.patience, isolation_level=None, check_same_thread=False
            )
            try:
                if self._prepare(database):
                    return database
                why = OTHER_FORMAT
            except sqlite3.Error as trouble:
                if not is_damage(trouble):
                    database.close()
                    raise
                why = DAMAGED
            database.close()
            self._remarks.append(self._put_aside(why))
        raise sqlite3.DatabaseError(f"{self.path} is put aside again and again")

    def _prepare(self, database: sqlite3.Connection) -> bool:
        """Make the tables, where nobody has; False where the file is not ours."""
        has_any = database.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]
        if has_any and not _is_ours(database, self._shape):
            return False
        database.execute("PRAGMA journal_mode = WAL")
        database.execute("PRAGMA synchronous = NORMAL")  # a power cut takes the last moments, and leaves a sound file
        database.execute("BEGIN IMMEDIATE")
        try:  # several processes may come first; one of them makes the tables
            if not database.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]:
                self._make(database)
            is_ours = _is_ours(database, self._shape)
        except BaseException:
            database.execute("ROLLBACK")
            raise
        database.execute("COMMIT")
        return is_ours

    def _make(self, database: sqlite3.Connection) -> None:
        more = f", {self._shape.meta}" if self._shape.meta else ""
        database.execute(f"CREATE TABLE meta (format INTEGER NOT NULL{more})")
        for statement in filter(str.strip, self._shape.schema.split(";")):
            database.execute(statement)
        values = () if self._begin is None else tuple(self._begin(database))
        database.execute(f"INSERT INTO meta VALUES (?{', ?' * len(values)})", (self._shape.format, *values))

    def _put_aside(self, why: str) -> str:
        """Rename the file and what belongs to it: a log that stayed would be taken for the new file's.  What to say of it."""
        aside = next(name for name in _names(self.path, why) if not os.path.lexists(name))
        os.replace(self.path, aside)
        for ending in _BESIDE:
            with contextlib.suppress(FileNotFoundError):
                os.replace(f"{self.path}{ending}", f"{aside}{ending}")
        said = "is damaged" if why == DAMAGED else "has another format"
        return f"{self.path} {said}: it is now {aside}, and a new one has begun"

    @contextlib.contextmanager
    def writing(self) -> Iterator[sqlite3.Connection]:
        """One transaction: all of it is kept, or nothing."""
        with self._lock, self._watched():
            self._database.execute("BEGIN IMMEDIATE")
            try:
                yield self._database
                self._database.execute("COMMIT")
            except BaseException:
                if self._database.in_transaction:  # a full disk may have ended it
                    self._database.execute("ROLLBACK")
                raise

    def write(self, text: str, values: Values = ()) -> int:
        """One statement in a transaction of its own; how many rows it changed."""
        with self.writing() as database:
            return database.execute(text, values).rowcount

    def rows(self, text: str, values: Values = ()) -> list[Row]:
        """All rows of an answer."""
        with self._lock, self._watched():
            return self._database.execute(text, values).fetchall()

    @contextlib.contextmanager
    def _watched(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.Error as trouble:
            if not is_damage(trouble):
                raise
            self._database.close()
            remark = self._put_aside(DAMAGED)
            self._database = self._open()
            raise sqlite3.DatabaseError(f"{trouble}: {remark}") from trouble

    def take_remarks(self) -> list[str]:
        """What is to be said of files that were put aside when this one was opened; once."""
        remarks, self._remarks = self._remarks, []
        return remarks

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            self._database.close()


def is_damage(trouble: sqlite3.Error) -> bool:
    """True where a file of ours is broken; not for one that never was a database, a full disk, a lock."""
    return getattr(trouble, "sqlite_errorcode", 0) & 0xFF == sqlite3.SQLITE_CORRUPT


def _names(path: Path, why: str) -> Iterable[str]:
    yield f"{path}.{why}"
    yield from (f"{path}.{why}.{number}" for number in range(2, MOST_ASIDE + 2))


def _is_ours(database: sqlite3.Connection, shape: Shape) -> bool:
    try:
        found = database.execute("SELECT format FROM meta").fetchone()
    except sqlite3.OperationalError as trouble:
        if trouble.sqlite_errorcode != sqlite3.SQLITE_ERROR:  # no such table or column
            raise
        return False
    return bool(found == (shape.format,))


# ---- for those who only look --------------------------------------------------------------------------------------


def open_to_look(path: Path, shape: Shape, *, patience: float | None = None) -> sqlite3.Connection:
    """A connection that only reads.  Raises sqlite3.Error where there is no file of this format."""
    database = sqlite3.connect(
        f"{path.absolute().as_uri()}?mode=ro",
        uri=True,
        timeout=shape.patience if patience is None else patience,
        isolation_level=None,
        check_same_thread=False,
    )
    try:
        if not _is_ours(database, shape):
            raise sqlite3.DatabaseError(f"{path} has another format")
    except BaseException:
        database.close()
        raise
    return database


def disk_reads_of_thread() -> int:
    """How often the calling thread has read from a disk, in blocks.  getrusage(2) ru_inblock"""
    return resource.getrusage(resource.RUSAGE_THREAD).ru_inblock


class LookUps:
    """A row or two for a process whose loop must not stand still; what cannot be read now is not known now.

    A row takes some 5 to 8 µs as long as its page lies in memory, as all do once `warm` has read them.  Where one
    waits for the disk longer than a loop may stand still, the file is read through again beside; where that goes on,
    nothing is asked for `REST` seconds.  `warned` takes trouble, each only once.
    """

    def __init__(
        self,
        path: Path,
        shape: Shape,
        warmed: str,
        warned: Callable[[str], None],
        monotonic: Callable[[], float] = time.monotonic,
        disk_reads: Callable[[], int] = disk_reads_of_thread,
    ) -> None:
        """`warmed` is a statement that reads through the tables in question, with one row as its answer."""
        self._path = path
        self._shape = shape
        self._warmed = warmed
        self._warned = warned
        """Takes trouble, the same only once."""
        self._monotonic = monotonic
        self._database: sqlite3.Connection | None = None
        self._inode = 0
        self._look_again = 0.0
        self._rest_until = 0.0
        self._waited = 0.0
        self._waited_since = 0.0
        self._disk_reads = disk_reads
        self._disk_reads_before = 0
        self._trouble = ""
        self._warming: threading.Thread | None = None

    def rows(self, text: str, values: Values) -> list[Row]:
        """The rows; none as well where none can be had now."""
        begin = self._monotonic()
        if begin < self._rest_until:
            return []
        if begin >= self._look_again:
            self.open()
        database = self._database
        if database is None:
            return []
        try:
            found: list[Row] = database.execute(text, values).fetchall()
        except sqlite3.Error as trouble:
            self._give_up(trouble)
            return []
        took = self._monotonic() - begin
        if took > SLOW and self._waited_for_disk():
            self._note_wait(begin, took)
        return found

    def _note_wait(self, now: float, took: float) -> None:
        self.warm()
        if now - self._waited_since > REST:
            self._waited, self._waited_since = 0.0, now
        self._waited += took
        if self._waited > MOST_WAITED:
            self._rest_until = now + REST

    def open(self) -> None:
        """Open the file if it is there, and again where another one has taken its place.

        The first time after a crash that takes a while, and belongs into a thread; `rows` does it once a second.
        """
        self._look_again = self._monotonic() + REST
        try:
            inode = os.stat(self._path).st_ino
        except OSError:
            inode = 0
        if inode == self._inode and self._database is not None:
            return
        self.close()
        if not inode:
            return
        try:
            self._database = open_to_look(self._path, self._shape, patience=0.0)
            self._inode = inode
            self._waited_for_disk()
        except sqlite3.Error as trouble:
            self._give_up(trouble)

    def _give_up(self, trouble: sqlite3.Error) -> None:
        """For a while."""
        self.close()
        self._look_again = self._monotonic() + REST
        if str(trouble) != self._trouble:
            self._trouble = str(trouble)
            self._warned(f"{self._path}: {trouble}; what it holds is not known for now")

    def _waited_for_disk(self) -> bool:
        """True where this thread has read from a disk since this was asked last: a crowded processor is no slow disk."""
        before, self._disk_reads_before = self._disk_reads_before, self._disk_reads()
        return self._disk_reads_before != before

    def warm(self) -> None:
        """Read the tables into memory, in a thread of its own (SQLite lets the others run meanwhile)."""
        if self._warming is None or not self._warming.is_alive():
            self._warming = threading.Thread(target=self._warm, daemon=True, name="warm")
            self._warming.start()

    def _warm(self) -> None:
        with contextlib.suppress(sqlite3.Error):
            database = open_to_look(self._path, self._shape)
            try:
                database.execute(self._warmed).fetchone()
            finally:
                database.close()

    def close(self) -> None:
        """Close the file; `rows` opens it again."""
        if self._database is not None:
            self._database.close()
            self._database, self._inode = None, 0
