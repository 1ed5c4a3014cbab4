"""May this client send mail for this domain?  The domain's SPF record says.  RFC 7208

Pure: the world is what `asks` answers.  Two questions are put here: `check_host`, the whole evaluation, and `equates`,
for greylisting, whether a domain authorises two clients by terms that are narrow enough to mean something.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from typing import Protocol

from seawall.dns.answers import Answer, Found, Resource, TryAgain
from seawall.dns.hostnames import to_ascii
from seawall.mail.network import Network, format_address, parse_address
from seawall.policy.spf_record import (
    BadRecord,
    MacroString,
    Mechanism,
    Result,
    SpfRecord,
    Unanswerable,
    Values,
    expand_domain,
    is_spf,
    parse_record,
)

MOST_TERMS = 10
"""Terms that ask DNS, in a record and all that it includes.  RFC 7208 §4.6.4"""
MOST_VOID = 2
"""Questions to which there is no answer.  RFC 7208 §4.6.4"""
MOST_NAMES = 10
"""Host names of one MX or PTR answer.  RFC 7208 §4.6.4"""
NARROWEST = {32: 16, 128: 32}
"""Bits from which on a range says something of who sends: a provider's IPv6 allocation is a /32, and no sender of mail
has more than an IPv4 /16 in one term.  Ours."""
MOST_QUESTIONS = 20
"""DNS questions that `equates` asks for both clients together.  Ours: as many as two records of ten terms."""


class Asks(Protocol):
    """The part of `policy.facts.Facts` that is asked here."""

    def ask(self, name: str, kind: str) -> Answer | Awaitable[Answer]:
        """DNS: TryAgain for any trouble."""
        ...


@dataclass(frozen=True, slots=True)
class Checked:
    """The result; `why` tells of the errors."""

    result: Result
    why: str = ""


class _Trouble(Exception):
    """Ends an evaluation."""

    def __init__(self, result: Result, why: str) -> None:
        super().__init__(why)
        self.checked = Checked(result, why)


async def check_host(asks: Asks, client: str, sender: str, helo: str) -> Checked:
    """Evaluate the sender's domain, or for the null sender the HELO name, for the client's address.

    `sender` and `helo` are in internal form.  NONE where there is no domain or no record.
    """
    evaluation = _evaluation(asks, client, sender, helo, is_narrow=False)
    return Checked(Result.NONE) if evaluation is None else await evaluation.run()


async def equates(asks: Asks, first: str, second: str, sender: str, helo: str, questions: int = MOST_QUESTIONS) -> bool:
    """True where the sender's domain authorises both addresses by narrow terms.

    ``+all``, ranges wider than `NARROWEST`, ``exists`` and ``ptr`` authorise nobody here; trouble is False.
    """
    budget = _Budget(asks, questions)
    for client in (first, second):
        evaluation = _evaluation(budget, client, sender, helo, is_narrow=True)
        if evaluation is None or (await evaluation.run()).result is not Result.PASS:
            return False
    return True


class _Budget:
    """Asks each question once, and not more than so many."""

    def __init__(self, asks: Asks, questions: int) -> None:
        self._asks = asks
        self._left = questions
        self._known: dict[tuple[str, str], Answer] = {}

    async def ask(self, name: str, kind: str) -> Answer:
        known = self._known.get((name, kind))
        if known is not None:
            return known
        if self._left <= 0:
            return TryAgain("too many questions")
        self._left -= 1
        answer = self._asks.ask(name, kind)
        heard = await answer if isinstance(answer, Awaitable) else answer
        self._known[name, kind] = heard
        return heard


def _evaluation(asks: Asks, client: str, sender: str, helo: str, *, is_narrow: bool) -> _Evaluation | None:
    """None where there is no address or no domain to ask about.  RFC 7208 §4.3"""
    address = parse_address(client)
    if address is None:
        return None
    value, width = address
    if width == 128 and value >> 32 == 0xFFFF:
        value, width = value & 0xFFFFFFFF, 32  # IPv4-mapped.  RFC 7208 §5
    local, _, domain = (sender or f"postmaster@{helo}").rpartition("@")
    name = to_ascii(domain)
    if name is None or not _may_have_a_record(name):
        return None
    values = Values(
        local=local or "postmaster",
        sender_domain=name.removesuffix("."),
        domain=name.removesuffix("."),
        client=format_address(value, 32) if width == 32 else ".".join(f"{value:032x}"),
        family="in-addr" if width == 32 else "ip6",
        helo=to_ascii(helo) or helo,
    )
    return _Evaluation(asks, value, width, values, is_narrow)


def _may_have_a_record(name: str) -> bool:
    """A domain of more than one label, none of them empty or too long.  RFC 7208 §4.3"""
    labels = name.removesuffix(".").split(".")
    return len(labels) > 1 and all(0 < len(label) <= 63 for label in labels) and len(name) <= 254 and "[" not in name


def _is_askable(name: str) -> bool:
    octets = name.encode("utf-8", "surrogateescape")
    return len(octets) <= 253 and all(0 < len(label) <= 63 for label in octets.split(b"."))


class _Evaluation:
    """One client and one sender; counts what RFC 7208 §4.6.4 limits."""

    def __init__(self, asks: Asks, value: int, width: int, values: Values, is_narrow: bool) -> None:
        self._asks = asks
        self._value = value
        self._width = width
        self._kind = "A" if width == 32 else "AAAA"
        self._values = values
        self._is_narrow = is_narrow
        self._terms = 0
        self._voids = 0
        self._client_names: list[str] | None = None
        self._matchers: dict[str, Callable[[Mechanism, str], Awaitable[bool]]] = {
            "include": self._include,
            "a": self._a,
            "mx": self._mx,
            "ptr": self._ptr,
            "exists": self._exists,
        }

    async def run(self) -> Checked:
        """The result for the sender's domain."""
        try:
            return Checked(await self._check(self._values.domain))
        except _Trouble as trouble:
            return trouble.checked

    async def _check(self, domain: str) -> Result:
        """check_host() for `domain`.  RFC 7208 §4"""
        record = await self._record(domain)
        if record is None:
            return Result.NONE
        values = replace(self._values, domain=domain)
        if record.names_the_client:
            values = replace(values, client_name=await self._client_name(domain))
        for mechanism in record.mechanisms:
            if await self._matches(mechanism, values):
                return mechanism.result
            if self._is_narrow and mechanism.name == "all":
                return Result.NEUTRAL
        if not record.redirect:
            return Result.NEUTRAL
        self._count_term()
        result = await self._check(self._expand(record.redirect, values) or "")
        if result is Result.NONE:
            raise _Trouble(Result.PERMERROR, f"{domain}: redirect to a domain without a record")
        return result

    async def _record(self, domain: str) -> SpfRecord | None:
        """The record of a domain, None where it has none.  RFC 7208 §4.4, §4.5"""
        if not _may_have_a_record(domain) or not _is_askable(domain):
            return None
        answer = await self._ask(domain, "TXT")
        texts = [record.data for record in answer if is_spf(record.data)]
        if len(texts) > 1:
            raise _Trouble(Result.PERMERROR, f"{domain} has {len(texts)} SPF records")
        try:
            return parse_record(texts[0]) if texts else None
        except BadRecord as trouble:
            raise _Trouble(Result.PERMERROR, f"{domain}: {trouble}") from None

    async def _matches(self, mechanism: Mechanism, values: Values) -> bool:
        if mechanism.network is not None:
            return self._is_in(mechanism, mechanism.network)
        if mechanism.name == "all":
            return not (self._is_narrow and mechanism.result is Result.PASS)
        self._count_term()
        if self._is_narrow and mechanism.name in ("ptr", "exists"):
            return False
        target = self._expand(mechanism.domain, values) if mechanism.domain else values.domain
        return target is not None and await self._matchers[mechanism.name](mechanism, target)

    def _is_in(self, mechanism: Mechanism, network: Network) -> bool:
        """Is the client in the network of a term?"""
        too_wide = self._is_narrow and mechanism.result is Result.PASS and network.bits < NARROWEST[network.width]
        return not too_wide and network.contains(self._value, self._width)

    async def _include(self, mechanism: Mechanism, target: str) -> bool:
        """RFC 7208 §5.2"""
        result = await self._check(target)
        if result is Result.NONE:
            raise _Trouble(Result.PERMERROR, f"include:{target} has no record")
        return result is Result.PASS

    async def _a(self, mechanism: Mechanism, target: str) -> bool:
        """RFC 7208 §5.3"""
        return self._is_among(await self._ask_counting(target, self._kind), mechanism)

    async def _mx(self, mechanism: Mechanism, target: str) -> bool:
        """RFC 7208 §5.4"""
        hosts = await self._ask_counting(target, "MX")
        if len(hosts) > MOST_NAMES:
            raise _Trouble(Result.PERMERROR, f"{target} has more than {MOST_NAMES} MX records")
        for host in sorted(hosts, key=lambda record: (record.preference, record.data)):
            if host.data and self._is_among(await self._ask_counting(host.data, self._kind), mechanism):
                return True
        return False

    async def _ptr(self, mechanism: Mechanism, target: str) -> bool:
        """RFC 7208 §5.5"""
        return any(_is_below(name, target) for name in await self._names_of_client())

    async def _exists(self, mechanism: Mechanism, target: str) -> bool:
        """RFC 7208 §5.7: an A record, whatever the client's family."""
        return bool(await self._ask_counting(target, "A"))

    def _is_among(self, records: tuple[Resource, ...], mechanism: Mechanism) -> bool:
        bits = mechanism.ipv4_bits if self._width == 32 else mechanism.ipv6_bits
        for record in records:
            address = parse_address(record.data)
            if address is not None and self._is_in(mechanism, Network(address[0], min(bits, address[1]), address[1])):
                return True
        return False

    async def _names_of_client(self) -> list[str]:
        """The client's names that lead back to it, at most ten looked at.  DNS trouble only means fewer.  §5.5"""
        if self._client_names is None:
            self._client_names = []
            labels = ".".join(reversed(self._values.client.split(".")))
            try:
                answer = await self._ask_counting(f"{labels}.{self._values.family}.arpa", "PTR")
            except _Trouble as trouble:
                if trouble.checked.result is Result.PERMERROR:
                    raise
                return self._client_names
            for record in answer[:MOST_NAMES]:
                if await self._leads_back(record.data):
                    self._client_names.append(record.data)
        return self._client_names

    async def _leads_back(self, name: str) -> bool:
        try:
            found = await self._ask_counting(name, self._kind)
        except _Trouble as trouble:
            if trouble.checked.result is Result.PERMERROR:
                raise
            return False
        return any(parse_address(record.data) == (self._value, self._width) for record in found)

    async def _client_name(self, domain: str) -> str:
        """``%{p}``: the domain itself where that is a name of the client, else one below it, else any.  §7.3"""
        names = await self._names_of_client()
        below = [name for name in names if _is_below(name, domain)]
        same = [name for name in below if name.rstrip(".").lower() == domain.lower()]
        return next(iter((*same, *below, *names)), "unknown").rstrip(".")

    def _expand(self, parts: MacroString, values: Values) -> str | None:
        """The domain, None where the sender has nothing that a name could hold.  RFC 8616 §4"""
        try:
            return expand_domain(parts, values)
        except Unanswerable:
            return None

    def _count_term(self) -> None:
        self._terms += 1
        if self._terms > MOST_TERMS:
            raise _Trouble(Result.PERMERROR, f"more than {MOST_TERMS} terms that ask DNS")

    async def _ask_counting(self, name: str, kind: str) -> tuple[Resource, ...]:
        """A mechanism's question: too many without an answer are a permanent error."""
        if not _is_askable(name.removesuffix(".")):
            return ()
        records = await self._ask(name, kind)
        if not records:
            self._voids += 1
            if self._voids > MOST_VOID:
                raise _Trouble(Result.PERMERROR, f"more than {MOST_VOID} questions without an answer")
        return records

    async def _ask(self, name: str, kind: str) -> tuple[Resource, ...]:
        answer = self._asks.ask(name.removesuffix("."), kind)
        heard = await answer if isinstance(answer, Awaitable) else answer
        if isinstance(heard, TryAgain):
            raise _Trouble(Result.TEMPERROR, f"{name} {kind}: {heard.reason or 'no answer'}")
        return heard.records if isinstance(heard, Found) else ()


def _is_below(name: str, domain: str) -> bool:
    low, parent = name.rstrip(".").lower(), domain.rstrip(".").lower()
    return low == parent or low.endswith(f".{parent}")
