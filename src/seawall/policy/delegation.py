"""check_policy_service: somebody else's judgement, in access(5)'s words.  postconf(5), Postfix SMTPD_POLICY_README"""

from __future__ import annotations

from msgspec.structs import replace

from seawall.policy.access import judge_value
from seawall.policy.attempt import Attempt
from seawall.policy.bench import Bench, Place, warn
from seawall.policy.evaluate import Ask
from seawall.policy.policy_service import DEFAULT_ACTION, PolicyAnswer, format_question, is_utf8, parse_service
from seawall.policy.reasons import Reason
from seawall.policy.verdict import Verdict

_QUERY = "policy query"
"""What warnings call the entry that a service's answer stands for."""
_FALLING_BACK = "default action of a policy service"
"""The mark in a session's memory while a default action is judged."""


def check_policy_service(bench: Bench, place: Place) -> Ask:
    """Ask a service; where it fails, its default action counts."""
    values, facts, stage = bench.values, bench.facts, place.stage
    service = parse_service(place.argument, values)
    level, version = values.text("compatibility_level"), values.text("mail_version")
    wants_utf8 = values.flag("smtputf8_enable")

    async def judge(attempt: Attempt, action: str) -> Verdict:
        answer = judge_value(bench, stage, attempt, service.argument, action, _QUERY)
        verdict = answer if isinstance(answer, Verdict) else await answer
        if verdict.reason == Reason.ACCESS_TABLE:
            return replace(verdict, reason=Reason.POLICY_SERVICE)
        return verdict

    async def fall_back(attempt: Attempt) -> Verdict:
        known = attempt.pending.known
        if _FALLING_BACK in known:  # a default action that asks a service which fails as well
            return await judge(attempt, DEFAULT_ACTION)
        known[_FALLING_BACK] = True
        try:
            return await judge(attempt, service.default_action)
        finally:
            del known[_FALLING_BACK]

    async def ask_service(attempt: Attempt) -> Verdict:
        heard = facts.ask_policy(service, format_question(attempt, service.context, level, version))
        answer = heard if isinstance(heard, PolicyAnswer) else await heard
        for text in answer.remarks:
            warn(attempt, text)
        action = answer.action
        if action is None:
            return await fall_back(attempt)
        if wants_utf8 and not is_utf8(action):
            warn(attempt, f'malformed UTF-8 in policy server {service.argument} response: "{action}"')
            return await fall_back(attempt)
        return await judge(attempt, action)

    return ask_service
