"""The judge beside the real Postfix: random lists over random tables and a zone, every reply compared.

``SEAWALL_RANDOM_LISTS=N`` adds N seeds drawn afresh to the fixed ones; a failure prints its seed.
"""

from __future__ import annotations

import os
import random

import pytest

from tests.box import Box
from tests.policy.versus import Court, ask_postfix
from tests.policy.versus_random import random_sessions

CONFIGURATIONS = 500
EACH = 2
FIXED = (20, 21, 22, 23)
DRAWN = tuple(random.SystemRandom().randrange(10**9) for _ in range(int(os.environ.get("SEAWALL_RANDOM_LISTS", "0"))))


@pytest.mark.peer
@pytest.mark.parametrize("seed", FIXED + DRAWN)
def test_random_lists_mean_what_they_mean_to_postfix(seed: int, box: Box) -> None:
    sessions = list(random_sessions(seed, CONFIGURATIONS, EACH))
    ours = Court()
    heard = ask_postfix(box, sessions)
    wrong = [
        (session, expected, got)
        for session, expected in zip(sessions, heard, strict=True)
        if (got := ours.play(session)) != expected
    ]

    assert wrong == []
