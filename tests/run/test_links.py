"""Questions between processes: large contents, answers in any order, and a process that dies in between."""

import asyncio
import os

import pytest

from seawall.mail.envelope import Envelope, Origin, Recipient
from seawall.mail.job import Job
from seawall.mail.message import Content, FileSlice, Message
from seawall.mail.outcome import Deferred, Delivered, Delivery, Outcome
from seawall.run.channel import pair
from seawall.run.links import INLINE, DeliveryService, DirectLink, JobLink

DONE = Delivered(status="2.0.0", text="delivered to maildir", relay="local")


def message(content: Content, recipients: int = 1) -> Message:
    people = tuple(Recipient(f"user{n}@example.com") for n in range(recipients))
    return Message("QID12345", 1.0, Envelope("a@b.example", people, Origin()), content)


def bytes_of(content: Content) -> bytes:
    rest = content.spilled
    return content.memory + (os.pread(rest.descriptor, rest.length, rest.offset) if rest else b"")


def file_with(data: bytes) -> int:
    file = os.memfd_create("test")
    os.write(file, data)
    return file


@pytest.mark.parametrize(("memory", "spilled"), [(10, 0), (INLINE + 5, 0), (100, 70000), (INLINE + 5, 70000)])
async def test_a_content_of_any_size_arrives_whole(memory: int, spilled: int) -> None:
    seen: list[bytes] = []

    async def direct(received: Message) -> tuple[Outcome, ...]:
        seen.append(bytes_of(received.content))
        return (DONE,)

    async def deliver(job: Job) -> Delivery:
        return Delivery((DONE,))

    ours, theirs = pair()
    service = DeliveryService(direct, deliver)
    service.serve(theirs)
    link = DirectLink()
    link.renew(ours)
    file = file_with(b"skip" + b"s" * spilled)
    content = Content(b"m" * memory, FileSlice(file, 4, spilled) if spilled else None)
    assert await link.deliver(message(content)) == (DONE,)
    assert seen == [b"m" * memory + b"s" * spilled]
    os.close(file)
    link.close()
    service.close()


async def test_answers_may_come_in_any_order() -> None:
    gates = {f"user{n}@example.com": asyncio.Event() for n in range(3)}

    async def direct(received: Message) -> tuple[Outcome, ...] | None:
        return None

    async def deliver(job: Job) -> Delivery:
        await gates[job.recipients[0].address].wait()
        return Delivery((Delivered(status="2.0.0", text=job.recipients[0].address),))

    ours, theirs = pair()
    service = DeliveryService(direct, deliver)
    service.serve(theirs)
    link = JobLink()
    link.renew(ours)
    whole = message(Content(b"x"), 3)
    tasks = [
        asyncio.ensure_future(
            link.deliver(Job(whole.queue_id, 1.0, "local", "here", whole.envelope, (person,), whole.content))
        )
        for person in whole.envelope.recipients
    ]
    for address in reversed(gates):
        gates[address].set()
        await asyncio.sleep(0)
    answers = await asyncio.gather(*tasks)
    assert [a.outcomes[0].text for a in answers] == list(gates)
    await service.idle()
    assert service.under_way == 0
    link.close()
    service.close()


async def test_a_delivery_process_that_dies_defers_what_it_had() -> None:
    ours, theirs = pair()
    link = DirectLink()
    assert await link.deliver(message(Content(b"x"))) is None  # nobody there yet: the spool takes it
    link.renew(ours)
    asking = asyncio.ensure_future(link.deliver(message(Content(b"x"), 2)))
    await asyncio.sleep(0)
    theirs.close()
    outcomes = await asking
    assert outcomes is not None
    assert all(isinstance(outcome, Deferred) for outcome in outcomes)
    assert len(outcomes) == 2
    assert not link.is_linked
