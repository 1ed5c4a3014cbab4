"""The journal of a running process: records are collected and written in batches, off the session's path."""

from __future__ import annotations

import asyncio
import os
import socket
import sys
from collections.abc import Callable, Sequence
from typing import Protocol

from seawall.journal.log_lines import LineFormat, syslog_packet
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
    """The journal of one process.  `later` schedules the next write (a loop's `call_later`)."""

    def __init__(self, sinks: Sequence[Sink], later: Callable[[float, Callable[[], None]], object]) -> None:
        self._sinks = list(sinks)
        self._later = later
        self._waiting: list[Record] = []

    def write(self, record: Record) -> None:
        """Take a record; it is written within DELAY seconds."""
        waiting = self._waiting
        waiting.append(record)
        if len(waiting) == 1:
            self._later(DELAY, self.flush)
        elif len(waiting) >= BATCH:
            self.flush()

    def flush(self) -> None:
        """Write what waits, now."""
        if self._waiting:
            batch, self._waiting = self._waiting, []
            for sink in self._sinks:
                sink.take(batch)

    def use(self, sinks: Sequence[Sink]) -> None:
        """Go on with other sinks (the log was rotated, the configuration changed)."""
        self.flush()
        self._sinks = list(sinks)


def loop_journal(sinks: Sequence[Sink]) -> BatchingJournal:
    """A journal on the running event loop."""
    return BatchingJournal(sinks, asyncio.get_running_loop().call_later)


class FileSink:
    """Lines appended to an open file, one write a batch.  postconf(5) maillog_file"""

    def __init__(self, descriptor: int, form: LineFormat) -> None:
        self._descriptor = descriptor
        self._form = form

    def take(self, records: Sequence[Record]) -> None:
        """Append; a full disk loses log lines, never mail."""
        line = self._form.line
        data = "".join([line(record) + "\n" for record in records]).encode("utf-8", "replace")
        try:
            while data:
                data = data[os.write(self._descriptor, data) :]
        except OSError:
            return


class SyslogSink:
    """Datagrams to the local syslog daemon; where none listens, they are dropped, as syslog(3) does."""

    def __init__(self, form: LineFormat, path: str = "/dev/log") -> None:
        self._form = form
        self._path = path
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.setblocking(False)
        self._connected = False

    def take(self, records: Sequence[Record]) -> None:
        """Send each record; reconnect once where the daemon was restarted."""
        for record in records:
            packet = syslog_packet(self._form, record)
            for _ in range(2):
                try:
                    if not self._connected:
                        self._socket.connect(self._path)
                        self._connected = True
                    self._socket.send(packet)
                    break
                except BlockingIOError:
                    break
                except OSError:
                    self._connected = False


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
