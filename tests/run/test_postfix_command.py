"""`seawall postfix start, status, reload, flush, stop`: for hands that expect postfix(1)."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator

import pytest

from tests.system.server import CHECKOUT, Server, is_alive, until


@pytest.fixture
def hand(server: Server) -> Iterator[Server]:
    """A site whose server, if it runs, was started in the background."""
    yield server
    run(server, "stop")


def run(server: Server, action: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "seawall", "postfix", "-c", str(server.etc), action],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        cwd=CHECKOUT,
        env={**os.environ, "PYTHONPATH": str(CHECKOUT / "src"), "PYTHONDONTWRITEBYTECODE": ""},
    )


def pid_of(server: Server) -> int:
    return int((server.base / "spool/seawall/seawall.pid").read_text())


def test_a_server_in_the_background_is_started_asked_reloaded_and_stopped(hand: Server) -> None:
    started = run(hand, "start")
    assert (started.returncode, started.stdout, started.stderr) == (
        0,
        "",
        "postfix: starting the Postfix mail system\n",
    )
    pid = pid_of(hand)
    assert run(hand, "status").stderr == f"postfix: the Postfix mail system is running: PID: {pid}\n"
    assert run(hand, "start").stderr == f"postfix: the Postfix mail system is already running: pid {pid}\n"
    assert run(hand, "reload").returncode == 0
    hand.said("reload: the new configuration is in use")
    assert run(hand, "flush").returncode == 0
    stopped = run(hand, "stop")
    assert (stopped.returncode, stopped.stderr) == (0, "postfix: stopping the Postfix mail system\n")
    until(lambda: not is_alive(pid), "its process is gone")
    assert run(hand, "status").returncode == 1
    assert run(hand, "reload").stderr == "postfix: the Postfix mail system is not running\n"


def test_a_start_that_fails_says_why(hand: Server) -> None:
    hand.configure("smtpd_milters = inet:127.0.0.1:9\n")
    failed = run(hand, "start")
    assert failed.returncode == 78
    assert "smtpd_milters is not implemented" in failed.stderr
    assert run(hand, "status").returncode == 1


def test_a_stop_after_the_supervisor_was_killed_waits_for_its_children_and_hits_nobody_else(hand: Server) -> None:
    run(hand, "start")
    pid = pid_of(hand)
    os.kill(pid, signal.SIGKILL)
    until(lambda: not is_alive(pid), "the supervisor is gone")
    assert run(hand, "stop").returncode in (0, 1)
    until(lambda: run(hand, "status").returncode == 1, "nobody holds the lock")
    assert run(hand, "start").returncode == 0
