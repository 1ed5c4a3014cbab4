"""The golden corpus, played against `seawall serve` through sockets."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.box import Box
from tests.case_file import Case
from tests.player import Group
from tests.player_pytest import Stage, parameters
from tests.player_seawall import SeawallDriver

pytestmark = pytest.mark.peer


@pytest.fixture(scope="module")
def stage(box: Box) -> Iterator[Stage]:
    stage = Stage(SeawallDriver(box))
    yield stage
    stage.close()


@pytest.mark.parametrize(("group", "case"), parameters("seawall"))
def test_seawall_says_what_postfix_says(stage: Stage, group: Group, case: Case) -> None:
    found = stage.play(group, case)
    assert not found, "\n" + "\n".join(found)
