"""Where content ends and what it is, against a reader that goes line by line, in every way the bytes can be cut."""

import itertools
import re

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from seawall.smtp.end_of_data import BareNewline, ChunkReader, ContentReader

STRICT = [BareNewline.NORMALIZE, BareNewline.NOTE, BareNewline.REJECT]
PIECES = st.sampled_from([b"\r\n", b"\n", b"\r", b".", b"x", b" ", b"From ", b"\0", b"\r\n.\r\n", b".\r\n"])


def read_slowly(data: bytes, mode: BareNewline) -> tuple[bytes, bytes] | None:
    """Content and rest as smtpd(8) finds them, one line after the other; None where the data has no end."""
    lines: list[bytes] = []
    first, before_was_bare, at = True, False, 0
    while (end := data.find(b"\n", at)) >= 0:
        raw, at = data[at:end], end + 1
        bare = mode is not BareNewline.NO and not raw.endswith(b"\r")
        line = raw.rstrip(b"\r") if mode is BareNewline.NO else raw if bare else raw[:-1]
        if first and re.match(rb">*From ", line):
            lines.append(b"X-Mailbox-Line: " + line)
        else:
            if first and line[:1] in (b" ", b"\t"):
                lines.append(b"")
            first = False
            if line == b"." and (bare or before_was_bare):
                pass
            elif line.startswith(b"."):
                if line == b".":
                    return b"".join(each + b"\n" for each in lines), data[at:]
                lines.append(line[1:])
            else:
                lines.append(line)
        before_was_bare = bare
    return None


def read(data: bytes, mode: BareNewline, cuts: list[int]) -> tuple[bytes, bytes] | None:
    reader = ContentReader(mode)
    content = b""
    for start, end in itertools.pairwise([0, *cuts, len(data)]):
        content += reader.read(data[start:end])
        if reader.has_ended():
            return content, reader.rest + data[end:]
    return None


@pytest.mark.parametrize("mode", list(BareNewline), ids=lambda mode: mode.value)
def test_every_short_mixture_of_cr_lf_and_dot_ends_where_postfix_ends_it(mode: BareNewline) -> None:
    for length in range(1, 7):
        for marks in itertools.product(b"\r\n.a", repeat=length):
            data = bytes(marks)
            wanted = read_slowly(data, mode)
            assert read(data, mode, []) == wanted, data
            assert read(data, mode, list(range(1, length))) == wanted, data


@given(st.lists(PIECES, max_size=14), st.lists(st.integers(1, 60), max_size=6), st.sampled_from(BareNewline))
@example([b"From ", b"\n", b".", b"\r\n", b"\r\n.\r\n"], [], BareNewline.NOTE)
def test_the_cuts_between_packets_change_nothing(pieces: list[bytes], cuts: list[int], mode: BareNewline) -> None:
    data = b"".join(pieces)
    places = sorted({cut for cut in cuts if cut < len(data)})
    if re.match(rb"(>*From [^\n]*\n)*\.\r*\n", data):
        return  # a dot line among From lines: Postfix goes on looking for them behind it, we do not
    assert read(data, mode, places) == read_slowly(data, mode)


@pytest.mark.parametrize("mode", STRICT, ids=lambda mode: mode.value)
@pytest.mark.parametrize(
    "forged",
    [
        b"\n.\n",
        b"\n.\r\n",
        b"\r\n.\n",
        b"\r.\r",
        b"\r\n.\r",
        b"\r\n\0.\r\n",
        b"\r\n. \r\n",
        b"\r\n.\r\r\n",
        b"\n\r\n..\r\n",
    ],
)
def test_nothing_but_crlf_dot_crlf_ends_the_data(mode: BareNewline, forged: bytes) -> None:
    reader = ContentReader(mode)
    reader.read(b"text" + forged + b"MAIL FROM:<smuggled@example.com>\r\n")
    assert not reader.has_ended()
    reader.read(b"\r\n.\r\nQUIT\r\n")
    assert reader.has_ended()
    assert reader.rest == b"QUIT\r\n"


def test_where_a_site_allows_bare_newlines_they_end_the_data_as_well() -> None:
    reader = ContentReader(BareNewline.NO)
    assert reader.read(b"text\n.\nrest") == b"text\n"
    assert reader.rest == b"rest"


def test_a_bare_newline_is_seen_in_every_strict_mode() -> None:
    for mode in STRICT:
        reader = ContentReader(mode)
        reader.read(b"a\r\nb\nc\r\n.\r\n")
        assert reader.saw_bare


def test_an_endless_line_is_passed_on_in_bounded_memory() -> None:
    reader = ContentReader(BareNewline.NORMALIZE)
    passed = b"".join(reader.read(b"x" * 1000) for _ in range(100))
    assert len(passed) > 90_000
    passed += reader.read(b"\r\n.\r\n")
    assert passed == b"x" * 100_000 + b"\n"
    assert reader.has_ended()


def test_the_size_counts_line_ends_as_two_bytes() -> None:
    reader = ContentReader(BareNewline.NORMALIZE)
    reader.read(b"..ab\r\nc\r\n.\r\n")
    assert reader.size == len(b".ab\r\nc\r\n")


@pytest.mark.parametrize("data", [b"\r" * 50_000 + b"x\n", b"\n." * 30_000, b"\n.\r" * 20_000, b"." * 60_000])
@pytest.mark.parametrize("mode", list(BareNewline), ids=lambda mode: mode.value)
def test_hostile_content_takes_no_longer_than_other_content(mode: BareNewline, data: bytes) -> None:
    reader = ContentReader(mode)
    for _ in range(4):
        reader.read(data)


def in_chunks(mode: BareNewline, *chunks: bytes) -> tuple[bytes, bool]:
    reader = ChunkReader(mode)
    content = b""
    for chunk in chunks:
        reader.left = len(chunk)
        content += reader.read(chunk)
        assert reader.left == 0
    return content + reader.finish(), reader.saw_bare


@pytest.mark.parametrize("mode", STRICT, ids=lambda mode: mode.value)
def test_a_line_end_may_lie_in_two_chunks(mode: BareNewline) -> None:
    assert in_chunks(mode, b"a\r", b"\nb\r\n", b".\r\n") == (b"a\nb\n.\n", False)


def test_content_in_chunks_ends_with_a_line_end() -> None:
    assert in_chunks(BareNewline.NORMALIZE, b"a\r\n", b"b") == (b"a\nb\n", False)
    assert in_chunks(BareNewline.NORMALIZE, b"a\r") == (b"a\r\n", False)
    assert in_chunks(BareNewline.NORMALIZE, b"") == (b"", False)


def test_a_bare_newline_in_a_chunk_is_seen() -> None:
    assert in_chunks(BareNewline.REJECT, b"a\nb\r\n") == (b"a\nb\n", True)


@given(st.lists(PIECES, max_size=12), st.lists(st.integers(1, 60), max_size=6), st.sampled_from(BareNewline))
def test_the_cuts_between_chunks_change_nothing(pieces: list[bytes], cuts: list[int], mode: BareNewline) -> None:
    data = b"".join(pieces)
    places = [0, *sorted({cut for cut in cuts if cut < len(data)}), len(data)]
    parts = [data[start:end] for start, end in itertools.pairwise(places)]
    assert in_chunks(mode, *parts) == in_chunks(mode, data)
