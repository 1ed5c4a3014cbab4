"""Talk to policy services: kept connections, a queue for a free one, tries, time limits, and a breaker for each service.

One worker has one `PolicyClients`; all its sessions share the connections.  Where Postfix's smtpd(8) has one connection
and waits as long as all its tries take, a question here has smtpd_policy_service_timeout in all, the wait for a free
connection included (docs/differences.md D-45); and where a service is found to be away or to hang, nobody waits for it
any more but one question at a time, which finds out when it is back.  attr_clnt(3), auto_clnt(3)
"""

from __future__ import annotations

import asyncio
import errno
import os
import socket
from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import cast

from seawall.breaker import Breaker
from seawall.policy.policy_service import (
    AnswerReader,
    AnswerTrouble,
    PolicyAnswer,
    Service,
    split_endpoint,
)

TRIAL_PATIENCE = 1.5
"""Seconds that a session waits for a service of which we know that it hangs; the question itself goes on."""
BUSY_PAUSE = 0.1
"""Seconds until the next try to connect to a socket whose queue is full."""
MOST_WAITING = 10000
"""Questions of one service that wait for a connection; those beyond hear the default action at once."""
NO_ANSWER = PolicyAnswer(None)

_QUIET = frozenset({errno.EPIPE, errno.ENOENT, errno.ECONNRESET})
"""What is worth a warning only where no try is left.  attr_clnt_request()"""
_AWAY = frozenset(
    {errno.ECONNREFUSED, errno.ENOENT, errno.EHOSTUNREACH, errno.ENETUNREACH, errno.EACCES, errno.ENOTDIR}
)
"""Nobody is there: no need to try again soon."""


class _Failed(Exception):
    """One try came to nothing.  `number` is the errno, 0 for an answer that was none; `remark` Postfix's warning."""

    def __init__(self, number: int, remark: str = "", *, fresh: bool = True) -> None:
        super().__init__(number, remark)
        self.number = number
        self.remark = remark
        self.fresh = fresh
        """False where a kept connection ended before any answer: that is the service's right."""

    @property
    def reason(self) -> str:
        return os.strerror(self.number) if self.number else "Application error"


class Connection(asyncio.Protocol):
    """One connection: a question, then its answer, then the next."""

    def __init__(self, name: str, ended: Callable[[Connection], None], now: float) -> None:
        self._name = name
        self._ended = ended
        self._reader: AnswerReader | None = None
        self._waiter: asyncio.Future[str] | None = None
        self._heard = False
        self.transport: asyncio.Transport | None = None
        self.opened = now
        self.asked = 0
        self.timer: asyncio.TimerHandle | None = None
        """Runs while the connection rests."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Ready."""
        self.transport = cast(asyncio.Transport, transport)

    async def ask(self, question: bytes, deadline: float) -> str:
        """The action that the service answers.  Raises _Failed."""
        loop = asyncio.get_running_loop()
        waiter: asyncio.Future[str] = loop.create_future()
        self._waiter = waiter
        self._reader, self._heard = AnswerReader(self._name), False
        timer = loop.call_at(deadline, self._fail, _Failed(errno.ETIMEDOUT))
        try:
            if self.transport is None or self.transport.is_closing():
                raise _Failed(errno.ECONNRESET, fresh=self.asked == 0)
            self.transport.write(question)
            return await waiter
        finally:
            timer.cancel()
            self.asked += 1
            self._waiter = None

    @property
    def is_usable(self) -> bool:
        """True where the next question may be asked here."""
        reader = self._reader
        return self.transport is not None and not self.transport.is_closing() and (reader is None or reader.is_clean)

    def data_received(self, data: bytes) -> None:
        """A part of the answer; a word out of turn ends the connection."""
        reader, waiter = self._reader, self._waiter
        if waiter is None or waiter.done() or reader is None:
            self.close()
            return
        self._heard = True
        try:
            action = reader.feed(data)
        except AnswerTrouble as trouble:
            self._fail(_Failed(0, str(trouble)))
        else:
            if action is not None:
                waiter.set_result(action)

    def connection_lost(self, exc: Exception | None) -> None:
        """The service ended it."""
        number = exc.errno if isinstance(exc, OSError) and exc.errno else 0
        fresh = self.asked == 0 or self._heard
        remark = str(self._reader.end()) if self._reader is not None and not number else ""
        self._fail(_Failed(number, remark, fresh=fresh))
        self.transport = None
        self._ended(self)

    def close(self) -> None:
        """End it."""
        if self.timer is not None:
            self.timer.cancel()
        if self.transport is not None:
            self.transport.abort()  # nothing of ours is left unsaid

    def _fail(self, failure: _Failed) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_exception(failure)


