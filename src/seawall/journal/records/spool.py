"""Facts of the queue: taken up, removed, expired, put aside.  qmgr(8), pickup(8)"""

from __future__ import annotations

from typing import ClassVar

from seawall.journal.record import Record


class Queued(Record, frozen=True, tag=True, kw_only=True):
    """A message is taken up for delivery."""

    program: ClassVar[str] = "qmgr"
    queue_id: str
    sender: str
    size: int
    recipients: int
    """All of them, also those that have it already."""

    def text(self) -> str:
        """``ID: from=<a>, size=1, nrcpt=1 (queue active)``."""
        return f"{self.queue_id}: from=<{self.sender}>, size={self.size}, nrcpt={self.recipients} (queue active)"


class Removed(Record, frozen=True, tag=True, kw_only=True):
    """Nothing is left to do for a message, and its queue file is gone."""

    program: ClassVar[str] = "qmgr"
    queue_id: str

    def text(self) -> str:
        """``ID: removed``."""
        return f"{self.queue_id}: removed"


class Expired(Record, frozen=True, tag=True, kw_only=True):
    """A message stayed longer than maximal_queue_lifetime (bounce_queue_lifetime), or postsuper expired it."""

    program: ClassVar[str] = "qmgr"
    queue_id: str
    sender: str
    forced: bool = False

    def text(self) -> str:
        """``ID: from=<a>, status=expired, returned to sender``."""
        status = "force-expired" if self.forced else "expired"
        return f"{self.queue_id}: from=<{self.sender}>, status={status}, returned to sender"


class PickedUp(Record, frozen=True, tag=True, kw_only=True):
    """A local submission enters.  pickup(8)"""

    program: ClassVar[str] = "pickup"
    queue_id: str
    uid: int
    sender: str
    original_id: str = ""
    """The id that a requeued message had."""

    def text(self) -> str:
        """``ID: uid=1000 from=<a>``."""
        original = f" orig_id={self.original_id}" if self.original_id else ""
        return f"{self.queue_id}: uid={self.uid} from=<{self.sender}>{original}"


class PutAside(Record, frozen=True, tag=True, kw_only=True):
    """A file that cannot be read was moved to ``corrupt/``, or a maildrop file was refused."""

    program: ClassVar[str] = "qmgr"
    level: ClassVar[str] = "warning"
    queue_id: str
    reason: str

    def text(self) -> str:
        """``warning: saving corrupt file …``."""
        return f'warning: saving corrupt file "{self.queue_id}" to queue "corrupt": {self.reason}'


class OperatorAct(Record, frozen=True, tag=True, kw_only=True):
    """postsuper(1) did something to a message: removed, placed on hold, released from hold, requeued, expired."""

    program: ClassVar[str] = "postsuper"
    queue_id: str
    act: str

    def text(self) -> str:
        """``ID: removed``."""
        return f"{self.queue_id}: {self.act}"
