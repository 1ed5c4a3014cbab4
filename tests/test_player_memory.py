"""The golden corpus, played in memory: whole, and byte by byte."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.case_file import Case, all_cases
from tests.player import Group, differences, groups_of
from tests.player_memory import MemoryStage, can_play, depends_on_packets, lay_out

CASES = [
    pytest.param(group, case, id=case.name)
    for group in groups_of(all_cases())
    for case in group.cases
    if can_play(case)
]


@pytest.fixture(scope="module")
def stage_for(tmp_path_factory: pytest.TempPathFactory) -> Callable[[Group], MemoryStage]:
    stages: dict[int, MemoryStage] = {}

    def stage(group: Group) -> MemoryStage:
        if id(group) not in stages:
            root = tmp_path_factory.mktemp("root")
            lay_out(group, root)
            stages[id(group)] = MemoryStage(group, root)
        return stages[id(group)]

    return stage


@pytest.mark.parametrize(("group", "case"), CASES)
def test_in_memory_we_say_what_postfix_says(
    stage_for: Callable[[Group], MemoryStage], group: Group, case: Case
) -> None:
    stage = stage_for(group)
    whole = differences(case, stage.play(case), "memory")
    assert not whole, "\n" + "\n".join(whole)
    if not depends_on_packets(case):
        bytewise = differences(case, stage.play(case, byte_by_byte=True), "memory")
        assert not bytewise, "byte by byte\n" + "\n".join(bytewise)
