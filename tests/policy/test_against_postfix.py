"""The judge beside the real Postfix: random lists over random tables and a zone, every reply compared."""

from __future__ import annotations

import pytest

from tests.box import Box
from tests.policy.versus import Court, PostfixCourt
from tests.policy.versus_random import random_sessions

CONFIGURATIONS = 100
EACH = 5


@pytest.mark.peer
def test_random_lists_mean_what_they_mean_to_postfix() -> None:
    sessions = list(random_sessions(seed=20, configurations=CONFIGURATIONS, each=EACH))
    court = Court()
    with Box() as box:
        heard = PostfixCourt(box, [session.settings for session in sessions]).play(sessions)
    ours = [court.play(session) for session in sessions]

    wrong = [(s, theirs, mine) for s, theirs, mine in zip(sessions, heard, ours, strict=True) if theirs != mine]
    assert wrong == []
