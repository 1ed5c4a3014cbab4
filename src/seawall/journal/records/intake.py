"""Facts of receiving: message ids, what content checks did, refusals.  cleanup(8)"""

from __future__ import annotations

from typing import ClassVar

from seawall.journal.record import Record


class MessageId(Record, frozen=True, tag=True, kw_only=True):
    """The Message-Id: of a message, as it stands in its header; ``<>`` where it has none."""

    program: ClassVar[str] = "cleanup"
    queue_id: str
    message_id: str
    resent: bool = False

    def text(self) -> str:
        """``ID: message-id=<x@y>``."""
        return f"{self.queue_id}: {'resent-' if self.resent else ''}message-id={self.message_id}"


class ContentAction(Record, frozen=True, tag=True, kw_only=True):
    """A content check did something: reject, warning, info, filter, discard, hold, prepend, replace, redirect, bcc, strip.

    `part` is ``header``, ``body`` or ``content``; `origin` is ``name[address]`` of the client, or ``local``.
    """

    program: ClassVar[str] = "cleanup"
    queue_id: str
    action: str
    part: str
    content: str
    origin: str
    sender: str
    recipient: str
    protocol: str = ""
    helo: str = ""
    note: str = ""

    def text(self) -> str:
        """``ID: reject: header Subject: x from host[1.2.3.4]; from=<a> to=<b> proto=ESMTP helo=<h>: text``."""
        parts = [
            f"{self.queue_id}: {self.action}: {self.part} {self.content[:200]} from {self.origin};",
            f" from=<{self.sender}>",
        ]
        if self.recipient:
            parts.append(f" to=<{self.recipient}>")
        if self.protocol:
            parts.append(f" proto={self.protocol}")
        if self.helo:
            parts.append(f" helo=<{self.helo}>")
        if self.note:
            parts.append(f": {self.note}")
        return "".join(parts)


class CleanupWarned(Record, frozen=True, tag=True, kw_only=True):
    """A message met trouble on its way in: too many hops, a table that failed, a disk that is full.

    `queue_id` is empty where the trouble is not the message's own.
    """

    program: ClassVar[str] = "cleanup"
    level: ClassVar[str] = "warning"
    queue_id: str
    message: str

    def text(self) -> str:
        """``warning: ID: message``."""
        return f"warning: {self.queue_id}: {self.message}" if self.queue_id else f"warning: {self.message}"
