"""`seawall policy-service`: answer somebody else's Postfix (check_policy_service) with Seawall's own checks.

Started by spawn(8), or by hand with questions on standard input, it serves that one conversation; with `--listen` it
serves many.  A permit of ours is DUNNO: the asking server's own list decides on.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import secrets
import signal
import socket
import stat
import sys
import syslog
import time
from collections.abc import Awaitable, Callable

from seawall.cli import exits
from seawall.cli.policy_greylist import open_greylist
from seawall.config.settings import ConfigTrouble, Settings, load
from seawall.dns.resolv_conf import read_resolv_conf
from seawall.dns.resolver import Resolver
from seawall.policy.list_watch import News
from seawall.policy.list_watching import Watching
from seawall.policy.policy_server import BadQuestion, Checks, Failure, QuestionReader
from seawall.policy.policy_service import split_endpoint
from seawall.policy.world import WorldFacts
from seawall.routing.resolve import Routing
from seawall.run.list_link import record_of
from seawall.tables.parameters import main_cf_of
from seawall.tables.registry import Tables
from seawall.tables.table import TableUnsupported

PIECE = 65536
"""Bytes read at a time."""
MOST_CONNECTIONS = 1000
"""Conversations at a time; those beyond are closed at once.  Ours: ten times default_process_limit."""
IDLE = 1000.0
"""Seconds without a question after which a conversation ends.  As long as smtpd_policy_service_max_ttl."""
LOOK_AT_TABLES = 1.0

DESCRIPTION = """\
Answer the questions of check_policy_service with Seawall's own checks.  In the asking Postfix:

  smtpd_recipient_restrictions = ... reject_unauth_destination, check_policy_service inet:127.0.0.1:10040

RESTRICTION... is one list as in smtpd_recipient_restrictions, where `greylist` may stand as well (with --listen); without any, seawall_policy_service_restrictions counts.
It is judged at whatever step the question comes from.  The answer is a refusal, a deferral, an action on the message,
or DUNNO; it never permits.  Where several actions on the message come together, one is told: DISCARD, HOLD, REDIRECT,
FILTER, BCC, PREPEND, in this order.  Without --listen the questions come on standard input, as from spawn(8)."""

Read = Callable[[], Awaitable[bytes]]
Write = Callable[[bytes], Awaitable[None]]
Tell = Callable[[str], None]


def parse_arguments(arguments: list[str]) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(
        "seawall policy-service", description=DESCRIPTION, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("-c", dest="directory", default="/etc/postfix", metavar="DIR", help="configuration directory")
    parser.add_argument("--root", default="", metavar="DIR", help="read every absolute path below DIR")
    parser.add_argument("--listen", metavar="ENDPOINT", help="inet:HOST:PORT, or unix:PATH below queue_directory")
    parser.add_argument(
        "--trouble",
        choices=[each.value for each in Failure],
        default=Failure.DEFER.value,
        help="where our own checks fail: defer what would be permitted (default), or say DUNNO",
    )
    parser.add_argument("restrictions", nargs="*", metavar="RESTRICTION", help="the checks")
    given = parser.parse_args(arguments)
    kind, _, where = (given.listen or "inet:h:1").partition(":")
    if kind not in ("inet", "unix") or not where or (kind == "inet" and not split_endpoint(where)[1].isdigit()):
        parser.error(f"--listen wants inet:HOST:PORT or unix:PATH, not '{given.listen}'")
    return given


def main(arguments: list[str]) -> int:
    """Serve until the conversation ends, or with --listen until SIGTERM or SIGINT.  sysexits(3)"""
    given = parse_arguments(arguments)
    tell = _to_stderr if given.listen or not _is_socket(0) else _to_syslog
    try:
        settings = load(given.directory, given.root)
        if tell is _to_syslog:
            syslog.openlog(f"{settings.text('syslog_name')}/policy-service", syslog.LOG_PID, syslog.LOG_MAIL)
        return asyncio.run(_run(settings, given, tell))
    except (ConfigTrouble, TableUnsupported) as trouble:
        tell(f"fatal: {trouble}")
        return exits.CONFIG
    except OSError as trouble:
        tell(f"fatal: {given.listen or 'standard input'}: {trouble.strerror or trouble}")
        return exits.UNAVAILABLE


async def _run(settings: Settings, given: argparse.Namespace, tell: Tell) -> int:
    tables = Tables(settings.root, settings.directory, warn=tell, main_cf=main_cf_of(settings))
    resolver = Resolver(read_resolv_conf(settings.path("/etc/resolv.conf")))
    restrictions = " ".join(given.restrictions) or settings.text("seawall_policy_service_restrictions")
    greylist = open_greylist(settings, restrictions, tell, listens=bool(given.listen))
    greylister = None if greylist is None else greylist.greylister
    lists = watch_lists(settings, resolver, tell, listens=bool(given.listen))
    facts = WorldFacts(settings, tables, Routing(settings, tables), resolver, greylister=greylister, lists=lists)
    try:
        checks = Checks(settings, facts, restrictions, Failure(given.trouble))
        for problem in checks.problems:
            tell(f"warning: {problem}")
        if greylist is not None:
            greylist.begin()
        if given.listen:
            await _listen(Conversations(checks, tell), settings, given.listen, tables, lists)
        elif _is_socket(0):
            await _serve_spawned(checks, tell)
        else:
            await converse(checks, _read_input, _write_output, tell)
    finally:
        if greylist is not None:
            greylist.close()
        facts.policies.close()
        resolver.close()
        tables.close()
    return exits.OK


def watch_lists(settings: Settings, resolver: Resolver, tell: Tell, *, listens: bool) -> Watching:
    """The watch over DNS lists; where one conversation is all, it asks only what that one brings."""

    def told(news: News) -> None:
        record = record_of(news, time.time())
        if record is not None:
            tell(record.text())

    interval = settings.seconds("seawall_dnsbl_watch_interval")
    rounds = interval if listens else 0.0
    return Watching(resolver, time.monotonic, secrets.randbelow, told, interval=rounds, longest=interval)


async def converse(checks: Checks, read: Read, write: Write, tell: Tell) -> None:
    """One conversation: question, answer, and so on until the other side ends it or talks nonsense."""
    reader = QuestionReader()
    while data := await read():
        try:
            questions = reader.feed(data)
        except BadQuestion as trouble:
            tell(f"warning: {trouble}")
            return
        for question in questions:
            judged = await checks.answer(question)
            for remark in judged.remarks:
                tell(remark)
            await write(f"action={judged.action}\n\n".encode("utf-8", "surrogateescape"))


class Conversations:
    """All conversations of a listening service."""

    def __init__(self, checks: Checks, tell: Tell) -> None:
        self._checks = checks
        self._tell = tell
        self._count = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One of them, from its connection to its end."""

        async def read() -> bytes:
            async with asyncio.timeout(IDLE):
                return await reader.read(PIECE)

        async def write(data: bytes) -> None:
            writer.write(data)
            await writer.drain()

        self._count += 1
        try:
            if self._count > MOST_CONNECTIONS:
                self._tell(f"warning: more than {MOST_CONNECTIONS} connections")
                return
            await converse(self._checks, read, write, self._tell)
        except (OSError, TimeoutError):
            return  # the asking server will come again when it has a question
        except asyncio.CancelledError:
            return  # we are going down; whoever waits for an answer has a default for that
        finally:
            self._count -= 1
            writer.close()


