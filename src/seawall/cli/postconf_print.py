"""How `seawall postconf` lays out lines: one space between words, folded at 80 columns on request.  postconf(1) -f"""

from __future__ import annotations

from collections.abc import Callable

from seawall.config.master_cf import FIELDS, OPTIONS_WITH_VALUE, SEPARATORS, Entry

LINE_LIMIT = 80
INDENT = 4
COLUMNS = (0, 11, 17, 25, 33, 41, 49, 57)
"""Where master.cf's fields begin."""


def width(text: str) -> int:
    """How many columns Postfix counts: bytes."""
    return len(text) if text.isascii() else len(text.encode("utf-8", "surrogateescape"))


def lay_out(text: str, *, fold: bool) -> str:
    """A line with one space between its words, broken before a word that would end beyond the limit."""
    result: list[str] = []
    length = 0
    for word in text.translate(str.maketrans("\t\r\n", "   ")).split(" "):
        if not word:
            continue
        if length > 0:
            if not fold or length + width(word) < LINE_LIMIT:
                result.append(" ")
                length += 1
            else:
                result.append("\n" + " " * INDENT)
                length = INDENT
        result.append(word)
        length += width(word)
    return "".join(result)


class Columns:
    """Text that grows by items, each on the line so far or on an indented one of its own."""

    def __init__(self, start: str, *, fold: bool) -> None:
        self._parts = [start]
        self._length = width(start)
        self._fold = fold

    def add(self, item: str, *, alone: bool, room: int) -> None:
        """Append an item that counts as `room` columns; `alone` puts it on a line of its own where lines fold."""
        if alone:
            self._length = LINE_LIMIT
        if self._length > INDENT:
            if not self._fold or self._length + 1 + room < LINE_LIMIT:
                self._parts.append(" ")
                self._length += 1
            else:
                self._parts.append("\n" + " " * INDENT)
                self._length = INDENT
        self._parts.append(item)
        self._length = LINE_LIMIT if alone else self._length + width(item)

    def text(self) -> str:
        """All of it."""
        return "".join(self._parts)


def protect(word: str) -> str:
    """The word in braces where it has blanks in it."""
    return "{" + word + "}" if any(char in SEPARATORS for char in word) else word


def add_arguments(
    columns: Columns, arguments: tuple[str, ...], expand: Callable[[str], str], padding: int, *, careful: bool = False
) -> None:
    """Append the command's words: an option with its value on a line of its own; `padding` as Postfix counts it.

    Postfix shows the first word after the options without its braces; `careful` keeps them, for what is written back.
    """
    at = 0
    in_options = True
    while at < len(arguments):
        word = arguments[at]
        first_after_options = in_options
        in_options = in_options and word.startswith("-") and word != "--"
        takes = in_options and word[1:2] in OPTIONS_WITH_VALUE and word != "-" and at + 1 < len(arguments)
        if takes:
            value = expand(arguments[at + 1]) if word == "-o" else arguments[at + 1]
            shown = protect(value)
            columns.add(f"{word} {shown}", alone=True, room=width(word) + width(shown) + padding)
            at += 2
        else:
            bare = in_options or (first_after_options and not careful)
            columns.add(word if bare else protect(word), alone=False, room=width(word))
            at += 1


def lay_out_entry(entry: Entry, expand: Callable[[str], str], *, fold: bool, careful: bool = False) -> str:
    """A line of master.cf, its fields in columns.  `careful` as in `add_arguments`."""
    start = ""
    for field, column in zip(entry.fields, COLUMNS, strict=True):
        start = f"{start} " + " " * (column - width(start) - 1) + field if start else field
    columns = Columns(start, fold=fold)
    add_arguments(columns, entry.arguments, expand, 3, careful=careful)
    return columns.text()


def lay_out_field(
    entry: Entry, field: int, expand: Callable[[str], str], *, fold: bool, name: bool, value: bool
) -> str:
    """``name/type/field = value`` or a part of it."""
    start = f"{entry.name}/{FIELDS[field]}" if name else ""
    if name and value:
        start += " = "
    if not value:
        return start
    if start and width(start) + width(entry.fields[field]) > LINE_LIMIT:
        start += "\n" + " " * INDENT
    columns = Columns(start + entry.fields[field], fold=fold)
    if FIELDS[field] == "command":
        add_arguments(columns, entry.arguments, expand, 1)
    return columns.text()
