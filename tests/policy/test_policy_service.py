"""A service's terms and its answers, read in whatever pieces they come; and what a failing service means to a list."""

from __future__ import annotations

from collections.abc import Coroutine

import pytest
from hypothesis import given
from hypothesis import strategies as st

from seawall.config.settings import ConfigTrouble, Settings
from seawall.dns.hosts import Hosts
from seawall.dns.zone import Zone
from seawall.eager import result_now
from seawall.policy.facts import RecordingFacts
from seawall.policy.judge import Judge
from seawall.policy.policy_client import PolicyClients
from seawall.policy.policy_service import (
    AnswerReader,
    AnswerTrouble,
    PolicyAnswer,
    Service,
    parse_service,
    split_endpoint,
)
from seawall.policy.reasons import Reason
from seawall.policy.verdict import Act, Verdict
from seawall.policy.world import WorldFacts
from seawall.routing.resolve import Routing
from seawall.tables.registry import Tables
from tests.policy.test_judge import stranger
from tests.policy.versus import settings_of


class Scripted(PolicyClients):
    """Services that answer at once, by what they are called."""

    def __init__(self, **answers: PolicyAnswer) -> None:
        super().__init__(lambda where: where, 1)
        self._answers = answers

    async def answered(self, answer: PolicyAnswer) -> PolicyAnswer:
        return answer

    def ask(self, service: Service, question: str) -> Coroutine[object, object, PolicyAnswer]:
        return self.answered(self._answers[service.where])


def verdict_of(
    restrictions: str, notes: list[tuple[str, tuple[str, ...], object]] | None = None, **answers: PolicyAnswer
) -> tuple[Verdict, list[str]]:
    settings = settings_of({"smtpd_recipient_restrictions": restrictions})
    tables = Tables()
    world = WorldFacts(settings, tables, Routing(settings, tables), Zone(""), Hosts(), policies=Scripted(**answers))
    heard = notes if notes is not None else []
    facts = RecordingFacts(world, lambda kind, words, answer: heard.append((kind, words, answer)))
    attempt = stranger()
    answer = Judge(settings, facts, needs_guard=False).rcpt(attempt)
    assert isinstance(answer, Coroutine)
    verdict: Verdict = result_now(answer)
    return verdict, [f"{remark.what}: {remark.text}" for remark in attempt.remarks]


def line(verdict: Verdict) -> str:
    return verdict.reply.line() if verdict.reply is not None else verdict.act.value


def test_a_question_goes_through_the_facts_and_is_noted_with_its_answer() -> None:
    notes: list[tuple[str, tuple[str, ...], object]] = []
    verdict, _ = verdict_of("check_policy_service unix:x", notes, x=PolicyAnswer("REJECT no"))
    [(_, words, answer)] = [note for note in notes if note[0] == "policy"]

    assert line(verdict) == "554 5.7.1 <joe@here.example>: Recipient address rejected: no"
    assert verdict.reason == Reason.POLICY_SERVICE
    assert words[0] == "unix:x"
    assert "\nrecipient=joe@here.example\n" in words[1]
    assert answer == PolicyAnswer("REJECT no")


def test_where_a_service_fails_its_default_action_counts_and_the_log_is_told() -> None:
    failed = PolicyAnswer(None, ("problem talking to server x: Connection timed out",))
    verdict, log = verdict_of("check_policy_service unix:x", x=failed)

    assert line(verdict) == "451 4.3.5 <joe@here.example>: Recipient address rejected: Server configuration problem"
    assert log[0] == "warning: problem talking to server x: Connection timed out"
    assert verdict_of("check_policy_service { unix:x, default_action=DUNNO }", x=failed)[0].act is not Act.REJECT


def test_a_default_action_that_asks_a_service_which_fails_as_well_ends_in_postfix_own() -> None:
    failed = PolicyAnswer(None)
    settings = "check_policy_service { unix:x, default_action=again }"
    tables = Tables()
    made = settings_of(
        {
            "smtpd_restriction_classes": "again",
            "again": "check_policy_service { unix:y, default_action=OK }",
            "smtpd_recipient_restrictions": settings,
        }
    )
    world = WorldFacts(made, tables, Routing(made, tables), Zone(""), Hosts(), policies=Scripted(x=failed, y=failed))
    answer = Judge(made, world, needs_guard=False).rcpt(stranger())
    assert isinstance(answer, Coroutine)
    verdict: Verdict = result_now(answer)

    assert line(verdict) == "451 4.3.5 <joe@here.example>: Recipient address rejected: Server configuration problem"


@pytest.mark.parametrize(
    "argument",
    [
        "tcp:h:1", "unix:", ":x", "inet:h:0", "inet:h:70000", "{ }", "{ unix:x", "{ unix:x } y", "{ unix:x, timeout=0 }",
        "{ unix:x, timeout=soon }", "{ unix:x, try_limit=0 }", "{ unix:x, nonsense=1 }", "{ unix:x, timeout }",
        "{ unix:x, timeout = 1s }",
    ],
)  # fmt: skip
def test_a_service_that_postfix_would_not_start_with_is_told_at_the_start(argument: str) -> None:
    with pytest.raises(ConfigTrouble):
        parse_service(argument, Settings.from_text(""))


def test_an_endpoint_is_a_host_and_a_port() -> None:
    assert split_endpoint("h:25") == ("h", "25")
    assert split_endpoint("[::1]:25") == ("::1", "25")
    assert split_endpoint("25") == ("localhost", "25")


@given(st.binary(max_size=200), st.integers(1, 9))
def test_an_answer_is_the_same_in_whatever_pieces_it_comes(data: bytes, size: int) -> None:
    def read(pieces: list[bytes]) -> str | None:
        reader = AnswerReader("x")
        try:
            return next((action for piece in pieces if (action := reader.feed(piece)) is not None), None)
        except AnswerTrouble as trouble:
            return f"trouble {trouble}"

    pieces = [data[at : at + size] for at in range(0, len(data), size)]
    assert read(pieces) == read([data])


@given(st.text(st.characters(blacklist_characters="\n\0", codec="utf-8"), max_size=50))
def test_every_action_comes_back_as_it_was_sent(action: str) -> None:
    reader = AnswerReader("x")

    assert reader.feed(f"action={action}\n\n".encode()) == action
    assert reader.is_clean
