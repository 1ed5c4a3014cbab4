"""What mail waits in Postfix's own queue, which Seawall never touches, and how to bring it out.  qmgr(8), postqueue(1)"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Mapping
from dataclasses import dataclass

from seawall.config.settings import Settings
from seawall.config.source import ConfigTrouble

FOLDERS = ("maildrop", "incoming", "active", "deferred", "hold", "corrupt")
MOST_DEPTH = 4
"""hash_queue_depth is 1 by default and never more than a few."""

HELP = (
    "drain it:   postqueue -f, until postqueue -p says that the mail queue is empty; then postfix stop",
    "take it:    postqueue -j tells sender and recipients of each; postcat -bhq ID | seawall sendmail -f SENDER",
    "            RECIPIENT..., then postsuper -d ID",
    "leave it:   Seawall does not touch it, and Postfix goes on with it when it is started again",
    "go back:    drain Seawall's queue (seawall postqueue -f, until -p says that it is empty), stop it, postfix start",
)


@dataclass(frozen=True, slots=True)
class Waiting:
    """Messages by folder of Postfix's queue, and whether a Postfix runs."""

    counts: Mapping[str, int]
    is_running: bool

    def lines(self) -> list[str]:
        """What the report says of it; nothing where no mail waits and no Postfix runs."""
        result: list[str] = []
        if self.is_running:
            result.append("Postfix is running: stop it first (postfix stop); a server would not start beside it")
        total = sum(self.counts.values())
        if total:
            parts = ", ".join(f"{count} {folder}" for folder, count in self.counts.items() if count)
            result.append(f"{total} message{'s' if total != 1 else ''} in Postfix's queue ({parts})")
            result.extend("  " + line for line in HELP)
        return result


def waiting_mail(settings: Settings) -> Waiting:
    """Look into Postfix's queue; folders that cannot be read count as empty."""
    try:
        queue = settings.path(settings.text("queue_directory"))
        pid = settings.text("process_id_directory")
    except ConfigTrouble:
        return Waiting({}, is_running=False)
    counts = {folder: count_files(os.path.join(queue, folder), MOST_DEPTH) for folder in FOLDERS}
    return Waiting(counts, is_locked(os.path.join(queue, pid, "master.pid")))


def count_files(path: str, depth: int) -> int:
    """The files in a folder and its subfolders."""
    total = 0
    try:
        with os.scandir(path) as found:
            for item in found:
                if item.is_dir(follow_symlinks=False):
                    total += count_files(item.path, depth - 1) if depth else 0
                else:
                    total += 1
    except OSError:
        return total
    return total


def is_locked(path: str) -> bool:
    """True where another process holds the file's lock, as master(8) does while it runs."""
    try:
        with open(path, "rb") as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        return False
    return False
