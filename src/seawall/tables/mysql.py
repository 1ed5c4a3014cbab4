"""mysql: tables.  mysql_table(5).  Their library is an extra: ``pip install 'seawall[mysql]'``."""

from __future__ import annotations

import errno
import os
import socket
import ssl
from collections.abc import Sequence
from dataclasses import dataclass
from types import ModuleType
from typing import Any

from seawall.tables.extras import need
from seawall.tables.mysql_options import Options, read_options
from seawall.tables.parameters import BadParameters, Parameters, read_parameters
from seawall.tables.pool import Host, Patience, Pool, Refusal, Unreachable
from seawall.tables.simple import troubled
from seawall.tables.sql import Rows, SqlTable, Statement, hosts_of, query_of, shared_pool
from seawall.tables.table import Opening, Table
from seawall.tables.template import fill

_SOCKETS = ("/run/mysqld/mysqld.sock", "/var/run/mysqld/mysqld.sock", "/var/lib/mysql/mysql.sock", "/tmp/mysql.sock")
"""Where servers listen for those who name no socket: Debian's place first, then others'."""
_PORT = 3306
_NO_BACKSLASH_ESCAPES = 512  # a flag of the server's state, in each of its answers
_ESCAPES = str.maketrans({"\0": "\\0", "\n": "\\n", "\r": "\\r", "\\": "\\\\", "'": "\\'", '"': '\\"', "\x1a": "\\Z"})
_LOST = frozenset({1053, 1077, 1079, 2006, 2013, 2014})
"""Errors after which there is no server at the other end: shutting down, gone away, lost."""
_TURNED_AWAY = frozenset({1040, 1129, 1203, 1226})
"""Too many connections, of all or of this user; the host is blocked."""


@dataclass(frozen=True, slots=True)
class Login:
    """What a connection needs beside the host."""

    user: str
    password: str
    database: str
    options: Options
    verify_name: bool
    needs_result: bool


class MyConnection:
    """One connection."""

    ends_when_closed = False

    def __init__(self, library: ModuleType, connection: Any, login: Login) -> None:
        self._library = library
        self._connection = connection
        self._login = login

    async def ask(self, statement: Statement) -> Rows:
        """The rows of the one result set, as text."""
        errors = self._library.errors
        try:
            return await self._ask(fill(statement.template, statement.key, self._quote))
        except errors.MySQLError as error:
            number = error.args[0] if error.args else 0
            if number in _LOST or not self._connection.connected:
                raise Unreachable(_reason(error), refused=True) from None
            raise Refusal(f"mysql query failed: {_reason(error)}") from None
        except (OSError, EOFError) as error:
            raise Unreachable(_reason(error), refused=True) from None

    async def _ask(self, query: str) -> Rows:
        found: list[Sequence[str | None]] | None = None
        async with self._connection.cursor() as cursor:
            await cursor.execute(query)
            while True:
                if cursor.description is not None:
                    if found is not None:
                        raise Refusal("query failed: query returned multiple result sets")
                    found = [[_text(value) for value in row] for row in await cursor.fetchall()]
                if not await cursor.nextset():
                    break
        if found is None and self._login.needs_result:
            raise Refusal("query failed: query returned no result set (require_result_set = yes)")
        return found or []

    def _quote(self, text: str) -> str:
        """mysql_real_escape_string(3)"""
        if self._connection.server_status & _NO_BACKSLASH_ESCAPES:
            return text.replace("'", "''")
        return text.translate(_ESCAPES)

    def close(self) -> None:
        """Hang up."""
        self._connection.close()


def _text(value: object) -> str | None:
    if value is None:
        return None
    return value.decode("utf-8", "surrogateescape") if isinstance(value, bytes) else str(value)


def _reason(error: BaseException) -> str:
    if isinstance(error, OSError) and error.errno:
        return os.strerror(error.errno)
    text = str(error.args[1]) if len(error.args) > 1 else str(error)
    return " ".join(text.split()) or type(error).__name__


