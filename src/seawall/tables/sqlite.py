"""sqlite: tables.  sqlite_table(5)

SQLite reads files and waits for locks, so it is asked in threads of the table's own.  The file is opened with the
table, while this process may still read what root alone may read, and never made: a name that is wrong is an error.
"""

from __future__ import annotations

import asyncio
import sqlite3
from concurrent.futures import ThreadPoolExecutor
from urllib.parse import quote

from seawall.tables.parameters import BadParameters, read_parameters
from seawall.tables.pool import Host, Pool, Refusal, Unreachable
from seawall.tables.simple import troubled
from seawall.tables.sql import Rows, SqlTable, Statement, query_of, shared_pool
from seawall.tables.table import Opening, Table
from seawall.tables.template import fill

THREADS = 2
"""Questions to one file at a time; ours."""
LOCK = 5.0
"""Seconds that SQLite waits for somebody who writes; ours, Postfix does not wait at all."""


class SqliteFile:
    """One open file and the thread that asks it."""

    ends_when_closed = False

    def __init__(self, path: str) -> None:
        self._file = open_file(path)
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="sqlite")

    async def ask(self, statement: Statement) -> Rows:
        """The first column of each row, as text."""
        query = fill(statement.template, statement.key, lambda text: text.replace("'", "''"))
        return await asyncio.get_running_loop().run_in_executor(self._thread, self._ask, query)

    def _ask(self, query: str) -> Rows:
        command = first_command(query)
        try:
            cursor = self._file.execute(command)
            return [[_text(row[0])] for row in cursor] if cursor.description else []
        except sqlite3.OperationalError as error:
            raise Refusal(f"SQL step failed for query '{query}': {error}") from None
        except (sqlite3.Error, sqlite3.Warning) as error:
            raise Refusal(f"SQL prepare failed: {error}") from None

    def close(self) -> None:
        """Stop what runs, and let go of the file as soon as it has stopped."""
        try:
            self._file.interrupt()
            self._thread.submit(self._file.close)
        except (sqlite3.Error, RuntimeError):
            pass
        self._thread.shutdown(wait=False)


def open_file(path: str) -> sqlite3.Connection:
    """The file, for reading.  Raises Unreachable."""
    try:
        file = sqlite3.connect(
            f"file:{quote(path)}?mode=ro", uri=True, timeout=LOCK, check_same_thread=False, isolation_level=None
        )
    except sqlite3.Error as error:
        raise Unreachable(f"Can't open database: {error}", refused=True) from None
    file.text_factory = lambda value: value.decode("utf-8", "surrogateescape")
    return file


def first_command(query: str) -> str:
    """A query up to its end: what stands behind that is ignored, as in Postfix."""
    at = -1
    while (at := query.find(";", at + 1)) >= 0:
        if sqlite3.complete_statement(query[: at + 1]):
            return query[: at + 1]
    return query


def _text(value: object) -> str | None:
    if value is None:
        return None
    if isinstance(value, bytes):
        return value.partition(b"\0")[0].decode("utf-8", "surrogateescape")
    return str(value)


def open_sqlite(opening: Opening) -> Table:
    """``sqlite:/path`` or ``sqlite:name``"""
    try:
        parameters = read_parameters(opening)
        path = opening.path(parameters.text("dbpath", low=1))
        query = query_of(parameters)

        def make() -> Pool[Statement, Rows]:
            ready = [SqliteFile(path)]

            async def take(host: Host) -> SqliteFile:
                return ready.pop() if ready else SqliteFile(path)

            return Pool("sqlite", [Host(path, path, local=True)], take, warn=opening.warn, most=THREADS)

        return SqlTable(opening, parameters, query, shared_pool(opening, ("sqlite", path), make), columns=1)
    except BadParameters as bad:
        return troubled(opening, str(bad))
    except Unreachable as trouble:
        return troubled(opening, f"{opening.name}: {trouble.reason}")
