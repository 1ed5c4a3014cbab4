"""main.cf as a whole."""

from pathlib import Path

import pytest

from seawall.config.main_cf import parse_main_cf, read_text
from seawall.config.source import ConfigTrouble, Location


def test_the_last_assignment_wins_and_the_earlier_one_is_named() -> None:
    parsed = parse_main_cf("a = 1\nb = 2\na = 3\n", "/etc/postfix/main.cf")
    assert parsed.values["a"].text == "3"
    assert parsed.values["a"].location == Location("/etc/postfix/main.cf", 3)
    assert [str(warning) for warning in parsed.warnings] == [
        "/etc/postfix/main.cf, line 3: overriding earlier entry: a=1"
    ]


def test_the_same_assignment_twice_is_no_warning() -> None:
    assert parse_main_cf("a = 1\na=1\n", "main.cf").warnings == ()


def test_a_line_without_an_equals_sign_stops_everything_with_its_place() -> None:
    with pytest.raises(ConfigTrouble) as caught:
        parse_main_cf("a = 1\n\nfoo\n  bar\n", "/etc/postfix/main.cf")
    assert str(caught.value) == "/etc/postfix/main.cf, line 3: missing '=' after attribute name: \"foo  bar\""


def test_a_first_line_with_leading_blanks_is_warned_about_and_skipped() -> None:
    parsed = parse_main_cf("   orphan = 1\na = 2\n", "main.cf")
    assert dict(parsed.values).keys() == {"a"}
    assert "logical line must not start with whitespace" in parsed.warnings[0].message


def test_a_file_with_crlf_line_ends_is_read_like_any_other() -> None:
    assert parse_main_cf("a = 1\r\nb = 2\r\n\r\n", "main.cf").values["a"].text == "1"


def test_a_file_that_cannot_be_read_is_trouble(tmp_path: Path) -> None:
    with pytest.raises(ConfigTrouble, match=r"open .*/main\.cf: No such file or directory"):
        read_text(f"{tmp_path}/main.cf")


def test_bytes_that_are_no_utf_8_survive(tmp_path: Path) -> None:
    (tmp_path / "main.cf").write_bytes(b"a = \xff\n")
    text = read_text(f"{tmp_path}/main.cf")
    assert parse_main_cf(text, "main.cf").values["a"].text.encode("utf-8", "surrogateescape") == b"\xff"