def read_host(word: str) -> Host:
    """``unix:/path``, ``inet:host:port`` or ``host``; localhost is the server's usual socket."""
    if word.startswith("unix:"):
        return Host(word, word[5:], 0, True)
    text = word.removeprefix("inet:")
    name, colon, port = text.rpartition(":")
    if not colon:
        name, port = text, ""
    if name.lower() == "localhost":
        return Host(word, "", _port(port, word), True)
    return Host(word, name, _port(port, word))


def _port(text: str, word: str) -> int:
    if text.isascii() and text.isdigit():
        return int(text)
    try:
        return socket.getservbyname(text, "tcp") if text else 0
    except OSError:
        raise BadParameters(f"unknown service: {word}") from None


def _context(login: Login) -> ssl.SSLContext | None:
    """TLS, where a file for it is named."""
    options = login.options
    if not (options.certificate or options.key or options.ca_file or options.ca_path):
        return None
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = login.verify_name
    if options.ca_file or options.ca_path:
        context.load_verify_locations(options.ca_file or None, options.ca_path or None)
    else:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    if options.certificate:
        context.load_cert_chain(options.certificate, options.key or None)
    return context


def _socket_of(host: Host, options: Options) -> str | None:
    if not host.local:
        return None
    if host.name or options.socket:
        return host.name or options.socket
    return next((path for path in _SOCKETS if os.path.exists(path)), _SOCKETS[0])


async def connect(library: ModuleType, host: Host, login: Login, context: ssl.SSLContext | None) -> MyConnection:
    """A connection.  Raises Unreachable."""
    path = _socket_of(host, login.options)
    if path is not None and not os.path.exists(path):
        raise Unreachable(f"{path}: {os.strerror(errno.ENOENT)}", refused=True)
    try:
        made = await library.connect(
            host=host.name or "localhost",
            port=host.port or login.options.port or _PORT,
            unix_socket=path,
            user=login.user or login.options.user or None,
            password=login.password,
            database=login.database,
            charset="utf8mb4",
            autocommit=True,  # each question sees what is there now
            use_unicode=False,
            conv={str: str},  # no decoders: values as the server writes them
            ssl=context,
            connect_timeout=60,  # who calls is bounded already
        )
    except library.errors.MySQLError as error:
        raise Unreachable(_reason(error), refused=True) from None
    except (OSError, EOFError, ValueError, RuntimeError) as error:
        raise Unreachable(_reason(error), refused=True) from None
    return MyConnection(library, made, login)


def _login(parameters: Parameters, opening: Opening) -> Login:
    options = read_options(parameters, opening.path)
    return Login(
        parameters.text("user"),
        parameters.text("password"),
        parameters.text("dbname", low=1),
        options,
        parameters.flag("tls_verify_cert", False),
        parameters.flag("require_result_set", True),
    )


def open_mysql(opening: Opening) -> Table:
    """``mysql:/path`` or ``mysql:name``"""
    library = need("asyncmy", "mysql")
    need("asyncmy.errors", "mysql")
    try:
        parameters = read_parameters(opening)
        hosts = hosts_of(parameters, read_host)
        login = _login(parameters, opening)
        patience = Patience(idle=parameters.number("idle_interval", 60, low=1))
        try:
            context = _context(login)
        except (OSError, ValueError) as error:
            raise BadParameters(f"{parameters.source}: TLS: {_reason(error)}") from None

        def make() -> Pool[Statement, Rows]:
            async def join(host: Host) -> MyConnection:
                return await connect(library, host, login, context)

            return Pool("mysql", hosts, join, warn=opening.warn, patience=patience)

        pool = shared_pool(opening, ("mysql", hosts, login, patience), make)
        return SqlTable(opening, parameters, query_of(parameters), pool)
    except BadParameters as bad:
        return troubled(opening, str(bad))
