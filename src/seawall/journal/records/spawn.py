"""Facts of commands that serve a connection.  spawn(8), spawn_command(3)"""

from __future__ import annotations

from typing import ClassVar

from seawall.journal.record import Record


class CommandFailed(Record, frozen=True, tag=True, kw_only=True):
    """A command ended, and not with status 0: `status` is its exit status, `signal` what killed it, or 0."""

    program: ClassVar[str] = "spawn"
    level: ClassVar[str] = "warning"
    command: str
    status: int = 0
    signal: int = 0

    def text(self) -> str:
        """``warning: command /usr/bin/policyd exit status 1``."""
        how = f"killed by signal {self.signal}" if self.signal else f"exit status {self.status}"
        return f"warning: command {self.command} {how}"


class CommandTimedOut(Record, frozen=True, tag=True, kw_only=True):
    """A command had its time, and is killed."""

    program: ClassVar[str] = "spawn"
    level: ClassVar[str] = "warning"
    command: str
    process: int

    def text(self) -> str:
        """``warning: /usr/bin/policyd: process id 12: command time limit exceeded``."""
        return f"warning: {self.command}: process id {self.process}: command time limit exceeded"


class CommandNotRun(Record, frozen=True, tag=True, kw_only=True):
    """A command could not be run: `reason` in spawn_command(3)'s words."""

    program: ClassVar[str] = "spawn"
    level: ClassVar[str] = "crit"
    reason: str

    def text(self) -> str:
        """``fatal: spawn_comand: execvp /usr/bin/policyd: No such file or directory``."""
        return f"fatal: {self.reason}"


class ServiceBusy(Record, frozen=True, tag=True, kw_only=True):
    """All commands that a service may run are running: clients wait.  master(8)"""

    program: ClassVar[str] = "master"
    level: ClassVar[str] = "warning"
    name: str
    limit: int

    def text(self) -> str:
        """The first of master's two lines about it."""
        return (
            f'warning: service "{self.name}" ({self.name}) has reached its process limit "{self.limit}": '
            "new clients may experience noticeable delays"
        )
