"""pgsql: tables.  pgsql_table(5)

Where every macro of a query stands inside quotes (``'%s'``, ``'@%d'``), the query is prepared once on each connection
and the quoted texts are its arguments: one round trip a question.  PostgreSQL finds the type of such an argument as it
finds that of a quoted text, so the meaning stays; where it cannot, or wants a number there, the key is quoted into the
text as Postfix does it.  The client's encoding is UTF-8, as from Postfix 3.8 on (docs/differences.md D-20).
"""

from __future__ import annotations

import hashlib
import os
import re
import time
from collections.abc import Sequence
from dataclasses import dataclass

import asyncpg

from seawall.tables.parameters import BadParameters, read_parameters
from seawall.tables.pool import Host, Patience, Pool, Refusal, Unreachable
from seawall.tables.simple import troubled
from seawall.tables.sql import Rows, SqlTable, Statement, hosts_of, query_of, shared_pool
from seawall.tables.table import Opening, Table
from seawall.tables.template import Macro, Template, fill

_URI = ("postgresql:", "postgres:")
_TEXTS = frozenset({"text", "varchar", "bpchar", "name", "citext", "unknown"})
_PLAIN = _TEXTS | {"bool", "int2", "int4", "int8", "inet", "cidr"}
"""Types of columns whose Python form says what PostgreSQL prints."""
_GOING = (
    asyncpg.AdminShutdownError,
    asyncpg.CrashShutdownError,
    asyncpg.CannotConnectNowError,
    asyncpg.PostgresConnectionError,
)
_FORGOTTEN = (asyncpg.InvalidSQLStatementNameError, asyncpg.DuplicatePreparedStatementError)
"""What a pooler between us says that gives each question another server connection."""
LONGEST_READY = 300.0
"""Seconds after which a query is made ready anew, ours: PostgreSQL keeps the types that its columns had."""
_COMMAND = re.compile(r"(?:'[^']*'|\"[^\"]*\"|[^;'\"])+;?")
_WORDS = re.compile(r"[A-Za-z0-9_\"&]\Z")


@dataclass(frozen=True, slots=True)
class Login:
    """What a connection needs beside the host."""

    user: str
    password: str
    database: str


@dataclass(frozen=True, slots=True)
class Prepared:
    """A query with places ``$1``…, and the template of each place's text."""

    text: str
    places: tuple[Template, ...]


def arguments_of(template: Template) -> Prepared | None:
    """The query with its quoted texts as arguments; None where a macro stands outside plain quotes."""
    text: list[str] = []
    places: list[Template] = []
    inside: list[str | Macro] | None = None
    for part in template:
        if isinstance(part, Macro):
            if inside is None:
                return None
            inside.append(part)
            continue
        if any(sign in part for sign in ("\\", "--", "/*", "$")):
            return None  # other kinds of quotes, and comments: let PostgreSQL read them
        for at, piece in enumerate(re.split(r"(')", part)):
            if not at % 2:
                (text if inside is None else inside).append(piece)
            elif inside is None:
                if text and _WORDS.search("".join(text)):
                    return None  # E'…', date '…'
                inside = []
            else:
                _end_place(text, places, inside)
                inside = None
    if inside is not None or not _is_plain("".join(text)):
        return None
    return Prepared("".join(text), tuple(places))


def _end_place(text: list[str], places: list[Template], inside: list[str | Macro]) -> None:
    """A quoted text has ended: one with a macro becomes a place, another stays."""
    if any(isinstance(part, Macro) for part in inside):
        places.append(tuple(part for part in inside if part))
        text.append(f"${len(places)}")
    else:
        text.append("'" + "".join(part for part in inside if isinstance(part, str)) + "'")


def _is_plain(text: str) -> bool:
    """False where two quotes stood side by side: a quote inside a text, or texts that are one."""
    return not re.search(r"(\$\d|')\s*(\$\d|')", text) and '"' not in text


@dataclass(frozen=True, slots=True)
class Ready:
    """A query as a connection knows it by name; None where its keys go into the text.  Until then (monotonic)."""

    prepared: asyncpg.PreparedStatement | None
    places: tuple[Template, ...]
    until: float


