"""Names of clients and addresses of hosts, as nsswitch has them by default: the hosts file, then DNS.  smtpd_peer(3)"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from seawall.dns.answers import Answer, Asks, Coming, Found, NameStatus, NoData, NoSuchName, Resource, TryAgain
from seawall.dns.hostnames import is_hostaddr, without_final_dot
from seawall.dns.hosts import Hosts
from seawall.eager import run_eagerly
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


NAMELESS = ClientNames(status=NameStatus.PERMANENT, reverse_status=NameStatus.PERMANENT)
NAMELESS_NOW = ClientNames(status=NameStatus.TEMPORARY, reverse_status=NameStatus.TEMPORARY)
"""A client without a name, and one whose name could not be learnt."""
NOT_ASKED = ClientNames(status=NameStatus.PERMANENT, reverse_status=NameStatus.PERMANENT)
"""With ``smtpd_peername_lookup = no`` nobody has a name."""


class Names:
    """Looks up names.

    `kinds` are the address kinds of inet_protocols, ``A`` and ``AAAA``; `search` are resolv.conf(5)'s domains: a name
    with a dot is tried as it stands first (``ndots:1``), one without after them.
    """

    def __init__(
        self, dns: Asks, hosts: Hosts, kinds: tuple[str, ...] = ("A", "AAAA"), search: tuple[str, ...] = ()
    ) -> None:
        self._dns = dns
        self._hosts = hosts
        self._kinds = kinds
        self._search = search

    def addresses(self, host: str) -> Answer | Awaitable[Answer]:
        """All addresses of a host: `Found` with A and AAAA records.  getaddrinfo(3)"""
        return self._addresses(host, self._kinds)

    def _addresses(self, host: str, kinds: tuple[str, ...]) -> Answer | Awaitable[Answer]:
        if is_hostaddr(host):
            return _as_found(host, (host,))
        name = without_final_dot(host)
        known = [text for text in self._hosts.addresses(name) if _kind(text) in kinds]
        if known:
            return _as_found(name, tuple(known))
        if not is_hostname(name):
            return NoSuchName()
        answer = self._ask(name, kinds)
        if host.endswith(".") or not self._search:
            return answer
        if isinstance(answer, Found | TryAgain) and "." in host:
            return answer
        return self._ask_searching(name, kinds, answer)

    def _ask(self, name: str, kinds: tuple[str, ...]) -> Answer | Awaitable[Answer]:
        """One name, all kinds."""
        answers: list[Answer | Awaitable[Answer]] = [self._dns.ask(name, kind) for kind in kinds]
        ready = [answer for answer in answers if isinstance(answer, Found | NoSuchName | NoData | TryAgain)]
        return _joined(ready) if len(ready) == len(answers) else self._wait(answers)

    @staticmethod
    async def _wait(answers: list[Answer | Awaitable[Answer]]) -> Answer:
        return _joined([await _heard(answer) for answer in answers])

    async def _ask_searching(self, name: str, kinds: tuple[str, ...], bare: Answer | Awaitable[Answer]) -> Answer:
        """The name as it stands, and in each domain of the search list.  resolver(3) res_search"""
        first = await _heard(bare)
        if "." in name and not isinstance(first, NoSuchName | NoData):
            return first
        for domain in self._search:
            answer = await _heard(self._ask(f"{name}.{domain}", kinds))
            if isinstance(answer, Found | TryAgain):
                return answer
        return first

    def tell_names(self, address: str, then: Callable[[ClientNames], None]) -> None:
        """Call `then` with the names of a client, at once where all is known; no task waits for it meanwhile.

        A name that does not lead back to the address is not its name.
        """
        reverse = self._hosts.name(address)
        if reverse is not None:
            self._confirm(address, reverse, then)
            return
        question = reverse_name(address)
        if question is None:
            then(NAMELESS)
            return

        def named(answer: Answer) -> None:
            if isinstance(answer, Found):
                for record in answer.records:
                    if is_hostname(record.data):  # a PTR that is no host name is none
                        self._confirm(address, record.data, then)
                        return
            then(NAMELESS_NOW if isinstance(answer, TryAgain) else NAMELESS)

        _heed(self._dns.ask(question, "PTR"), named)

    def _confirm(self, address: str, reverse: str, then: Callable[[ClientNames], None]) -> None:
        """Does the name lead back to the address?"""

        def confirmed(forward: Answer) -> None:
            if isinstance(forward, Found) and any(_same(record.data, address) for record in forward.records):
                then(ClientNames(reverse, NameStatus.OK, reverse, NameStatus.OK))
                return
            status = NameStatus.TEMPORARY if isinstance(forward, TryAgain) else NameStatus.FORGED
            warning = f"hostname {reverse} does not resolve to address {address}{_why(forward)}"
            then(ClientNames(UNKNOWN, status, reverse, NameStatus.OK, warning))

        _heed(self._addresses(reverse, (_kind(address),)), confirmed)


def reverse_name(address: str) -> str | None:
    """The name whose PTR tells an address's name, None for what is no address.  RFC 1035 §3.5, RFC 3596 §2.5"""
    parsed = parse_address(address)
    if parsed is None:
        return None
    value, width = parsed
    if width == 32:
        return f"{value & 255}.{value >> 8 & 255}.{value >> 16 & 255}.{value >> 24}.in-addr.arpa"
    return ".".join(reversed(f"{value:032x}")) + ".ip6.arpa"


async def _heard(answer: Answer | Awaitable[Answer]) -> Answer:
    """The answer, waited for where it is not there."""
    return answer if isinstance(answer, Found | NoSuchName | NoData | TryAgain) else await answer


def _heed(answer: Answer | Awaitable[Answer], then: Callable[[Answer], None]) -> None:
    """Call with the answer: now, or when it comes."""
    if isinstance(answer, Found | NoSuchName | NoData | TryAgain):
        then(answer)
    elif isinstance(answer, Coming):
        answer.then(then)
    else:
        run_eagerly(_tell(answer, then), _nothing)


async def _tell(answer: Awaitable[Answer], then: Callable[[Answer], None]) -> None:
    then(await answer)


def _nothing(_: None) -> None:
    """All is done already."""


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
