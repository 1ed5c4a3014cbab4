"""The compiler: names, arguments, classes, and the mistakes that are told when the evaluation gets there."""

from __future__ import annotations

from collections.abc import Coroutine

import pytest
from hypothesis import given
from hypothesis import strategies as st

from seawall.config.settings import ConfigTrouble, Settings
from seawall.dns.zone import Zone
from seawall.eager import result_now
from seawall.policy.attempt import Attempt
from seawall.policy.judge import Judge
from seawall.policy.language import has_guard
from seawall.policy.registry import RESTRICTIONS
from seawall.policy.verdict import Act, Verdict
from seawall.policy.world import WorldFacts
from seawall.routing.resolve import Routing
from seawall.tables.registry import Tables
from seawall.tables.table import TableUnsupported
from tests.policy.versus import settings_of


def judge_of(settings: Settings, *, needs_guard: bool = False) -> Judge:
    tables = Tables()
    return Judge(settings, WorldFacts(settings, tables, Routing(settings, tables), Zone("")), needs_guard=needs_guard)


def names(judge: Judge, stage: str) -> list[str]:
    return [item.name for item in judge.lists[stage]]


def rcpt(judge: Judge, attempt: Attempt | None = None) -> Verdict:
    attempt = attempt or Attempt("198.18.7.7", helo="h.example", sender="a@b.example", recipient="x@y.example")
    attempt.where = "RCPT"
    answer = judge.rcpt(attempt)
    if isinstance(answer, Verdict):
        return answer
    assert isinstance(answer, Coroutine)
    verdict = result_now(answer)
    assert isinstance(verdict, Verdict)
    return verdict


def test_names_are_read_without_case_and_bare_tables_are_the_stage_s_own_check() -> None:
    judge = judge_of(
        settings_of(
            {
                "smtpd_client_restrictions": "PERMIT_MyNetworks, inline:{a=OK}",
                "smtpd_recipient_restrictions": "inline:{a=OK, b=OK} warn_if_reject reject",
            }
        )
    )

    assert names(judge, "client") == ["PERMIT_MyNetworks", "check_client_access inline:{a=OK}"]
    assert names(judge, "recipient") == ["check_recipient_access inline:{a=OK, b=OK}", "reject"]
    assert [item.warns for item in judge.lists["recipient"]] == [False, True]


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("nonsense", 'unknown smtpd restriction: "nonsense"'),
        ("check_client_access", 'restriction check_client_access: bad argument "(null)": need maptype:mapname'),
        ("check_client_access hash", 'restriction check_client_access: bad argument "hash": need maptype:mapname'),
        ("sleep long", "restriction sleep must be followed by number"),
        ("check_policy_service x", "restriction check_policy_service must be followed by transport:server"),
        (
            "check_relay_domains",
            'support for restriction "check_relay_domains" has been removed in Postfix 3.9; '
            'instead, specify "reject_unauth_destination"',
        ),
    ],
)
def test_a_mistake_is_a_warning_and_451(text: str, problem: str) -> None:
    judge = judge_of(settings_of({"smtpd_recipient_restrictions": text}))
    attempt = Attempt("198.18.7.7", sender="a@b.example", recipient="x@y.example")
    verdict = rcpt(judge, attempt)

    assert judge.problems == (problem,)
    assert verdict.reply is not None
    assert verdict.reply.line() == "451 4.3.5 Server configuration error"
    assert attempt.remarks[0].text == problem


def test_what_stands_before_a_mistake_still_counts() -> None:
    judge = judge_of(settings_of({"smtpd_recipient_restrictions": "reject, nonsense"}))

    verdict = rcpt(judge)

    assert verdict.reply is not None
    assert verdict.reply.code == 554


def test_classes_may_name_each_other_without_end() -> None:
    judge = judge_of(
        settings_of({"smtpd_restriction_classes": "a b", "a": "b", "b": "a", "smtpd_recipient_restrictions": "a"})
    )
    verdict = rcpt(judge)

    assert verdict.reply is not None
    assert verdict.reply.line() == "451 4.3.5 Server configuration error"


def test_a_class_without_a_definition_stops_the_start() -> None:
    with pytest.raises(ConfigTrouble, match="restriction class `a' needs a definition"):
        judge_of(settings_of({"smtpd_restriction_classes": "a"}))


def test_a_configuration_that_refuses_nobody_stops_the_start() -> None:
    settings = settings_of({"smtpd_recipient_restrictions": "permit_mynetworks", "smtpd_relay_restrictions": ""})

    with pytest.raises(ConfigTrouble, match="specify at least one working instance of: reject_unauth_destination, "):
        judge_of(settings, needs_guard=True)


@pytest.mark.parametrize(
    ("text", "guarded"),
    [
        ("reject_unauth_destination", True),
        ("permit, reject", False),
        ("warn_if_reject reject", False),
        ("permit_mynetworks, REJECT", True),
        ("mine", True),
        ("Mine", False),
        ("loop", False),
    ],
)
def test_a_guard_is_found_where_it_works(text: str, guarded: bool) -> None:
    assert has_guard(text, {"mine": "defer_if_permit", "loop": "loop"}) is guarded


def test_a_table_that_this_release_lacks_stops_the_start() -> None:
    with pytest.raises(TableUnsupported):
        judge_of(settings_of({"smtpd_sender_restrictions": "check_sender_access nis:x"}))


def test_what_this_release_lacks_inside_a_table_is_a_configuration_error() -> None:
    judge = judge_of(settings_of({"smtpd_recipient_restrictions": "inline:{ {y.example=check_sender_access nis:x} }"}))
    verdict = rcpt(judge)

    assert verdict.reply is not None
    assert verdict.reply.line() == "451 4.3.5 Server configuration error"


def test_every_name_of_the_registry_is_lower_case_and_its_builder_says_what_it_is() -> None:
    for name, restriction in RESTRICTIONS.items():
        assert name == name.lower()
        assert callable(restriction.build)


WORDS = st.one_of(
    st.sampled_from([*RESTRICTIONS, "warn_if_reject", "inline:{a=OK}", "nonsense", "{", "}", ",", "12", "fail:x"]),
    st.text(max_size=8),
)


@given(st.lists(WORDS, max_size=8))
def test_no_text_of_a_list_raises_in_a_session(words: list[str]) -> None:
    text = " ".join(words).replace("\x00", "").replace("$", "").replace("sleep", "").replace("\n", " ")
    settings = settings_of({}).with_overrides({"smtpd_recipient_restrictions": text})
    try:
        judge = judge_of(settings)
    except (TableUnsupported, ConfigTrouble):
        return

    assert rcpt(judge).act in (Act.DUNNO, Act.PERMIT, Act.REJECT)
