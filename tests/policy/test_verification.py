"""reject_unverified_sender and reject_unverified_recipient over an answer by script; the words are Postfix's (tests/golden/verify)."""

from collections.abc import Coroutine

import pytest

from seawall.config.settings import Settings
from seawall.dns.zone import Zone
from seawall.eager import result_now
from seawall.mail.reply import Reply
from seawall.mail.verified import Standing, Verified
from seawall.policy.attempt import Attempt
from seawall.policy.facts import RecordingFacts
from seawall.policy.judge import Judge
from seawall.policy.verdict import Act, Verdict
from seawall.policy.world import WorldFacts
from seawall.routing.resolve import Routing
from seawall.tables.registry import Tables

LISTS = """
mynetworks =
smtpd_relay_restrictions =
smtpd_reject_unlisted_recipient = no
smtpd_sender_restrictions = reject_unverified_sender
smtpd_recipient_restrictions = reject_unverified_recipient, permit
"""
GOOD = Verified(Standing.DELIVERABLE, "250 2.1.5 Ok")
SENDER, RECIPIENT = "ann@far.example", "bob@near.example"


class Service:
    """Answers by address; keeps what it was asked."""

    def __init__(self, answers: dict[str, Verified | None]) -> None:
        self.answers = answers
        self.asked: list[tuple[str, float]] = []

    def verify(self, address: str, patience: float) -> Verified | None:
        self.asked.append((address, patience))
        return self.answers.get(address, GOOD)


def judged(
    service: Service, more: str = "", notes: list[object] | None = None, **changed: str
) -> tuple[Verdict, Attempt]:
    settings = Settings.from_text(LISTS + more)
    tables = Tables()
    world = WorldFacts(settings, tables, Routing(settings, tables), Zone(""), verifier=service.verify)
    facts = world if notes is None else RecordingFacts(world, lambda *note: notes.append(note))
    attempt = Attempt("198.18.7.7", helo="h.example", sender=SENDER, recipient=RECIPIENT, where="RCPT")
    for name, value in changed.items():
        setattr(attempt, name, value)
    answer = Judge(settings, facts, needs_guard=False).rcpt(attempt)
    if not isinstance(answer, Verdict):
        assert isinstance(answer, Coroutine)
        answer = result_now(answer)
    assert isinstance(answer, Verdict)
    return answer, attempt


def refused(address: str, standing: Standing, text: str, more: str = "") -> Reply | None:
    return judged(Service({address: Verified(standing, text)}), more)[0].reply


def test_good_addresses_pass_and_both_are_asked_for() -> None:
    service = Service({})
    verdict, _ = judged(service)
    assert verdict.act is not Act.REJECT
    assert service.asked == [(SENDER, 6.0), (RECIPIENT, 6.0)]


def test_under_stress_nobody_waits_for_a_probe() -> None:
    service = Service({})
    judged(service, "stress = yes\n")
    assert {patience for _, patience in service.asked} == {0.0}


def test_the_null_sender_is_not_asked_for() -> None:
    service = Service({})
    judged(service, sender="")
    assert service.asked == [(RECIPIENT, 6.0)]


def test_the_default_codes_put_off() -> None:
    assert refused(RECIPIENT, Standing.UNDELIVERABLE, "host mx said: 550 no") == Reply(
        450, "4.1.1", f"<{RECIPIENT}>: Recipient address rejected: unverified address: host mx said: 550 no"
    )
    assert refused(SENDER, Standing.DEFERRED, "connect: refused") == Reply(
        450, "4.1.7", f"<{SENDER}>: Sender address rejected: unverified address: connect: refused"
    )


def test_a_permanent_code_is_for_permanent_failures_alone() -> None:
    more = "unverified_recipient_reject_code = 550\nunverified_sender_reject_code = 551\n"
    assert refused(RECIPIENT, Standing.UNDELIVERABLE, "no", more) == Reply(
        550, "5.1.1", f"<{RECIPIENT}>: Recipient address rejected: undeliverable address: no"
    )
    assert refused(SENDER, Standing.UNDELIVERABLE, "no", more) == Reply(
        551, "5.1.7", f"<{SENDER}>: Sender address rejected: undeliverable address: no"
    )
    for standing in (Standing.DEFERRED, Standing.IN_PROGRESS):
        reply = refused(RECIPIENT, standing, "later", more)
        assert reply is not None and reply.code == 450


def test_a_temporary_reason_is_cut_at_250_characters_a_permanent_one_at_the_line() -> None:
    reply = refused(RECIPIENT, Standing.DEFERRED, "x" * 1000)
    assert reply is not None and reply.text.endswith("unverified address: " + "x" * 250)
    reply = refused(RECIPIENT, Standing.UNDELIVERABLE, "x" * 1000, "unverified_recipient_reject_code = 550\n")
    assert reply is not None and reply.text.count("x") > 400


def test_a_code_below_300_lets_pass_and_one_below_400_is_a_mistake() -> None:
    more = "unverified_recipient_reject_code = 250\nunverified_recipient_defer_code = 250\n"
    assert refused(RECIPIENT, Standing.UNDELIVERABLE, "no", more) is None
    assert refused(RECIPIENT, Standing.DEFERRED, "no", more) is None
    assert refused(RECIPIENT, Standing.DEFERRED, "no", "unverified_recipient_defer_code = 350\n") == Reply(
        450, "4.7.1", "Service unavailable"
    )


def test_a_reason_of_our_own_stands_in_place_of_the_servers() -> None:
    more = "unverified_recipient_reject_reason = ask somebody else\n"
    reply = refused(RECIPIENT, Standing.DEFERRED, "secret", more)
    assert reply is not None and reply.text.endswith("unverified address: ask somebody else")


@pytest.mark.parametrize(("action", "code"), [("defer_if_permit", 554), ("defer", 450)])
def test_what_is_unclear_waits_for_the_rest_of_the_list_or_does_not(action: str, code: int) -> None:
    more = (
        "smtpd_recipient_restrictions = reject_unverified_recipient, reject\n"
        f"unverified_recipient_tempfail_action = {action}\n"
    )
    reply = refused(RECIPIENT, Standing.DEFERRED, "later", more)
    assert reply is not None and reply.code == code


def test_where_nobody_can_be_asked_it_is_a_temporary_problem() -> None:
    verdict, attempt = judged(Service({RECIPIENT: None}))
    assert verdict.reply == Reply(
        450, "4.1.1", f"<{RECIPIENT}>: Recipient address rejected: address verification problem"
    )
    assert ("warning", "verify service failure") in [(remark.what, remark.text) for remark in attempt.remarks]


def test_a_session_without_a_server_finds_nobody_to_ask() -> None:
    settings = Settings.from_text(LISTS)
    tables = Tables()
    facts = WorldFacts(settings, tables, Routing(settings, tables), Zone(""))
    assert facts.verify(RECIPIENT, False, 0.0) is None


def test_the_question_is_noted_with_its_answer() -> None:
    notes: list[object] = []
    judged(Service({}), notes=notes)
    assert ("verify", (SENDER, "sender"), GOOD) in notes
    assert ("verify", (RECIPIENT, "recipient"), GOOD) in notes
