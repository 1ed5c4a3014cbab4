"""The content of a message while it comes in: small mail in memory, the rest of a large one in a nameless file.

The file lies on the spool's file system (O_TMPFILE), so what is in flight is counted where it will have to fit, and
nothing is left behind when the process dies.  Bytes reach it in bounded slices; they only go to the page cache here,
the fsync belongs to whoever puts the message to rest.
"""

from __future__ import annotations

import errno
import os
import tempfile

from seawall.mail.headers import block_end
from seawall.mail.message import Content, FileSlice

MEMORY_LIMIT = 64 * 1024
"""Bytes of one message that stay in memory.  docs/design.md, "The hot path": nearly all mail is smaller."""
HEADER_LIMIT = 256 * 1024
"""Bytes of a header block that are looked at, ours: more than two headers of header_size_limit.  What lies beyond is
passed on as it is."""
SLICE = 256 * 1024
"""Bytes written to the file at once, ours: under a millisecond of copying to the page cache."""
MEMORY_BUDGET = 64 * 1024 * 1024
"""Bytes that all messages of one process may hold in memory, ours: a thousand full ones.  Beyond it, what comes goes
to files at once, so that a flood of half-sent messages cannot fill the memory."""


def _nameless(directory: str) -> int:
    """A new file without a name in `directory`; on a file system that has no O_TMPFILE, one whose name is gone at once."""
    try:
        return os.open(directory, os.O_TMPFILE | os.O_RDWR | os.O_CLOEXEC, 0o600)
    except OSError as trouble:
        if trouble.errno not in (errno.EOPNOTSUPP, errno.EISDIR):
            raise
    descriptor, path = tempfile.mkstemp(prefix="incoming.", dir=directory)
    os.unlink(path)
    return descriptor


class InFlight:
    """Bytes of messages that are being received by this process, for the budgets."""

    __slots__ = ("in_files", "in_memory", "memory_budget")

    def __init__(self, memory_budget: int = MEMORY_BUDGET) -> None:
        self.memory_budget = memory_budget
        self.in_memory = 0
        self.in_files = 0


class Incoming:
    """One message's bytes, LF line ends.

    `write` never raises: `trouble` keeps the first error and what comes after it is dropped.  `close` gives back
    descriptor and budget, and may be called twice.
    """

    __slots__ = (
        "_allowed",
        "_directory",
        "_flight",
        "_in_header",
        "_memory",
        "_memory_size",
        "_scanned",
        "descriptor",
        "spilled",
        "trouble",
    )

    def __init__(self, directory: str, flight: InFlight) -> None:
        self._directory = directory
        self._flight = flight
        self._memory: list[bytes] = []
        self._memory_size = 0
        self._in_header = True
        self._scanned = 0
        self._allowed = MEMORY_LIMIT
        self.descriptor = -1
        self.spilled = 0
        self.trouble: OSError | None = None

    @property
    def size(self) -> int:
        """Bytes kept so far."""
        return self._memory_size + self.spilled

    def write(self, data: bytes) -> None:
        """Keep more bytes."""
        if self.trouble is not None or not data:
            return
        while data and self.descriptor < 0:
            room = self._room()
            if room <= 0:
                break
            self._keep(data[:room])
            data = data[room:]
        if data:
            self._spill(data)

    def _keep(self, data: bytes) -> None:
        self._memory.append(data)
        self._memory_size += len(data)
        self._flight.in_memory += len(data)

    def _room(self) -> int:
        """How many more bytes memory may take.  A header block that is not whole yet may grow up to HEADER_LIMIT."""
        short_of_memory = self._flight.in_memory >= self._flight.memory_budget
        if self._memory_size < self._allowed and not short_of_memory:
            return self._allowed - self._memory_size
        if self._memory_size < HEADER_LIMIT and self._in_header and self._header_goes_on():
            self._allowed = min(self._memory_size + MEMORY_LIMIT, HEADER_LIMIT)
            return self._allowed - self._memory_size
        return 0

    def _header_goes_on(self) -> bool:
        """True where the bytes so far may all belong to the header block.  Each byte is looked at but once or twice."""
        head = self.head()
        end = self._scanned + block_end(head[self._scanned :])
        # a block that ends with the bytes we have may go on with the next
        self._in_header = end == len(head) or b"\n" not in head[end:]
        start = end
        while start > self._scanned:  # the last header may get further lines: begin with it the next time
            start = head.rfind(b"\n", self._scanned, start - 1) + 1 or self._scanned
            if head[start : start + 1] not in (b" ", b"\t"):
                break
        self._scanned = start
        return self._in_header

    def _spill(self, data: bytes) -> None:
        try:
            if self.descriptor < 0:
                self.descriptor = _nameless(self._directory)
            rest = memoryview(data)
            while rest:
                done = os.write(self.descriptor, rest[:SLICE])
                rest = rest[done:]
                self.spilled += done
                self._flight.in_files += done
        except OSError as trouble:
            self.trouble = trouble

    def head(self) -> bytes:
        """What memory holds: the first bytes of the message, with its header block."""
        if len(self._memory) > 1:
            self._memory = [b"".join(self._memory)]
        return self._memory[0] if self._memory else b""

    def read(self, offset: int, length: int) -> bytes:
        """Bytes of the file, from `offset` in it.  Raises OSError."""
        return os.pread(self.descriptor, length, offset)

    def content(self, head: bytes) -> Content:
        """The message with `head` in place of what memory holds."""
        if self.spilled == 0:
            return Content(head)
        return Content(head, FileSlice(self.descriptor, 0, self.spilled))

    def close(self) -> None:
        """Free memory, file and budget."""
        self._flight.in_memory -= self._memory_size
        self._flight.in_files -= self.spilled
        self._memory = []
        self._memory_size = self.spilled = 0
        if self.descriptor >= 0:
            os.close(self.descriptor)
            self.descriptor = -1
