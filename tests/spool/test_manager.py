"""The queue manager: what it does with mail, and in which order it writes that down."""

from dataclasses import replace

import msgspec
import pytest

from seawall.mail.envelope import Notify, Recipient
from seawall.mail.message import Message
from seawall.mail.outcome import Bounced, Deferred, Delivered, Forward
from seawall.mail.reply import Reply
from seawall.spool.control import Control, Request
from tests.crash.common import ARRIVED, PLACES, message
from tests.spool.world import SENT, Way, World

LATER = Deferred(status="4.2.2", text="mailbox full", relay="local")
NEVER = Bounced(status="5.1.1", text='unknown user: "r0"', relay="local")
DOWN = Deferred(status="4.4.1", text="connect to mx: Connection refused", site_down=True)


def to(item: Message, *recipients: Recipient, sender: str = "ann@a.example") -> Message:
    fields = {name: getattr(item.envelope, name) for name in item.envelope.__struct_fields__}
    envelope = type(item.envelope)(**{**fields, "recipients": recipients, "sender": sender})
    return Message(item.queue_id, item.arrived, envelope, item.content)


async def test_delivered_mail_is_logged_as_postfix_does_and_removed() -> None:
    world = World()
    item = message(1)
    await world.send(item)
    assert world.queue() == []
    assert world.lines() == [
        f"{item.queue_id}: from=<ann@a.example>, size=18, nrcpt=1 (queue active)",
        f"{item.queue_id}: to=<r0@b.example>, relay=local, delay=0, delays=0/0/0/0, dsn=2.0.0, status=sent (delivered to maildir)",
        f"{item.queue_id}: removed",
    ]


async def test_the_removal_is_durable_before_it_is_told() -> None:
    world = World()
    await world.send(message(1))
    assert world.disk.calls[-2:] == ["unlink", "fsync folder"]


async def test_a_deferred_recipient_waits_as_long_as_the_message_is_old() -> None:
    world = World()
    world.agents.script["r0@b.example"] = [LATER, LATER, LATER, SENT]
    item = message(1)
    await world.send(item)
    assert len(world.agents.jobs) == 1
    await world.later(299)
    assert len(world.agents.jobs) == 1
    await world.later(1)
    assert len(world.agents.jobs) == 2, "minimal_backoff_time"
    await world.later(300)
    assert len(world.agents.jobs) == 3
    await world.later(599)
    assert len(world.agents.jobs) == 3, "the age doubles"
    await world.later(1)
    assert world.agents.delivered == [("Subject: 1", "r0@b.example")]
    assert world.queue() == []


async def test_only_those_who_are_left_are_tried_again() -> None:
    world = World()
    world.agents.script["r1@b.example"] = [LATER, SENT]
    await world.send(message(1, recipients=3))
    await world.later(300)
    assert [recipient for _, recipient in world.agents.delivered] == ["r0@b.example", "r2@b.example", "r1@b.example"]


async def test_a_manager_that_starts_anew_knows_who_has_it_already() -> None:
    world = World()
    world.agents.script["r1@b.example"] = [LATER, SENT]
    item = message(1, recipients=2)
    await world.send(item)
    manager = world.start()
    await manager.recover()
    await manager.quiet()
    assert len(world.agents.jobs) == 1, "not before its time"
    await world.later(300)
    assert [recipient for _, recipient in world.agents.delivered] == ["r0@b.example", "r1@b.example"]


async def test_a_bounce_goes_to_the_sender_and_is_durable_before_the_original_goes() -> None:
    world = World()
    world.agents.script["r0@b.example"] = [NEVER]
    item = message(1)
    await world.send(item)
    (report,) = world.taken
    assert report.envelope.sender == ""
    assert [recipient.address for recipient in report.envelope.recipients] == ["ann@a.example"]
    assert b"Action: failed\nStatus: 5.1.1\n" in report.content.memory
    lines = world.lines()
    told = lines.index(f"{item.queue_id}: sender non-delivery notification: {report.queue_id}")
    assert told < lines.index(f"{item.queue_id}: removed")
    assert world.queue() == []


