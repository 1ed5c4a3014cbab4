"""bounce_template_file: what is read, what is expanded, what is complained of."""

from pathlib import Path

import pytest

from seawall.bounce.templates import BUILT_IN, Kind, TemplateTrouble, expand_template, parse_templates
from seawall.bounce.when import Reporting
from seawall.config.settings import Settings
from seawall.journal.record import MemoryJournal

FILE = """# a comment
failure_template = <<EOF
Charset: iso-8859-1
From: Robot <robot>
Subject: Nothing came of it
Postmaster-Subject: Copy

At $myhostname, after ${maximal_queue_lifetime_days} days.
EOF

delay_template = <<END

Only text; ${delay_warning_time_minutes} minutes.
END
"""


class Still:
    def now(self) -> float:
        return 0.0

    def monotonic(self) -> float:
        return 0.0


def test_a_file_replaces_what_it_names_and_keeps_the_rest() -> None:
    found = parse_templates(FILE, "bounce.cf")
    assert found[Kind.FAILURE].subject == "Nothing came of it"
    assert found[Kind.FAILURE].sender == "Robot <robot>"
    assert found[Kind.DELAY].subject == BUILT_IN[Kind.DELAY].subject
    assert Kind.SUCCESS not in found


def test_times_are_in_whole_units_rounded_down() -> None:
    seconds = {"maximal_queue_lifetime": 5 * 86400.0 - 1, "delay_warning_time": 150.0}.__getitem__
    text = "$maximal_queue_lifetime_days $delay_warning_time_minutes ${delay_warning_time_seconds} $myhostname."
    assert expand_template(text, {"myhostname": "mx"}.get, seconds) == "4 2 150 mx."


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("hello", "line 1: expected NAME_template"),
        ("odd_template = <<EOF\n\nx\nEOF", "unknown template: odd_template"),
        ("failure_template = <<EOF\n\nx\n", "the end mark EOF is missing"),
        ("failure_template = <<EOF\nno header\n\nx\nEOF", "no header line"),
        ("failure_template = <<EOF\nX-Odd: 1\n\nx\nEOF", "unknown header: x-odd"),
        ("failure_template = <<EOF\n\ngrüße\nEOF", "needs a Charset"),
    ],
)
def test_what_does_not_read_is_named(text: str, complaint: str) -> None:
    with pytest.raises(TemplateTrouble, match=complaint):
        parse_templates(text, "bounce.cf")


def test_a_file_that_does_not_read_is_complained_of_and_the_built_in_words_serve(tmp_path: Path) -> None:
    (tmp_path / "bounce.cf").write_text("junk")
    journal = MemoryJournal()
    settings = Settings.from_text(f"myhostname = mx.example.org\nbounce_template_file = {tmp_path}/bounce.cf\n")
    Reporting(settings, journal, Still())
    assert len(journal.records) == 1
    assert "using built-in bounce templates" in journal.records[0].text()
