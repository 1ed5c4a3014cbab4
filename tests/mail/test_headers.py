import pytest

from seawall.mail.headers import Header, block_end, extract_recipients, headers, is_header


@pytest.mark.parametrize(
    ("content", "block"),
    [
        (b"A: b\n\nbody\n", b"A: b\n"),
        (b"A: b\n c\n\td\nE:f\n\nbody\n", b"A: b\n c\n\td\nE:f\n"),
        (b"A: b\n \nC: d\n\n", b"A: b\n \nC: d\n"),
        (b"A: b\nnot a header\n", b"A: b\n"),
        (b"A : b\n\n", b"A : b\n"),
        (b" A: b\n", b""),
        (b"\nA: b\n", b""),
        (b"", b""),
        (b"A: b\n", b"A: b\n"),
    ],
)
def test_the_header_block_ends_where_postfix_ends_it(content: bytes, block: bytes) -> None:
    assert content[: block_end(content)] == block


def test_a_hundred_thousand_headers_are_no_trouble() -> None:
    block = b"A: b\n c\n" * 100_000
    assert block_end(block + b"\n") == len(block)


def test_blanks_before_the_colon_go() -> None:
    assert [header.raw for header in headers(b"A \t: b\n c\nD:\n")] == [b"A: b\n c", b"D:"]
    assert Header(b"To", b" x").key == b"to"


@pytest.mark.parametrize(
    ("text", "expected"), [(b"A: b", True), (b"A :b", True), (b"A b:", False), (b":", False), (b"\xc3: x", False)]
)
def test_a_header_is_told_by_its_name(text: bytes, expected: bool) -> None:
    assert is_header(text) is expected


def test_sendmail_t_takes_its_recipients_from_the_headers() -> None:
    block = b'From: x@y\nTo: a@b, "c d"@e\nCc: Group: f@g;\nBcc: h@i (hidden)\nApparently-To: no@no\n'
    assert extract_recipients(block) == ["a@b", "c d@e", "f@g", "h@i"]


def test_a_resending_goes_to_its_own_recipients() -> None:
    assert extract_recipients(b"To: a@b\nResent-To: c@d\nResent-Bcc: e@f\n") == ["c@d", "e@f"]
