"""Which tables a configuration names, and what is wrong with them: types that are not served, files that are missing."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from seawall.config.master_cf import Service
from seawall.config.parameter import Kind, split_words, unbrace
from seawall.config.registry import REGISTRY
from seawall.config.settings import Settings
from seawall.config.source import ConfigTrouble, Location
from seawall.tables.registry import INSTEAD, TYPES, Tables
from seawall.tables.table import TableUnsupported

UNIX_TABLES = frozenset({"passwd.byname", "group.byname"})
NO_TABLES = frozenset(
    {
        # lists of addresses and paths, in which type:name is something else
        "content_filter",
        "inet_interfaces",
        "non_smtpd_milters",
        "proxy_read_maps",
        "proxy_write_maps",
        "smtpd_milters",
        "smtpd_proxy_filter",
        "smtpd_sasl_path",
        "tls_random_source",
    }
)
Remark = tuple[str, str, str, Location | None]
"""(level, what, remedy, place)"""


def table_remarks(settings: Settings, services: Sequence[Service]) -> Iterator[Remark]:
    """What is wrong with the tables that main.cf and the services name, each table once."""
    tables = Tables(settings.root, settings.directory)
    seen: set[str] = set()
    views = [(settings, tuple(REGISTRY)), *((s.settings(settings), tuple(s.overrides)) for s in services)]
    for view, names in views:
        extra = tuple(name for name in view.values if name not in REGISTRY) if view is settings else ()
        for name in sorted((*names, *extra), key=lambda name: not view.is_set(name)):
            if name in NO_TABLES or (not view.is_set(name) and not is_in_use(name)):
                continue
            for spec in specs_of(view, name):
                if spec not in seen:
                    seen.add(spec)
                    yield from look_at(tables, name, spec, view.where(name))


def is_in_use(name: str) -> bool:
    """True for a parameter whose default names a table that is used whether or not main.cf sets it."""
    return name in ("alias_maps", "local_recipient_maps")


def specs_of(settings: Settings, name: str) -> Iterator[str]:
    """The ``type:name`` in a parameter's value."""
    known = REGISTRY.get(name)
    if known is not None and known.kind is not Kind.TEXT:
        return
    try:
        value = settings.text(name)
    except ConfigTrouble:
        return
    yield from specs_in(value, 0)


def specs_in(value: str, depth: int) -> Iterator[str]:
    """The ``type:name`` in a text, those in tables of tables included."""
    for word in split_words(value):
        try:
            if word.startswith("{") and depth < 10:
                yield from specs_in(unbrace(word), depth + 1)
                continue
            kind, colon, rest = word.removeprefix("!").partition(":")
            if not colon:
                continue
            if kind in ("unionmap", "pipemap") and rest.startswith("{") and depth < 10:
                yield from specs_in(unbrace(rest), depth + 1)
            elif kind == "proxy":
                yield from specs_in(rest, depth + 1) if depth < 10 else ()
            elif (kind in TYPES or kind in INSTEAD) and (kind != "unix" or rest in UNIX_TABLES):
                yield f"{kind}:{rest}"
        except ConfigTrouble:
            continue


def look_at(tables: Tables, name: str, spec: str, location: Location | None) -> Iterator[Remark]:
    """Open a table; what that says of it."""
    kind = spec.partition(":")[0]
    tables.warnings.clear()
    try:
        tables.open(spec)
    except TableUnsupported:
        if kind == "nis" and location is None:
            return
        yield (
            "error",
            f"{name}: {spec}: tables of type {kind} are not served",
            INSTEAD.get(kind, "use another"),
            location,
        )
        return
    for warning in tables.warnings:
        what = f"{name}: {warning}"
        if "is unavailable" in warning:
            yield "warning", what, "make the file; until then mail that needs it is deferred (451 4.3.0)", location
        else:
            yield "warning", what, "correct the file", location
