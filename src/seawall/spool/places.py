"""Where the spool lies: the folders below ``$queue_directory/seawall``, and making them.  docs/spool.md, "Places"."""

from __future__ import annotations

import errno
import os
from dataclasses import dataclass

from seawall.spool.disk import Disk

QUEUE = "queue"
HOLD = "hold"
CORRUPT = "corrupt"
MAILDROP = "maildrop"
PUBLIC = "public"
NEW = ".new"
"""Ends the name of a file that is being written anew."""

MODES = {QUEUE: 0o700, HOLD: 0o700, CORRUPT: 0o700, MAILDROP: 0o1733, PUBLIC: 0o755}
"""The folders and their modes.  Never changed."""


@dataclass(frozen=True, slots=True)
class Places:
    """Paths below one root, ``$queue_directory/seawall``."""

    root: str

    @property
    def queue(self) -> str:
        """Messages that wait for their turn."""
        return f"{self.root}/{QUEUE}"

    @property
    def hold(self) -> str:
        """Messages put aside by an operator or a HOLD action."""
        return f"{self.root}/{HOLD}"

    @property
    def corrupt(self) -> str:
        """Files that cannot be read."""
        return f"{self.root}/{CORRUPT}"

    @property
    def maildrop(self) -> str:
        """Local submissions made while the server was down."""
        return f"{self.root}/{MAILDROP}"

    @property
    def control_socket(self) -> str:
        """Where the queue manager answers postqueue and postsuper."""
        return f"{self.root}/{PUBLIC}/control"

    @property
    def submit_socket(self) -> str:
        """Where the server takes mail from sendmail."""
        return f"{self.root}/{PUBLIC}/submit"


def places_in(queue_directory: str) -> Places:
    """The places of a queue directory (absolute, below --root already)."""
    return Places(f"{queue_directory.rstrip('/')}/seawall")


def make_places(places: Places, disk: Disk) -> None:
    """Make what is missing; each new folder's parent is fsynced, so that a message in it cannot vanish with it."""
    missing = []
    path = places.root
    while path not in ("", "/") and not _is_there(disk, path):
        missing.append(path)
        path = os.path.dirname(path)
    for path in reversed(missing):
        _make(disk, path, 0o755)
    for name, mode in MODES.items():
        path = f"{places.root}/{name}"
        if not _is_there(disk, path):
            _make(disk, path, mode)


def _is_there(disk: Disk, path: str) -> bool:
    try:
        disk.facts_of(path)
    except FileNotFoundError:
        return False
    return True


def _make(disk: Disk, path: str, mode: int) -> None:
    try:
        disk.make_directory(path, mode)
    except OSError as trouble:
        if trouble.errno != errno.EEXIST:  # another process was quicker
            raise
    disk.fsync_directory(os.path.dirname(path))
