"""Golden cases against engine, edge, policy and intake in memory: no socket, no process, no root.

A `Stage` of the journey's first half is built for each group, as a worker builds it; the wire is a transport that keeps
what is written, names come from the case's zone, users from a table, and what is accepted goes into a list.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from seawall.clock import SystemClock
from seawall.config.host import Host
from seawall.config.settings import Settings
from seawall.dns.hosts import Hosts
from seawall.dns.zone import Zone
from seawall.edge.counting import Counting, compile_client_limits
from seawall.edge.edge import Edge
from seawall.edge.login import Exchange as LoginExchange
from seawall.edge.profile import compile_profile
from seawall.edge.session import Session
from seawall.intake.cleanup import Cleanup
from seawall.journal.log_lines import LineFormat
from seawall.journal.record import MemoryJournal
from seawall.mail.message import Message
from seawall.mail.network import parse_network
from seawall.mail.queue_id import QueueIds
from seawall.policy.attempt import Attempt
from seawall.policy.judge import Judge
from seawall.policy.policy_client import PolicyClients
from seawall.policy.rates import Rates
from seawall.policy.world import WorldFacts, policy_clients
from seawall.routing.resolve import Routing
from seawall.tables.registry import TYPES, Tables
from seawall.tables.table import Opening, Table, TableTrouble
from tests.box_world import HOSTS, SERVER_ADDRESS, SINK_ADDRESS, SOA, USERS
from tests.case_file import Case, Exchange, Said, escape, mask
from tests.player import ROWS, Group, Played, log_lines, rows_of, said_by
from tests.policy_server import PolicyServer

PATIENCE = 5.0  # seconds that one reply may take
HOST = Host(
    "box.example",
    tuple(
        network
        for text in ("127.0.0.0/8", "::1/128", f"{SERVER_ADDRESS}/32", f"{SINK_ADDRESS}/32")
        if (network := parse_network(text)) is not None
    ),
)


def can_play(case: Case) -> bool:
    """True for cases that need neither TLS, nor time, nor somebody who knows passwords, nor a port, nor spawn(8)."""
    if any(endpoint.startswith("inet:") for endpoint in case.policies):
        return False
    lines = [line for exchange in case.dialogue for line in exchange.client]
    acts = {line.text.split(" ")[0] for line in lines if line.mark == "C*"}
    logs_in = any(line.text.startswith("AUTH ") for line in lines)
    return (
        not logs_in
        and not acts & {"starttls", "pause"}
        and not case.name.startswith(("auth/", "tls/", "thread-b-spawn/", "verify/"))
    )


def depends_on_packets(case: Case) -> bool:
    """True for cases in which it matters what comes together."""
    return any(
        word in line
        for exchange in case.dialogue
        for line in (*exchange.postfix.lines, *(exchange.seawall.lines if exchange.seawall else ()))
        for word in ("pipelining", "synchronization")
    )


class Wire(asyncio.Transport):
    """The transport of a session: an address on one side, a heap of bytes on the other."""

    def __init__(self, client: str, port: int) -> None:
        super().__init__({"peername": (client, 40000), "sockname": (SERVER_ADDRESS, port)})
        self.heard = bytearray()
        self.closed = False
        self.changed = asyncio.Event()

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self.heard += data
        self.changed.set()

    def close(self) -> None:
        self.closed = True
        self.changed.set()

    def abort(self) -> None:
        self.close()

    def is_closing(self) -> bool:
        return self.closed

    def pause_reading(self) -> None:
        """The player waits for each reply."""

    def resume_reading(self) -> None:
        """The player waits for each reply."""


class KeptMail:
    """A spool without a disk."""

    def __init__(self) -> None:
        self.messages: list[Message] = []

    async def store(self, message: Message) -> None:
        self.messages.append(message)


class NobodyLogsIn:
    """Names the mechanisms of config A."""

    def mechanisms(self, tls: bool) -> tuple[str, ...]:
        return ("PLAIN", "LOGIN")

    def start(self, mechanism: str, initial: bytes | None, attempt: Attempt) -> LoginExchange:
        raise AssertionError("cases with AUTH are not played in memory")


async def flushed(domain: str) -> bool:
    """A queue manager that has nothing for the domain."""
    return True


@dataclass(frozen=True)
class Users:
    """`unix:passwd.byname` with the users of the box."""

    name: str
    known: Mapping[str, str]
    fixed: bool = True

    def lookup(self, key: str) -> str | None:
        return self.known.get(key)


def open_users(opening: Opening) -> Table:
    """The box's users, and those that every Debian has."""
    rows = (*USERS, ("root", 0, 0, "/root"), ("nobody", 65534, 65534, "/nonexistent"))
    known = {name: f"{name}:x:{uid}:{gid}:{name}:{home}:/bin/sh" for name, uid, gid, home in rows}
    return Users(opening.name, known if opening.text == "passwd.byname" else {})


@dataclass(frozen=True)
class DatabaseTable:
    """A table of the box's database; without rows there is no database."""

    name: str
    rows: Mapping[str, str] | None
    fixed: bool = True

    def lookup(self, key: str) -> str | None:
        if self.rows is None:
            raise TableTrouble(self.name, "no database")
        return self.rows.get(key)


