"""Trouble on the way into a mailbox, and what it means for the mail: which errno is temporary, which is the owner's."""

from __future__ import annotations

import errno
import os
from collections.abc import Mapping
from typing import Final

from seawall.mail.outcome import Bounced, Deferred, Delivered, Outcome

STATUS_OF_ERRNO: Final[Mapping[int, str]] = {
    errno.EAGAIN: "4.2.0",
    errno.ESTALE: "4.2.0",
    errno.ENOSPC: "4.3.0",
    errno.EDQUOT: "5.2.2",
    errno.EFBIG: "5.2.2",
}
"""The enhanced status code that an errno has whatever was being done.  mbox_dsn(3)"""


class StoreTrouble(Exception):
    """A message could not be put where it belongs.  `status` decides: 4.x.x comes back, 5.x.x goes to the sender."""

    def __init__(self, status: str, text: str, cause: int = 0) -> None:
        super().__init__(text)
        self.status = status
        self.text = text
        self.cause = cause
        """The errno behind it, 0 where there is none."""

    @classmethod
    def from_errno(cls, trouble: OSError, default: str, doing: str) -> StoreTrouble:
        """``doing: No space left on device``, with the status of the errno or else `default`."""
        number = trouble.errno or 0
        return cls(STATUS_OF_ERRNO.get(number, default), f"{doing}: {os.strerror(number)}", number)


def failed(status: str, text: str, relay: str = "none") -> Outcome:
    """The outcome of a failure: Deferred for 4.x.x, Bounced for 5.x.x."""
    return (Deferred if status.startswith("4") else Bounced)(status=status, text=text, relay=relay)


def as_deferred(outcome: Outcome) -> Outcome:
    """The outcome where soft_bounce is on: what would bounce is tried again.  postconf(5) soft_bounce"""
    if not isinstance(outcome, Bounced):
        return outcome
    fields = {name: getattr(outcome, name) for name in outcome.__struct_fields__}
    return Deferred(**{**fields, "status": "4" + outcome.status[1:], "also": tuple(map(as_deferred, outcome.also))})


def delivered(text: str, relay: str, status: str = "2.0.0") -> Delivered:
    """The outcome of a success."""
    return Delivered(status=status, text=text, relay=relay)
