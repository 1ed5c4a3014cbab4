"""What became of a recipient, in one line that every delivery agent writes alike: ``ID: to=<…>, relay=…, status=…``.

Whoever knows all four delays writes it: the queue manager for mail that was queued (the agents only return
outcomes), intake for mail that took the direct way.  pflogsumm and logwatch live on this line.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import ClassVar

from seawall.journal.record import Record
from seawall.mail.outcome import Bounced, Deferred, Delivered, Outcome

MILLION = 1_000_000


def format_seconds(seconds: float) -> str:
    """`seconds` with two significant digits and at most two decimals, trailing zeros left out.

    The form of the log's ``delay=``.  postconf(5) delay_logging_resolution_limit = 2
    """
    whole, micros = divmod(max(0, round(seconds * MILLION)), MILLION)
    resolution = MILLION // 100
    if whole > 0:
        step = 1
        while whole >= step and step <= 10:
            step *= 10
        resolution = resolution * step
    else:
        while micros >= 100 * resolution:
            resolution *= 10
    micros += resolution // 2
    if micros >= MILLION:
        whole, micros = whole + 1, micros - MILLION
    digits = ""
    if micros >= resolution:
        rest, place = micros, MILLION // 10
        while rest >= resolution and place > 0:
            digits += str(rest // place)
            rest %= place
            place //= 10
    return f"{whole}.{digits}" if digits else str(whole)


STATUS: dict[type, str] = {Delivered: "sent", Deferred: "deferred", Bounced: "bounced"}
"""The log's word for each kind of outcome.  Never changed."""


PROBED: dict[type, str] = {Delivered: "deliverable", Deferred: "undeliverable", Bounced: "undeliverable"}
"""The same for a probe, whose outcome is kept.  verify(3)"""
NOT_CACHED: dict[type, str] = {
    Delivered: "deliverable",
    Deferred: "undeliverable-but-not-cached",
    Bounced: "undeliverable-but-not-cached",
}
"""The same where address_verify_negative_cache is off."""


class DeliveryLine(Record, frozen=True, tag=True, kw_only=True):
    """One attempt for one recipient.

    `source` is the agent's program name (``local``, ``virtual``, ``smtp``, ``pipe``, ``error``); `delays` are seconds:
    before the queue manager, in the active queue, connecting, sending.  `status` is the word after ``status=``.
    `original` is shown as ``orig_to=`` where it differs.
    """

    source: str
    queue_id: str
    recipient: str
    original: str = ""
    relay: str = "none"
    connection_use: int = 0
    delays: tuple[float, float, float, float] = (0.0, 0.0, 0.0, 0.0)
    dsn: str
    status: str
    reason: str

    def text(self) -> str:
        """The line as Postfix's log_adhoc() has it."""
        original = f" orig_to=<{self.original}>," if self.original and self.original != self.recipient else ""
        used = f" conn_use={self.connection_use}," if self.connection_use > 1 else ""
        return (
            f"{self.queue_id}: to=<{self.recipient}>,{original} relay={self.relay},{used}"
            f" delay={format_seconds(sum(self.delays))}, delays={'/'.join(map(format_seconds, self.delays))},"
            f" dsn={self.dsn}, status={self.status} ({self.reason})"
        )


def delivery_line(
    at: float,
    source: str,
    queue_id: str,
    recipient: tuple[str, str],
    outcome: Outcome,
    queued: Sequence[float] = (0.0, 0.0),
    words: Mapping[type, str] = STATUS,
) -> DeliveryLine:
    """The line for an outcome; `recipient` is (address, original), `queued` the first two delays.

    `words` are those after ``status=``: STATUS, or for a probe PROBED or NOT_CACHED.
    """
    return DeliveryLine(
        at=at,
        source=source,
        queue_id=queue_id,
        recipient=recipient[0],
        original=recipient[1],
        relay=outcome.relay,
        delays=(queued[0], queued[1], outcome.connecting, outcome.sending),
        dsn=outcome.status,
        status=words[outcome.__class__],
        reason=outcome.text,
    )


class ServerSkipped(Record, frozen=True, tag=True, kw_only=True):
    """A server that did not take the mail while another may: told to the log alone."""

    program: ClassVar[str] = "smtp"
    queue_id: str
    reason: str

    def text(self) -> str:
        """``ID: host x said: 450 …``, or the failed connection alone."""
        return f"{self.queue_id}: {self.reason}" if self.queue_id else self.reason
