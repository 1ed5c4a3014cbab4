"""The breaker: when it opens, how it comes to try again, and that it never stays shut to what is back."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from seawall.breaker import FAILURES, LONGEST_PAUSE, PAUSE, Breaker


def opened(now: float = 0.0) -> Breaker:
    breaker = Breaker()
    breaker.failed(now, refused=True)
    return breaker


def test_a_refused_connection_opens_it_at_once() -> None:
    breaker = Breaker()
    assert breaker.may_ask(0.0)
    breaker.failed(0.0, refused=True)

    assert breaker.is_open
    assert not breaker.may_ask(PAUSE / 2)


def test_timeouts_open_it_only_several_in_a_row() -> None:
    breaker = Breaker()
    for _ in range(FAILURES - 1):
        breaker.failed(1.0, refused=False)
    breaker.answered(1.5)  # however slow that was
    for _ in range(FAILURES - 1):
        breaker.failed(2.0, refused=False)
    assert not breaker.is_open
    breaker.failed(2.0, refused=False)

    assert breaker.is_open


def test_one_trial_at_a_time_is_let_through() -> None:
    breaker = opened()

    assert [breaker.may_ask(PAUSE) for _ in range(3)] == [True, False, False]


def test_an_answer_closes_it() -> None:
    breaker = opened()
    breaker.may_ask(PAUSE)
    breaker.answered(PAUSE)

    assert not breaker.is_open
    assert all(breaker.may_ask(PAUSE) for _ in range(3))


def test_the_pauses_grow_to_a_bound() -> None:
    breaker, now = opened(), 0.0
    pauses = []
    for _ in range(5):
        due = next(now + step / 100 for step in range(10_000) if breaker.may_ask(now + step / 100))
        pauses.append(due - now)
        now = due
        breaker.failed(now, refused=True)

    assert pauses == sorted(pauses)
    assert pauses[0] <= PAUSE
    assert max(pauses) <= LONGEST_PAUSE + 0.02


def test_a_trial_whose_end_nobody_tells_does_not_shut_it_for_ever() -> None:
    breaker = opened()
    assert breaker.may_ask(PAUSE)

    assert breaker.may_ask(PAUSE + LONGEST_PAUSE)


def test_late_failures_of_questions_from_before_do_not_put_the_next_trial_off() -> None:
    breaker = opened()
    for step in range(1, 100):
        breaker.failed(step / 100, refused=False)

    assert breaker.may_ask(PAUSE)


EVENTS = st.lists(
    st.tuples(st.floats(0, 3), st.sampled_from(["ask", "answered", "refused", "timeout"])), min_size=1, max_size=60
)


@given(EVENTS)
def test_whatever_happened_it_asks_again_soon_and_an_answer_closes_it(events: list[tuple[float, str]]) -> None:
    breaker, now = Breaker(), 0.0
    for step, event in events:
        now += step
        match event:
            case "ask":
                breaker.may_ask(now)
            case "answered":
                breaker.answered(now)
                assert not breaker.is_open
            case _:
                breaker.failed(now, refused=event == "refused")
                assert breaker.is_open or event == "timeout"

    assert breaker.may_ask(now + LONGEST_PAUSE)
    breaker.answered(now + LONGEST_PAUSE)
    assert not breaker.is_open


@given(EVENTS)
def test_while_it_is_open_questions_are_rare(events: list[tuple[float, str]]) -> None:
    breaker, now, last = opened(), 0.0, -1.0
    for step, event in events:
        now += step
        if event == "ask":
            if breaker.may_ask(now):
                assert last < 0 or now - last >= PAUSE
                last = now
        elif event != "answered":
            breaker.failed(now, refused=event == "refused")
