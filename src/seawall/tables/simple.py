"""Tables without a file of their own: inline, internal, static, environ, fail.  DATABASE_README"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass

from seawall.config.source import BLANKS
from seawall.mail.words import group_trouble, split_words, unbrace
from seawall.tables.source import file_contents, files_trouble, is_utf8
from seawall.tables.table import Answer, Opening, Table, TableTrouble, fold
from seawall.tables.watched import Find, Strings, guarded

APPLICATION_ERROR = "Application error"
"""What ``fail:`` says.  dict_fail(3)"""


@dataclass(frozen=True, slots=True)
class MemoryTable:
    """A table that never changes and never fails.  `entries` where they can be listed."""

    name: str
    fixed: bool
    find: Find
    entries: Mapping[str, str] | None = None

    def lookup(self, key: str) -> Answer:
        """The value for `key`."""
        return self.find(key)


@dataclass(frozen=True, slots=True)
class TroubledTable:
    """Stands for a table that could not be opened: every lookup is temporary trouble.  dict_surrogate(3)"""

    name: str
    reason: str
    fixed: bool = True

    def lookup(self, key: str) -> Answer:
        """Raises TableTrouble."""
        raise TableTrouble(self.name, self.reason)


def troubled(opening: Opening, reason: str, *, fixed: bool = True) -> Table:
    """A table that cannot be opened."""
    opening.unavailable(opening.name, reason)
    return TroubledTable(opening.name, reason, fixed)


def split_name_value(text: str) -> tuple[str, str] | str:
    """``name = value``, or what is wrong with it.  A name may be empty, or hold blanks and ``=`` inside quotes, which it
    keeps.  split_qnameval(3)"""
    rest = text.lstrip(BLANKS)
    if not rest:
        return "no key found; expected format: key = value"
    end, quoted = 0, False
    while end < len(rest) and (quoted or rest[end] not in BLANKS + "="):
        if rest[end] == '"':
            quoted = not quoted
        elif rest[end] == "\\":
            end += 1
        end += 1
    if quoted:
        return "unbalanced '\"'"
    after = rest[end:].lstrip(BLANKS)
    if not after.startswith("="):
        return "missing '=' after attribute name"
    return rest[:end], after[1:].strip(BLANKS)


def open_inline(opening: Opening) -> Table:
    """``inline:{ key=value, { key = value with blanks } … }``"""
    need = f'"{opening.name}"; need "inline:{{name=value...}}"'
    inside = unbrace(opening.text)
    if opening.use.utf8 and not is_utf8(opening.text):
        return troubled(opening, f"bad UTF-8 syntax: {need}")
    if inside is None or opening.text == "{}":
        return troubled(opening, f"bad syntax: {need}")
    if opening.use.files:
        need = need.replace("=value...", "=filename...")
    entries: dict[str, str] = {}
    for word in split_words(inside):
        pair = split_name_value(word)
        if word.startswith("{"):
            group = unbrace(word)
            if group is None:
                return troubled(opening, f"{group_trouble(word)}: {need}")
            pair = split_name_value(group)
        if isinstance(pair, str):
            return troubled(opening, f"{pair}: {need}")
        name, value = fold(pair[0], opening.use.utf8) if opening.use.fold else pair[0], pair[1]
        if opening.use.files:
            content = file_contents(value, opening.path)
            if content is None:
                return troubled(opening, f"{files_trouble(value, opening.path)}: {need}")
            value = content
        entries[name] = value
    if not entries:
        return troubled(opening, f"empty table: {need}")
    return MemoryTable(opening.name, True, Strings(entries, opening.use.fold, opening.use.utf8).find, entries)


def open_internal(opening: Opening) -> Table:
    """``internal:name``: Postfix's own in-memory table, empty for anyone who names it in a configuration."""
    return MemoryTable(opening.name, True, Strings({}, opening.use.fold).find, {})


def open_static(opening: Opening) -> Table:
    """``static:value`` or ``static:{ value with blanks }``: the same answer to every question."""
    answer = opening.text
    if answer.startswith("{"):
        inside = unbrace(answer)
        if inside is None:
            return troubled(opening, f"bad static:name syntax: {group_trouble(answer)}", fixed=False)
        answer = inside
    if opening.use.files:
        content = file_contents(answer, opening.path)
        if content is None:
            return troubled(opening, files_trouble(answer, opening.path), fixed=False)
        answer = content
    if opening.use.utf8 and not is_utf8(answer):
        return MemoryTable(opening.name, False, guarded(lambda key: answer, opening.name))
    return MemoryTable(opening.name, False, lambda key: answer)


def open_environ(opening: Opening) -> Table:
    """``environ:``: the variables of this process."""
    lower = opening.use.fold
    return MemoryTable(opening.name, True, lambda key: os.environ.get(fold(key) if lower else key))


def open_fail(opening: Opening) -> Table:
    """``fail:name``: trouble, whatever is asked.  For tests of what happens then."""
    return TroubledTable(opening.name, APPLICATION_ERROR)
