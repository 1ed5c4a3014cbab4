"""The host that a server runs on: its directories, its locks, its log, and what must be so before it may start."""

from __future__ import annotations

import fcntl
import os
import resource
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from seawall.config.settings import Settings
from seawall.run.privileges import Account, find_account, is_root
from seawall.spool.disk import Disk
from seawall.spool.places import MODES, Places, make_places

OWN = "seawall"
"""Everything of ours lies in `$queue_directory/seawall` and `$data_directory/seawall`; Postfix's folders are not touched."""


class StartTrouble(Exception):
    """The server may not start; the text names the remedy.  `code` is for sysexits(3)."""

    def __init__(self, message: str, code: int = 78) -> None:
        super().__init__(message)
        self.code = code


@dataclass(frozen=True, slots=True)
class Site:
    """The places of one server."""

    spool: Path
    state: Path
    account: Account | None
    """mail_owner, where we are root; None where all runs as the user that started it."""

    @staticmethod
    def of(settings: Settings) -> Site:
        """The places that a configuration names.  Raises StartTrouble, PrivilegeTrouble."""
        queue, data = settings.text("queue_directory"), settings.text("data_directory")
        for name, path in (("queue_directory", queue), ("data_directory", data)):
            if not path.startswith("/"):
                raise StartTrouble(f"{settings.where(name)}: {name} must be an absolute path, not '{path}'")
        account = find_account(settings.text("mail_owner")) if is_root() else None
        return Site(Path(settings.path(queue)) / OWN, Path(settings.path(data)) / OWN, account)

    def prepare(self) -> None:
        """Make the directories that are missing, for mail_owner alone.  Raises StartTrouble.

        The spool's own folder stays root's: what lies in it (`seawall.pid`, the folders themselves) root must trust.
        """
        place = self.spool
        try:
            make_places(Places(str(place)), Disk())
            place.chmod(0o711)
            if self.account is not None:
                os.chown(place, 0, 0, follow_symlinks=False)
            self._give(*(place / name for name in MODES))
            place = self.state
            place.mkdir(parents=True, exist_ok=True)
            place.chmod(0o700)
            self._give(place)
        except OSError as trouble:
            raise StartTrouble(
                f"cannot make {place}: {trouble.strerror}; make it, owned by the user that runs Seawall, "
                f"or choose another queue_directory or data_directory",
                73,
            ) from trouble

    def local_sockets(self) -> tuple[Path, Path]:
        """Where the queue manager serves this host's users."""
        places = Places(str(self.spool))
        return Path(places.control_socket), Path(places.submit_socket)

    def _give(self, *places: Path) -> None:
        """To mail_owner, where we are root."""
        if self.account is not None:
            for place in places:
                os.chown(place, self.account.uid, self.account.gid, follow_symlinks=False)


def allow_many_files() -> int:
    """Raise the soft limit of open files to the hard one, for us and our children: a connection is a file.  The limit."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != hard:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return hard


def postfix_is_running(settings: Settings) -> bool:
    """True while a Postfix master holds its lock: two servers must not share a spool or a port.  master(8)"""
    path = Path(settings.path(settings.text("queue_directory"))) / "pid" / "master.pid"
    try:
        with path.open("rb") as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        return False
    return False


class PidFile:
    """`seawall.pid` in the spool: locked while a server or a child of it lives, the server's process id inside."""

    def __init__(self, site: Site) -> None:
        self.path = site.spool / "seawall.pid"
        self._descriptor = -1

    def take(self) -> int:
        """Lock it and write our id; the locked descriptor.  Raises StartTrouble where another server has it."""
        try:
            self._descriptor = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o644)
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise StartTrouble(self._taken(), 75) from None
        except OSError as trouble:
            raise StartTrouble(f"cannot write {self.path}: {trouble.strerror}", 73) from trouble
        os.ftruncate(self._descriptor, 0)
        os.pwrite(self._descriptor, f"{os.getpid()}\n".encode(), 0)
        return self._descriptor

    def _taken(self) -> str:
        pid = self.holder()
        if not self.is_served():
            return (
                f"the Seawall that served this spool (pid {pid}) was killed, and its processes still finish their work: "
                "start again when they have ended, within 40 seconds"
            )
        return f"another Seawall (pid {pid or '?'}) serves this spool: `seawall postfix stop` ends it"

    def is_served(self) -> bool:
        """False where the server was killed, and only its children hold the lock, until their work is done."""
        try:
            with open(f"/proc/{self.holder()}/cmdline", "rb") as file:
                return b"seawall" in file.read()
        except OSError:
            return False

    def holder(self) -> int:
        """The process id of the server that holds the lock, or did when it was killed; 0 where nobody does."""
        try:
            with self.path.open("rb") as file:
                try:
                    fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
                except BlockingIOError:
                    return int(file.read() or b"0")
        except (OSError, ValueError):
            return 0
        return 0

    def give_back(self) -> None:
        """Forget it; the lock goes with the descriptor."""
        if self._descriptor != -1:
            os.ftruncate(self._descriptor, 0)
            os.close(self._descriptor)
            self._descriptor = -1


def open_log(settings: Settings, account: Account | None) -> int | None:
    """The descriptor of maillog_file, or None where the log goes elsewhere.  Raises StartTrouble.

    The file must lie below one of maillog_file_prefixes.  postconf(5) maillog_file_prefixes
    """
    name = settings.text("maillog_file")
    if not name or name == "/dev/stdout":
        return os.dup(1) if name else None
    prefixes: Sequence[str] = settings.words("maillog_file_prefixes")
    if not any(name == prefix or name.startswith(prefix.rstrip("/") + "/") for prefix in prefixes):
        raise StartTrouble(f"{settings.where('maillog_file')}: {name} lies below none of maillog_file_prefixes")
    path = settings.path(name)
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        if account is not None and os.fstat(descriptor).st_uid == 0 and os.fstat(descriptor).st_size == 0:
            os.fchown(descriptor, 0, account.gid)
            os.fchmod(descriptor, 0o640)
    except OSError as trouble:
        raise StartTrouble(f"cannot write {path}: {trouble.strerror}", 73) from trouble
    return descriptor