class PolicyClient:
    """One service, as one worker talks to it."""

    def __init__(self, service: Service, path: str, most: int) -> None:
        """`path` is where a unix service's socket is; `most` bounds the connections."""
        self._service = service
        self._path = path
        self._most = max(1, most)
        self._breaker = Breaker()
        self._was_open = False
        self._idle: list[Connection] = []
        self._count = 0
        self._queue: deque[asyncio.Future[None]] = deque()
        self._tasks: set[asyncio.Task[PolicyAnswer]] = set()
        self._sessions: set[asyncio.Future[PolicyAnswer]] = set()

    @property
    def is_away(self) -> bool:
        """True while the breaker turns questions away."""
        return self._breaker.is_open

    async def ask(self, question: bytes) -> PolicyAnswer:
        """What the service says, within its timeout; no answer at once where it is known to be away."""
        loop = asyncio.get_running_loop()
        full = len(self._queue) >= MOST_WAITING
        if full or not self._breaker.may_ask(loop.time()):
            return NO_ANSWER
        trial = self._breaker.is_open
        session: asyncio.Future[PolicyAnswer] = loop.create_future()
        task = loop.create_task(self._settle(question, trial))
        self._tasks.add(task)
        self._sessions.add(session)
        task.add_done_callback(lambda done: self._tell(done, session))
        if trial:
            loop.call_later(min(TRIAL_PATIENCE, self._service.timeout), _let_go, session)
        try:
            return await session
        finally:
            self._sessions.discard(session)

    def close(self) -> None:
        """End all connections; questions that are out get no answer."""
        for task in self._tasks:
            task.cancel()
        for connection in self._idle:
            connection.close()
        self._idle.clear()

    def _tell(self, task: asyncio.Task[PolicyAnswer], session: asyncio.Future[PolicyAnswer]) -> None:
        self._tasks.discard(task)
        if task.cancelled():
            _let_go(session)
            return
        trouble = task.exception()
        if session.done():
            return
        if trouble is not None:
            session.set_exception(trouble)
        else:
            session.set_result(task.result())

    async def _settle(self, question: bytes, trial: bool) -> PolicyAnswer:
        """Try until it answers, the tries are used up, or the time is; then the breaker learns how it ended."""
        loop, service = asyncio.get_running_loop(), self._service
        deadline = loop.time() + service.timeout
        remarks: list[str] = []
        tries = 0
        while True:
            tries += 1
            try:
                action = await self._try(question, deadline, trial)
            except _Failed as failure:
                rest = deadline - loop.time()
                if not failure.fresh and rest > 0:
                    tries -= 1  # another connection at once; there are only so many kept ones
                    continue
                last = trial or 0 < service.try_limit <= tries or rest <= 0
                if failure.remark:
                    remarks.append(failure.remark)
                if last or (failure.number and failure.number not in _QUIET):
                    remarks.append(f"problem talking to server {service.where}: {failure.reason}")
                if last:
                    self._learn(failure, remarks)
                    return PolicyAnswer(None, tuple(remarks))
                await asyncio.sleep(min(service.retry_delay, rest))
            else:
                self._learn(None, remarks)
                return PolicyAnswer(action, tuple(remarks))

    def _learn(self, failure: _Failed | None, remarks: list[str]) -> None:
        """Tell the breaker, and the log where it opens or closes."""
        loop, breaker = asyncio.get_running_loop(), self._breaker
        if failure is None or (failure.remark and not failure.number):
            breaker.answered(loop.time())  # nonsense is an answer as well: somebody is there
        elif failure.number != errno.EBUSY:
            breaker.failed(loop.time(), refused=failure.number in _AWAY)
        if breaker.is_open is self._was_open:
            return
        self._was_open = breaker.is_open
        if not breaker.is_open:
            remarks.append(f"policy service {self._service.where} answers again")
            return
        remarks.append(f"policy service {self._service.where} does not answer: its default action holds until it does")
        for session in self._sessions:  # they need not wait their time out
            loop.call_later(TRIAL_PATIENCE, _let_go, session)

    async def _try(self, question: bytes, deadline: float, trial: bool) -> str:
        connection = await (self._open(deadline) if trial else self._connection(deadline))
        try:
            return await connection.ask(question, deadline)
        finally:
            self._give_back(connection)

    # Connections

    async def _connection(self, deadline: float) -> Connection:
        """One that rests, a new one, or the next that somebody gives back.  Raises _Failed."""
        while True:
            while self._idle:
                connection = self._idle.pop()
                if connection.timer is not None:
                    connection.timer.cancel()
                if connection.is_usable:
                    return connection
            if self._count < self._most:
                return await self._open(deadline)
            await self._wait_in_line(deadline)

    async def _wait_in_line(self, deadline: float) -> None:
        loop = asyncio.get_running_loop()
        turn: asyncio.Future[None] = loop.create_future()
        self._queue.append(turn)
        try:
            async with asyncio.timeout_at(deadline):
                await turn
        except TimeoutError:
            if turn.done() and not turn.cancelled():
                self._next_in_line()  # it came too late for us
            raise _Failed(errno.EBUSY) from None  # says nothing about the service: others are being answered
        finally:
            if turn in self._queue:
                self._queue.remove(turn)

    async def _open(self, deadline: float) -> Connection:
        self._count += 1
        loop, name = asyncio.get_running_loop(), self._service.where

        def make() -> Connection:
            return Connection(name, self._gone, loop.time())

        try:
            async with asyncio.timeout_at(deadline):
                if self._service.kind == "unix":
                    _, connection = await loop.create_unix_connection(make, sock=await self._connect_unix())
                else:
                    _, connection = await loop.create_connection(make, sock=await self._connect_inet())
                return connection
        except TimeoutError:
            self._free()
            raise _Failed(errno.ETIMEDOUT, f"connect to {name}: {os.strerror(errno.ETIMEDOUT)}") from None
        except OSError as trouble:
            self._free()
            number = trouble.errno if trouble.errno and trouble.errno > 0 else errno.EHOSTUNREACH
            raise _Failed(number, f"connect to {name}: {_reason(trouble, number)}") from None
        except BaseException:
            self._free()
            raise

    async def _connect_unix(self) -> socket.socket:
        link = socket.socket(socket.AF_UNIX)
        link.setblocking(False)
        try:
            while True:
                try:
                    link.connect(self._path)
                    return link
                except BlockingIOError:  # its queue is full: it hangs, or it is slow
                    await asyncio.sleep(BUSY_PAUSE)
        except BaseException:
            link.close()
            raise

    async def _connect_inet(self) -> socket.socket:
        """To the first of the host's addresses that takes us."""
        loop = asyncio.get_running_loop()
        host, port = split_endpoint(self._service.where)
        infos = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)  # in a thread, where host is a name
        trouble: OSError = OSError(errno.EHOSTUNREACH, os.strerror(errno.EHOSTUNREACH))
        for family, kind, protocol, _, address in infos:
            link = socket.socket(family, kind, protocol)
            link.setblocking(False)
            try:
                await loop.sock_connect(link, address)
            except OSError as failure:
                link.close()
                trouble = failure
            except BaseException:
                link.close()
                raise
            else:
                link.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                return link
        raise trouble

    def _give_back(self, connection: Connection) -> None:
        """Keep it for the next question, if its service's terms and its state allow it."""
        loop, service = asyncio.get_running_loop(), self._service
        rest = connection.opened + service.max_ttl - loop.time() if service.max_ttl else service.max_idle or 1e9
        used_up = 0 < service.request_limit <= connection.asked
        if not connection.is_usable or used_up or rest <= 0:
            connection.close()
            return
        self._idle.append(connection)
        until_close = min(rest, service.max_idle or rest)
        connection.timer = loop.call_later(until_close, self._retire, connection)
        self._next_in_line()

    def _retire(self, connection: Connection) -> None:
        if connection in self._idle:
            self._idle.remove(connection)
            connection.close()

    def _gone(self, connection: Connection) -> None:
        """A connection has ended, whoever ended it."""
        if connection.timer is not None:
            connection.timer.cancel()
        if connection in self._idle:
            self._idle.remove(connection)
        self._free()

    def _free(self) -> None:
        self._count -= 1
        self._next_in_line()

    def _next_in_line(self) -> None:
        while self._queue:
            turn = self._queue.popleft()
            if not turn.done():
                turn.set_result(None)
                return


