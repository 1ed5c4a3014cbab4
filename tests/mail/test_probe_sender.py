import pytest
from hypothesis import given
from hypothesis import strategies as st

from seawall.mail.probe_sender import ProbeSender, format_slot, parse_slot

FIXED = ProbeSender("double-bounce@mx.example")
NOW = 1795450019.0


def test_a_fixed_sender_is_himself() -> None:
    assert FIXED.at(NOW) == "double-bounce@mx.example"
    assert FIXED.matches("Double-Bounce@MX.example", NOW)
    for other in ("double-bounce", "double-bouncex@mx.example", "double-bounce@x.example", "ann@mx.example", ""):
        assert not FIXED.matches(other, NOW)


def test_a_sender_of_time_is_as_postfix_makes_him() -> None:
    sender = ProbeSender("double-bounce@pop.cape.com", 1000)
    assert sender.at(NOW) == "double-bounce1Y89R@pop.cape.com"  # what Postfix 3.7.11 said at that time


def test_the_slots_beside_the_current_one_count_as_well() -> None:
    sender = ProbeSender("double-bounce@mx.example", 100)
    made = sender.at(NOW)
    assert [sender.matches(made, NOW + shift * 100) for shift in (-2, -1, 0, 1, 2)] == [False, True, True, True, False]
    assert not sender.matches("double-bounce@mx.example", NOW)
    assert not sender.matches(made.replace("@", "E@"), NOW)
    assert not sender.matches("double-bounce" + "1" * 400 + "@mx.example", NOW)


@pytest.mark.parametrize("ttl", [0, 1000])
def test_the_null_sender_stays_null(ttl: int) -> None:
    sender = ProbeSender("", ttl)
    assert sender.at(NOW) == ""
    assert not sender.matches("", NOW)
    assert not sender.matches("ann@mx.example", NOW)


@given(st.integers(min_value=0, max_value=2**64))
def test_a_slot_is_read_as_it_was_written(number: int) -> None:
    assert parse_slot(format_slot(number)) == number


@given(st.text(max_size=30), st.floats(min_value=0, max_value=4e9))
def test_any_text_is_only_looked_at(text: str, now: float) -> None:
    ProbeSender("double-bounce@mx.example", 7).matches(f"double-bounce{text}", now)
    parse_slot(text)
