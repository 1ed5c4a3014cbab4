r"""The box: real mail servers in namespaces of their own, on any host, with nothing of the host changed.

In a test::

    with Box() as box:
        box.write("/etc/postfix/main.cf", CONFIG_A)
        pid = box.start_postfix()
        box.talk([("expect", 1), ("send", "QUIT\r\n"), ("expect", 1)], port=25, source="198.18.3.4")

On the command line, ``python -m tests.box run [--etc DIR] [--zone FILE] [--disk DIR] -- COMMAND…`` runs one command there,
with the peers over /usr: ``python -m tests.box run -- postconf -d mail_version``.
"""

from __future__ import annotations

import contextlib
import json
import os
import queue
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests import peers
from tests.box_world import SERVER_ADDRESS


@dataclass(frozen=True, slots=True)
class Ran:
    """What a command left: its exit code and what it printed."""

    code: int
    out: str
    err: str


@dataclass(frozen=True, slots=True)
class Heard:
    """What a dialogue heard at one of its acts: lines without their ends, and whether the server had closed."""

    lines: tuple[str, ...]
    closed: bool


NAMESPACES = ("--mount", "--net", "--pid", "--ipc", "--uts", "--fork", "--kill-child")


class BoxTrouble(Exception):
    """A box cannot be had here, or what runs in it failed; the text says why."""


def missing() -> str:
    """Why no box can be had here, with the remedy; empty when one can."""
    trouble = peers.missing()
    if trouble:
        return trouble
    done = subprocess.run([*enter(), "true"], capture_output=True, text=True, timeout=30, check=False)
    if done.returncode:
        return f"no namespaces here ({done.stderr.strip()}): run as root, or allow user namespaces"
    return ""


def enter() -> list[str]:
    """The words before a command that put it into fresh namespaces."""
    tool = shutil.which("unshare") or "/usr/bin/unshare"
    as_root = () if os.geteuid() == 0 else ("--user", "--map-root-user", "--map-auto")
    return [tool, *as_root, *NAMESPACES]


def agent(*words: str) -> list[str]:
    return [*enter(), sys.executable, "-m", "tests.box_agent", *words]


def environment() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": f"{peers.CHECKOUT}:{peers.CHECKOUT}/src"}


