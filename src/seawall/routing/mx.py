"""From a next hop to the hosts that take the mail: MX records in their order, addresses, ourselves left out.

smtp(8), RFC 5321 §5.1, RFC 7505.  The order is pure, given DNS's answers; chance is an argument.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from seawall.dns.answers import Answer, Asks, Found, NoData, NoSuchName, Resource, TryAgain
from seawall.dns.reply_filter import Dropped
from seawall.mail.network import parse_address

_DESTINATION = re.compile(r"(?:\[([^\]]*)\]|([^:\[\]]+))(?::([A-Za-z0-9-]+))?\Z")
_BARE_IPV6 = re.compile(r"[0-9A-Fa-f:.]*:[0-9A-Fa-f:.]*:[0-9A-Fa-f:.]*\Z")


@dataclass(frozen=True, slots=True)
class Destination:
    """One next hop: a host or domain, a port (number or service name, empty: the transport's own), whether MX counts.

    ``domain``, ``domain:port`` ask for MX records; ``[host]``, ``[host]:port``, ``[192.0.2.1]`` do not.
    """

    host: str
    port: str = ""
    ask_mx: bool = True

    @property
    def address(self) -> str | None:
        """The address, where the host is one."""
        return self.host if parse_address(self.host) else None


@dataclass(frozen=True, slots=True)
class BadDestination:
    """A next hop that names no host; `text` is the reason for the log and the sender."""

    text: str


def parse_destination(text: str) -> Destination | BadDestination:
    """One destination of a next hop.  smtp_parse_destination()"""
    text = text.strip()
    if _BARE_IPV6.match(text) and parse_address(text):
        return Destination(text, ask_mx=False)
    found = _DESTINATION.match(text)
    if found is None:
        return BadDestination(f"bad host name or address in destination: {text}")
    bracketed, plain, port = found.groups()
    host = (plain if bracketed is None else bracketed).strip()
    if host[:5].lower() == "ipv6:":
        host = host[5:]
    if not host:
        return BadDestination(f"no host in destination: {text}")
    return Destination(host, port or "", bracketed is None and parse_address(host) is None)


def parse_nexthop(text: str) -> list[Destination | BadDestination]:
    """All destinations of a next hop, to be tried in order.  transport(5)"""
    return [parse_destination(word) for word in re.split(r"[\s,]+", text.strip()) if word]


@dataclass(frozen=True, slots=True)
class Target:
    """One address to try: `host` is the name it belongs to, `preference` its MX's, lower first."""

    host: str
    address: str
    preference: int = 0


@dataclass(frozen=True, slots=True)
class NoTarget:
    """Nobody to try: `status` (4.x.x or 5.x.x) and `text` as smtp(8) tells them."""

    status: str
    text: str

    @property
    def is_temporary(self) -> bool:
        """True where a later attempt may find somebody."""
        return self.status.startswith("4")


class KnowsAddresses(Protocol):
    """Whom to ask for a host's addresses: the hosts file, then DNS (smtp_host_lookup)."""

    def addresses(self, host: str) -> Answer | Awaitable[Answer]:
        """`Found` with A and AAAA records."""
        ...


def in_order(targets: Sequence[Target], chance: Callable[[], float], *, shuffled: bool = True) -> list[Target]:
    """Targets by preference; equal ones in random order where `shuffled`.  postconf(5) smtp_randomize_addresses

    `chance` gives numbers in [0, 1).
    """
    keyed = [(target.preference, chance() if shuffled else 0.0, at) for at, target in enumerate(targets)]
    return [targets[at] for *_, at in sorted(keyed)]


def before_us(targets: Sequence[Target], is_own: Callable[[str], bool]) -> tuple[list[Target], bool]:
    """The targets that are preferred to this host, and True where this host is among them all.

    A backup MX hands on only to better ones, or mail would go round for ever.  RFC 5321 §5.1
    """
    own = [target.preference for target in targets if is_own(target.address)]
    if not own:
        return list(targets), False
    return [target for target in targets if target.preference < min(own)], True


class Exchanges:
    """Finds targets.  `is_own` knows this host's addresses; `chance` gives numbers in [0, 1).

    `defer_if_no_address` is smtp_defer_if_no_mx_address_found, `ignore_mx_errors` ignore_mx_lookup_error; `last_kind`
    is the kind of address that is asked for last, and so the one that is told of where there is none.
    """

    def __init__(
        self,
        dns: Asks,
        hosts: KnowsAddresses,
        is_own: Callable[[str], bool],
        chance: Callable[[], float],
        *,
        shuffled: bool = True,
        ignore_mx_errors: bool = False,
        defer_if_no_address: bool = False,
        last_kind: str = "A",
    ) -> None:
        self._dns = dns
        self._hosts = hosts
        self._is_own = is_own
        self._chance = chance
        self._shuffled = shuffled
        self._ignore_mx_errors = ignore_mx_errors
        self._defer_if_no_address = defer_if_no_address
        self._last_kind = last_kind

    async def find(self, destination: Destination, *, loops_matter: bool = True) -> list[Target] | NoTarget:
        """Whom to try for a destination, in order.

        `loops_matter` is False where a connection to ourselves may be meant (another port).
        """
        if destination.address is not None:
            return self._checked([Target(destination.host, destination.address)], destination.host, loops_matter)
        if not destination.ask_mx:
            return await self._host(destination.host, loops_matter)
        answer = await _answer(self._dns.ask(destination.host, "MX"))
        if isinstance(answer, NoSuchName | NoData):
            return await self._host(destination.host, loops_matter)
        if isinstance(answer, TryAgain):
            if self._ignore_mx_errors:
                return await self._host(destination.host, loops_matter)
            return _trouble(destination.host, "MX", answer)
        if any(record.data in ("", ".") for record in answer.records):  # RFC 7505
            return NoTarget("5.1.0", f"Domain {destination.host} does not accept mail (nullMX)")
        return await self._exchanges(destination.host, answer.records, loops_matter)

    async def _exchanges(self, domain: str, records: Sequence[Resource], loops_matter: bool) -> list[Target] | NoTarget:
        """Targets of a domain's MX records; hosts without address are passed over while another has one."""
        targets: list[Target] = []
        trouble = NoTarget("5.4.4", f"unable to look up host {domain}")
        for record in sorted(records, key=lambda record: record.preference):
            answer = await _answer(self._hosts.addresses(record.data))
            if isinstance(answer, Found):
                targets += [Target(record.data, found.data, record.preference) for found in answer.records]
            elif not trouble.is_temporary:
                trouble = _host_trouble(record.data, self._last_kind, answer)
        if not targets:
            if self._defer_if_no_address and not trouble.is_temporary:
                trouble = NoTarget("4" + trouble.status[1:], trouble.text)
            return trouble
        if loops_matter:
            best = min(record.preference for record in records)
            best_found = min(target.preference for target in targets)
            better, here = before_us(targets, self._is_own)
            if here and not better:
                if best != best_found:
                    return NoTarget("4.4.4", f"unable to find primary relay for {domain}")
                return NoTarget("5.4.6", f"mail for {domain} loops back to myself")
            targets = better
        return in_order(targets, self._chance, shuffled=self._shuffled)

    async def _host(self, host: str, loops_matter: bool) -> list[Target] | NoTarget:
        """Targets of a host without MX records."""
        answer = await _answer(self._hosts.addresses(host))
        if not isinstance(answer, Found):
            return _host_trouble(host, self._last_kind, answer)
        targets = [Target(host, found.data) for found in answer.records]
        return self._checked(in_order(targets, self._chance, shuffled=self._shuffled), host, loops_matter)

    def _checked(self, targets: list[Target], name: str, loops_matter: bool) -> list[Target] | NoTarget:
        if loops_matter and any(self._is_own(target.address) for target in targets):
            return NoTarget("5.4.6", f"mail for {name} loops back to myself")
        return targets


async def _answer(asked: Answer | Awaitable[Answer]) -> Answer:
    return asked if isinstance(asked, Found | NoSuchName | NoData | TryAgain) else await asked


def _host_trouble(host: str, kind: str, answer: Answer) -> NoTarget:
    if isinstance(answer, TryAgain):
        return _trouble(host, kind, answer)
    return NoTarget("5.4.4", _not_found(host, kind, answer))


def _trouble(host: str, kind: str, answer: TryAgain) -> NoTarget:
    """Nothing is known: the resolver's fault, or the reply filter's will."""
    if isinstance(answer, Dropped):
        return NoTarget("4.7.0", f"Error looking up name={host} type={kind}: {answer.reason}")
    return NoTarget("4.4.3", _not_found(host, kind, answer))


def _not_found(name: str, kind: str, answer: Answer) -> str:
    """The words of dns_lookup(3)."""
    why = (
        {
            NoSuchName: "Host not found",
            NoData: "Host found but no data record of requested type",
            TryAgain: "Host not found, try again",
        }[type(answer)]
        if not isinstance(answer, Found)
        else ""
    )
    return f"Host or domain name not found. Name service error for name={name} type={kind}: {why}"
