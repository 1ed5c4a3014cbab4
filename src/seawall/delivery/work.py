"""One recipient of local(8) on his way: what has been done so far, and the parts that do it."""

from __future__ import annotations

import errno
import os
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Protocol, TypeAlias

import msgspec

from seawall.clock import Clock
from seawall.config.settings import Settings
from seawall.delivery.children import Children
from seawall.delivery.content import delivery_headers, from_line, header_lines
from seawall.delivery.maildir import Maildirs
from seawall.delivery.point import Point
from seawall.delivery.rules import Rules
from seawall.delivery.trouble import StoreTrouble, delivered, failed
from seawall.delivery.writers import Writers
from seawall.journal.record import Journal, Warned
from seawall.linux.identity import Identity, IdentityTrouble
from seawall.linux.users import User
from seawall.mail.address import fold, quote_local
from seawall.mail.envelope import Recipient
from seawall.mail.job import Job
from seawall.mail.message import Content
from seawall.mail.outcome import Bounced, Deferred, Delivery, Forward, Outcome
from seawall.routing.route import Route
from seawall.tables.search import Maps

MOST_LOOPS = 1000
"""Delivered-To: headers that are looked at.  delivered_hdr(3)"""
MOST_REMEMBERED = 100_000
"""Deliveries remembered against doubles; our choice, above any duplicate_filter_limit in use."""

Told: TypeAlias = "Outcome | None"
FindUser: TypeAlias = Callable[[str], "User | None"]
FindUid: TypeAlias = Callable[[int], "User | None"]


class Router(Protocol):
    """What delivery asks of routing.  trivial-rewrite(8)"""

    async def rewrite(self, address: str, context: str = "local") -> str:
        """The address made complete."""
        ...

    async def resolve(self, address: str, sender: str = "") -> Route:
        """The way of an address."""
        ...


PassOn: TypeAlias = Callable[[str, Job], Awaitable[Delivery]]
"""Hands a job to another transport: ``transport:nexthop``, and the job with the one recipient."""


@dataclass(frozen=True, slots=True)
class Parts:
    """Everything that local(8) works with, the same for every job of one configuration."""

    service: str
    settings: Settings
    rules: Rules
    alias_maps: Maps
    command_maps: Maps
    transport_maps: Maps
    fallback_maps: Maps
    routing: Router
    writers: Writers
    children: Children
    maildirs: Maildirs
    journal: Journal
    clock: Clock
    find_user: FindUser
    find_uid: FindUid
    pass_on: PassOn
    environment: Mapping[str, str]


def delivered_to_values(content: Content) -> frozenset[str]:
    """The values of the message's Delivered-To: headers, folded.  Raises StoreTrouble where it cannot be read."""
    found = set()
    for line in header_lines(content):
        if line[:13].lower() == "delivered-to:":
            found.add(fold(line[13:].strip()))
            if len(found) >= MOST_LOOPS:
                break
    return frozenset(found)


def is_loop(loops: frozenset[str], address: str) -> bool:
    """True where the message was delivered to this address before."""
    return fold(quote_local(address)) in loops


@dataclass(slots=True)
class Work:
    """What has become of one recipient so far.

    Every delivery that an expansion leads to is told; `told` is then summed up in one outcome (`sum_up`).  The steps
    return True where the recipient must be tried again.
    """

    parts: Parts
    job: Job
    recipient: Recipient
    loops: frozenset[str]
    told: list[Outcome] = field(default_factory=list)
    forwards: dict[tuple[str, str], list[Recipient]] = field(default_factory=dict)
    _seen: set[str] = field(default_factory=set)

    @property
    def stops_at_aliases(self) -> bool:
        """True for a probe of verify(8): that there is an alias or a .forward is all that it wants to know."""
        return self.job.is_probe and not self.job.envelope.asks

    def first_time(self, *words: object) -> bool:
        """True for the first call with these words: nothing is delivered to twice.  been_here(3)"""
        key = " ".join(map(str, words)).lower()
        if key in self._seen:
            return False
        if len(self._seen) < MOST_REMEMBERED:
            self._seen.add(key)
        return True

    def was_here(self, *words: object) -> bool:
        """True where `first_time` was called with these words."""
        return " ".join(map(str, words)).lower() in self._seen

    def tell(self, point: Point, outcome: Outcome) -> bool:
        """Note an outcome; True where it defers."""
        if point.address != self.recipient.address and outcome.final is None:
            outcome = msgspec.structs.replace(outcome, final=point.as_recipient())
        self.told.append(outcome)
        return isinstance(outcome, Deferred)

    def fail(self, point: Point, status: str, text: str) -> bool:
        """Note a failure; True where it is temporary."""
        return self.tell(point, failed(status, text, self.parts.service))

    def sent(self, point: Point, text: str) -> bool:
        """Note a success."""
        return self.tell(point, delivered(text, self.parts.service))

    def warn(self, message: str) -> None:
        """A warning for the log."""
        now = self.parts.clock.now()
        self.parts.journal.write(Warned(at=now, source="local", message=message))

    def forward(self, point: Point) -> bool:
        """Send on what an expansion led to, as a new message."""
        if self.job.is_probe:
            return self.sent(point, f"forwards to {point.address}")
        if self.first_time("indirect", point.address):
            key = (point.delivered or point.address, point.sender)
            self.forwards.setdefault(key, []).append(point.as_recipient())
        return False

    def head(self, point: Point, kind: str, *, opening: bool) -> bytes:
        """The headers before the message; `kind` is the word of prepend_delivered_header, `opening` asks for a From line."""
        address = point.delivered or point.address
        named = kind in self.parts.rules.delivered_header
        original = point.original if self.parts.rules.original_header else ""
        headers = delivery_headers(point.sender, original, address if named else "")
        return (from_line(point.sender, self.parts.clock.now()) if opening else b"") + headers

    def sum_up(self) -> Delivery:
        """One outcome for the recipient: tried again if anything must be, else bounced if anything was, else sent.

        Where it is tried again nothing is sent on: forward_finish(3) cancels it too.
        """
        first = self._decisive()
        forwards = () if isinstance(first, Deferred) else self._forwards()
        if first is None and forwards:
            first = delivered("", self.parts.service)
        elif first is None:
            first = self.told[-1] if self.told else delivered("expanded to nothing new", self.parts.service)
        also = tuple(outcome for outcome in self.told if outcome is not first)
        return Delivery((msgspec.structs.replace(first, also=also),), forwards)

    def _decisive(self) -> Outcome | None:
        """The first failure, a temporary one before any other."""
        for kind in (Deferred, Bounced):
            for outcome in self.told:
                if isinstance(outcome, kind):
                    return outcome
        return None

    def _forwards(self) -> tuple[Forward, ...]:
        named = "forward" in self.parts.rules.delivered_header
        return tuple(
            Forward(sender=sender, recipients=tuple(recipients), delivered_to=address if named else "")
            for (address, sender), recipients in self.forwards.items()
        )


