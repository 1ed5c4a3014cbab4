"""The floods of `bench.flood`, one function a case: who attacks whom, and what became of the good clients meanwhile."""

from __future__ import annotations

import signal
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from bench.faults_parts import start
from bench.flood_show import NEVER, SERVED_COLUMNS, Served, Table, kib, mib, served, served_cells, span
from bench.flood_site import (
    CONTENDERS,
    DOOR,
    POSTFIX,
    RAMP,
    SCREENED,
    SEAWALL,
    Contender,
    Stage,
    Swarming,
    mixed,
    silent,
)
from bench.flood_swarm import Group, Plan

SIZES = (1_000, 5_000, 15_000)
MIXED = 10_000


@dataclass(frozen=True, slots=True)
class Effort:
    """How much is done.  `scale` of the bots, `seconds` of good mail, `patience` of a good client, more of `main_cf`."""

    scale: float = 1.0
    seconds: float = 12.0
    patience: float = 12.0
    main_cf: str = ""

    @property
    def through(self) -> float:
        """Seconds of good mail that begins with the first bot of the mixed flood, not after the last."""
        return self.bots(MIXED) / RAMP + self.seconds

    def bots(self, count: int) -> int:
        """So many of them."""
        return max(8, round(count * self.scale))


@dataclass(slots=True)
class Result:
    """What a case gives: tables, and the figures as they are."""

    tables: list[Table]
    raw: dict[str, Any]


def pair(found: Mapping[str, Any]) -> tuple[Served, Served]:
    """Good clients that had come before, and those that had not."""
    known, new = found["tallies"]
    return served(known), served(new)


WHO = ("known", "new")


def add_rows(table: Table, head: tuple[str, ...], found: Mapping[str, Any], *more: str) -> None:
    """Two rows: the known, and the new."""
    for who, one in zip(WHO, pair(found), strict=True):
        table.rows.append((*head, who, *served_cells(one), *more))
        head, more = ("",) * len(head), ("",) * len(more)


# ---- silence ----------------------------------------------------------------------------------------------------------


def _silence(contender: Contender, effort: Effort) -> Iterator[dict[str, Any]]:
    """More and more silent connections; after each step the memory, then good mail."""
    with Stage(contender, main_cf=effort.main_cf) as stage:
        stage.begin()
        stage.warm()
        idle = stage.gauge()["bytes"]
        swarms: list[Swarming] = []
        there, used = 0, 0
        for size in map(effort.bots, SIZES):
            swarms.append(stage.bots(silent(size - there, there)))
            there = size
            tallies = [each for swarm in swarms for each in swarm.status()["tallies"]]
            held, taken = (sum(int(each[what]) for each in tallies) for what in ("held", "taken"))
            gauge = stage.gauge()
            good = stage.good(effort.seconds / 2, effort.patience, first=used)
            used += round(effort.seconds * 10)
            yield {"size": size, "held": held, "taken": taken, "idle": idle, "gauge": gauge, "good": good}
        for swarm in swarms:
            swarm.stop()


def silence(effort: Effort) -> Result:
    """1,000, 5,000 and 15,000 silent connections; 20 good messages a second; memory of one connection."""
    table = Table("Silent connections", ("", "bots", "good clients", *SERVED_COLUMNS))
    memory = Table(
        "Memory", ("", "bots", "connected", "of them served", "memory in all", "a served connection", "processes")
    )
    raw: dict[str, Any] = {}
    for contender in CONTENDERS:
        raw[contender.name] = []
        for step in _silence(contender, effort):
            raw[contender.name].append(step)
            size, gauge = f"{step['size']:,}", step["gauge"]
            add_rows(table, (contender.name, size), step["good"])
            memory.rows.append(
                (
                    contender.name,
                    size,
                    f"{step['held']:,}",
                    f"{step['taken']:,}",
                    mib(gauge["bytes"]),
                    kib(a_connection(step)),
                    f"{gauge['processes']:.0f}",
                )
            )
    table.notes.append("with a door a new client waits for postscreen_greet_wait, once; known ones do not")
    memory.notes.append(
        "PSS of all processes of the server, less what they had when nobody was there; what the kernel holds is not in it"
    )
    return Result([table, memory], raw)


def a_connection(step: Mapping[str, Any]) -> float:
    """Bytes that one connection costs to which the server has said something; the others wait in the kernel."""
    return max(0.0, float(step["gauge"]["bytes"] - step["idle"])) / max(1, int(step["taken"]))


# ---- the mixed flood --------------------------------------------------------------------------------------------------


def bots_cells(found: Mapping[str, Any]) -> str:
    """One line of how the bots fared."""
    parts = []
    for each in found["tallies"]:
        ways = ", ".join(f"{how} {count:,}" for how, count in sorted(each["ended"].items()))
        parts.append(f"{each['kind']} {each['started']:,}: held {each['held']:,}{', ' + ways if ways else ''}")
    return "; ".join(parts)


@contextmanager
def flooded(stage: Stage, effort: Effort, *, waits: bool = True) -> Iterator[Swarming]:
    """The mixed flood, as long as the block lasts; unless it `waits`, the block begins while the bots come."""
    swarm = stage.bots(mixed(effort.bots(MIXED)), waits=waits)
    try:
        yield swarm
    finally:
        swarm.stop()


def _mix(contender: Contender, letter: str, effort: Effort) -> dict[str, Any]:
    with Stage(contender, letter, main_cf=effort.main_cf) as stage:
        stage.begin()
        stage.warm()
        used = stage.gauge()["cpu"]
        with flooded(stage, effort, waits=False) as swarm:
            good = stage.good(effort.through, effort.patience)
            gauge = stage.gauge()
            bots = swarm.status()
    gauge["cpu"] -= used
    return {"good": good, "bots": bots, "gauge": gauge}


