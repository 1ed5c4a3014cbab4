"""Every session that Postfix was asked, played before the judge: code, enhanced code and text must be Postfix's."""

from __future__ import annotations

from collections.abc import Iterable

import pytest

from tests.policy import recorded, versus_cases, versus_matrix
from tests.policy.versus import Court, Replies, Session

GROUPS = {
    "client": versus_cases.by_client,
    "helo": versus_cases.by_helo,
    "sender": versus_cases.by_sender,
    "recipient": versus_cases.by_recipient,
    "access value": versus_cases.by_access_value,
    "deferral": versus_cases.by_deferral,
    "DNS list": versus_cases.by_dns_list,
}
MATRIX = versus_matrix.groups()


@pytest.fixture(scope="module")
def court() -> Court:
    return Court()


def wrong(sessions: Iterable[Session], source: str, court: Court) -> list[tuple[Session, Replies, Replies]]:
    heard = recorded.read(source)
    pairs = ((session, heard[recorded.key_of(session)], court.play(session)) for session in sessions)
    return [(session, expected, got) for session, expected, got in pairs if got != expected]


@pytest.mark.parametrize("group", GROUPS)
def test_the_judge_answers_as_postfix_did(group: str, court: Court) -> None:
    assert wrong(GROUPS[group](), "cases", court) == []


@pytest.mark.parametrize("group", MATRIX)
def test_the_judge_answers_as_postfix_did_in_every_list(group: str, court: Court) -> None:
    assert wrong(MATRIX[group], "matrix", court) == []


@pytest.mark.parametrize("source", recorded.SOURCES)
def test_every_recorded_session_is_still_played(source: str) -> None:
    keys = {recorded.key_of(session) for session in recorded.SOURCES[source]()}

    assert keys == recorded.read(source).keys()


def test_a_session_is_judged_the_same_under_stress_of_repetition(court: Court) -> None:
    session = Session({"smtpd_recipient_restrictions": "reject_unauth_destination"}, recipients=("x@friend.example",))

    assert {court.play(session) for _ in range(3)} == {
        ("OK", "OK", "OK", "554 5.7.1 <x@friend.example>: Relay access denied")
    }
