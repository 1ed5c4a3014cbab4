"""`seawall serve` as a process of its own, below a directory of a test: configuration, log, mailboxes, children.

All runs as the user that runs the tests; for root as nobody.  The server listens on a free port of 127.0.0.1.
"""

from __future__ import annotations

import os
import pwd
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from seawall.config.master_cf import STANDARD

CHECKOUT = Path(__file__).parents[2]
WITHIN = 30.0  # seconds after which what should have happened counts as not happening
ROLES = ("worker", "queue_manager", "delivery", "watcher")

BASICS = """\
compatibility_level = 3.6
myhostname = mx.example
inet_interfaces = 127.0.0.1
inet_protocols = ipv4
mail_owner = {user}
queue_directory = {base}/spool
data_directory = {base}/state
maillog_file_prefixes = {base}
maillog_file = {base}/mail.log
mynetworks =
mydestination =
local_recipient_maps =
alias_maps =
smtpd_peername_lookup = no
smtpd_relay_restrictions = reject_unauth_destination
virtual_mailbox_domains = example.com
virtual_mailbox_base = {base}/mail
virtual_mailbox_maps = static:box/
virtual_minimum_uid = 1
virtual_uid_maps = static:{uid}
virtual_gid_maps = static:{gid}
default_transport = error:nothing leaves a test
seawall_workers = 1
"""


def until(condition: Callable[[], object], what: str, within: float = WITHIN) -> None:
    """Wait for a condition; the test fails where it does not come."""
    end = time.monotonic() + within
    while not condition():
        assert time.monotonic() < end, f"not within {within:g} s: {what}"
        time.sleep(0.02)