def mix(effort: Effort) -> Result:
    """10,000 bots of all kinds, with both of the thread's configurations."""
    tables, raw = [], {}
    for letter, contenders in (("a", CONTENDERS), ("b", (DOOR, SCREENED))):
        table = Table(
            f"Mixed flood, configuration {letter.upper()}: {effort.bots(MIXED):,} bots, {RAMP:,.0f} of them come in a second; "
            f"good mail from the first of them until {effort.seconds:g} s after the last",
            ("", "good clients", *SERVED_COLUMNS, "memory", "CPU"),
        )
        for contender in contenders:
            found = _mix(contender, letter, effort)
            raw[f"{contender.name}, {letter}"] = found
            gauge, seconds = found["gauge"], found["bots"]["seconds"]
            add_rows(table, (contender.name,), found["good"], mib(gauge["bytes"]), f"{gauge['cpu'] / seconds:.0%}")
            table.notes.append(f"{contender.name}: {bots_cells(found['bots'])}")
        tables.append(table)
    return Result(tables, raw)


# ---- a resolver in trouble --------------------------------------------------------------------------------------------


def _resolver(contender: Contender, effort: Effort) -> Iterator[tuple[str, dict[str, Any]]]:
    with Stage(contender, main_cf=effort.main_cf, ttl=1) as stage:
        stage.begin()
        stage.warm()
        with flooded(stage, effort):
            for at, trouble in enumerate(("hung", "slow")):
                stage.names.begin(trouble)
                first = at * round(effort.seconds * 10)
                found = stage.good(effort.seconds / 2, 2 * effort.patience, first=first)
                stage.names.finish(trouble)
                yield trouble, found


def resolver(effort: Effort) -> Result:
    """The name server dead, then 5 seconds slow, during the mixed flood."""
    table = Table(
        "The resolver in trouble, during the mixed flood",
        ("", "trouble", "good clients", *SERVED_COLUMNS, "refused for good"),
    )
    raw: dict[str, Any] = {}
    for contender in (SEAWALL, DOOR, POSTFIX):
        raw[contender.name] = {}
        for trouble, found in _resolver(contender, effort):
            raw[contender.name][trouble] = found
            shown = {"hung": "dead", "slow": "5 s slow"}[trouble]
            add_rows(table, (contender.name, shown), found, f"{refused_for_good(found)}")
    table.notes.append("refused: a 450, after which a mail server comes again; refused for good must be 0")
    return Result([table], raw)


def refused_for_good(found: Mapping[str, Any]) -> int:
    """Good clients that heard 5xx."""
    return sum(
        count for tally in found["tallies"] for how, count in tally["ended"].items() if how.startswith("refused: 5")
    )


# ---- IMAP on the same host --------------------------------------------------------------------------------------------

IMAP_PORT = 10143
DOVECOT = f"""\
protocols = imap
log_path = /var/log/dovecot.log
mail_location = maildir:~/Maildir
ssl = no
disable_plaintext_auth = no
listen = 127.0.0.1
service imap-login {{
  inet_listener imap {{
    port = {IMAP_PORT}
  }}
}}
passdb {{
  driver = static
  args = password=secret
}}
userdb {{
  driver = passwd
}}
"""
LOGINS = 10.0
"""A second."""


def _logins(stage: Stage, effort: Effort) -> dict[str, Any]:
    group = Group("imap", round(LOGINS * effort.seconds / 2), LOGINS, source="here", patience=effort.patience)
    plan = Plan([group], effort.seconds + effort.patience, "127.0.0.1", IMAP_PORT)
    found = stage.swarm(plan).wait(effort.seconds + effort.patience + 30)
    return dict(found["tallies"][0])


@contextmanager
def _dovecot(stage: Stage) -> Iterator[None]:
    box = stage.box
    box.write("/etc/dovecot/seawall.conf", DOVECOT)
    pid = box.start("/usr/sbin/dovecot", "-F", "-c", "/etc/dovecot/seawall.conf", output="/var/log/dovecot.out")
    stage.listens(IMAP_PORT, "127.0.0.1")
    try:
        yield
    finally:
        box.stop(pid)


def imap(effort: Effort) -> Result:
    """Logins at Dovecot on the same host: quiet, while the flood meets a sink, and while it meets each server."""
    table = Table(
        "IMAP on the same host: login and SELECT", ("the flood meets", "p50", "p99", "logins", "failed", "to the sink")
    )
    raw: dict[str, Any] = {}
    for name, contender in (
        ("(there is none)", None),
        ("a bare sink", None),
        *((one.name, one) for one in (SEAWALL, DOOR, POSTFIX)),
    ):
        with Stage(contender or SEAWALL, main_cf=effort.main_cf) as stage, _dovecot(stage):
            sink = 0
            if contender is not None:
                stage.begin()
                stage.warm()
            elif raw:
                sink = start(stage.box, "bench.flood_sink")
                stage.listens(25, "192.0.2.1")
            if raw:
                with flooded(stage, effort):
                    found = _logins(stage, effort)
            else:
                found = _logins(stage, effort)
            if sink:
                stage.box.kill(sink, signal.SIGKILL)
        raw[name] = found
        one = served(found)
        floor = raw.get("a bare sink")
        share = one.session_p99 / served(floor).session_p99 if floor else NEVER
        p50 = sorted([*found["sessions"], *[NEVER] * one.lost])[max(0, one.sent // 2 - 1)]
        ratio = "" if share == NEVER else f"{share:.1f} x"
        table.rows.append(
            (name, span(p50), span(one.session_p99), f"{one.sent:,}", f"{one.sent - one.accepted:,}", ratio)
        )
    return Result([table], raw)
