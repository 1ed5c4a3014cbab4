"""The golden corpus, played against the real Postfix: what is recorded is still what it says."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.box import Box
from tests.case_file import Case
from tests.player import Group
from tests.player_postfix import PostfixDriver
from tests.player_pytest import Stage, parameters

pytestmark = pytest.mark.peer


@pytest.fixture(scope="module")
def stage(box: Box) -> Iterator[Stage]:
    stage = Stage(PostfixDriver(box))
    yield stage
    stage.close()


@pytest.mark.parametrize(("group", "case"), parameters("postfix"))
def test_postfix_still_says_what_was_recorded(stage: Stage, group: Group, case: Case) -> None:
    found = stage.play(group, case)
    assert not found, "\n" + "\n".join(found)
