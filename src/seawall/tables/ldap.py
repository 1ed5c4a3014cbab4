"""ldap: tables.  ldap_table(5).  Their library is an extra: ``pip install 'seawall[ldap]'``.

Entries that name other entries, by DN or URL, are followed; each search is a question of its own to the server.
What of ldap_table(5) is not there is docs/differences.md D-23.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

from seawall.tables.extras import need
from seawall.tables.ldap_server import Entries, Login, Search, connect, read_url
from seawall.tables.parameters import BadParameters, Parameters, read_parameters
from seawall.tables.pool import Host, Patience, Pool
from seawall.tables.remote import RemoteTable, make_templates
from seawall.tables.simple import troubled
from seawall.tables.table import Opening, Table, TableTrouble
from seawall.tables.template import Parts, fill

SCOPES = {"base": 0, "one": 1, "sub": 2}
BINDS = {"no": "", "none": "", "yes": "SIMPLE", "simple": "SIMPLE", "sasl": "SASL"}
_REPLACED = {
    "tls_cipher_suite": "set TLS_CIPHER_SUITE in ldap.conf(5)",
}
_LDAP_PORT = 389
MOST_SEARCHES = 10_000
"""In one look-up; ours: groups that name each other are followed up to recursion_limit, along every path."""
BASE_KNOWN = 60.0
"""Seconds for which a search base that was seen counts as there; ours."""


def quote_filter(text: str) -> str:
    """RFC 4515 §3"""
    return "".join(f"\\{ord(sign):02X}" if sign in "*()\\\0" else sign for sign in text)


def quote_dn(text: str) -> str:
    """RFC 4514 §2.4, with hexadecimal digits for all that needs any"""
    return "".join(f"\\{ord(sign):02X}" if sign in ' \t"#+,;<>\\=\0' else sign for sign in text)


@dataclass(frozen=True, slots=True)
class Attributes:
    """What is read of an entry, in Postfix's four kinds."""

    terminal: tuple[str, ...]
    leaf: tuple[str, ...]
    plain: tuple[str, ...]
    special: tuple[str, ...]

    @property
    def all(self) -> tuple[str, ...]:
        """In the order that decides what an attribute counts as which stands in two of the lists."""
        return (*self.terminal, *self.leaf, *self.plain, *self.special)

    def kind_of(self, name: str) -> str:
        """Which list an attribute of an entry belongs to; empty where to none."""
        for kind, names in (
            ("terminal", self.terminal),
            ("leaf", self.leaf),
            ("plain", self.plain),
            ("special", self.special),
        ):
            if any(is_subtype(each, name) for each in names):
                return kind
        return ""


def is_subtype(name: str, other: str) -> bool:
    """Is `other` the same attribute, or one with more options?  RFC 4512 §2.5"""
    name, other = name.lower(), other.lower()
    return other == name or other.startswith(name + ";")


def wanted_of_url(wanted: tuple[str, ...], attributes: tuple[str, ...]) -> tuple[str, ...]:
    """The attributes to ask for where a URL names some: those in both, the more special of the two."""
    if not attributes:
        return wanted
    found: list[str] = []
    for of_url in attributes:
        for ours in wanted:
            if is_subtype(of_url, ours):
                found.append(ours)
            elif is_subtype(ours, of_url):
                found.append(of_url)
    return tuple(found)


class _Step(NamedTuple):
    """One value of an attribute; `follow` where it names an entry."""

    name: str
    value: str
    follow: bool


@dataclass(slots=True)
class _Walk:
    """One look-up on its way from entry to entry: what lies ahead, at each depth."""

    key: Parts
    ahead: list[Iterator[_Step]]
    values: list[str] = field(default_factory=list)
    searches: int = 0


