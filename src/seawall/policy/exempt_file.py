"""The file of the exemptions as a running server sees it: in memory, read again when it changes, as tables are.

A file that is not there exempts nobody.  One that does not read changes nothing: the copy from before goes on answering,
and the log names the line.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Iterator

from seawall.config.settings import Settings
from seawall.policy.exempt import Entry, Exemptions, parse_entries
from seawall.tables.registry import Tables
from seawall.tables.table import Opening, TableTrouble
from seawall.tables.watched import Contents, Rules, WatchedTable, opened

PARAMETER = "seawall_exempt_file"
KIND = "seawall-exempt"
"""Stands for ``type:`` in what is logged of the file.  No table has the type."""
MOST_BYTES = 4 * 1024 * 1024
"""Characters of a file that is read.  Ours: thousands of entries that nobody looks through any more."""


class ExemptFile(WatchedTable):
    """The exemptions of a configuration.  `now` is a clock in seconds since the epoch."""

    __slots__ = ("_now", "current")

    def __init__(self, opening: Opening, now: Callable[[], float]) -> None:
        self._now = now
        self.current = Exemptions()
        super().__init__(opening, (opening.path(opening.text),), self._read, fixed=True)

    def _read(self, path: str) -> Contents:
        """Put what the file says in the place of what it said.  Raises OSError, TableTrouble."""
        self.current = read_exemptions(path, self.name.partition(":")[2])
        return Rules(_nothing)

    def of_client(self, address: str, name: str) -> Iterator[Entry]:
        """All that counts for a client now, the closest key first."""
        return self.current.of_client(address, name, self._now())

    def find(self, address: str, name: str, check: str, zone: str = "") -> Entry | None:
        """What exempts a client (its confirmed name, or empty) from a check now."""
        current = self.current
        return current.find(address, name, check, zone, self._now()) if current.entries else None


def _nothing(key: str) -> str | None:
    """It is no table to look things up in."""
    return None


def read_text(path: str) -> str:
    """What the file says; nothing where there is none.  Raises OSError; UnicodeDecodeError, a ValueError, for what is no text."""
    try:
        with opened(path, lock=False) as descriptor, open(descriptor, encoding="utf-8", closefd=False) as file:
            text = file.read(MOST_BYTES + 1)
    except FileNotFoundError:
        return ""
    if len(text) > MOST_BYTES:
        raise OSError(errno.EFBIG, os.strerror(errno.EFBIG), path)
    return text


def read_exemptions(path: str, shown: str) -> Exemptions:
    """The entries of a file, which messages call `shown`.  Raises OSError, TableTrouble."""
    try:
        entries, troubles = parse_entries(read_text(path), shown)
    except ValueError:
        raise TableTrouble(shown, f"{shown} is no UTF-8 text") from None
    if troubles:
        raise TableTrouble(shown, str(troubles[0]))
    return Exemptions(entries)


def path_of(settings: Settings) -> str:
    """The file as the configuration names it; empty where nobody may be exempt."""
    return settings.text(PARAMETER)


def open_exemptions(settings: Settings, tables: Tables, now: Callable[[], float]) -> ExemptFile | None:
    """The file of a configuration, one for all who ask; None where there is to be none."""
    path = path_of(settings)
    if not path:
        return None
    return tables.keep(f"{KIND}:{path}", lambda opening: ExemptFile(opening, now))
