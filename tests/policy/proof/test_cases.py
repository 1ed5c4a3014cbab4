"""Some 120 configurations, known to relay or known not to: the proof says so, its counter-example relays, its change closes it."""

from __future__ import annotations

from pathlib import Path

import pytest

from seawall.cli.relay_proof import prove
from seawall.config.settings import load
from seawall.policy.proof.search import Kind
from tests.policy.proof.relay_cases import RelayCase, cases

LEAST = 40


def name_of(case: RelayCase) -> str:
    return case.name


@pytest.mark.parametrize("case", cases("open"), ids=name_of)
def test_what_relays_is_shown_with_a_session_and_a_change(case: RelayCase, tmp_path: Path) -> None:
    lines = prove(load("/etc/postfix", str(case.lay_out(tmp_path / "site"))))

    relaying = [line for line in lines if line.finding.kind is Kind.RELAYS]
    assert relaying
    assert all(all(line.played) and line.changes for line in relaying)


@pytest.mark.parametrize("case", cases("closed"), ids=name_of)
def test_what_does_not_relay_is_proved(case: RelayCase, tmp_path: Path) -> None:
    lines = prove(load("/etc/postfix", str(case.lay_out(tmp_path / "site"))))

    assert lines
    assert {line.finding.kind for line in lines} == {Kind.PROVED}
    assert all(line.finding.guards or line.finding.note for line in lines)


def test_there_are_enough_of_both() -> None:
    assert min(len(cases("open")), len(cases("closed"))) >= LEAST
