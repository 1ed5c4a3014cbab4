"""Stress begins at its mark, ends well below it, and never flaps between the two."""

from hypothesis import given
from hypothesis import strategies as st

from seawall.policy.stress import ENDS, LEAST, Smooth, Stress


def test_it_begins_where_one_thing_is_used_up_and_says_which() -> None:
    stress = Stress()
    assert not stress.look({"memory": 0.99, "lateness": 0.2}, 0.0)
    assert stress.look({"memory": 0.5, "lateness": 1.0}, 1.0)
    assert (stress.is_on, stress.cause) == (True, "lateness")


def test_it_ends_when_all_is_well_below_and_not_at_once() -> None:
    stress = Stress()
    stress.look({"sessions": 1.2}, 0.0)
    assert not stress.look({"sessions": 0.1}, LEAST - 0.1)
    assert not stress.look({"sessions": ENDS + 0.01}, LEAST + 1)
    assert stress.look({"sessions": ENDS}, LEAST + 2)
    assert (stress.is_on, stress.cause) == (False, "")


def test_nothing_measured_is_no_stress() -> None:
    assert not Stress().look({}, 0.0)


@given(st.lists(st.floats(ENDS + 0.001, 0.999), max_size=50), st.booleans())
def test_inside_its_band_nothing_changes(shares: list[float], was_on: bool) -> None:
    stress = Stress()
    if was_on:
        stress.look({"sessions": 1.0}, 0.0)
    for at, share in enumerate(shares):
        assert not stress.look({"sessions": share, "memory": 0.0}, at * LEAST)
    assert stress.is_on is was_on


@given(st.lists(st.tuples(st.floats(0, 2), st.floats(0.01, 5)), max_size=60))
def test_it_lasts_for_a_while_whatever_comes(measured: list[tuple[float, float]]) -> None:
    stress, now, began = Stress(), 0.0, 0.0
    for share, passed in measured:
        now += passed
        if stress.look({"sessions": share}, now):
            if stress.is_on:
                began = now
            else:
                assert now - began >= LEAST


def test_one_bad_moment_counts_little() -> None:
    mean = Smooth(0.1)
    assert mean.add(0.5) == 0.05
    for _ in range(30):
        mean.add(0.0)
    assert mean.value < 0.003
