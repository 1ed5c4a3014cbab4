"""The door alone in front of a Postfix that stays, and that Postfix alone; docs/in-front.md."""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from typing import Any

from bench.faults_parts import PATH
from bench.flood_cases import MIXED, Effort, Result, add_rows, bots_cells, flooded
from bench.flood_show import SERVED_COLUMNS, Table
from bench.flood_site import POSTFIX, Contender, Stage
from seawall.config.master_cf import STANDARD

BEHIND = "127.0.0.1:10025"
FRONT = Contender(
    "Seawall before Postfix",
    "front",
    master_cf=f"{BEHIND} inet n - n - - smtpd -o smtpd_upstream_proxy_protocol=haproxy\n" + STANDARD.split("\n", 1)[1],
)
DIRECT = replace(POSTFIX, name="Postfix reached directly")
PLACE = "/etc/front"
MAIN_CF = f"""\
compatibility_level = 3.6
myhostname = pop.cape.com
inet_interfaces = all
mynetworks = 127.0.0.0/8
queue_directory = /var/spool/front
data_directory = /var/lib/front
seawall_upstream = {BEHIND}
seawall_upstream_protocol = proxy
seawall_door = yes
"""
MASTER_CF = "smtp inet n - n - - smtpd\n"
QUIET = 1_500
"""Messages in quiet times."""
PARALLEL = 20


class FrontStage(Stage):
    """Postfix as the others have it, on a port behind; Seawall on port 25."""

    def begin(self) -> None:
        """Start both."""
        self._behind = 0
        if self.contender.software != "front":
            super().begin()
            return
        box = self.box
        box.write(f"{PLACE}/main.cf", MAIN_CF)
        box.write(f"{PLACE}/master.cf", MASTER_CF)
        for place in ("/var/spool/front", "/var/lib/front"):
            box.run("install", "-d", "-o", "postfix", place)
        self._behind = box.start_postfix()
        self.pid = box.start_seawall("-c", PLACE)

    def gauge(self) -> dict[str, float]:
        """Of both together."""
        found = super().gauge()
        if not self._behind:
            return found
        front, self.pid = self.pid, self._behind
        try:
            behind = super().gauge()
        finally:
            self.pid = front
        return {name: value + behind[name] for name, value in found.items()}


def _flood(contender: Contender, effort: Effort) -> dict[str, Any]:
    with FrontStage(contender) as stage:
        stage.begin()
        stage.warm()
        with flooded(stage, effort, waits=False) as swarm:
            found = stage.good(effort.through, effort.patience)
            return {"good": found, "bots": swarm.status(), "gauge": stage.gauge()}


def _quiet(contender: Contender, messages: int) -> dict[str, Any]:
    """CPU of everything that serves, while messages come and nobody floods; every client has come before."""
    words = ["--kind", "delivery", "--networks", "64", "--hosts", "1", "--parallel", str(PARALLEL), "--seconds", "60"]
    words += [word for user in ("alice", "bob") for word in ("--recipient", f"{user}@cape.com")]
    with FrontStage(contender) as stage:
        stage.begin()

        def send(count: int) -> dict[str, Any]:
            command = ("env", PATH, sys.executable, "-m", "bench.generator", *words, "--sessions", str(count))
            found: dict[str, Any] = json.loads(stage.box.run(*command, timeout=90).out)
            return found

        send(200)
        used = stage.gauge()["cpu"]
        found = send(messages)
        found["server_cpu"] = stage.gauge()["cpu"] - used
    return found


def front(effort: Effort) -> Result:
    """The door alone in front of Postfix during the mixed flood; what it costs in quiet times."""
    table = Table(
        f"The mixed flood, {effort.bots(MIXED):,} bots, and Postfix behind a door",
        ("", "good clients", *SERVED_COLUMNS),
    )
    quiet = Table("In quiet times", ("", "messages", "CPU per message", "to Postfix alone"))
    raw: dict[str, Any] = {}
    each = {}
    for contender in (DIRECT, FRONT):
        found = _flood(contender, effort)
        add_rows(table, (contender.name,), found["good"])
        table.notes.append(f"{contender.name}: {bots_cells(found['bots'])}")
        calm = _quiet(contender, max(50, round(QUIET * effort.scale)))
        each[contender.name] = calm["server_cpu"] / max(1, calm["done"])
        share = each[contender.name] / each[DIRECT.name]
        quiet.rows.append(
            (contender.name, f"{calm['done']:,}", f"{1000 * each[contender.name]:.2f} ms", f"{share:.2f} x")
        )
        raw[contender.name] = {"flood": found, "quiet": calm}
    return Result([table, quiet], raw)
