"""pgsql look-ups a second: through Postfix's proxymap(8), and through ours, with 1 and with 16 askers at once.

Postfix's askers are `postmap -q - proxy:pgsql:…` processes, each with its keys on standard input, so that starting them
counts for little; each has a proxymap process to itself.  Ours are coroutines in one process, as the sessions of one
worker are, over that process's connections.  Same PostgreSQL, same table, same keys, none asked twice at the same time.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import resource
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from tests import peers
from tests.box import Box
from tests.box_postgres import BoxPostgres

from seawall.tables.registry import Tables

ROWS = 10_000
COUNT = 20_000
WHO = (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
ASKERS = (1, 16)
SPEC = "proxy:pgsql:/etc/postfix/aliases.cf"
MAIN_CF = f"compatibility_level = 3.6\nvirtual_alias_maps = {SPEC}\n"
TABLE_CF = """\
hosts = unix:/run/postgresql
user = mail
dbname = mail
query = SELECT goto FROM aliases WHERE address = '%s'
"""
TABLES = f"""\
CREATE TABLE aliases (address text PRIMARY KEY, goto text);
INSERT INTO aliases SELECT 'user' || n || '@example.com', 'box' || n || '@example.org' FROM generate_series(0, {ROWS - 1}) AS n;
ANALYZE aliases;
"""


def keys_of(asker: int, askers: int, count: int) -> list[str]:
    """What one asker asks: half of it is there."""
    return [f"user{(asker + askers * number) % (2 * ROWS)}@example.com" for number in range(count // askers)]


def theirs(askers: int, count: int) -> float:
    """Seconds that the postmap processes take."""
    texts = ["".join(f"{key}\n" for key in keys_of(asker, askers, count)).encode() for asker in range(askers)]
    began = time.monotonic()
    running = [
        subprocess.Popen(["postmap", "-q", "-", SPEC], stdin=subprocess.PIPE, stdout=subprocess.DEVNULL) for _ in texts
    ]
    for process, text in zip(running, texts, strict=True):
        if process.stdin is not None:
            process.stdin.write(text)  # below the size of a pipe's buffer for all but the first
            process.stdin.close()
    for process in running:
        if process.wait(600):
            raise RuntimeError("postmap failed")
    return time.monotonic() - began


async def ask(tables: Tables, keys: Sequence[str]) -> None:
    table = tables.open(SPEC)
    for key in keys:
        answer = table.lookup(key)
        if not (answer is None or isinstance(answer, str)):
            await answer


async def ours(askers: int, count: int) -> float:
    """Seconds that the coroutines take."""
    tables = Tables()
    began = time.monotonic()
    await asyncio.gather(*(ask(tables, keys_of(asker, askers, count)) for asker in range(askers)))
    took = time.monotonic() - began
    tables.close()
    return took


def processor_seconds() -> float:
    """What this process, its ended children and all proxymap processes have used."""
    used = sum(resource.getrusage(who).ru_utime + resource.getrusage(who).ru_stime for who in WHO)
    for entry in Path("/proc").iterdir():
        try:
            name, _, rest = (entry / "stat").read_text().partition("(")[2].rpartition(")")
        except OSError:
            continue
        if name == "proxymap":
            used += sum(map(int, rest.split()[11:13])) / os.sysconf("SC_CLK_TCK")
    return used


def inside(who: str, askers: int, count: int) -> tuple[float, float]:
    """In the box: look-ups a second, and look-ups a second of processor time, PostgreSQL's own not counted."""
    before = processor_seconds()
    if who == "theirs":
        seconds = theirs(askers, count)
    else:
        import uvloop  # only this side of the bench needs it

        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            seconds = runner.run(ours(askers, count))
    return count / seconds, count / (processor_seconds() - before)


def measure(count: int) -> Iterator[tuple[str, float, float]]:
    """Figures of both: what, Postfix's, ours."""
    with Box() as box, BoxPostgres(box) as database:
        database.sql(TABLES)
        box.write("/etc/postfix/main.cf", MAIN_CF)
        box.write("/etc/postfix/aliases.cf", TABLE_CF)
        box.start_postfix()
        path = f"PYTHONPATH={peers.CHECKOUT}:{peers.CHECKOUT}/src"
        for askers in ASKERS:
            found = [
                box.run(
                    *("env", path, sys.executable, "-m", "bench.remote_tables", "--inside", who),
                    *("--askers", str(askers), "--count", str(count)),
                    timeout=600,
                ).out.split()
                for who in ("theirs", "ours")
            ]
            shown = f"pgsql look-ups, {askers} asker{'s at once' if askers > 1 else ''}"
            for what, postfix, seawall in zip(("a second", "per CPU second"), *found, strict=True):
                yield f"{shown}, {what}", float(postfix), float(seawall)


def main(arguments: Sequence[str]) -> int:
    """Print both and the ratio."""
    parser = argparse.ArgumentParser(prog="bench.remote_tables", description=__doc__)
    parser.add_argument("--count", type=int, default=COUNT, help="look-ups in each measurement")
    parser.add_argument("--inside", choices=("theirs", "ours"))
    parser.add_argument("--askers", type=int, default=1)
    given = parser.parse_args(arguments)
    if given.inside:
        print(*inside(given.inside, given.askers, given.count))
        return 0
    print(f"{'':<52}{'Postfix':>12}{'Seawall':>12}")
    for what, postfix, seawall in measure(given.count):
        print(f"  {what:<50}{postfix:>12,.0f}{seawall:>12,.0f}{seawall / postfix:>8.1f} x", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
