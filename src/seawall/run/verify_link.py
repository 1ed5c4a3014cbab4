"""What a worker asks the queue manager about addresses, and what it remembers of the answers.  verify(8)

A queue manager that is gone, or that does not answer, is no reason for a client to wait: the answer is then None, a
temporary refusal.  One that hangs is asked again only from time to time (`Breaker`).
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Awaitable, Callable

from seawall.breaker import Breaker
from seawall.eager import within
from seawall.mail.verified import Standing, Verified
from seawall.run import messages as m

REMEMBERED = 10_000
"""Answers in a worker's memory; ours."""
KEPT = 10.0
"""Seconds that an answer is remembered at most; ours: a short while, so that a changed answer soon counts everywhere."""
GRACE = 2.0
"""Seconds that the queue manager may take beside the probe's time; ours."""

Send = Callable[[m.LinkMessage], bool]


class VerifyLink:
    """The asking side.  `now` is a monotonic clock, in seconds."""

    def __init__(self, now: Callable[[], float]) -> None:
        self._now = now
        self._send: Send | None = None
        self._waiting: dict[int, asyncio.Future[Verified | None]] = {}
        self._number = 0
        self._known: OrderedDict[str, tuple[float, Verified]] = OrderedDict()
        self._breaker = Breaker()

    def renew(self, send: Send) -> None:
        """Ask this queue manager from now on."""
        self.lost()
        self._send = send
        self._breaker = Breaker()

    def lost(self) -> None:
        """The queue manager has ended; nobody waits for it any more."""
        self._send = None
        waiting, self._waiting = self._waiting, {}
        for future in waiting.values():
            if not future.done():
                future.set_result(None)

    def heard(self, message: m.LinkMessage) -> None:
        """An answer, where it is one."""
        if isinstance(message, m.VerifyReply):
            future = self._waiting.pop(message.number, None)
            if future is not None and not future.done():
                future.set_result(message.verified)

    def verify(self, address: str, patience: float) -> Verified | Awaitable[Verified | None] | None:
        """policy.world.Verifies: at once where the answer is remembered, or nobody can be asked."""
        now = self._now()
        known = self._known.get(address)
        if known is not None:
            if now < known[0]:
                return known[1]
            del self._known[address]
        if self._send is None or not self._breaker.may_ask(now):
            return None
        return self._ask(self._send, address, patience)

    async def _ask(self, send: Send, address: str, patience: float) -> Verified | None:
        self._number += 1
        number = self._number
        future: asyncio.Future[Verified | None] = asyncio.get_running_loop().create_future()
        self._waiting[number] = future
        try:
            if not send(m.VerifyRequest(number, address, patience)):
                return None
            answer = await within(future, patience + GRACE)
        except TimeoutError:
            self._breaker.failed(self._now(), refused=False)
            return None
        finally:
            self._waiting.pop(number, None)
        if answer is None:
            return None
        self._breaker.answered(self._now())
        self._remember(address, answer)
        return answer

    def _remember(self, address: str, answer: Verified) -> None:
        if answer.good_for <= 0 or answer.standing is Standing.IN_PROGRESS:
            return
        self._known[address] = (self._now() + min(KEPT, answer.good_for), answer)
        if len(self._known) > REMEMBERED:
            self._known.popitem(last=False)
