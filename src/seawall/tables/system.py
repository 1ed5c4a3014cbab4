"""unix: tables, the system's own users and groups.  DATABASE_README

Behind NSS may stand a directory server, so a look-up goes to a thread unless nsswitch.conf names local sources only.
"""

from __future__ import annotations

import grp
import pwd
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from seawall.linux.users import find_user
from seawall.tables.simple import troubled
from seawall.tables.table import Answer, Opening, Table, TableTrouble, fold
from seawall.tables.threads import in_thread

_LOCAL = frozenset({"files", "compat", "systemd", "mymachines"})
"""Sources of nsswitch.conf(5) that ask no other machine."""
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


def is_local(database: str, path: str = _NSSWITCH) -> bool:
    """Does nsswitch.conf name only sources on this machine?  Without the file that is so."""
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            lines = [line.partition("#")[0] for line in file]
    except OSError:
        return True
    for line in lines:
        name, colon, rest = line.partition(":")
        if colon and name.strip() == database:
            return all(word in _LOCAL or word.startswith("[") for word in rest.replace("[", " [").split())
    return True


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
    return SystemTable(opening.name, find, opening.use.fold, is_local(database))
