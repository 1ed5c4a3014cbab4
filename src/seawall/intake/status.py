"""How receiving a message can end badly, and what its sender then hears.  cleanup_strerror(3), smtpd(8)"""

from __future__ import annotations

import errno
from collections.abc import Mapping
from enum import Enum
from types import MappingProxyType

from seawall.mail.reply import Reply


class Status(Enum):
    """What went wrong.  The order is that in which smtpd(8) looks: the first one set makes the reply."""

    DEFER = "defer"
    """A content check, an alias: come back."""
    BAD = "bad"
    """We do not understand what was handed in."""
    SIZE = "size"
    """More bytes than message_size_limit."""
    HOPS = "hops"
    """More Received: headers than hopcount_limit."""
    CONTENT = "content"
    """A content check refused."""
    WRITE = "write"
    """A table or the disk failed."""
    NO_RECIPIENT = "no recipient"
    """Nobody is left to deliver to."""


REPLIES: Mapping[Status, Reply] = MappingProxyType(
    {
        Status.DEFER: Reply(451, "4.7.1", "Error: service unavailable"),
        Status.BAD: Reply(451, "4.3.0", "Error: internal error 1"),
        Status.SIZE: Reply(552, "5.3.4", "Error: message file too big"),
        Status.HOPS: Reply(554, "5.4.0", "Error: too many hops"),
        Status.CONTENT: Reply(550, "5.7.1", "Error: message content rejected"),
        Status.WRITE: Reply(451, "4.3.0", "Error: queue file write error"),
        Status.NO_RECIPIENT: Reply(550, "5.1.0", "Error: no recipients specified"),
    }
)
NO_ROOM = Reply(452, "4.3.1", "Insufficient system storage")
"""In place of the reply to WRITE where the disk is full.  docs/spool.md"""
FULL = frozenset({errno.ENOSPC, errno.EDQUOT})
"""What a full disk says.  open(2), write(2)"""
EXPLAINED = frozenset({Status.DEFER, Status.CONTENT})
"""Kinds whose reason, where one is known, stands in the reply instead of the usual text."""


class Errors:
    """What has gone wrong with one message so far; `warnings` are lines for the log.

    `general` are warnings that are not about this message, but about a table.
    """

    __slots__ = ("_found", "general", "status", "text", "warnings")

    def __init__(self) -> None:
        self._found: set[Status] = set()
        self.warnings: list[str] = []
        self.general: list[str] = []
        self.status = ""
        self.text = ""

    def __bool__(self) -> bool:
        return bool(self._found)

    def add(self, what: Status, status: str = "", text: str = "", *, warning: str = "") -> None:
        """Note trouble; `status` and `text` are the reason that a check or an alias gives."""
        self._found.add(what)
        if warning:
            self.warnings.append(warning)
        if text:
            self.status, self.text = status, text

    def has(self, what: Status) -> bool:
        """True where `what` was noted."""
        return what in self._found

    def reply(self) -> Reply:
        """What the client hears."""
        what = next(status for status in Status if status in self._found)
        usual = REPLIES[what]
        if self.text and what in EXPLAINED:
            return Reply(usual.code, self.status, self.text)
        return usual
