import asyncio
import os
import re
import signal
import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from seawall.clock import SystemClock
from seawall.delivery.batches import Batches
from seawall.delivery.maildir import Maildirs
from seawall.delivery.rounds import Order, Rounds, Target
from seawall.linux.identity import Borrower, Identity
from seawall.mail.outcome import Delivered
from tests.delivery.world import message

HEAD = b"Return-Path: <>\n"


def target(path: Path) -> Target:
    return Target(f"{path}/", Identity(os.geteuid(), os.getegid()), HEAD, 0, "local")


async def deliver_until_killed(base: Path, step: str, count: int, acknowledge: int) -> None:
    """In a child: deliver to two Maildirs, several messages at once, acknowledging each; die at the `count`-th `step`."""
    left = [count]

    def at(name: str) -> None:
        if name == step:
            left[0] -= 1
            if left[0] == 0:
                os.kill(os.getpid(), signal.SIGKILL)

    rounds = Rounds(Borrower(), Maildirs("mx", at), SystemClock())

    async def send(number: int) -> None:
        mail = message("a@x", "b@x", content=b"%d\n" % number)
        outcomes = await rounds.deliver(Order(mail, (target(base / "a"), target(base / "b"))))
        assert outcomes is not None
        assert all(isinstance(outcome, Delivered) for outcome in outcomes)
        os.write(acknowledge, b"%d\n" % number)

    for start in range(0, 100, 5):
        await asyncio.gather(*(send(number) for number in range(start, start + 5)))


@pytest.mark.parametrize("step", ["created", "written", "synced", "renamed", "settled"])
@pytest.mark.parametrize("count", [1, 13, 40])
def test_a_kill_at_any_step_of_a_batch_loses_nothing_that_was_acknowledged(
    tmp_path: Path, step: str, count: int
) -> None:
    read_end, write_end = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            asyncio.run(deliver_until_killed(tmp_path, step, count, write_end))
        finally:
            os._exit(1)
    os.close(write_end)
    with os.fdopen(read_end, "rb") as acknowledged:
        wanted = {HEAD + number + b"\n" for number in acknowledged.read().split()}
    _, status = os.waitpid(pid, 0)
    assert os.WIFSIGNALED(status)
    assert len(wanted) == 0 or count > 1
    for name in ("a", "b"):
        new = tmp_path / name / "new"
        found = [path.read_bytes() for path in new.iterdir()] if new.exists() else []
        assert wanted <= set(found)
        assert all(re.fullmatch(HEAD + rb"\d+\n", mail) for mail in found), "a mail in new/ is whole"


async def test_no_file_of_a_batch_is_renamed_before_all_are_synced(tmp_path: Path) -> None:
    steps: list[str] = []
    rounds = Rounds(Borrower(), Maildirs("mx", steps.append), SystemClock())
    mail = message("a@x", "b@x", "c@x")
    try:
        await rounds.deliver(Order(mail, tuple(target(tmp_path / name) for name in "abc")))
    finally:
        rounds.close()
    assert steps == ["created", "written"] * 3 + ["synced"] * 3 + ["renamed"] * 3 + ["settled"] * 3


async def test_what_waits_for_the_same_disk_is_done_together() -> None:
    started, go_on = threading.Event(), threading.Event()
    batches: list[list[int]] = []

    def work(items: Sequence[int]) -> list[int]:
        batches.append(list(items))
        started.set()
        go_on.wait(10)
        return [item * 2 for item in items]

    with ThreadPoolExecutor(2) as pool:
        made = Batches(work, pool, side_by_side=1, most=3)
        first = asyncio.ensure_future(made.run("disk", 1))
        await asyncio.to_thread(started.wait, 10)
        others = asyncio.gather(*(made.run("disk", number) for number in range(2, 7)))
        await asyncio.sleep(0)
        go_on.set()
        assert [await first, *await others] == [2, 4, 6, 8, 10, 12]
    assert batches == [[1], [2, 3, 4], [5, 6]]


async def test_a_disk_that_hangs_does_not_hold_up_another() -> None:
    go_on = threading.Event()

    def work(items: Sequence[str]) -> Sequence[str]:
        if "slow" in items:
            go_on.wait(10)
        return items

    with ThreadPoolExecutor(4) as pool:
        made = Batches(work, pool)
        slow = asyncio.ensure_future(made.run(1, "slow"))
        assert await made.run(2, "good") == "good"
        go_on.set()
        assert await slow == "slow"


async def test_a_batch_that_fails_tells_everybody_who_waits() -> None:
    def work(items: Sequence[int]) -> list[int]:
        raise OSError(5, "disk")

    with ThreadPoolExecutor(1) as pool:
        made: Batches[int, int] = Batches(work, pool)
        for told in await asyncio.gather(*(made.run(1, n) for n in range(3)), return_exceptions=True):
            assert isinstance(told, OSError)
