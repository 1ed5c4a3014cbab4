"""Expressions asked as one."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from seawall.linux.regexp import EXTENDED, ICASE, NOSUB, Regexp, RegexpTrouble
from seawall.tables.registry import Tables
from seawall.tables.rules import Builder, run
from seawall.tables.together import MOST, Together, is_tame

PIECES = ("a", "b", "@", ".", "[ab]", "[^a]", "[]a]", "[[:alpha:]]", "(a|b)", "(ab", "a)", "|", "^", "$")
REPEATS = ("*", "+", "?", "{2}", "{1,2}", "\\.", "\\(", "\\1", "{", "\\w")


@pytest.mark.parametrize("text", ["^a@", "a|b", "(a|b)+@", "[]a]*x", "a\\.b$", "[[:alpha:]]{2,}", "a{2}"])
def test_expressions_that_mean_the_same_in_parentheses_are_tame(text: str) -> None:
    assert is_tame(text)


@pytest.mark.parametrize("text", ["", "a)|b", "(a", "(a)\\1", "\\w", "*a", "(+)", "a{", "a**", "[a", "a\\"])
def test_others_are_not(text: str) -> None:
    assert not is_tame(text)


@given(
    st.lists(st.lists(st.sampled_from(PIECES + REPEATS), max_size=5).map("".join), max_size=4),
    st.text("abxA@.()1", max_size=8),
)
def test_a_guard_changes_no_answer(texts: list[str], key: str) -> None:
    subject = key.encode()
    guarded: Builder[bytes] = Builder()
    together = Together(guarded)
    expected = None
    for number, text in enumerate(texts):
        try:
            expression = Regexp(text.encode(), EXTENDED | ICASE | NOSUB)
        except RegexpTrouble:
            continue
        if expected is None and expression.matches(subject):
            expected = str(number)
        together.add(number, text, expression.groups)
        guarded.add_answer(number, lambda key, e=expression, n=number: str(n) if e.matches(key) else None)
    together.end()
    steps, _ = guarded.finish()
    assert run(steps, subject) == expected


def test_rules_behind_guards_answer_in_their_order(tmp_path: Path) -> None:
    rules = [f"/^user{number}@/ {number}\n" for number in range(MOST + 10)]
    middle = "if /@deep/\n/^user3@/ deep\n/^x/ x\nendif\n!/@/ no domain\n/^user5@/ !/five/ never\n"
    file = tmp_path / "rules"
    file.write_text("/^a/ A\n/^b/ B\n" + middle + "".join(rules))
    table = Tables().open(f"regexp:{file}")

    answers = {
        key: table.lookup(key) for key in ("b@x", "user3@deep", "user3@x", "nobody", f"user{MOST + 9}@x", "no@x")
    }

    assert answers == {
        "b@x": "B",
        "user3@deep": "deep",
        "user3@x": "3",
        "nobody": "no domain",
        f"user{MOST + 9}@x": str(MOST + 9),
        "no@x": None,
    }
