"""Evaluate a compiled restriction list: the meaning of warn_if_reject, the two deferrals, soft_bounce, and what is logged.

Pure: what a check asks the world is the check's business, here its verdict is only heard.  smtpd_check.c
generic_checks() and smtpd_check_reject().
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TypeAlias

from seawall.mail.reply import Reply
from seawall.policy.attempt import Attempt
from seawall.policy.reasons import Reason
from seawall.policy.verdict import DUNNO, Act, Remark, Verdict
from seawall.tables.table import TableTrouble

Answer: TypeAlias = Verdict | Awaitable[Verdict]
Ask: TypeAlias = Callable[[Attempt], Answer]
Spares: TypeAlias = Callable[[Attempt, Verdict], Verdict]
"""Hears a check's word before it counts, for clients that are exempt from it."""

RECURSION_LIMIT = 100
"""Lists within lists.  smtpd_check.c has the same number."""
TEXT_LIMIT = 510
"""Characters of a refusal, code included.  RFC 5321 §4.5.3.1.5 less CRLF, as smtpd_check.c cuts it."""

_UNPRINTABLE = re.compile(r"[\x00-\x1f\x7f\ud800-\udfff]")
_UNPRINTABLE_ASCII = re.compile(r"[^ -~]")
_STATUS = re.compile(r"[245]\.\d{1,3}\.\d{1,3}")
# A member of an enum is looked up each time that it is named, which costs more than to compare it.
_DUNNO, _PERMIT, _REJECT = Act.DUNNO, Act.PERMIT, Act.REJECT


@dataclass(frozen=True, slots=True)
class Item:
    """One restriction of a list, its arguments bound.

    `warns` is true behind warn_if_reject.  `reply_name` gives what the list judges: a failed look-up is told of it.
    """

    name: str
    ask: Ask
    reply_name: Callable[[Attempt], str]
    warns: bool = False
    spares: Spares | None = None


Items: TypeAlias = tuple[Item, ...]


@dataclass(frozen=True, slots=True)
class Manner:
    """How this configuration says its verdicts.  `utf8` lets printable non-ASCII text through (smtputf8_enable)."""

    soft_bounce: bool = False
    utf8: bool = True


def server_error(evidence: str = "") -> Verdict:
    """What everybody hears while the configuration is broken."""
    reply = Reply(451, "4.3.5", "Server configuration error")
    return Verdict(Act.REJECT, reply, Reason.CONFIGURATION, (evidence,), hard=True)


def lookup_error(name: str, evidence: str = "") -> Verdict:
    """A table or a resolution failed: temporary, ours."""
    reply = Reply(451, "4.3.0", f"<{name}>: Temporary lookup failure")
    return Verdict(Act.REJECT, reply, Reason.LOOKUP_FAILED, (evidence,), hard=True)


async def evaluate(items: Items, attempt: Attempt, manner: Manner) -> Verdict:
    """Ask one restriction after the other until one decides: PERMIT, a settled REJECT, or DUNNO at the end."""
    pending = attempt.pending
    outer = pending.warns
    if pending.depth > RECURSION_LIMIT + 1:  # where a table is in the circle, it is told of before
        attempt.remarks.append(Remark("warning", attempt.where, "restriction lists call each other without an end"))
        return settle(server_error("recursion"), attempt, manner)
    pending.depth += 1
    try:
        for item in items:
            if pending.discards:
                break
            pending.warns = outer or item.warns
            try:
                answer = item.ask(attempt)
                verdict = answer if isinstance(answer, Verdict) else await answer
            except TableTrouble as trouble:
                verdict = lookup_error(item.reply_name(attempt), str(trouble))
            if verdict is not DUNNO:
                if not verdict.settled:
                    if item.spares is not None:
                        verdict = item.spares(attempt, verdict)
                    verdict = settle(verdict, attempt, manner)
                if verdict.act is not _DUNNO:
                    return verdict
            if pending.defer_if_reject is not None and pending.defer_if_permit is not None:
                break  # whatever follows, it ends in a deferral
        return DUNNO
    finally:
        pending.depth -= 1
        pending.warns = outer


def settle(verdict: Verdict, attempt: Attempt, manner: Manner) -> Verdict:
    """A check's own word made final: kept for later, turned into a warning, or said."""
    pending = attempt.pending
    act = verdict.act
    if act is _PERMIT or act is _DUNNO:
        return verdict
    if act is _REJECT:
        return refuse(verdict, attempt, manner)
    if act is Act.DEFER_IF_REJECT:
        if pending.defer_if_reject is None:
            pending.defer_if_reject = verdict
        return DUNNO
    if act is Act.DEFER_IF_PERMIT and not pending.warns:
        if pending.defer_if_permit is None:
            pending.defer_if_permit = verdict
        return DUNNO
    return refuse(verdict, attempt, manner)


def refuse(verdict: Verdict, attempt: Attempt, manner: Manner) -> Verdict:
    """The refusal as the client hears it and the log tells it; DUNNO where it is only a warning."""
    pending = attempt.pending
    if verdict.reply is None:
        return verdict
    warns = pending.warns and not verdict.hard
    reply = _sound(verdict.reply, attempt, manner)
    if not warns and pending.defer_if_reject is not None and reply.code >= 500:
        earlier = pending.defer_if_reject
        pending.warns = False
        pending.defer_if_reject = None
        return refuse(earlier, attempt, manner)
    if manner.soft_bounce and reply.code >= 500:
        reply = Reply(reply.code - 100, "4" + reply.status[1:], reply.text)
    what = "reject_warning" if warns else "reject"
    attempt.remarks.append(Remark(what, attempt.where, f"{reply.code} {reply.status} {reply.text}"))
    if warns:
        return DUNNO
    return Verdict(_REJECT, reply, verdict.reason, verdict.evidence, verdict.hangs_up, verdict.hard, settled=True)


def _sound(reply: Reply, attempt: Attempt, manner: Manner) -> Reply:
    """The reply with a code and a status that fit each other, and a text fit for one line."""
    code, status, text = reply.code, reply.status, reply.text
    trouble = ""
    if not 400 <= code <= 599:
        trouble = "SMTP reply code configuration error"
    elif not _STATUS.fullmatch(status):
        trouble = "DSN detail code configuration error"
    if trouble:
        attempt.remarks.append(Remark("warning", attempt.where, f"{trouble}: {code} {status} {text}"))
        code, status, text = 450, "4.7.1", "Service unavailable"
    if not (text.isascii() and text.isprintable()):
        if manner.utf8:
            text = _UNPRINTABLE.sub(" ", text)
        else:  # a blank for each byte, as Postfix counts
            text = _UNPRINTABLE_ASCII.sub(" ", text.encode("utf-8", "surrogateescape").decode("latin-1"))
    room = TEXT_LIMIT - len(status) - 5
    if len(text) > room:
        text = text[:room]
    level = "5" if code >= 500 else "4"
    if status[0] != level:
        status = level + status[1:]
    if code is reply.code and status is reply.status and text is reply.text:
        return reply
    return Reply(code, status, text)
