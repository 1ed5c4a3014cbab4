"""A delivery job: the recipients of one message that go the same way at the same time."""

from __future__ import annotations

from dataclasses import dataclass

from seawall.mail.envelope import Envelope, Recipient
from seawall.mail.message import Content


@dataclass(frozen=True, slots=True)
class Job:
    """What a delivery agent is told.

    `transport` is a master.cf service name (``local``, ``smtp`` …), `nexthop` its destination; `recipients` are those
    of `envelope` that this job is for.  `arrived` is in seconds since the epoch.
    """

    queue_id: str
    arrived: float
    transport: str
    nexthop: str
    envelope: Envelope
    recipients: tuple[Recipient, ...]
    content: Content
    is_probe: bool = False
    """True where it is only asked whether the recipients could be delivered to: nothing is written or sent on.  verify(8)"""
