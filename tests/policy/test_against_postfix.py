"""The judge beside the real Postfix: random lists over random tables and a zone, every reply compared."""

from __future__ import annotations

import pytest

from tests.box import Box
from tests.policy.versus import Court, PostfixCourt
from tests.policy.versus_random import random_sessions

CONFIGURATIONS = 100
EACH = 5


@pytest.mark.peer
def test_random_lists_mean_what_they_mean_to_postfix(box: Box) -> None:
    sessions = list(random_sessions(seed=20, configurations=CONFIGURATIONS, each=EACH))
    ours = Court()
    box.wipe()
    theirs = PostfixCourt(box, [session.settings for session in sessions])
    try:
        heard = theirs.play(sessions)
    finally:
        theirs.close()
    wrong = [
        (session, expected, got)
        for session, expected in zip(sessions, heard, strict=True)
        if (got := ours.play(session)) != expected
    ]

    assert wrong == []
