"""How pytest plays golden cases: one test a case, cases of one group beside each other, one server start for each group."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from tests.case_file import Case, all_cases
from tests.player import BoxDriver, Group, differences, groups_of


def parameters(who: str) -> list[object]:
    """All cases, as parameters for `pytest.mark.parametrize("group, case", …)`, in the order of their groups."""
    return [
        pytest.param(group, case, id=case.name, marks=pytest.mark.xdist_group(f"{who}-{number}"))
        for number, group in enumerate(groups_of(all_cases()))
        for case in group.cases
    ]


class Stage:
    """Keeps the server of the last case running, and starts another when the next case needs it."""

    def __init__(self, driver: BoxDriver) -> None:
        self._driver = driver
        self._failed: tuple[Group, str] | None = None

    def play(self, group: Group, case: Case) -> Sequence[str]:
        """Play the case; where it differs."""
        driver = self._driver
        if driver.group is not group:
            if self._failed is not None and self._failed[0] is group:
                pytest.fail(self._failed[1])  # it would not start for the case before either
            try:
                driver.start(group)
            except Exception as trouble:
                self._failed = (group, f"the server did not start: {trouble}")
                raise
        return differences(case, driver.play(case), driver.name)

    def close(self) -> None:
        self._driver.close()
