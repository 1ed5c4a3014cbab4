"""As many refusals as two cores can do: 550 at RCPT, with and without a door, beside Postfix with and without postscreen."""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass
from typing import Any

from bench.faults_parts import PATH
from bench.flood_cases import Effort, Result
from bench.flood_show import Table
from bench.flood_site import DOOR, POSTFIX, SCREENED, SEAWALL, Contender, Stage

SESSIONS = 12_000
WARM = 600
PARALLEL = 150
"""Three quarters of the 200 processes that the configuration allows Postfix."""
CROWD = 6_000
"""Who waits for the greeting does so beside many others; Postfix has no room for them."""
WAIT = 2
"""postscreen_greet_wait, for both: what it is under stress."""


@dataclass(frozen=True, slots=True)
class Way:
    """One row: `hosts` clients in each of 64 networks, so many at one time."""

    contender: Contender
    what: str
    hosts: int
    parallel: int = PARALLEL


WAYS = (
    Way(POSTFIX, "every client new", 250),
    Way(SEAWALL, "every client new", 250),
    Way(SCREENED, "clients that have passed", 8),
    Way(DOOR, "clients that have passed", 8),
    Way(DOOR, f"every client new, {CROWD:,} at one time", 250, CROWD),
)


def _generate(stage: Stage, way: Way, sessions: int) -> dict[str, Any]:
    words = ["--kind", "refusal", "--recipient", "no-such-user@cape.com", "--networks", "64", "--hosts", str(way.hosts)]
    words += ["--parallel", str(way.parallel), "--sessions", str(sessions), "--seconds", "60"]
    as_many = ("sh", "-c", 'ulimit -n "$(ulimit -Hn)"; exec "$@"', "sh")
    done = stage.box.run(*as_many, "env", PATH, sys.executable, "-m", "bench.generator", *words, timeout=90)
    found: dict[str, Any] = json.loads(done.out)
    return found


def _measure(way: Way, sessions: int) -> dict[str, Any]:
    with Stage(way.contender, main_cf=f"postscreen_greet_wait = {WAIT}s\n") as stage:
        stage.begin()
        _generate(stage, Way(way.contender, "", way.hosts), WARM)
        used = stage.gauge()["cpu"]
        found = _generate(stage, way, sessions)
        found["server_cpu"] = stage.gauge()["cpu"] - used
    return found


def refusals(effort: Effort) -> Result:
    """As many refusals as two cores can do, the generator among them."""
    table = Table(
        "Sessions refused by 550 at RCPT, a command at a time",
        ("", "clients", "a second", "per CPU second of the server", "refused", "lost"),
    )
    raw: dict[str, Any] = {}
    for way in WAYS:
        found = _measure(way, max(100, round(SESSIONS * effort.scale)))
        raw[f"{way.contender.name}, {way.what}"] = found
        refused = found["codes"].get("2.0 550", 0)
        figures = (refused / found["wall"], refused / max(0.01, found["server_cpu"]))
        table.rows.append(
            (way.contender.name, way.what, *(f"{each:,.0f}" for each in figures), f"{refused:,}", f"{found['lost']:,}")
        )
    table.notes.append(f"postscreen_greet_wait = {WAIT}s in all")
    return Result([table], raw)