async def test_an_undeliverable_bounce_is_dropped_without_a_word_to_anybody() -> None:
    world = World()
    world.agents.script["ann@a.example"] = [NEVER]
    await world.send(to(message(1), Recipient("ann@a.example"), sender=""))
    assert world.taken == []
    assert world.queue() == []


async def test_two_bounce_notices_go_to_the_postmaster_where_notify_classes_says_so() -> None:
    world = World("notify_classes = 2bounce\n")
    world.agents.script["ann@a.example"] = [NEVER]
    world.agents.script["postmaster"] = [NEVER]
    await world.send(to(message(1), Recipient("ann@a.example"), sender=""))
    (notice,) = world.taken
    assert notice.envelope.sender == "double-bounce@mx.example.org"
    assert any("undeliverable postmaster notification discarded" in line for line in world.lines())
    assert world.queue() == []


async def test_a_report_that_cannot_be_stored_keeps_the_message() -> None:
    world = World()
    world.agents.script["r0@b.example"] = [NEVER]
    world.intake_reply = Reply(452, "4.3.1", "Insufficient system storage")
    item = message(1)
    await world.send(item)
    assert world.queue() == [item.queue_id]
    world.intake_reply = None
    await world.later(300)
    assert len(world.taken) == 1
    assert len(world.agents.jobs) == 2, "the recipient once, the report once"
    assert world.queue() == []


@pytest.mark.parametrize(("lifetime", "sender", "tries"), [("0", "", 1), ("0", "ann@a.example", 2), ("600s", "", 3)])
async def test_old_mail_is_returned(lifetime: str, sender: str, tries: int) -> None:
    world = World(f"bounce_queue_lifetime = {lifetime}\nmaximal_queue_lifetime = 300s\n")
    world.agents.script["r0@b.example"] = [LATER]
    item = to(message(1), Recipient("r0@b.example"), sender=sender)
    await world.send(item)
    for _ in range(4):
        await world.later(300)
    assert len([job for job in world.agents.jobs if job.queue_id == item.queue_id]) == tries
    assert f"{item.queue_id}: from=<{sender}>, status=expired, returned to sender" in world.lines()
    assert len(world.taken) == (1 if sender else 0)


async def test_a_delay_is_told_once() -> None:
    world = World("delay_warning_time = 400s\n")
    world.agents.script["r0@b.example"] = [LATER]
    await world.send(message(1))
    assert world.taken == []
    for _ in range(8):
        await world.later(300)
    assert len(world.taken) == 1
    assert b"Will-Retry-Until:" in world.taken[0].content.memory


async def test_success_is_told_to_who_asked() -> None:
    world = World()
    asks = Recipient("r0@b.example", notify=Notify.SUCCESS.value)
    await world.send(to(message(1), asks, Recipient("r1@b.example")))
    (report,) = world.taken
    assert b"Action: delivered\n" in report.content.memory
    assert b"r1@b.example" not in report.content.memory
    assert world.queue() == []


async def test_notify_never_is_never() -> None:
    world = World()
    world.agents.script["r0@b.example"] = [NEVER]
    await world.send(to(message(1), Recipient("r0@b.example", notify=Notify.NEVER.value)))
    assert world.taken == []
    assert world.queue() == []


async def test_a_forward_is_durable_before_the_original_is_done() -> None:
    world = World()
    world.agents.forwards["r0@b.example"] = (Forward("owner@b.example", (Recipient("x@c.example"),), "r0@b.example"),)
    await world.send(message(1))
    (forwarded,) = world.taken
    assert forwarded.envelope.sender == "owner@b.example"
    assert forwarded.content.memory.startswith(b"Delivered-To: r0@b.example\nSubject: 1\n")
    assert ("Delivered-To: r0@b.example", "x@c.example") in world.agents.delivered


async def test_a_forward_is_logged_with_the_queue_id_that_it_got() -> None:
    world = World()
    world.agents.script["r0@b.example"] = [Delivered(status="2.0.0", text="", relay="local")]
    world.agents.forwards["r0@b.example"] = (Forward("a@b.example", (Recipient("x@c.example"),)),)
    await world.send(message(1))
    (forwarded,) = world.taken
    (line,) = [line for line in world.lines() if "to=<r0@b.example>" in line]
    assert line.endswith(f"dsn=2.0.0, status=sent (forwarded as {forwarded.queue_id})")


