"""A short round of what `python -m bench.faults_parts` does for minutes: PostgreSQL and a policy service stopped, hung and
slow under load, with the thread's second configuration."""

from collections.abc import Iterator

import pytest
from bench.faults_parts import ANSWERED, BACK, WORLDS, Part, run_trouble

from tests.box import Box

pytestmark = [pytest.mark.peer, pytest.mark.xdist_group("part faults")]


@pytest.fixture(scope="module")
def world() -> Iterator[tuple[Box, dict[str, Part]]]:
    with WORLDS["b"](timeout=1) as made:
        yield made


@pytest.mark.parametrize(
    ("name", "trouble", "seconds"),
    [
        ("policy", "stopped", 1.5),
        ("policy", "hung", 4.5),
        ("policy", "slow", 1.5),
        ("postgres", "stopped", 3.0),
        ("postgres", "hung", 24.0),
        ("postgres", "slow", 3.0),
    ],
)
def test_no_trouble_of_a_part_refuses_mail_for_good(
    world: tuple[Box, dict[str, Part]], name: str, trouble: str, seconds: float
) -> None:
    box, parts = world
    result = run_trouble(box, parts[name], trouble, seconds)

    assert result.permanent == 0
    assert result.let_in == 0
    assert result.back_after < BACK
    if trouble == "slow":
        assert result.deferred == 0  # late is not never
    else:
        assert result.deferred > 0
        assert result.open_slowest <= ANSWERED
