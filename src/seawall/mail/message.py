"""The content of a message and the message as it rests: bytes in memory, the large rest behind a descriptor."""

from __future__ import annotations

from dataclasses import dataclass

from seawall.mail.envelope import Envelope


@dataclass(frozen=True, slots=True)
class FileSlice:
    """`length` bytes from `offset` of an open file; who passes it on says who closes it."""

    descriptor: int
    offset: int
    length: int


@dataclass(frozen=True, slots=True)
class Content:
    """Headers, blank line and body with LF line ends: `memory` first, then `spilled` where there is one."""

    memory: bytes
    spilled: FileSlice | None = None

    @property
    def size(self) -> int:
        """Bytes in all."""
        return len(self.memory) + (self.spilled.length if self.spilled else 0)


@dataclass(frozen=True, slots=True)
class Message:
    """A message ready to be put to rest or handed on.  `arrived` is in seconds since the epoch."""

    queue_id: str
    arrived: float
    envelope: Envelope
    content: Content
