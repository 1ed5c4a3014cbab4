"""Changes to the file of exemptions: one writer at a time, and never half a file."""

from __future__ import annotations

import contextlib
import fcntl
import os
import time
from collections.abc import Iterator

from seawall.config.source import ConfigTrouble
from seawall.policy.exempt import Entry, parse_entries
from seawall.policy.exempt_file import read_text

HEADER = """\
# Misconfigured but honest senders.  The checks that are named say DUNNO for them, never OK.
# `seawall exempt` writes this file, and a running server reads it again when it changes.  docs/exemptions.md
# key  checks  added=DATE until=DATE by=WHO  reason
"""
PATIENCE = 10.0
"""Seconds that a second writer waits for the first.  Ours."""


class Busy(Exception):
    """Another writer is at the file."""


@contextlib.contextmanager
def locked(path: str) -> Iterator[None]:
    """The right to change `path`: a lock on its directory, so that none is left behind.  Raises Busy, OSError."""
    descriptor = os.open(os.path.dirname(path) or ".", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        until = time.monotonic() + PATIENCE
        while True:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() > until:
                    raise Busy(path) from None
                time.sleep(0.05)
        yield
    finally:
        os.close(descriptor)


class Draft:
    """A file as it is to be, beside the one that is: `commit` puts it in its place, all else throws it away."""

    def __init__(self, path: str, text: str) -> None:
        """Durable once it is made.  OSError."""
        self.path = path
        self.temporary = f"{path}.new"
        with contextlib.suppress(FileNotFoundError):
            os.unlink(self.temporary)  # somebody was ended in the middle; nobody else is here now
        descriptor = os.open(self.temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        with open(descriptor, "wb") as file:
            self._dress(file.fileno())
            file.write(text.encode())
            file.flush()
            os.fsync(file.fileno())

    def _dress(self, descriptor: int) -> None:
        """Owner and rights of the old file; a new one is for everybody to read, as workers must."""
        try:
            old = os.stat(self.path)
        except FileNotFoundError:
            os.fchmod(descriptor, 0o644)
            return
        os.fchmod(descriptor, old.st_mode & 0o7777)
        if os.geteuid() == 0:
            os.fchown(descriptor, old.st_uid, old.st_gid)

    def __enter__(self) -> Draft:
        return self

    def commit(self) -> None:
        """From here on it is the file, and survives a power cut."""
        os.rename(self.temporary, self.path)
        descriptor = os.open(os.path.dirname(self.path) or ".", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)

    def __exit__(self, *trouble: object) -> None:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(self.temporary)


def read_entries(path: str, shown: str) -> tuple[str, tuple[Entry, ...]]:
    """(text, entries) of the file.  Raises ConfigTrouble for a line that does not read, OSError."""
    try:
        text = read_text(path)
    except ValueError:
        raise ConfigTrouble(f"{shown} is no UTF-8 text") from None
    entries, troubles = parse_entries(text, shown)
    if troubles:
        raise troubles[0]
    return text, entries


def changed(text: str, gone: dict[int, Entry | None], more: tuple[Entry, ...] = ()) -> str:
    """The text with some lines (counted from 1) gone or written anew, others kept as they are, and lines at its end."""
    lines = (text or HEADER).removesuffix("\n").split("\n")
    kept: list[str] = []
    for number, line in enumerate(lines, 1):
        if number not in gone:
            kept.append(line)
        elif (entry := gone[number]) is not None:
            kept.append(entry.text())
    return "".join(f"{line}\n" for line in (*kept, *(entry.text() for entry in more)))
