"""What a session costs outside policy: `python -m bench.edge`.  Sessions a CPU second of the server.

One process serves on loopback, with a judge that refuses every recipient at once and a journal in memory; the generator
is a process of its own.  Beside it stands a bare protocol that says the same words to packets of the same number, which
is what sockets cost at least, and the parts that need no socket.  Each figure is the best of several short runs, as the
machine may be shared.
"""

from __future__ import annotations

import argparse
import asyncio
import resource
import socket
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import uvloop

from bench.generator import KINDS
from seawall.clock import SystemClock
from seawall.config.settings import Settings
from seawall.dns.names import ClientNames
from seawall.edge.edge import Edge
from seawall.edge.profile import compile_profile
from seawall.journal.batch import batch_of
from seawall.journal.log_lines import LineFormat, syslog_packet
from seawall.journal.record import Record
from seawall.journey import Reception
from seawall.mail.envelope import Submission
from seawall.mail.reply import Reply
from seawall.policy.attempt import Attempt
from seawall.policy.verdict import DUNNO, PERMIT, Act, Remark, Verdict
from seawall.smtp.events import NEED_DATA, Command
from seawall.smtp.rules import Rules
from seawall.smtp.server import Server
from seawall.tables.registry import Tables

CHECKOUT = Path(__file__).resolve().parent.parent
RECIPIENT = "no-such-user@cape.com"
REFUSAL = Reply(550, "5.1.1", f"<{RECIPIENT}>: Recipient address rejected: User unknown in local recipient table")
REFUSED = Verdict(Act.REJECT, REFUSAL, reason="reject_unlisted_recipient")
NAMED = ClientNames(name="client.good.example", reverse_name="client.good.example")
OK = Reply(250, "2.0.0", "Ok")
RUNS = 5


class RefusingJudge:
    """Lets everything pass but recipients."""

    def connect(self, attempt: Attempt) -> Verdict:
        """Any client."""
        return DUNNO

    helo = mail = data = end_of_data = etrn = vrfy = connect

    def rcpt(self, attempt: Attempt) -> Verdict:
        """No recipient."""
        attempt.remarks.append(Remark("reject", "RCPT", REFUSAL.line()))
        return REFUSED

    async def rewrite_context(self, attempt: Attempt) -> Verdict:
        """Our own."""
        return PERMIT

    async def is_malformed(self, address: str, sender: str, *, smtputf8: bool) -> bool:
        """None is."""
        return False


class NoIntake:
    """Has room for messages that never come."""

    def open(self, submission: Submission) -> Reception:
        """Nobody gets that far."""
        raise RuntimeError("every recipient is refused")

    def room_for(self, size: int) -> bool:
        """Plenty."""
        return True


class OneName:
    """Every client has the same name; `is_late` lets it take a turn of the loop, as DNS does."""

    def __init__(self, is_late: bool) -> None:
        self._is_late = is_late

    def tell_names(self, address: str, then: Callable[[ClientNames], None]) -> None:
        """Its name."""
        if self._is_late:
            asyncio.get_running_loop().call_later(0.0005, then, NAMED)
        else:
            then(NAMED)


class Kept:
    """A journal that keeps the records of one session for those who measure what becomes of them."""

    def __init__(self) -> None:
        self.last: list[Record] = []

    def write(self, record: Record) -> None:
        """Keep it among the last few."""
        if len(self.last) == 3:
            self.last.clear()
        self.last.append(record)


