r"""A policy service that answers by a script: the other side of `check_policy_service` in tests, with real sockets.

A script is lines ``NAME=PATTERN … -> ANSWER``; the first line whose patterns (shell style) all match the attributes of the
question tells the answer, and where none does it is DUNNO. The answer is an access(5) action, or one of

=================  ===================================================================================
``*raw TEXT``      these bytes as they are (``\n \r \t \\ \xNN`` as in golden cases), and nothing else
``*close``         close without an answer
``*close TEXT``    send these bytes, then close
``*silent``        never answer; the connection stays
``*after S TEXT``  the action TEXT, S seconds later
=================  ===================================================================================

The service can be run by hand as well: ``python -m tests.policy_server ENDPOINT SCRIPT-FILE``; SIGHUP reads the script
anew.
"""

from __future__ import annotations

import contextlib
import shutil
import signal
import socket
import sys
import threading
from collections.abc import Callable
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path

from tests.case_file import CaseTrouble, unescape

QUEUE_DIRECTORY = "/var/spool/postfix"
MOST_QUESTION = 1_000_000  # bytes of one question; a test that sends more is wrong


@dataclass(frozen=True, slots=True)
class Rule:
    """One line of a script."""

    patterns: tuple[tuple[str, str], ...]
    answer: str

    def fits(self, question: dict[str, str]) -> bool:
        return all(fnmatchcase(question.get(name, ""), pattern) for name, pattern in self.patterns)


def parse_script(text: str) -> tuple[Rule, ...]:
    """The rules of a script; empty lines and ``#`` lines are skipped."""
    rules = []
    for line in text.splitlines():
        if not line or line.startswith("#"):
            continue
        before, arrow, answer = f" {line}".partition(" ->")
        if not arrow:
            raise CaseTrouble(f"not a rule of a policy service: {line}")
        patterns = tuple((name, pattern) for name, _, pattern in (word.partition("=") for word in before.split()))
        rules.append(Rule(patterns, answer.strip(" ")))
    return tuple(rules)


class PolicyServer:
    """Listens at an endpoint and answers from threads; `load` changes the script at any time."""

    def __init__(self, endpoint: str, script: str = "", *, directory: str = QUEUE_DIRECTORY, owner: str = "") -> None:
        """`endpoint` is as check_policy_service has it: inet:HOST:PORT or unix:PATH, below `directory` where relative.

        The directory of a socket is made where it is missing, for its `owner` alone where one is named.
        """
        self.questions: list[bytes] = []
        self.connections = 0
        self._lock = threading.Lock()
        self._ending = threading.Event()
        self._streams: set[socket.socket] = set()
        self.load(script)
        self._listener = _listen(endpoint, directory, owner)
        self.address = self._listener.getsockname()
        threading.Thread(target=self._accept, daemon=True, name=f"policy {endpoint}").start()

    def load(self, script: str) -> None:
        """Answer by this script from now on."""
        self._rules = parse_script(script)

    def take(self) -> list[bytes]:
        """The questions since the last call, as they came."""
        with self._lock:
            taken, self.questions = self.questions, []
        return taken

    def close(self) -> None:
        """Listen no more, and end all connections."""
        self._ending.set()
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self.drop()

    def drop(self) -> None:
        """End the connections that are open; new ones are taken."""
        with self._lock:
            streams, self._streams = self._streams, set()
        for stream in streams:
            with contextlib.suppress(OSError):
                stream.shutdown(socket.SHUT_RDWR)

    def _accept(self) -> None:
        while not self._ending.is_set():
            try:
                stream, _ = self._listener.accept()
            except OSError:
                return
            with self._lock:
                self.connections += 1
                self._streams.add(stream)
            threading.Thread(target=self._serve, args=(stream,), daemon=True).start()

    def _serve(self, stream: socket.socket) -> None:
        try:
            with stream, stream.makefile("rb") as file:
                lines: list[bytes] = []
                while line := file.readline(MOST_QUESTION):
                    if line != b"\n":
                        lines.append(line)
                        continue
                    question, lines = b"".join(lines), []
                    with self._lock:
                        self.questions.append(question)
                    if not self._answer(stream, question):
                        return
        except OSError:
            return
        finally:
            with self._lock:
                self._streams.discard(stream)

    def _answer(self, stream: socket.socket, question: bytes) -> bool:
        """Answer one question; False where the connection ends with it."""
        asked = attributes(question)
        text = next((rule.answer for rule in self._rules if rule.fits(asked)), "DUNNO")
        act, _, rest = text.partition(" ")
        match act:
            case "*raw":
                stream.sendall(unescape(rest))
            case "*close":
                stream.sendall(unescape(rest))
                return False
            case "*silent":
                return True
            case "*after":
                seconds, _, text = rest.partition(" ")
                self._ending.wait(float(seconds))
                stream.sendall(_action(text))
            case _:
                stream.sendall(_action(text))
        return True


def attributes(question: bytes) -> dict[str, str]:
    """A question's attributes by name."""
    lines = question.decode("utf-8", "surrogateescape").splitlines()
    return {name: value for name, _, value in (line.partition("=") for line in lines)}


def _action(text: str) -> bytes:
    return f"action={text}\n\n".encode("utf-8", "surrogateescape")


def _listen(endpoint: str, directory: str, owner: str) -> socket.socket:
    kind, _, where = endpoint.partition(":")
    if kind == "inet":
        host, _, port = where.rpartition(":")
        return socket.create_server((host or "127.0.0.1", int(port)), reuse_port=False)
    path = Path(directory, where)
    if not path.parent.is_dir():
        path.parent.mkdir(parents=True, mode=0o700 if owner else 0o755)
        _give(path.parent, owner)
    path.unlink(missing_ok=True)
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(path))
    path.chmod(0o666)
    _give(path, owner)
    listener.listen(128)
    return listener


def _give(path: Path, owner: str) -> None:
    give: Callable[..., None] = shutil.chown
    if owner:
        give(path, owner)


def main() -> None:
    """Serve until the process is ended; SIGHUP reads the script anew."""
    endpoint, file = sys.argv[1], Path(sys.argv[2])
    server = PolicyServer(endpoint, file.read_text(encoding="utf-8"))
    signal.signal(signal.SIGHUP, lambda *_: server.load(file.read_text(encoding="utf-8")))
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    while True:
        signal.pause()


if __name__ == "__main__":
    main()
