"""A short round of what `python -m bench.faults_policy` does for minutes: a policy service away, hung and slow under load."""

from bench.faults_policy import asked_server, run_trouble

SECONDS = {"stopped": 1.5, "hung": 4.5, "slow": 1.5}


def test_no_trouble_of_a_policy_service_refuses_mail_for_good() -> None:
    with asked_server() as (server, service):
        results = {trouble: run_trouble(server, service, trouble, seconds) for trouble, seconds in SECONDS.items()}

    assert {trouble: result.permanent for trouble, result in results.items()} == dict.fromkeys(SECONDS, 0)
    assert results["stopped"].deferred > 0
    assert results["hung"].deferred > 0
    assert results["slow"].deferred == 0  # late is not never
