"""`make bench`: Seawall beside Debian's Postfix, the same work in the same run, each in a box of its own.  Prints tables."""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench import dns, flood, generator, policy, remote_tables, stores, verdicts

CHECKOUT = Path(__file__).resolve().parent.parent
SERVERS = ("postfix", "seawall")
Found = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Row:
    """One line of a table: a figure of each server, and how many times better ours is."""

    what: str
    postfix: float
    seawall: float
    more_is_better: bool = True
    unit: str = ""

    def line(self) -> str:
        """Aligned for a terminal."""
        better = self.seawall / self.postfix if self.more_is_better else self.postfix / self.seawall
        return f"  {self.what:<92}{_number(self.postfix):>12}{_number(self.seawall):>12} {self.unit:<12}{better:6.1f} x"


def _number(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.2f}"


MOUNT = 'mkfs.ext4 -q -F "$1" && mount -o loop "$1" "$2" && shift 2 && exec "$@"'


def measure(server: str, what: str, count: int) -> Found:
    """Run one measurement in a fresh box on a fresh ext4 of its own.

    On a file system that has just seen many deletions ext4 creates files many times slower (it will not use a freed
    inode again for a minute), and whoever comes second would pay for what the first left.
    """
    place = Path(tempfile.mkdtemp(prefix="bench-", dir=CHECKOUT / ".cache"))
    disk, image = place / "disk", place / "image"
    disk.mkdir()
    with image.open("wb") as file:
        file.truncate(4 << 30)
    box = [
        sys.executable,
        "-m",
        "tests.box",
        "run",
        "--disk",
        str(disk),
        "--",
        "python",
        "-m",
        "bench.inside",
        server,
        what,
    ]
    words = ["unshare", "--mount", "sh", "-c", MOUNT, "bench", str(image), str(disk), *box, "--count", str(count)]
    try:
        done = subprocess.run(words, cwd=CHECKOUT, capture_output=True, text=True, check=False)
    finally:
        shutil.rmtree(place, ignore_errors=True)
    lines = done.stdout.strip().splitlines()
    if done.returncode or not lines:
        raise SystemExit(f"bench {server} {what} failed:\n{done.stdout}{done.stderr}")
    found: Found = json.loads(lines[-1])
    return found


def _per_second(what: str, found: dict[str, Found], generator: bool = True) -> list[str]:
    def wall(server: str) -> float:
        each = found[server]
        return float(each["done"]) / float(each["until_all_lie_there" if "until_all_lie_there" in each else "wall"])

    def per_cpu(server: str) -> float:
        return float(found[server]["done"]) / float(found[server]["server_cpu"])

    rows = [
        Row(f"{what}, a second", wall("postfix"), wall("seawall")),
        Row(f"{what}, per CPU second of the server", per_cpu("postfix"), per_cpu("seawall")),
    ]
    lines = [row.line() for row in rows]
    shares = ", ".join(
        f"{server} {float(found[server]['cpu']):.1f} s of {float(found[server]['wall']):.1f} s" for server in SERVERS
    )
    latency = ", ".join(f"{server} {1000 * float(found[server]['p99']):.0f} ms" for server in SERVERS)
    lost = ", ".join(f"{server} {found[server]['lost']}" for server in SERVERS)
    return [*lines, f"    (generator's CPU: {shares}; session p99: {latency}; sessions lost: {lost})"]


def _both(what: str, count: int) -> dict[str, Found]:
    return {server: measure(server, what, count) for server in SERVERS}


def refusals(scale: float) -> list[str]:
    """Sessions that end in 550 at RCPT."""
    lines = []
    for what, words in (
        ("refusals", "refused, a command at a time, every client new"),
        ("returning", "refused, a command at a time, 512 clients that come again"),
        ("pipelined", "refused, pipelined"),
        ("one-network", "refused, one network, a command at a time"),
    ):
        lines += _per_second(words, _both(what, int(20_000 * scale)))
    return lines


def messages(scale: float) -> list[str]:
    """Messages accepted and lying fsynced in a Maildir."""
    return _per_second("messages of 4 KiB in a Maildir", _both("messages", int(5_000 * scale)))


def judged(scale: float) -> list[str]:
    """Recipients judged, both configurations; then our judge alone."""
    lines = []
    for kind in verdicts.KINDS:
        found = verdicts.measure(kind, max(40, int(1_000 * scale)))
        lines += _per_second(f"verdicts, {kind.shown}", found)
        if not kind.cached:
            asked = ", ".join(f"{server} {float(found[server]['questions']):.1f}" for server in SERVERS)
            lines.append(f"    (questions to the name server in a session of {generator.VERDICTS} recipients: {asked})")
        if kind.letter == "b" and kind.remote:
            others = ", ".join(
                f"{server} {float(found[server]['policy_cpu']):.1f} s and {float(found[server]['postgres_cpu']):.1f} s"
                for server in SERVERS
            )
            lines.append(f"    (CPU of the policy service and of PostgreSQL, not counted above: {others})")
    with tempfile.TemporaryDirectory() as directory:
        alone = policy.a_second(Path(directory))
    return [*lines, *(f"  {what:<92}{'':>12}{_number(each):>12}" for what, each in alone)]


def names(scale: float) -> list[str]:
    """Questions to a name server on this host."""
    found = dns.measure(max(400, int(dns.QUESTIONS * scale)))
    return [Row(what, theirs, ours).line() for what, theirs, ours in found]


def tables(scale: float) -> list[str]:
    """Questions to PostgreSQL."""
    found = remote_tables.measure(max(320, int(remote_tables.COUNT * scale)))
    return [Row(what, theirs, ours).line() for what, theirs, ours in found]


def idle(scale: float) -> list[str]:
    """Memory of idle connections.  A Postfix connection is a process, and its limit here is 200 of them."""
    ours, theirs = measure("seawall", "idle", int(10_000 * scale)), measure("postfix", "idle", 150)
    row = Row(
        "memory of an idle connection",
        float(theirs["bytes"]) / float(theirs["connections"]) / 1024,
        float(ours["bytes"]) / float(ours["connections"]) / 1024,
        more_is_better=False,
        unit="KiB",
    )
    total = (float(ours["bytes"]) + float(ours["before"])) / 2**20
    start = Row("from start to the first greeting", theirs["start"], ours["start"], more_is_better=False, unit="s")
    held = f"    (held: seawall {ours['connections']:,}, with {total:,.0f} MiB in all; postfix {theirs['connections']}, its limit is 200)"
    return [row.line(), held, start.line()]


def kept(scale: float) -> list[str]:
    """A million greylist triplets and passed clients; postgrey beside it."""
    return stores.measure(max(1000, int(stores.ROWS * scale)), max(100, int(stores.QUESTIONS * scale)))


MEASURES = {
    "refusals": refusals,
    "messages": messages,
    "idle": idle,
    "verdicts": judged,
    "dns": names,
    "tables": tables,
    "stores": kept,
}


def main() -> int:
    """Measure what is named, or everything; `flood` has options of its own."""
    if sys.argv[1:2] == ["flood"]:
        return flood.main(sys.argv[2:])
    parser = argparse.ArgumentParser(prog="bench", description=__doc__)
    parser.add_argument("what", nargs="*", choices=[*MEASURES, []], default=[], help="default: all")
    parser.add_argument("--scale", type=float, default=1.0, help="a fraction of the usual work, for a quick look")
    given = parser.parse_args()
    print(f"  {'':<92}{'Postfix':>12}{'Seawall':>12} {'':<12}better")
    for name in given.what or MEASURES:
        for line in MEASURES[name](given.scale):
            print(line, flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
