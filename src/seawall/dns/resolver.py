"""The stub resolver: many questions at once over UDP, TCP for answers that were cut.

A question to another host has a port of its own; those to a server on this host share some (`ports`).

RFC 1035, RFC 5452 (random id and port, the question compared), RFC 6891 (EDNS0), RFC 2308 (negative answers kept).
Equal questions in flight are asked once; answers are kept for their TTL, within bounds.
"""

from __future__ import annotations

import asyncio
import socket
from collections import OrderedDict, deque

from seawall.clock import Clock, SystemClock
from seawall.dns.answers import Answer, Coming, Found, NoSuchName, TryAgain
from seawall.dns.ports import LARGEST_UDP, Numbers, SharedPort, is_on_this_host
from seawall.dns.resolv_conf import ResolverSettings
from seawall.dns.wire import (
    FORMERR,
    KINDS,
    NOERROR,
    NOTIMP,
    NXDOMAIN,
    BadMessage,
    Response,
    format_query,
    parse_response,
)

MOST_KEPT = 20_000
"""Answers in the cache.  Ours: some 10 MB."""
LONGEST_KEPT = 3600
LONGEST_REFUSAL_KEPT = 300
"""Seconds that an answer, and a negative one, may be believed whatever its TTL.  Ours: short enough for an operator."""
TROUBLE_KEPT = 1
"""Seconds that a failure is repeated without asking again, so that a flood does not become one of questions."""
MOST_IN_FLIGHT = 1000
"""Sockets at one time; further questions wait."""
MOST_WAITING = 10_000
"""Questions that may wait; whatever comes on top hears TryAgain."""


class _Question(Coming):
    """A question in flight: who waits for it, and how far it has got."""

    __slots__ = (
        "edns",
        "is_done",
        "key",
        "kind",
        "name",
        "number",
        "port",
        "socket",
        "tcp",
        "timer",
        "tries",
        "trouble",
        "wire",
    )

    def __init__(self, key: tuple[str, str]) -> None:
        super().__init__()
        self.key = key
        self.name, self.kind = key
        self.tries = 0
        self.number = 0
        self.edns = True
        self.wire = b""
        """The message without its id, as it was last sent."""
        self.port: SharedPort[_Question] | None = None
        self.socket: socket.socket | None = None
        self.timer: asyncio.TimerHandle | None = None
        self.is_done = False
        self.trouble = ""
        self.tcp: asyncio.Task[None] | None = None


