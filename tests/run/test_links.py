"""Questions between processes: large contents, answers in any order, and a process that dies in between."""

import asyncio
import os
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest

from seawall.mail.envelope import Envelope, Origin, Recipient
from seawall.mail.job import Job
from seawall.mail.message import Content, FileSlice, Message
from seawall.mail.outcome import Deferred, Delivered, Delivery, Forward, Outcome
from seawall.run.channel import pair
from seawall.run.links import INLINE, DeliveryService, DirectLink, JobLink

Deliver = Callable[[Job], Awaitable[Delivery]]
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


@asynccontextmanager
async def linked(deliver: Deliver, patience: float | None = None) -> AsyncIterator[tuple[JobLink, list[str]]]:
    """A link to a service that delivers so, and the warnings of the service."""
    ours, theirs = pair()
    warned: list[str] = []
    service = DeliveryService(nothing_direct, deliver, warned.append)
    service.serve(theirs)
    link = JobLink(patience)
    link.renew(ours)
    try:
        yield link, warned
    finally:
        link.close()
        service.close()


async def nothing_direct(received: Message) -> None:
    """The direct way is closed."""


def job_of(whole: Message) -> Job:
    return Job(whole.queue_id, 1.0, "local", "here", whole.envelope, whole.envelope.recipients, whole.content)


async def test_a_list_of_any_size_comes_back_whole() -> None:
    people = tuple(Recipient(f"member-{n}@somewhere.far.example", "list@example.com") for n in range(20_000))
    answer = Delivery((DONE,), (Forward("owner-list@example.com", people),))

    async def deliver(job: Job) -> Delivery:
        return answer

    async with linked(deliver) as (link, _):
        assert await link.deliver(job_of(message(Content(b"x")))) == answer


async def test_a_job_for_any_number_of_recipients_is_done() -> None:
    async def deliver(job: Job) -> Delivery:
        texts = (recipient.address for recipient in job.recipients)
        outcomes = tuple(Delivered(status="2.0.0", text=text) for text in texts)
        return Delivery(outcomes, (Forward("", (job.recipients[-1],), place=len(job.recipients) - 1),))

    whole = message(Content(b"m" * (INLINE - 1)), 5000)
    async with linked(deliver) as (link, _):
        delivery = await link.deliver(job_of(whole))
    assert [outcome.text for outcome in delivery.outcomes] == [r.address for r in whole.envelope.recipients]
    assert all(f.recipients == (whole.envelope.recipients[f.place],) for f in delivery.forwards)


async def test_a_defect_of_an_agent_is_told_and_answered() -> None:
    async def deliver(job: Job) -> Delivery:
        raise RuntimeError("oh")

    async with linked(deliver) as (link, warned):
        (outcome,) = (await link.deliver(job_of(message(Content(b"x"))))).outcomes
    assert isinstance(outcome, Deferred)
    assert warned == ["QID12345: transport local: RuntimeError: oh"]


async def test_a_relay_that_is_not_there_is_waited_for_only_so_long() -> None:
    (outcome,) = (await JobLink(0.01).deliver(job_of(message(Content(b"x"))))).outcomes
    assert isinstance(outcome, Deferred)


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


async def test_a_job_is_given_to_the_successor_of_a_process_that_died_but_only_once() -> None:
    link = JobLink()
    asking = asyncio.ensure_future(link.deliver(job_of(message(Content(b"x"), 2))))
    for number in range(2):
        assert not asking.done()
        ours, theirs = pair()
        link.renew(ours)
        theirs.setblocking(True)
        assert await asyncio.to_thread(theirs.recv, 1 << 18), f"process {number} has the job"
        theirs.close()
    assert [outcome.text for outcome in (await asking).outcomes] == ["delivery process ended before it answered"] * 2
