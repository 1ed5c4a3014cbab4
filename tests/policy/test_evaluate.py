"""The evaluation core by itself: no table, no DNS, only verdicts that checks bring."""

from __future__ import annotations

from collections.abc import Awaitable, Sequence

from hypothesis import given
from hypothesis import strategies as st

from seawall.eager import result_now
from seawall.mail.reply import Reply
from seawall.policy.attempt import Attempt
from seawall.policy.evaluate import RECURSION_LIMIT, Item, Manner, evaluate, refuse, server_error
from seawall.policy.verdict import DUNNO, PERMIT, Act, Verdict
from seawall.tables.table import TableTrouble

MANNER = Manner()
REFUSED = Verdict(Act.REJECT, Reply(554, "5.7.1", "<x>: no"), "test")
LATER = Verdict(Act.REJECT, Reply(450, "4.7.1", "<x>: later"), "test")
UNLESS = Verdict(Act.DEFER_IF_PERMIT, Reply(450, "4.7.0", "<x>: perhaps"), "test")
INSTEAD = Verdict(Act.DEFER_IF_REJECT, Reply(450, "4.7.0", "<x>: instead"), "test")


def item(verdict: Verdict, *, warns: bool = False) -> Item:
    return Item("test", lambda attempt: verdict, lambda attempt: "x", warns)


def judge(items: Sequence[Item], attempt: Attempt | None = None, manner: Manner = MANNER) -> Verdict:
    return result_now(evaluate(tuple(items), attempt or Attempt("192.0.2.1"), manner))


def test_an_empty_list_has_no_opinion() -> None:
    assert judge([]) is DUNNO


def test_the_first_decision_ends_the_list() -> None:
    assert judge([item(DUNNO), item(PERMIT), item(REFUSED)]) is PERMIT
    assert judge([item(REFUSED), item(PERMIT)]).reply == REFUSED.reply


def test_a_refusal_is_told_to_the_log() -> None:
    attempt = Attempt("192.0.2.1", where="RCPT")
    judge([item(REFUSED)], attempt)

    assert [(r.what, r.where, r.text) for r in attempt.remarks] == [("reject", "RCPT", "554 5.7.1 <x>: no")]


def test_behind_warn_if_reject_a_refusal_is_only_told() -> None:
    attempt = Attempt("192.0.2.1")

    assert judge([item(REFUSED, warns=True), item(PERMIT)], attempt) is PERMIT
    assert [r.what for r in attempt.remarks] == ["reject_warning"]


def test_warn_if_reject_does_not_soften_our_own_trouble() -> None:
    assert judge([item(server_error(), warns=True)]).reply == Reply(451, "4.3.5", "Server configuration error")


def test_a_table_that_cannot_be_asked_defers_by_the_name_of_the_list() -> None:
    def ask(attempt: Attempt) -> Verdict:
        raise TableTrouble("hash:x", "gone")

    verdict = judge([Item("x", ask, lambda attempt: "a@b.example")])

    assert verdict.reply == Reply(451, "4.3.0", "<a@b.example>: Temporary lookup failure")


def test_a_5xx_becomes_the_earlier_4xx_under_defer_if_reject() -> None:
    assert judge([item(INSTEAD), item(REFUSED)]).reply == INSTEAD.reply
    assert judge([item(INSTEAD), item(LATER)]).reply == LATER.reply


def test_defer_if_permit_is_kept_for_the_end_and_the_first_one_counts() -> None:
    attempt = Attempt("192.0.2.1")
    second = Verdict(Act.DEFER_IF_PERMIT, Reply(450, "4.7.0", "second"), "test")

    assert judge([item(UNLESS), item(second), item(PERMIT)], attempt) is PERMIT
    assert attempt.pending.defer_if_permit is UNLESS


def test_with_both_deferrals_nothing_more_is_asked() -> None:
    attempt = Attempt("192.0.2.1")

    assert judge([item(UNLESS), item(INSTEAD), item(REFUSED)], attempt) is DUNNO
    assert attempt.remarks == []


def test_soft_bounce_makes_every_refusal_temporary() -> None:
    verdict = judge([item(REFUSED)], manner=Manner(soft_bounce=True))

    assert verdict.reply == Reply(454, "4.7.1", "<x>: no")


def test_a_code_that_is_none_becomes_a_generic_deferral() -> None:
    attempt = Attempt("192.0.2.1")
    odd = Verdict(Act.REJECT, Reply(250, "5.7.1", "x"), "test")

    assert judge([item(odd)], attempt).reply == Reply(450, "4.7.1", "Service unavailable")
    assert attempt.remarks[0].text == "SMTP reply code configuration error: 250 5.7.1 x"


def test_lists_that_call_themselves_end_in_a_configuration_error() -> None:
    def ask(attempt: Attempt) -> Awaitable[Verdict]:
        return evaluate((loop,), attempt, MANNER)

    loop = Item("loop", ask, lambda attempt: "x")
    verdict = judge([loop])

    assert verdict.reply == Reply(451, "4.3.5", "Server configuration error")
    assert RECURSION_LIMIT == 100


@given(st.text(), st.booleans())
def test_a_refusal_is_one_printable_line(text: str, utf8: bool) -> None:
    verdict = Verdict(Act.REJECT, Reply(550, "5.7.1", text), "test")
    reply = refuse(verdict, Attempt("192.0.2.1"), Manner(utf8=utf8)).reply

    assert reply is not None
    line = reply.format()
    assert line.endswith(b"\r\n")
    assert not any(byte < 32 or byte == 127 for byte in line[:-2])
    assert len(reply.line()) <= 510
    assert utf8 or line.isascii()


VERDICTS = st.sampled_from([DUNNO, PERMIT, REFUSED, LATER, UNLESS, INSTEAD])
ITEMS = st.lists(st.builds(lambda verdict, warns: item(verdict, warns=warns), VERDICTS, st.booleans()))


@given(ITEMS)
def test_what_evaluation_says_is_a_decision_or_nothing(items: list[Item]) -> None:
    verdict = judge(items)

    assert verdict.act in (Act.DUNNO, Act.PERMIT, Act.REJECT)
    if verdict.act is Act.REJECT:
        assert verdict.settled
        assert verdict.reply is not None
        assert verdict.reply.is_refusal
        assert verdict.reply.status[0] == str(verdict.reply.code)[0]


@given(ITEMS)
def test_a_list_with_reject_at_its_end_never_runs_out_in_a_permit(items: list[Item]) -> None:
    attempt = Attempt("192.0.2.1")
    verdict = judge([*items, item(REFUSED)], attempt)
    stopped = attempt.pending.defer_if_permit is not None and attempt.pending.defer_if_reject is not None

    assert verdict.act is Act.REJECT or stopped or any(i.ask(attempt) is PERMIT for i in items)


@given(ITEMS)
def test_evaluation_leaves_depth_and_warnings_as_they_were(items: list[Item]) -> None:
    attempt = Attempt("192.0.2.1")
    judge(items, attempt)

    assert attempt.pending.depth == 0
