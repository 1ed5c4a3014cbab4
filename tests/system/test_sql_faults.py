"""A short round of what `python -m bench.faults_sql` does for minutes: PostgreSQL stopped, hung and slow under load."""

from collections.abc import Iterator

import pytest
from bench.faults_sql import ANSWERED, BACK, Asked, asked_server

pytestmark = [pytest.mark.peer, pytest.mark.xdist_group("sql faults")]


@pytest.fixture(scope="module")
def asked() -> Iterator[Asked]:
    with asked_server() as made:
        yield made


@pytest.mark.parametrize(("trouble", "seconds"), [("stopped", 3.0), ("hung", 13.0), ("slow", 3.0)])
def test_no_trouble_of_the_database_refuses_mail_for_good(asked: Asked, trouble: str, seconds: float) -> None:
    result = asked.run(trouble, seconds)
    assert result.permanent == 0
    assert result.let_in == 0
    assert result.back_after < BACK
    if trouble == "slow":
        assert result.deferred == 0
    else:
        assert result.deferred > 0
        assert result.open_slowest <= ANSWERED
