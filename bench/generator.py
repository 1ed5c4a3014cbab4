"""A load of SMTP sessions, from many networks at once, as lean as Python can make it.

One process, one epoll loop, non-blocking sockets, no task a session: what it costs is printed beside every figure,
because it shares the machine's cores with the server that it measures.
"""

from __future__ import annotations

import argparse
import json
import resource
import select
import socket
import sys
import time
from dataclasses import dataclass, field


@dataclass(slots=True)
class Load:
    """What to send: `steps` are the lines of one session, each sent when the reply to the one before is complete."""

    target: tuple[str, int]
    steps: tuple[tuple[bytes, ...], ...]
    """Several sessions' steps, taken in turn: one a recipient."""
    replies: tuple[int, ...]
    """How many replies each step is answered by."""
    sessions: int
    parallel: int
    networks: int
    hosts: int
    """Clients in each network; each comes again when all others have been."""
    seconds: float


@dataclass(slots=True)
class Tally:
    """What came of it."""

    done: int = 0
    lost: int = 0
    codes: dict[str, int] = field(default_factory=dict)
    wall: float = 0.0
    cpu: float = 0.0
    latencies: list[float] = field(default_factory=list)


class Session:
    """One client: the socket, the step it is at, and what of a reply has come."""

    __slots__ = ("at", "began", "rest", "socket", "steps")

    def __init__(self, source: str, target: tuple[str, int], steps: tuple[bytes, ...]) -> None:
        self.steps = steps
        self.socket = socket.socket()
        self.socket.setblocking(False)
        if source:
            # the port is chosen when the connection is made, so that sources do not run out of ports
            self.socket.setsockopt(socket.SOL_IP, 24, 1)  # IP_BIND_ADDRESS_NO_PORT, ip(7)
            self.socket.bind((source, 0))
        self.at = -1
        self.rest = b""
        self.began = time.perf_counter()
        try:
            self.socket.connect(target)
        except BlockingIOError:
            pass


def source_address(number: int, networks: int, hosts: int = 250) -> str:
    """An address of 198.18.0.0/15, `networks` different /24 in turn, `hosts` in each; empty (the system's choice) where
    `networks` is 0."""
    if not networks:
        return ""
    network = number % networks
    return f"198.{18 + network // 256}.{network % 256}.{1 + number // networks % hosts}"


def _replies(data: bytes) -> list[bytes]:
    """The codes of the replies in `data`; empty where the last is not complete."""
    if not data.endswith(b"\n"):
        return []
    lines = data.split(b"\n")[:-1]
    if lines[-1][3:4] == b"-":
        return []
    return [line[:3] for line in lines if line[3:4] != b"-"]


class Generator:
    """Runs a load to its end."""

    def __init__(self, load: Load) -> None:
        self._load = load
        self._tally = Tally()
        self._poll = select.epoll()
        self._live: dict[int, Session] = {}
        self._started = 0

    def run(self) -> Tally:
        """Sessions until `sessions` are done or `seconds` are over."""
        begin, used = time.perf_counter(), _cpu()
        end = begin + self._load.seconds
        while self._tally.done + self._tally.lost < self._load.sessions and time.perf_counter() < end:
            while self._started < self._load.sessions and len(self._live) < self._load.parallel:
                self._start()
            for descriptor, _ in self._poll.poll(1.0):
                self._advance(self._live[descriptor])
        self._tally.wall = time.perf_counter() - begin
        self._tally.cpu = _cpu() - used
        return self._tally

    def _start(self) -> None:
        steps = self._load.steps[self._started % len(self._load.steps)]
        session = Session(
            source_address(self._started, self._load.networks, self._load.hosts), self._load.target, steps
        )
        self._started += 1
        self._live[session.socket.fileno()] = session
        self._poll.register(session.socket, select.EPOLLIN)

    def _advance(self, session: Session) -> None:
        try:
            data = session.socket.recv(65536)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data:
            self._end(session, lost=True)
            return
        session.rest += data
        codes = _replies(session.rest)
        if len(codes) < (1 if session.at < 0 else self._load.replies[session.at]):
            return
        for at, code in enumerate(codes):
            key = f"{session.at}.{at} {code.decode('latin-1')}"
            self._tally.codes[key] = self._tally.codes.get(key, 0) + 1
        session.rest = b""
        session.at += 1
        if session.at == len(session.steps):
            self._end(session, lost=False)
            return
        try:
            session.socket.send(session.steps[session.at])
        except OSError:
            self._end(session, lost=True)

    def _end(self, session: Session, *, lost: bool) -> None:
        del self._live[session.socket.fileno()]
        session.socket.close()
        if lost:
            self._tally.lost += 1
        else:
            self._tally.done += 1
            self._tally.latencies.append(time.perf_counter() - session.began)


