"""Shared fixtures: the box, and what is said where a real part is missing."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import NoReturn

import pytest

from tests import box as boxes


def unavailable(trouble: str) -> NoReturn:
    """A part is missing: the test is skipped with the remedy, but under CI a missing part is a failure."""
    if os.environ.get("CI") == "true":
        pytest.fail(trouble)
    pytest.skip(trouble)


@pytest.fixture(scope="session")
def box() -> Iterator[boxes.Box]:
    """One box for all tests of a run (of a worker of it); every test lays out what it needs.

    Where none can be had the test is skipped with the remedy, but under CI a missing part is a failure.
    """
    trouble = boxes.missing()
    if trouble:
        unavailable(trouble)
    with boxes.Box() as open_box:
        yield open_box
