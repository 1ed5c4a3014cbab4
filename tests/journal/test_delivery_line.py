"""The delivery line, in the form that pflogsumm and logwatch read."""

import pytest

from seawall.journal.records.delivery import delivery_line, format_seconds
from seawall.mail.outcome import Bounced, Deferred, Delivered


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.0, "0"),
        (0.004, "0"),
        (0.005, "0.01"),
        (0.02, "0.02"),
        (0.1, "0.1"),
        (0.126, "0.13"),
        (0.999, "1"),
        (1.04, "1"),
        (1.26, "1.3"),
        (2.1, "2.1"),
        (9.96, "10"),
        (16.4, "16"),
        (16.6, "17"),
        (3609.5, "3610"),
        (-1.0, "0"),
    ],
)
def test_delays_have_two_significant_digits(seconds: float, text: str) -> None:
    assert format_seconds(seconds) == text


def test_the_line_is_postfixs() -> None:
    sent = Delivered(status="2.0.0", text="delivered to maildir", relay="local", sending=0.01)
    line = delivery_line(1.0, "local", "4jY6Tk54Dhz1D", ("root@example.org", "postmaster"), sent, (0.0, 0.005))
    assert line.text() == (
        "4jY6Tk54Dhz1D: to=<root@example.org>, orig_to=<postmaster>, relay=local, delay=0.02, delays=0/0.01/0/0.01, "
        "dsn=2.0.0, status=sent (delivered to maildir)"
    )
    assert line.source == "local"


def test_each_outcome_has_its_word() -> None:
    for outcome, word in (
        (Deferred(status="4.4.1", text="try later please"), "deferred"),
        (Bounced(status="5.7.1", text="no"), "bounced"),
    ):
        line = delivery_line(1.0, "error", "ID", ("a@b", "a@b"), outcome)
        assert line.text() == (
            f"ID: to=<a@b>, relay=none, delay=0, delays=0/0/0/0, dsn={outcome.status}, status={word} ({outcome.text})"
        )