class PgConnection:
    """One connection, with what it has prepared."""

    ends_when_closed = True

    def __init__(self, connection: asyncpg.Connection) -> None:
        self._connection = connection
        self._prepared: dict[Template, Ready] = {}
        self._made = 0

    async def ask(self, statement: Statement) -> Rows:
        """The rows, as text."""
        template = statement.template
        try:
            ready = self._prepared.get(template)
            if ready is None or ready.until < time.monotonic():
                ready = await self._make_ready(template)
            if ready.prepared is None:
                return await self._ask_with_key_in_text(statement)
            try:
                rows = await ready.prepared.fetch(*[fill(place, statement.key) for place in ready.places])
            except _FORGOTTEN:
                self._prepared[template] = Ready(None, (), ready.until)
                return await self._ask_with_key_in_text(statement)
            except (asyncpg.InvalidCachedStatementError, asyncpg.FeatureNotSupportedError):
                del self._prepared[template]  # somebody changed the table
                return await self._ask_with_key_in_text(statement)
            return _texts(rows)
        except _GOING as error:
            raise Unreachable(_one_line(error), refused=True) from None
        except asyncpg.PostgresError as error:
            if self._connection.is_closed():
                raise Unreachable(_one_line(error), refused=True) from None
            raise Refusal(f"pgsql query failed: {_one_line(error)}") from None
        except (asyncpg.InterfaceError, asyncpg.InternalClientError, OSError) as error:
            raise Unreachable(_one_line(error), refused=True) from None

    async def _make_ready(self, template: Template) -> Ready:
        ready = self._prepared[template] = await self._prepare(template)
        return ready

    async def _prepare(self, template: Template) -> Ready:
        """The query made ready, under a name that the same query alone has: a pooler may show it to others."""
        until = time.monotonic() + LONGEST_READY
        unready = Ready(None, (), until)
        places = arguments_of(template)
        if places is None:
            return unready
        try:
            prepared = await self._connection.prepare(places.text, name="")
            if any(each.name not in _TEXTS for each in prepared.get_parameters()):
                return unready
            text = _with_texts(places.text, prepared.get_attributes()) or places.text
            self._made += 1
            name = f"seawall_{hashlib.sha256(text.encode()).hexdigest()[:24]}_{os.getpid()}_{self._made}"
            return Ready(await self._connection.prepare(text, name=name), places.places, until)
        except asyncpg.PostgresError:
            return unready  # what is wrong is said of the query as Postfix sends it

    async def _ask_with_key_in_text(self, statement: Statement) -> Rows:
        connection = self._connection
        text = fill(statement.template, statement.key, self._quote)
        try:
            prepared = await connection.prepare(text, name="")
        except asyncpg.PostgresSyntaxError:
            *before, text = split_commands(text)
            if not before:
                raise
            for command in before:
                await connection.execute(command)
            prepared = await connection.prepare(text, name="")
        cast = _with_texts(text, prepared.get_attributes())
        if cast is not None:
            try:
                prepared = await connection.prepare(cast, name="")
            except asyncpg.PostgresError:
                prepared = await connection.prepare(text, name="")
        return _texts(await prepared.fetch())

    def _quote(self, text: str) -> str:
        """PQescapeStringConn(3)"""
        if getattr(self._connection.get_settings(), "standard_conforming_strings", "on") != "on":
            text = text.replace("\\", "\\\\")
        return text.replace("'", "''")

    def close(self) -> None:
        """Hang up."""
        self._connection.terminate()


def split_commands(query: str) -> list[str]:
    """The commands of a query, all but the last with their semicolons; the last one's rows count.  PQexec(3)"""
    if ";" not in query:
        return [query]
    commands = [found for found in _COMMAND.findall(query) if found.strip(" \t\n;")]
    return commands or [query]


def _with_texts(query: str, columns: Sequence[asyncpg.Attribute]) -> str | None:
    """The query with those columns as text whose Python form says something else; None where there is none."""
    if all(column.type.name in _PLAIN for column in columns):
        return None
    names = [f"c{at}" for at in range(len(columns))]
    wanted = ", ".join(
        f"q.{name}" if column.type.name in _PLAIN else f"q.{name}::text"
        for name, column in zip(names, columns, strict=True)
    )
    return f"SELECT {wanted} FROM ({query.rstrip().rstrip(';')}) AS q({', '.join(names)})"


def _texts(rows: Sequence[Sequence[object]]) -> Rows:
    """What PostgreSQL prints; libpq shows NULL as an empty text."""
    return [[_text(value) for value in row] for row in rows]


def _text(value: object) -> str:
    if value is None:
        return ""
    if value.__class__ is bool:
        return "t" if value else "f"
    return value if isinstance(value, str) else str(value)


def _one_line(error: BaseException) -> str:
    if isinstance(error, OSError) and error.errno:
        return os.strerror(error.errno)
    return " ".join(str(error).split()) or type(error).__name__


def read_host(word: str) -> Host:
    """``unix:/directory``, ``inet:host:port``, ``host``, or a URI."""
    if word.startswith(_URI):
        return Host(re.sub(r"//[^/@]*@", "//", word), word)
    text = word[5:] if word.startswith(("unix:", "inet:")) else word
    name, colon, port = text.rpartition(":")
    if not colon:
        name, port = text, ""
    if port and not (port.isascii() and port.isdigit()):
        raise BadParameters(f"bad port in pgsql host: {word}")
    return Host(word, name, int(port or 0), not name or name.startswith("/"))


async def connect(host: Host, login: Login) -> PgConnection:
    """A connection.  Raises Unreachable."""
    more = {"application_name": "seawall"}
    try:
        if host.name.startswith(_URI):
            made = await asyncpg.connect(dsn=host.name, server_settings=more, statement_cache_size=0)
        else:
            made = await asyncpg.connect(
                host=host.name or None,
                port=host.port or None,
                user=login.user or None,
                password=login.password or None,
                database=login.database,
                server_settings=more,
                statement_cache_size=0,
            )
    except (OSError, ValueError, asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError) as error:
        raise Unreachable(_one_line(error), refused=True) from None
    return PgConnection(made)


def open_pgsql(opening: Opening) -> Table:
    """``pgsql:/path`` or ``pgsql:name``"""
    try:
        parameters = read_parameters(opening)
        hosts = hosts_of(parameters, read_host)
        login = Login(parameters.text("user"), parameters.text("password"), parameters.text("dbname", low=1))
        patience = Patience(idle=parameters.number("idle_interval", 60, low=1))

        def make() -> Pool[Statement, Rows]:
            return Pool("pgsql", hosts, lambda host: connect(host, login), warn=opening.warn, patience=patience)

        pool = shared_pool(opening, ("pgsql", hosts, login, patience), make)
        return SqlTable(opening, parameters, query_of(parameters, functions=True), pool)
    except BadParameters as bad:
        return troubled(opening, str(bad))
