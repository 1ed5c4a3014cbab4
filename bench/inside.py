"""One measurement of one server, inside a box of its own: `python -m bench.inside SERVER MEASURE`.  Prints JSON.

Both servers get the thread's first configuration with the same maps, the same zone behind the same name server (nsd),
the same disk, the same load from the same networks, none of them in mynetworks.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from bench.generator import source_address

CONFIG = Path(__file__).resolve().parent.parent / "tests" / "golden" / "config-a"
ETC = Path("/etc/postfix")
SERVER = ("192.0.2.1", 25)
INDEXED = ("ip-relay", "transport", "virtdoms", "virtmaps", "domain-accept", "domain-relay")
PARALLEL = "150"
"""Sessions at one time: three quarters of the 200 processes that the configuration allows Postfix."""
USERS = ("alice", "bob", "carol", "dave")
# What both servers are given beyond config A: no cap on connections by one client (a load test is one client to it),
# and the names of the box's own programs.
EXTRA = "smtpd_client_connection_count_limit = 0\n"
MASTER = """\
smtp      inet  n       -       n       -       -       smtpd
pickup    unix  n       -       n       60      1       pickup
cleanup   unix  n       -       n       -       0       cleanup
qmgr      unix  n       -       n       300     1       qmgr
rewrite   unix  -       -       n       -       -       trivial-rewrite
bounce    unix  -       -       n       -       0       bounce
defer     unix  -       -       n       -       0       bounce
trace     unix  -       -       n       -       0       bounce
proxymap  unix  -       -       n       -       -       proxymap
smtp      unix  -       -       n       -       -       smtp
relay     unix  -       -       n       -       -       smtp
error     unix  -       -       n       -       -       error
retry     unix  -       -       n       -       -       error
local     unix  -       n       n       -       -       local
virtual   unix  -       n       n       -       -       virtual
anvil     unix  -       -       n       -       1       anvil
"""


class BenchTrouble(Exception):
    """The measurement cannot be made; the text says why."""


def wait_for(condition: Callable[[], bool], seconds: float, what: str) -> float:
    """Seconds until the condition holds."""
    begin = time.perf_counter()
    while not condition():
        if time.perf_counter() - begin > seconds:
            raise BenchTrouble(f"{what}: not within {seconds:.0f} s")
        time.sleep(0.002)
    return time.perf_counter() - begin


# ---- the parts --------------------------------------------------------------------------------------------------------


def configure() -> None:
    """Config A with its maps."""
    for path in CONFIG.iterdir():
        if path.is_dir():
            shutil.copytree(path, ETC / path.name, dirs_exist_ok=True)
        else:
            shutil.copy(path, ETC / path.name)
    with (ETC / "main.cf").open("a") as file:
        file.write(EXTRA)
    (ETC / "master.cf").write_text(MASTER)


def start_names() -> None:
    """nsd with the zone as the root of everything."""
    place = Path("/run/bench-nsd")
    place.mkdir(parents=True)
    zone = "\n".join(line for line in (CONFIG / "zone").read_text().splitlines() if not line.startswith(";!"))
    head = "$ORIGIN .\n$TTL 3600\n@ SOA ns. hostmaster. 1 3600 600 86400 300\n@ NS ns.\nns. A 127.0.0.1\n"
    (place / "root.zone").write_text(head + zone + "\n")
    (place / "nsd.conf").write_text(
        f'server:\n ip-address: 127.0.0.2\n port: 53\n username: ""\n zonesdir: "{place}"\n pidfile: "{place}/pid"\n'
        f' rrl-ratelimit: 0\n database: ""\n xfrdfile: "{place}/xfrd"\n zonelistfile: "{place}/zones"\n logfile: "{place}/log"\n server-count: 1\n'
        f'remote-control:\n control-enable: no\nzone:\n name: "."\n zonefile: "root.zone"\n'
    )
    subprocess.run(["nsd", "-c", str(place / "nsd.conf")], check=True)
    Path("/etc/resolv.conf").write_text("nameserver 127.0.0.2\n")

    def answers() -> bool:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asking:
            asking.settimeout(0.2)
            asking.sendto(bytes.fromhex("0001010000010000000000000000060001"), ("127.0.0.2", 53))
            with contextlib.suppress(OSError):
                return bool(asking.recv(512))
            return False

    wait_for(answers, 10, "nsd answers")


def greets() -> bool:
    """True once the server says 220."""
    try:
        with socket.create_connection(SERVER, 5, source_address=("198.18.255.1", 0)) as client:
            return client.recv(100).startswith(b"220")
    except OSError:
        return False


def start_postfix() -> None:
    """Build the maps, start Postfix."""
    for name in INDEXED:
        subprocess.run(["postmap", f"/etc/postfix/{name}"], check=True)
    subprocess.run(["postalias", "/etc/postfix/aliases"], check=True)
    subprocess.run(["postfix", "start"], check=True, capture_output=True)


def start_seawall() -> None:
    """The server of the checkout."""
    with open("/run/seawall.out", "wb") as out:
        subprocess.Popen([sys.executable, "-m", "seawall", "serve"], stdout=out, stderr=out, start_new_session=True)


START: dict[str, Callable[[], None]] = {"postfix": start_postfix, "seawall": start_seawall}
NAMES = {
    "postfix": (
        "master",
        "smtpd",
        "cleanup",
        "qmgr",
        "local",
        "trivial-rewrite",
        "anvil",
        "proxymap",
        "pickup",
        "bounce",
    ),
    "seawall": ("seawall.run.", "seawall\0serve"),
}


def processes(server: str) -> Iterator[int]:
    """The process ids of the server."""
    for place in Path("/proc").iterdir():
        if place.name.isdigit():
            with contextlib.suppress(OSError):
                name = (place / "comm").read_text().strip()
                line = (place / "cmdline").read_text()
                if (server == "postfix" and name in NAMES["postfix"]) or (
                    server == "seawall" and any(word in line for word in NAMES["seawall"])
                ):
                    yield int(place.name)


def cpu(server: str) -> float:
    """CPU seconds of the server so far, its ended children included."""
    ticks = 0
    for pid in processes(server):
        with contextlib.suppress(OSError):
            fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
            ticks += sum(map(int, fields[11:15]))
    return ticks / os.sysconf("SC_CLK_TCK")


def cpu_by_part(server: str) -> dict[str, float]:
    """The same, by program."""
    parts: dict[str, float] = {}
    for pid in processes(server):
        with contextlib.suppress(OSError):
            fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
            words = Path(f"/proc/{pid}/cmdline").read_text().split("\0")
            name = words[2] if server == "seawall" else words[0]
            parts[name] = parts.get(name, 0.0) + sum(map(int, fields[11:15])) / os.sysconf("SC_CLK_TCK")
    return parts


def memory(server: str) -> int:
    """Bytes that the server's processes hold, shared ones counted once (PSS)."""
    total = 0
    for pid in processes(server):
        with contextlib.suppress(OSError):
            for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
                if line.startswith("Pss:"):
                    total += int(line.split()[1]) * 1024
    return total


