"""Lookup tables as files: types that are not served, files that are missing or stale, lines that do not read."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator

from seawall.cli.lint.about_tables import INDEXED, each_file
from seawall.cli.lint.rule import ADVICE, ERROR, WARNING, Hit, Rule
from seawall.cli.lint.site import Calm, Site
from seawall.cli.lint.table_names import is_cache, is_in_use, specs_of
from seawall.config.source import Location
from seawall.tables.parameters import main_cf_of
from seawall.tables.registry import INSTEAD, TYPES, Tables
from seawall.tables.table import TableUnsupported


def unsupported(site: Site) -> Iterator[Hit]:
    """Types that are not served."""
    for name, warning, location in site.once("opened", lambda: tuple(opened(site))):
        if warning.startswith("\0"):
            kind = warning[1:].partition(":")[0]
            yield Hit(
                f"{name}: {warning[1:]}: tables of type {kind} are not served",
                location,
                f"install what they need: pip install 'seawall[{kind}]'"
                if kind in TYPES
                else INSTEAD.get(kind, "use another"),
            )


def unavailable(site: Site) -> Iterator[Hit]:
    """Files that are missing or cannot be read."""
    for name, warning, location in site.once("opened", lambda: tuple(opened(site))):
        if "is unavailable" in warning and not is_cache(name):
            yield Hit(f"{name}: {warning}", location)


def stale(site: Site) -> Iterator[Hit]:
    """Indexed files that are older than their source."""
    for table in each_file(site):
        suffix = INDEXED.get(table.kind)
        if not suffix:
            continue
        try:
            source, index = (os.stat(site.settings.path(table.file + each)).st_mtime for each in ("", suffix))
        except (OSError, ValueError):
            continue
        if source > index + 1:
            tool = "postalias" if table.use in ("alias_maps", "alias_database") else "postmap"
            yield Hit(
                f"{table.use}: {table.file}{suffix} is older than {table.file}: what was changed there does not count yet",
                table.location,
                f"{tool} {table.spec}",
            )


def unbuilt(site: Site) -> Iterator[Hit]:
    """Texts whose index was never made: Seawall reads the text, Postfix does not."""
    for table in each_file(site):
        suffix = INDEXED.get(table.kind)
        path = site.settings.path(table.file).replace("\0", "")
        if suffix and os.path.isfile(path) and not os.path.exists(path + suffix) and not is_cache(table.use):
            tool = "postalias" if table.use in ("alias_maps", "alias_database") else "postmap"
            what = f"{table.use}: {table.file} has no index {table.file}{suffix}: Seawall reads the text, Postfix would put mail off"
            yield Hit(what, table.location, f"{tool} {table.spec}")


def said_on_opening(site: Site) -> Iterator[Hit]:
    """Everything else that a table says when it is opened: lines that are no entry, patterns that do not compile …"""
    for name, warning, location in site.once("opened", lambda: tuple(opened(site))):
        known = ("is unavailable", "is older than source", "duplicate entry", "non-null host address bits")
        if not warning.startswith("\0") and not any(each in warning for each in known):
            found = re.search(r"(\S+), line (\d+): (.*)", warning, re.DOTALL)
            yield Hit(
                f"{name}: {warning}",
                Location(found.group(1), int(found.group(2)[:9])) if found else location,
            )


def opened(site: Site) -> Iterator[tuple[str, str, Location | None]]:
    """(parameter, what opening its table says, place); a type that is not served says ``\\0type:name``."""
    said: list[str] = []
    tables = Tables(site.settings.root, site.settings.directory, warn=said.append, main_cf=main_cf_of(site.settings))
    seen: set[str] = set()
    for name, spec, location in every_spec(site):
        if spec in seen:
            continue
        seen.add(spec)
        said.clear()
        try:
            tables.open(spec)
        except TableUnsupported:
            if spec.partition(":")[0] != "nis" or location is not None:
                yield name, f"\0{spec}", location
        for text in tuple(said):
            yield name, text.replace(f"{site.settings.root}/", "/") if site.settings.root else text, location


def every_spec(site: Site) -> Iterator[tuple[str, str, Location | None]]:
    """(parameter, ``type:name``, place) of every table that is in use."""
    for view, service in site.scopes():
        names = tuple(service.overrides) if service else tuple(view.settings.values)
        for name in names:
            yield from specs_at(site, view, name, own=service is None)
    for name in ("alias_maps", "local_recipient_maps"):
        if is_in_use(site.settings, name):
            yield from specs_at(site, site.main, name, own=True)


def specs_at(site: Site, view: Calm, name: str, *, own: bool) -> Iterator[tuple[str, str, Location | None]]:
    """The tables in one parameter's value."""
    words = site.placed(name) if own else ()
    for spec in specs_of(view.settings, name):
        place = next((word.location for word in words if spec in word.text), view.where(name))
        yield name, spec, place


RULES = (
    Rule(
        "table-unsupported",
        ERROR,
        "Seawall does not serve tables of this type, and does not start.",
        "another type",
        unsupported,
        stops=True,
    ),
    Rule(
        "table-missing",
        WARNING,
        "Mail that needs the table is put off with 451 4.3.0 until the file is there.",
        "make the file; until then mail that needs it is deferred (451 4.3.0)",
        unavailable,
    ),
    Rule("table-stale", WARNING, "The server reads the index, not the text that you edit.", "postmap", stale),
    Rule("table-unbuilt", ADVICE, "Whoever goes back to Postfix needs the index.", "postmap", unbuilt),
    Rule(
        "table-line", WARNING, "The line is passed over, or means something else.", "correct the file", said_on_opening
    ),
)
