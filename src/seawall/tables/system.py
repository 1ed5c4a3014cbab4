"""unix: tables, the system's own users and groups.  DATABASE_README

Behind NSS may stand a directory server, so a look-up goes to a thread unless nsswitch.conf names local sources only.  Users that
stand in /etc/passwd are known from memory.
"""

from __future__ import annotations

import grp
import pwd
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from seawall.linux.users import find_user
from seawall.tables.simple import troubled
from seawall.tables.source import read_text
from seawall.tables.table import Answer, Opening, Table, TableTrouble, fold
from seawall.tables.threads import in_thread
from seawall.tables.watched import Rules, WatchedTable

_LOCAL = frozenset({"files", "compat", "systemd", "mymachines"})
"""Sources of nsswitch.conf(5) that ask no other machine."""
_PASSWD = "/etc/passwd"
_LINE = re.compile(r"([^:\0\s+-][^:\0]*):([^:\0]*):(\d{1,9}):(\d{1,9}):([^:\0]*:[^:\0]*:[^\0]*)")
"""A line that every reader of passwd(5) understands alike."""
_NSSWITCH = "/etc/nsswitch.conf"


def _passwd(key: str) -> str | None:
    try:
        if find_user(key) is None:
            return None
        found = pwd.getpwnam(key)
    except KeyError:
        return None
    except OSError as error:
        raise TableTrouble("unix:passwd.byname", f"lookup error: {error.strerror}") from None
    uid, gid = found.pw_uid, found.pw_gid
    return f"{found.pw_name}:{found.pw_passwd}:{uid}:{gid}:{found.pw_gecos}:{found.pw_dir}:{found.pw_shell}"


def _group(key: str) -> str | None:
    try:
        found = grp.getgrnam(key)
    except (KeyError, ValueError):
        return None
    return f"{found.gr_name}:{found.gr_passwd}:{found.gr_gid}:{','.join(found.gr_mem)}"


_MAPS: Mapping[str, tuple[str, Callable[[str], str | None]]] = {
    "passwd.byname": ("passwd", _passwd),
    "group.byname": ("group", _group),
}
"""The table's name: (the database of nsswitch.conf, how it is asked)."""


def sources(database: str, path: str = _NSSWITCH) -> list[str]:
    """The words of nsswitch.conf(5) for a database, in order; without the file, or without a line in it, ``files``."""
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            lines = [line.partition("#")[0] for line in file]
    except OSError:
        return ["files"]
    for line in lines:
        name, colon, rest = line.partition(":")
        if colon and name.strip() == database:
            return rest.replace("[", " [").split()
    return ["files"]


def is_local(database: str, path: str = _NSSWITCH) -> bool:
    """Does nsswitch.conf name only sources on this machine?  Without the file that is so."""
    return all(word in _LOCAL or word.startswith("[") for word in sources(database, path))


def users_of(text: str) -> dict[str, str] | None:
    """The lines of a passwd(5) file by user, the first one where there are several.

    None where any line is of a kind that only the C library shall judge.
    """
    users: dict[str, str] = {}
    for line in text.split("\n"):
        found = _LINE.fullmatch(line)
        if found is not None:
            name, password, uid, gid, rest = found.groups()
            users.setdefault(name, f"{name}:{password}:{int(uid)}:{int(gid)}:{rest}")
        elif line and not line.startswith("#"):
            return None
    return users


@dataclass(frozen=True, slots=True)
class SystemTable:
    """Users or groups by name."""

    name: str
    find: Callable[[str], str | None]
    fold: bool
    is_quick: bool
    fixed: bool = True

    def lookup(self, key: str) -> Answer:
        """The line of passwd(5) or group(5); TableTrouble where the system could not be asked."""
        name = fold(key) if self.fold else key
        return self.find(name) if self.is_quick else in_thread(self.find, name, self.name)


def open_unix(opening: Opening) -> Table:
    """``unix:passwd.byname`` and ``unix:group.byname``"""
    known = _MAPS.get(opening.text)
    if known is None:
        return troubled(opening, f"unknown table: {opening.name}")
    database, find = known
    system = SystemTable(opening.name, find, opening.use.fold, is_local(database))
    order = sources(database)
    if database != "passwd" or order[:1] != ["files"] or any(word.startswith("[") for word in order):
        return system
    return WatchedTable(opening, (_PASSWD,), lambda path: _users(path, system, only=len(order) == 1), fixed=True)


def _users(path: str, system: SystemTable, *, only: bool) -> Rules:
    """The user file in memory, as other tables are; who is not in it is looked for in the other sources, if any.

    The C library opens and reads the file for every question.
    """
    try:
        users = users_of(read_text(path))
    except OSError:
        users = None
    if users is None:
        return Rules(system.lookup)
    get, fold_keys = users.get, system.fold

    def find(key: str) -> Answer:
        line = get(fold(key) if fold_keys else key)
        return line if line is not None or only else system.lookup(key)

    return Rules(find)
