"""`seawall postmap` and `postalias` say what Postfix's say: on what was recorded, and in the box on random trials."""

from __future__ import annotations

import pytest

from tests.box import Box
from tests.tables.recorded_postmap import FILE
from tests.tables.versus_postmap import KINDS, comparable, random_trials
from tests.versus import crashed, describe, ours, real, recorded

AT_ONCE = 40
RANDOM = 40
"""Trials of each kind."""


@pytest.mark.parametrize("start", range(0, len(recorded(FILE)), AT_ONCE))
def test_what_postfix_was_heard_to_say_is_what_we_say(start: int) -> None:
    pairs = recorded(FILE)[start : start + AT_ONCE]
    results = ours(trial for trial, _ in pairs)
    wrong = [
        describe(trial, comparable(trial, theirs), comparable(trial, our))
        for (trial, theirs), our in zip(pairs, results, strict=True)
        if comparable(trial, theirs) != comparable(trial, our)
    ]
    assert wrong == []


@pytest.mark.peer
@pytest.mark.parametrize("kind", KINDS)
def test_random_tables_are_read_and_asked_as_by_postfix(box: Box, kind: str) -> None:
    trials = random_trials(kind, 2026, RANDOM)
    wrong = [
        describe(trial, comparable(trial, theirs), comparable(trial, our))
        for trial, theirs, our in zip(trials, real(box, trials), ours(trials), strict=True)
        if not crashed(theirs) and comparable(trial, theirs) != comparable(trial, our)
    ]
    assert wrong == []