class Box:
    """A box that is open, as a context manager; every process in it ends with it.

    All methods are bounded by time-outs and may be called from several threads.
    """

    def __init__(self, disk: Path | None = None) -> None:
        words = ["--disk", str(disk)] if disk else []
        self._process = subprocess.Popen(
            agent(*words, "serve"),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            encoding="ascii",
            env=environment(),
            cwd=peers.CHECKOUT,
        )
        self._lock = threading.Lock()
        self._waiting: dict[int, queue.Queue[dict[str, Any]]] = {}
        self._count = 0
        self._receiver = threading.Thread(target=self._receive, daemon=True, name="box")
        self._receiver.start()

    def __enter__(self) -> Box:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End the box and all that runs in it."""
        process = self._process
        assert process.stdin is not None
        assert process.stdout is not None
        with contextlib.suppress(BrokenPipeError):
            process.stdin.close()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait(10)
        self._receiver.join(10)
        process.stdout.close()

    def ask(self, do: str, /, *, at_most: float = 60, **words: Any) -> Any:
        """Make a request of `tests.box_server.Requests`; its result."""
        answers: queue.Queue[dict[str, Any]] = queue.Queue()
        with self._lock:
            self._count += 1
            number = self._count
            self._waiting[number] = answers
            if self._process.poll() is not None or self._process.stdin is None or self._process.stdin.closed:
                raise BoxTrouble(f"the box has ended with code {self._process.returncode}")
            self._process.stdin.write(json.dumps({"id": number, "do": do, "with": words}) + "\n")
            self._process.stdin.flush()
        try:
            answer = answers.get(timeout=at_most)
        except queue.Empty:
            raise BoxTrouble(f"no answer to {do} in {at_most:g} seconds") from None
        if "trouble" in answer:
            raise BoxTrouble(f"{do}: {answer['trouble']}")
        return answer["result"]

    def _receive(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            answer = json.loads(line)
            with self._lock:
                answers = self._waiting.pop(answer["id"], None)
            if answers is not None:
                answers.put(answer)
        with self._lock:
            left, self._waiting = self._waiting, {}
        for number, answers in left.items():
            answers.put({"id": number, "trouble": "the box has ended"})

    def write(self, path: str, text: str | bytes, *, mode: int = 0o644, owner: str = "") -> None:
        """Write a file anew; folders are made."""
        self.ask("write", path=path, text=_letters(text), mode=mode, owner=owner)

    def read(self, path: str) -> bytes | None:
        """A file's content; None where there is none."""
        text = self.ask("read", path=path)
        return None if text is None else text.encode("latin-1")

    def files(self, path: str) -> list[str]:
        """Paths of all plain files below a directory."""
        return list(self.ask("files", path=path))

    def remove(self, path: str) -> None:
        """A file, or all that is in a directory."""
        self.ask("remove", path=path)

    def run(self, *command: str, stdin: str | bytes = "", timeout: float = 60, check: bool = True) -> Ran:
        """Run a command to its end; BoxTrouble when it fails, unless `check` is false."""
        done = self.ask(
            "run", at_most=timeout + 10, command=list(command), stdin=_letters(stdin), timeout=timeout, cwd="/"
        )
        if check and done["code"]:
            raise BoxTrouble(f"{' '.join(command)} ended with {done['code']}\n{done['out']}{done['err']}")
        return Ran(done["code"], done["out"], done["err"])

    def start(self, *command: str, output: str = "/var/log/started.log") -> int:
        """Start a process that goes on; its process id. What it prints is in the file `output`."""
        return int(self.ask("start", command=list(command), output=output, cwd="/"))

    def alive(self, pid: int) -> bool:
        return bool(self.ask("alive", pid=pid))

    def kill(self, pid: int, number: int = signal.SIGTERM) -> None:
        self.ask("kill", pid=pid, number=int(number))

    def ended(self, pid: int, timeout: float = 10) -> int | None:
        """Wait for what `start` started; its exit code, or None while it still runs."""
        code = self.ask("ended", at_most=timeout + 10, pid=pid, timeout=timeout)
        return None if code is None else int(code)

    def processes(self) -> dict[int, str]:
        """Process id: command line, of all that runs in the box."""
        return {int(pid): line for pid, line in self.ask("processes").items()}

    def zone(self, text: str) -> None:
        """Let the box's name server answer from this zone, and NXDOMAIN beside it."""
        self.ask("zone", text=text)

    def policy(self, endpoint: str, script: str) -> None:
        """Let a policy service listen at `inet:HOST:PORT` or `unix:PATH`, and answer by a script. `tests.policy_server`"""
        self.ask("policy", endpoint=endpoint, script=script)

    def policy_asked(self, endpoint: str) -> list[bytes]:
        """The questions that the policy service has heard since the last call."""
        return [question.encode("latin-1") for question in self.ask("policy_asked", endpoint=endpoint)]

    def policy_end(self, endpoint: str) -> None:
        """Let the policy service go away, with its connections."""
        self.ask("policy_end", endpoint=endpoint)

    def listens(self, port: int, address: str = SERVER_ADDRESS, timeout: float = 10) -> bool:
        """True as soon as somebody accepts there."""
        return bool(self.ask("listens", at_most=timeout + 10, address=address, port=port, timeout=timeout))

    def log(self, start: int = 0) -> tuple[str, int]:
        """What was logged from this offset on, and the offset for the next call."""
        got = self.ask("log", start=start)
        return got["text"], got["end"]

    def sunk(self) -> dict[str, list[str]]:
        """What the next hops took since the last call: `sink` by SMTP (port 2525), `lmtp` by LMTP (port 2424)."""
        return dict(self.ask("sunk"))

    def talk(
        self, acts: Sequence[tuple[str, Any]], *, port: int, source: str = "", patience: float = 12
    ) -> list[Heard]:
        """A dialogue over TCP. See `tests.box_talk`."""
        words = {"acts": [list(act) for act in acts], "port": port, "source": source, "patience": patience}
        got = self.ask("talk", at_most=patience * (len(acts) + 1), **words)
        return [Heard(tuple(heard["lines"]), heard["closed"]) for heard in got["heard"]]

    def wipe(self) -> None:
        """Forget every server that ran: configuration, queue, mail and log."""
        self.ask("wipe")

    def start_postfix(self, *, timeout: float = 20) -> int:
        """Start Postfix with what lies in /etc/postfix; the process id of its master."""
        self.run("postfix", "start", timeout=timeout)
        pid = self.read("/var/spool/postfix/pid/master.pid")
        if not pid:
            raise BoxTrouble(f"Postfix did not start:\n{self.log()[0]}")
        return int(pid)

    def stop_postfix(self, pid: int) -> None:
        """End Postfix without ceremony, and wait until its processes are gone."""
        self.kill(pid, signal.SIGTERM)
        end = time.monotonic() + 10
        while time.monotonic() < end:
            if not self.alive(pid):
                return
            time.sleep(0.02)
        self.kill(pid, signal.SIGKILL)

    def start_seawall(self, *arguments: str, port: int = 25, timeout: float = 40) -> int:
        """Start `seawall serve -c /etc/postfix`; its process id, once it serves at the port.

        The kernel accepts before the workers do: what it prints tells when they are there.
        """
        output = "/var/log/seawall.log"
        before = len(self.read(output) or b"")
        pid = self.start(sys.executable, "-m", "seawall", "serve", "-c", "/etc/postfix", *arguments, output=output)
        end = time.monotonic() + timeout
        while b"seawall: ready" not in (self.read(output) or b"")[before:]:
            if time.monotonic() > end or not self.alive(pid):
                break
            time.sleep(0.02)
        if not self.alive(pid) or not self.listens(port, timeout=max(1.0, end - time.monotonic())):
            self.stop(pid)
            text = (self.read(output) or b"").decode("utf-8", "replace")
            raise BoxTrouble(f"seawall does not accept at port {port}:\n{text}\n{self.log()[0]}")
        return pid

    def stop(self, pid: int, timeout: float = 10) -> int | None:
        """End what `start` started, by SIGTERM and, when that does not help, by SIGKILL; its exit code."""
        self.kill(pid)
        code = self.ended(pid, timeout)
        if code is None:
            self.kill(pid, signal.SIGKILL)
            code = self.ended(pid, timeout)
        return code


def _letters(text: str | bytes) -> str:
    return text.decode("latin-1") if isinstance(text, bytes) else text.encode("utf-8").decode("latin-1")


def main(arguments: Sequence[str]) -> int:
    words = list(arguments)
    if not words or words[0] != "run" or "--" not in words:
        sys.stderr.write("usage: python -m tests.box run [--etc DIR] [--zone FILE] [--disk DIR] -- COMMAND...\n")
        return 64
    trouble = missing()
    if trouble:
        sys.stderr.write(f"{trouble}\n")
        return 69
    at = words.index("--")
    return subprocess.run(agent(*words[1:at], "run", *words[at + 1 :]), env=environment(), check=False).returncode


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
