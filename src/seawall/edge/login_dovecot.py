"""AUTH by Dovecot's authentication server: one connection a worker, any number of exchanges on it.

postconf(5) smtpd_sasl_type = dovecot; Dovecot's "Authentication Protocol v1.1".  The connection is made at start and
made again, at most once a second, when it was lost; meanwhile the mechanisms it last named stay offered and an attempt
is answered with a temporary failure.
"""

from __future__ import annotations

import asyncio
import base64
import os
from collections.abc import Callable

from seawall.config.settings import ConfigTrouble, Settings
from seawall.edge.login import Challenge, Exchange, Failure, Step, Success
from seawall.edge.mechanisms import NO_MECHANISM, Refusal, read_security_options
from seawall.policy.attempt import Attempt

PATIENCE = 60.0
"""Seconds for one answer; Postfix waits as long (AUTH_TIMEOUT is 10 there for the connection alone)."""
AGAIN = 1.0
"""Seconds between two attempts to connect."""
LONGEST = 1 << 16
"""Bytes of one line from Dovecot."""
LOST = Failure("connection lost to authentication server", is_temporary=True)

# Properties in Dovecot's MECH lines, and the smtpd_sasl_security_options that exclude them.
EXCLUDED_BY = {
    "anonymous": "noanonymous",
    "plaintext": "noplaintext",
    "dictionary": "nodictionary",
    "active": "noactive",
}
GRANTED_BY = {"forward-secrecy": "forward_secrecy", "mutual-auth": "mutual_auth"}


def is_allowed(properties: frozenset[str], options: frozenset[str]) -> bool:
    """True where a mechanism with these properties may be offered under these security options."""
    if any(EXCLUDED_BY.get(word) in options for word in properties):
        return False
    granted = {GRANTED_BY[word] for word in properties if word in GRANTED_BY}
    return options & frozenset(GRANTED_BY.values()) <= granted


def _fields(text: str) -> str:
    """A value as Dovecot's line protocol can carry it: no tab, no line end, no NUL."""
    return "".join(mark for mark in text if mark not in "\t\r\n\0")


