"""The types of tables, each with what opens it, and the set of tables that one configuration has open.  dict_open(3)"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping
from typing import TypeAlias, TypeVar, cast

from seawall.mail.words import split_words
from seawall.tables import (
    cidr,
    combined,
    indexed,
    ldap,
    memcache,
    mysql,
    patterns,
    pgsql,
    simple,
    socketmap,
    sqlite,
    system,
    tcp,
)
from seawall.tables.match import AddressList, DomainList, StringList, read_patterns
from seawall.tables.search import Maps
from seawall.tables.table import (
    USUAL,
    FromMainCf,
    Opening,
    Shared,
    Table,
    TableUnsupported,
    Unavailable,
    Use,
    Warn,
    no_main_cf,
)
from seawall.tables.watched import WatchedTable

Opener: TypeAlias = Callable[[Opening], Table]
Kept = TypeVar("Kept", bound=WatchedTable)

TYPES: Mapping[str, Opener] = {
    # files of strings
    "hash": indexed.open_hash,
    "btree": indexed.open_btree,
    "cdb": indexed.open_cdb,
    "lmdb": indexed.open_lmdb,
    "texthash": indexed.open_texthash,
    # files of patterns
    "regexp": patterns.open_regexp,
    "pcre": patterns.open_pcre,
    "cidr": cidr.open_cidr,
    # no file
    "inline": simple.open_inline,
    "internal": simple.open_internal,
    "static": simple.open_static,
    "environ": simple.open_environ,
    "fail": simple.open_fail,
    "unix": system.open_unix,
    # tables of tables
    "pipemap": combined.open_pipemap,
    "unionmap": combined.open_unionmap,
    "randmap": combined.open_randmap,
    "proxy": combined.open_proxy,
    # other servers
    "pgsql": pgsql.open_pgsql,
    "mysql": mysql.open_mysql,
    "sqlite": sqlite.open_sqlite,
    "ldap": ldap.open_ldap,
    "memcache": memcache.open_memcache,
    "tcp": tcp.open_tcp,
    "socketmap": socketmap.open_socketmap,
}
"""Every type that is served."""

INSTEAD: Mapping[str, str] = {
    "mongodb": "export it to lmdb: or cdb: with seawall postmap, or ask it through socketmap:",
    "debug": "leave out the word debug:",
    "dbm": "use lmdb: or hash:",
    "sdbm": "use lmdb: or hash:",
    "nis": "use lmdb: or hash:, made from the output of ypcat",
    "nisplus": "use lmdb: or hash:, made from the output of niscat",
    "netinfo": "use lmdb: or hash:",
}
"""Types that Postfix has and this program has not, each with what to do."""


class Tables:
    """The tables of one configuration, each opened once.

    `root` stands before every absolute path (``--root``).  Warnings go to `warn`, or into `warnings` for the caller
    to collect.  A table whose file cannot be read is opened all the same: its lookups raise TableTrouble until
    `refresh` finds the file readable.  `unavailable` is told of it; by default that is a warning too.  `main_cf` tells
    the parameters of tables that are described in main.cf.
    """

    def __init__(
        self,
        root: str = "",
        config_directory: str = "/etc/postfix",
        *,
        warn: Warn | None = None,
        unavailable: Unavailable | None = None,
        main_cf: FromMainCf = no_main_cf,
        types: Mapping[str, Opener] = TYPES,
    ) -> None:
        self.root = root
        self.config_directory = config_directory
        self.warnings: list[str] = []
        self.warn: Warn = warn or self.warnings.append
        self._unavailable: Unavailable = unavailable or self._warn_unavailable
        self._main_cf = main_cf
        self._types = types
        self._shared: dict[Hashable, Shared] = {}
        self._open: dict[tuple[str, Use], Table] = {}
        self._kept: dict[str, WatchedTable] = {}
        self._watched: list[WatchedTable] = []
        self._looked = float("-inf")

    def path(self, text: str) -> str:
        """A file of the configuration as this process finds it."""
        return self.root + text if self.root and text.startswith("/") else text

    def open(self, spec: str, use: Use = USUAL) -> Table:
        """The table ``type:name``; the same object for the same question.  TableUnsupported for a type we lack."""
        table = self._open.get((spec, use))
        if table is None:
            table = self._open_new(spec, use)
            self._open[spec, use] = table
            if isinstance(table, WatchedTable):
                self._watched.append(table)
        return table

    def _open_new(self, spec: str, use: Use) -> Table:
        kind, colon, text = spec.partition(":")
        if not (kind and colon and text):
            raise TableUnsupported(f'open dictionary: expecting "type:name" form instead of "{spec}"')
        opener = self._types.get(kind)
        if opener is None:
            instead = f": {INSTEAD[kind]}" if kind in INSTEAD else ""
            raise TableUnsupported(f"unsupported dictionary type: {kind}{instead}")
        return opener(self._opening(kind, text, use))

    def _opening(self, kind: str, text: str, use: Use) -> Opening:
        return Opening(kind, text, use, self.path, self.open, self.warn, self._unavailable, self._main_cf, self._share)

    def _share(self, key: Hashable, make: Callable[[], Shared]) -> Shared:
        part = self._shared.get(key)
        if part is None:
            part = self._shared[key] = make()
        return part

    def opened(self) -> tuple[Table, ...]:
        """All that were opened so far."""
        return tuple(self._open.values())

    def keep(self, name: str, make: Callable[[Opening], Kept]) -> Kept:
        """A file that is no lookup table (`name` is ``kind:path``) but is watched as one: the same object for each
        question of the same kind."""
        table = self._kept.get(name)
        if table is None:
            kind, _, text = name.partition(":")
            table = self._kept[name] = make(self._opening(kind, text, USUAL))
            self._watched.append(table)
        return cast(Kept, table)

    def close(self) -> None:
        """Hang up wherever tables have connections.  They can go on: the next question connects anew."""
        for part in self._shared.values():
            part.close()

    def _warn_unavailable(self, name: str, reason: str) -> None:
        self.warn(f"{name} is unavailable. {reason}")

    def maps(self, value: str, use: Use = USUAL, *, title: str = "") -> Maps:
        """``hash:/a, regexp:/b`` as one table that asks each in turn.  `title` is the parameter, for warnings."""
        return Maps(tuple(self.open(spec, use) for spec in split_words(value)), title)

    def string_list(self, value: str, *, title: str = "") -> StringList:
        """Strings, compared whole.  string_list(3)"""
        return StringList(read_patterns(value, self, title), title=title)

    def domain_list(self, value: str, *, parent_matches: bool = False, title: str = "") -> DomainList:
        """Domains.  With `parent_matches`, a pattern ``x.example`` matches names below it, else only ``.x.example``
        does.  postconf(5) parent_domain_matches_subdomains"""
        return DomainList(read_patterns(value, self, title), parent_matches, title)

    def address_list(self, value: str, *, parent_matches: bool = False, title: str = "") -> AddressList:
        """Host names, addresses and networks.  namadr_list(3)"""
        return AddressList(read_patterns(value, self, title), parent_matches, title)

    def refresh(self, now: float) -> None:
        """Look whether files changed, at most once a second; `now` in seconds of any clock.

        Small files are read at once; big ones in a thread, the old copy answering until the new one is whole.
        """
        if now - self._looked < 1:
            return
        self._looked = now
        for table in self._watched:
            table.refresh()

    def settle(self) -> None:
        """Wait for the threads that `refresh` started."""
        for table in self._watched:
            table.settle()