def _cpu() -> float:
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


def percentile(values: list[float], part: float) -> float:
    """The value below which `part` of the sorted values lie; 0 where there are none."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(part * len(ordered)))] if ordered else 0.0


HELLO = b"EHLO mail.good.example\r\n"
MAIL = b"MAIL FROM:<someone@good.example>\r\n"


def refusal(recipient: str, size: int) -> tuple[bytes, ...]:
    """A session that ends in a refusal at RCPT, each command sent when the one before is answered."""
    return (HELLO, MAIL, f"RCPT TO:<{recipient}>\r\n".encode(), b"QUIT\r\n")


def pipelined(recipient: str, size: int) -> tuple[bytes, ...]:
    """The same, the envelope and QUIT in one packet, as RFC 2920 lets a client that saw PIPELINING."""
    return (HELLO, MAIL + f"RCPT TO:<{recipient}>\r\n".encode() + b"QUIT\r\n")


def delivery(recipient: str, size: int) -> tuple[bytes, ...]:
    """A session that hands over one message of about `size` bytes."""
    line = b"All work and no play makes a mail server a dull host.\r\n"
    body = line * max(1, size // len(line))
    head = b"From: <someone@good.example>\r\nTo: <" + recipient.encode() + b">\r\nSubject: bench\r\n\r\n"
    return (
        HELLO,
        MAIL,
        f"RCPT TO:<{recipient}>\r\n".encode(),
        b"DATA\r\n",
        head + body + b".\r\n",
        b"QUIT\r\n",
    )


VERDICTS = 20
USERS = ("alice", "bob", "carol", "dave")


def verdicts(recipient: str, size: int) -> tuple[bytes, ...]:
    """Many recipients of one domain in one packet, every other one of them a user; no message."""
    domain = recipient.rpartition("@")[2]
    names = [USERS[at // 2 % len(USERS)] if at % 2 else f"nobody{at}" for at in range(VERDICTS)]
    return (HELLO, MAIL, "".join(f"RCPT TO:<{name}@{domain}>\r\n" for name in names).encode(), b"QUIT\r\n")


KINDS = {
    "refusal": (refusal, (1, 1, 1, 1)),
    "pipelined": (pipelined, (1, 3)),
    "verdicts": (verdicts, (1, 1, VERDICTS, 1)),
    "delivery": (delivery, (1, 1, 1, 1, 1, 1)),
}
"""By kind: what makes a session's steps, and how many replies answer each."""


def main() -> int:
    """`python -m bench.generator …` prints the tally as JSON."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--host", default="192.0.2.1")
    parser.add_argument("--port", type=int, default=25)
    parser.add_argument("--kind", choices=sorted(KINDS), required=True)
    parser.add_argument("--recipient", action="append", required=True)
    parser.add_argument("--size", type=int, default=4096)
    parser.add_argument("--sessions", type=int, default=10000)
    parser.add_argument("--parallel", type=int, default=50)
    parser.add_argument("--networks", type=int, default=64)
    parser.add_argument("--hosts", type=int, default=250)
    parser.add_argument("--seconds", type=float, default=30.0)
    given = parser.parse_args()
    make, replies = KINDS[given.kind]
    steps = tuple(make(recipient, given.size) for recipient in given.recipient)
    load = Load(
        (given.host, given.port),
        steps,
        replies,
        given.sessions,
        given.parallel,
        given.networks,
        given.hosts,
        given.seconds,
    )
    tally = Generator(load).run()
    json.dump(
        {
            "done": tally.done,
            "lost": tally.lost,
            "codes": tally.codes,
            "wall": tally.wall,
            "cpu": tally.cpu,
            "p50": percentile(tally.latencies, 0.5),
            "p99": percentile(tally.latencies, 0.99),
        },
        sys.stdout,
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
