"""The text that tables are made from: ``key value`` lines for postmap(1), ``name: value`` lines for postalias(1)."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TypeAlias

from seawall.config.source import BLANKS, LogicalLine, logical_lines
from seawall.mail import rfc822
from seawall.tables.table import Warn

Entry: TypeAlias = tuple[int, str, str]
"""(line, key, value); the key as it is written."""
SourceParser: TypeAlias = Callable[[str, str, Warn, bool], Iterator[Entry]]
"""Entries of (text, path for warnings, where warnings go, whether only UTF-8 will do)."""


def read_text(path: str) -> str:
    """A file as text; what is no UTF-8 stays as it is, in surrogates."""
    with open(path, encoding="utf-8", errors="surrogateescape", newline="\n") as file:
        return file.read()


def lines_of(text: str, path: str, warn: Warn) -> Iterator[LogicalLine]:
    """The logical lines of a table's source; a line that has nothing to continue is left out.  readllines(3)

    A NUL ends its line, as it does for a program that keeps text in C strings.
    """
    for line in logical_lines(text):
        if line.text.startswith(tuple(BLANKS)):
            warn(f'{path}: logical line must not start with whitespace: "{_beginning(line.text)}"')
        elif "\0" in line.text:
            yield LogicalLine(line.text[: line.text.index("\0")], line.first, line.last)
        else:
            yield line


def _beginning(text: str) -> str:
    return text[:30] + ("..." if len(text) > 30 else "")


def is_utf8(text: str) -> bool:
    """False for text that was read from bytes that are no UTF-8."""
    if text.isascii():
        return True
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True


def key_end(line: str) -> int | None:
    """Where the key of ``key value`` ends: at the first blank outside quotes; None for a quote that is never closed."""
    in_quotes = False
    at = 0
    while at < len(line):
        letter = line[at]
        if letter == "\\":
            at += 1
            if at == len(line):
                break
        elif letter == '"':
            in_quotes = not in_quotes
        elif letter in BLANKS and not in_quotes:
            break
        at += 1
    return None if in_quotes else min(at, len(line))


def parse_map(text: str, path: str, warn: Warn, utf8: bool, ignored: str = "") -> Iterator[Entry]:
    """``key whitespace value``.  A key may hold blanks inside quotes, and keeps them.  postmap(1) "TABLE FORMAT"

    `ignored` ends the warning for a line that is left out for its form.
    """
    for line in lines_of(text, path, warn):
        where = f"{path}, line {line.first}"
        if utf8 and not is_utf8(line.text):
            warn(f'{where}: non-UTF-8 input "{line.text}" -- ignoring this line')
            continue
        end = key_end(line.text)
        if end is None:
            warn(f"{where}: unbalanced '\"' in '{line.text}' -- ignoring this line")
            continue
        key, value = line.text[:end], line.text[end:].strip(BLANKS)
        if not key or not value:
            warn(f"{where}: expected format: key whitespace value{ignored}")
            continue
        if key.endswith(":"):
            warn(f'{where}: record is in "key: value" format; is this an alias file?')
        yield line.first, key, value


def parse_texthash(text: str, path: str, warn: Warn, utf8: bool) -> Iterator[Entry]:
    """As `parse_map`, in texthash's words."""
    return parse_map(text, path, warn, utf8, " -- ignoring this line")


def parse_aliases(text: str, path: str, warn: Warn, utf8: bool) -> Iterator[Entry]:
    """``name: value, value``.  The name becomes unquoted, the values quoted as needed.  aliases(5), postalias(1)"""
    for line in lines_of(text, path, warn):
        where = f"{path}, line {line.first}"
        if utf8 and not is_utf8(line.text):
            warn(f'{where}: non-UTF-8 input "{line.text}" -- ignoring this line')
            continue
        tokens = rfc822.scan(line.text)
        if not tokens:
            continue
        colon = next((at for at, token in enumerate(tokens) if _is(token, ":")), None)
        before = tokens[:colon]
        if not colon or colon == len(tokens) - 1 or any(_is(token, ",") for token in before):
            warn(f"{where}: need name:value pair")
            continue
        if any(_is(token, "@") or _is(token, "%") for token in before):
            warn(f"{where}: name must be local")
            continue
        value = rfc822.externalize(tokens[colon + 1 :])
        yield line.first, rfc822.internalize(before), f"{value} " if _is(tokens[-1], ",") else value


def _is(token: rfc822.Token, operator: str) -> bool:
    return token.kind is rfc822.Kind.OPERATOR and token.text == operator


def _names(value: str) -> list[str]:
    return value.replace(",", " ").split()


def file_contents(value: str, path: Callable[[str], str]) -> str | None:
    """What stands in the files that a value names, a newline between them; None where one cannot be read.  postmap -F"""
    parts: list[str] = []
    for name in _names(value):
        try:
            parts.append(read_text(path(name)))
        except OSError:
            return None
    return "\n".join(parts) if parts else None


def files_trouble(value: str, path: Callable[[str], str]) -> str:
    """Why `file_contents` gave nothing."""
    for name in _names(value):
        try:
            read_text(path(name))
        except OSError as error:
            return f"open {name}: {error.strerror}"
    return "empty pathname list: >>" + value + "<<'"
