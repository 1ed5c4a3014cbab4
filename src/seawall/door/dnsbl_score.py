"""What DNS lists weigh against a client.  postconf(5) postscreen_dnsbl_sites, dnsblog(8)

Each list is asked once for an address, however many connections wait for the answer.  One that is put aside (`list_watch`)
is not asked, and nobody waits for it; what it answers to those whom it does not serve weighs nothing.
"""

from __future__ import annotations

import asyncio
import ipaddress
import re
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass

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
from seawall.policy.list_watch import Heard, Kind, counts, error_prefixes, is_error, read
from seawall.policy.list_watching import AsksAtOnce, Deciding, Watched, Watching

_WEIGHT = re.compile(r"[+-]?\d+\Z")
UNNAMED = "a DNS list"
"""Stands for a list whose name may hold a password, where the table of names cannot say."""


@dataclass(frozen=True, slots=True)
class Weight:
    """What an answer adds to the score; `filter` None lets every answer count."""

    filter: ByteSets | None
    weight: int

    def counts(self, addresses: Iterable[str]) -> bool:
        """Does one of these answers count?"""
        return counts(addresses, self.filter)


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
    is_watched: bool = False
    """Lists that lie are put aside.  seawall_dnsbl_watch"""


class Score:
    """The sum for one address, as far as it has come."""

    __slots__ = (
        "address",
        "bucket",
        "deadline",
        "heaviest",
        "is_told",
        "listeners",
        "name",
        "open",
        "rules",
        "scores",
        "total",
        "ttls",
    )

    def __init__(self, scores: Scores, rules: ScoreRules, address: str, *, is_told: bool) -> None:
        self.scores = scores
        self.address = address
        self.is_told = is_told
        """The log is told what the lists say."""
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
        for domain in sorted(self.open) if self.is_told else ():
            self.scores.warn("postscreen", f"dnsblog reply timeout {self.rules.timeout:g}s for {domain}")


class Scores:
    """The questions under way in a worker.  `lists` watches over those whom it asks."""

    def __init__(
        self,
        resolver: AsksAtOnce,
        journal: Journal,
        clock: Clock,
        patience: Patience,
        lists: Watching | None = None,
    ) -> None:
        self._resolver = resolver
        self._journal = journal
        self._clock = clock
        self._patience = patience
        self._asked: dict[tuple[str, int, bool], Score] = {}
        self._lists = lists
        self._watched: dict[str, Watched] = {}
        self._errors: dict[str, tuple[str, ...]] = {}
        if lists is not None:
            lists.when_aside(self._let_go)

    def watch(self, rules: ScoreRules) -> None:
        """These lists will be asked."""
        for domain, weights in rules.sites.items() if rules.is_watched else ():
            self._errors[domain] = error_prefixes(domain)
            for weight in weights:
                if self._lists is not None:
                    self._watched[domain] = self._lists.watch(domain, Kind.ADDRESSES, weight.filter)

    def _watch_over(self, domain: str, rules: ScoreRules) -> Watched | None:
        return self._watched.get(domain) if rules.is_watched else None

    def _errors_of(self, score: Score, domain: str) -> tuple[str, ...]:
        return self._errors.get(domain, ()) if score.rules.is_watched else ()

    def _let_go(self, watched: Watched) -> None:
        """A list was put aside: nobody waits for it."""
        for score in list(self._asked.values()):
            for domain in [each for each in score.open if self._watch_over(each, score.rules) is watched]:
                self._take(score, domain, [], None)

    def warn(self, source: str, text: str) -> None:
        """A warning for the log."""
        self._journal.write(Warned(at=self._clock.now(), source=source, message=text))

    def rank(self, address: str, rules: ScoreRules) -> int | Awaitable[int | None]:
        """What the lists weigh against a client, without a word in the log; what is not said in time weighs nothing."""
        coming = asyncio.get_running_loop().create_future()
        score = self.ask(
            address, rules, lambda score: None if coming.done() else coming.set_result(None), is_told=False
        )
        return self._wait_for(score, coming) if score.open else score.total

    async def _wait_for(self, score: Score, coming: asyncio.Future[None]) -> int | None:
        await asyncio.wait({coming}, timeout=score.rules.timeout)
        return score.total

    def ask(self, address: str, rules: ScoreRules, listener: Callable[[Score], None], *, is_told: bool = True) -> Score:
        """Begin to ask; `listener` is called once every list has answered, before this returns where all are known."""
        key = (address, id(rules), is_told)
        score = self._asked.get(key)
        if score is not None:
            score.listeners.append(listener)
            return score
        score = self._asked[key] = Score(self, rules, address, is_told=is_told)
        score.listeners.append(listener)
        labels = ipaddress.ip_address(address).reverse_pointer.rsplit(".", 2)[0]
        for domain in rules.sites:
            self._ask_list(score, domain, f"{labels}.{domain}")
        if score.open:
            score.deadline = self._clock.monotonic() + rules.timeout
            self._patience.watch(score)
        return score

    def _ask_list(self, score: Score, domain: str, query: str) -> None:
        watched = self._watch_over(domain, score.rules)
        if watched is not None and watched.is_aside:
            self._take(score, domain, [], None)
            return
        answer = self._resolver.ask(query, "A")
        if isinstance(answer, Coming):
            answer.then(lambda heard: self._heard(score, domain, query, heard))
        else:
            self._heard(score, domain, query, answer)

    def _heard(self, score: Score, domain: str, query: str, answer: Answer) -> None:
        """A list's answer, late ones of lists that were put aside meanwhile included."""
        if domain not in score.open:
            return
        heard, addresses, ttl = self._read(score, domain, query, answer)
        watched = self._watch_over(domain, score.rules)
        errors = self._errors_of(score, domain)
        believed: bool | Deciding = True
        if watched is not None:
            watched.heard(heard, score.address, addresses[0] if heard is Heard.ERROR else "")
            believed = watched.believes() if heard is Heard.HIT else not watched.is_aside

        def take(counts: bool) -> None:
            sound = [each for each in addresses if counts and not is_error(each, errors)]
            self._take(score, domain, sound, ttl if sound or not addresses else None)

        if isinstance(believed, bool):
            take(believed)
        else:
            believed.then(take)

    def _take(self, score: Score, domain: str, addresses: list[str], ttl: int | None) -> None:
        """It is known what a list weighs."""
        if domain not in score.open:
            return
        score.open.discard(domain)
        score.take(domain, addresses, ttl)
        if not score.open:
            self._patience.forget(score)
            self._asked.pop((score.address, id(score.rules), score.is_told), None)
            listeners, score.listeners = score.listeners, []
            for listener in listeners:
                listener(score)

    def _read(self, score: Score, domain: str, query: str, answer: Answer) -> tuple[Heard, list[str], int | None]:
        """An answer in a word, its addresses, its TTL where there is one; and what dnsblog(8) logs of it."""
        now = self._clock.now()
        heard = read(answer, self._errors_of(score, domain), [each.filter for each in score.rules.sites[domain]])
        match answer:
            case Found(records=records):
                for record in records if score.is_told else ():
                    self._journal.write(InDnsList(at=now, address=score.address, domain=domain, answer=record.data))
                return heard, [record.data for record in records], min(record.ttl for record in records)
            case NoSuchName(ttl=ttl) | NoData(ttl=ttl):
                return heard, [], ttl or None
            case TryAgain() if score.is_told:
                why = f"Host or domain name not found. Name service error for name={query} type=A: {reason_of(answer)}"
                self.warn("dnsblog", f"dnsblog_query: lookup error for DNS query {query}: {why}")
        return heard, [], None