async def test_the_headers_of_a_strangers_mail_stay_as_they_are_when_it_is_forwarded() -> None:
    world = World()
    world.agents.forwards["r0@b.example"] = (Forward("a@b.example", (Recipient("x@c.example"),)),)
    await world.send(message(1))
    assert not world.taken[0].envelope.origin.is_local


async def test_every_end_of_an_alias_has_a_log_line_and_every_failure_a_place_in_the_report() -> None:
    world = World()
    ends = [Recipient(f"{name}@b.example", "r0@b.example") for name in ("ann", "nemo")]
    world.agents.script["r0@b.example"] = [
        Bounced(
            status="5.6.0",
            text="data format error",
            relay="local",
            also=(
                Delivered(status="2.0.0", text="delivered to maildir", relay="local", final=ends[0]),
                Bounced(status="5.1.1", text="unknown user", relay="local", final=ends[1]),
            ),
        )
    ]
    await world.send(message(1))
    lines = [line for line in world.lines() if " relay=local" in line and "to=<a@a.example>" not in line]
    assert [line.partition(": ")[2].partition(",")[0] for line in lines][:3] == [
        "to=<ann@b.example>",
        "to=<nemo@b.example>",
        "to=<r0@b.example>",
    ]
    assert "orig_to=<r0@b.example>" in lines[0]
    text = world.taken[0].content.memory
    assert b"<nemo@b.example> (expanded from <r0@b.example>): unknown user" in text
    assert b"<r0@b.example>: data format error" in text
    assert b"ann@b.example" not in text


async def test_the_owner_of_an_alias_is_told_in_the_senders_place() -> None:
    world = World()
    world.agents.script["r0@b.example"] = [
        Bounced(status="5.6.0", text="data format error", relay="local", tell="owner-list@b.example")
    ]
    world.agents.script["r1@b.example"] = [NEVER]
    await world.send(message(1, recipients=2))
    told = {item.envelope.recipients[0].address: item.content.memory for item in world.taken}
    assert len(told) == 2
    assert b"data format error" in told["owner-list@b.example"]
    assert b"data format error" not in told[next(who for who in told if who != "owner-list@b.example")]


async def test_a_redirect_keeps_the_original_of_the_recipient_that_sorts_first() -> None:
    world = World()
    item = to(message(1), Recipient("z@b.example", "z@b.example"), Recipient("c@b.example", "c@b.example"))
    await world.send(replace(item, envelope=msgspec.structs.replace(item.envelope, redirect="me@b.example")))
    (job,) = world.agents.jobs
    assert job.recipients == (Recipient("me@b.example", "c@b.example"),)
    assert world.queue() == []


async def test_a_forward_that_cannot_be_stored_defers_the_recipient() -> None:
    world = World()
    world.agents.forwards["r0@b.example"] = (Forward("o@b.example", (Recipient("x@c.example"),)),)
    world.intake_reply = Reply(452, "4.3.1", "Insufficient system storage")
    item = message(1)
    await world.send(item)
    assert world.queue() == [item.queue_id]
    assert any("status=deferred (cannot forward: 452 4.3.1" in line for line in world.lines())


async def test_routes_decide_transport_and_trouble() -> None:
    world = World("defer_transports = hold\n")
    world.routes.ways = {
        "r0@b.example": Way("smtp", "[mx]", "r0@c.example"),
        "r1@b.example": Way("", "", "", "map trouble", has_failed=True),
        "r2@b.example": Way("", "", "r2@b.example", is_malformed=True),
        "r3@b.example": Way("hold", "x", "r3@b.example"),
    }
    await world.send(message(1, recipients=4))
    (job,) = [job for job in world.agents.jobs if job.transport == "smtp"]
    assert (job.nexthop, job.recipients[0].address, job.recipients[0].original) == (
        "[mx]",
        "r0@c.example",
        "r0@b.example",
    )
    lines = "\n".join(world.lines())
    assert "to=<r0@c.example>, orig_to=<r0@b.example>, relay=local" in lines
    assert "dsn=4.3.0, status=deferred (address resolver failure)" in lines
    assert "dsn=5.1.3, status=bounced (bad address syntax)" in lines
    assert "dsn=4.3.2, status=deferred (deferred transport)" in lines


