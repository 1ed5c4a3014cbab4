"""What an access table, or a policy service, answers, and what it means.  access(5) ACCEPT, REJECT and OTHER ACTIONS"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from seawall.mail.action import Action, What
from seawall.mail.reply import Reply
from seawall.policy.attempt import Attempt
from seawall.policy.bench import Bench, warn
from seawall.policy.evaluate import RECURSION_LIMIT, Answer, evaluate, server_error
from seawall.policy.reasons import Reason
from seawall.policy.stages import Stage, fix_status
from seawall.policy.verdict import DUNNO, PERMIT, Act, Remark, Verdict

TROUBLE = "451 4.3.5 Server configuration error"
"""What a table that cannot be asked is taken to have answered.  smtpd_check.c check_access()"""

_WORD = re.compile(r"[^ \t]*")
_STATUS = re.compile(r"([245]\.\d{1,3}\.\d{1,3})(?:[ \t\r\n\f\v]+|\Z)")
_HEADER = re.compile(r"[!-9;-~]+[ \t]*:")
_BLANKS = " \t\r\n\f\v"


@dataclass(frozen=True, slots=True)
class Hit:
    """A table's answer on its way to a verdict.

    `stage` is the list's, but judging what the table was asked for; `word` and `text` are the answer's first word
    and the rest; `key` is what was looked up; `reply_name` is what a refusal names (``<a@b>: Sender address …``).
    """

    bench: Bench
    stage: Stage
    table: str
    value: str
    word: str
    text: str
    key: str
    reply_name: str

    @property
    def named(self) -> str:
        """``<name>: Class``."""
        return f"<{self.reply_name}>: {self.stage.reply_class}"

    def reply(self, code: int, status: str, otherwise: str) -> Reply:
        """The refusal with the table's own text, if it has one; an enhanced status may open it."""
        status, text = split_status(self.text, status)
        return Reply(code, fix_status(status, self.stage.reply_class), f"{self.named} rejected: {text or otherwise}")


def split_status(text: str, status: str) -> tuple[str, str]:
    """(enhanced status, rest) of a text that may open with one; `status` where it does not.  dsn_split(3)"""
    found = _STATUS.match(text)
    return (found.group(1), text[found.end() :]) if found else (status, text)


def judge_value(bench: Bench, stage: Stage, attempt: Attempt, table: str, value: str, key: str) -> Answer:
    """The verdict that `value` stands for; side effects on the message go to the attempt's actions and remarks."""
    word = _WORD.match(value)
    end = word.end() if word else 0
    text = value[end:].lstrip(_BLANKS)
    hit = Hit(bench, stage, table, value, value[:end], text, key, stage.reply_name(attempt))
    known = ACTIONS.get(hit.word.upper())
    if known is not None:
        return known(hit, attempt)
    if value.isascii() and value.isdigit():
        return _permit(hit, attempt)
    if len(hit.word) == 3 and hit.word.isascii() and hit.word.isdigit() and hit.word[0] in "45" and hit.text:
        reply = hit.reply(int(hit.word), f"{hit.word[0]}.7.1", "Access denied")
        return Verdict(Act.REJECT, reply, Reason.ACCESS_TABLE, (table, key), hangs_up=reply.hangs_up)
    return _restrictions(hit, attempt)


def _dunno(hit: Hit, attempt: Attempt) -> Verdict:
    return DUNNO


def _permit(hit: Hit, attempt: Attempt) -> Verdict:
    return hit.bench.permit(attempt, hit.word, hit.stage.reply_class, hit.reply_name, f" from {hit.table}")


def _reject(hit: Hit, attempt: Attempt) -> Verdict:
    reply = hit.reply(hit.bench.values.number("access_map_reject_code"), "5.7.1", "Access denied")
    return Verdict(Act.REJECT, reply, Reason.ACCESS_TABLE, (hit.table, hit.key))


def _defer(hit: Hit, attempt: Attempt) -> Verdict:
    reply = hit.reply(hit.bench.values.number("access_map_defer_code"), "4.7.1", "Access denied")
    return Verdict(Act.REJECT, reply, Reason.ACCESS_TABLE, (hit.table, hit.key))


def _defer_if_permit(hit: Hit, attempt: Attempt) -> Verdict:
    reply = hit.reply(hit.bench.values.number("access_map_defer_code"), "4.7.1", "Service unavailable")
    return Verdict(Act.DEFER_IF_PERMIT, reply, Reason.ACCESS_TABLE, (hit.table, hit.key))


def _defer_if_reject(hit: Hit, attempt: Attempt) -> Verdict:
    reply = hit.reply(hit.bench.values.number("access_map_defer_code"), "4.7.1", "Service unavailable")
    return Verdict(Act.DEFER_IF_REJECT, reply, Reason.ACCESS_TABLE, (hit.table, hit.key))


def _hangup(hit: Hit, attempt: Attempt) -> Verdict:
    attempt.remarks.append(Remark("hangup", attempt.where, hit.text))
    return Verdict(Act.REJECT, None, Reason.HANGUP, (hit.table, hit.key), hangs_up=True, settled=True)


def _info(hit: Hit, attempt: Attempt) -> Verdict:
    attempt.remarks.append(Remark("info", attempt.where, hit.text))
    return DUNNO


def _warn(hit: Hit, attempt: Attempt) -> Verdict:
    attempt.remarks.append(Remark("warn", attempt.where, hit.text))
    return DUNNO


