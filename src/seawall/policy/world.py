"""The world behind the facts port: tables, routing, the resolver, the hosts file."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable
from typing import TypeAlias

from msgspec.structs import replace

from seawall.clock import Clock, SystemClock
from seawall.config.settings import Settings
from seawall.dns.answers import Answer, Asks
from seawall.dns.hosts import Hosts
from seawall.dns.names import Names
from seawall.dns.reply_filter import Filtered, Tell
from seawall.mail.address import fold
from seawall.mail.verified import Verified
from seawall.policy.exempt import Entry
from seawall.policy.exempt_file import open_exemptions
from seawall.policy.facts import ClientMatch
from seawall.policy.greylist import Met, Sought
from seawall.policy.greylisting import Greylister
from seawall.policy.list_watch import ByteSets, Kind
from seawall.policy.list_watching import Watched, Watching
from seawall.policy.policy_client import PolicyClients
from seawall.policy.policy_service import PolicyAnswer, Service
from seawall.routing.recipients import Listing
from seawall.routing.resolve import Memory, Routing
from seawall.routing.route import Route
from seawall.tables.registry import Tables
from seawall.tables.search import Maps

MOST_ROUTES = 1000
"""Routes that are remembered.  Postfix's smtpd keeps 100 (smtpd_resolve.c); a worker here stands for many smtpds."""
ROUTE_KEPT = 1.0
"""Seconds: as often as tables are looked at."""

SENDER_ROUTES = ("sender_dependent_default_transport_maps", "sender_dependent_relayhost_maps")
"""Where any of these is set, a route depends on the sender."""

ADDRESS_KINDS = {"ipv4": "A", "ipv6": "AAAA"}


def address_kinds(settings: Settings) -> tuple[str, ...]:
    """The address records that inet_protocols wants looked up."""
    protocols = [word.lower() for word in settings.words("inet_protocols")]
    kinds = tuple(kind for name, kind in ADDRESS_KINDS.items() if name in protocols)
    return kinds if kinds and "all" not in protocols else ("A", "AAAA")


FILTER = "smtpd_dns_reply_filter"


def filtered(settings: Settings, tables: Tables, name: str, dns: Asks, tell: Tell | None = None) -> Asks:
    """DNS with the reply filter of parameter `name` before it, where there is one."""
    maps = tables.maps(settings.text(name), title=name)

    def warn(what: str, text: str) -> None:
        if what:
            tables.warn(text)

    return Filtered(dns, maps.lookup, name, tell or warn) if maps else dns


def policy_clients(settings: Settings) -> PolicyClients:
    """The policy services of a configuration; sockets lie below its queue directory."""
    directory = settings.text("queue_directory")

    def path_of(where: str) -> str:
        return settings.path(os.path.join(directory, where))

    return PolicyClients(path_of, settings.number("seawall_policy_service_connections"))


Verifies: TypeAlias = Callable[[str, float], "Verified | Awaitable[Verified | None] | None"]
"""(address, seconds that a probe may take): see Facts.verify."""