def open_database_table(opening: Opening) -> Table:
    """`pgsql:NAME` from the rows beside the file NAME."""
    path = Path(opening.path(f"{opening.text}{ROWS}"))
    return DatabaseTable(opening.name, rows_of(path.read_text(encoding="utf-8")) if path.exists() else None)


def lay_out(group: Group, root: Path) -> None:
    """The group's files below `root`."""
    for name, text in group.files.items():
        path = root / "etc/postfix" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    (root / "var/spool/postfix/seawall").mkdir(parents=True, exist_ok=True)


class MemoryStage:
    """One group's server in memory."""

    def __init__(self, group: Group, root: Path) -> None:
        self.group = group
        self._root = root
        # the addresses of the box, whatever this host has
        here = {"inet_interfaces": f"127.0.0.1, [::1], {SERVER_ADDRESS}, {SINK_ADDRESS}"}
        self._settings = Settings.from_text(group.main_cf, root=str(root), host=HOST).with_overrides(here)
        self._tables = Tables(
            str(root), warn=lambda _: None, types={**TYPES, "unix": open_users, "pgsql": open_database_table}
        )
        self._names = Zone(SOA + "\n".join(group.zone) + "\n")

    def play(self, case: Case, *, byte_by_byte: bool = False) -> Played:
        """Play one case."""
        directory = str(self._root / "var/spool/postfix")
        services = [PolicyServer(where, script, directory=directory) for where, script in case.policies.items()]
        try:
            return asyncio.run(self._play_and_close(case, byte_by_byte))
        finally:
            for service in services:
                service.close()

    async def _play_and_close(self, case: Case, byte_by_byte: bool) -> Played:
        policies = policy_clients(self._settings)
        try:
            return await self._play(case, byte_by_byte, policies)
        finally:
            policies.close()
            await asyncio.sleep(0)  # so that its connections end with it

    async def _play(self, case: Case, byte_by_byte: bool, policies: PolicyClients) -> Played:
        journal = MemoryJournal()
        edge = self._edge(case, journal, policies)
        session = edge.session()
        wire = Wire(case.client, self.group.port(case))
        session.connection_made(wire)
        said: list[Said] = []
        for exchange in case.dialogue:
            wanted = said_by("seawall", exchange)
            for data in _pieces(exchange, byte_by_byte):
                if not wire.closed:
                    session.data_received(data)
            for line in exchange.client:
                if line.mark == "C*":
                    self._act(line.text, session, wire)
            got = await _hear(wire, len(wanted.lines), wanted.closes)
            said.append(got)
            if got.closes or len(got.lines) < len(wanted.lines):
                break
        session.connection_lost(None)
        form = LineFormat("pop", "postfix", 1)
        log = "\n".join(form.head(record) + record.text() for record in journal.records)
        return Played(tuple(said), {}, log_lines(log.encode("utf-8", "surrogateescape").decode("latin-1")))

    @staticmethod
    def _act(act: str, session: Session, wire: Wire) -> None:
        if act == "shutdown":
            session.eof_received()
        else:
            wire.close()

    def _edge(self, case: Case, journal: MemoryJournal, policies: PolicyClients) -> Edge:
        settings = self._settings.with_overrides(dict(case.options))
        clock = SystemClock()
        routing = Routing(settings, self._tables)
        facts = WorldFacts(settings, self._tables, routing, self._names, Hosts(HOSTS), clock=clock, policies=policies)
        intake = Cleanup(settings, routing, self._tables, KeptMail(), None, journal, clock, QueueIds(0))
        login = NobodyLogsIn() if settings.flag("smtpd_sasl_auth_enable") else None
        return Edge(
            compile_profile(settings, self._tables),
            Judge(settings, facts),
            intake,
            journal,
            clock,
            facts.names,
            login=login,
            flush=flushed,
            counting=Counting(
                compile_client_limits(settings),
                self._tables.address_list(settings.text("smtpd_client_event_limit_exceptions"), title="exempt"),
                Rates(60),
                "smtp",
                clock.now,
                clock.monotonic,
            ),
        )


def _pieces(exchange: Exchange, byte_by_byte: bool) -> Iterator[bytes]:
    """What is sent, as it comes in: all that is sent together, or one byte at a time."""
    data = b"".join(line.wire() for line in exchange.client)
    if byte_by_byte:
        yield from (data[at : at + 1] for at in range(len(data)))
    elif data:
        yield data


async def _hear(wire: Wire, wanted: int, closes: bool) -> Said:
    """Wait for so many lines, or for the end."""
    loop = asyncio.get_running_loop()
    end = loop.time() + PATIENCE
    while (wire.heard.count(b"\n") < wanted or closes) and not wire.closed and loop.time() < end:
        wire.changed.clear()
        try:
            await asyncio.wait_for(wire.changed.wait(), max(0.01, end - loop.time()))
        except TimeoutError:
            break
    lines = bytes(wire.heard).split(b"\r\n")
    wire.heard = bytearray(lines.pop())
    return Said(tuple(mask(escape(line)) for line in lines), wire.closed)