async def test_a_dead_next_hop_is_not_tried_for_every_message() -> None:
    world = World("initial_destination_concurrency = 1\n")
    for at in range(3):
        world.routes.ways[f"r{at}@b.example"] = Way("smtp", "mx.down", f"r{at}@b.example")
        world.agents.script[f"r{at}@b.example"] = [DOWN]
    first, second = message(1), to(message(2), Recipient("r1@b.example"))
    await world.send(first)
    await world.send(second)
    assert len(world.agents.jobs) == 1
    assert (
        f"{second.queue_id}: to=<r1@b.example>, relay=none, delay=0, delays=0/0/0/0, dsn=4.4.1, status=deferred (connect to mx: Connection refused)"
        in world.lines()
    )


async def test_an_agent_that_fails_defers() -> None:
    class Broken:
        async def deliver(self, job: object) -> object:
            raise ValueError("defect")

    world = World()
    manager = world.start()
    manager.deliveries._deliverer = Broken()
    item = message(1)
    await world.send(item)
    assert world.queue() == [item.queue_id]
    assert any("status=deferred (unknown mail transport error)" in line for line in world.lines())


async def test_a_damaged_file_is_put_aside_and_named() -> None:
    world = World()
    item = message(1)
    world.files.store(item)
    world.disk._inode(f"{PLACES.queue}/{item.queue_id}").data = b"junk"
    manager = world.start()
    await manager.recover()
    assert world.queue() == []
    assert world.disk.names(PLACES.corrupt) == [item.queue_id]
    assert world.lines() == [f'warning: saving corrupt file "{item.queue_id}" to queue "corrupt": not a queue file']


async def test_mail_that_nobody_announced_is_found() -> None:
    world = World()
    world.start()
    item = message(1)
    world.disk.now = ARRIVED
    world.files.store(item)
    await world.later(30)
    assert world.agents.jobs == []
    await world.later(60)
    assert len(world.agents.delivered) == 1


async def test_a_failed_fsync_makes_the_file_anew() -> None:
    world = World()
    world.agents.script["r0@b.example"] = [LATER, SENT]
    item = message(1, recipients=2)
    world.files.store(item)
    world.disk.fail = {len(world.disk.calls) + 3: 5}  # write half, write rest, fsync
    manager = world.start()
    manager.announce(item.queue_id)
    await manager.quiet()
    assert "rename" in world.disk.calls
    loaded = world.files.load(f"{PLACES.queue}/{item.queue_id}")
    assert loaded is not None
    assert loaded.state.pending() == (0,)
    await world.later(300)
    assert world.queue() == []
    assert len(world.agents.delivered) == 2


async def test_outcomes_survive_in_memory_while_the_disk_fails() -> None:
    world = World()
    world.agents.script["r0@b.example"] = [LATER, SENT]
    item = message(1, recipients=2)
    world.files.store(item)
    start = len(world.disk.calls)
    world.disk.fail = dict.fromkeys(range(start + 1, start + 30), 28)
    manager = world.start()
    manager.announce(item.queue_id)
    await manager.quiet()
    world.disk.fail = {}
    await world.later(300)
    assert [recipient for _, recipient in world.agents.delivered] == ["r1@b.example", "r0@b.example"]
    assert world.queue() == []


class Asker:
    """A control connection's end, and the writer that a listing needs."""

    def __init__(self, world: World) -> None:
        assert world.manager is not None
        self.control = Control(world.manager)


async def act(world: World, do: str, *ids: str) -> int:
    answer = await Asker(world).control._act(Request(do=do, ids=list(ids)))
    return answer.count


async def test_held_mail_stays_until_it_is_released() -> None:
    world = World()
    world.agents.script["r0@b.example"] = [LATER, SENT]
    item = message(1)
    await world.send(item)
    assert await act(world, "hold", item.queue_id) == 1
    assert world.disk.names(PLACES.hold) == [item.queue_id]
    await world.later(1000)
    assert len(world.agents.jobs) == 1
    assert await act(world, "release", "ALL") == 1
    assert world.manager is not None
    await world.manager.quiet()
    assert len(world.agents.delivered) == 1
    assert world.disk.names(PLACES.hold) == []