class LdapTable(RemoteTable):
    """A table in a directory."""

    def __init__(self, opening: Opening, parameters: Parameters, pool: Pool[Search, Entries]) -> None:
        query = parameters.text("query_filter", "(mailacceptinggeneralid=%s)")
        result = parameters.text("result_format") or parameters.text("result_filter", "%s", low=1)
        templates = make_templates(parameters, [parameters.text("search_base"), query], result)
        super().__init__(opening, templates, parameters.text("domain"))
        if not templates.dynamic[1]:
            opening.warn(f"dict_ldap_open: {opening.text}: Fixed query_filter {query} is probably useless")
        self._pool = pool
        self._base_seen = float("-inf")
        scope = parameters.choice("scope", "sub", SCOPES)
        if scope is None:
            shown = parameters.text("scope")
            opening.warn(f"dict_ldap_open: {opening.text}: Unrecognized value {shown} specified for scope; using sub")
        self._scope = SCOPES["sub"] if scope is None else scope
        self._recursion_limit = parameters.number("recursion_limit", 1000, low=1)
        self._limit = parameters.number("expansion_limit", 0)
        self._size_limit = parameters.number("size_limit", self._limit)
        self._attributes = Attributes(
            tuple(parameters.words("terminal_result_attribute")),
            tuple(parameters.words("leaf_result_attribute")),
            tuple(parameters.words("result_attribute", "maildrop")),
            tuple(parameters.words("special_result_attribute")),
        )

    async def _ask(self, key: Parts) -> str | None:
        base, query = self._templates.questions
        search = Search(
            fill(base, key, quote_dn),
            self._scope,
            fill(query, key, quote_filter),
            self._attributes.all,
            self._size_limit,
        )
        entries = await self._pool.ask(search)
        if not entries and not self._templates.dynamic[0]:
            await self._check_base(search.base)
        walk = _Walk(key, [self._steps(entries)])
        while walk.ahead:
            step = next(walk.ahead[-1], None)
            if step is None:
                walk.ahead.pop()
            elif step.follow:
                await self._follow(step, walk)
            else:
                self._take(step.value, walk)
        return ",".join(walk.values) or None

    async def _check_base(self, base: str) -> None:
        """Nothing found, and the base does not depend on the key: without a base nobody knows what there is.

        The library does not tell a base that is missing from one without entries.
        """
        now = time.monotonic()
        if now < self._base_seen + BASE_KNOWN:
            return
        if not await self._pool.ask(Search(base, SCOPES["base"], "(objectclass=*)", ("1.1",), 0)):
            raise self._trouble(f"Search base '{base}' not found: 32: No such object")
        self._base_seen = now

    def _trouble(self, reason: str) -> TableTrouble:
        self._warn(f"dict_ldap_lookup: {self.name.partition(':')[2]}: {reason}")
        return TableTrouble(self.name, reason)

    def _steps(self, entries: Entries) -> Iterator[_Step]:
        """The values of these entries, in order, and which of them name further entries."""
        if 0 < self._size_limit < len(entries):
            raise self._trouble(f"Query size limit ({self._size_limit}) exceeded")
        for entry in entries:
            kinds = {name: self._attributes.kind_of(name) for name, values in entry.items() if values}
            is_terminal = "terminal" in kinds.values()
            has_special = not is_terminal and "special" in kinds.values()
            for name, kind in kinds.items():
                if not kind or (is_terminal and kind != "terminal") or (has_special and kind == "leaf"):
                    continue
                for value in entry[name]:
                    yield _Step(name, value, kind == "special")

    def _take(self, value: str, walk: _Walk) -> None:
        if not value:
            self._warn(f'table "{self.name}": empty lookup result for: "{walk.key.whole}" -- ignored')
        shown = self._templates.result_of(value, walk.key)
        if shown is None:
            return
        walk.values.append(shown)
        if 0 < self._limit < len(walk.values):
            raise self._trouble(f"Expansion limit exceeded for key: '{walk.key.whole}'")

    async def _follow(self, step: _Step, walk: _Walk) -> None:
        """Search for what a value names."""
        if len(walk.ahead) >= self._recursion_limit:
            raise self._trouble(f"Recursion limit exceeded for special attribute {step.name}={step.value}")
        walk.searches += 1
        if walk.searches > MOST_SEARCHES:
            raise self._trouble(f"more than {MOST_SEARCHES} searches for key: '{walk.key.whole}'")
        wanted = self._attributes.all
        if "://" not in step.value:
            search = Search(step.value, SCOPES["base"], "(objectclass=*)", wanted, self._size_limit)
        else:
            url = read_url(step.value)
            if url is None:
                raise self._trouble(f"malformed URL {step.value}")
            attributes = wanted_of_url(wanted, url.attributes)
            if not attributes:
                return
            search = Search(url.base, url.scope, url.filter, attributes, self._size_limit)
        walk.ahead.append(self._steps(await self._pool.ask(search)))


