"""A short round of what `python -m bench.faults_parts` does for minutes: the name server stopped, hung and slow under load,
with both of the thread's configurations; the second one says 550 where a name is certainly unknown."""

from collections.abc import Iterator

import pytest
from bench.faults_parts import ANSWERED, BACK, WORLDS, Part, run_trouble

from tests.box import Box

pytestmark = [pytest.mark.peer, pytest.mark.xdist_group("dns faults")]


@pytest.fixture(scope="module", params=sorted(WORLDS))
def world(request: pytest.FixtureRequest) -> Iterator[tuple[Box, dict[str, Part]]]:
    with WORLDS[request.param](timeout=1) as made:
        yield made


@pytest.mark.parametrize(("trouble", "seconds"), [("stopped", 2.0), ("hung", 6.0), ("slow", 8.0)])
def test_no_trouble_of_the_name_server_refuses_mail_for_good(
    world: tuple[Box, dict[str, Part]], trouble: str, seconds: float
) -> None:
    box, parts = world
    result = run_trouble(box, parts["names"], trouble, seconds)

    assert result.permanent == 0
    assert result.let_in == 0
    assert result.back_after < BACK
    if trouble == "slow":
        assert result.deferred == 0
        assert result.slowest >= 1.0
    else:
        assert result.deferred > 0
        assert result.open_slowest <= ANSWERED
