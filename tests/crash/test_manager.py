"""Invariant: a queue manager that is stopped at any system call, and starts again on what the crash left, ends with everybody served.

Each recipient has the mail, or its sender was told; what local(8) forwarded exists; nothing stays in the queue for ever.
Twice is allowed where docs/spool.md says so, never is not.
"""

import asyncio
import contextlib

import pytest

from seawall.mail.envelope import Envelope, Recipient
from seawall.mail.message import Message
from seawall.mail.outcome import Bounced, Deferred, Delivered, Forward
from tests.crash.common import PLACES, message, new_disk, ruins
from tests.crash.model_disk import ModelDisk, Stopped
from tests.spool.world import SENT, World

LATER = Deferred(status="4.2.2", text="mailbox full", relay="local")
NEVER = Bounced(status="5.1.1", text="unknown user", relay="local")


def prepare(world: World) -> None:
    """r0 is delivered at once, r1 at the second attempt, r2 never, r3 is an alias."""
    world.agents.script = {"r1@b.example": [LATER, SENT], "r2@b.example": [NEVER]}
    world.agents.forwards["r3@b.example"] = (Forward("ann@a.example", (Recipient("x@c.example"),), "r3@b.example"),)


async def drive(world: World, items: list[Message]) -> None:
    """A whole life: recover, deliver, wait, deliver again."""
    manager = world.start()
    await manager.recover()
    for item in items:
        manager.announce(item.queue_id)
    for _ in range(4):
        await settle(world)
        world.clock.time += 5000
        await manager.queue_run()
    await settle(world)


async def settle(world: World) -> None:
    """As `quiet`, but ends where the disk has stopped the program."""
    assert world.manager is not None
    while (world.manager.active or world.manager._tasks) and not world.disk.stopped:
        await asyncio.sleep(0)


async def until_stopped(world: World, items: list[Message]) -> None:
    """`drive`, and no task left behind, wherever the disk stops the program."""
    asyncio.get_running_loop().set_exception_handler(lambda *_: None)
    with contextlib.suppress(Stopped):
        await drive(world, items)
    left = asyncio.all_tasks() - {asyncio.current_task()}
    for task in left:
        task.cancel()
    await asyncio.gather(*left, return_exceptions=True)


def run(world: World, items: list[Message]) -> None:
    asyncio.run(until_stopped(world, items))


def only_never() -> Message:
    """A message for r2 alone, who is unknown."""
    item = message(3, recipients=3)
    envelope = Envelope(item.envelope.sender, item.envelope.recipients[2:], item.envelope.origin)
    return Message(item.queue_id, item.arrived, envelope, item.content)


def start_with_mail(stop_after: int | None) -> tuple[World, list[Message]]:
    disk = new_disk()
    world = World(disk=disk)
    prepare(world)
    items = [message(1, recipients=4), message(2), only_never()]
    for item in items:
        world.files.store(item)
    disk.stop_at = None if stop_after is None else len(disk.calls) + stop_after
    return world, items


def calls_of_a_whole_life() -> int:
    world, items = start_with_mail(None)
    before = len(world.disk.calls)
    run(world, items)
    assert world.queue() == []
    return len(world.disk.calls) - before


def served(worlds: list[World]) -> set[tuple[str, str]]:
    return {delivery for world in worlds for delivery in world.agents.delivered}


def check(first: World, ruin: ModelDisk) -> None:
    second = World(disk=ruin)
    prepare(second)
    second.clock.time = first.clock.time + 10
    second.ids.next(second.clock.time)
    run(second, [])
    everything = served([first, second])
    for recipient in ("r0@b.example", "r1@b.example", "r3@b.example"):
        assert ("Subject: 1", recipient) in everything
    assert ("Subject: 2", "r0@b.example") in everything
    assert ("Delivered-To: r3@b.example", "x@c.example") in everything, "a forwarded message is lost"
    for number in (1, 3):
        told = (f"report on {message(number).queue_id}", "ann@a.example")
        assert told in everything, "the sender was not told of a bounce"
    assert ruin.names(PLACES.queue) == []
    assert ruin.names(PLACES.corrupt) == []


@pytest.mark.parametrize("part", range(4))
def test_a_manager_that_is_stopped_anywhere_loses_nobody(part: int) -> None:
    for calls in range(part, calls_of_a_whole_life() + 1, 4):
        world, items = start_with_mail(calls)
        run(world, items)
        for ruin in ruins(world.disk):
            check(world, ruin)


def test_without_a_crash_nobody_is_served_twice() -> None:
    world, items = start_with_mail(None)
    run(world, items)
    assert len(world.agents.delivered) == len(served([world]))
    assert isinstance(SENT, Delivered)
