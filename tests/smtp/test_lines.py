import pytest
from hypothesis import given
from hypothesis import strategies as st

from seawall.smtp.lines import SAMPLE, LineReader


def lines_of(reader: LineReader) -> list[tuple[bytes, bool, bool]]:
    found = []
    while (line := reader.next_line()) is not None:
        found.append((line, reader.is_bare, reader.is_too_long))
    return found


def whole(data: bytes, limit: int = 40) -> list[tuple[bytes, bool, bool]]:
    reader = LineReader(limit)
    reader.feed(data)
    return lines_of(reader)


def bytewise(data: bytes, limit: int = 40) -> list[tuple[bytes, bool, bool]]:
    reader = LineReader(limit)
    found = []
    for octet in data:
        reader.feed(bytes([octet]))
        found += lines_of(reader)
    return found


@pytest.mark.parametrize(
    ("data", "wanted"),
    [
        (b"NOOP\r\n", [(b"NOOP", False, False)]),
        (b"NOOP\n", [(b"NOOP", True, False)]),
        (b"NOOP\r\r\n", [(b"NOOP", False, False)]),
        (b"\r\n\n", [(b"", False, False), (b"", True, False)]),
        (b"a\r\nb\r\nc", [(b"a", False, False), (b"b", False, False)]),
        (b"x" * 39 + b"\r\n", [(b"x" * 39, False, False)]),
        (b"x" * 41 + b"\r\ny\r\n", [(b"x" * SAMPLE, False, True), (b"y", False, False)]),
    ],
)
def test_lines_are_the_same_whole_and_byte_by_byte(data: bytes, wanted: list[tuple[bytes, bool, bool]]) -> None:
    assert whole(data) == wanted
    assert bytewise(data) == wanted


@given(st.binary(max_size=200).map(lambda data: data.replace(b"\x00", b"\n").replace(b"\x01", b"\r")))
def test_any_bytes_give_the_same_lines_whole_and_byte_by_byte(data: bytes) -> None:
    assert whole(data) == bytewise(data)


def test_a_line_of_a_megabyte_is_not_kept() -> None:
    reader = LineReader(2048)
    for _ in range(1024):
        reader.feed(b"x" * 1024)
        assert reader.next_line() is None
        assert reader.waiting <= 2048 + 1024
    reader.feed(b"\r\nNOOP\r\n")
    assert lines_of(reader) == [(b"x" * SAMPLE, False, True), (b"NOOP", False, False)]


def test_what_waits_can_be_taken_for_content() -> None:
    reader = LineReader(40)
    reader.feed(b"DATA\r\nSubject: x\r\n")
    assert reader.next_line() == b"DATA"
    assert reader.take_all() == b"Subject: x\r\n"
    assert reader.waiting == 0
