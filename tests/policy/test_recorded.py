"""Every session that Postfix was asked, played before the judge: code, enhanced code and text must be Postfix's."""

from __future__ import annotations

import pytest

from tests.policy import recorded, versus_cases
from tests.policy.versus import Court, Session

GROUPS = {
    "client": versus_cases.by_client,
    "helo": versus_cases.by_helo,
    "sender": versus_cases.by_sender,
    "recipient": versus_cases.by_recipient,
    "access value": versus_cases.by_access_value,
    "deferral": versus_cases.by_deferral,
    "DNS list": versus_cases.by_dns_list,
}


@pytest.fixture(scope="module")
def court() -> Court:
    return Court()


@pytest.mark.parametrize("group", GROUPS)
def test_the_judge_answers_as_postfix_did(group: str, court: Court) -> None:
    heard = recorded.read()
    wrong = []
    for session in GROUPS[group]():
        expected = heard[recorded.key_of(session)]
        got = court.play(session)
        if got != expected:
            wrong.append((session, expected, got))

    assert wrong == []


def test_every_recorded_session_is_still_played() -> None:
    keys = {recorded.key_of(session) for session in versus_cases.every_session()}

    assert keys == recorded.read().keys()


def test_a_session_is_judged_the_same_under_stress_of_repetition(court: Court) -> None:
    session = Session({"smtpd_recipient_restrictions": "reject_unauth_destination"}, recipients=("x@friend.example",))

    assert {court.play(session) for _ in range(3)} == {
        ("OK", "OK", "OK", "554 5.7.1 <x@friend.example>: Relay access denied")
    }