async def find_user(parts: Parts, name: str) -> User | None:
    """The user, asked for in a thread.  Raises OSError."""
    return await parts.writers.run(lambda: parts.find_user(name))


async def as_user(work: Work, point: Point, kind: str, function: Callable[[], None], done: str) -> bool:
    """Run a delivery in a thread that is the user, and tell how it went.  `kind` words the identity trouble."""
    try:
        await work.parts.writers.run_as(point.rights.identity, function)
    except StoreTrouble as trouble:
        if trouble.cause == errno.EACCES and kind == "maildir":
            work.warn(access_problem(point.rights.identity, trouble.text))
            work.warn("perhaps you need to create the maildirs in advance")
        return work.fail(point, trouble.status, trouble.text)
    except IdentityTrouble as trouble:
        return work.fail(point, "4.3.0", f"{kind} delivery failed: {trouble}")
    return work.sent(point, done)


def access_problem(identity: Identity, text: str) -> str:
    """The warning for a Maildir that its owner cannot write to.  local(8) maildir.c"""
    reason = text.removeprefix("maildir delivery failed: ")
    return f"maildir access problem for UID/GID={identity.uid}/{identity.gid}: {reason}"


def at_last(work: Work, point: Point) -> Point:
    """The point with Delivered-To: naming the last address instead of the first.  postconf(5) frozen_delivered_to"""
    return point if work.parts.rules.frozen_delivered_to else replace(point, delivered=point.address)


async def deliver_maildir(work: Work, point: Point, path: str) -> bool:
    """Deliver to a Maildir; `path` ends in a slash.  local(8) maildir.c"""
    if work.job.is_probe:
        return work.sent(point, "delivers to maildir")
    parts = work.parts
    head = work.head(at_last(work, point), "file", opening=False)
    content, now, limit = work.job.content, parts.clock.now(), parts.rules.mailbox_size_limit

    def store() -> None:
        try:
            parts.maildirs.deliver(path, head, content, now=now, limit=limit)
        except StoreTrouble as trouble:
            raise StoreTrouble(trouble.status, f"maildir delivery failed: {trouble.text}", trouble.cause) from trouble

    return await as_user(work, point, "maildir", store, "delivered to maildir")


def with_default_rights(work: Work, point: Point) -> Point:
    """The point with default_privs in place of rights that nobody established: mail never acts as root."""
    default = work.parts.rules.default_rights
    rights = point.rights
    if rights.uid == 0:
        rights = replace(rights, uid=default.uid)
    if rights.gid == 0:
        rights = replace(rights, gid=default.gid)
    return replace(point, rights=rights)


def path_of_table(name: str) -> str | None:
    """The file behind ``hash:/etc/aliases``: the indexed file where there is one, else the text; None for other tables."""
    kind, _, path = name.partition(":")
    if not path.startswith("/"):
        return None
    suffixes = {"hash": ".db", "btree": ".db", "dbm": ".dir", "cdb": ".cdb", "lmdb": ".lmdb"}
    indexed = path + suffixes.get(kind, "")
    return indexed if os.path.exists(indexed) else path
