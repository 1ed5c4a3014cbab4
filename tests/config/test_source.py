"""Logical lines, and how they part into name and value."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from seawall.config.source import logical_lines, split_name_value


def lines_of(text: str) -> list[tuple[str, int, int]]:
    return [(line.text, line.first, line.last) for line in logical_lines(text)]


def test_a_line_that_starts_with_white_space_goes_on_with_the_one_before() -> None:
    assert lines_of("a = b\n  c\n\td\ne = f\n") == [("a = b  c\td", 1, 3), ("e = f", 4, 4)]


def test_comments_and_empty_lines_between_continuation_lines_are_skipped() -> None:
    assert lines_of("a = b\n# x\n\n   # y\n  c\n") == [("a = b  c", 1, 5)]


def test_a_file_of_comments_has_no_logical_lines() -> None:
    assert lines_of("# a\n\n  # b\n   \n") == []


def test_the_last_line_needs_no_line_end() -> None:
    assert lines_of("a = b\n c") == [("a = b c", 1, 2)]


def test_a_hash_inside_a_line_is_no_comment() -> None:
    assert lines_of("a = b # c\n") == [("a = b # c", 1, 1)]


def test_a_first_line_with_leading_white_space_is_handed_out_as_it_is() -> None:
    assert lines_of("  a = b\nc = d\n") == [("  a = b", 1, 1), ("c = d", 2, 2)]


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("name = value", ("name", "value")),
        ("name=value", ("name", "value")),
        ("name =", ("name", "")),
        ("  name\t=\t value  ", ("name", "value")),
        ("name = a = b", ("name", "a = b")),
        ("name = value\r", ("name", "value")),
        ("name", "missing '=' after attribute name"),
        ("name value = x", "missing '=' after attribute name"),
        ("= value", "missing attribute name"),
        ("", "missing attribute name"),
    ],
)
def test_name_and_value_part_at_the_first_equals_sign(text: str, parts: tuple[str, str] | str) -> None:
    assert split_name_value(text) == parts


@given(st.text(alphabet="ab=# \t\n\r{}$", max_size=60))
def test_every_text_is_cut_without_loss_of_what_it_says(text: str) -> None:
    said = "".join(line.text for line in logical_lines(text))
    meant = "".join(line for line in text.split("\n") if line.strip(" \t\r\v\f") and line.strip()[0] != "#")
    assert said == meant
