"""Which tables a value names: every ``type:name`` in it, those in tables of tables included."""

from __future__ import annotations

from collections.abc import Iterator

from seawall.config.parameter import Kind, split_words, unbrace
from seawall.config.registry import REGISTRY
from seawall.config.settings import Settings
from seawall.config.source import ConfigTrouble
from seawall.tables.registry import INSTEAD, TYPES

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
CACHES = frozenset({"address_verify_map", "postscreen_cache_map"})
CACHE_SUFFIX = "_session_cache_database"
DEEPEST = 10


def is_cache(name: str) -> bool:
    """True for a table that a running server makes and fills by itself."""
    return name in CACHES or name.endswith(CACHE_SUFFIX)


def is_in_use(settings: Settings, name: str) -> bool:
    """True for a parameter whose default names a table that is used although nobody sets it."""
    return not settings.is_set(name) and name in ("alias_maps", "local_recipient_maps")


def specs_of(settings: Settings, name: str) -> Iterator[str]:
    """The ``type:name`` in a parameter's value."""
    known = REGISTRY.get(name)
    if name in NO_TABLES or (known is not None and known.kind is not Kind.TEXT):
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
            if word.startswith("{") and depth < DEEPEST:
                yield from specs_in(unbrace(word), depth + 1)
                continue
            kind, colon, rest = word.removeprefix("!").partition(":")
            if not colon:
                continue
            if kind in ("unionmap", "pipemap") and rest.startswith("{") and depth < DEEPEST:
                yield from specs_in(unbrace(rest), depth + 1)
            elif kind == "proxy":
                yield from specs_in(rest, depth + 1) if depth < DEEPEST else ()
            elif (kind in TYPES or kind in INSTEAD) and (kind != "unix" or rest in UNIX_TABLES):
                yield f"{kind}:{rest}"
        except ConfigTrouble:
            continue


def named_tables(value: str) -> Iterator[tuple[str, str]]:
    """(type, name) of the tables in a value."""
    for spec in specs_in(value, 0):
        kind, _, name = spec.partition(":")
        yield kind, name
