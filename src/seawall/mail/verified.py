"""What trying to deliver to an address has shown of it.  verify(8)"""

from __future__ import annotations

from enum import Enum

import msgspec


class Standing(Enum):
    """Whether an address takes mail."""

    DELIVERABLE = "deliverable"
    DEFERRED = "deferred"
    """It cannot be told now: a server is down, or puts us off."""
    UNDELIVERABLE = "undeliverable"
    IN_PROGRESS = "in progress"
    """Nobody has tried yet, or the answer is still to come."""


class Verified(msgspec.Struct, frozen=True):
    """The answer of the address verification service.

    `text` is what the agent or the server said (``delivers to maildir``, ``host x said: 550 …``).  For `good_for`
    seconds the answer will stay the same, so that whoever asked need not ask again.
    """

    standing: Standing
    text: str
    good_for: float = 0.0


class Learned(msgspec.Struct, frozen=True):
    """What a probe found out about one address."""

    address: str
    standing: Standing
    text: str
