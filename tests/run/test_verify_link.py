"""A worker's questions about addresses: over a real pair of sockets, with a queue manager that answers, hangs or ends."""

import asyncio
import inspect
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from seawall.mail.verified import Standing, Verified
from seawall.run import messages as m
from seawall.run.channel import Channel, pair
from seawall.run.verify_link import GRACE, KEPT, VerifyLink

GOOD = Verified(Standing.DELIVERABLE, "250 2.1.5 Ok", good_for=3600.0)
BRIEF = Verified(Standing.UNDELIVERABLE, "550 no", good_for=2.0)
OPEN = Verified(Standing.IN_PROGRESS, "Address verification in progress")
ANN, BOB, EVE = "ann@a.example", "bob@a.example", "eve\udcff@a.example"


class Two:
    """The link, and a queue manager that answers by script; None is no answer."""

    def __init__(self) -> None:
        self.now = 100.0
        self.link = VerifyLink(lambda: self.now)
        self.asked: list[str] = []
        self.answers: dict[str, Verified | None] = {ANN: GOOD, BOB: BRIEF, EVE: OPEN}
        self.connect()

    def connect(self) -> None:
        ours, theirs = pair()
        self.worker: Channel[m.LinkMessage] = Channel(
            ours, m.LinkMessage, lambda message, fds: self.link.heard(message), self.link.lost
        )
        self.manager: Channel[m.LinkMessage] = Channel(
            theirs, m.LinkMessage, lambda message, fds: self.hear(message), lambda: None
        )
        self.link.renew(self.worker.send)

    def hear(self, message: m.LinkMessage) -> None:
        assert isinstance(message, m.VerifyRequest)
        self.asked.append(message.address)
        answer = self.answers[message.address]
        if answer is not None:
            self.manager.send(m.VerifyReply(message.number, answer))

    async def ask(self, address: str, patience: float = 5.0) -> Verified | None:
        answer = self.link.verify(address, patience)
        return await answer if inspect.isawaitable(answer) else answer


@asynccontextmanager
async def two() -> AsyncIterator[Two]:
    made = Two()
    try:
        yield made
    finally:
        made.worker.close()
        made.manager.close()


async def test_an_answer_comes_and_is_remembered_for_a_short_while() -> None:
    async with two() as both:
        assert await both.ask(ANN) == GOOD
        assert both.link.verify(ANN, 5.0) == GOOD
        both.now += KEPT + 0.1
        assert await both.ask(ANN) == GOOD
        assert both.asked == [ANN, ANN]


async def test_an_answer_is_remembered_no_longer_than_it_is_good() -> None:
    async with two() as both:
        assert await both.ask(BOB) == BRIEF
        both.now += 2.1
        assert await both.ask(BOB) == BRIEF
        assert await both.ask(EVE) == OPEN
        assert await both.ask(EVE) == OPEN
        assert both.asked == [BOB, BOB, EVE, EVE]


async def test_a_queue_manager_that_ends_leaves_nobody_waiting() -> None:
    async with two() as both:
        both.answers[ANN] = None
        waiting = asyncio.ensure_future(both.ask(ANN))
        while not both.asked:
            await asyncio.sleep(0)
        both.manager.close()
        assert await waiting is None
        assert both.link.verify(BOB, 5.0) is None
        both.connect()
        assert await both.ask(BOB) == BRIEF


async def test_a_queue_manager_that_hangs_is_asked_only_now_and_then() -> None:
    async with two() as both:
        both.answers[ANN] = None
        for _ in range(3):
            assert await both.ask(ANN, patience=0.01 - GRACE) is None
        assert both.link.verify(BOB, 5.0) is None
        both.now += 1.1
        assert await both.ask(BOB) == BRIEF
        assert await both.ask(EVE) == OPEN
        assert both.asked == [ANN, ANN, ANN, BOB, EVE]
