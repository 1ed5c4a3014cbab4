"""Inside a box: the requests that a test may make, each a function here that is called by its name.

A request is a line of JSON ``{"id": 1, "do": "read", "with": {"path": "/etc/hosts"}}``; its answer ``{"id": 1, "result": …}``
or ``{"id": 1, "trouble": "text"}``. Bytes travel as text of as many characters (Latin-1).
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import trustme

from tests import box_world
from tests.box_dns import ZoneServer
from tests.box_log import SystemLog
from tests.box_sink import Sink
from tests.box_talk import converse
from tests.peers import ROOT
from tests.policy_server import PolicyServer

ENVIRONMENT = {**os.environ, "PATH": f"{Path(sys.executable).parent}:/usr/sbin:/usr/bin:/sbin:/bin"}
SINK_PORT = 2525
LMTP_PORT = 2424
# what a server leaves behind: taken away between two of them
LEFT_OVERS = ("/var/spool/postfix", "/var/lib/postfix", "/var/lib/seawall", "/var/spool/mail", "/var/mail/virtual")


class Requests:
    """Every public method is a request; its keyword arguments are the request's."""

    def __init__(self) -> None:
        self._names = ZoneServer("")
        self._names.start()
        SystemLog(box_world.LOG).start()
        self._sinks = {port: Sink(box_world.SINK_ADDRESS, port) for port in (SINK_PORT, LMTP_PORT)}
        self._children: dict[int, subprocess.Popen[bytes]] = {}
        self._policies: dict[str, PolicyServer] = {}

    def write(self, path: str, text: str, mode: int = 0o644, owner: str = "") -> None:
        file = Path(path)
        file.parent.mkdir(parents=True, exist_ok=True)
        file.unlink(missing_ok=True)
        file.write_bytes(text.encode("latin-1"))
        file.chmod(mode)
        if owner:
            shutil.chown(file, owner)

    def read(self, path: str) -> str | None:
        try:
            return Path(path).read_bytes().decode("latin-1")
        except FileNotFoundError:
            return None

    def files(self, path: str) -> list[str]:
        """Paths of all plain files below a directory, sorted."""
        return sorted(str(file) for file in Path(path).rglob("*") if file.is_file() and not file.is_symlink())

    def remove(self, path: str) -> None:
        """A file, or all that is in a directory; the directory itself stays."""
        place = Path(path)
        if not place.is_dir():
            place.unlink(missing_ok=True)
            return
        for entry in place.iterdir():
            if entry.is_dir() and not entry.is_symlink():
                shutil.rmtree(entry, ignore_errors=True)
            else:
                entry.unlink(missing_ok=True)

    def run(self, command: list[str], stdin: str = "", timeout: float = 60, cwd: str = "/") -> dict[str, Any]:
        done = subprocess.run(
            command,
            input=stdin.encode("latin-1"),
            capture_output=True,
            timeout=timeout,
            check=False,
            env=ENVIRONMENT,
            cwd=cwd,
        )
        return {
            "code": done.returncode,
            "out": done.stdout.decode("latin-1"),
            "err": done.stderr.decode("latin-1"),
        }

    def start(self, command: list[str], output: str, cwd: str = "/") -> int:
        """A process in the background, what it prints in the file `output`; its process id."""
        with open(output, "ab") as out:
            child = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=out,
                env=ENVIRONMENT,
                cwd=cwd,
                start_new_session=True,
            )
        self._children[child.pid] = child
        return child.pid

    def alive(self, pid: int) -> bool:
        child = self._children.get(pid)
        if child is not None:
            return child.poll() is None
        return Path(f"/proc/{pid}").exists()

    def kill(self, pid: int, number: int = signal.SIGTERM) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, number)

    def ended(self, pid: int, timeout: float = 10) -> int | None:
        """Wait for a process that `start` started; its exit code, None while it still runs."""
        try:
            return self._children[pid].wait(timeout)
        except subprocess.TimeoutExpired:
            return None

    def processes(self) -> dict[str, str]:
        """Process id: command line, of everything in the box but this process."""
        found = {}
        for entry in Path("/proc").iterdir():
            if entry.name.isdigit() and int(entry.name) not in (1, os.getpid()):
                with contextlib.suppress(OSError):
                    found[entry.name] = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode("latin-1").strip()
        return found

    def zone(self, text: str) -> None:
        self._names.load(text)

    def listens(self, address: str, port: int, timeout: float = 10) -> bool:
        """True as soon as somebody accepts there."""
        end = time.monotonic() + timeout
        while time.monotonic() < end:
            with contextlib.suppress(OSError), socket.create_connection((address, port), timeout=1):
                return True
            time.sleep(0.02)
        return False

    def policy(self, endpoint: str, script: str) -> None:
        """Let a policy service listen at an endpoint of check_policy_service, and answer by a script from now on."""
        server = self._policies.get(endpoint)
        if server is None:
            self._policies[endpoint] = PolicyServer(endpoint, script, owner="postfix")
        else:
            server.load(script)

    def policy_asked(self, endpoint: str) -> list[str]:
        """The questions that the policy service at an endpoint has heard since the last call."""
        return [question.decode("latin-1") for question in self._policies[endpoint].take()]

    def policy_end(self, endpoint: str) -> None:
        """Let the policy service at an endpoint go away, with its connections."""
        server = self._policies.pop(endpoint, None)
        if server is not None:
            server.close()

    def log(self, start: int = 0) -> dict[str, Any]:
        """What was logged from this offset on, and the offset for the next call."""
        with box_world.LOG.open("rb") as file:
            file.seek(start)
            text = file.read()
        return {"text": text.decode("latin-1"), "end": start + len(text)}

    def sunk(self) -> dict[str, list[str]]:
        """What the next hops took since the last call: `sink` by SMTP, `lmtp` by LMTP."""
        taken = {SINK_PORT: "sink", LMTP_PORT: "lmtp"}
        return {name: [text.decode("latin-1") for text in self._sinks[port].take()] for port, name in taken.items()}

    def mail(self) -> dict[str, list[str]]:
        """Take all mail out of every mailbox, and what the next hops took: name, messages."""
        found = self.sunk()
        for file in _mail_files():
            found.setdefault(_mailbox_of(file), []).append(file.read_bytes().decode("latin-1"))
            file.unlink()
        return found

    def mail_count(self) -> int:
        """How many messages `mail` would take."""
        return sum(1 for _ in _mail_files()) + sum(sink.count() for sink in self._sinks.values())

    def postfix_settled(self, timeout: float = 15) -> bool:
        """Wait until no message is on its way in Postfix's queue, then delete what was deferred or held."""
        end = time.monotonic() + timeout
        quiet = 0
        while quiet < 3 and time.monotonic() < end:
            moving = any(
                file.is_file()
                for name in ("maildrop", "incoming", "active")
                for file in Path("/var/spool/postfix", name).rglob("*")
            )
            quiet = 0 if moving else quiet + 1
            time.sleep(0.02)
        if any(file.is_file() for name in ("deferred", "hold") for file in Path("/var/spool/postfix", name).rglob("*")):
            self.run(["postsuper", "-d", "ALL"])
        return quiet == 3

    def certificate(self, directory: str, name: str) -> None:
        """A fresh key and certificate for `name`: key.pem, cert.pem and ca.pem in the directory."""
        authority = trustme.CA()
        issued = authority.issue_cert(name)
        chain = b"".join(part.bytes() for part in issued.cert_chain_pems)
        for file, text in (
            ("key.pem", issued.private_key_pem.bytes()),
            ("cert.pem", chain),
            ("ca.pem", authority.cert_pem.bytes()),
        ):
            self.write(f"{directory}/{file}", text.decode("latin-1"), mode=0o600 if file == "key.pem" else 0o644)

    def wipe(self) -> None:
        """Forget every server that ran: its configuration, queue, mail and log; the people's homes are empty again."""
        for endpoint in list(self._policies):
            self.policy_end(endpoint)
        for place in (str(box_world.POSTFIX), *LEFT_OVERS):
            if Path(place).is_dir():
                self.remove(place)
        for _, uid, gid, home in box_world.USERS:
            if uid >= box_world.PEOPLE_FROM:
                self.remove(home)
                os.chown(home, uid, gid)
                Path(home).chmod(0o755)
        Path("/var/spool/mail").chmod(0o1777)
        os.chown("/var/spool/mail", 0, 0)
        Path("/var/lib/postfix").mkdir(exist_ok=True)
        shutil.chown("/var/lib/postfix", "postfix", "postfix")
        for file, text in box_world.CONFIGURATION.items():
            box_world.replace(box_world.POSTFIX / file, text)
        for entry in (ROOT / "etc/postfix").iterdir():
            target = box_world.POSTFIX / entry.name
            if entry.is_file():
                shutil.copy2(entry, target)
        os.truncate(box_world.LOG, 0)

    def talk(self, **words: Any) -> dict[str, Any]:
        """A dialogue with a server. See `tests.box_talk.converse`."""
        return converse(**words)


