"""The stub resolver: many questions at once over UDP, TCP for answers that were cut.

A question to another host has a port of its own; those to a server on this host share some (`ports`).

RFC 1035, RFC 5452 (random id and port, the question compared), RFC 6891 (EDNS0), RFC 2308 (negative answers kept).
Equal questions in flight are asked once; answers are kept for their TTL, within bounds.

An answer may be late, and come after the question was sent again.  A server that says nothing at all costs the first
questions their time; then nobody waits for it, until it answers a probe.
"""

from __future__ import annotations

import asyncio
import socket
from collections import OrderedDict, deque
from collections.abc import Callable
from functools import partial

from seawall.clock import Clock, SystemClock
from seawall.dns.answers import Answer, Coming, Found, NoSuchName, TryAgain
from seawall.dns.ports import LARGEST_UDP, Numbers, SharedPort
from seawall.dns.question import PROBE, NameServer, Question, Way
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
PROBES = 1.0
"""Seconds between two questions to a server that seems dead, and how long the first of them is given.  Ours: what comes
back is found well within five."""


class Resolver:
    """Answers questions from cache or network.  One for an event loop; opens nothing before the first question."""

    def __init__(
        self,
        settings: ResolverSettings,
        clock: Clock | None = None,
        warn: Callable[[str], None] | None = None,
    ) -> None:
        """`warn` is told of servers that stop to answer, and of their return."""
        self.settings = settings
        self._clock = clock or SystemClock()
        self._warn = warn
        self._cache: OrderedDict[tuple[str, str], tuple[float, Answer]] = OrderedDict()
        self._asked: dict[tuple[str, str], Question] = {}
        self._waiting: deque[Question] = deque()
        self._in_flight = 0
        self._is_letting_in = False
        self._servers = tuple(map(NameServer, settings.servers))
        self._most_tries = settings.attempts * len(settings.servers)
        self._start = 0
        self._numbers = Numbers()
        self._due: deque[tuple[float, Question, int]] = deque()
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

    def is_nearly_full(self) -> bool:
        """Three quarters of what may be in flight are: the rest is for questions that somebody waits for."""
        return self._in_flight >= MOST_IN_FLIGHT * 3 // 4

    def flush(self) -> None:
        """Forget every answer."""
        self._cache.clear()

    def close(self) -> None:
        """Give up what is in flight: everybody who waits hears TryAgain."""
        self._waiting.clear()
        for question in (*self._asked.values(), *(due[1] for due in self._due)):
            if not question.is_done:
                self._done(question, TryAgain("the resolver was closed"))
        for server in self._servers:
            if server.timer is not None:
                server.timer.cancel()
                server.timer = None
            for port in server.ports:
                port.close()
            server.ports.clear()

    def _join(self, key: tuple[str, str]) -> Answer | Coming:
        """The question, where it is asked already, or ask it."""
        question = self._asked.get(key)
        if question is not None:
            return question
        if self._in_flight >= MOST_IN_FLIGHT and len(self._waiting) >= MOST_WAITING:
            return TryAgain("too many questions")
        if self.settings.rotate:
            self._start += 1
        question = self._asked[key] = Question(key, self._start)
        if self._in_flight < MOST_IN_FLIGHT:
            self._in_flight += 1
            self._try(question)
        else:
            self._waiting.append(question)
        return question if question.answer is None else question.answer

    def _next_server(self, question: Question) -> NameServer | None:
        """The next one that is not dead; each has its turn `attempts` times.  A probe goes where it must, and is heard for
        twice the time that an answer may take: from a slow server each would else come a moment too late."""
        if question.only is not None:
            question.tries += 1
            return question.only if question.tries <= 2 else None
        servers = self._servers
        while question.tries < self._most_tries:
            server = servers[(question.tries + question.start) % len(servers)]
            question.tries += 1
            if not server.is_dead:
                return server
        return None

    def _try(self, question: Question) -> None:
        """Send the question once more, or give up."""
        server = question.server = self._next_server(question)
        if server is None:
            self._done(question, TryAgain(question.trouble or "no name server answers"))
            return
        self.questions_sent += 1
        self._be_patient(question)
        if self.settings.use_tcp:
            question.heard = server.heard
            question.tcp = asyncio.get_running_loop().create_task(self._ask_tcp(server, question))
            return
        try:
            question.wire = format_query(0, question.name, question.kind, edns=question.edns)[2:]
        except BadMessage:
            self._done(question, NoSuchName())
            return
        try:
            if not (question.earlier and self._ask_again(server, question)):
                question.heard = server.heard
                if server.is_here:
                    self._share(server, question)
                else:
                    self._ask_alone(server, question)
        except OSError as error:
            question.trouble = error.strerror or "cannot send"
            # not at once: a server that is down must not be asked in a loop
            self._drop(question)
            question.timer = asyncio.get_running_loop().call_later(
                min(0.01, self.settings.timeout), self._try, question
            )

    def _ask_again(self, server: NameServer, question: Question) -> bool:
        """The way it was asked before, if it was: then a late answer to that serves as well.  Raises OSError."""
        way = next((way for way in question.earlier if way.server is server), None)
        if way is None:
            return False
        question.earlier = tuple(each for each in question.earlier if each is not way)
        question.port, question.socket, question.number, question.heard = way.port, way.socket, way.number, way.heard
        if way.port is not None:
            way.port.ask_again(way.number, question.wire)
        elif way.socket is not None:
            way.socket.send(way.number.to_bytes(2, "big") + question.wire)
        else:
            return False
        return True

    def _share(self, server: NameServer, question: Question) -> None:
        """From a port that other questions use as well.  Raises OSError."""
        port = next((port for port in server.ports if not port.is_full), None)
        if port is None:
            port = SharedPort(
                server.address,
                partial(self._arrived, server),
                partial(self._failed, server),
                partial(self._lives, server),
            )
            server.ports = [*(each for each in server.ports if not each.is_closed), port]
        question.number = port.ask(question, question.wire, self._numbers)
        question.port = port

    def _ask_alone(self, server: NameServer, question: Question) -> None:
        """From a port of its own: connect() draws a fresh random one and lets the kernel drop what comes from anybody
        else.  Raises OSError."""
        address = server.address
        number = question.number = self._numbers.next()
        sock = socket.socket(socket.AF_INET6 if ":" in address[0] else socket.AF_INET, socket.SOCK_DGRAM)
        question.socket = sock
        sock.setblocking(False)
        sock.connect(address)
        sock.send(number.to_bytes(2, "big") + question.wire)
        asyncio.get_running_loop().add_reader(sock.fileno(), self._readable, server, question, sock, number)

    def _be_patient(self, question: Question) -> None:
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

    def _failed(self, server: NameServer, question: Question, text: str) -> None:
        """Nobody listens there."""
        if question.is_done:
            return
        if question.server is not server:
            self._forget(question, server)
            return
        question.trouble = text
        self._drop(question)
        self._try(question)

    def _readable(self, server: NameServer, question: Question, sock: socket.socket, number: int) -> None:
        """A datagram, or the news that nobody listens there."""
        try:
            data = sock.recv(LARGEST_UDP)
        except (BlockingIOError, InterruptedError):
            return
        except OSError as error:
            self._failed(server, question, error.strerror or "no answer")
            return
        self._arrived(server, question, number, data)

    def _arrived(self, server: NameServer, question: Question, number: int, data: bytes) -> None:
        """A datagram that may be the answer."""
        try:
            response = parse_response(data, number, question.name, question.kind, question.wire)
        except BadMessage as trouble:
            question.trouble = str(trouble)  # it may be forged: the true answer may still come
            return
        self._heard(server, question, response)

    def _heard(self, server: NameServer, question: Question, response: Response) -> None:
        """The server's word, be it for this question's present try or for an earlier one."""
        server.heard += 1
        if server.is_suspect:
            self._answers_again(server)
        if response.rcode in (NOERROR, NXDOMAIN) and not response.is_cut:
            self._done(question, self._judged(server, response))
        elif question.server is not server:
            self._forget(question, server)  # no answer, and the next server is asked already
        elif response.is_cut and question.tcp is None:
            self._drop_socket(question)
            question.tcp = asyncio.get_running_loop().create_task(self._ask_tcp(server, question))
        else:
            if response.rcode in (FORMERR, NOTIMP) and question.edns:
                question.edns = False
                question.tries -= 1
            question.trouble = f"server answered with code {response.rcode}"
            self._drop(question)
            self._try(question)

    def _judged(self, server: NameServer, response: Response) -> Answer:
        """The AD bit counts only from a server that we may trust with it: on this host, or by ``options trust-ad``."""
        answer = response.answer
        if isinstance(answer, Found) and answer.secure and not (self.settings.trusts_ad or server.is_here):
            return Found(answer.records)
        return answer

    async def _ask_tcp(self, server: NameServer, question: Question) -> None:
        """The same question over TCP; the question's timer bounds it."""
        writer: asyncio.StreamWriter | None = None
        try:
            reader, writer = await asyncio.open_connection(*server.address)
            number = self._numbers.next()
            data = format_query(number, question.name, question.kind, edns=question.edns)
            writer.write(len(data).to_bytes(2, "big") + data)
            length = int.from_bytes(await reader.readexactly(2), "big")
            answer = await reader.readexactly(length)
            response = parse_response(answer, number, question.name, question.kind)
        except (OSError, EOFError, BadMessage) as trouble:
            question.trouble = str(trouble) or "connection lost"
            self._drop(question)
            self._try(question)
            return
        finally:
            if writer is not None:
                writer.close()
        self._heard(server, question, response)

    def _timed_out(self, question: Question) -> None:
        """Try elsewhere, or there again; an answer that comes late is one all the same."""
        question.trouble = question.trouble or "timeout"
        if question.server is not None:
            way = Way(question.server, question.port, question.socket, question.number, question.heard)
            question.earlier = (*question.earlier, way)
            question.port = question.socket = None
        self._drop(question)
        self._try(question)

    # ---- servers that do not answer ---------------------------------------------------------------------------------

    def _waited_in_vain(self, server: NameServer) -> None:
        """A question's whole time, and no word from the server meanwhile."""
        server.is_suspect = True
        server.breaker.failed(asyncio.get_running_loop().time(), refused=False)
        if server.breaker.is_open and server.timer is None:
            self._probe(server)

    def _probe(self, server: NameServer) -> None:
        """Ask what every server knows, once a second until there is an answer."""
        server.timer = asyncio.get_running_loop().call_later(PROBES, self._probe_again, server)
        self._try(Question(PROBE, 0, server))

    def _probe_again(self, server: NameServer) -> None:
        """No word to the first probe either: it is dead, and nobody waits for it any more."""
        if not server.is_dead:
            server.is_dead = True
            if self._warn is not None:
                self._warn(f"name server {server.address[0]}: no answer; nobody waits for it until there is one")
            for question in list(self._asked.values()):
                if question.server is server and not question.is_done:
                    self._drop(question)
                    self._try(question)
        self._probe(server)

    def _lives(self, server: NameServer) -> None:
        """A word to a question that was given up: too late for that, but nobody is dead who speaks."""
        server.heard += 1
        if server.is_suspect:
            self._answers_again(server)

    def _answers_again(self, server: NameServer) -> None:
        if server.is_dead and self._warn is not None:
            self._warn(f"name server {server.address[0]}: answers again")
        server.is_suspect = server.is_dead = False
        server.breaker.answered(asyncio.get_running_loop().time())
        if server.timer is not None:
            server.timer.cancel()
            server.timer = None

    # ---- the end of a try, and of a question ------------------------------------------------------------------------

    def _drop_socket(self, question: Question) -> None:
        if question.port is not None:
            question.port.forget(question.number, question)
            question.port = None
        if question.socket is not None:
            asyncio.get_running_loop().remove_reader(question.socket.fileno())
            question.socket.close()
            question.socket = None

    def _forget(self, question: Question, server: NameServer | None = None) -> None:
        """Listen no more for answers to earlier tries, at one server or at all."""
        for way in question.earlier:
            if server is None or way.server is server:
                if way.port is not None:
                    way.port.forget(way.number, question)
                if way.socket is not None:
                    asyncio.get_running_loop().remove_reader(way.socket.fileno())
                    way.socket.close()
        question.earlier = tuple(way for way in question.earlier if server is not None and way.server is not server)

    def _drop(self, question: Question) -> None:
        """Stop everything that could still call for the present try."""
        port = question.port
        if port is not None:
            port.forget(question.number, question)
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

    def _done(self, question: Question, answer: Answer) -> None:
        """Keep the answer, tell everybody, and let the next question start."""
        self._drop(question)
        question.is_done = True
        if question.earlier:
            ways = question.earlier
            self._forget(question)
            if question.only is None:
                for server in {way.server for way in ways if way.server.heard == way.heard}:
                    self._waited_in_vain(server)
        if self._asked.pop(question.key, None) is None:
            return
        self._keep(question.key, answer)
        self._in_flight -= 1
        if self._waiting:
            self._let_in()
        question.come(answer)

    def _let_in(self) -> None:
        """Start questions that wait.  Those may end at once, and come here again: then the first call goes on."""
        if self._is_letting_in:
            return
        self._is_letting_in = True
        while self._waiting and self._in_flight < MOST_IN_FLIGHT:
            self._in_flight += 1
            self._try(self._waiting.popleft())
        self._is_letting_in = False

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
