"""A host for delivery tests: users with homes below one directory, a configuration, and an agent that delivers there.

As root every user has a uid of his own; as an ordinary user all of them are that user.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from seawall.clock import SystemClock
from seawall.config.master_cf import STANDARD, parse_master
from seawall.config.settings import Settings
from seawall.delivery.agent import DeliveryAgent, System
from seawall.journal.record import MemoryJournal, Warned
from seawall.linux.users import User
from seawall.mail.envelope import Envelope, Origin, Recipient
from seawall.mail.job import Job
from seawall.mail.message import Content, Message
from seawall.mail.outcome import Delivery, Outcome
from seawall.routing.resolve import Routing
from seawall.tables.registry import Tables

IS_ROOT = os.geteuid() == 0
FIRST_UID = 21001
BODY = b"From: ann@far.example\nSubject: hello\n\nFrom here on it is text.\n.\nbye\n"


@dataclass
class World:
    """`base` holds the homes, ``etc`` and whatever a test puts there."""

    base: Path
    spawner: socket.socket
    users: dict[str, User] = field(default_factory=dict)
    journal: MemoryJournal = field(default_factory=MemoryJournal)
    system: System | None = None
    unreachable: bool = False

    def add_user(self, name: str, *, shell: str = "/bin/sh") -> User:
        """A user with an empty home."""
        home = self.base / "home" / name
        home.mkdir(parents=True)
        uid = FIRST_UID + len(self.users) if IS_ROOT else os.geteuid()
        gid = uid if IS_ROOT else os.getegid()
        os.chown(home, uid, gid)
        home.chmod(0o711)
        user = User(name, uid, gid, str(home), shell)
        self.users[name] = user
        return user

    def find_user(self, name: str) -> User | None:
        """getpwnam(3)"""
        if self.unreachable:
            raise OSError(5, "the directory server is away")
        return self.users.get(name)

    def find_uid(self, uid: int) -> User | None:
        """getpwuid(3)"""
        return next((user for user in self.users.values() if user.uid == uid), None)

    def write(self, name: str, text: str, owner: User | None = None, mode: int = 0o644) -> Path:
        """A file below the base; a name that begins with ``~`` is below the owner's home."""
        path = Path(owner.home) / name[2:] if owner and name.startswith("~/") else self.base / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        path.chmod(mode)
        if owner is not None:
            os.chown(path, owner.uid, owner.gid)
        return path

    def agent(self, main_cf: str = "", master_cf: str = "") -> DeliveryAgent:
        """The agent of a configuration; `main_cf` comes after the basics and may override them."""
        text = (
            "myhostname = mx.example\nmydomain = example\nmydestination = example, mx.example\nmynetworks = 127.0.0.0/8\n"
            "home_mailbox = Maildir/\nalias_maps =\nrecipient_delimiter = +\n"
            f"mail_spool_directory = {self.base}/mail\n" + main_cf
        )
        settings = Settings.from_text(text)
        tables = Tables()
        if self.system is None:
            clock = SystemClock()
            self.system = System(
                self.spawner, clock, host="mx", threads=4, find_user=self.find_user, find_uid=self.find_uid
            )
        services = parse_master(STANDARD + master_cf, "master.cf", settings)
        routing = Routing(settings, tables)
        return DeliveryAgent(settings, tables, routing, services, self.system, self.journal, SystemClock())

    @property
    def warnings(self) -> list[str]:
        """The warnings so far."""
        return [record.message for record in self.journal.records if isinstance(record, Warned)]

    def maildir(self, user: User, name: str = "Maildir") -> list[bytes]:
        """The new mails of a user."""
        new = Path(user.home) / name / "new"
        return [path.read_bytes() for path in sorted(new.iterdir())] if new.exists() else []

    def close(self) -> None:
        """End threads and spawner."""
        if self.system is not None:
            self.system.close()
        else:
            self.spawner.close()


def job(
    address: str,
    *,
    content: bytes | Content = BODY,
    sender: str = "ann@far.example",
    transport: str = "local",
    original: str = "",
    notify: int = 0,
    nexthop: str = "example",
) -> Job:
    """A job for one recipient."""
    recipient = Recipient(address, original, notify=notify)
    envelope = Envelope(sender, (recipient,), Origin(client_name="far.example", client_address="192.0.2.9"))
    body = content if isinstance(content, Content) else Content(content)
    return Job("QUEUEID", 1.0, transport, nexthop, envelope, (recipient,), body)


def message(*addresses: str, content: bytes = BODY, sender: str = "ann@far.example", notify: int = 0) -> Message:
    """A message as intake would hand it to the direct way."""
    recipients = tuple(Recipient(address, address, notify=notify) for address in addresses)
    return Message("QUEUEID", 1.0, Envelope(sender, recipients, Origin()), Content(content))


def told(delivery: Delivery) -> tuple[str, str, str]:
    """(kind, status, text) of a delivery's only outcome."""
    (outcome,) = delivery.outcomes
    return kind(outcome)


def kind(outcome: Outcome) -> tuple[str, str, str]:
    """(kind, status, text)"""
    return type(outcome).__name__, outcome.status, outcome.text


def files_below(path: Path) -> Iterator[Path]:
    """All files, however deep."""
    return (found for found in path.rglob("*") if found.is_file())


def with_aliases(world: World, text: str, more: str = "") -> str:
    """An alias file of root's (or ours), and the configuration that names it."""
    path = world.write("etc/aliases", text)
    return f"alias_maps = texthash:{path}\n{more}"
