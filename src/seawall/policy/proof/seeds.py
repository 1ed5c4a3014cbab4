"""What a stranger may say, part by part: all that the tables of a configuration tell apart, and no more than that."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import islice, product

from seawall.mail.address import is_hostname
from seawall.mail.network import Network
from seawall.mail.words import split_words
from seawall.policy.attempt import UNKNOWN, NameStatus
from seawall.policy.bench import Argument, Place
from seawall.policy.proof.about import ABOUT, Part, Permits
from seawall.policy.proof.listing import Kind, Rule, members, rules_of
from seawall.policy.proof.samples import FILLER, Sample, literal, samples, wild
from seawall.policy.proof.session import Client, Recipient
from seawall.policy.proof.stranger import (
    DOMAIN,
    VICTIMS,
    affixed,
    grid,
    is_free,
    names_of_key,
    network_of_key,
    printed,
    strangers_in,
)
from seawall.policy.proof.world import BACKUP, LISTED_ADDRESS, NOWHERE, ONLY_MX, ChosenTable, World, meaning, table_of
from seawall.policy.registry import RESTRICTIONS
from seawall.policy.world import address_kinds
from seawall.tables.table import Table

MOST_FORMS = 24
"""Texts for one expression."""
MOST_PAIRS = 64
"""Texts for an expression and for the condition around it that are put together."""
LONGEST = 250
"""Characters of an address that is tried."""
MOST_RULES = 20000
"""Entries of one table that are looked at one by one; of more, some of each group."""
MOST_OF_A_GROUP = 20
MOST_EXEMPT = 40
"""Names, or addresses, with which each exemption is tried."""
NAME = f"client.{DOMAIN}"
USER = FILLER
OTHERS = ("stranger.com", "mail.stranger.net", "stranger.org", "x7.stranger.de")
"""More names of the stranger's own: expressions after a ``!`` tell what does not match them."""
KINDS = ("", NOWHERE, ONLY_MX)
"""What DNS may have for a name."""
_LOCAL = re.compile(r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+(?:\.[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+)*\Z")
_HELO = re.compile(r"[!#$%&'*+,./0-9:=?A-Z\[\]^_`a-z|~-]+\Z")
"""What HELO may be made of.  smtpd.c NEUTER_CHARACTERS makes the rest ``?``."""
_NUMBERS = re.compile(r"[0-9.:\[\]]+\Z")
_OUR_DOMAIN = re.compile(r"[A-Za-z0-9.-]+\Z")
CLASS_LISTS = ("relay_domains", "mydestination", "virtual_alias_domains", "virtual_mailbox_domains")
"""Lists of domains; whom they name is ours, or whom we relay for."""


@dataclass(frozen=True, slots=True)
class Use:
    """What a table is asked for: how a text for one of its expressions may be made whole, and whether it is one then."""

    forms: Callable[[Sample], Iterator[Sample]]
    is_good: Callable[[str], bool]
    letters: re.Pattern[str]
    """What such a text can be made of."""

    def can_hold(self, sample: Sample) -> bool:
        """False for a sample that names a letter which no such text has."""
        named = "".join(letter for letter, free in zip(sample.text, sample.free, strict=True) if free == ".")
        return not named or bool(self.letters.match(named))


def valid_address(address: str) -> bool:
    """True for an address that can be said at MAIL and RCPT without quotes."""
    local, at, domain = address.rpartition("@")
    return bool(at) and bool(_LOCAL.match(local)) and _is_name(domain) and len(address) < LONGEST


def _is_name(text: str) -> bool:
    return is_hostname(text) and "." in text


def _is_helo(text: str) -> bool:
    return bool(_HELO.match(text))


NAMES = Use(lambda one: affixed(one, domain=True), _is_name, re.compile(r"[A-Za-z0-9_.-]+\Z"))
_ADDRESSES = Use(lambda one: affixed(one, domain=False), valid_address, re.compile(r"[!-~]+\Z"))
USES: Mapping[Part, Use] = {
    Part.CLIENT: NAMES,
    Part.HELO: Use(lambda one: affixed(one, domain=True), _is_helo, _HELO),
    Part.SENDER: _ADDRESSES,
    Part.RECIPIENT: _ADDRESSES,
}


def _ways(rule: Rule) -> Iterator[Sample]:
    """Texts for an expression, and together with texts for the conditions around it."""
    found = samples(rule.left)
    yield from found
    for condition in rule.within:
        for one, other in islice(product(found, samples(condition)), MOST_PAIRS):
            for between in (Sample("", ""), wild(FILLER), wild("@")):
                yield one + between + other
                yield other + between + one


def _is_about_others(part: Part, use: Use, rule: Rule) -> bool:
    """True for an expression that matches nothing of the kind, and for a network's: that is told by trying addresses."""
    found = samples(rule.left)
    if part is Part.CLIENT and any(_NUMBERS.match(sample.text) for sample in found):
        return True
    return bool(found) and not any(use.can_hold(sample) for sample in found)


class Seeds:
    """The parts of sessions that can make a difference under one configuration."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._rules: dict[str, tuple[Rule, ...]] = {}
        self._tables: dict[str, Table] = {}
        self._piped: set[str] = set()
        self._reached: set[tuple[str, str]] = set()
        self._meet_lists()

    def _meet_lists(self) -> None:
        """Let the world know every check that a table may lead to."""
        met: set[tuple[str, str]] = set()
        known = -1
        while known != len(self._world.atoms):
            known = len(self._world.atoms)
            for atom in tuple(self._world.atoms.values()):
                if RESTRICTIONS[atom.name].argument is not Argument.TABLE:
                    continue
                values = {rule.value for spec in self.specs([atom.place]) for rule in self.rules(spec)}
                for value in values:
                    key = (value, atom.place.stage.parameter)
                    if key not in met and meaning(value) == value:
                        met.add(key)
                        self._world.meet(value, atom.place)

    def places(self, part: Part) -> Iterator[Place]:
        """Access checks that look at a part."""
        for atom in tuple(self._world.atoms.values()):
            row = RESTRICTIONS[atom.name]
            if row.argument is Argument.TABLE and part in ABOUT[atom.name].parts:
                yield atom.place

    def specs(self, places: Iterable[Place]) -> tuple[str, ...]:
        """Their tables, those inside of others one by one."""
        words = [word for place in places for word in split_words(table_of(place))]
        for word in words:
            if "pipemap:" in word:
                self._piped.update(members(word))
        return tuple(dict.fromkeys(spec for word in words for spec in members(word)))

    def rules(self, spec: str) -> tuple[Rule, ...]:
        """The entries of a table."""
        found = self._rules.get(spec)
        if found is None:
            found = self._rules[spec] = tuple(_bounded(rules_of(spec, self.table(spec))))
        return found

    def table(self, spec: str) -> Table:
        """The table itself, without what the proof put around it."""
        table = self._tables.get(spec)
        if table is None:
            table = self._world.access.open(spec)
            while isinstance(table, ChosenTable) and table.real is not None:
                table = table.real
            self._tables[spec] = table
        return table

    def list_rules(self, parameter: str) -> Iterator[tuple[str, Rule]]:
        """What a list such as mynetworks names: its patterns, and the entries of its tables, each with its table."""
        patterns = self._world.quiet.address_list(self._world.settings.text(parameter), title=parameter).patterns
        for pattern in patterns:
            if pattern.table is None:
                kind = Kind.NETWORK if pattern.network is not None else Kind.KEY
                yield "", Rule(kind, pattern.text, "")
                continue
            for spec in members(pattern.text):
                for rule in self.rules(spec):
                    yield spec, rule

    def matching(self, spec: str, rule: Rule, use: Use) -> Iterator[Sample]:
        """Texts that an expression's rule answers to, a few of them, of the form that the table is asked for."""
        table = self.table(spec)
        kept = 0
        for sample in _ways(rule):
            for form in use.forms(sample):
                if use.is_good(form.text) and isinstance(table.lookup(form.text), str):
                    self._reached.add((spec, rule.place))
                    yield form
                    kept += 1
                    if kept >= MOST_FORMS:
                        return

    def texts(self, part: Part) -> Iterator[Sample]:
        """Keys of all tables for a part as they stand, and texts for their expressions."""
        use = USES[part]
        for spec in self.specs(self.places(part)):
            for rule in self.rules(spec):
                if meaning(rule.value) == "REJECT" and spec not in self._piped:
                    continue  # whoever is refused for it says something else
                if rule.kind is Kind.KEY:
                    yield literal(rule.left)
                elif rule.kind is Kind.EXPRESSION:
                    yield from self.matching(spec, rule, use)

    def unreached(self) -> Iterator[tuple[str, Rule]]:
        """Rules of access tables for which no text was found: their answers may come, or not."""
        for part, use in USES.items():
            list(self.texts(part))
            permitting = (p for p in self.places(part) if ABOUT[p.name.lower()].permits is Permits.PATTERN)
            for spec in self.specs(permitting):
                for rule in self.rules(spec):
                    known = (
                        meaning(rule.value) == "REJECT"
                        or rule.kind is not Kind.EXPRESSION
                        or (spec, rule.place) in self._reached
                    )
                    if not known and not _is_about_others(part, use, rule) and not self._is_closed(spec, rule):
                        yield spec, rule

    def _is_closed(self, spec: str, rule: Rule) -> bool:
        """True for an expression that is bound at both ends and matches texts, none of which is of the kind asked for."""
        is_bound = rule.left.startswith("^") and rule.left.endswith("$") and "|" not in rule.left
        return is_bound and any(isinstance(self.table(spec).lookup(one.text), str) for one in samples(rule.left))

    # the client

    def networks(self) -> list[list[Network]]:
        """The networks that tables and lists name, source by source."""
        sources: list[list[Network]] = []
        for spec in self.specs(self.places(Part.CLIENT)):
            found = (rule.network or network_of_key(rule.left) for rule in self.rules(spec))
            sources.append([network for network in found if network is not None])
        for parameter in ("mynetworks", "smtpd_authorized_xclient_hosts"):
            rules = (rule for _, rule in self.list_rules(parameter))
            pairs = ((rule, rule.network or network_of_key(rule.left.strip("[]"))) for rule in rules)
            sources.append([n for rule, n in pairs if n is not None and (rule.network or n.bits in (32, 128))])
        return sources

    def addresses(self) -> tuple[str, ...]:
        """Addresses of strangers."""
        ipv6 = "AAAA" in address_kinds(self._world.settings)
        found = dict.fromkeys(strangers_in(self.networks(), ipv6=ipv6))
        for spec in dict.fromkeys((*self.specs(self.places(Part.CLIENT)), *self._mynetworks_tables())):
            if spec.startswith(("regexp:", "pcre:")):
                heard: dict[str, int] = {}
                for address in grid():
                    value = self.table(spec).lookup(address)
                    if isinstance(value, str) and heard.setdefault(value, 0) < 2:
                        heard[value] += 1
                        found[address] = None
        return tuple(found)

    def _mynetworks_tables(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(spec for spec, _ in self.list_rules("mynetworks") if spec))

    def names(self) -> tuple[str, ...]:
        """Client names that a stranger can have confirmed: below domains that he can hold."""
        found = [wild(NAME), *map(wild, OTHERS)]
        keys = [rule for _, rule in self.list_rules("mynetworks") if rule.kind is not Kind.NETWORK]
        keys += [Rule(Kind.KEY, key.text, "") for key in self.texts(Part.CLIENT)]
        for rule in keys:
            if network_of_key(rule.left) is None:
                found.extend(names_of_key(rule.left))
        found += self.texts(Part.CLIENT)
        for spec, rule in self.list_rules("mynetworks"):
            if rule.kind is Kind.EXPRESSION:
                found.extend(self.matching(spec, rule, NAMES))
        names = (name.text.lower() for name in found if is_free(name))
        return tuple(dict.fromkeys(name for name in names if is_hostname(name) and "." in name))

    def clients(self) -> Iterator[Client]:
        """Strangers, the plainest first."""
        addresses = self.addresses()
        if not addresses:
            return
        first, names = addresses[0], self.names()
        yield Client(first, NAME)
        yield Client(first, UNKNOWN, NameStatus.PERMANENT)
        for address in addresses[1:]:
            yield Client(address, NAME)
            yield Client(address, UNKNOWN, NameStatus.PERMANENT)
        for name in names:
            yield Client(first, name)
        yield from self._exempt(addresses, names)
        if self._world.dns.permits:
            yield Client(LISTED_ADDRESS, f"listed.{DOMAIN}")
        for key in self.texts(Part.CLIENT):
            for forged in names_of_key(key.text):
                if is_hostname(forged.text) and network_of_key(forged.text) is None:
                    yield Client(first, UNKNOWN, NameStatus.FORGED, reverse_name=forged.text.lower())

    def _exempt(self, addresses: tuple[str, ...], names: tuple[str, ...]) -> Iterator[Client]:
        """Whoever the file of exemptions names, as if he were a stranger: exempt from checks, he is to relay no more than others."""
        for entry in self._world.exempt_entries():
            network = entry.key.network
            if network is None:
                own = (name.text for name in names_of_key(entry.key.text) if is_hostname(name.text))
                yield from (Client(address, name) for name in own for address in addresses[:MOST_EXEMPT])
            else:
                address = next(iter(_inside(network)))
                yield Client(address, NAME)
                yield Client(address, UNKNOWN, NameStatus.PERMANENT)
                yield from (Client(address, name) for name in names[:MOST_EXEMPT])

    def forged(self, via: str) -> Iterator[Client]:
        """Whom a client may pretend to be who is believed.  XCLIENT names what it likes, PROXY an address."""
        yield Client("127.0.0.1", "localhost", via=via)
        for _, rule in self.list_rules("mynetworks"):
            network = rule.network or network_of_key(rule.left.strip("[]"))
            if network is not None and (rule.network or network.bits in (32, 128)):
                address = next(iter(_inside(network)))
                yield Client(address, UNKNOWN, NameStatus.PERMANENT, via=via)
            elif via == "XCLIENT" and is_hostname(rule.left.strip(".")):
                yield Client("203.0.113.66", f"{FILLER}.{rule.left.strip('.')}", via=via)
        for spec in self.specs(self.places(Part.CLIENT)):
            for rule in self.rules(spec)[:MOST_RULES]:
                network = rule.network or network_of_key(rule.left)
                if network is not None:
                    yield Client(next(iter(_inside(network))), UNKNOWN, NameStatus.PERMANENT, via=via)
                elif via == "XCLIENT" and is_hostname(rule.left.strip(".")):
                    yield Client("203.0.113.66", rule.left.strip("."), via=via)
        if via == "XCLIENT":
            yield Client("203.0.113.66", NAME, via=via, login=FILLER)

    # what he says

    def helos(self) -> Iterator[str | None]:
        """HELO names; None, for none at all, where that is allowed."""
        if not self._world.settings.flag("smtpd_helo_required"):
            yield None
        yield NAME
        yield FILLER
        yield from (kind + domain for kind in KINDS for domain in (NAME, *OTHERS))
        yield from ("[203.0.113.66]", "7", "nowhere.stranger", "a_b")
        for key in self.texts(Part.HELO):
            for helo in (key.text, *(name.text for name in names_of_key(key.text))):
                if _is_helo(helo):
                    yield helo
        yield self._world.settings.text("myhostname")

    def senders(self) -> Iterator[str]:
        """Sender addresses."""
        yield f"{USER}@{DOMAIN}"
        yield ""
        yield from (f"{user}@{kind}{domain}" for user in (USER, "x7") for kind in KINDS for domain in (DOMAIN, *OTHERS))
        for address in self._mail(Part.SENDER, DOMAIN):
            yield address.text
        for domain in self.our_domains("mydestination", "relay_domains"):
            yield f"{USER}@{domain}"
            yield f"root@{domain}"

    def recipients(self) -> Iterator[Recipient]:
        """Recipient addresses, whether or not they are ours."""
        for domain in VICTIMS:
            yield Recipient(f"user@{domain}")
        for kind in KINDS:
            yield from (Recipient(f"{user}@{kind}{domain}") for user in ("user", "x7") for domain in VICTIMS)
        yield Recipient(f"user@{BACKUP}{DOMAIN}")
        for sample in self._mail(Part.RECIPIENT, VICTIMS[0]):
            cut = sample.text.rfind("@") + 1
            is_anywhere = is_free(Sample(sample.text[cut:], sample.free[cut:]))
            if is_anywhere:
                yield Recipient(sample.text.replace(DOMAIN, VICTIMS[0]))
            yield Recipient(sample.text, is_anywhere)
        for parameter in CLASS_LISTS:
            for spec, rule in self.list_rules(parameter):
                yield from self._of_class(spec, rule)
        if self._world.settings.flag("allow_untrusted_routing"):
            for domain in self.our_domains("relay_domains"):
                yield Recipient(f"user%{VICTIMS[0]}@{domain}")

    def _of_class(self, spec: str, rule: Rule) -> Iterator[Recipient]:
        """Recipients in domains that a list names by the gross."""
        names = names_of_key(rule.left) if rule.kind is Kind.KEY else iter(())
        if rule.kind is Kind.EXPRESSION:
            names = self.matching(spec, rule, NAMES)
        for name in names:
            if is_free(name):
                yield Recipient(f"user@{name.text}")

    def our_domains(self, *parameters: str) -> Iterator[str]:
        """Some domains that lists name."""
        for parameter in parameters:
            keys = (rule.left for _, rule in self.list_rules(parameter) if rule.kind is Kind.KEY)
            yield from islice((key for key in keys if is_hostname(key.strip(".")) and _OUR_DOMAIN.match(key)), 8)

    def _mail(self, part: Part, domain: str) -> Iterator[Sample]:
        """Mail addresses for the tables of a part.  `domain` stands in where a key leaves it open."""
        for key in self.texts(part):
            text, free = key.text, key.free
            if text.endswith("@"):
                yield key + wild(domain)
            elif "@" in text:
                yield key
            elif free == "." * len(free):
                for name in names_of_key(text):
                    yield wild("user@") + name
            else:
                yield key


def _inside(network: Network) -> Iterator[str]:
    yield printed(network.value + (1 if network.bits < network.width else 0), network.width)


def _bounded(rules: Iterator[Rule]) -> Iterator[Rule]:
    """All rules of a table; of more than that, some of each answer for each domain or network."""
    yield from islice(rules, MOST_RULES)
    counts: dict[tuple[str, str], int] = {}
    for rule in rules:
        group = (meaning(rule.value), _group(rule.left))
        counts[group] = counts.get(group, 0) + 1
        if counts[group] <= MOST_OF_A_GROUP:
            yield rule


def _group(key: str) -> str:
    """What keys of one kind have in common: a domain, or the first octet."""
    if _NUMBERS.match(key):
        return key.partition(".")[0]
    domain = key.rpartition("@")[2]
    return domain if "@" in key else ".".join(domain.split(".")[-2:])
