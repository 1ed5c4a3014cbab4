import pytest
from hypothesis import given
from hypothesis import strategies as st

from seawall.door.screening import BARE_NEWLINE, NON_SMTP, Fact
from seawall.door.talk import extract_address, is_header, is_too_long, soften
from tests.door.world import ENFORCE, IGNORE, NOW, Door, rules


def talking(enabled: int = NON_SMTP | BARE_NEWLINE) -> Door:
    return Door(rules(enabled, ENFORCE)).arrive()


@given(
    lines=st.lists(
        st.sampled_from(
            [
                "EHLO a",
                "MAIL FROM:<a@b>",
                "RCPT TO:<c@d>",
                "NOOP",
                "GET /",
                "X-A: b",
                "RSET",
                "",
                "VRFY a",
                "QUIT",
                "x" * 90,
                "y" * 120,
            ]
        ),
        max_size=8,
    ),
    ends=st.lists(st.sampled_from(["\r\n", "\n"]), min_size=8, max_size=8),
    cuts=st.lists(st.integers(0, 400), max_size=6),
)
def test_the_answers_do_not_depend_on_how_the_bytes_come(lines: list[str], ends: list[str], cuts: list[int]) -> None:
    data = "".join(line + end for line, end in zip(lines, ends, strict=False))
    whole, parts = talking(), talking()
    whole.hear(data)
    for start, end in zip([0, *sorted(cuts)], [*sorted(cuts), len(data)], strict=True):
        if not parts.is_over:
            parts.hear(data[start:end])
    assert parts.replies == whole.replies
    assert parts.noted == whole.noted


@given(st.binary(max_size=600))
def test_no_bytes_bring_it_out_of_step(data: bytes) -> None:
    door = Door(rules(31, IGNORE)).arrive()
    door.waited(NOW, 6.0)
    for at in range(0, len(data), 50):
        if not door.is_over:
            assert door.dialogue is not None
            door.dialogue.feed(door, data[at : at + 50], NOW)
    assert all(reply[:3].isdigit() for reply in door.replies)


@pytest.mark.parametrize(("size", "is_over"), [(98, False), (99, False), (100, False), (101, True), (5000, True)])
def test_a_line_may_be_as_long_as_the_limit(size: int, is_over: bool) -> None:
    door = talking()
    door.hear("N" * (size - 1) + "\r\n")
    assert any(facts.get("what") == "COMMAND LENGTH LIMIT" for _, facts in door.noted) is is_over


def test_a_line_without_end_is_not_kept() -> None:
    assert is_too_long(b"x" * 101, 100)
    assert not is_too_long(b"x" * 99 + b"\r", 100)
    assert not is_too_long(b"x" * 99 + b"\r\n", 100)
    assert is_too_long(b"x" * 99 + b"\rx", 100) is False
    assert is_too_long(b"x" * 99 + b"\rxx", 100)


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("<a@b>", "a@b"),
        ("a@b x", "a@b"),
        (' <"a b"@c> SIZE=1', "a b@c"),
        ("<@r,@s:a@b>", "a@b"),
        ("<a\\>b@c>", "a>b@c"),
        ("", ""),
        ("<", ""),
        ("<a\\", "a"),
    ],
)
def test_an_address_is_found_in_what_is_no_syntax(text: str, address: str) -> None:
    assert extract_address(text) == address


def test_words_of_headers_are_told_from_commands() -> None:
    assert is_header("Subject:")
    assert is_header("a:b")
    assert not is_header(":b")
    assert not is_header("a\x01:b")
    assert not is_header("MAIL")


def test_soft_bounce_makes_codes_temporary() -> None:
    assert soften("550 5.5.1 x") == "450 4.5.1 x"
    assert soften("421 4.3.2 x") == "421 4.3.2 x"
    assert soften("502 hello") == "402 hello"


def test_too_many_commands_end_it() -> None:
    door = talking()
    for _ in range(21):
        door.hear("NOOP\r\n")
    assert door.replies[-1] == "421 mx.example Service unavailable - try again later"
    assert Fact.LEFT in door.facts