# ---- the measures -----------------------------------------------------------------------------------------------------


def generate(*words: str) -> dict[str, object]:
    """Run the generator."""
    done = subprocess.run([sys.executable, "-m", "bench.generator", *words], check=True, capture_output=True, text=True)
    found: dict[str, object] = json.loads(done.stdout)
    return found


def refusals(server: str, sessions: int, *, step: str, networks: int = 64, hosts: int = 250) -> dict[str, object]:
    """Sessions that end in 550 at RCPT."""
    words = [
        "--kind",
        step,
        "--recipient",
        "no-such-user@cape.com",
        "--networks",
        str(networks),
        "--hosts",
        str(hosts),
        "--parallel",
        PARALLEL,
    ]
    generate(*words, "--sessions", "500")  # processes started, tables read, code warm
    used = cpu(server)
    found = generate(*words, "--sessions", str(sessions), "--seconds", "60")
    found["server_cpu"] = cpu(server) - used
    return found


def new_mail() -> int:
    """Files in the users' Maildirs."""
    count = 0
    for user in USERS:
        with contextlib.suppress(OSError):
            count += len(os.listdir(f"/home/{user}/Maildir/new"))
    return count


def messages(server: str, sessions: int) -> dict[str, object]:
    """Messages accepted and lying fsynced in a Maildir."""
    recipients = [word for user in USERS for word in ("--recipient", f"{user}@cape.com")]
    words = ["--kind", "delivery", *recipients, "--parallel", PARALLEL, "--size", "4096"]
    generate(*words, "--sessions", "200")
    wait_for(lambda: new_mail() >= 200, 30, "the first messages lie there")
    used, begin = cpu(server), time.perf_counter()
    found = generate(*words, "--sessions", str(sessions), "--seconds", "120")
    wait_for(lambda: new_mail() >= 200 + sessions, 120, "all messages lie there")
    found["until_all_lie_there"] = time.perf_counter() - begin
    found["server_cpu"] = cpu(server) - used
    return found


def idle(server: str, connections: int) -> dict[str, object]:
    """Memory of connections that were greeted and say nothing."""
    wait_for(greets, 20, "greets")
    before = memory(server)
    held = [
        socket.create_connection(SERVER, 10, source_address=(source_address(number, 256), 0))
        for number in range(connections)
    ]
    for client in held:
        client.settimeout(20)
        if not client.recv(100).startswith(b"220"):
            raise BenchTrouble("a connection was not greeted")
    return {"connections": connections, "bytes": memory(server) - before, "before": before}


def main() -> int:
    """Start the server, measure, print."""
    parser = argparse.ArgumentParser()
    parser.add_argument("server", choices=sorted(START))
    parser.add_argument("measure", choices=("refusals", "returning", "pipelined", "one-network", "messages", "idle"))
    parser.add_argument("--count", type=int, required=True)
    given = parser.parse_args()
    configure()
    start_names()
    begin = time.perf_counter()
    START[given.server]()
    wait_for(greets, 60, f"{given.server} greets")
    started = time.perf_counter() - begin
    measures: dict[str, Callable[[], dict[str, object]]] = {
        "refusals": lambda: refusals(given.server, given.count, step="refusal"),
        "returning": lambda: refusals(given.server, given.count, step="refusal", hosts=8),
        "pipelined": lambda: refusals(given.server, given.count, step="pipelined"),
        "one-network": lambda: refusals(given.server, given.count, step="refusal", networks=1),
        "messages": lambda: messages(given.server, given.count),
        "idle": lambda: idle(given.server, given.count),
    }
    found = measures[given.measure]()
    found["start"] = started
    found["parts"] = cpu_by_part(given.server)
    json.dump(found, sys.stdout)
    return 0


if __name__ == "__main__":
    sys.exit(main())