class WorldFacts:
    """Facts as they are."""

    def __init__(
        self,
        settings: Settings,
        tables: Tables,
        routing: Routing,
        dns: Asks,
        hosts: Hosts | None = None,
        search: tuple[str, ...] = (),
        clock: Clock | None = None,
        tell: Tell | None = None,
        policies: PolicyClients | None = None,
        verifier: Verifies | None = None,
        greylister: Greylister | None = None,
        lists: Watching | None = None,
    ) -> None:
        """`hosts` is the hosts file, by default the one below the settings' root; `search` resolv.conf(5)'s domains.
        `tell` takes what the DNS reply filter has to say; by default its warnings are the tables'.  `policies`
        are the connections to policy services, where several listeners share them.  `verifier` answers what is
        known of addresses, `greylister` of strangers; without one nobody does."""
        self._settings = settings
        self._tables = tables
        self._routing = routing
        self._dns = filtered(settings, tables, FILTER, dns, tell)
        self._hosts = hosts if hosts is not None else Hosts.read(settings.path("/etc/hosts"))
        self.names = Names(dns, self._hosts, address_kinds(settings), search)
        self._clock = clock or SystemClock()
        self.policies = policies if policies is not None else policy_clients(settings)
        self._verifier = verifier
        self._greylister = greylister
        self._lists = lists
        self.score_of: Callable[[str], int | Awaitable[int | None] | None] | None = None
        """The door's score of an address; set by whoever has a door."""
        self.exemptions = open_exemptions(settings, tables, self._clock.now)
        self._by_sender = any(settings.text(name) for name in SENDER_ROUTES)
        self._routes: dict[tuple[str, str], Route] = {}
        self._memory = None if self._by_sender else Memory()
        self._routes_until = 0.0

    def maps(self, value: str, title: str) -> Maps:
        """Tables, opened once for all."""
        return self._tables.maps(value, title=title)

    def clients(self, value: str, title: str) -> ClientMatch:
        """A list of clients."""
        parents = title in self._settings.words("parent_domain_matches_subdomains")
        return self._tables.address_list(value, parent_matches=parents, title=title)

    def ask(self, name: str, kind: str) -> Answer | Awaitable[Answer]:
        """DNS."""
        return self._dns.ask(name, kind)

    def addresses(self, host: str) -> Answer | Awaitable[Answer]:
        """The hosts file, then DNS."""
        return self.names.addresses(host)

    def route(self, address: str, sender: str) -> Route | Awaitable[Route]:
        """trivial-rewrite(8), remembered for a second: one RCPT asks several times.  docs/differences.md D-11"""
        if not self._by_sender:
            sender = ""  # it chooses nothing: one route for all
        now = self._clock.monotonic()
        if now > self._routes_until or len(self._routes) >= MOST_ROUTES:
            self._routes.clear()
            if self._memory is not None:
                self._memory = Memory()
            self._routes_until = now + ROUTE_KEPT
        route = self._routes.get((address, sender))
        if route is not None:
            return route
        found = self._routing.route(address, sender, self._memory)
        return self._keep(address, sender, found) if isinstance(found, Route) else self._wait(address, sender, found)

    async def _wait(self, address: str, sender: str, coming: Awaitable[Route]) -> Route:
        return self._keep(address, sender, await coming)

    def _keep(self, address: str, sender: str, route: Route) -> Route:
        """Remember it, the address folded: so tables are asked for it.  smtpd_resolve.c"""
        folded = fold(route.recipient)
        if folded != route.recipient:
            route = replace(route, recipient=folded)
        if not route.has_failed:
            self._routes[address, sender] = route
        return route

    def listing(self, route: Route, as_sender: bool) -> Listing | Awaitable[Listing]:
        """The tables of the address's class."""
        return self._routing.recipients.look_up(route, as_sender=as_sender)

    def is_local(self, domain: str) -> bool | Awaitable[bool]:
        """A domain of ours."""
        return self._routing.is_local(domain)

    def is_own_address(self, address: str) -> bool:
        """An address of ours."""
        return self._routing.interfaces.has(address)

    def ask_policy(self, service: Service, question: str) -> PolicyAnswer | Awaitable[PolicyAnswer]:
        """A policy service."""
        return self.policies.ask(service, question)

    def verify(self, address: str, as_sender: bool, patience: float) -> Verified | Awaitable[Verified | None] | None:
        """The queue manager's answer."""
        return None if self._verifier is None else self._verifier(address, patience)

    def greylist(self, sought: Sought) -> Met | Awaitable[Met] | None:
        """This process's greylist."""
        return None if self._greylister is None else self._greylister.meet(self, sought)

    def exemption(self, address: str, name: str, check: str, zone: str) -> Entry | None:
        """The file of exemptions."""
        return None if self.exemptions is None else self.exemptions.find(address, name, check, zone)

    def dnsbl_score(self, address: str) -> int | Awaitable[int | None] | None:
        """The door's."""
        return None if self.score_of is None else self.score_of(address)

    def watched(self, domain: str, kind: Kind, reply_filter: ByteSets | None) -> Watched | None:
        """This process's watch."""
        return None if self._lists is None else self._lists.watch(domain, kind, reply_filter)

    def sleep(self, seconds: float) -> Awaitable[None]:
        """Wait, in a task."""
        return asyncio.sleep(seconds)
