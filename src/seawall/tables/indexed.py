"""Files of strings: hash, btree, lmdb, cdb as postmap(1) makes them, and texthash.  A dictionary each, once read."""

from __future__ import annotations

import base64
import binascii
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from seawall.config.source import logical_lines
from seawall.tables import berkeley, cdb, lmdb_file
from seawall.tables.source import (
    SourceParser,
    file_contents,
    files_trouble,
    is_utf8,
    key_end,
    parse_aliases,
    parse_map,
    parse_texthash,
    read_text,
)
from seawall.tables.table import Answer, Opening, Table, TableTrouble, Warn, fold
from seawall.tables.watched import Contents, Strings, WatchedTable, guarded, stamp


def decode(pairs: Iterable[tuple[bytes, bytes]]) -> dict[str, str]:
    """Keys and values as text, without the NUL that postmap may have put behind them.  DICT_FLAG_TRY1NULL"""
    entries: dict[str, str] = {}
    for key, value in pairs:
        name = (key[:-1] if key.endswith(b"\0") else key).decode("utf-8", "surrogateescape")
        text = (value[:-1] if value.endswith(b"\0") else value).decode("utf-8", "surrogateescape")
        entries[name] = text
    return entries


@dataclass(frozen=True, slots=True)
class Family:
    """One kind of indexed file: what stands behind the name, and how it is read."""

    suffix: str
    read: Callable[[str, bool], Iterable[tuple[bytes, bytes]]]
    """All pairs of (path, whether to take the readers' lock)."""
    shown: str
    """What messages put behind ``type:name``."""


HASH = Family(".db", berkeley.read_file, ".db")
BTREE = Family(".db", berkeley.read_file, ".db")
CDB = Family(".cdb", cdb.read_file, ".cdb")
LMDB = Family(".lmdb", lmdb_file.read_file, "")


def open_hash(opening: Opening) -> Table:
    """``hash:/file``: /file.db, or the text /file where there is none."""
    return _open(opening, HASH)


def open_btree(opening: Opening) -> Table:
    """``btree:/file``: /file.db, or the text /file where there is none."""
    return _open(opening, BTREE)


def open_cdb(opening: Opening) -> Table:
    """``cdb:/file``: /file.cdb, or the text /file where there is none."""
    return _open(opening, CDB)


def open_lmdb(opening: Opening) -> Table:
    """``lmdb:/file``: /file.lmdb, or the text /file where there is none."""
    return _open(opening, LMDB)


def open_texthash(opening: Opening) -> Table:
    """``texthash:/file``: the text itself."""
    path = opening.path(opening.text)

    def read(path: str) -> Contents:
        return read_source(path, read_text(path), parse_texthash, opening)

    return WatchedTable(opening, (path,), read, fixed=True, opens="open database")


def _open(opening: Opening, family: Family) -> Table:
    source = opening.path(opening.text)
    index = source + family.suffix

    def read(path: str) -> Contents:
        if path == source and stamp(index) is None and stamp(source) is not None:
            text = read_text(source)
            return read_source(source, text, parse_source(text), opening)
        _warn_of_age(source, index, opening.warn)
        strings = strings_of(decode(family.read(index, True)), opening, family.shown)
        return Packed(strings, opening.name) if opening.use.files else strings

    return WatchedTable(opening, (index, source), read, fixed=True, opens="open database")


def _warn_of_age(source: str, index: str, warn: Warn) -> None:
    """A source that was changed after the index was made, and not just now: somebody forgot postmap.  dict_db(3)"""
    made, written = stamp(index), stamp(source)
    if made is None or written is None:
        return
    changed = written[3] // 10**9
    if changed > made[3] // 10**9 and changed < time.time() - 100:
        warn(f"database {index} is older than source file {source}")


def parse_source(text: str) -> SourceParser:
    """How the text behind a table that was never built is read: by the form of its first line.

    aliases(5) says ``name: value``; in postmap(1)'s form a key that ends in a colon is a mistake.
    """
    for line in logical_lines(text):
        end = key_end(line.text)
        if end is None:
            continue
        key = line.text[:end]
        if key.endswith(":") or (":" in key and not line.text[end:].strip()):
            return parse_aliases
        return parse_map
    return parse_map


def read_source(path: str, text: str, parse: SourceParser, opening: Opening) -> Contents:
    """A table straight from its text."""
    entries: dict[str, str] = {}
    for line, key, value in parse(text, path, opening.warn, opening.use.utf8):
        if opening.use.files:
            content = file_contents(value, opening.path)
            if content is None:
                opening.warn(f"{path}, line {line}: {files_trouble(value, opening.path)}: skipping this entry")
                continue
            value = content
        name = fold(key, opening.use.utf8) if opening.use.fold else key
        if name in entries:
            opening.warn(f'{path}, line {line}: duplicate entry: "{key}"')
        else:
            entries[name] = value
    return strings_of(entries, opening, "")


def strings_of(entries: dict[str, str], opening: Opening, shown: str) -> Strings:
    """The contents; keys and values that are no UTF-8 stay apart where the table's user asks for UTF-8."""
    strings = Strings(entries, opening.use.fold, opening.use.utf8)
    if opening.use.utf8 and not all(is_utf8(key) and is_utf8(value) for key, value in entries.items()):
        strings.find = guarded(strings.find, opening.name + shown)
    return strings


class Packed:
    """Contents of a file that postmap -F made: values are files' contents in base 64."""

    __slots__ = ("entries", "find")

    def __init__(self, strings: Strings, name: str) -> None:
        self.entries: Mapping[str, str] | None = strings.entries
        inner = strings.find

        def find(key: str) -> Answer:
            value = inner(key)
            return unpack(value, key, name) if isinstance(value, str) else value

        self.find = find


def unpack(value: str, key: str, name: str) -> str:
    """The content of a file, as postmap -F keeps it."""
    try:
        return base64.b64decode(value, validate=True).decode("utf-8", "surrogateescape")
    except (binascii.Error, ValueError):
        raise TableTrouble(name, f"table {name}: key {key}: malformed BASE64 value: {value[:30]}") from None
