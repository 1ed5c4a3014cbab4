"""Command lines out of a stream of bytes, in bounded memory."""

from __future__ import annotations

SAMPLE = 30
"""Bytes of an over-long line that are kept for the log, as many as smtpd(8) shows."""


class LineReader:
    """Takes bytes, gives lines without their line end.

    A line ends at LF; CRs before it belong to the line end.  A line of more than `limit` bytes is dropped as it
    arrives: `next_line` then gives its first bytes with `is_too_long` set.  smtp_get(3)
    """

    __slots__ = ("_at", "_buffer", "_skipped", "is_bare", "is_too_long", "limit")

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self._buffer = b""
        self._at = 0
        self._skipped: bytes | None = None
        self.is_bare = False
        """True where the line that `next_line` gave ended in LF without CR."""
        self.is_too_long = False

    def feed(self, data: bytes) -> None:
        """More bytes."""
        self._buffer = self._buffer[self._at :] + data if self._buffer else data
        self._at = 0

    @property
    def waiting(self) -> int:
        """Bytes that are here and not given out."""
        return len(self._buffer) - self._at

    def peek(self, length: int) -> bytes:
        """The next bytes, without taking them."""
        return self._buffer[self._at : self._at + length]

    def take(self, most: int) -> bytes:
        """Up to `most` bytes of what waits; the rest is not moved, however often this is asked."""
        start = self._at
        part = self._buffer[start : start + most]
        self._at = start + len(part)
        if self._at == len(self._buffer):
            self._buffer = b""
            self._at = 0
        return part

    def take_all(self) -> bytes:
        """Everything that waits: content is read elsewhere."""
        rest = self._buffer[self._at :] if self._at else self._buffer
        self._buffer = b""
        self._at = 0
        return rest

    def next_line(self) -> bytes | None:
        """The next line, or None where none is complete."""
        buffer, at = self._buffer, self._at
        end = buffer.find(b"\n", at)
        if end < 0:
            self._keep_bounded()
            return None
        if end + 1 == len(buffer):
            self._buffer = b""
            self._at = 0
        else:
            self._at = end + 1
        self.is_bare = False
        if self._skipped is not None or end - at > self.limit:
            self.is_too_long = True
            line = self._skipped or buffer[at : at + SAMPLE]
            self._skipped = None
            return line
        self.is_too_long = False
        line = buffer[at:end]
        if line[-1:] == b"\r":
            return line.rstrip(b"\r")
        self.is_bare = True
        return line

    def _keep_bounded(self) -> None:
        """No line end in sight: drop what no line may have, or the bytes of a line that is given up."""
        if self._skipped is not None:
            self._buffer = b""
            self._at = 0
        elif len(self._buffer) - self._at > self.limit:
            self._skipped = self._buffer[self._at : self._at + SAMPLE]
            self._buffer = b""
            self._at = 0
