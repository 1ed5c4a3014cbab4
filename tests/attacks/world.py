"""A site under attack in a box: the thread's first configuration, bots of `bench.flood_bots`, and good clients beside them."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from bench.faults_parts import PATH
from bench.flood_bots import KINDS, zone
from bench.flood_site import MORE, Swarming
from bench.flood_swarm import Group, Plan

from tests.box import Box
from tests.system.box_site import GOLDEN, BoxSite

BOTS = 40
GOOD = 6
"""Of each sort: clients that have come before, and clients that have not."""
PATIENCE = 20.0
RATE = 400.0
OTHERS = 2_000
"""Numbers between the addresses of one kind and those of the next."""
MASKS = (
    (re.compile(r"\[198\.1[89]\.[0-9.]+\](:\d+)?"), "[CLIENT]"),
    (re.compile(r"\[\d+\]: "), ": "),
    (re.compile(r"after \d+(\.\d+)? from"), "after TIME from"),
    (re.compile(r"nobody\d+|(alice|bob|carol|dave)\d+"), "somebody"),
    (re.compile(r"\b(known|new)\d+\.good\.example"), "client"),
)


def lay_out(site: BoxSite, main_cf: str = "", **files: str) -> None:
    """The first configuration with TLS and one login; DNS knows the good clients, and what it says may be kept."""
    site.lay_out_config_a(MORE + main_cf, **files)
    box = site.box
    box.ask("certificate", directory="/etc/postfix", name="pop.cape.com")
    box.run("saslpasswd2", "-p", "-c", "-u", "pop.cape.com", "alice", stdin="secret")
    box.run("chown", "postfix", "/etc/sasldb2")
    own = (GOLDEN / "config-a" / "zone").read_text().splitlines(keepends=True)
    box.zone("$TTL 3600\n" + "".join(line for line in own if ".18.198." not in line) + zone())


def bots(kind: str, count: int = BOTS, again: float = 0.5) -> Group:
    """Bots of one kind, from addresses of its own."""
    return Group(kind, count, RATE, first=OTHERS * list(KINDS).index(kind), again=again)


@contextmanager
def attacked(box: Box, groups: Sequence[Group]) -> Iterator[Swarming]:
    """Bots at work, all of them there before the block begins."""
    swarm = Swarming(box, "bots", Plan(list(groups), 60.0))
    swarm.wait_started(every=0.3)
    try:
        yield swarm
    finally:
        swarm.stop()


def good_clients(box: Box, first: int, count: int = GOOD) -> list[dict[str, Any]]:
    """Clients that have come before, and new ones, each with a message; what came of both sorts."""
    groups = [
        Group("good", count, 20.0, source="known", patience=PATIENCE),
        Group("good", count, 20.0, source="new", first=first, patience=PATIENCE),
    ]
    found: list[dict[str, Any]] = Swarming(box, "good", Plan(groups, PATIENCE * 2)).wait(PATIENCE * 3)["tallies"]
    return found


def gauge(box: Box, pid: int) -> dict[str, float]:
    """Memory, CPU seconds and processes of a server."""
    found: dict[str, float] = json.loads(box.run("env", PATH, "python", "-m", "bench.flood_gauge", str(pid)).out)
    return found


def masked(line: str) -> str:
    """A line of the log without what differs from client to client."""
    for pattern, word in MASKS:
        line = pattern.sub(word, line)
    return line


def said_of(log: str, addresses: frozenset[str]) -> set[str]:
    """What the log says of clients, masked."""
    return {masked(line) for line in log.splitlines() if addresses & set(re.findall(r"\[(198\.[0-9.]+)\]", line))}
