"""The parts of sessions, one of each kind that a configuration tells apart: what remains of all that could be said.

Two HELO names that every check answers alike are the same for the proof; so with senders, recipients and clients.  Checks
look at one part each, so trying every combination of the kinds that are left is trying all sessions.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Hashable, Iterable, Mapping
from dataclasses import dataclass
from itertools import product
from math import prod
from typing import TypeVar

from seawall.eager import result_now
from seawall.mail.envelope import TlsFacts
from seawall.policy.attempt import Attempt
from seawall.policy.proof.about import ABOUT, Part
from seawall.policy.proof.seeds import NAME, USER, Seeds, valid_address
from seawall.policy.proof.session import Client, Recipient, Session, attempt_of
from seawall.policy.proof.stranger import DOMAIN, VICTIMS
from seawall.policy.proof.world import World, meaning, now
from seawall.routing.route import Classes, Route
from seawall.tables.search import parents_of
from seawall.tables.table import TableTrouble

T = TypeVar("T")

FINGERPRINT = ":".join(["5E"] * 16)
"""Of a certificate that the stranger made himself."""
MOST_CROSSED = 80
"""Kinds of local parts, and of domains, that are combined to addresses."""
QUIET = frozenset({"error", "retry", "discard", "local", "virtual"})
"""Programs of master.cf that send nothing to other hosts."""
PUBLIC_AUTHORITIES = ("/etc/ssl/", "/etc/pki/", "/usr/share/ca-certificates", "/usr/local/share/certs")
"""Where systems keep the authorities that anybody can have a certificate of."""


@dataclass(frozen=True, slots=True)
class Parts:
    """All that is left to combine, each part with the plainest first."""

    clients: tuple[Client, ...]
    helos: tuple[str | None, ...]
    senders: tuple[str, ...]
    recipients: tuple[Recipient, ...]
    tls: tuple[TlsFacts | None, ...]
    counts: tuple[int, ...]

    @property
    def size(self) -> int:
        """How many combinations there are."""
        ways = (self.clients, self.helos, self.senders, self.recipients, self.tls, self.counts)
        return prod(map(len, ways))

    def only(self, parts: Collection[Part]) -> Parts:
        """The same with the plainest alone of every part but these."""
        return Parts(
            self.clients if Part.CLIENT in parts else self.clients[:1],
            self.helos if Part.HELO in parts else self.helos[:1],
            self.senders if Part.SENDER in parts else self.senders[:1],
            self.recipients if Part.RECIPIENT in parts else self.recipients[:1],
            self.tls if Part.TLS in parts else self.tls[:1],
            self.counts[:1],
        )

    def among(self, parts: Collection[Part], sessions: Collection[Session]) -> Parts:
        """The same with these parts bound to what stands in the sessions."""

        def kept(part: Part, ways: tuple[T, ...], of: Callable[[Session], T]) -> tuple[T, ...]:
            if part not in parts:
                return ways
            found = set(map(of, sessions))
            return tuple(way for way in ways if way in found)

        return Parts(
            kept(Part.CLIENT, self.clients, lambda session: session.client),
            kept(Part.HELO, self.helos, lambda session: session.helo),
            kept(Part.SENDER, self.senders, lambda session: session.sender),
            kept(Part.RECIPIENT, self.recipients, lambda session: session.recipient),
            kept(Part.TLS, self.tls, lambda session: session.tls),
            self.counts,
        )

    def sessions(self) -> Iterable[Session]:
        """Every combination, the plainest first."""
        ways = (self.clients, self.helos, self.senders, self.recipients, self.tls, self.counts)
        choices = sorted(product(*(range(len(way)) for way in ways)), key=sum)
        for client, helo, sender, recipient, tls, count in choices:
            yield Session(
                self.clients[client],
                self.helos[helo],
                self.senders[sender],
                self.recipients[recipient],
                self.tls[tls],
                self.counts[count],
            )


class Reducer:
    """Finds the kinds.  `commands` are master.cf's programs by service name; `forges` how clients are believed, if at all."""

    def __init__(self, world: World, commands: Mapping[str, str], *, proxied: bool = False) -> None:
        self._world = world
        self.seeds = Seeds(world)
        self._commands = commands
        self._proxied = proxied
        self._plain = Session(Client("203.0.113.66", NAME), NAME, f"{USER}@{DOMAIN}", Recipient(f"user@{VICTIMS[0]}"))

    def parts(self) -> Parts:
        """What is left to combine."""
        lists = self._world.judge.lists
        return Parts(
            self._clients(),
            self._kinds(Part.HELO, self.seeds.helos(), lambda attempt, helo: setattr(attempt, "helo", helo)),
            self._senders(),
            self._recipients(),
            self._kinds(Part.TLS, self._tls(), lambda attempt, tls: setattr(attempt, "tls", tls)),
            (1, 2) if lists["data"] or lists["end_of_data"] else (1,),
        )

    def _kinds(self, part: Part, seeds: Iterable[T], change: Callable[[Attempt, T], None]) -> tuple[T, ...]:
        """The first seed of each kind."""

        def tried(seed: T) -> Attempt:
            attempt = attempt_of(self._plain)
            attempt.helo, attempt.sender = self._plain.helo, self._plain.sender
            attempt.recipient, attempt.where = self._plain.recipient.address, "RCPT"
            change(attempt, seed)
            return attempt

        return self._first_of_each(part, dict.fromkeys(seeds), tried)

    def _first_of_each(self, part: Part, seeds: Iterable[T], tried: Callable[[T], Attempt]) -> tuple[T, ...]:
        """Lists that stand in tables bring further checks as they are met: then all is looked at again."""
        kept = tuple(seeds)
        while True:
            count = len(self._world.atoms)
            found: dict[Hashable, T] = {}
            for seed in kept:
                found.setdefault(self._kind(part, tried(seed), seed), seed)
            if len(self._world.atoms) == count:
                return tuple(found.values())

    def _kind(self, part: Part, attempt: Attempt, seed: object) -> Hashable:
        """What all checks that look at the part say of it."""
        world = self._world
        answers: list[Hashable] = []
        for atom in tuple(world.atoms.values()):
            if part not in ABOUT[atom.name].parts:
                continue
            world.choices.asked.clear()
            attempt.pending.defer_if_permit = attempt.pending.defer_if_reject = None
            attempt.pending.discards = False
            try:
                verdict = now(atom.ask(attempt))
            except TableTrouble:
                answers.append("trouble")
                continue
            heard = tuple(meaning(value) for asked in world.choices.asked.values() for _, value in asked)
            answers.append((verdict.act, heard))
        if part in (Part.SENDER, Part.RECIPIENT):
            address = attempt.sender if part is Part.SENDER else attempt.recipient
            answers.append(self._listed(address or "", part is Part.SENDER))
        exempt = world.exemptions_of(attempt) if part is Part.CLIENT else ()
        return (tuple(answers), exempt, _via(seed))

    def _listed(self, address: str, as_sender: bool) -> Hashable:
        """Whether the address is one of ours that does not exist."""
        route = self._route(address)
        if not address or route.has_failed:
            return not address
        try:
            answer = self._world.facts.listing(route, as_sender)
            listing = answer if not hasattr(answer, "__await__") else None
        except TableTrouble:
            return "trouble"
        return (route.classes.value, getattr(listing, "listed", None))

    def _route(self, address: str) -> Route:
        answer = self._world.facts.route(address, "")
        if isinstance(answer, Route):
            return answer

        async def wait() -> Route:
            return await answer

        return result_now(wait())

    # the client

    def _clients(self) -> tuple[Client, ...]:
        strangers = self._client_kinds(self.seeds.clients())
        forged: tuple[Client, ...] = ()
        if any(self._may_say_xclient(client) for client in strangers):
            forged = self._client_kinds(self.seeds.forged("XCLIENT"))
        if self._proxied:
            forged = (*forged, *self._client_kinds(self.seeds.forged("PROXY")))
        return (*strangers, *forged)

    def _client_kinds(self, seeds: Iterable[Client]) -> tuple[Client, ...]:
        def tried(client: Client) -> Attempt:
            session = Session(client, self._plain.helo, self._plain.sender, self._plain.recipient)
            attempt = attempt_of(session)
            attempt.helo, attempt.sender = session.helo, session.sender
            attempt.recipient, attempt.where = session.recipient.address, "RCPT"
            return attempt

        return self._first_of_each(Part.CLIENT, dict.fromkeys(seeds), tried)

    def _may_say_xclient(self, client: Client) -> bool:
        name = "smtpd_authorized_xclient_hosts"
        listed = self._world.facts.clients(self._world.settings.text(name), name)
        try:
            return listed.test(client.name, client.address) is True
        except TableTrouble:
            return False

    def _tls(self) -> Iterable[TlsFacts | None]:
        settings = self._world.settings
        yield None
        level = settings.text("smtpd_tls_security_level")
        is_on = level not in ("", "none") or any(
            settings.flag(name) for name in ("smtpd_use_tls", "smtpd_enforce_tls", "smtpd_tls_wrappermode")
        )
        if not is_on:
            return
        plain = TlsFacts("TLSv1.3", "TLS_AES_256_GCM_SHA384", 256, 256)
        yield plain
        if not (settings.flag("smtpd_tls_ask_ccert") or settings.flag("smtpd_tls_req_ccert")):
            return
        trusted = has_public_authorities(
            settings.flag("tls_append_default_CA"),
            (settings.text("smtpd_tls_CAfile"), settings.text("smtpd_tls_CApath")),
        )
        for is_trusted in (False, True)[: 1 + trusted]:
            yield TlsFacts(
                *("TLSv1.3", "TLS_AES_256_GCM_SHA384", 256, 256),
                peer_subject=NAME,
                peer_fingerprint=FINGERPRINT,
                peer_key_fingerprint=FINGERPRINT,
                peer_trusted=is_trusted,
            )

    # the addresses

    def _senders(self) -> tuple[str, ...]:
        def change(attempt: Attempt, sender: str) -> None:
            attempt.sender = sender

        seeds = [address for address in dict.fromkeys(self.seeds.senders()) if not address or valid_address(address)]
        kinds = self._kinds(Part.SENDER, seeds, change)
        crossed = _crossed([address for address in kinds if address])
        return self._kinds(Part.SENDER, (*kinds, *crossed), change)

    def _recipients(self) -> tuple[Recipient, ...]:
        def change(attempt: Attempt, recipient: Recipient) -> None:
            attempt.recipient = recipient.address

        seeds = [one for one in dict.fromkeys(self.seeds.recipients()) if valid_address(one.address)]
        abroad = [one for one in seeds if self.is_relayed(one)]
        kinds = self._kinds(Part.RECIPIENT, abroad, change)
        is_free = {one.address.rpartition("@")[2]: one.free for one in reversed(seeds)}
        users = [one.address for one in self._kinds(Part.RECIPIENT, seeds, change)]
        crossed = (
            Recipient(address, is_free.get(address.rpartition("@")[2], False))
            for address in _crossed([*(one.address for one in kinds), *users])
        )
        return self._kinds(Part.RECIPIENT, (*kinds, *(one for one in crossed if self.is_relayed(one))), change)

    def is_relayed(self, recipient: Recipient) -> bool:
        """True where mail for the address, once accepted, is sent on, and the configuration did not ask for that.

        Mail for domains that it names is its own business, be they its own or those of customers in relay_domains.
        """
        route = self._route(recipient.address)
        if route.has_failed or route.is_malformed or self._is_quiet(route):
            return False
        if route.is_final:
            return (
                recipient.free and self._commands.get(route.transport, "") == "smtp" and (route.nexthop == route.domain)
            )
        if Classes.RELAY in route.classes:
            return recipient.free or route.is_routed
        return not self._is_below_ours(route.domain)

    def _is_below_ours(self, domain: str) -> bool:
        """True for ``x.ours.example``: whoever holds a domain holds what is below it."""
        parents = parents_of(domain, dotted=False)
        return any(self._route(f"{USER}@{parent}").is_taken for parent in parents if "." in parent)

    def _is_quiet(self, route: Route) -> bool:
        if Classes.DEFAULT in route.classes and self._world.settings.text("sender_dependent_default_transport_maps"):
            return False  # some senders' mail goes elsewhere
        return self._commands.get(route.transport, route.transport) in QUIET


def _via(seed: object) -> str:
    return f"{seed.via} {seed.login}" if isinstance(seed, Client) else ""


def _crossed(addresses: list[str]) -> list[str]:
    """Every local part with every domain."""
    locals_ = list(dict.fromkeys(address.rpartition("@")[0] for address in addresses))[:MOST_CROSSED]
    domains = list(dict.fromkeys(address.rpartition("@")[2] for address in addresses))[:MOST_CROSSED]
    return [f"{local}@{domain}" for local in locals_ for domain in domains]


def has_public_authorities(appends_default: bool, places: tuple[str, str]) -> bool:
    """True where the authorities whose certificates are trusted are the system's: anybody has such a certificate."""
    return appends_default or any(place.startswith(PUBLIC_AUTHORITIES) for place in places if place)
