"""The world behind the facts port: tables, routing, the resolver, the hosts file."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable

from msgspec.structs import replace

from seawall.clock import Clock, SystemClock
from seawall.config.settings import Settings
from seawall.dns.answers import Answer, Asks
from seawall.dns.hosts import Hosts
from seawall.dns.names import Names
from seawall.mail.address import fold
from seawall.policy.facts import ClientMatch
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
    ) -> None:
        """`hosts` is the hosts file, by default the one below the settings' root; `search` resolv.conf(5)'s domains."""
        self._settings = settings
        self._tables = tables
        self._routing = routing
        self._dns = dns
        self._hosts = hosts if hosts is not None else Hosts.read(settings.path("/etc/hosts"))
        self.names = Names(dns, self._hosts, address_kinds(settings), search)
        self._clock = clock or SystemClock()
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
        """trivial-rewrite(8), remembered for a second: one RCPT asks several times."""
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

    def sleep(self, seconds: float) -> Awaitable[None]:
        """Wait, in a task."""
        return asyncio.sleep(seconds)
