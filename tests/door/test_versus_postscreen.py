"""Golden comparison with the real postscreen(8)."""

from __future__ import annotations

import pytest

from tests.box import Box
from tests.door.cases import cases, zone
from tests.door.versus_postscreen import play_both


@pytest.mark.peer
def test_clients_hear_and_the_log_says_what_postscreen_says(box: Box) -> None:
    every = list(cases())
    differences = [
        f"{case}\n  postfix: {theirs}\n  seawall: {ours}"
        for case, theirs, ours in play_both(box, every, zone(len(every)))
        if theirs != ours
    ]
    assert not differences, "\n".join(differences)