def is_alive(pid: int) -> bool:
    """False where the process is gone, or dead and only not waited for."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


@dataclass(frozen=True, slots=True)
class Child:
    """A process of a server."""

    role: str
    pid: int


class Server:
    """One site; `start` and `stop` as often as a test likes."""

    def __init__(self, base: Path, more: str = "", master_cf: str = "") -> None:
        self.base = base
        self.etc = base / "etc"
        self.etc.mkdir(exist_ok=True)
        (base / "mail").mkdir(exist_ok=True)
        self.user = pwd.getpwnam("nobody") if os.geteuid() == 0 else pwd.getpwuid(os.geteuid())
        if os.geteuid() == 0:
            os.chown(base / "mail", self.user.pw_uid, self.user.pw_gid)
        self.basics = BASICS.format(base=base, user=self.user.pw_name, uid=self.user.pw_uid, gid=self.user.pw_gid)
        self.port = 0
        self.service = "127.0.0.1:0"
        self.process: subprocess.Popen[bytes] | None = None
        self.most_files = 0
        """RLIMIT_NOFILE, where it is to be a small one."""
        self.configure(more, master_cf)

    def configure(self, more: str, master_cf: str = "") -> None:
        """Write main.cf: the basics and `more`, which may override them."""
        (self.etc / "main.cf").write_text(self.basics + more)
        (self.etc / "master.cf").write_text(STANDARD.replace("smtp ", f"{self.service} ", 1) + master_cf)

    @property
    def pid(self) -> int:
        assert self.process is not None
        return self.process.pid

    def spawn(self) -> subprocess.Popen[bytes]:
        """Start, without waiting for anything."""
        out = (self.base / "out").open("ab")
        words = [sys.executable, "-m", "seawall", "serve", "-c", str(self.etc)]
        if self.most_files:
            words = ["sh", "-c", f'ulimit -n {self.most_files}; exec "$@"', "sh", *words]
        with out:
            self.process = subprocess.Popen(
                words,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=out,
                cwd=CHECKOUT,
                env={**os.environ, "PYTHONPATH": str(CHECKOUT / "src"), "PYTHONDONTWRITEBYTECODE": ""},
            )
        return self.process

    def start(self) -> Server:
        """Start, and wait until mail can come."""
        before = len(self.printed())
        process = self.spawn()

        def ready() -> re.Match[str] | None:
            assert process.poll() is None, f"the server ended:\n{self.printed()}\n{self.log()}"
            return re.search(r"seawall: ready on 127\.0\.0\.1:(\d+)", self.printed()[before:])

        until(ready, "the server is ready")
        found = ready()
        assert found is not None
        self.port = int(found[1])
        return self

    def refused(self) -> tuple[int, str]:
        """Start where a start must be refused: exit code, and what was said."""
        before = len(self.printed())
        code = self.spawn().wait(WITHIN)
        return code, self.printed()[before:]

    def tell(self, number: signal.Signals) -> None:
        os.kill(self.pid, number)

    def stop(self, number: signal.Signals = signal.SIGTERM) -> int:
        """End it and wait; the exit code."""
        self.tell(number)
        assert self.process is not None
        return self.process.wait(60)

    def reload(self) -> None:
        """SIGHUP, and wait until the log says how it went."""
        before = len(self.log())
        self.tell(signal.SIGHUP)
        until(lambda: re.search(r"\]: (error: )?reload: ", self.log()[before:]), "the reload is over")

    def printed(self) -> str:
        """Standard output and error of all starts."""
        path = self.base / "out"
        return path.read_text("latin-1") if path.exists() else ""

    def log(self) -> str:
        path = self.base / "mail.log"
        return path.read_text("latin-1") if path.exists() else ""

    def said(self, text: str) -> None:
        """Wait until the log has it; where it does not, the failure shows the log's end."""
        try:
            until(lambda: text in self.log(), f"the log says: {text}")
        except AssertionError as trouble:
            raise AssertionError(f"{trouble}; its end:\n{self.log()[-3000:]}") from None

    def children(self, role: str = "") -> list[Child]:
        """The children that live, of one role or all; the newest last."""
        found = []
        for entry in Path("/proc").iterdir():
            if not entry.name.isdigit():
                continue
            try:
                words = (entry / "cmdline").read_bytes().decode("latin-1").split("\0")
                parent = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
            except OSError:
                continue
            name = words[2].rpartition(".")[2] if len(words) > 3 and words[2].startswith("seawall.run.") else ""
            if name and parent == self.pid and role in ("", name):
                found.append(Child(name, int(entry.name)))
        return sorted(found, key=lambda child: child.pid)

    def mail(self) -> list[str]:
        """All messages in mailboxes."""
        files = [*self.base.glob("mail/**/new/*"), *self.base.glob("mail/**/cur/*")]
        return [path.read_text("latin-1") for path in sorted(files)]

    def has_mail(self, text: str) -> bool:
        return any(text in mail for mail in self.mail())

    def arrives(self, text: str) -> None:
        """Wait until a message with this text lies in a mailbox."""
        until(lambda: self.has_mail(text), f"mail arrives: {text}")

    def queue(self) -> list[str]:
        """Names of the queue files at rest."""
        return sorted(path.name for path in (self.base / "spool/seawall/queue").iterdir())

    def close(self) -> None:
        """End whatever still runs of it."""
        process = self.process
        if process is None:
            return
        pids = [child.pid for child in self.children()] if process.poll() is None else []
        if process.poll() is None:
            for pid in pids:
                _signal(pid, signal.SIGCONT)
            process.terminate()
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait(10)
                for pid in pids:
                    _signal(pid, signal.SIGKILL)
        self.process = None


def _signal(pid: int, number: signal.Signals) -> None:
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        return


@contextmanager
def site(more: str = "", master_cf: str = "") -> Iterator[Server]:
    """A directory that every user may enter, with a server in it that does not run yet."""
    base = Path(tempfile.mkdtemp(prefix="seawall-"))
    base.chmod(0o755)
    server = Server(base, more, master_cf)
    try:
        yield server
    finally:
        server.close()
        shutil.rmtree(base)
