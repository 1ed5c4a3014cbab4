"""A few rounds of what `make faults` does a hundred times: kill -9 of anything under load, and full disks."""

import pytest
from bench.faults import full_home, full_spool, run_kills

from tests.box import Box


@pytest.mark.parametrize("seed", [5])
def test_nothing_that_was_accepted_is_lost_when_processes_are_killed(seed: int) -> None:
    result = run_kills(5, seed)
    assert result.lost == ()
    assert sum(result.killed.values()) == 5
    assert result.messages > 20
    assert not result.refused


@pytest.mark.peer
def test_a_full_spool_is_temporary_and_the_server_recovers_by_itself(box: Box) -> None:
    before, full, after = full_spool(box)
    assert before.startswith("250 2.0.0 Ok: queued as ")
    assert full == "452 4.3.1 Insufficient system storage"
    assert after.startswith("250 2.0.0 Ok: queued as ")


@pytest.mark.peer
def test_mail_for_a_full_home_waits_in_the_queue_until_there_is_space(box: Box) -> None:
    full, after = full_home(box)
    assert full.startswith("250 2.0.0 Ok: queued as ")
    assert after.startswith("250 2.0.0 Ok: queued as ")