async def test_mail_that_is_being_delivered_is_held_afterwards_with_its_outcome() -> None:
    import asyncio

    world = World("local_destination_recipient_limit = 5\n")
    world.agents.script["r1@b.example"] = [LATER, SENT]
    world.agents.gate = asyncio.Event()
    item = message(1, recipients=2)
    world.files.store(item)
    manager = world.start()
    manager.announce(item.queue_id)
    while not world.agents.jobs:
        await asyncio.sleep(0)
    assert await act(world, "hold", item.queue_id) == 1
    assert world.queue() == [item.queue_id]
    world.agents.gate.set()
    await manager.quiet()
    assert world.disk.names(PLACES.hold) == [item.queue_id]
    loaded = world.files.load(f"{PLACES.hold}/{item.queue_id}")
    assert loaded is not None
    assert loaded.state.pending() == (1,)


async def test_deleted_mail_is_gone() -> None:
    world = World()
    world.agents.script["r0@b.example"] = [LATER]
    item, other = message(1), message(2)
    await world.send(item)
    await world.send(other)
    assert await act(world, "delete", item.queue_id, "NOSUCHMESSAGE") == 1
    assert world.queue() == [other.queue_id]
    assert f"{item.queue_id}: removed" in world.lines()


async def test_requeued_mail_goes_through_intake_again() -> None:
    world = World()
    world.agents.script["r0@b.example"] = [LATER, SENT]
    item = message(1)
    await world.send(item)
    assert await act(world, "requeue", item.queue_id) == 1
    assert world.manager is not None
    await world.manager.quiet()
    (again,) = world.taken
    assert again.content.memory == item.content.memory
    assert world.queue() == []


async def test_expired_by_hand_mail_is_returned_after_one_more_attempt() -> None:
    world = World()
    world.agents.script["r0@b.example"] = [LATER]
    item = message(1)
    await world.send(item)
    assert await act(world, "expire", item.queue_id) == 1
    assert world.manager is not None
    await world.manager.quiet()
    assert f"{item.queue_id}: from=<ann@a.example>, status=force-expired, returned to sender" in world.lines()
    assert len(world.taken) == 1


async def test_flush_tries_all_or_one_site_or_one_message() -> None:
    world = World()
    mails = []
    for number, domain in enumerate(("b.example", "c.example", "d.example"), 1):
        world.agents.script[f"u@{domain}"] = [LATER]
        mails.append(to(message(number), Recipient(f"u@{domain}")))
        await world.send(mails[-1])
    assert world.manager is not None
    control = Control(world.manager)
    for request, count in (
        (Request(do="flush", site="C.example"), 1),
        (Request(do="flush", ids=[mails[0].queue_id]), 1),
        (Request(do="flush"), 3),
    ):
        before = len(world.agents.jobs)
        assert control.flush(request).count == count
        await world.manager.quiet()
        assert len(world.agents.jobs) - before == count


async def test_stopping_keeps_what_is_known() -> None:
    import asyncio

    world = World()
    world.agents.gate = asyncio.Event()
    item = message(1, recipients=2)
    world.files.store(item)
    manager = world.start()
    manager.announce(item.queue_id)
    while not world.agents.jobs:
        await asyncio.sleep(0)
    asyncio.get_running_loop().call_soon(world.agents.gate.set)
    await manager.stop(5)
    again = World(disk=world.disk)
    fresh = again.start()
    await fresh.recover()
    await fresh.quiet()
    assert again.agents.delivered == []
    assert world.queue() == []


async def test_no_more_messages_are_active_than_allowed() -> None:
    import asyncio

    world = World("qmgr_message_active_limit = 2\n")
    world.agents.gate = asyncio.Event()
    manager = world.start()
    for number in range(1, 6):
        item = message(number)
        world.files.store(item)
        manager.announce(item.queue_id)
    await asyncio.sleep(0)
    assert len(manager.active) == 2
    world.agents.gate.set()
    await manager.quiet()
    assert len(world.agents.delivered) == 5
    assert world.queue() == []
    assert isinstance(SENT, Delivered)
