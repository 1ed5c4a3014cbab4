"""Stand-ins for what a session meets: a judge that is told what to say, an intake that keeps messages, a transport in memory."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from seawall.config.settings import Settings
from seawall.dns.names import ClientNames
from seawall.edge.counting import Counting, compile_client_limits
from seawall.edge.edge import Edge
from seawall.edge.login import Login
from seawall.edge.profile import compile_profile
from seawall.edge.session import Session
from seawall.journal.record import MemoryJournal
from seawall.mail.action import Action
from seawall.mail.envelope import Recipient, Submission
from seawall.mail.reply import Reply
from seawall.patience import Patience
from seawall.policy.attempt import Attempt
from seawall.policy.rates import Rates
from seawall.policy.verdict import DUNNO, PERMIT, Act, Remark, Verdict
from seawall.tables.registry import Tables

HOST = "mail.example.com"
BASE = f"""
compatibility_level = 3.6
myhostname = {HOST}
mynetworks = 10.0.0.0/8
smtpd_error_sleep_time = 0
"""


def refuse(text: str, code: int = 550, status: str = "5.7.1", *, hangs_up: bool = False) -> Verdict:
    return Verdict(Act.REJECT, Reply(code, status, text), reason="test", hangs_up=hangs_up)


class TestJudge:
    """`refusals` is by step name (``rcpt``) or by recipient; `waits` makes every answer an awaitable."""

    __test__ = False

    def __init__(self) -> None:
        self.refusals: dict[str, Verdict] = {}
        self.waits = False
        self.asked: list[tuple[str, str]] = []
        self.local = False
        self.actions: list[Action] = []

    def _say(self, step: str, attempt: Attempt, key: str = "") -> Any:
        self.asked.append((step, attempt.name))
        verdict = self.refusals.get(key) or self.refusals.get(step, DUNNO)
        attempt.actions.extend(self.actions)
        self.actions = []
        if verdict.act is Act.REJECT and verdict.reply is not None:
            attempt.remarks.append(Remark("reject", attempt.where, verdict.reply.line()))
        return self._later(verdict) if self.waits else verdict

    async def _later(self, verdict: Verdict) -> Verdict:
        await asyncio.sleep(0)
        return verdict

    def connect(self, attempt: Attempt) -> Any:
        return self._say("connect", attempt)

    def helo(self, attempt: Attempt) -> Any:
        return self._say("helo", attempt)

    def mail(self, attempt: Attempt) -> Any:
        return self._say("mail", attempt)

    def rcpt(self, attempt: Attempt) -> Any:
        return self._say("rcpt", attempt, attempt.recipient or "")

    def data(self, attempt: Attempt) -> Any:
        return self._say("data", attempt)

    def end_of_data(self, attempt: Attempt) -> Any:
        return self._say("end_of_data", attempt)

    def etrn(self, attempt: Attempt) -> Any:
        return self._say("etrn", attempt)

    def vrfy(self, attempt: Attempt) -> Any:
        return self._say("vrfy", attempt, attempt.recipient or "")

    async def rewrite_context(self, attempt: Attempt) -> Verdict:
        return PERMIT if self.local else DUNNO

    async def is_malformed(self, address: str, sender: str, *, smtputf8: bool) -> bool:
        return address.endswith("@")


class KeptReception:
    def __init__(self, queue_id: str, submission: Submission, intake: KeepingIntake) -> None:
        self.queue_id = queue_id
        self.submission = submission
        self.recipients: list[Recipient] = []
        self.actions: list[Action] = []
        self.content = b""
        self.aborted = False
        self.finished = False
        self._intake = intake

    def add_recipient(self, recipient: Recipient) -> None:
        self.recipients.append(recipient)

    def apply(self, action: Action) -> None:
        self.actions.append(action)

    def write(self, data: bytes) -> None:
        self.content += data

    @property
    def received(self) -> int:
        return len(self.content)

    async def finish(self) -> Reply:
        if self._intake.gate is not None:
            await self._intake.gate.wait()
        self.finished = True
        return self._intake.answer or Reply(250, "2.0.0", f"Ok: queued as {self.queue_id}")

    def abort(self) -> None:
        self.aborted = True


class KeepingIntake:
    def __init__(self) -> None:
        self.opened: list[KeptReception] = []
        self.full = False
        self.gate: asyncio.Event | None = None
        self.answer: Reply | None = None

    def open(self, submission: Submission) -> KeptReception:
        reception = KeptReception(f"Q{len(self.opened) + 1}", submission, self)
        self.opened.append(reception)
        return reception

    def room_for(self, size: int) -> bool:
        return not self.full


class TestNames:
    __test__ = False

    def __init__(self, name: str = "client.example.org") -> None:
        self.name = name
        self.gate: asyncio.Event | None = None
        self.asked: list[str] = []

    def tell_names(self, address: str, then: Callable[[ClientNames], None]) -> None:
        self.asked.append(address)
        names = ClientNames(name=self.name, reverse_name=self.name)
        if self.gate is None:
            then(names)
        else:
            self.late = asyncio.ensure_future(self._tell_late(self.gate, names, then))

    @staticmethod
    async def _tell_late(gate: asyncio.Event, names: ClientNames, then: Callable[[ClientNames], None]) -> None:
        await gate.wait()
        then(names)


class TestClock:
    __test__ = False

    def __init__(self) -> None:
        self.time = 1000.0

    def now(self) -> float:
        return self.time

    def monotonic(self) -> float:
        return self.time


class MemoryTransport(asyncio.Transport):
    """Keeps what is written; closing is told to the protocol at once."""

    def __init__(self, protocol: Session, peer: tuple[str, int] = ("192.0.2.7", 4711)) -> None:
        super().__init__()
        self.protocol = protocol
        self.peer = peer
        self.written = b""
        self.reading = True
        self.closed = False

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        return {"peername": self.peer, "sockname": ("192.0.2.1", 25)}.get(name, default)

    def write(self, data: Any) -> None:
        self.written += bytes(data)

    def is_closing(self) -> bool:
        return self.closed

    def pause_reading(self) -> None:
        self.reading = False

    def resume_reading(self) -> None:
        self.reading = True

    def close(self) -> None:
        if not self.closed:
            self.closed = True
            self.protocol.connection_lost(None)

    def abort(self) -> None:
        self.close()


class Dialogue:
    """One session over memory: `say` sends and gives the replies, as lines."""

    def __init__(self, edge: Edge, peer: tuple[str, int] = ("192.0.2.7", 4711)) -> None:
        self.session = edge.session()
        self.transport = MemoryTransport(self.session, peer)
        self.session.connection_made(self.transport)

    def heard(self) -> list[str]:
        lines = self.transport.written.decode("utf-8", "surrogateescape").split("\r\n")
        self.transport.written = b""
        return lines[:-1]

    def say(self, *texts: str | bytes) -> list[str]:
        for text in texts:
            if self.transport.closed:
                break
            self.session.data_received(text.encode() + b"\r\n" if isinstance(text, str) else text)
        return self.heard()

    async def said(self, *texts: str | bytes) -> list[str]:
        """As `say`, for a session that has to wait now and then."""
        for text in texts:
            self.say_only(text)
            await settle()
        return self.heard()

    def say_only(self, text: str | bytes) -> None:
        if not self.transport.closed:
            self.session.data_received(text.encode() + b"\r\n" if isinstance(text, str) else text)


async def settle() -> None:
    """Let everything that needs no outside event come to its end."""
    for _ in range(20):
        await asyncio.sleep(0)


class World:
    """An edge with all its neighbours, each open to the test."""

    def __init__(
        self,
        main_cf: str = "",
        *,
        login: Login | None = None,
        patience: Callable[[], Patience] | None = None,
    ) -> None:
        self.judge = TestJudge()
        self.intake = KeepingIntake()
        self.journal = MemoryJournal()
        self.clock = TestClock()
        self.names = TestNames()
        self.tables = Tables()
        self.settings = Settings.from_text(BASE + main_cf)
        self.rates = Rates(60)
        self.edge = Edge(
            compile_profile(self.settings, self.tables),
            self.judge,
            self.intake,
            self.journal,
            self.clock,
            self.names,
            login=login,
            patience=patience() if patience else None,
            counting=Counting(
                compile_client_limits(self.settings),
                self.tables.address_list(self.settings.text("smtpd_client_event_limit_exceptions"), title="exempt"),
                self.rates,
                "smtp",
                self.clock.now,
                self.clock.monotonic,
            ),
        )

    def dialogue(self, peer: tuple[str, int] = ("192.0.2.7", 4711)) -> Dialogue:
        return Dialogue(self.edge, peer)

    @property
    def log(self) -> list[str]:
        return [record.text() for record in self.journal.records]
