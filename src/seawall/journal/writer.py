"""The journal of a running process: records are collected and written in batches, off the session's path."""

from __future__ import annotations

import asyncio
import os
import select
import socket
import sys
from collections import deque
from collections.abc import Callable, Sequence
from typing import Protocol

from seawall.journal.log_lines import LineFormat, syslog_packets
from seawall.journal.record import Record

DELAY = 0.02
"""Seconds that a record may wait for company; ours: short for whoever follows the log, long enough to share a write."""
BATCH = 500
"""Records after which a batch is written without waiting for the delay; ours."""


class Sink(Protocol):
    """Where batches go."""

    def take(self, records: Sequence[Record]) -> None:
        """Write them; trouble is the sink's own to bear, never the caller's."""
        ...


class BatchingJournal:
    """The journal of one process.

    `later` schedules the next write and gives back its handle (a loop's `call_later`), or None where it cannot now: a
    thread that writes has no loop.  Then the next record tries again, and whoever owns the loop flushes now and then.
    """

    def __init__(self, sinks: Sequence[Sink], later: Callable[[float, Callable[[], None]], object]) -> None:
        self._sinks = list(sinks)
        self._later = later
        self._waiting: list[Record] = []
        self._is_planned = False

    def write(self, record: Record) -> None:
        """Take a record; it is written within DELAY seconds."""
        waiting = self._waiting
        waiting.append(record)
        if len(waiting) >= BATCH:
            self.flush()
        elif not self._is_planned:
            self._is_planned = self._later(DELAY, self.flush) is not None

    def flush(self) -> None:
        """Write what waits, now."""
        self._is_planned = False
        if self._waiting:
            batch, self._waiting = self._waiting, []
            for sink in self._sinks:
                sink.take(batch)

    def use(self, sinks: Sequence[Sink]) -> None:
        """Go on with other sinks (the log was rotated, the configuration changed)."""
        self.flush()
        self._sinks = list(sinks)


class FileSink:
    """Lines appended to an open file, one write a batch.  postconf(5) maillog_file"""

    def __init__(self, descriptor: int, form: LineFormat) -> None:
        self._descriptor = descriptor
        self._form = form

    def take(self, records: Sequence[Record]) -> None:
        """Append; a full disk loses log lines, never mail."""
        data = self._form.lines(records)
        try:
            while data:
                data = data[os.write(self._descriptor, data) :]
        except OSError:
            return


class SyslogSink:
    """Datagrams to the local syslog daemon.

    Where its queue is full they wait, as syslog(3) does, but without holding anybody up; where nobody listens they are
    dropped, as there.
    """

    MOST_WAITING = 50_000
    """Lines that may wait for the daemon; ours: some 10 MB."""

    def __init__(self, form: LineFormat, path: str = "/dev/log") -> None:
        self._form = form
        self._path = path
        self._waiting: deque[bytes] = deque()
        self._socket: socket.socket | None = None
        self._is_watching = False

    def take(self, records: Sequence[Record]) -> None:
        """Send each record, in order."""
        waiting = self._waiting
        waiting.extend(syslog_packets(self._form, records))
        while len(waiting) > self.MOST_WAITING:
            waiting.popleft()
        self._send()  # also where it is watched: a daemon that was restarted meanwhile is not told of by every loop

    def _send(self) -> None:
        failures = 0
        while self._waiting and failures < 2:
            try:
                if self._socket is None:
                    self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
                    self._socket.connect(self._path)
                self._socket.send(self._waiting[0])
                self._waiting.popleft()
                failures = 0
            except BlockingIOError:
                self._watch()
                return
            except OSError:  # restarted, perhaps: once more over a new socket
                self._close()
                failures += 1
        self._waiting.clear()
        self._unwatch()

    def _watch(self) -> None:
        """Go on when there is room; without a loop (the supervisor) wait for it, a second at most."""
        open_one = self._socket
        if open_one is None or self._is_watching:
            return
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:
            if select.select([], [open_one], [], 1.0)[1]:
                self._send()
            return
        self._is_watching = True
        loop.add_writer(open_one.fileno(), self._send)

    def _unwatch(self) -> None:
        if self._is_watching and self._socket is not None:
            asyncio.get_running_loop().remove_writer(self._socket.fileno())
        self._is_watching = False

    def _close(self) -> None:
        self._unwatch()
        if self._socket is not None:
            self._socket.close()
            self._socket = None


class TerminalSink:
    """Lines on standard error, for a server run by hand."""

    def __init__(self, form: LineFormat) -> None:
        self._form = form

    def take(self, records: Sequence[Record]) -> None:
        """Print each record; where nobody reads any more, they are dropped."""
        try:
            sys.stderr.write("".join(self._form.line(record) + "\n" for record in records))
            sys.stderr.flush()
        except OSError:
            return


class FunctionSink:
    """Hands each batch to a function: how records reach the watcher, and tests."""

    def __init__(self, taker: Callable[[Sequence[Record]], None]) -> None:
        self._taker = taker

    def take(self, records: Sequence[Record]) -> None:
        """Pass the batch on."""
        self._taker(records)
