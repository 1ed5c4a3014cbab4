"""Names of clients and addresses of hosts, as nsswitch has them by default: the hosts file, then DNS.  smtpd_peer(3)"""

from __future__ import annotations

import ipaddress
from collections.abc import Awaitable
from dataclasses import dataclass

from seawall.dns.answers import Answer, Asks, Found, NameStatus, NoData, NoSuchName, Resource, TryAgain
from seawall.dns.hostnames import is_hostaddr, without_final_dot
from seawall.dns.hosts import Hosts
from seawall.mail.address import is_hostname
from seawall.mail.network import parse_address

UNKNOWN = "unknown"
"""Postfix's word for a name that is not known."""


@dataclass(frozen=True, slots=True)
class ClientNames:
    """What is known of a client's name: the confirmed one and the bare one, each with how it was found.

    `warning` is a line for the log where the two do not agree.
    """

    name: str = UNKNOWN
    status: NameStatus = NameStatus.OK
    reverse_name: str = UNKNOWN
    reverse_status: NameStatus = NameStatus.OK
    warning: str = ""


NOT_ASKED = ClientNames(status=NameStatus.PERMANENT, reverse_status=NameStatus.PERMANENT)
"""With ``smtpd_peername_lookup = no`` nobody has a name."""


class Names:
    """Looks up names.  `kinds` are the address kinds of inet_protocols: ``A``, ``AAAA``."""

    def __init__(self, dns: Asks, hosts: Hosts, kinds: tuple[str, ...] = ("A", "AAAA")) -> None:
        self._dns = dns
        self._hosts = hosts
        self._kinds = kinds

    def addresses(self, host: str) -> Answer | Awaitable[Answer]:
        """All addresses of a host: `Found` with A and AAAA records.  getaddrinfo(3)"""
        return self._addresses(host, self._kinds)

    def _addresses(self, host: str, kinds: tuple[str, ...]) -> Answer | Awaitable[Answer]:
        if is_hostaddr(host):
            return _as_found(host, (host,))
        host = without_final_dot(host)
        known = [text for text in self._hosts.addresses(host) if _kind(text) in kinds]
        if known:
            return _as_found(host, tuple(known))
        if not is_hostname(host):
            return NoSuchName()
        answers: list[Answer | Awaitable[Answer]] = [self._dns.ask(host, kind) for kind in kinds]
        ready = [answer for answer in answers if isinstance(answer, Found | NoSuchName | NoData | TryAgain)]
        return _joined(ready) if len(ready) == len(answers) else self._wait(answers)

    @staticmethod
    async def _wait(answers: list[Answer | Awaitable[Answer]]) -> Answer:
        return _joined(
            [a if isinstance(a, Found | NoSuchName | NoData | TryAgain) else await a for a in answers]
        )  # fmt: skip

    async def client_names(self, address: str) -> ClientNames:
        """The names of a client.  A name that does not lead back to the address is not its name."""
        reverse = self._hosts.name(address)
        if reverse is None:
            found = await self._reverse(address)
            if isinstance(found, NameStatus):
                return ClientNames(status=found, reverse_status=found)
            reverse = found
        answer = self._addresses(reverse, (_kind(address),))
        forward = answer if isinstance(answer, Found | NoSuchName | NoData | TryAgain) else await answer
        if isinstance(forward, Found) and any(_same(record.data, address) for record in forward.records):
            return ClientNames(reverse, NameStatus.OK, reverse, NameStatus.OK)
        status = NameStatus.TEMPORARY if isinstance(forward, TryAgain) else NameStatus.FORGED
        warning = f"hostname {reverse} does not resolve to address {address}{_why(forward)}"
        return ClientNames(UNKNOWN, status, reverse, NameStatus.OK, warning)

    async def _reverse(self, address: str) -> str | NameStatus:
        """The PTR's name, or why there is none.  A PTR that is no host name is none."""
        if parse_address(address) is None:
            return NameStatus.PERMANENT
        question = ipaddress.ip_address(address).reverse_pointer
        answer = self._dns.ask(question, "PTR")
        heard = answer if isinstance(answer, Found | NoSuchName | NoData | TryAgain) else await answer
        if isinstance(heard, TryAgain):
            return NameStatus.TEMPORARY
        if isinstance(heard, Found):
            for record in heard.records:
                if is_hostname(record.data):
                    return record.data
        return NameStatus.PERMANENT


def _kind(address: str) -> str:
    return "AAAA" if ":" in address else "A"


def _same(left: str, right: str) -> bool:
    return parse_address(left) == parse_address(right)


def _as_found(host: str, addresses: tuple[str, ...]) -> Found:
    return Found(tuple(Resource(_kind(text), host, text, 0) for text in addresses))


def _joined(answers: list[Answer]) -> Answer:
    """Several answers as one: what was found; else trouble before "no such data" before "no such name"."""
    records = tuple(record for answer in answers if isinstance(answer, Found) for record in answer.records)
    if records:
        return Found(records)
    for kind in (TryAgain, NoData):
        for answer in answers:
            if isinstance(answer, kind):
                return answer
    return NoSuchName()


def _why(answer: Answer) -> str:
    """gai_strerror(3)'s words, where the name led nowhere at all."""
    match answer:
        case Found():
            return ""
        case TryAgain():
            return ": Temporary failure in name resolution"
        case NoData():
            return ": No address associated with hostname"
        case _:
            return ": Name or service not known"
