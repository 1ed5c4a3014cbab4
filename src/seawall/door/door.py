"""The door of one service in one worker: strangers are screened here, and those who pass get their session."""

from __future__ import annotations

import asyncio
import ssl
import time
from collections.abc import Callable

from seawall.clock import Clock
from seawall.door.dnsbl_score import Scores
from seawall.door.passed_clients import PassedClients
from seawall.door.rules import DoorRules, Patiences, let_go
from seawall.door.screening import Client, Fact
from seawall.door.stranger import EARLY_SIZE, TALK_SIZE, Stranger
from seawall.door.talk import soften
from seawall.door.watch import Guest
from seawall.journal.record import Journal, Warned
from seawall.journal.records import door as records
from seawall.mail.reply import Reply
from seawall.patience import Patience
from seawall.policy.access import split_status
from seawall.policy.exempt import Exempts
from seawall.policy.worth import Crowd
from seawall.tables.match import AddressList
from seawall.tables.table import TableTrouble

GRAIN = 0.1
"""Seconds: as precise as waits are here; ours."""


class Door:
    """`session` makes what a client talks to after this, `tls` is what STARTTLS needs before that.

    `knows_logins`: clients may log in, and what is said of their address counts for those only who do not.
    """

    def __init__(
        self,
        rules: DoorRules,
        session: Callable[[], Guest],
        journal: Journal,
        clock: Clock,
        patience: Patience,
        scores: Scores,
        passed: PassedClients | None,
        *,
        tls: ssl.SSLContext | None = None,
        knows_logins: bool = False,
        exemptions: Exempts | None = None,
        crowd: Crowd | None = None,
        is_pressed: Callable[[], bool] = bool,
    ) -> None:
        self.rules = rules
        self.session = session
        self.journal = journal
        self.clock = clock
        self.patience = patience
        self.scores = scores
        self.passed = passed
        self.tls = tls
        self.knows_logins = knows_logins
        self.exemptions = exemptions
        self.crowd = crowd
        """Gives each connection its place; None where there is room for all."""
        self._is_pressed = is_pressed
        """The worker is under stress, whatever is here."""
        self.monotonic = asyncio.get_running_loop().time
        self.clients: dict[str, Client] = {}
        self.strangers: set[Stranger] = set()
        """Who is being screened."""
        self.is_stress = False
        buffer = memoryview(bytearray(TALK_SIZE))
        self.buffers = buffer[:EARLY_SIZE], buffer
        self.greeting = self.format(rules.greeting)

    def stranger(self) -> Stranger:
        """A protocol for one connection."""
        return Stranger(self)

    def warn(self, text: str) -> None:
        """A warning in the name of postscreen(8)."""
        self.journal.write(Warned(at=self.clock.now(), source="postscreen", message=text))

    def enter(self, stranger: Stranger) -> None:
        """One more to screen."""
        self.strangers.add(stranger)
        if not self.is_stress and len(self.strangers) >= self.rules.stress_begins:
            self._change_stress(True)

    def leave(self, stranger: Stranger) -> None:
        """One less."""
        if stranger not in self.strangers:
            return
        self.strangers.discard(stranger)
        self.patience.forget(stranger)
        client = stranger.client
        client.connections -= 1
        if client.connections == 0:
            self.clients.pop(stranger.address, None)
        if self.is_stress and len(self.strangers) <= self.rules.stress_ends:
            self._change_stress(False)

    def _change_stress(self, is_stress: bool) -> None:
        self.is_stress = is_stress
        count = len(self.strangers)
        self.journal.write(records.StressChanged(at=self.clock.now(), is_stress=is_stress, connections=count))

    def client(self, address: str) -> Client:
        """What the connections of an address share."""
        client = self.clients.get(address)
        if client is None:
            client = self.clients[address] = Client()
        return client

    @property
    def patiences(self) -> Patiences:
        """Seconds for everything."""
        return self.rules.stressed if self.is_stress or self._is_pressed() else self.rules.plain

    def is_backup(self, address: str) -> bool:
        """True for an address of ours at which nobody is let past; also where that cannot be said."""
        return not _is_in(self.rules.backup, address)

    def is_trusted(self, address: str) -> bool:
        """True for a client that seawall_door leaves alone: this host itself, and mynetworks."""
        if not self.rules.is_own:
            return False
        return address.startswith("127.") or address == "::1" or _is_in(self.rules.mynetworks, address)

    def is_exempt(self, stranger: Stranger, check: str, said: str) -> bool:
        """seawall_exempt_file, by the address: a name is not known here.  The log is told."""
        entry = None if self.exemptions is None else self.exemptions.find(stranger.address, "", check)
        if entry is None:
            return False
        stranger.note(Fact.SPARED, check=check, said=said, key=entry.key.text, reason=entry.reason)
        return True

    def drain(self) -> None:
        """Let everybody go."""
        for stranger in tuple(self.strangers):
            stranger.farewell()

    def format(self, text: str) -> bytes:
        """The bytes of a reply, line by line: each with its code."""
        *first, last = text.split("\n")
        lines = [f"{line[:3]}-{line[4:]}" for line in first]
        return "".join(f"{line}\r\n" for line in (*lines, last)).encode("utf-8", "surrogateescape")

    def dress(self, text: str, stranger: Stranger) -> bytes:
        """A refusal as this site wants it: with its footer, softened where soft_bounce says so."""
        footers, is_soft = self.rules.footers, self.rules.talk.soft_bounce
        if not footers:
            return self.format(soften(text) if is_soft else text)
        status, rest = split_status(text[4:], "")
        reply = footers.add(Reply(int(text[:3]), status, rest), lambda name: self._macro(name, stranger))
        lines = [" ".join(filter(None, (str(reply.code), reply.status, line))) for line in reply.text.split("\n")]
        return self.format("\n".join(soften(line) if is_soft else line for line in lines))

    def _macro(self, name: str, stranger: Stranger) -> str | None:
        """Names that postscreen_reject_footer may use."""
        values = {
            "server_name": self.rules.talk.hostname,
            "client_address": stranger.address,
            "client_port": stranger.port,
        }
        if name == "localtime":
            return time.strftime("%b %d %H:%M:%S", time.localtime(self.clock.now()))
        if name not in values:
            self.warn(f'unknown macro name "{name}" in expansion request')
        return values.get(name)


def _is_in(addresses: AddressList, address: str) -> bool:
    """Is it in the list?  False where the list cannot tell at once."""
    try:
        found = addresses.test("", address)
    except TableTrouble:
        return False
    if not isinstance(found, bool):
        let_go(found)
        return False
    return found
