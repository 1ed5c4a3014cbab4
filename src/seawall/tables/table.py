"""What a lookup table is: one question, one answer, and trouble that is told apart from "not found".  dict(3)

A lookup gives the answer at once, or an awaitable where the table is remote.  Callers on the hot path write

    answer = table.lookup(key)
    if not (answer is None or answer.__class__ is str):
        answer = await answer

so that a local table costs no coroutine at all.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Hashable
from dataclasses import dataclass
from typing import Protocol, TypeAlias

Answer: TypeAlias = "str | Awaitable[str | None] | None"
"""The value, None where the key is not there, or the promise of either."""

Warn: TypeAlias = Callable[[str], None]
"""Takes one line for the log, without ``warning:``."""
Unavailable: TypeAlias = Callable[[str, str], None]
"""Is told (table, reason) of a table that cannot be opened.  A tool raises here what ends it."""


FromMainCf: TypeAlias = Callable[[str], "str | None"]
"""The value of a parameter of main.cf, expanded; None where nothing sets it and it has no default."""


class Shared(Protocol):
    """What several tables use together: the connections to one server."""

    def close(self) -> None:
        """Hang up."""
        ...


def no_main_cf(name: str) -> str | None:
    """For tables that are opened without a configuration."""
    return None


class TableTrouble(Exception):
    """The table could not be asked: temporary, ours.  Mail is deferred (451 4.3.0), never refused for it."""

    def __init__(self, table: str, reason: str) -> None:
        super().__init__(f"{table}: {reason}")
        self.table = table
        self.reason = reason


class NotUtf8(TableTrouble):
    """A value that is no UTF-8, where the table's user asks for UTF-8.  dict_utf8(3)"""

    def __init__(self, table: str, key: str, value: str) -> None:
        super().__init__(table, f'key "{key}": non-UTF-8 value "{value}": malformed UTF-8 or invalid codepoint')


class TableUnsupported(Exception):
    """A type that this program does not serve; the text says what to use instead."""


class Table(Protocol):
    """One ``type:name``."""

    @property
    def name(self) -> str:
        """``hash:/etc/postfix/access``, as the configuration names it."""
        ...

    @property
    def fixed(self) -> bool:
        """True where keys are strings, False where they are patterns.  Parts of a name or address are asked
        only of the first kind: ``user@`` is no address that a pattern was written for.  DICT_FLAG_FIXED"""
        ...

    def lookup(self, key: str, /) -> Answer:
        """The value for `key`.  TableTrouble where the table cannot say."""
        ...


@dataclass(frozen=True, slots=True)
class Use:
    """What the user of a table asks of it.  The DICT_FLAG_* that change an answer.

    fold: string keys are compared in lower case (DICT_FLAG_FOLD_FIX).  substitute: patterns may put parts of the
    key into the result; alias tables forbid it (DICT_FLAG_NO_REGSUB).  trusted: only tables that the administrator
    alone can change (DICT_FLAG_NO_UNAUTH).  utf8: keys and values must be UTF-8 (DICT_FLAG_UTF8_REQUEST).
    files: values name files whose content is meant (DICT_FLAG_SRC_RHS_IS_FILE).
    """

    fold: bool = True
    substitute: bool = True
    trusted: bool = False
    utf8: bool = True
    files: bool = False


USUAL = Use()


@dataclass(frozen=True, slots=True)
class Opening:
    """All that an opener is told: ``type:name``, how the table is used, and whom to ask for other tables.

    `path` makes a file of the configuration from a name (below the root); `open` opens a table inside this one;
    `main_cf` tells parameters; `shared` keeps what tables with the same key use together, made by the first of them.
    """

    type: str
    text: str
    use: Use
    path: Callable[[str], str]
    open: Callable[[str, Use], Table]
    warn: Warn
    unavailable: Unavailable
    main_cf: FromMainCf
    shared: Callable[[Hashable, Callable[[], Shared]], Shared]

    @property
    def name(self) -> str:
        """``type:name`` again."""
        return f"{self.type}:{self.text}"


def fold(key: str, utf8: bool = True) -> str:
    """`key` as tables compare it; without UTF-8 only ASCII letters have case.  casefold(3)"""
    if key.isascii():
        return key.lower()
    return key.casefold() if utf8 else fold_ascii(key)


def fold_ascii(key: str) -> str:
    """`key` with its ASCII letters in lower case."""
    return key.encode("utf-8", "surrogateescape").lower().decode("utf-8", "surrogateescape")
