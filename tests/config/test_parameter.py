"""How values of each kind are read."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from seawall.config.parameter import (
    flag,
    number,
    read_flag,
    read_number,
    read_text,
    read_time,
    split_words,
    text,
    time,
    unbrace,
)
from seawall.config.source import ConfigTrouble


@pytest.mark.parametrize(
    ("value", "seconds"),
    [("10", 864000), ("10s", 10), ("2m", 120), ("1h", 3600), ("1d", 86400), ("1w", 604800), ("0", 0)],
)
def test_a_time_without_a_unit_counts_in_the_parameters_own(value: str, seconds: float) -> None:
    assert read_time(time("x", "5d", unit="d"), value) == seconds


def test_only_the_first_letter_after_a_time_counts() -> None:
    assert read_time(time("x", "5s"), "10minutes") == 600


@pytest.mark.parametrize("value", ["", "x", "-1s", "1y", "1S", "99999999999", "9999999w", "1.5h"])
def test_what_is_no_time_is_trouble(value: str) -> None:
    if value == "1.5h":
        with pytest.raises(ConfigTrouble):
            read_time(time("x", "5s"), value)
        return
    with pytest.raises(ConfigTrouble, match="parameter x: bad time value or unit"):
        read_time(time("x", "5s"), value)


@pytest.mark.parametrize("value", ["", "x", "1x", "1 ", "0x10", "\u0661", "9" * 40])
def test_what_is_no_number_is_trouble(value: str) -> None:
    with pytest.raises(ConfigTrouble, match="bad numerical configuration: x = "):
        read_number(number("x", "1"), value)


def test_bounds_are_kept_and_zero_is_none() -> None:
    bounded = number("x", "5", low=1, high=10)
    assert read_number(bounded, "10") == 10
    with pytest.raises(ConfigTrouble, match="invalid x parameter value 0 < 1"):
        read_number(bounded, "0")
    with pytest.raises(ConfigTrouble, match="invalid x parameter value 11 > 10"):
        read_number(bounded, "11")
    assert read_number(number("x", "5"), "-3") == -3


def test_a_flag_is_yes_or_no_in_any_case() -> None:
    assert read_flag(flag("x", "no"), "YES") is True
    assert read_flag(flag("x", "no"), "no") is False
    with pytest.raises(ConfigTrouble, match="bad boolean configuration: x = 1"):
        read_flag(flag("x", "no"), "1")


def test_a_text_that_may_not_be_empty_says_so() -> None:
    with pytest.raises(ConfigTrouble, match="bad string length 0 < 1: x = "):
        read_text(text("x", "y", low=1), "")


@pytest.mark.parametrize(
    ("value", "words"),
    [
        ("a, b\tc\n d", ("a", "b", "c", "d")),
        (" ,, ", ()),
        ("a { b, c } d", ("a", "{ b, c }", "d")),
        ("inline:{a=b, c=d} e", ("inline:{a=b, c=d}", "e")),
        ("{a {b} c} d", ("{a {b} c}", "d")),
        ("a {b c", ("a", "{b c")),
        ("a} b", ("a}", "b")),
    ],
)
def test_braces_keep_words_together(value: str, words: tuple[str, ...]) -> None:
    assert split_words(value) == words


def test_braces_come_off_with_the_blanks_inside_them() -> None:
    assert unbrace("{ a b }") == "a b"
    assert unbrace("plain") == "plain"
    with pytest.raises(ConfigTrouble, match="missing"):
        unbrace("{ a")
    with pytest.raises(ConfigTrouble, match="syntax error after"):
        unbrace("{ a }b")


@given(st.text(alphabet="a, {}\t", max_size=40))
def test_splitting_loses_nothing_but_separators(value: str) -> None:
    kept = "".join(split_words(value))
    assert [char for char in kept if char in "a{}"] == [char for char in value if char in "a{}"]
