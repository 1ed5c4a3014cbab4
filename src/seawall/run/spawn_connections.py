"""Connections to spawn(8) services on an event loop: accepted, given to a command, timed, and told when it ends.

A service whose commands are as many as it may run accepts no more until one ends: clients wait in the kernel.
docs/differences.md D-17
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from seawall.clock import Clock
from seawall.journal.record import Journal, Warned
from seawall.journal.records.spawn import CommandFailed, CommandNotRun, CommandTimedOut, ServiceBusy
from seawall.run.spawn_command import reason_of, start_command
from seawall.run.spawn_services import SpawnService

BATCH = 8
"""Connections that are taken in one turn of the loop; ours: a fork takes about a millisecond."""
WARN_EVERY = 1000.0
"""Seconds between two warnings about a service that is busy.  master(8)"""
PAUSE = 1.0
"""Seconds until a service tries again that could not accept or fork; ours."""
LAST_CHANCE = 2.0
"""Seconds between SIGTERM and SIGKILL for commands that outlive the server's patience; ours."""


@dataclass(slots=True, eq=False)
class Running:
    """One command under way."""

    service: Serving
    pid: int
    watch: int
    """Its pidfd."""
    telling: int
    timer: asyncio.TimerHandle | None = None
    is_over_time: bool = False


@dataclass(slots=True, eq=False)
class Serving:
    """One service: its sockets, how many commands it has, and whether it accepts."""

    what: SpawnService
    listeners: list[socket.socket] = field(default_factory=list)
    running: int = 0
    accepts: bool = False
    warned: float = -WARN_EVERY

    @property
    def is_full(self) -> bool:
        """True while it may run no more."""
        return 0 < self.what.most <= self.running


class SpawnConnections:
    """All services of one process.  Made before, begun on a running loop; the process must have no threads."""

    def __init__(self, services: Mapping[int, SpawnService], journal: Journal, clock: Clock) -> None:
        self._services = {at: Serving(service) for at, service in services.items()}
        self._journal = journal
        self._clock = clock
        self._running: set[Running] = set()
        self._idle = asyncio.Event()
        self._idle.set()

    @property
    def count(self) -> int:
        """Commands under way."""
        return len(self._running)

    def begin(self, listeners: Sequence[tuple[int, socket.socket]]) -> None:
        """Accept on these sockets, each with its service's position in master.cf."""
        for at, listener in listeners:
            listener.setblocking(False)
            self._services[at].listeners.append(listener)
        for serving in self._services.values():
            self._accept(serving, True)

    def _accept(self, serving: Serving, accepts: bool) -> None:
        if accepts == serving.accepts:
            return
        serving.accepts = accepts
        loop = asyncio.get_running_loop()
        for listener in serving.listeners:
            if accepts:
                loop.add_reader(listener.fileno(), self._take, serving, listener)
            else:
                loop.remove_reader(listener.fileno())

    def _take(self, serving: Serving, listener: socket.socket) -> None:
        for _ in range(BATCH):
            if serving.is_full or not serving.accepts:
                return
            try:
                connection, _ = listener.accept()
            except BlockingIOError:
                return  # another generation's process was faster
            except OSError as trouble:
                self._warn(serving, f"accept: {trouble.strerror}")
                self._pause(serving)
                return
            with connection:
                connection.setblocking(True)
                self._serve(serving, connection.fileno())

    def _serve(self, serving: Serving, connection: int) -> None:
        try:
            pid, watch, telling = start_command(serving.what, connection)
        except OSError as trouble:
            self._warn(serving, f"fork: {trouble.strerror}")
            self._pause(serving)
            return
        command = Running(serving, pid, watch, telling)
        loop = asyncio.get_running_loop()
        loop.add_reader(command.watch, self._ended, command)
        command.timer = loop.call_later(serving.what.seconds, self._over_time, command)
        self._running.add(command)
        self._idle.clear()
        serving.running += 1
        if serving.is_full:
            self._accept(serving, False)
            self._tell_busy(serving)

    def _pause(self, serving: Serving) -> None:
        """There are no descriptors or processes left: the next try is later."""
        self._accept(serving, False)
        asyncio.get_running_loop().call_later(PAUSE, self._accept_again, serving)

    def _accept_again(self, serving: Serving) -> None:
        if serving.listeners and not serving.is_full:
            self._accept(serving, True)

    def _tell_busy(self, serving: Serving) -> None:
        now = time.monotonic()
        if now - serving.warned >= WARN_EVERY:
            serving.warned = now
            self._journal.write(ServiceBusy(at=self._clock.now(), name=serving.what.name, limit=serving.what.most))
            remedy = "increase the process count in master.cf or reduce the service time per client"
            text = f"to avoid this condition, {remedy}"
            self._journal.write(Warned(at=self._clock.now(), source="master", message=text))

    def _over_time(self, command: Running) -> None:
        command.is_over_time = True
        what = command.service.what
        record = CommandTimedOut(
            at=self._clock.now(), service=what.syslog_name, command=what.words[0], process=command.pid
        )
        self._journal.write(record)
        _signal(command, signal.SIGKILL)

    def _ended(self, command: Running) -> None:
        loop = asyncio.get_running_loop()
        loop.remove_reader(command.watch)
        if command.timer is not None:
            command.timer.cancel()
        if command.is_over_time:
            _signal(command, signal.SIGKILL)  # offspring that was born meanwhile; the group's id is still its own
        _, status = os.waitpid(command.pid, 0)
        os.close(command.watch)
        self._running.discard(command)
        self._tell_end(command, status)
        serving = command.service
        serving.running -= 1
        if not self._running:
            self._idle.set()
        self._accept_again(serving)

    def _tell_end(self, command: Running, status: int) -> None:
        what, now = command.service.what, self._clock.now()
        reason = reason_of(command.telling)
        if reason:
            self._journal.write(CommandNotRun(at=now, service=what.syslog_name, reason=reason))
        code = os.waitstatus_to_exitcode(status)
        if code:
            record = CommandFailed(
                at=now,
                service=what.syslog_name,
                command=what.words[0],
                status=max(0, code),
                signal=max(0, -code),
            )
            self._journal.write(record)

    def _warn(self, serving: Serving, text: str) -> None:
        what = serving.what
        self._journal.write(
            Warned(at=self._clock.now(), service=what.syslog_name, source="spawn", message=f"{what.name}: {text}")
        )

    async def drain(self, seconds: float) -> None:
        """Accept no more and wait for what runs, at most so long; then end it."""
        for serving in self._services.values():
            self._accept(serving, False)
            for listener in serving.listeners:
                listener.close()
            serving.listeners.clear()
        for number, patience in ((0, seconds), (signal.SIGTERM, LAST_CHANCE), (signal.SIGKILL, LAST_CHANCE)):
            if not self._running:
                return
            if number:
                for command in self._running:
                    _signal(command, number)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._idle.wait(), patience)


def _signal(command: Running, number: int) -> None:
    """To the command and its offspring."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(command.pid, number)
