"""Questions a second to a name server on this host: our resolver beside libresolv's res_query(3), as smtpd(8) calls it.

The server is nsd in a box, which says NXDOMAIN for an hour to every question.  Postfix asks one question at a time and keeps
no answers; ours may have many in flight, and keeps them.  CPU is that of the asking process.
"""

from __future__ import annotations

import argparse
import asyncio
import ctypes
import inspect
import json
import resource
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import uvloop

from seawall.dns.resolv_conf import read_resolv_conf
from seawall.dns.resolver import Resolver

CHECKOUT = Path(__file__).resolve().parent.parent
QUESTIONS = 40_000
AT_ONCE = 200
MOST_NAMES = 10_000
"""Different names, so that the cache holds them all."""
IN, PTR = 1, 12


def name(number: int) -> str:
    """Of an address that has no name."""
    return f"{number % 250}.{number // 250}.19.198.in-addr.arpa"


def processor_seconds() -> float:
    """CPU of this process."""
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


def timed(work: Callable[[], None]) -> tuple[float, float]:
    """Seconds on the clock, and of CPU."""
    used, begin = processor_seconds(), time.perf_counter()
    work()
    return time.perf_counter() - begin, processor_seconds() - used


def theirs(count: int) -> None:
    """As smtpd(8) does: one process, one question after the other."""
    query = ctypes.CDLL("libresolv.so.2").res_query
    answer = ctypes.create_string_buffer(4096)
    for number in range(count):
        query(name(number).encode(), IN, PTR, answer, len(answer))


async def ask_all(resolver: Resolver, count: int, at_once: int, names: int) -> None:
    """Every question once, some at a time."""
    numbers = iter(range(count))

    async def some() -> None:
        for number in numbers:
            answer = resolver.ask(name(number % names), "PTR")
            if inspect.isawaitable(answer):
                await answer

    await asyncio.gather(*(some() for _ in range(at_once)))


def ours(count: int, at_once: int, names: int) -> None:
    """Our resolver on uvloop."""

    async def work() -> None:
        resolver = Resolver(read_resolv_conf())
        await ask_all(resolver, count, at_once, names)
        resolver.close()

    uvloop.run(work())


KINDS: dict[str, Callable[[int], None]] = {
    "libresolv": theirs,
    "one at a time": lambda count: ours(count, 1, count),
    "200 at once": lambda count: ours(count, AT_ONCE, count),
    "cached": lambda count: ours(count, AT_ONCE, min(MOST_NAMES, count // 10)),
}


def inside(count: int) -> None:
    """In the box: seconds and CPU seconds of each kind, as JSON."""
    from bench.inside import configure, start_names  # lays out a box: nothing for the host

    configure()
    start_names()
    theirs(count // 10)  # the server is warm
    json.dump({kind: timed(partial(work, count)) for kind, work in KINDS.items()}, sys.stdout)


def measure(count: int) -> Iterator[tuple[str, float, float]]:
    """Figures of both: what, Postfix's, ours."""
    box = [sys.executable, "-m", "tests.box", "run", "--", "python", "-m", "bench.dns", "--inside"]
    done = subprocess.run([*box, "--count", str(count)], cwd=CHECKOUT, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"bench.dns failed:\n{done.stdout}{done.stderr}")
    found: dict[str, tuple[float, float]] = json.loads(done.stdout.strip().splitlines()[-1])
    wall, cpu = found.pop("libresolv")
    for kind, (seconds, used) in found.items():
        shown = "DNS questions, one in ten new" if kind == "cached" else f"DNS questions, all new, {kind}"
        yield f"{shown}, a second", count / wall, count / seconds
        yield f"{shown}, per CPU second", count / cpu, count / used


def main() -> None:
    """Print the figures."""
    parser = argparse.ArgumentParser(prog="bench.dns", description=__doc__)
    parser.add_argument("--count", type=int, default=QUESTIONS, help="questions in each measurement")
    parser.add_argument("--inside", action="store_true", help="be in the box already")
    given = parser.parse_args()
    if given.inside:
        inside(given.count)
        return
    print(f"{'':<52}{'libresolv':>12}{'Seawall':>12}")
    for what, postfix, seawall in measure(given.count):
        print(f"  {what:<50}{postfix:>12,.0f}{seawall:>12,.0f}{seawall / postfix:>8.1f} x", flush=True)


if __name__ == "__main__":
    main()