def read_servers(parameters: Parameters, opening: Opening) -> tuple[Host, ...]:
    """The servers as URLs, in their order."""
    port = parameters.number("server_port", _LDAP_PORT)
    hosts: list[Host] = []
    for word in parameters.text("server_host", "localhost", low=1).replace(",", " ").split():
        if "://" in word:
            url = word
        else:
            url = f"ldap://{word}" if ":" in word else f"ldap://{word}:{port}"
        hosts.append(Host(url, url, 0, url.startswith("ldapi:")))
    return tuple(hosts)


def read_login(parameters: Parameters, opening: Opening) -> Login:
    """Raises BadParameters, for what the library cannot do as well."""
    for name, remedy in _REPLACED.items():
        if parameters.text(name):
            raise BadParameters(f"{parameters.source}: {name} is not served: {remedy}")
    if parameters.number("dereference", 0) != 0:
        raise BadParameters(f"{parameters.source}: dereference other than 0 is not served: name the entries themselves")
    if parameters.number("version", 3) not in (2, 3):
        opening.warn(f"dict_ldap_open: {opening.text} Unknown version, using 3.")
    bind = parameters.choice("bind", "yes", BINDS)
    if bind is None:
        raise BadParameters(f"{parameters.source}: unsupported parameter value: bind = {parameters.text('bind')}")
    for name in ("cache", "cache_expiry", "cache_size"):
        if parameters.get(name) not in (None, "no"):
            opening.warn(f"dict_ldap_open: {opening.text} ignoring {name}")
    return Login(
        mechanism=bind,
        user=parameters.text("bind_dn"),
        password=parameters.text("bind_pw"),
        sasl_mechanisms=tuple(parameters.words("sasl_mechs")) if bind == "SASL" else (),
        sasl_realm=parameters.text("sasl_realm"),
        sasl_identity=parameters.text("sasl_authz_id"),
        sasl_minimum=parameters.number("sasl_minssf", 0, high=4096),
        start_tls=parameters.flag("start_tls", False),
        demand_certificate=parameters.flag("tls_require_cert", False),
        ca_file=parameters.text("tls_ca_cert_file"),
        ca_path=parameters.text("tls_ca_cert_dir"),
        certificate=parameters.text("tls_cert"),
        key=parameters.text("tls_key"),
        chase_referrals=parameters.flag("chase_referrals", False),
    )


def open_ldap(opening: Opening) -> Table:
    """``ldap:/path`` or ``ldap:name``"""
    library = need("bonsai", "ldap")
    asynchronous = need("bonsai.asyncio", "ldap")
    try:
        parameters = read_parameters(opening)
        hosts = read_servers(parameters, opening)
        login = read_login(parameters, opening)
        timeout = float(parameters.number("timeout", 10) or 10)
        patience = Patience(connect=timeout, answer=timeout)

        def make() -> Pool[Search, Entries]:
            return Pool(
                "ldap",
                hosts,
                lambda host: connect(library, asynchronous, host, login, timeout),
                warn=opening.warn,
                patience=patience,
                in_order=True,
            )

        pool = opening.shared(("ldap", hosts, login, patience), make)
        if not isinstance(pool, Pool):
            raise TypeError("ldap: not a pool")
        return LdapTable(opening, parameters, pool)
    except BadParameters as bad:
        return troubled(opening, str(bad))
