"""What the proof says of some 120 configurations, beside the real Postfix: who relays there, and who does not."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from seawall.cli.relay_proof import prove
from seawall.config.settings import load
from seawall.policy.proof.search import Kind
from tests.box import Box
from tests.policy.proof import hostile
from tests.policy.proof.postfix_ports import Ports, commands, zone_of
from tests.policy.proof.relay_cases import SWALLOWED, RelayCase, cases

BY_CHANCE = frozenset({"by-chance"})
NOT_PLAYED = frozenset({"from-the-scanner", "no-guard-does-not-start"})
"""Ports where nobody answers a stranger."""
TRIES = 40


def script_of(case: RelayCase, root: Path) -> tuple[str, ...]:
    lines = prove(load("/etc/postfix", str(case.lay_out(root))))
    return next(line.scripts[0] for line in lines if line.finding.kind is Kind.RELAYS)


@pytest.mark.peer
def test_every_counter_example_relays_in_postfix(box: Box, tmp_path: Path) -> None:
    opened = cases("open")
    scripts = {case.name: script_of(case, tmp_path / case.name) for case in opened}
    ports = Ports(box, opened, zone_of(list(scripts.values())), stressed=frozenset({"under-stress"}))

    def accepted(case: RelayCase) -> bool:
        lines = [*commands(scripts[case.name]), "QUIT"]
        for _ in range(TRIES if case.name in BY_CHANCE else 1):
            answers = dict(zip(reversed(lines), reversed(ports.talk(case, lines)), strict=False))
            decisive = [said for line, said in answers.items() if line.startswith(("RCPT", "Subject"))]
            if decisive and all(said.startswith("250") for said in decisive):
                return True
        return False

    try:
        with ThreadPoolExecutor(4) as pool:
            relayed = dict(zip(scripts, pool.map(accepted, opened), strict=True))
    finally:
        ports.close()

    assert [name for name, did in relayed.items() if not did] == []


@pytest.mark.peer
def test_no_closed_configuration_takes_mail_for_others(box: Box) -> None:
    closed = [case for case in cases("closed") if case.name not in SWALLOWED | NOT_PLAYED]
    ports = Ports(box, closed, hostile.ZONE)

    def leaks(case: RelayCase) -> list[tuple[str, str]]:
        found = []
        for at, (lines, first) in enumerate(hostile.sessions()):
            heard = ports.talk(case, lines, source=f"198.18.{at % 200 + 1}.9")
            answers = heard[1 + first :]
            assert [said[:1] for said in answers if said[:1] not in ("2", "4", "5")] == [], (case.name, heard)
            found += [
                (f"{lines[:first]} {line}", said)
                for line, said in zip(lines[first:], answers, strict=False)
                if said[:1] == "2"
            ]
        return found

    try:
        with ThreadPoolExecutor(4) as pool:
            leaked = {case.name: found for case, found in zip(closed, pool.map(leaks, closed), strict=True) if found}
    finally:
        ports.close()

    assert leaked == {}


ASKS = "permit_mynetworks, reject_unknown_sender_domain, check_policy_service inet:127.0.0.1:10023, reject_unauth_destination"


@pytest.mark.peer
def test_what_depends_on_a_service_relays_in_postfix_where_the_service_says_ok(box: Box, tmp_path: Path) -> None:
    case = RelayCase("service", True, {"smtpd_relay_restrictions": ASKS}, "", {})
    (line,) = prove(load("/etc/postfix", str(case.lay_out(tmp_path / "site"))))
    script = line.scripts[0]
    ports = Ports(box, [case], zone_of([script]))
    heard = {}
    try:
        for action in ("OK", "DUNNO"):
            box.policy("inet:127.0.0.1:10023", f"-> {action}\n")
            heard[action] = ports.talk(case, list(commands(script)))[-1]
            box.policy_end("inet:127.0.0.1:10023")
    finally:
        ports.close()

    assert line.finding.kind is Kind.DEPENDS
    assert "assume inet:127.0.0.1:10023 OK" in script
    assert {action: said[:3] for action, said in heard.items()} == {"OK": "250", "DUNNO": "554"}
