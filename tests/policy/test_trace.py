"""The trace of judgement: which check asked what, also where sessions run side by side."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable

import pytest

from seawall.config.host import LOOPBACK
from seawall.config.settings import Settings
from seawall.dns.answers import Answer, NoSuchName
from seawall.dns.hosts import Hosts
from seawall.policy.attempt import Attempt
from seawall.policy.trace import ITSELF, LiveTrace, Step, Trace, checks_of, read_checks
from seawall.policy.traced import TracedJudge
from seawall.policy.verdict import JUDGED, Act, Verdict
from seawall.policy.world import WorldFacts
from seawall.routing.resolve import Routing
from seawall.tables.registry import Tables


class Gate:
    """A DNS whose answers come when the test says so."""

    def __init__(self) -> None:
        self.waiting: dict[str, asyncio.Future[Answer]] = {}

    def ask(self, name: str, kind: str) -> Awaitable[Answer]:
        return self.waiting.setdefault(name, asyncio.get_running_loop().create_future())


def judge_of(text: str, dns: Gate, trace: Trace, *, tells_all: bool = False) -> TracedJudge:
    settings = Settings.from_text(
        f"compatibility_level = 3.6\ninet_protocols = ipv4\nalias_maps =\nlocal_recipient_maps =\nmydestination = here.example\n{text}\n",
        host=LOOPBACK,
    )
    tables = Tables()
    world = WorldFacts(settings, tables, Routing(settings, tables), dns, Hosts())
    return TracedJudge(settings, world, trace, needs_guard=False, tells_all=tells_all)


def attempt(sender: str) -> Attempt:
    return Attempt(address="198.18.1.1", name="c.example", sender=sender, recipient="b@here.example", where="RCPT")


def names(steps: list[Step]) -> list[str]:
    return [f"{step.name}: {step.said}" for step in steps]


async def test_each_session_has_its_own_questions_though_they_wait_at_the_same_time() -> None:
    trace, dns = Trace(lambda: 0.0), Gate()
    judge = judge_of("smtpd_recipient_restrictions = reject_rhsbl_sender dbl.example, permit", dns, trace)

    async def ask(sender: str) -> Verdict:
        answer = judge.rcpt(attempt(sender))
        return answer if isinstance(answer, Verdict) else await answer

    tasks = [asyncio.create_task(ask(f"a@{name}.example")) for name in ("one", "two")]
    while len(dns.waiting) < 2:
        await asyncio.sleep(0)
    for name in ("two", "one"):
        dns.waiting[f"{name}.example.dbl.example"].set_result(NoSuchName())
        await asyncio.sleep(0)
    assert [(await task).act for task in tasks] == [Act.DUNNO, Act.DUNNO]

    listed = [step for step in trace.take() if step.name.startswith("reject_rhsbl_sender")]
    assert [[question.words for question in step.asked] for step in listed] == [
        [("one.example.dbl.example", "A")],
        [("two.example.dbl.example", "A")],
    ]


async def test_who_gives_up_waiting_gives_up_the_check_too() -> None:
    trace, dns = Trace(lambda: 0.0), Gate()
    judge = judge_of("smtpd_recipient_restrictions = reject_rhsbl_sender dbl.example, permit", dns, trace)
    answer = judge.rcpt(attempt("a@one.example"))
    assert not isinstance(answer, Verdict)
    task = asyncio.ensure_future(answer)
    while not dns.waiting:
        await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task

    assert dns.waiting["one.example.dbl.example"].cancelled()


async def judged(answer: Verdict | Awaitable[Verdict]) -> Verdict:
    return answer if isinstance(answer, Verdict) else await answer


UNLISTED = "smtpd_recipient_restrictions = permit\nlocal_recipient_maps = inline:{x=y}"
UNKNOWN_USER = "550 5.1.1 <b@here.example>: Recipient address rejected: User unknown in local recipient table"


async def test_what_no_list_asks_is_a_check_of_its_own() -> None:
    trace = Trace(lambda: 0.0)
    judge = judge_of(UNLISTED, Gate(), trace)

    assert (await judged(judge.rcpt(attempt("a@one.example")))).act is Act.REJECT
    steps = trace.take()
    assert names(steps)[-2:] == ["permit: permits", f"reject_unlisted_recipient: refuses: {UNKNOWN_USER}"]
    assert steps[-1].parameter == "smtpd_reject_unlisted_recipient"
    assert steps[-1].asked[-1].heard == "User unknown in local recipient table"


async def test_senders_that_do_not_exist_are_found_by_a_check_of_its_own() -> None:
    trace = Trace(lambda: 0.0)
    judge = judge_of(f"{UNLISTED}\nsmtpd_reject_unlisted_sender = yes", Gate(), trace)

    assert (await judged(judge.rcpt(attempt("b@here.example")))).act is Act.REJECT
    assert [(step.parameter, step.reason) for step in trace.take()] == [
        ("smtpd_reject_unlisted_sender", "user-unknown")
    ]


async def test_a_list_that_asks_for_unlisted_recipients_is_not_followed_by_the_server() -> None:
    trace = Trace(lambda: 0.0)
    text = "smtpd_recipient_restrictions = reject_unlisted_recipient\nlocal_recipient_maps = inline:{b@here.example=y}"
    judge = judge_of(text, Gate(), trace)

    await judged(judge.rcpt(attempt("a@one.example")))
    assert [step.name for step in trace.take()].count("reject_unlisted_recipient") == 1


async def test_a_refusal_that_had_to_wait_is_seen_when_it_falls() -> None:
    trace = Trace(lambda: 0.0)
    judge = judge_of(
        "smtpd_recipient_restrictions = check_sender_access inline:{{one.example=DEFER_IF_PERMIT later}}", Gate(), trace
    )

    assert (await judged(judge.rcpt(attempt("a@one.example")))).act is Act.REJECT
    last = trace.take()[-1]
    assert last.name == "what an earlier check deferred"
    assert last.said == "refuses: 450 4.7.1 <a@one.example>: Sender address rejected: later"


@pytest.mark.parametrize("tells_all", [False, True])
async def test_what_goes_on_is_remarked_where_everything_is_kept(tells_all: bool) -> None:
    trace = LiveTrace(lambda: 0.0)
    judge = judge_of("smtpd_recipient_restrictions = permit_mynetworks", Gate(), trace, tells_all=tells_all)
    one = attempt("a@one.example")

    assert (await judged(judge.rcpt(one))).act is Act.DUNNO
    assert [remark.what for remark in one.remarks] == ([JUDGED] if tells_all else [])
    assert "reject_unlisted_recipient" in [step.name for step in read_checks(checks_of(one))]


async def test_a_command_for_which_nothing_was_asked_is_not_remarked() -> None:
    judge = judge_of("smtpd_helo_restrictions = permit", Gate(), LiveTrace(lambda: 0.0), tells_all=True)
    one = attempt("a@one.example")

    assert (await judged(judge.mail(one))).act is Act.DUNNO
    assert one.remarks == []


async def test_what_the_server_asks_outside_every_check_is_its_own() -> None:
    trace = Trace(lambda: 0.0)
    judge = judge_of("", Gate(), trace)

    await judge.is_malformed("a@one.example", "", smtputf8=False)
    assert names(trace.take()) == [f"{ITSELF}: "]


async def test_a_table_in_trouble_is_what_its_check_says() -> None:
    trace, dns = Trace(lambda: 0.0), Gate()
    judge = judge_of("smtpd_recipient_restrictions = permit_mynetworks\nmynetworks = fail:gone", dns, trace)
    answer = judge.rcpt(attempt("a@one.example"))
    assert not isinstance(answer, Verdict)

    assert (await answer).act is Act.REJECT
    steps = trace.take()
    assert any(step.said.startswith("cannot say: ") for step in steps)


async def test_a_live_session_keeps_the_checks_of_its_last_command_until_they_are_taken() -> None:
    trace, dns = LiveTrace(lambda: 0.0), Gate()
    judge = judge_of(
        "smtpd_sender_restrictions = permit_mynetworks\nsmtpd_recipient_restrictions = reject_unauth_destination",
        dns,
        trace,
    )
    one, two = attempt("a@one.example"), attempt("a@two.example")
    for each, recipient in ((one, "b@here.example"), (two, "b@two.example"), (one, "b@far.example")):
        each.recipient = recipient
        answer = judge.rcpt(each)
        assert not isinstance(answer, Verdict)
        await answer

    checks = read_checks(checks_of(one))
    assert checks_of(one) == ""
    assert [step.name for step in checks] == [
        "permit_mynetworks",
        "permit_mynetworks",
        "reject_unauth_destination",
    ] or [step.name for step in checks] == [
        "permit_mynetworks",
        "permit_mynetworks",
        "permit_sasl_authenticated",
        "defer_unauth_destination",
    ]
    assert checks[-1].said.endswith("<b@far.example>: Relay access denied")
    assert read_checks(checks_of(two))[-1].asked[-1].words == ("b@two.example", "a@two.example")


def test_where_nobody_traces_there_is_nothing_to_take() -> None:
    assert checks_of(attempt("a@one.example")) == ""
