"""What a check says: a verdict with three voices (the client's reply, a reason from a closed set, the evidence)."""

from __future__ import annotations

from enum import Enum

import msgspec

from seawall.mail.reply import Reply


class Act(Enum):
    """The ways a check can end.  Temporary or permanent is told by the reply's code.

    A judge answers DUNNO, PERMIT or REJECT; the two DEFER_IF are said inside a list only, and kept for its end.
    """

    DUNNO = "dunno"
    """No opinion: the next check is asked."""
    PERMIT = "permit"
    """The list ends, the step is allowed."""
    REJECT = "reject"
    """The list ends, the client hears `reply` (4xx or 5xx)."""
    DEFER_IF_PERMIT = "defer_if_permit"
    """Where all would end in a permit, the client hears `reply` (4xx) instead."""
    DEFER_IF_REJECT = "defer_if_reject"
    """Where a 5xx would follow, the client hears `reply` (4xx) instead."""


class Verdict(msgspec.Struct, frozen=True):
    """One check's answer, or a whole list's.

    `reason` is a slug out of policy/reasons.py (``relay-denied``, ``helo-not-fqdn``), `evidence` what it rests on, for
    the operator.  `hangs_up` ends the connection after the reply, or without one where `reply` is None.  `hard` is
    trouble of our own (a table, the configuration): warn_if_reject does not soften it.  `settled` is true once
    evaluation has applied warn_if_reject, deferrals and soft_bounce, and has told the log.
    """

    act: Act
    reply: Reply | None = None
    reason: str = ""
    evidence: tuple[str, ...] = ()
    hangs_up: bool = False
    hard: bool = False
    settled: bool = False


DUNNO = Verdict(Act.DUNNO)
PERMIT = Verdict(Act.PERMIT, reason="permit")


JUDGED = "judged"
"""What of a remark that is no line of the log: a step was judged and goes on, and its checks are worth keeping."""


class Remark(msgspec.Struct, frozen=True):
    """A line that a check wants in the log, whatever its verdict.

    `what` is Postfix's word (``reject``, ``reject_warning``, ``warn``, ``hold``, ``discard``, ``filter``, ``redirect``,
    ``prepend``, ``bcc``, ``info``, ``permit``, ``hangup``, our own ``exempt``, or ``warning`` for trouble of our own); `where` the step
    (``CONNECT``, ``HELO``, ``EHLO``, ``MAIL``, ``RCPT``, ``VRFY``, ``ETRN``, ``DATA``, ``END-OF-MESSAGE``); `text` what follows
    the client's name up to the ``;``.  `reason` and `evidence` are for the journal, where it is no refusal's line.
    """

    what: str
    where: str
    text: str
    reason: str = ""
    evidence: tuple[str, ...] = ()
