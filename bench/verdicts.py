"""Verdicts a second with both of the thread's configurations: recipients judged through sockets, Postfix beside Seawall.

A session names 20 recipients in one packet, every other one unknown, and sends no message.  Both servers have the limits on
errors and the delay of in_flow_delay lifted, so that a session may be refused ten times.  DNS is nsd in the box.  `cached`: its records may be kept for an
hour, and 256 clients come again and again; `asked`: its records may not be kept at all (TTL 0), so that every question
goes to the server.  Postfix keeps no answers, so that both are the same to it.  The second configuration asks PostgreSQL
behind ``proxy:pgsql:`` and a policy service at every recipient; a variation of it asks neither.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from tests.box import Box
from tests.box_postgres import BoxPostgres
from tests.player import ROWS, sql_of
from tests.system.box_site import BoxSite

from bench.faults_parts import GOLDEN, PATH, Names, start
from bench.generator import VERDICTS, source_address
from seawall.config.master_cf import STANDARD

NETWORKS, HOSTS = 64, 4
PARALLEL = "40"
WARM = 60
"""Sessions before each measurement: processes started, tables read, what may be kept is known."""
SERVERS = ("postfix", "seawall")
POLICY = "/var/spool/postfix/private/vpm-pfpolicy"
MORE = """\
smtpd_client_connection_count_limit = 0
smtpd_soft_error_limit = 1000
smtpd_hard_error_limit = 1000
smtpd_error_sleep_time = 0
in_flow_delay = 0s
"""
"""Beside the limits: Postfix slows down clients whose messages come to nothing, as all of these do."""
REMOTE = (
    "check_recipient_access proxy:pgsql:/etc/postfix/vpm_recipient_access",
    "check_policy_service unix:private/vpm-pfpolicy",
)


@dataclass(frozen=True, slots=True)
class Kind:
    """A configuration, and whether DNS answers may be kept."""

    shown: str
    letter: str
    cached: bool
    remote: bool = True


KINDS = (
    Kind("configuration A, DNS cached", "a", cached=True),
    Kind("configuration A, DNS asked", "a", cached=False),
    Kind("configuration B, DNS cached", "b", cached=True),
    Kind("configuration B, DNS asked", "b", cached=False),
    Kind("configuration B, neither database nor policy, DNS cached", "b", cached=True, remote=False),
)


def zone(letter: str) -> str:
    """The configuration's zone, and a name for every client."""
    own = (GOLDEN / f"config-{letter}" / "zone").read_text().splitlines(keepends=True)
    lines = [line for line in own if ".18.198." not in line and not line.startswith(";!")]
    for number in range(NETWORKS * HOSTS):
        address = source_address(number, NETWORKS, HOSTS)
        reverse = ".".join(reversed(address.split(".")))
        lines.append(f"{reverse}.in-addr.arpa. PTR c{number}.load.example.\nc{number}.load.example. A {address}\n")
    return "".join(lines)


def main_cf(kind: Kind) -> str:
    """The configuration with limits lifted."""
    text = (GOLDEN / f"config-{kind.letter}" / "main.cf").read_text() + MORE
    if not kind.remote:
        for each in REMOTE:
            text = text.replace(f"       {each}\n", "")
    return text


def lay_out(site: BoxSite, kind: Kind) -> None:
    """Configuration and maps."""
    folder = GOLDEN / f"config-{kind.letter}"
    files = {
        path.relative_to(folder).as_posix(): path.read_text()
        for path in folder.rglob("*")
        if path.is_file() and path.name not in ("main.cf", "master.cf", "zone")
    }
    site.lay_out(main_cf(kind), {**files, "master.cf": STANDARD})


def inside(box: Box, expression: str) -> Any:
    """What an expression about `bench.inside` gives in the box."""
    code = f"import json, bench.inside as inside\nprint(json.dumps({expression}))"
    return json.loads(box.run("env", PATH, sys.executable, "-c", code).out)


def cpu_of(box: Box, word: str) -> float:
    """CPU seconds of the live processes whose command line has this word, their ended children included."""
    ticks = 0
    for pid, line in box.processes().items():
        if word in line:
            stat = (box.read(f"/proc/{pid}/stat") or b"0) " + b"0 " * 20).decode("latin-1").rpartition(")")[2].split()
            ticks += sum(map(int, stat[11:15]))
    return ticks / 100


@contextmanager
def served(box: Box, site: BoxSite, server: str) -> Iterator[None]:
    """The server, up."""
    if server == "seawall":
        site.start()
        try:
            yield
        finally:
            site.stop()
        return
    pid = box.start_postfix()
    try:
        yield
    finally:
        box.stop_postfix(pid)


def datagrams(box: Box) -> int:
    """UDP datagrams that were received in the box: each question to a name server is one, and so is its answer."""
    names, values = (line.split() for line in box.run("cat", "/proc/net/snmp").out.splitlines() if line[:4] == "Udp:")
    return int(values[names.index("InDatagrams")])


def generate(box: Box, sessions: int) -> dict[str, Any]:
    """Run the load."""
    words = ("--kind", "verdicts", "--recipient", "x@cape.com", "--networks", str(NETWORKS), "--hosts", str(HOSTS))
    more = ("--parallel", PARALLEL, "--sessions", str(sessions), "--seconds", "60")
    done = box.run("env", PATH, sys.executable, "-m", "bench.generator", *words, *more, timeout=120)
    found: dict[str, Any] = json.loads(done.out)
    expected = {"2.0 550", "2.1 250"}
    if found["lost"] or not expected <= set(found["codes"]):
        raise SystemExit(f"not as expected: {found['codes']}, lost {found['lost']}")
    return found


def measure_one(box: Box, server: str, sessions: int) -> dict[str, Any]:
    """One load on a server that is up."""
    generate(box, WARM)
    used, others = inside(box, f"inside.cpu({server!r})"), (cpu_of(box, "postgres"), cpu_of(box, "fast_policy"))
    before = datagrams(box)
    found = generate(box, sessions)
    found["questions"] = (datagrams(box) - before) / 2 / sessions
    found["server_cpu"] = inside(box, f"inside.cpu({server!r})") - used
    found["postgres_cpu"] = cpu_of(box, "postgres") - others[0]
    found["policy_cpu"] = cpu_of(box, "fast_policy") - others[1]
    found["done"] *= VERDICTS
    return found


def measure(kind: Kind, sessions: int) -> dict[str, dict[str, Any]]:
    """Both servers in one box, one after the other."""
    found = {}
    with Box() as box:
        site = BoxSite(box)
        lay_out(site, kind)
        Names(box, zone(kind.letter), ttl=3600 if kind.cached else 0)
        database = BoxPostgres(box) if kind.letter == "b" and kind.remote else None
        try:
            if database is not None:
                database.start()
                rows = GOLDEN / "config-b" / f"vpm_recipient_access{ROWS}"
                database.sql(sql_of("vpm_recipient_access", rows.read_text()))
            for server in SERVERS:
                with served(box, site, server):
                    policy = 0
                    if database is not None:
                        policy = start(box, "bench.fast_policy", POLICY)
                        _wait_for_socket(box)
                    found[server] = measure_one(box, server, sessions)
                    if policy:
                        box.stop(policy)
                        box.remove(POLICY)
        finally:
            if database is not None:
                database.stop()
    return found


def _wait_for_socket(box: Box) -> None:
    end = time.monotonic() + 10
    while box.run("test", "-S", POLICY, check=False).code:
        if time.monotonic() > end:
            raise SystemExit("the policy service does not start")
