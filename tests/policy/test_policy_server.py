"""The answering side of the policy protocol: questions read in bounded memory, verdicts made actions, and never a permit."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from seawall.dns.hosts import Hosts
from seawall.dns.zone import Zone
from seawall.eager import result_now
from seawall.mail.envelope import TlsFacts
from seawall.policy.attempt import Attempt, NameStatus
from seawall.policy.policy_server import (
    MOST_ATTRIBUTES,
    MOST_QUESTION,
    BadQuestion,
    Checks,
    Failure,
    QuestionReader,
    attempt_of,
)
from seawall.policy.policy_service import format_question
from seawall.policy.world import WorldFacts
from seawall.routing.resolve import Routing
from seawall.tables.registry import Tables
from tests.policy.versus import ZONE, settings_of


def checks_of(restrictions: str, failure: Failure = Failure.DEFER, **settings: str) -> Checks:
    made = settings_of(settings)
    tables = Tables(warn=lambda text: None)
    return Checks(made, WorldFacts(made, tables, Routing(made, tables), Zone(ZONE), Hosts()), restrictions, failure)


def stranger(where: str = "RCPT", **told: object) -> Attempt:
    attempt = Attempt("198.18.7.7", name="bot.example", reverse_name="bot.example", helo="bot.example", where=where)
    attempt.sender, attempt.recipient = "a@friend.example", "joe@here.example"
    for name, value in told.items():
        setattr(attempt, name, value)
    return attempt


def question(attempt: Attempt) -> dict[str, str]:
    [asked] = QuestionReader().feed(format_question(attempt, "", "3.6", "3.12").encode("utf-8", "surrogateescape"))
    return asked


def answer(restrictions: str, attempt: Attempt | None = None, failure: Failure = Failure.DEFER, **settings: str) -> str:
    checks = checks_of(restrictions, failure, **settings)
    return result_now(checks.answer(question(attempt or stranger()))).action


def test_what_passes_and_what_is_permitted_is_no_opinion() -> None:
    assert answer("") == "DUNNO"
    assert answer("permit") == "DUNNO"
    assert answer("permit_mynetworks, reject", stranger(address="10.1.2.3")) == "DUNNO"
    assert answer("check_sender_access inline:{friend.example=OK}, reject") == "DUNNO"


def test_a_refusal_has_its_code_its_status_and_its_reason() -> None:
    assert answer("reject") == "554 5.7.1 Access denied"
    assert (
        answer("reject_unauth_destination", stranger(recipient="x@friend.example"))
        == "554 5.7.1 <x@friend.example>: Relay access denied"
    )
    assert answer("reject_unknown_sender_domain", stranger(sender="a@nosuch.example")) == (
        "450 4.1.8 Sender address rejected: Domain not found"
    )
    assert answer("check_client_access inline:{ {bot.example = 521 5.7.1 go} }") == "521 5.7.1 Client host rejected: go"


@pytest.mark.parametrize(
    ("where", "expected"),
    [
        ("CONNECT", "554 5.7.1 Access denied"),
        ("EHLO", "554 5.7.1 Access denied"),
        ("MAIL", "554 5.7.1 Access denied"),
        ("DATA", "554 5.7.1 Access denied"),
        ("END-OF-MESSAGE", "554 5.7.1 Access denied"),
        ("ETRN", "554 5.7.1 Access denied"),
        ("VRFY", "554 5.7.1 Access denied"),
        ("NONSENSE", "DUNNO"),
    ],
)
def test_every_step_is_answered_in_its_own_words(where: str, expected: str) -> None:
    assert answer("reject", stranger(where)) == expected


def test_deferrals_stay_what_they_are() -> None:
    assert answer("defer_if_permit") == "DEFER_IF_PERMIT 4.7.0 defer_if_permit requested"
    assert answer("defer_if_reject") == "DEFER_IF_REJECT 4.7.0 defer_if_reject requested"


def test_an_action_on_the_message_is_passed_on_and_the_weightiest_of_several() -> None:
    assert answer("check_sender_access inline:{ {friend.example = PREPEND X-A: b} }") == "PREPEND X-A: b"
    assert (
        answer(
            "check_sender_access inline:{ {friend.example = PREPEND X-A: b} }, check_helo_access inline:{bot.example=HOLD}"
        )
        == "HOLD"
    )
    assert answer("check_sender_access inline:{friend.example=DISCARD}, reject") == "DISCARD"
    assert answer("check_sender_access inline:{ {friend.example = PREPEND X-A: b} }, reject").startswith("554 ")


def test_trouble_of_our_own_defers_or_is_nothing_as_it_is_wanted() -> None:
    broken = "check_sender_access fail:trouble"

    assert answer(broken).startswith("DEFER_IF_PERMIT 4.3.")
    assert answer(broken, failure=Failure.DUNNO) == "DUNNO"


def test_a_question_brings_back_the_session_that_it_was_made_from() -> None:
    tls = TlsFacts("TLSv1.3", "AES", 256, 256, "mx.example", "J\u00f6rg", "CA + Co", "AB", "CD", peer_trusted=True)
    attempt = stranger(
        port="4711", server_address="192.0.2.1", server_port="25", size=7, sasl_username="joe", stress="yes"
    )
    attempt.tls, attempt.queue_id, attempt.instance = tls, "ABC", "1.2"

    assert attempt_of(question(attempt)) == attempt


def test_a_name_that_is_not_told_is_not_held_against_the_client() -> None:
    attempt = attempt_of({"client_name": "unknown", "protocol_state": "RCPT"})

    assert attempt.name_status is NameStatus.TEMPORARY
    assert answer("reject_unknown_client_hostname", stranger(name="unknown")).startswith("450 ")


def test_before_mail_there_is_no_sender_and_after_it_an_empty_one_is_the_null_sender() -> None:
    assert attempt_of({"protocol_state": "HELO"}).sender is None
    assert attempt_of({"protocol_state": "RCPT"}).sender == ""


def test_a_question_that_never_ends_is_given_up() -> None:
    for endless in (b"x" * (MOST_QUESTION + 1), b"a=b\n" * (MOST_QUESTION // 4 + 1), b"no value\n"):
        with pytest.raises(BadQuestion):
            QuestionReader().feed(endless)
    with pytest.raises(BadQuestion):
        QuestionReader().feed(b"".join(b"%d=\n" % number for number in range(MOST_ATTRIBUTES + 1)))


@given(st.binary(max_size=300), st.integers(1, 7))
def test_questions_read_the_same_in_whatever_pieces_they_come(data: bytes, size: int) -> None:
    def read(pieces: list[bytes]) -> list[dict[str, str]] | None:
        reader = QuestionReader()
        try:
            return [asked for piece in pieces for asked in reader.feed(piece)]
        except BadQuestion:
            return None

    pieces = [data[at : at + size] for at in range(0, len(data), size)]
    assert read(pieces) == read([data])


@given(
    st.dictionaries(
        st.sampled_from(
            [
                "client_address",
                "client_name",
                "helo_name",
                "sender",
                "recipient",
                "size",
                "recipient_count",
                "encryption_protocol",
                "encryption_keysize",
                "ccert_subject",
                "etrn_domain",
            ]
        ),
        st.text(max_size=40),
    ),
    st.sampled_from(["CONNECT", "HELO", "MAIL", "RCPT", "DATA", "END-OF-MESSAGE", "ETRN", "VRFY"]),
)
def test_whatever_is_asked_the_answer_is_one_line_and_no_permit(told: dict[str, str], state: str) -> None:
    checks = checks_of(
        "reject_invalid_helo_hostname, reject_non_fqdn_helo_hostname, reject_non_fqdn_sender, reject_unknown_sender_domain, "
        "reject_non_fqdn_recipient, permit"
    )
    told = {name: value.replace("\n", "").replace("\0", "") for name, value in told.items()}
    action = result_now(checks.answer({"request": "smtpd_access_policy", "protocol_state": state, **told})).action

    assert "\n" not in action
    assert action.partition(" ")[0] not in ("OK", "RELAY", "permit")
    assert action
