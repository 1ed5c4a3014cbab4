"""What a check says: a verdict with three voices (the client's reply, a reason from a closed set, the evidence)."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from seawall.mail.reply import Reply


class Act(Enum):
    """The three ways a check can end.  Temporary or permanent is told by the reply's code."""

    DUNNO = "dunno"
    """No opinion: the next check is asked."""
    PERMIT = "permit"
    """The list ends, the step is allowed."""
    REJECT = "reject"
    """The list ends, the client hears `reply` (4xx or 5xx)."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """One check's answer, or a whole list's.

    `reason` is a slug (``relay-denied``, ``helo-not-fqdn``), `evidence` what it rests on, for the operator.
    `hangs_up` ends the connection after the reply.
    """

    act: Act
    reply: Reply | None = None
    reason: str = ""
    evidence: tuple[str, ...] = ()
    hangs_up: bool = False


DUNNO = Verdict(Act.DUNNO)
PERMIT = Verdict(Act.PERMIT, reason="permit")


@dataclass(frozen=True, slots=True)
class Remark:
    """A line that a check wants in the log, whatever its verdict.

    `what` is Postfix's word (``reject``, ``reject_warning``, ``warn``, ``hold``, ``discard``, ``filter``, ``redirect``,
    ``prepend``, ``bcc``, ``info``, ``permit``, ``hangup``, or ``warning`` for trouble of our own); `where` the step
    (``CONNECT``, ``HELO``, ``EHLO``, ``MAIL``, ``RCPT``, ``VRFY``, ``ETRN``, ``DATA``, ``END-OF-MESSAGE``); `text` what follows
    the client's name up to the ``;``.
    """

    what: str
    where: str
    text: str
