"""Under every kind of attack, with a door and without: good clients are served, and no bot must go first."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
from bench.flood_bots import KINDS
from bench.flood_site import mixed
from bench.flood_swarm import Group

from tests.attacks.world import BOTS, GOOD, attacked, bots, gauge, good_clients, lay_out
from tests.box import Box
from tests.system.box_site import BoxSite
from tests.system.postfix_log import strange

pytestmark = pytest.mark.peer

DOOR = "seawall_door = yes\npostscreen_greet_wait = 1s\n"
GROWTH = 32 << 20
"""Bytes by which an attack of this size may let the server grow, the first use of its code included."""
SERVED = {"done": GOOD}
EXPECTED = {
    "silent": "connect from ",
    "stalled": "connect from ",
    "early": "NOQUEUE: reject: RCPT from |improper command pipelining after |PREGREET ",
    "slow": "connect from ",
    "spray": "too many errors after RCPT from ",
    "noise": "warning: non-SMTP command from ",
    "guess": ": SASL PLAIN authentication failed: ",
    "tls": "connect from ",
}
"""What the log says of each kind, one of these at least."""
NAME_SERVER = "warning: name server 127.0.0.1: "
"""That of the box is one thread, and may be slow on a busy host: nothing that concerns anybody here."""


@pytest.fixture(
    scope="module",
    params=[
        pytest.param("", id="without a door", marks=pytest.mark.xdist_group("attacks")),
        pytest.param(DOOR, id="with a door", marks=pytest.mark.xdist_group("attacks on a door")),
    ],
)
def site(box: Box, request: pytest.FixtureRequest) -> Iterator[BoxSite]:
    made = BoxSite(box)
    lay_out(made, request.param)
    made.start()
    assert [tally["ended"] for tally in good_clients(box, first=3_000)] == [SERVED] * 2, "before any attack"
    yield made
    made.stop()
    assert "Traceback" not in made.printed()


@pytest.fixture(scope="module")
def first() -> Iterator[int]:
    """Numbers for new clients: none of them has ever come before."""
    return iter(range(0, 3_000, GOOD))


def attack(site: BoxSite, groups: list[Group], first: int) -> str:
    """Let bots come, and good clients beside them; what the log says of it."""
    box = site.box
    _, begin = box.log()
    before = gauge(box, site.pid)["bytes"]
    with attacked(box, groups) as swarm:
        there = {group.kind: group.count for group in groups if KINDS[group.kind].stays}
        found = good_clients(box, first)
        assert [tally["ended"] for tally in found] == [SERVED] * 2
        now = {tally["kind"]: tally["held"] for tally in swarm.status()["tallies"]}
        assert {kind: now[kind] for kind in there} == there, "nobody had to go so that good clients are served"
        assert gauge(box, site.pid)["bytes"] - before < GROWTH
    log, _ = box.log(begin)
    assert not [line for line in strange(log) if NAME_SERVER not in line]
    assert "Traceback" not in log + site.printed()
    return log


@pytest.mark.parametrize("kind", KINDS)
def test_good_clients_are_served_while_bots_stay(site: BoxSite, kind: str, first: Iterator[int]) -> None:
    log = attack(site, [bots(kind)], next(first))
    assert re.search(EXPECTED[kind], log)


def test_good_clients_are_served_while_all_kinds_attack_at_once(site: BoxSite, first: Iterator[int]) -> None:
    attack(site, mixed(4 * BOTS), next(first))