class Resolver:
    """Answers questions from cache or network.  One for an event loop; opens nothing before the first question."""

    def __init__(self, settings: ResolverSettings, clock: Clock | None = None) -> None:
        self.settings = settings
        self._clock = clock or SystemClock()
        self._cache: OrderedDict[tuple[str, str], tuple[float, Answer]] = OrderedDict()
        self._asked: dict[tuple[str, str], _Question] = {}
        self._waiting: deque[_Question] = deque()
        self._in_flight = 0
        self._next_server = 0
        self._numbers = Numbers()
        self._ports: dict[tuple[str, int], list[SharedPort[_Question]]] = {}
        self._due: deque[tuple[float, _Question, int]] = deque()
        """When each try is over, in order: all have the same patience, so one timer serves all."""
        self._is_timing = False
        self.questions_sent = 0
        """Datagrams and TCP questions so far."""

    def ask(self, name: str, kind: str) -> Answer | Coming:
        """The records of `kind` at `name` (no search list).  At once where the cache knows; never raises.

        A question goes out at once, whenever its answer is waited for.
        """
        key = (name.rstrip(".").lower(), kind)
        kept = self._cache.get(key)
        if kept is not None:
            if kept[0] > self._clock.monotonic():
                return kept[1]
            del self._cache[key]
        if kind not in KINDS:
            return NoSuchName()
        return self._join(key)

    def flush(self) -> None:
        """Forget every answer."""
        self._cache.clear()

    def close(self) -> None:
        """Give up what is in flight: everybody who waits hears TryAgain."""
        self._waiting.clear()
        for question in list(self._asked.values()):
            self._done(question, TryAgain("the resolver was closed"))
        for port in [port for ports in self._ports.values() for port in ports]:
            port.close()
        self._ports.clear()

    def _join(self, key: tuple[str, str]) -> Answer | Coming:
        """The question, where it is asked already, or ask it."""
        question = self._asked.get(key)
        if question is not None:
            return question
        if self._in_flight >= MOST_IN_FLIGHT and len(self._waiting) >= MOST_WAITING:
            return TryAgain("too many questions")
        question = self._asked[key] = _Question(key)
        if self._in_flight < MOST_IN_FLIGHT:
            self._in_flight += 1
            self._try(question)
        else:
            self._waiting.append(question)
        return question if question.answer is None else question.answer

    def _server(self, question: _Question) -> tuple[str, int]:
        servers = self.settings.servers
        return servers[(question.tries - 1 + self._next_server) % len(servers)]

    def _try(self, question: _Question) -> None:
        """Send the question once more, or give up."""
        self._quiet(question)
        if question.tries >= self.settings.attempts * len(self.settings.servers):
            self._done(question, TryAgain(question.trouble or "timeout"))
            return
        if question.tries == 0 and self.settings.rotate:
            self._next_server += 1
        question.tries += 1
        self.questions_sent += 1
        self._be_patient(question)
        if self.settings.use_tcp:
            question.tcp = asyncio.get_running_loop().create_task(self._ask_tcp(question))
            return
        try:
            question.wire = format_query(0, question.name, question.kind, edns=question.edns)[2:]
        except BadMessage:
            self._done(question, NoSuchName())
            return
        server = self._server(question)
        try:
            if is_on_this_host(server[0]):
                self._share(question, server)
            else:
                self._ask_alone(question, server)
        except OSError as error:
            question.trouble = error.strerror or "cannot send"
            # not at once: a server that is down must not be asked in a loop
            self._quiet(question)
            question.timer = asyncio.get_running_loop().call_later(
                min(0.01, self.settings.timeout), self._try, question
            )

    def _share(self, question: _Question, server: tuple[str, int]) -> None:
        """From a port that other questions use as well.  Raises OSError."""
        ports = self._ports.setdefault(server, [])
        port = next((port for port in ports if not port.is_full), None)
        if port is None:
            port = SharedPort(server, self._arrived, self._failed)
            ports.append(port)
        port.ask(question, question.wire, self._numbers)
        question.port = port

    def _ask_alone(self, question: _Question, server: tuple[str, int]) -> None:
        """From a port of its own: connect() draws a fresh random one and lets the kernel drop what comes from anybody
        else.  Raises OSError."""
        question.number = self._numbers.next()
        sock = socket.socket(socket.AF_INET6 if ":" in server[0] else socket.AF_INET, socket.SOCK_DGRAM)
        question.socket = sock
        sock.setblocking(False)
        sock.connect(server)
        sock.send(question.number.to_bytes(2, "big") + question.wire)
        asyncio.get_running_loop().add_reader(sock.fileno(), self._readable, question)

    def _be_patient(self, question: _Question) -> None:
        """Give the try its time."""
        loop = asyncio.get_running_loop()
        self._due.append((loop.time() + self.settings.timeout, question, question.tries))
        if not self._is_timing:
            self._is_timing = True
            loop.call_later(self.settings.timeout, self._look_at_due)

    def _look_at_due(self) -> None:
        """End the tries whose time is over."""
        loop = asyncio.get_running_loop()
        now, due = loop.time(), self._due
        while due and (due[0][1].is_done or due[0][1].tries != due[0][2] or due[0][0] <= now):
            _, question, tries = due.popleft()
            if not question.is_done and question.tries == tries:
                self._timed_out(question)
        self._is_timing = bool(due)
        if due:
            loop.call_later(max(0.001, due[0][0] - now), self._look_at_due)

    def _failed(self, question: _Question, text: str) -> None:
        """Nobody listens there."""
        question.trouble = text
        question.port = None
        self._try(question)

    def _readable(self, question: _Question) -> None:
        """A datagram, or the news that nobody listens there."""
        if question.socket is None:
            return
        try:
            data = question.socket.recv(LARGEST_UDP)
        except (BlockingIOError, InterruptedError):
            return
        except OSError as error:
            question.trouble = error.strerror or "no answer"
            self._try(question)
            return
        self._arrived(question, data)

    def _arrived(self, question: _Question, data: bytes) -> None:
        """A datagram that may be the answer."""
        try:
            response = parse_response(data, question.number, question.name, question.kind, question.wire)
        except BadMessage as trouble:
            question.trouble = str(trouble)  # it may be forged: the true answer may still come
            return
        self._heard(question, response)

    def _heard(self, question: _Question, response: Response) -> None:
        if response.is_cut and question.tcp is None:
            self._drop_socket(question)
            question.tcp = asyncio.get_running_loop().create_task(self._ask_tcp(question))
        elif response.rcode in (NOERROR, NXDOMAIN) and not response.is_cut:
            self._done(question, self._judged(question, response))
        else:
            if response.rcode in (FORMERR, NOTIMP) and question.edns:
                question.edns = False
                question.tries -= 1
            question.trouble = f"server answered with code {response.rcode}"
            self._try(question)

    def _judged(self, question: _Question, response: Response) -> Answer:
        """The AD bit counts only from a server that we may trust with it: on this host, or by ``options trust-ad``."""
        answer = response.answer
        if isinstance(answer, Found) and answer.secure:
            address = self._server(question)[0]
            if not (self.settings.trusts_ad or is_on_this_host(address)):
                return Found(answer.records)
        return answer

    async def _ask_tcp(self, question: _Question) -> None:
        """The same question over TCP; the question's timer bounds it."""
        writer: asyncio.StreamWriter | None = None
        try:
            reader, writer = await asyncio.open_connection(*self._server(question))
            question.number = self._numbers.next()
            data = format_query(question.number, question.name, question.kind, edns=question.edns)
            writer.write(len(data).to_bytes(2, "big") + data)
            length = int.from_bytes(await reader.readexactly(2), "big")
            answer = await reader.readexactly(length)
            response = parse_response(answer, question.number, question.name, question.kind)
        except (OSError, EOFError, BadMessage) as trouble:
            question.trouble = str(trouble) or "connection lost"
            question.tcp = None
            self._try(question)
            return
        finally:
            if writer is not None:
                writer.close()
        self._heard(question, response)

    def _timed_out(self, question: _Question) -> None:
        question.trouble = question.trouble or "timeout"
        self._try(question)

    def _drop_socket(self, question: _Question) -> None:
        if question.port is not None:
            question.port.forget(question)
            question.port = None
        if question.socket is not None:
            asyncio.get_running_loop().remove_reader(question.socket.fileno())
            question.socket.close()
            question.socket = None

    def _quiet(self, question: _Question) -> None:
        """Stop everything that could still call for this question."""
        port = question.port
        if port is not None:
            port.forget(question)
            question.port = None
        if question.timer is not None:
            question.timer.cancel()
            question.timer = None
        if question.socket is not None:
            self._drop_socket(question)
        if question.tcp is not None:
            task, question.tcp = question.tcp, None
            if task is not _current_task():
                task.cancel()

    def _done(self, question: _Question, answer: Answer) -> None:
        """Keep the answer, tell everybody, and let the next question start."""
        self._quiet(question)
        question.is_done = True
        if self._asked.pop(question.key, None) is None:
            return
        self._keep(question.key, answer)
        if self._waiting:
            self._try(self._waiting.popleft())
        else:
            self._in_flight -= 1
        question.come(answer)

    def _keep(self, key: tuple[str, str], answer: Answer) -> None:
        if isinstance(answer, Found):
            ttl = min(min([record.ttl for record in answer.records]), LONGEST_KEPT)
        elif isinstance(answer, TryAgain):
            ttl = TROUBLE_KEPT
        else:
            ttl = min(answer.ttl, LONGEST_REFUSAL_KEPT)
        if ttl <= 0:
            return
        if len(self._cache) >= MOST_KEPT:
            self._cache.popitem(last=False)
        self._cache[key] = (self._clock.monotonic() + ttl, answer)


def _current_task() -> asyncio.Task[object] | None:
    try:
        return asyncio.current_task()
    except RuntimeError:
        return None