def _mail_files() -> Iterator[Path]:
    """Messages at rest: Maildirs of the people and of virtual(8), and files below /var/spool/mail."""
    for place in ("/home", "/var/mail/virtual"):
        for folder in ("new", "cur"):
            yield from sorted(Path(place).glob(f"**/{folder}/*"))
    for place in ("/var/spool/mail", "/home"):
        yield from sorted(
            file for file in Path(place).glob("*.mbox" if place == "/home" else "*") if file.stat().st_size
        )


def _mailbox_of(file: Path) -> str:
    """`alice` for /home/alice/Maildir/new/1, `alice .Work` for a folder of hers, `mbox alice` below /var/spool/mail."""
    if file.parts[1] == "home":
        name, *folders = file.parts[2:-2]
        return " ".join([name, *(folder for folder in folders if folder != "Maildir")])
    return f"mbox {file.name}" if file.parts[2] == "spool" else "virtual " + "/".join(file.parts[4:-2])


def serve() -> None:
    """Answer requests until standard input ends."""
    requests = Requests()
    out = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    lock = threading.Lock()

    def answer(line: str) -> None:
        asked = json.loads(line)
        reply: dict[str, Any] = {"id": asked["id"]}
        try:
            do: Callable[..., Any] = getattr(requests, asked["do"])
            reply["result"] = do(**asked["with"])
        except Exception as trouble:  # whatever it is belongs to the test that asked
            reply["trouble"] = f"{type(trouble).__name__}: {trouble}"
        with lock:
            out.write(json.dumps(reply) + "\n")
            out.flush()

    with ThreadPoolExecutor(32) as pool:
        for line in sys.stdin:
            pool.submit(answer, line)
        os._exit(0)
