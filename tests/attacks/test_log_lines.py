"""What the log says of every kind of bot, beside what Postfix says of the same bots."""

from __future__ import annotations

import re

import pytest
from bench.flood_bots import KINDS, source
from bench.flood_site import wait_until
from bench.flood_swarm import Group

from tests.attacks.world import attacked, bots, lay_out, said_of
from tests.box import Box
from tests.system.box_site import BoxSite
from tests.system.server import until

pytestmark = [pytest.mark.peer, pytest.mark.xdist_group("attacks in the log")]

COUNT = 4
MAIN_CF = "smtpd_forbid_unauth_pipelining = yes\n"
"""Ours by default, as in Postfix 3.9; not in the Postfix that is here."""
NEVER_AGAIN = -1.0
EARLY = re.compile(r"improper command pipelining after (CONNECT|EHLO) from ")
"""Which of them depends on who is faster: the client's words or the server's look at the socket."""


def addresses_of(group: Group) -> frozenset[str]:
    """Where a group comes from."""
    return frozenset(source("bots", number) for number in range(group.first, group.first + group.count))


def heard(site: BoxSite) -> tuple[dict[str, set[str]], dict[str, dict[str, int]]]:
    """By kind: what the log says of it, and the last replies that it heard."""
    groups = {kind: bots(kind, COUNT, NEVER_AGAIN) for kind in KINDS}
    addresses = {kind: addresses_of(group) for kind, group in groups.items()}
    with attacked(site.box, list(groups.values())) as swarm:

        def quiet() -> bool:
            tallies = swarm.status()["tallies"]
            over = {tally["kind"]: not tally["held"] for tally in tallies}
            over["early"] = any(tally["codes"].get("554") == COUNT for tally in tallies)  # it reads on for a while
            return all(KINDS[kind].stays or is_over for kind, is_over in over.items())

        wait_until(quiet, "those who leave have left", 20)
        codes = {tally["kind"]: tally["codes"] for tally in swarm.status()["tallies"]}

    def all_gone() -> bool:
        return site.log().count("]: disconnect from ") >= COUNT * len(KINDS)

    until(all_gone, "every bot has left", 20)
    return {kind: said_of(site.log(), each) for kind, each in addresses.items()}, codes


def test_the_log_says_of_every_bot_what_postfix_says(box: Box) -> None:
    site = BoxSite(box)
    lay_out(site, MAIN_CF)
    pid = box.start_postfix()
    try:
        theirs = heard(site)
    finally:
        box.stop_postfix(pid)
    box.wipe()
    lay_out(site, MAIN_CF)
    site.start()
    try:
        ours = heard(site)
    finally:
        site.stop()
    for said, codes in (theirs, ours):
        assert any(EARLY.search(line) for line in said.pop("early"))
        assert codes.pop("early")["554"] == COUNT
    assert ours == theirs