class DovecotLogin:
    """Implements edge.login.Login.  `run` keeps the connection; it is a task of the worker."""

    def __init__(self, settings: Settings, filtered: Callable[[str], bool]) -> None:
        """Raises ConfigTrouble where smtpd_sasl_path is no place that can be connected to."""
        self._place = read_place(settings)
        self._filtered = filtered
        self._options = {
            False: read_security_options(settings, "smtpd_sasl_security_options"),
            True: read_security_options(settings, "smtpd_sasl_tls_security_options"),
        }
        self._service = settings.text("smtpd_sasl_service")
        self._offered: dict[str, frozenset[str]] = {}
        self._writer: asyncio.StreamWriter | None = None
        self._waiting: dict[int, asyncio.Future[Step]] = {}
        self._number = 0
        self._known = asyncio.Event()

    def mechanisms(self, tls: bool) -> tuple[str, ...]:
        """What Dovecot last offered, as far as the security options let it."""
        options = self._options[tls]
        return tuple(
            name for name, words in self._offered.items() if is_allowed(words, options) and self._filtered(name)
        )

    def start(self, mechanism: str, initial: bytes | None, attempt: Attempt) -> Exchange:
        """Begin an exchange."""
        if mechanism.upper() not in self.mechanisms(attempt.tls is not None):
            return Refusal(NO_MECHANISM)
        words = [
            f"service={self._service}",
            "nologin",
            f"lip={_fields(attempt.server_address)}",
            f"rip={_fields(attempt.address)}",
            *(["secured"] if attempt.tls is not None else []),
            *([f"resp={base64.b64encode(initial).decode()}"] if initial is not None else []),
        ]
        return DovecotExchange(self, mechanism.upper(), words)

    async def known(self, patience: float) -> None:
        """Wait, at most so long, until the mechanisms are known: at start, before the first greeting."""
        try:
            await asyncio.wait_for(self._known.wait(), patience)
        except TimeoutError:
            return

    # ---- the connection ---------------------------------------------------------------------------------------

    async def run(self) -> None:
        """Keep the connection until cancelled."""
        while True:
            try:
                await self._connection()
            except (OSError, ValueError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
                pass
            self._lose()
            await asyncio.sleep(AGAIN)

    async def _connection(self) -> None:
        if isinstance(self._place, str):
            reader, writer = await asyncio.open_unix_connection(self._place, limit=LONGEST)
        else:
            reader, writer = await asyncio.open_connection(*self._place, limit=LONGEST)
        try:
            writer.write(f"VERSION\t1\t1\nCPID\t{os.getpid()}\n".encode())
            offered: dict[str, frozenset[str]] = {}
            while True:
                line = (await reader.readuntil(b"\n")).decode("utf-8", "replace").rstrip("\r\n")
                word, *rest = line.split("\t")
                if word == "MECH" and rest:
                    offered[rest[0].upper()] = frozenset(rest[1:])
                elif word == "DONE":
                    self._offered, self._writer = offered, writer
                    self._known.set()
                elif word in ANSWERS and rest:
                    self._answer(word, rest)
        finally:
            writer.close()

    def _answer(self, word: str, rest: list[str]) -> None:
        future = self._waiting.pop(int(rest[0]), None)
        if future is not None and not future.done():
            future.set_result(ANSWERS[word](rest[1:]))

    def _lose(self) -> None:
        self._writer = None
        waiting, self._waiting = self._waiting, {}
        for future in waiting.values():
            if not future.done():
                future.set_result(LOST)

    # ---- exchanges --------------------------------------------------------------------------------------------

    def new_number(self) -> int:
        """A number for an exchange, unique on a connection."""
        self._number = self._number % 0x7FFFFFFF + 1
        return self._number

    async def ask(self, number: int, line: str) -> Step:
        """Send a line and wait for the exchange's next answer."""
        if self._writer is None:
            return LOST
        future: asyncio.Future[Step] = asyncio.get_running_loop().create_future()
        self._waiting[number] = future
        self._writer.write(line.encode("utf-8", "surrogateescape"))
        timer = asyncio.get_running_loop().call_later(PATIENCE, _give_up, future)
        try:
            return await future
        finally:
            timer.cancel()
            self._waiting.pop(number, None)


def _give_up(future: asyncio.Future[Step]) -> None:
    if not future.done():
        future.set_result(LOST)


class DovecotExchange:
    """One exchange on the shared connection."""

    def __init__(self, login: DovecotLogin, mechanism: str, words: list[str]) -> None:
        self._login = login
        self._number = login.new_number()
        self._begin = "\t".join(["AUTH", str(self._number), mechanism, *words]) + "\n"

    async def first(self) -> Step:
        """AUTH."""
        return await self._login.ask(self._number, self._begin)

    async def step(self, response: bytes) -> Step:
        """CONT."""
        return await self._login.ask(self._number, f"CONT\t{self._number}\t{base64.b64encode(response).decode()}\n")

    def close(self) -> None:
        """Dovecot forgets an exchange that is not gone on with."""


def _values(words: list[str]) -> dict[str, str]:
    return dict(word.partition("=")[::2] for word in words)


def _ok(words: list[str]) -> Step:
    user = _values(words).get("user", "")
    return Success(user) if user else Failure("missing username", is_temporary=True)


def _fail(words: list[str]) -> Step:
    values = _values(words)
    reason = values.get("reason", "") or ("Temporary authentication failure" if "temp" in values else "")
    return Failure(reason, is_temporary="temp" in values, username=values.get("user", ""))


def _cont(words: list[str]) -> Step:
    try:
        return Challenge(base64.b64decode(words[0] if words else "", validate=True))
    except ValueError:
        return Failure("bad challenge", is_temporary=True)


ANSWERS: dict[str, Callable[[list[str]], Step]] = {"OK": _ok, "FAIL": _fail, "CONT": _cont}


def read_place(settings: Settings) -> str | tuple[str, int]:
    """smtpd_sasl_path: a socket (relative to queue_directory), ``unix:path`` or ``inet:host:port``.  Raises ConfigTrouble."""
    text = settings.text("smtpd_sasl_path")
    if text.startswith("inet:"):
        host, _, port = text.removeprefix("inet:").rpartition(":")
        if not host or not port.isdigit():
            raise ConfigTrouble(f"smtpd_sasl_path = {text}: expected inet:host:port", settings.where("smtpd_sasl_path"))
        return host.removeprefix("[").removesuffix("]"), int(port)
    path = text.removeprefix("unix:")
    return settings.path(path if path.startswith("/") else f"{settings.text('queue_directory')}/{path}")
