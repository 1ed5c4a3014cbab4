"""Which names a configuration may use: Postfix's, those of its services, and those that the site made up.

A name that a site made up is in order where something uses it: a ``$name``, smtpd_restriction_classes, or a database
table by its old form (``pgsql:prefix`` makes ``prefix_hosts`` a parameter).  All others are unused, as a misspelled
name is.  postconf(1), Postfix postconf_user(3), postconf_dbms(3)
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import Enum
from types import MappingProxyType

from seawall.config.expand import ExpansionTrouble, Lookup, expand, scan
from seawall.config.main_cf import parse_main_cf
from seawall.config.master_cf import COMMAND, SERVICE, Entry
from seawall.config.parameter import Kind, split_words, unbrace
from seawall.config.registry import OWN_PREFIX, REGISTRY
from seawall.config.registry.templates import OBSOLETE, PROGRAM_SUFFIXES
from seawall.config.settings import READ_ONLY, Settings
from seawall.config.source import ConfigTrouble

COMMON = frozenset({"domain", "expansion_limit", "query", "result_format"})
SQL = COMMON | {"additional_conditions", "select_field", "table", "where_field"}
SQL_SERVER = SQL | {"dbname", "hosts", "idle_interval", "password", "retry_interval", "user"}
DATABASE_PARAMETERS: Mapping[str, frozenset[str]] = MappingProxyType(
    {
        # table type: the parameters of its configuration file
        "ldap": COMMON - {"query"}
        | {
            "bind",
            "bind_dn",
            "bind_pw",
            "cache",
            "cache_expiry",
            "cache_size",
            "chase_referrals",
            "debuglevel",
            "dereference",
            "leaf_result_attribute",
            "query_filter",
            "recursion_limit",
            "result_attribute",
            "result_filter",
            "sasl_authz_id",
            "sasl_mechs",
            "sasl_minssf",
            "sasl_realm",
            "scope",
            "search_base",
            "server_host",
            "server_port",
            "size_limit",
            "special_result_attribute",
            "start_tls",
            "terminal_result_attribute",
            "timeout",
            "tls_ca_cert_dir",
            "tls_ca_cert_file",
            "tls_cert",
            "tls_cipher_suite",
            "tls_key",
            "tls_random_file",
            "tls_require_cert",
            "version",
        },
        "mysql": SQL_SERVER
        | {
            "charset",
            "option_file",
            "option_group",
            "require_result_set",
            "tls_CAfile",
            "tls_CApath",
            "tls_cert_file",
            "tls_ciphers",
            "tls_key_file",
            "tls_verify_cert",
        },
        "pgsql": SQL_SERVER | {"encoding", "select_function"},
        "sqlite": SQL | {"dbpath"},
        "memcache": frozenset(
            {
                "backup",
                "data_size_limit",
                "domain",
                "flags",
                "key_format",
                "line_size_limit",
                "max_try",
                "memcache",
                "retry_pause",
                "timeout",
                "ttl",
            }
        ),
    }
)


class NameClass(Enum):
    """Where a name comes from."""

    BUILTIN = "builtin"
    SERVICE = "service"
    USER = "user"
    LEGACY = "legacy"  # shown only where it is set, as USER
    OWN = "own"  # seawall_…: shown only where it is named


@dataclass(frozen=True, slots=True)
class Scope:
    """One set of assignments: main.cf (`entry` is None) or the ``-o name=value`` of one service."""

    entry: Entry | None
    values: Mapping[str, str]
    file: str

    @property
    def shown(self) -> str:
        """What a warning about a brace calls the scope."""
        base = self.file.rpartition("/")[2]
        return f"{base}:{self.entry.name}" if self.entry else base


class _Fatal(Exception):
    """The text ends postconf(1)."""


class Names:
    """The names of one configuration, each with its class; `warnings` in the order that they were found."""

    def __init__(self, settings: Settings, entries: tuple[Entry, ...], *, scanning: bool = True) -> None:
        """`scanning` False registers Postfix's and the services' names alone, as `postconf -d` does."""
        self.classes: dict[str, NameClass] = {}
        self.defaults: dict[str, str] = {}
        self.warnings: list[str] = []
        self.fatal = ""
        """What ends Postfix's postconf(1) before it has looked at everything."""
        self.read_only: set[str] = set()
        self._settings = settings
        self._visited: set[str] = set()
        self._classes_of_restrictions: set[str] = set()
        self._main = Scope(
            None,
            {name: value.text for name, value in settings.values.items()},
            f"{settings.directory}/main.cf",
        )
        self._locals = tuple(Scope(entry, entry.overrides(), f"{settings.directory}/master.cf") for entry in entries)
        self._valid: tuple[set[str], ...] = tuple(set() for _ in self._locals)
        self._register_known(entries)
        if scanning:
            try:
                self._register_used()
            except _Fatal as trouble:
                self.fatal = str(trouble)

    def sorted_names(self, wanted: frozenset[NameClass]) -> list[str]:
        """The names of some classes, sorted by bytes."""
        return sorted(name for name, kind in self.classes.items() if kind in wanted)

    def unused(self) -> Iterator[tuple[Scope, str, str]]:
        """(where, name, value) of every assignment that nothing uses."""
        for name, value in self._main.values.items():
            if name not in self.classes:
                yield self._main, name, value
        for scope, valid in zip(self._locals, self._valid, strict=True):
            for name, value in scope.values.items():
                if name not in self.classes and name not in valid:
                    yield scope, name, value

    def _register_known(self, entries: tuple[Entry, ...]) -> None:
        for name in REGISTRY:
            self.classes[name] = NameClass.OWN if name.startswith(OWN_PREFIX) else NameClass.BUILTIN
        self.classes.update(dict.fromkeys(OBSOLETE, NameClass.LEGACY))
        self.classes.update(dict.fromkeys(READ_ONLY, NameClass.BUILTIN))
        for entry in entries:
            suffixes = PROGRAM_SUFFIXES.get(entry.fields[COMMAND], {})
            for suffix, base in suffixes.items():
                name = entry.fields[SERVICE] + suffix
                if name not in self.classes:
                    self.defaults[name] = f"${base}"
                self.classes[name] = NameClass.SERVICE

    def _register_used(self) -> None:
        for scope in self._locals:
            self._scan_scope(scope)
        for name in list(self.classes):
            if not self._is_raw(name) and name not in self._main.values:
                self._scan_value(self.default(name), self._main)
        self._scan_scope(self._main)

    def default(self, name: str) -> str:
        """The default of a name, unexpanded; empty for one that has none."""
        return self.defaults.get(name) or self._settings.default(name) or ""

    def _is_raw(self, name: str) -> bool:
        known = REGISTRY.get(name)
        return known is not None and known.kind is Kind.RAW

    def _scan_scope(self, scope: Scope) -> None:
        self._scan_restriction_classes(scope)
        for name, value in scope.values.items():
            if scope.entry and name in self._classes_of_restrictions:
                self._valid_names(scope).add(name)
            kind = self.classes.get(name)
            if name in READ_ONLY:
                self.read_only.add(name)
                self.warnings.append(f"{scope.file}: read-only parameter assignment: {name}={value}")
                continue
            if kind is NameClass.LEGACY:
                self.classes[name] = NameClass.USER
            if self._is_raw(name):
                continue
            self._scan_value(value, scope)
            if kind in (NameClass.BUILTIN, NameClass.SERVICE):
                self._scan_tables(self._expand(value, scope), scope)

    def _scan_restriction_classes(self, scope: Scope) -> None:
        value = scope.values.get("smtpd_restriction_classes")
        if value is None:
            return
        title = f"dictionary {scope.entry.name if scope.entry else 'mail_dict'}: "
        for name in self._expanded(value, scope.values.get, title).replace(",", " ").split():
            if scope.entry is None:
                self._classes_of_restrictions.add(name)
            self._flag(name, scope, is_database=False)

    def _scan_value(self, value: str, scope: Scope) -> None:
        try:
            names, warnings = scan(value)
        except ConfigTrouble as trouble:
            names, warnings = (), (trouble.message,)
        self.warnings += warnings
        for name in names:
            self._flag(name, scope, is_database=False)

    def _flag(self, name: str, scope: Scope, *, is_database: bool) -> None:
        """Something uses the name: it is in order wherever it is set."""
        found = False
        if scope.entry and name in scope.values:
            found = True
            self._valid_names(scope).add(name)
        elif name in self._main.values:
            found = True
            self.classes.setdefault(name, NameClass.USER)
        if scope.entry is None:
            for local, valid in zip(self._locals, self._valid, strict=True):
                if name in local.values:
                    found = True
                    valid.add(name)
        if not found and not is_database and name not in self.classes:
            self.warnings.append(f"{scope.file}: undefined parameter: {name}")

    def _valid_names(self, scope: Scope) -> set[str]:
        return next(valid for local, valid in zip(self._locals, self._valid, strict=True) if local is scope)

    def _expand(self, value: str, scope: Scope) -> str:
        def lookup(name: str) -> str | None:
            local = scope.values.get(name)
            return local if local is not None else self._settings.lookup(name)

        return self._expanded(value, lookup, "")

    def _scan_tables(self, value: str, scope: Scope) -> None:
        """Look for ``type:name`` of database tables in a value, braces and all."""
        for word in split_words(value):
            if word.startswith("{"):
                self._scan_tables(self._unbraced(word, scope), scope)
                continue
            kind, colon, name = word.partition(":")
            while colon and kind == "proxy":
                kind, colon, name = name.partition(":")
            if not colon or name.startswith("."):
                continue
            if name.startswith("{"):
                self._scan_tables(self._unbraced(name, scope), scope)
            elif kind in DATABASE_PARAMETERS and name.startswith("/"):
                self._check_client_file(kind, name)
            elif kind in DATABASE_PARAMETERS:
                for suffix in sorted(DATABASE_PARAMETERS[kind]):
                    self._flag(f"{name}_{suffix}", scope, is_database=True)

    def _unbraced(self, word: str, scope: Scope) -> str:
        try:
            return unbrace(word)
        except ConfigTrouble as trouble:
            self.warnings.append(f"{scope.shown}: {trouble.message}")
            return word[1:]

    def _check_client_file(self, kind: str, path: str) -> None:
        """Warn of names in a database table's own file that its type does not know; once for each file."""
        spec = f"{kind}:{path}"
        if spec in self._visited:
            return
        self._visited.add(spec)
        try:
            with open(self._settings.path(path), "rb") as file:
                text = file.read().decode("utf-8", "surrogateescape")
        except PermissionError:
            return  # it may hold a password
        except (OSError, ValueError) as trouble:  # ValueError: a NUL, with which no file has a name
            reason = trouble.strerror if isinstance(trouble, OSError) else str(trouble)
            self.warnings.append(f'open "{kind}" configuration "{path}": {reason}')
            return
        try:
            values = parse_main_cf(text, path).values
        except ConfigTrouble as trouble:
            self.warnings.append(str(trouble))
            return
        for name, value in values.items():
            if name not in DATABASE_PARAMETERS[kind]:
                self.warnings.append(f"{spec}: unused parameter: {name}={value.text}")

    def _expanded(self, value: str, lookup: Lookup, title: str) -> str:
        try:
            return expand(value, lookup)
        except ExpansionTrouble as trouble:
            self.warnings += trouble.warnings
            raise _Fatal(f"{title}macro processing error") from None
        except ConfigTrouble as trouble:
            raise _Fatal(trouble.message) from None