async def _listen(
    conversations: Conversations, settings: Settings, endpoint: str, tables: Tables, lists: Watching
) -> None:
    loop = asyncio.get_running_loop()
    ended = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, ended.set)

    def look_at_tables() -> None:
        tables.refresh(loop.time())
        lists.look()
        loop.call_later(LOOK_AT_TABLES, look_at_tables)

    look_at_tables()
    kind, _, where = endpoint.partition(":")
    if kind == "inet":
        host, port = split_endpoint(where)
        server = await asyncio.start_server(conversations.serve, host, int(port), limit=PIECE)
    else:
        path = settings.path(os.path.join(settings.text("queue_directory"), where))
        server = await asyncio.start_unix_server(conversations.serve, path, limit=PIECE)
        os.chmod(path, 0o666)  # as Postfix's own: the directory says who may come
    sys.stdout.write(f"seawall: policy service on {endpoint}\n")
    sys.stdout.flush()
    await ended.wait()
    server.close()


async def _serve_spawned(checks: Checks, tell: Tell) -> None:
    """Standard input, output and error are the connection: nothing else may be written there."""
    link = socket.socket(fileno=os.dup(0))
    nowhere = os.open(os.devnull, os.O_RDWR)
    for number in (0, 1, 2):
        os.dup2(nowhere, number)
    link.setblocking(False)
    opened = (
        asyncio.open_unix_connection(sock=link) if link.family == socket.AF_UNIX else asyncio.open_connection(sock=link)
    )
    reader, writer = await opened
    await Conversations(checks, tell).serve(reader, writer)


async def _read_input() -> bytes:
    return await asyncio.get_running_loop().run_in_executor(None, os.read, 0, PIECE)


async def _write_output(data: bytes) -> None:
    sys.stdout.buffer.write(data)
    sys.stdout.flush()


def _is_socket(number: int) -> bool:
    try:
        return stat.S_ISSOCK(os.fstat(number).st_mode)
    except OSError:
        return False


def _to_stderr(text: str) -> None:
    sys.stderr.write(f"{text.encode('utf-8', 'backslashreplace').decode()}\n")


def _to_syslog(text: str) -> None:
    syslog.syslog(syslog.LOG_INFO, text.encode("utf-8", "backslashreplace").decode().replace("\0", "?"))
