"""Where an exemption takes effect: what a check would have said becomes DUNNO, and the log tells of it.

docs/differences.md D-67
"""

from __future__ import annotations

from typing import NamedTuple

from seawall.policy.attempt import UNKNOWN, Attempt, NameStatus
from seawall.policy.evaluate import Spares
from seawall.policy.exempt import ALIASES, GREYLIST, RESTRICTIONS, WITH_ZONE
from seawall.policy.facts import Facts
from seawall.policy.reasons import Reason
from seawall.policy.verdict import Act, Remark, Verdict

_SPARED = frozenset((*RESTRICTIONS, GREYLIST))
TOLD = "exemptions told"
"""The key of what a session remembers: one message's exemption from one check is told once, not for each recipient."""


def confirmed_name(attempt: Attempt) -> str:
    """The name that leads from the client's address and back to it; empty where there is none."""
    return attempt.name if attempt.name_status is NameStatus.OK and attempt.name != UNKNOWN else ""


def sparing(facts: Facts, name: str, argument: str) -> Spares | None:
    """What hears a restriction's word before it counts; None for one that nobody is exempted from."""
    check = ALIASES.get(name.lower(), name.lower())
    if check not in _SPARED:
        return None
    zone = argument.partition("=")[0].lower() if check in WITH_ZONE else ""

    def spares(attempt: Attempt, verdict: Verdict) -> Verdict:
        if verdict.act is Act.DUNNO or verdict.act is Act.PERMIT or verdict.settled:
            return verdict
        entry = facts.exemption(attempt.address, confirmed_name(attempt), check, zone)
        if entry is None:
            return verdict
        evidence = (entry.key.text, f"{check}={zone}" if zone else check, entry.reason)
        text = f"{in_words(verdict)}; {entry.reason}"
        if _is_new(attempt, text):
            attempt.remarks.append(Remark("exempt", attempt.where, text, Reason.EXEMPT, evidence))
        return Verdict(Act.DUNNO, reason=Reason.EXEMPT, evidence=evidence)

    return spares


def _is_new(attempt: Attempt, text: str) -> bool:
    """Was this not told yet of this message?"""
    message = (attempt.instance, attempt.sender, attempt.where)
    kept = attempt.pending.known.get(TOLD)
    if not isinstance(kept, _Told) or kept.message != message:
        kept = attempt.pending.known[TOLD] = _Told(message, set())
    is_new = text not in kept.texts
    kept.texts.add(text)
    return is_new


class _Told(NamedTuple):
    message: tuple[str, str | None, str]
    texts: set[str]


def in_words(verdict: Verdict) -> str:
    """What the client would have heard: ``450 4.7.25 Client host rejected: …``."""
    reply = verdict.reply
    if reply is None:
        return "hangs up" if verdict.hangs_up else verdict.act.value
    return f"{reply.code} {reply.code // 100}{reply.status[1:]} {reply.text}"
