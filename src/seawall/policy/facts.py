"""The one port through which a restriction asks the world: tables, DNS, policy services, where an address goes, time.

In production it is the world (`seawall.policy.world`), in tests a dictionary (`seawall.testing.facts`), and
`RecordingFacts` notes every question with its answer, so that a session can be replayed, priced and explained.

A question is answered at once where that is possible; otherwise with an awaitable.  TableTrouble from any of them means
that nothing is known now (451 4.3.0).
"""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable
from typing import Protocol, TypeAlias, TypeVar

from seawall.dns.answers import Answer, Found
from seawall.mail.verified import Verified
from seawall.policy.exempt import Entry
from seawall.policy.greylist import Met, Sought
from seawall.policy.list_watch import ByteSets, Kind
from seawall.policy.list_watching import Watched
from seawall.policy.policy_service import PolicyAnswer, Service
from seawall.routing.recipients import Listing
from seawall.routing.route import Route
from seawall.tables.search import Maps
from seawall.tables.table import Answer as TableAnswer
from seawall.tables.table import Table

T = TypeVar("T")


class ClientMatch(Protocol):
    """A list of client names and addresses: mynetworks.  namadr_list(3)"""

    def test(self, name: str, address: str) -> bool | Awaitable[bool]:
        """True where either is in the list."""
        ...


class Facts(Protocol):
    """What may be asked.  Lists and maps are opened when a configuration is compiled, and asked in sessions."""

    def maps(self, value: str, title: str) -> Maps:
        """The tables of a parameter's value or of a restriction's argument; `title` is its name, for warnings."""
        ...

    def clients(self, value: str, title: str) -> ClientMatch:
        """A list such as mynetworks."""
        ...

    def ask(self, name: str, kind: str) -> Answer | Awaitable[Answer]:
        """DNS: `kind` is A, AAAA, MX, NS, TXT, PTR …  TryAgain for any trouble, never an exception."""
        ...

    def addresses(self, host: str) -> Answer | Awaitable[Answer]:
        """All addresses of a host, from the hosts file, then DNS: `Found` with A and AAAA records.  getaddrinfo(3)"""
        ...

    def route(self, address: str, sender: str) -> Route | Awaitable[Route]:
        """Where mail from `sender` to `address` (internal form) would go.  trivial-rewrite(8)"""
        ...

    def listing(self, route: Route, as_sender: bool) -> Listing | Awaitable[Listing]:
        """Does the address of `route` exist, as far as the tables of its class say?"""
        ...

    def is_local(self, domain: str) -> bool | Awaitable[bool]:
        """mydestination, inet_interfaces and proxy_interfaces.  resolve_local(3)"""
        ...

    def is_own_address(self, address: str) -> bool:
        """One of inet_interfaces' or proxy_interfaces' addresses."""
        ...

    def ask_policy(self, service: Service, question: str) -> PolicyAnswer | Awaitable[PolicyAnswer]:
        """A policy service, by its protocol: `question` is all attributes as they are sent.  Never an exception."""
        ...

    def verify(self, address: str, as_sender: bool, patience: float) -> Verified | Awaitable[Verified | None] | None:
        """Whether mail for an address (internal form) would be taken; None where nobody can be asked.  verify(8)

        Where it is not known, the answer of a probe, if that comes within `patience` seconds.  `as_sender` tells why
        it is asked, and makes no difference.
        """
        ...

    def greylist(self, sought: Sought) -> Met | Awaitable[Met | None] | None:
        """A stranger's attempt is made: has it waited?  None where nobody keeps a greylist."""
        ...

    def exemption(self, address: str, name: str, check: str, zone: str) -> Entry | None:
        """What exempts a client (its confirmed name, or empty) from a check.  seawall_exempt_file"""
        ...

    def dnsbl_score(self, address: str) -> int | Awaitable[int | None] | None:
        """What the door's DNS lists weigh against a client, as far as they say in time; None where there is no door."""
        ...

    def watched(self, domain: str, kind: Kind, reply_filter: ByteSets | None) -> Watched | None:
        """The watch over a DNS list that is asked so; None where nobody watches: then every answer is believed."""
        ...

    def sleep(self, seconds: float) -> Awaitable[None]:
        """Wait."""
        ...


Note: TypeAlias = Callable[[str, tuple[str, ...], object], None]
"""Takes a question's kind, its words, and the answer (or the exception) that came."""


class _RecordedTable:
    """A table that tells what it was asked."""

    def __init__(self, table: Table, note: Note) -> None:
        self._table = table
        self._note = note

    @property
    def name(self) -> str:
        return self._table.name

    @property
    def fixed(self) -> bool:
        return self._table.fixed

    def lookup(self, key: str) -> TableAnswer:
        return _told(lambda: self._table.lookup(key), self._note, "table", (self.name, key))


