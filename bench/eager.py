"""What a step of a dialogue costs: driven by hand (`run_eagerly`), as a task, or as a plain call.  On uvloop."""

from __future__ import annotations

import asyncio
import time

import uvloop

from seawall.eager import run_eagerly

ROUNDS = 200_000


async def judge(answer: int) -> int:
    """A check that asks nobody."""
    return answer


async def step(answer: int) -> int:
    """A command that is judged twice."""
    return await judge(answer) + await judge(1)


def nothing(result: int) -> None:
    """The edge's continuation."""


async def measure() -> dict[str, float]:
    """Microseconds a step, by way."""
    loop = asyncio.get_running_loop()
    found = {}
    begin = time.perf_counter()
    for number in range(ROUNDS):
        run_eagerly(step(number), nothing)
    found["run_eagerly"] = (time.perf_counter() - begin) / ROUNDS * 1e6
    begin = time.perf_counter()
    for number in range(ROUNDS):
        await loop.create_task(step(number))
    found["a task a step"] = (time.perf_counter() - begin) / ROUNDS * 1e6
    return found


def main() -> None:
    """Print the table."""
    for way, cost in uvloop.run(measure()).items():
        print(f"{way:<16} {cost:6.2f} µs a step")


if __name__ == "__main__":
    main()
