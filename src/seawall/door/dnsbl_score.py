"""What DNS lists weigh against a client.  postconf(5) postscreen_dnsbl_sites, dnsblog(8)

Each list is asked once for an address, however many connections wait for the answer.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Protocol

from seawall.clock import Clock
from seawall.config.source import ConfigTrouble
from seawall.dns.answers import Answer, Coming, Found, NoData, NoSuchName, TryAgain
from seawall.journal.record import Journal, Warned
from seawall.journal.records.door import InDnsList
from seawall.mail.address import is_hostname
from seawall.mail.words import split_words
from seawall.patience import NEVER, Patience
from seawall.policy.dnsbl import ByteSets, parse_reply_filter
from seawall.policy.domains import reason_of

_WEIGHT = re.compile(r"[+-]?\d+\Z")
UNNAMED = "a DNS list"
"""Stands for a list whose name may hold a password, where the table of names cannot say."""


class AsksAtOnce(Protocol):
    """Whoever answers questions without a task for each."""

    def ask(self, name: str, kind: str) -> Answer | Coming:
        """The records of `kind` at `name`."""
        ...


@dataclass(frozen=True, slots=True)
class Weight:
    """What an answer adds to the score; `filter` None lets every answer count."""

    filter: ByteSets | None
    weight: int

    def counts(self, addresses: Iterable[str]) -> bool:
        """Does one of these answers count?"""
        if self.filter is None:
            return True
        return any(
            all(int(byte) in good for byte, good in zip(address.split("."), self.filter, strict=True))
            for address in addresses
        )


def parse_sites(value: str) -> dict[str, list[Weight]]:
    """``domain=127.0.0.[2..4]*3, domain*-1 …``, by domain.  Raises ConfigTrouble."""
    sites: dict[str, list[Weight]] = {}
    for word in split_words(value):
        rest, star, weight = word.partition("*")
        domain, equals, pattern = rest.partition("=")
        if star and not _WEIGHT.match(weight):
            raise ConfigTrouble(f'bad DNSBL weight factor "{weight}" in "{word}"')
        if not is_hostname(domain):
            raise ConfigTrouble(f'bad DNSBL domain name "{domain}" in "{word}"')
        reply_filter = parse_reply_filter(pattern) if equals else None
        sites.setdefault(domain, []).append(Weight(reply_filter, int(weight) if star else 1))
    return sites


@dataclass(frozen=True, slots=True)
class ScoreRules:
    """The lists, and for how long a good score holds: between two bounds, in seconds."""

    sites: Mapping[str, list[Weight]]
    name_of: Callable[[str], str]
    """What clients are told instead of a domain.  postconf(5) postscreen_dnsbl_reply_map"""
    least_ttl: int
    most_ttl: int
    timeout: float


class Score:
    """The sum for one address, as far as it has come."""

    __slots__ = ("bucket", "deadline", "heaviest", "listeners", "name", "open", "rules", "scores", "total", "ttls")

    def __init__(self, scores: Scores, rules: ScoreRules) -> None:
        self.scores = scores
        self.rules = rules
        self.total = 0
        self.name = ""
        self.heaviest = 0
        self.ttls: list[int | None] = [None, None]
        """Of the answers that speak for the client, and of those that speak against it, as far as they are known."""
        self.open: set[str] = set(rules.sites)
        """Lists that have not answered."""
        self.listeners: list[Callable[[Score], None]] = []
        self.deadline = NEVER
        self.bucket = 0

    def so_far(self) -> tuple[int, str, int]:
        """The sum, the list that weighs most, and how long a success is good."""
        rules = self.rules
        ttl = self.ttls[self.total > 0]
        ttl = rules.least_ttl if ttl is None else min(max(ttl, rules.least_ttl), rules.most_ttl)
        return self.total, self.name, ttl

    def take(self, domain: str, addresses: list[str], ttl: int | None) -> None:
        """One list has answered."""
        for weight in self.rules.sites[domain]:
            is_listed = bool(addresses) and weight.counts(addresses)
            if is_listed:
                if not self.name or self.heaviest < weight.weight:
                    self.name, self.heaviest = self.rules.name_of(domain), weight.weight
                self.total += weight.weight
            is_against = is_listed == (weight.weight > 0)
            kept = self.ttls[is_against]
            if ttl is not None:
                self.ttls[is_against] = ttl if kept is None else min(ttl, kept)

    def run_out(self) -> None:
        """Some list was too slow: who waits for it goes by what there is."""
        for domain in sorted(self.open):
            self.scores.warn("postscreen", f"dnsblog reply timeout {self.rules.timeout:g}s for {domain}")


class Scores:
    """The questions under way in a worker."""

    def __init__(self, resolver: AsksAtOnce, journal: Journal, clock: Clock, patience: Patience) -> None:
        self._resolver = resolver
        self._journal = journal
        self._clock = clock
        self._patience = patience
        self._asked: dict[tuple[str, int], Score] = {}

    def warn(self, source: str, text: str) -> None:
        """A warning for the log."""
        self._journal.write(Warned(at=self._clock.now(), source=source, message=text))

    def ask(self, address: str, rules: ScoreRules, listener: Callable[[Score], None]) -> Score:
        """Begin to ask; `listener` is called once every list has answered, before this returns where all are known."""
        key = (address, id(rules))
        score = self._asked.get(key)
        if score is not None:
            score.listeners.append(listener)
            return score
        score = self._asked[key] = Score(self, rules)
        score.listeners.append(listener)
        labels = ipaddress.ip_address(address).reverse_pointer.rsplit(".", 2)[0]
        for domain in rules.sites:
            self._ask_list(score, address, domain, f"{labels}.{domain}")
        if score.open:
            score.deadline = self._clock.monotonic() + rules.timeout
            self._patience.watch(score)
        return score

    def _ask_list(self, score: Score, address: str, domain: str, query: str) -> None:
        def heard(answer: Answer) -> None:
            score.open.discard(domain)
            score.take(domain, *self._read(address, domain, query, answer))
            if not score.open:
                self._patience.forget(score)
                self._asked.pop((address, id(score.rules)), None)
                listeners, score.listeners = score.listeners, []
                for listener in listeners:
                    listener(score)

        answer = self._resolver.ask(query, "A")
        if isinstance(answer, Coming):
            answer.then(heard)
        else:
            heard(answer)

    def _read(self, address: str, domain: str, query: str, answer: Answer) -> tuple[list[str], int | None]:
        """(addresses, TTL where there is one) of an answer, and what dnsblog(8) logs of it."""
        now = self._clock.now()
        match answer:
            case Found(records=records):
                for record in records:
                    self._journal.write(InDnsList(at=now, address=address, domain=domain, answer=record.data))
                return [record.data for record in records], min(record.ttl for record in records)
            case NoSuchName(ttl=ttl) | NoData(ttl=ttl):
                return [], ttl or None
            case TryAgain():
                why = f"Host or domain name not found. Name service error for name={query} type=A: {reason_of(answer)}"
                self.warn("dnsblog", f"dnsblog_query: lookup error for DNS query {query}: {why}")
        return [], None
