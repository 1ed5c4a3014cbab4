"""One connection to a directory, through bonsai, which knows the protocol by way of OpenLDAP's library."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from types import ModuleType
from typing import Any, TypeAlias
from urllib.parse import unquote, urlsplit

from seawall.tables.pool import Host, Refusal, Unreachable

_SCHEMES = ("ldap", "ldaps", "ldapi")
_SCOPES = {"": 0, "base": 0, "one": 1, "sub": 2}
_LOST = frozenset({-1, -11, 81, 91, 51, 52})
"""LDAP_SERVER_DOWN and LDAP_CONNECT_ERROR in both of the library's ways to write them; busy; unavailable."""
_GLANCE = 0.005
"""Seconds between two looks at a connection that is being made: the library tells no descriptor for that."""
_SAFETY = 0.25
"""Seconds between two looks at one that stands, should bytes wait inside TLS."""

Entries: TypeAlias = list[dict[str, list[str]]]
"""The attributes of each entry; none at all where the base of the search is not there."""


@dataclass(frozen=True, slots=True)
class Search:
    """One search."""

    base: str
    scope: int
    filter: str
    attributes: tuple[str, ...]
    most: int


@dataclass(frozen=True, slots=True)
class Login:
    """What a connection needs beside the server.  `mechanism` is empty, SIMPLE or SASL."""

    mechanism: str
    user: str
    password: str
    sasl_mechanisms: tuple[str, ...]
    sasl_realm: str
    sasl_identity: str
    sasl_minimum: int
    start_tls: bool
    demand_certificate: bool
    ca_file: str
    ca_path: str
    certificate: str
    key: str
    chase_referrals: bool


@dataclass(frozen=True, slots=True)
class Url:
    """The search that a URL means."""

    base: str
    scope: int
    filter: str
    attributes: tuple[str, ...]


def read_url(text: str) -> Url | None:
    """``ldap://host/dn?attributes?scope?filter``, None for what is none.  The host does not count.  RFC 4516"""
    parts = urlsplit(text.strip("<>").removeprefix("URL:"))
    if parts.scheme.lower() not in _SCHEMES:
        return None
    words = [*parts.query.split("?"), "", "", ""]
    scope = _SCOPES.get(words[1].lower())
    if scope is None:
        return None
    attributes = tuple(unquote(word) for word in words[0].split(",") if word)
    return Url(unquote(parts.path.removeprefix("/")), scope, unquote(words[2]) or "(objectclass=*)", attributes)


class LdapConnection:
    """One connection."""

    ends_when_closed = False

    def __init__(self, library: ModuleType, connection: Any) -> None:
        self._library = library
        self._connection = connection

    async def ask(self, search: Search) -> Entries:
        """What is found."""
        errors = self._library.errors
        try:
            found = await self._connection.search(
                search.base, search.scope, search.filter, list(search.attributes), sizelimit=search.most
            )
        except errors.NoSuchObjectError:
            return []
        except errors.LDAPError as error:
            if isinstance(error, errors.ConnectionError | errors.ClosedConnection) or error.code in _LOST:
                raise Unreachable(_reason(error), refused=True) from None
            raise Refusal(f"Search error {abs(error.code)}: {_reason(error)}") from None
        except (OSError, ValueError) as error:
            raise Unreachable(str(error), refused=True) from None
        return [
            {str(name): [_text(value) for value in values] for name, values in entry.items(exclude_dn=True)}
            for entry in found
        ]

    def close(self) -> None:
        """Hang up."""
        try:
            self._connection.close()
        except (self._library.errors.LDAPError, OSError):
            pass


def _text(value: object) -> str:
    return value.decode("utf-8", "surrogateescape") if isinstance(value, bytes) else str(value)


def _reason(error: BaseException) -> str:
    return " ".join(str(error.args[0] if error.args else error).split()) or type(error).__name__


def _patient(base: Any) -> type:
    """The library's connection, but waiting for an answer without asking for it all the time."""

    def evaluate(self: Any, message: int, timeout: float | None = None) -> Awaitable[Any]:
        is_open = getattr(self, "seawall_is_open", False)
        self.seawall_is_open = True
        return _wait(self, super(base, self).get_result, message, is_open)

    return type("PatientConnection", (base,), {"_evaluate": evaluate})


async def _wait(connection: Any, get_result: Callable[[int], Any], message: int, is_open: bool) -> Any:
    loop = asyncio.get_running_loop()
    while True:
        result = get_result(message)
        if result is not None:
            return result
        descriptor = connection.fileno() if is_open else -1
        if descriptor < 0:
            await asyncio.sleep(_GLANCE)
            continue
        ready = loop.create_future()
        loop.add_reader(descriptor, _set, ready)
        try:
            await asyncio.wait({ready}, timeout=_SAFETY)
        finally:
            loop.remove_reader(descriptor)


def _set(ready: asyncio.Future[None]) -> None:
    if not ready.done():
        ready.set_result(None)


async def connect(
    library: ModuleType, asynchronous: ModuleType, host: Host, login: Login, timeout: float
) -> LdapConnection:
    """A connection, bound as the table wants it.  Raises Unreachable."""
    errors = library.errors
    try:
        client = library.LDAPClient(host.name, login.start_tls)
        client.set_async_connection_class(_patient(asynchronous.AIOLDAPConnection))
        _check_files(login)
        _prepare(client, login)
        if login.mechanism == "SASL":
            _log_in(client, login, " ".join(login.sasl_mechanisms) or await _offered(client))
        connection = await client.connect(is_async=True)
    except (errors.LDAPError, OSError, ValueError, TypeError) as error:
        raise Unreachable(_reason(error), refused=True) from None
    return LdapConnection(library, connection)


def _check_files(login: Login) -> None:
    """Raises OSError: the library would go on with what an earlier connection was given."""
    for name in (login.ca_file, login.certificate, login.key):
        if name:
            with open(name, "rb"):
                pass
    if login.ca_path:
        os.listdir(login.ca_path)


async def _offered(client: Any) -> str:
    """The mechanisms that the server has, where the table names none.  RFC 4512 §5.1"""
    connection = await client.connect(is_async=True)
    try:
        found = await connection.search("", 0, "(objectclass=*)", ["supportedSASLMechanisms"])
    finally:
        connection.close()
    return " ".join(str(word) for entry in found for word in entry.get("supportedSASLMechanisms", ())) or "EXTERNAL"


def _log_in(client: Any, login: Login, mechanisms: str) -> None:
    """By the best of several that both sides have."""
    if login.sasl_minimum:
        client.set_sasl_security_properties(min_ssf=login.sasl_minimum)
    client.set_credentials(
        mechanisms, login.user or None, login.password or None, login.sasl_realm or None, login.sasl_identity or None
    )


def _prepare(client: Any, login: Login) -> None:
    client.set_cert_policy("demand" if login.demand_certificate else "never")
    for set_file, name in (
        (client.set_ca_cert, login.ca_file),
        (client.set_ca_cert_dir, login.ca_path),
        (client.set_client_cert, login.certificate),
        (client.set_client_key, login.key),
    ):
        if name:
            set_file(name)
    client.set_server_chase_referrals(login.chase_referrals)
    client.set_auto_page_acquire(False)
    if login.mechanism == "SIMPLE":
        client.set_credentials("SIMPLE", login.user, login.password)