def _filter(hit: Hit, attempt: Attempt) -> Verdict:
    if not _reaches_message(hit, attempt, "FILTER"):
        return DUNNO
    if not hit.text:
        warn(attempt, f'access table {hit.table} entry "{hit.key}" has FILTER entry without value')
    elif ":" not in hit.text:
        warn(attempt, f'access table {hit.table} entry "{hit.key}" requires transport:destination')
    else:
        attempt.remarks.append(Remark("filter", attempt.where, f"{hit.named} triggers FILTER {hit.text}"))
        attempt.actions.append(Action(What.FILTER, hit.text))
    return DUNNO


def _hold(hit: Hit, attempt: Attempt) -> Verdict:
    if not _reaches_message(hit, attempt, "HOLD") or any(action.what is What.HOLD for action in attempt.actions):
        return DUNNO
    text = hit.text or "triggers HOLD action"
    attempt.remarks.append(Remark("hold", attempt.where, f"{hit.named} {text}"))
    attempt.actions.append(Action(What.HOLD, hit.text))
    return DUNNO


def _discard(hit: Hit, attempt: Attempt) -> Verdict:
    if not _reaches_message(hit, attempt, "DISCARD"):
        return DUNNO
    text = hit.text or "triggers DISCARD action"
    attempt.remarks.append(Remark("discard", attempt.where, f"{hit.named} {text}"))
    attempt.actions.append(Action(What.DISCARD, hit.text))
    attempt.pending.discards = True
    return _permit(hit, attempt)


def _redirect(hit: Hit, attempt: Attempt) -> Verdict:
    return _to_address(hit, attempt, What.REDIRECT)


def _bcc(hit: Hit, attempt: Attempt) -> Verdict:
    return _to_address(hit, attempt, What.BCC)


def _to_address(hit: Hit, attempt: Attempt, what: What) -> Verdict:
    word = what.name
    if not _reaches_message(hit, attempt, word):
        return DUNNO
    if "@" not in hit.text:
        warn(attempt, f'access table {hit.table} entry "{hit.key}" requires user@domain target')
    else:
        attempt.remarks.append(Remark(what.value, attempt.where, f"{hit.named} triggers {word} {hit.text}"))
        attempt.actions.append(Action(what, hit.text))
    return DUNNO


def _prepend(hit: Hit, attempt: Attempt) -> Verdict:
    if not _in_transaction(hit, attempt, "PREPEND"):
        return DUNNO
    if attempt.where == "END-OF-MESSAGE":
        warn(attempt, f"access table {hit.table}: action PREPEND must be used before smtpd_end_of_data_restrictions")
    elif not _HEADER.match(hit.text):
        warn(attempt, f'access table {hit.table} entry "{hit.key}" requires header: text')
    else:
        attempt.actions.append(Action(What.PREPEND, hit.text))
    return DUNNO


ACTIONS: Mapping[str, Callable[[Hit, Attempt], Verdict]] = {
    "BCC": _bcc,
    "DEFER": _defer,
    "DEFER_IF_PERMIT": _defer_if_permit,
    "DEFER_IF_REJECT": _defer_if_reject,
    "DISCARD": _discard,
    "DUNNO": _dunno,
    "FILTER": _filter,
    "HANGUP": _hangup,
    "HOLD": _hold,
    "INFO": _info,
    "OK": _permit,
    "PREPEND": _prepend,
    "REDIRECT": _redirect,
    "REJECT": _reject,
    "RELAY": _permit,
    "WARN": _warn,
}
"""access(5), by the first word of the answer in capitals.  Digits and ``4NN text`` are told by their form."""


def _reaches_message(hit: Hit, attempt: Attempt, action: str) -> bool:
    """Actions on the message need a message of our own: not with a proxy behind us, not at ETRN, not before MAIL."""
    if hit.bench.values.text("smtpd_proxy_filter"):
        warn(attempt, f"access table {hit.table}: with smtpd_proxy_filter specified, action {action} is unavailable")
        return False
    if attempt.where == "ETRN":
        warn(attempt, f"access table {hit.table}: action {action} is unavailable in smtpd_etrn_restrictions")
        return False
    return _in_transaction(hit, attempt, action)


def _in_transaction(hit: Hit, attempt: Attempt, action: str) -> bool:
    if attempt.sender is None:
        warn(
            attempt,
            f"access table {hit.table}: with smtpd_delay_reject=no, "
            f"action {action} is always skipped in Client host or Helo command restrictions",
        )
        return False
    return True


def _restrictions(hit: Hit, attempt: Attempt) -> Answer:
    """Anything else is a list of restrictions, of which none may open a table."""
    if ":" in hit.value:
        warn(attempt, f"access table {hit.table} has entry with lookup table: {hit.value}")
        warn(attempt, "do not specify lookup tables inside SMTPD access maps")
        warn(attempt, "define a restriction class and specify its name instead.")
        return server_error(hit.table)
    if attempt.pending.depth > RECURSION_LIMIT:
        warn(attempt, f"access table {hit.table} entry {hit.value} causes unreasonable recursion")
        return server_error(hit.table)
    items = hit.bench.compile(hit.value, hit.stage)
    if not items:
        warn(attempt, f"access table {hit.table} entry {hit.value} has empty value")
        return PERMIT
    return evaluate(items, attempt, hit.bench.manner)