class _RecordedClients:
    """A client list that tells what it was asked."""

    def __init__(self, clients: ClientMatch, title: str, note: Note) -> None:
        self._clients = clients
        self._title = title
        self._note = note

    def test(self, name: str, address: str) -> bool | Awaitable[bool]:
        words = (self._title, name, address)
        return _told(lambda: self._clients.test(name, address), self._note, "clients", words)


class RecordingFacts:
    """Passes every question on, and notes it with its answer."""

    def __init__(self, facts: Facts, note: Note) -> None:
        self._facts = facts
        self._note = note

    def maps(self, value: str, title: str) -> Maps:
        """Tables that note what they are asked."""
        inner = self._facts.maps(value, title)
        return Maps(tuple(_RecordedTable(table, self._note) for table in inner.tables), inner.title)

    def clients(self, value: str, title: str) -> ClientMatch:
        """A list that notes what it is asked."""
        return _RecordedClients(self._facts.clients(value, title), title, self._note)

    def ask(self, name: str, kind: str) -> Answer | Awaitable[Answer]:
        """DNS."""
        return _told(lambda: self._facts.ask(name, kind), self._note, "dns", (name, kind))

    def addresses(self, host: str) -> Answer | Awaitable[Answer]:
        """Addresses of a host."""
        return _told(lambda: self._facts.addresses(host), self._note, "addresses", (host,))

    def route(self, address: str, sender: str) -> Route | Awaitable[Route]:
        """Where an address goes."""
        return _told(lambda: self._facts.route(address, sender), self._note, "route", (address, sender))

    def listing(self, route: Route, as_sender: bool) -> Listing | Awaitable[Listing]:
        """Whether an address exists."""
        return _told(lambda: self._facts.listing(route, as_sender), self._note, "listing", (route.recipient,))

    def is_local(self, domain: str) -> bool | Awaitable[bool]:
        """A domain of ours."""
        return _told(lambda: self._facts.is_local(domain), self._note, "local", (domain,))

    def is_own_address(self, address: str) -> bool:
        """An address of ours; not worth a note."""
        return self._facts.is_own_address(address)

    def ask_policy(self, service: Service, question: str) -> PolicyAnswer | Awaitable[PolicyAnswer]:
        """A policy service."""
        words = (service.argument, question)
        return _told(lambda: self._facts.ask_policy(service, question), self._note, "policy", words)

    def verify(self, address: str, as_sender: bool, patience: float) -> Verified | Awaitable[Verified | None] | None:
        """Whether an address takes mail."""
        words = (address, "sender" if as_sender else "recipient")
        return _told(lambda: self._facts.verify(address, as_sender, patience), self._note, "verify", words)

    def greylist(self, sought: Sought) -> Met | Awaitable[Met | None] | None:
        """Whether an attempt has waited."""
        words = (sought.address, sought.sender, sought.recipient)
        return _told(lambda: self._facts.greylist(sought), self._note, "greylist", words)

    def exemption(self, address: str, name: str, check: str, zone: str) -> Entry | None:
        """What exempts a client; the trace tells it with the check."""
        return self._facts.exemption(address, name, check, zone)

    def dnsbl_score(self, address: str) -> int | Awaitable[int | None] | None:
        """What DNS lists weigh."""
        return _told(lambda: self._facts.dnsbl_score(address), self._note, "dnsbl score", (address,))

    def watched(self, domain: str, kind: Kind, reply_filter: ByteSets | None) -> Watched | None:
        """The watch; its questions are no session's, and not noted."""
        return self._facts.watched(domain, kind, reply_filter)

    def sleep(self, seconds: float) -> Awaitable[None]:
        """Wait."""
        return self._facts.sleep(seconds)


def _told(question: Callable[[], T | Awaitable[T]], note: Note, kind: str, words: tuple[str, ...]) -> T | Awaitable[T]:
    """Ask, and note what was heard: at once, or when it comes."""
    try:
        answer = question()
    except Exception as trouble:
        note(kind, words, trouble)
        raise
    if inspect.isawaitable(answer):
        return _told_later(answer, note, kind, words)
    note(kind, words, answer)
    return answer


async def _told_later(answer: Awaitable[T], note: Note, kind: str, words: tuple[str, ...]) -> T:
    try:
        heard = await answer
    except Exception as trouble:
        note(kind, words, trouble)
        raise
    note(kind, words, heard)
    return heard


def host_addresses(answer: Answer) -> tuple[str, ...]:
    """The printed addresses in an answer of `Facts.addresses`."""
    return tuple(record.data for record in answer.records) if isinstance(answer, Found) else ()
