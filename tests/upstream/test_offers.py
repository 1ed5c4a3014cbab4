"""Which EHLO keywords of the server behind a client is told of."""

from seawall.upstream.offers import UNKNOWN, read_offers


def test_what_the_dialogue_in_front_understands_is_passed_on_as_it_stands() -> None:
    lines = ("SIZE 1000", "starttls", "AUTH PLAIN LOGIN", "AUTH=PLAIN LOGIN", "8BITMIME")
    assert read_offers(lines) == (
        "PIPELINING", "SIZE 1000", "STARTTLS", "AUTH PLAIN LOGIN", "AUTH=PLAIN LOGIN", "8BITMIME",
    )  # fmt: skip


def test_what_would_change_the_dialogue_is_not() -> None:
    assert (
        read_offers(("XCLIENT NAME", "XFORWARD ADDR", "BINARYMIME", "LIMITS RCPTMAX=9", "X-EXPS", "", " ")) == UNKNOWN
    )


def test_pipelining_is_ours_and_stands_once() -> None:
    assert read_offers(("PIPELINING", "DSN", "DSN")) == ("PIPELINING", "DSN")
