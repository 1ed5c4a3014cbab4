"""`seawall postfix start | stop | reload | status | check | flush`: for hands that expect postfix(1)."""

from __future__ import annotations

import argparse
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable

from seawall.cli import exits
from seawall.config.settings import ConfigTrouble
from seawall.run.configuration import read
from seawall.run.privileges import PrivilegeTrouble
from seawall.run.site import PidFile, Site, StartTrouble

PATIENCE = 90.0
"""Seconds that `start` waits for the server to be ready, and `stop` for it to end; map files may be large."""


class Hand:
    """One invocation: the configuration and the server that may be running on it."""

    def __init__(self, directory: str, root: str) -> None:
        self.directory = directory
        self.root = root
        self.pid_file = PidFile(Site.of(read(directory, root).settings))

    def say(self, text: str) -> None:
        """A line for whoever typed the command."""
        sys.stderr.write(f"postfix: {text}\n")

    def start(self) -> int:
        """Start in the background; returns once mail can come."""
        if self.pid_file.holder():
            self.say(f"the Postfix mail system is already running: pid {self.pid_file.holder()}")
            return 1
        command = [sys.executable, "-m", "seawall", "serve", "-c", self.directory]
        if self.root:
            command += ["--root", self.root]
        server = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,  # no terminal: the log goes to its file or to syslog
            start_new_session=True,
            text=True,
            errors="replace",
        )
        for line in server.stdout or ():
            if line.startswith("seawall: ready"):
                self.say("starting the Postfix mail system")
                return exits.OK
            sys.stderr.write(line)
        return server.wait() or exits.SOFTWARE

    def stop(self) -> int:
        """Let sessions end, then the server; returns once it has ended."""
        pid = self.pid_file.holder()
        if not pid:
            self.say("the Postfix mail system is not running")
            return 1
        self.say("stopping the Postfix mail system")
        if self.pid_file.is_served():
            os.kill(pid, signal.SIGTERM)
        end = time.monotonic() + PATIENCE
        while self.pid_file.holder():
            if time.monotonic() > end:
                self.say(f"pid {pid} does not end: `kill -9 {pid}` ends it; no accepted mail is lost by that")
                return exits.TEMPFAIL
            time.sleep(0.05)
        return exits.OK

    def reload(self) -> int:
        """Read the configuration anew; an invalid one is refused here already."""
        pid = self.pid_file.holder()
        if not pid or not self.pid_file.is_served():
            self.say("the Postfix mail system is not running")
            return 1
        os.kill(pid, signal.SIGHUP)
        self.say("refreshing the Postfix mail system")
        return exits.OK

    def status(self) -> int:
        """Whether it runs."""
        pid = self.pid_file.holder()
        self.say(f"the Postfix mail system is running: PID: {pid}" if pid else "the Postfix mail system is not running")
        return exits.OK if pid else 1

    def check(self) -> int:
        """As `seawall check`."""
        return self._other("check")

    def flush(self) -> int:
        """As `seawall postqueue -f`."""
        return self._other("postqueue", "-f")

    def _other(self, *words: str) -> int:
        command = [sys.executable, "-m", "seawall", *words, "-c", self.directory]
        return subprocess.run(command + (["--root", self.root] if self.root else []), check=False).returncode


ACTIONS: dict[str, Callable[[Hand], int]] = {
    "start": Hand.start,
    "stop": Hand.stop,
    "reload": Hand.reload,
    "status": Hand.status,
    "check": Hand.check,
    "flush": Hand.flush,
}


def main(arguments: list[str]) -> int:
    """Do as postfix(1) does; its exit codes."""
    parser = argparse.ArgumentParser(prog="seawall postfix", description=__doc__)
    parser.add_argument("-c", dest="directory", default="/etc/postfix", help="configuration directory")
    parser.add_argument("--root", default="", help="read every absolute path of the configuration below this directory")
    parser.add_argument("action", choices=sorted(ACTIONS))
    given = parser.parse_args(arguments)
    try:
        return ACTIONS[given.action](Hand(given.directory, given.root))
    except (ConfigTrouble, StartTrouble, PrivilegeTrouble) as trouble:
        sys.stderr.write(f"seawall postfix: {trouble}\n")
        return getattr(trouble, "code", exits.CONFIG)
    except PermissionError:
        sys.stderr.write("seawall postfix: the server runs as another user: run this as root\n")
        return exits.NOPERM
