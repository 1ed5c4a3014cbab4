"""What a newcomer meets: `make run` is `seawall demo`."""

import os
import pwd
import re
import shutil
import signal
import smtplib
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.box import Box
from tests.system.server import CHECKOUT, WITHIN, is_alive, until

DEMO = [sys.executable, "-m", "seawall", "demo"]
ENVIRONMENT = {**os.environ, "PYTHONPATH": str(CHECKOUT / "src"), "PYTHONDONTWRITEBYTECODE": ""}


@pytest.fixture
def place() -> Iterator[Path]:
    """A directory that every user may enter."""
    base = Path(tempfile.mkdtemp(prefix="seawall-"))
    base.chmod(0o755)
    yield base
    shutil.rmtree(base)


class Demo:
    """A demo that runs; its port and what it printed."""

    def __init__(self, directory: Path, *words: str) -> None:
        self.directory = directory
        self.out = directory.parent / f"{directory.name}.out"
        with self.out.open("wb") as out:
            self.process = subprocess.Popen(
                [*DEMO, "--directory", str(directory), *words], stdout=out, stderr=out, cwd=CHECKOUT, env=ENVIRONMENT
            )
        until(self._is_ready, "the demo is ready")
        found = re.search(r"on 127\.0\.0\.1:(\d+)\.", self.printed())
        assert found is not None
        self.port = int(found[1])

    def _is_ready(self) -> bool:
        assert self.process.poll() is None, self.printed()
        return "Ctrl-C ends it." in self.printed()

    def printed(self) -> str:
        return self.out.read_text()

    def children(self) -> list[int]:
        path = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children")
        return [int(pid) for pid in path.read_text().split()]

    def mail(self, user: str) -> list[str]:
        return [path.read_text() for path in self.directory.glob(f"mail/{user}/new/*")]

    def interrupt(self) -> int:
        """Ctrl-C."""
        self.process.send_signal(signal.SIGINT)
        return self.process.wait(WITHIN)


@pytest.fixture
def demo(place: Path) -> Iterator[Demo]:
    made = Demo(place / "demo")
    yield made
    if made.process.poll() is None:
        made.interrupt()


def test_the_first_mail_arrives_and_ctrl_c_ends_everything(demo: Demo) -> None:
    with smtplib.SMTP("127.0.0.1", demo.port, timeout=20) as client:
        client.sendmail("you@example.com", "alice@demo.example", "Subject: hello\n\nIt works.")
        with pytest.raises(smtplib.SMTPRecipientsRefused) as refused:
            client.sendmail("you@example.com", "nobody@demo.example", "x")
        assert refused.value.recipients["nobody@demo.example"][0] == 550
        with pytest.raises(smtplib.SMTPRecipientsRefused):
            client.sendmail("you@example.com", "you@example.com", "x")  # loopback is a stranger here as well
    assert "It works." in demo.mail("alice")[0]
    processes = demo.children()
    assert len(processes) >= 4
    user = pwd.getpwnam("nobody").pw_uid if os.geteuid() == 0 else os.geteuid()
    assert {Path(f"/proc/{pid}").stat().st_uid for pid in processes} <= {user, os.geteuid()}
    (mail,) = demo.directory.glob("mail/alice/new/*")
    assert mail.stat().st_uid == user
    assert demo.interrupt() == 0
    until(lambda: not any(map(is_alive, processes)), "all processes are gone")
    assert "Traceback" not in demo.printed()


def test_what_is_printed_can_be_pasted(demo: Demo) -> None:
    (line,) = [line for line in demo.printed().splitlines() if line.startswith("  send a mail")]
    subprocess.run(line.removeprefix("  send a mail").strip(), shell=True, check=True, timeout=WITHIN)
    assert "It works." in demo.mail("alice")[0]
    (line,) = [line for line in demo.printed().splitlines() if line.startswith("  see it arrive")]
    shown = subprocess.run(
        line.removeprefix("  see it arrive").strip(), shell=True, check=True, timeout=WITHIN, capture_output=True
    )
    assert b"It works." in shown.stdout


def test_a_second_demo_there_is_refused_and_one_elsewhere_takes_the_next_port(demo: Demo, place: Path) -> None:
    before = (demo.directory / "etc/main.cf").stat().st_mtime_ns
    done = subprocess.run(
        [*DEMO, "--directory", str(demo.directory)],
        capture_output=True, text=True, timeout=WITHIN, cwd=CHECKOUT, env=ENVIRONMENT, check=False,
    )  # fmt: skip
    assert done.returncode == 75
    assert done.stderr == (
        f"seawall demo: a demo runs in {demo.directory} already (pid {demo.process.pid}): "
        "Ctrl-C there ends it, or choose another --directory\n"
    )
    assert (demo.directory / "etc/main.cf").stat().st_mtime_ns == before
    other = Demo(place / "other", "--port", str(demo.port))
    assert other.port > demo.port
    assert other.interrupt() == 0


def test_a_port_that_is_taken_is_stepped_over(place: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        demo = Demo(place / "demo", "--port", str(port))
        assert demo.port > port
        assert demo.interrupt() == 0


@pytest.mark.peer
def test_roots_demo_in_a_place_that_nobody_may_enter_says_so(box: Box) -> None:
    box.run("install", "-d", "-m", "700", "/home/private")
    done = box.run(*DEMO, "--directory", "/home/private/demo", check=False)
    assert done.code == 78
    assert done.err == (
        "seawall demo: the demo runs as nobody, who may not enter /home/private: choose another --directory\n"
    )
    assert box.files("/home/private") == []


@pytest.mark.peer
def test_an_ordinary_user_runs_the_demo(box: Box) -> None:
    box.run("install", "-d", "-o", "alice", "/home/alice/seawall")
    as_alice = ("setpriv", "--reuid=3001", "--regid=3001", "--clear-groups", "env", "HOME=/home/alice")
    pid = box.start(*as_alice, *DEMO, "--directory", "/home/alice/seawall/demo", output="/var/log/demo.log")
    try:
        until(lambda: b"Ctrl-C ends it." in (box.read("/var/log/demo.log") or b""), "the demo is ready")
        assert b"127.0.0.1:2525" in (box.read("/var/log/demo.log") or b"")
        send = "import smtplib; smtplib.SMTP('127.0.0.1', 2525).sendmail('you@example.com', 'team@demo.example', 'Subject: x\\n\\nhello')"
        box.run(sys.executable, "-c", send)
        for user in ("alice", "bob"):
            (path,) = box.files(f"/home/alice/seawall/demo/mail/{user}/new")
            assert box.run("stat", "-c", "%U", path).out == "alice\n"
        box.kill(pid, signal.SIGINT)
        assert box.ended(pid, WITHIN) == 0
        assert not [line for line in box.processes().values() if "seawall" in line]
        assert b"Traceback" not in (box.read("/var/log/demo.log") or b"")
    finally:
        box.stop(pid)