def _reason(trouble: OSError, number: int) -> str:
    """Why a connection failed, in the system's words; what went wrong with a host's name, in its own."""
    return str(trouble.strerror) if isinstance(trouble, socket.gaierror) else os.strerror(number)


def _let_go(session: asyncio.Future[PolicyAnswer]) -> None:
    """A session that has waited enough goes on without an answer."""
    if not session.done():
        session.set_result(NO_ANSWER)


class PolicyClients:
    """All services that a worker talks to, by endpoint and terms; the lists of all its listeners share them."""

    def __init__(self, path_of: Callable[[str], str], most: int) -> None:
        """`path_of` gives the socket of a unix service; `most` bounds the connections to each service."""
        self._path_of = path_of
        self._most = most
        self._clients: dict[Service, PolicyClient] = {}

    def client(self, service: Service) -> PolicyClient:
        """The client of a service."""
        key = replace(service, argument="", default_action="", context="")
        client = self._clients.get(key)
        if client is None:
            path = self._path_of(service.where) if service.kind == "unix" else ""
            client = self._clients[key] = PolicyClient(service, path, self._most)
        return client

    def ask(self, service: Service, question: str) -> Awaitable[PolicyAnswer]:
        """What the service says to a question of `format_question`."""
        return self.client(service).ask(question.encode("utf-8", "surrogateescape"))

    def close(self) -> None:
        """End all connections."""
        for client in self._clients.values():
            client.close()
