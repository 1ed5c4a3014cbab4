"""The golden corpus as files: they parse, say everything that they must, and come back unchanged."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.case_file import (
    GOLDEN,
    CaseTrouble,
    Said,
    all_cases,
    escape,
    format_case,
    mask,
    parse,
    read,
    unescape,
)
from tests.player import acts_of, groups_of

CASES = sorted(GOLDEN.rglob("*.case"))
EXAMPLE = """\
# What it shows.
recorded: Postfix 3.7.11
== main.cf
include config-a
== master.cf
smtpd_helo_required = no
== client
198.18.3.4
== dialogue
S: 220 pop.cape.com ESMTP {mail_name}
C+: NOOP
C: QUIT
S: 250 2.0.0 Ok
S: 221 2.0.0 Bye
S*: closed
S[seawall D-1]: 500 5.5.2 no
== log
smtpd: NOQUEUE: reject: x
"""


@pytest.mark.parametrize("path", CASES, ids=lambda path: f"{path.parent.name}/{path.stem}")
def test_a_case_file_comes_back_unchanged(path: Path) -> None:
    case = read(path)
    assert format_case(case) == path.read_text(encoding="utf-8")
    assert case.about
    assert case.recorded
    assert case.dialogue


def test_there_are_enough_cases() -> None:
    assert len(CASES) >= 150


def test_every_difference_has_a_heading() -> None:
    text = (GOLDEN.parent.parent / "docs" / "differences.md").read_text()
    headings = set(re.findall(r"^#+ (D-\d+)", text, re.MULTILINE))
    named = {difference for case in all_cases() for difference in case.differences()}
    assert named <= headings


def test_the_example_says_what_it_says() -> None:
    case = parse(EXAMPLE)
    greeting, rest = case.dialogue
    assert greeting.postfix == Said(("220 pop.cape.com ESMTP {mail_name}",))
    assert rest.postfix == Said(("250 2.0.0 Ok", "221 2.0.0 Bye"), True)
    assert rest.seawall == Said(("500 5.5.2 no",))
    assert case.differences() == {"D-1"}
    assert case.options == {"smtpd_helo_required": "no"}
    assert format_case(case) == EXAMPLE


def test_lines_that_are_kept_back_go_out_together() -> None:
    assert acts_of(parse(EXAMPLE).dialogue, "postfix", record=False) == [
        ("expect", 1),
        ("send", "NOOP\r\nQUIT\r\n"),
        ("expect-close", ""),
    ]


def test_a_group_has_one_main_cf_and_a_port_for_each_set_of_options() -> None:
    groups = groups_of(all_cases())
    assert len(groups) < 40
    for group in groups:
        assert len(set(group.ports.values())) == len(group.ports)


@given(st.binary())
def test_escaped_bytes_come_back(data: bytes) -> None:
    text = escape(data)
    assert text.isascii()
    assert text.isprintable()
    assert unescape(text) == data


def test_a_repetition_is_written_once() -> None:
    assert unescape(r"a\{xy\n*3}b") == b"axy\nxy\nxy\nb"


def test_an_unknown_escape_is_refused() -> None:
    with pytest.raises(CaseTrouble):
        unescape(r"\q")


@pytest.mark.parametrize("text", ["== nonsense\nx\n", "== dialogue\nwhat\n", "== master.cf\nno equals sign\n"])
def test_a_file_that_means_nothing_is_refused(text: str) -> None:
    with pytest.raises(CaseTrouble):
        parse(text)


def test_masks_hide_what_differs_from_run_to_run_and_nothing_else() -> None:
    assert mask("250 2.0.0 Ok: queued as 4Wxyz12AbC") == "250 2.0.0 Ok: queued as {id}"
    assert mask("554 5.5.1 Error: no valid recipients") == "554 5.5.1 Error: no valid recipients"
    assert mask("Date: Mon, 23 Nov 2026 10:00:00 +0000") == "Date: Mon, 23 Nov 2026 10:00:00 +0000"
    assert mask("\\tfor <a@b>; Mon, 23 Nov 2026 10:00:00 +0000 (UTC)") == "\\tfor <a@b>; {date}"