class Echo(asyncio.Protocol):
    """Says as many words to as many packets as the edge, and looks at nothing."""

    def __init__(self, banner: bytes, replies: tuple[bytes, ...]) -> None:
        self._banner = banner
        self._replies = iter(replies)
        self._left = len(replies)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Greet."""
        self._transport = cast(asyncio.Transport, transport)
        self._transport.write(self._banner)

    def data_received(self, data: bytes) -> None:
        """Answer; close after the last."""
        self._transport.write(next(self._replies))
        self._left -= 1
        if not self._left:
            self._transport.close()


class Recorder(asyncio.Transport):
    """A transport in memory, which keeps only the last words."""

    def __init__(self, protocol: asyncio.Protocol) -> None:
        super().__init__()
        self._protocol = protocol
        self._is_closed = False
        self.written: list[Any] = []

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        """Two addresses; no socket."""
        return {"peername": ("192.0.2.7", 4711), "sockname": ("192.0.2.1", 25)}.get(name, default)

    def write(self, data: Any) -> None:
        """Keep it."""
        self.written.append(data)

    def is_closing(self) -> bool:
        """After `close`."""
        return self._is_closed

    def close(self) -> None:
        """Told at once."""
        if not self._is_closed:
            self._is_closed = True
            self._protocol.connection_lost(None)

    abort = close


def make_edge(*, is_late: bool) -> tuple[Edge, Kept]:
    """An edge for measuring; call it on a running loop."""
    settings = Settings.from_text("compatibility_level = 3.6\nmyhostname = mail.example.com\n")
    journal = Kept()
    profile = compile_profile(settings, Tables())
    return Edge(profile, RefusingJudge(), NoIntake(), journal, SystemClock(), OneName(is_late)), journal


def in_memory(edge: Edge, packets: tuple[bytes, ...]) -> tuple[bytes, ...]:
    """One session without a socket: what was written."""
    session = edge.session()
    transport = Recorder(session)
    session.connection_made(transport)
    for packet in packets:
        session.data_received(packet)
    return tuple(transport.written)


def engine_alone(rules: Rules, packets: tuple[bytes, ...]) -> None:
    """The protocol engine, every command answered with the same reply."""
    engine = Server(rules)
    for packet in packets:
        engine.receive_data(packet)
        while (event := engine.next_event()) is not NEED_DATA:
            if isinstance(event, Command):
                engine.send(REFUSAL if event.verb == "RCPT" else OK)


def best(step: Callable[[], object], rounds: int = 1000) -> float:
    """Calls a CPU second: the best of several runs."""
    found = 0.0
    for _ in range(RUNS):
        begin = time.thread_time()
        for _ in range(rounds):
            step()
        found = max(found, rounds / (time.thread_time() - begin))
    return found


def cpu() -> float:
    """CPU seconds of this process."""
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


async def through_sockets(factory: Callable[[], asyncio.Protocol], kind: str, sessions: int) -> float:
    """Sessions a CPU second of this process: the best of several runs."""
    listener = socket.create_server(("127.0.0.1", 0), backlog=1024)
    server = await asyncio.get_running_loop().create_server(factory, sock=listener)
    words = ["--host", "127.0.0.1", "--port", str(listener.getsockname()[1]), "--kind", kind, "--networks", "0"]
    words += ["--recipient", RECIPIENT, "--parallel", "40"]
    found = 0.0
    for count in (sessions // 4, *(sessions for _ in range(RUNS))):
        used = cpu()
        generator = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "bench.generator", *words, "--sessions", str(count), stdout=-3, cwd=CHECKOUT
        )
        await generator.wait()
        found = max(found, count / (cpu() - used))
    server.close()
    return found


def show(what: str, figure: float) -> None:
    """One line of the table."""
    print(f"{what:<46} {figure:>8,.0f} a CPU second {1e6 / figure:7.1f} µs", flush=True)


async def measure(kind: str, sessions: int) -> None:
    """One kind of session: its parts, the bare echo, and the whole."""
    edge, _ = make_edge(is_late=False)
    late, _ = make_edge(is_late=True)
    packets = KINDS[kind][0](RECIPIENT, 0)
    banner, *replies = in_memory(edge, packets)
    spoken = tuple(replies)

    def echo() -> Echo:
        return Echo(banner, spoken)

    show(f"{kind}: engine alone", best(lambda: engine_alone(edge.profile.rules, packets)))
    show(f"{kind}: session in memory", best(lambda: in_memory(edge, packets)))
    show(f"{kind}: bare echo through sockets", await through_sockets(echo, kind, sessions))
    show(f"{kind}: sessions through sockets", await through_sockets(edge.session, kind, sessions))
    show(f"{kind}: the same, the name comes late", await through_sockets(late.session, kind, sessions))


async def measure_all(sessions: int) -> None:
    """Both ways to send, and what becomes of a session's three records."""
    for kind in ("refusal", "pipelined"):
        await measure(kind, sessions)
    edge, journal = make_edge(is_late=False)
    in_memory(edge, KINDS["pipelined"][0](RECIPIENT, 0))
    form, records = LineFormat("mail.example.com", "postfix", 1), tuple(journal.last)
    show("the records of a session as log lines", best(lambda: [syslog_packet(form, record) for record in records]))
    show("the same for the watcher", best(lambda: batch_of(records)))


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(prog="bench.edge", description=__doc__)
    parser.add_argument("--sessions", type=int, default=4000, help="a run through sockets; default 4000")
    uvloop.run(measure_all(parser.parse_args().sessions))


if __name__ == "__main__":
    main()
