"""What pgsql, mysql and sqlite tables have in common: the query, its obsolete forms, rows and columns.  db_common(3)"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeAlias

import msgspec

from seawall.tables.parameters import Parameters
from seawall.tables.pool import Host, Pool
from seawall.tables.remote import RemoteTable, make_templates
from seawall.tables.table import Opening
from seawall.tables.template import Parts, Template

Rows: TypeAlias = "Sequence[Sequence[str | None]]"
"""What a query gave, as text; None is NULL."""


class Statement(msgspec.Struct, frozen=True):
    """A query template with the key to ask for; whoever asks fills it in, and quotes as his server wants it."""

    template: Template
    key: Parts


def query_of(parameters: Parameters, *, functions: bool = False) -> str:
    """The query, or what older versions put together for it.  Raises BadParameters.

    With `functions`, select_function comes before the table.  pgsql_table(5) OBSOLETE QUERY INTERFACES
    """
    query = parameters.text("query")
    if query:
        return query
    if functions and parameters.text("select_function"):
        return f"SELECT {parameters.text('select_function')}('%s')"
    for needed in ("table", "select_field", "where_field"):
        parameters.text(needed, low=1)
    more = parameters.text("additional_conditions")
    return (
        f"SELECT {parameters.text('select_field')} FROM {parameters.text('table')} "
        f"WHERE {parameters.text('where_field')}='%s' {more}"
    )


class SqlTable(RemoteTable):
    """A table behind a database.  `columns`: how many columns of a row count, None for all."""

    def __init__(
        self,
        opening: Opening,
        parameters: Parameters,
        query: str,
        pool: Pool[Statement, Rows],
        columns: int | None = None,
    ) -> None:
        result = parameters.text("result_format", "%s", low=1)
        templates = make_templates(parameters, [query], result)
        super().__init__(opening, templates, parameters.text("domain"))
        self._limit = parameters.number("expansion_limit", 0)
        self._pool = pool
        self._columns = columns

    async def _ask(self, key: Parts) -> str | None:
        rows = await self._pool.ask(Statement(self._templates.questions[0], key))
        return self._joined([value for row in rows for value in row[: self._columns]], key, self._limit)


def shared_pool(
    opening: Opening, key: tuple[object, ...], make: Callable[[], Pool[Statement, Rows]]
) -> Pool[Statement, Rows]:
    """The pool that all tables with the same servers and login use."""
    pool = opening.shared(key, make)
    if not isinstance(pool, Pool):
        raise TypeError(f"{key}: not a pool")
    return pool


def hosts_of(parameters: Parameters, read: Callable[[str], Host]) -> tuple[Host, ...]:
    """The servers of ``hosts``; localhost where none is named."""
    return tuple(read(word) for word in parameters.words("hosts") or ["localhost"])
