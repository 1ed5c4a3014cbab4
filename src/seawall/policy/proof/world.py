"""The world in which the proof plays: the configuration's own tables and judge, a DNS that is the stranger's, and every
part that cannot be listed answering what the proof chooses.  Nothing here asks the network.
"""

from __future__ import annotations

from collections.abc import Awaitable, Mapping
from dataclasses import dataclass, field

from seawall.config.settings import Settings
from seawall.config.source import ConfigTrouble
from seawall.dns.answers import Answer as DnsAnswer
from seawall.dns.answers import Found, NoData, NoSuchName, Resource
from seawall.dns.hosts import Hosts
from seawall.eager import result_now
from seawall.policy.access import ACTIONS
from seawall.policy.attempt import Attempt
from seawall.policy.bench import Argument, Bench, Builder, Place, Registry, Restriction
from seawall.policy.dnsbl import parse_reply_filter
from seawall.policy.evaluate import Answer, Ask
from seawall.policy.exempt import Entry
from seawall.policy.exempting import confirmed_name, sparing
from seawall.policy.judge import Judge
from seawall.policy.proof.assumed import REMOTE, SERVICE, answering, service_name
from seawall.policy.proof.listing import members
from seawall.policy.reasons import Reason
from seawall.policy.registry import RESTRICTIONS
from seawall.policy.verdict import DUNNO, Act, Verdict
from seawall.policy.world import WorldFacts
from seawall.routing.resolve import Routing
from seawall.tables.match import AddressList, DomainList, Pattern, StringList
from seawall.tables.registry import TYPES, Opener, Tables
from seawall.tables.search import Maps
from seawall.tables.simple import TroubledTable
from seawall.tables.table import Answer as TableAnswer
from seawall.tables.table import Opening, Table, TableTrouble
from seawall.tables.watched import WatchedTable

LISTED_ADDRESS = "198.51.100.67"
"""A stranger whom every permit list names: they name many that are not ours."""
NOWHERE = "nowhere."
"""Domains without any record: no table of hosts or addresses knows them."""
ONLY_MX = "only-mx."
"""Domains that take mail, and whose hosts have no address."""
BACKUP = "backup."
"""Domains whose owner has made this host his second MX."""
PERMIT_LISTS = ("permit_dnswl_client", "permit_rhswl_client")
UNVERIFIED = ("reject_unverified_sender", "reject_unverified_recipient")
COMBINED = ("pipemap", "unionmap", "randmap")


@dataclass(slots=True)
class Choices:
    """What the parts say that are not asked.  By table (``type:name``) or service; a table without a choice knows
    nothing, a service without one says DUNNO.  `asked` are the keys they were asked for, by table."""

    said: dict[str, str] = field(default_factory=dict)
    asked: dict[str, list[tuple[str, str]]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ChosenTable:
    """A table that says what was chosen for it, whatever it is asked; otherwise what `real` says, where there is one."""

    name: str
    choices: Choices
    real: Table | None
    reason: str = ""
    """Why it cannot be asked; empty where it can."""

    @property
    def fixed(self) -> bool:
        """As the table is; what cannot be asked counts as strings, which are asked for more keys."""
        return self.real.fixed if self.real is not None else True

    def lookup(self, key: str) -> TableAnswer:
        """The value for a key."""
        chosen = self.choices.said.get(self.name)
        value = chosen if chosen is not None else None if self.real is None else self.real.lookup(key)
        if isinstance(value, str):
            self.choices.asked.setdefault(self.name, []).append((key, value))
        return value


def types_of(choices: Choices) -> Mapping[str, Opener]:
    """All types, each table answering through `choices`."""

    def opener(kind: str) -> Opener:
        def open_chosen(opening: Opening) -> Table:
            return _chosen(kind, opening, choices)

        return open_chosen

    return {kind: opener(kind) for kind in (*TYPES, *REMOTE)}


def _chosen(kind: str, opening: Opening, choices: Choices) -> Table:
    if kind in REMOTE:
        return ChosenTable(opening.name, choices, None, f"{kind} tables cannot be listed")
    if kind == "proxy":
        inner = opening.open(opening.text, opening.use)
        if isinstance(inner, ChosenTable):
            return ChosenTable(opening.name, choices, inner, inner.reason)
        return inner
    if kind in COMBINED:
        inside = [word.partition(":")[0] for word in members(opening.name)] if kind != "randmap" else []
        remote = next((name for name in inside if name in REMOTE), "")
        if remote or kind == "randmap":
            reason = f"{remote} tables cannot be listed" if remote else "it answers by chance"
            return ChosenTable(opening.name, choices, None, reason)
    table = TYPES[kind](opening)
    if kind == "fail":
        return table  # it is there to fail
    trouble = table.reason if isinstance(table, TroubledTable) else None
    if isinstance(table, WatchedTable):
        trouble = table.trouble
    if trouble is not None:
        return ChosenTable(opening.name, choices, None, trouble)
    return ChosenTable(opening.name, choices, table)


class StrangersDns:
    """Every name exists, because a stranger picks one that does; block lists know nobody of his.

    `zones` are the block lists' domains, `permits` the permit lists', each with an address that it answers.
    """

    def __init__(self, hostname: str) -> None:
        self._hostname = hostname
        self.zones: set[str] = set()
        self.permits: dict[str, str] = {}
        self.asked: dict[tuple[str, str], DnsAnswer] = {}

    def ask(self, name: str, kind: str) -> DnsAnswer | Awaitable[DnsAnswer]:
        """The records of a kind."""
        key = name.rstrip(".").lower()
        answer = self._answer(key, kind)
        self.asked[key, kind] = answer
        return answer

    def _answer(self, name: str, kind: str) -> DnsAnswer:
        for zone, address in self.permits.items():
            if name.endswith("." + zone):
                listed = name.startswith(_reversed(LISTED_ADDRESS)) or "listed." in name
                return self._found(kind, name, address) if listed and kind == "A" else NoSuchName()
        if any(name.endswith("." + zone) for zone in self.zones):
            return NoSuchName()
        if NOWHERE in name or (ONLY_MX in name and not (kind == "MX" and name.startswith(ONLY_MX))):
            return NoSuchName()
        match kind:
            case "MX" if name.startswith(BACKUP):
                second = Resource("MX", name, self._hostname, 300, 20)
                return Found((Resource("MX", name, "mx." + name, 300, 10), second))
            case "MX":
                return Found((Resource("MX", name, "mx." + name, 300, 10),))
            case "NS":
                return self._found(kind, name, "ns." + name)
            case "A":
                return self._found(kind, name, "203.0.113.99")
            case _:
                return NoData()

    @staticmethod
    def _found(kind: str, name: str, data: str) -> DnsAnswer:
        return Found((Resource(kind, name, data, 300),))


def _reversed(address: str) -> str:
    return ".".join(reversed(address.split("."))) + "."


class PatientTables(Tables):
    """Tables and lists, of which a list passes over what cannot be read: `unread` has (parameter, pattern) of it."""

    def __init__(self, settings: Settings, choices: Choices) -> None:
        self.unread: set[tuple[str, str]] = set()
        super().__init__(
            settings.root,
            settings.directory,
            warn=lambda text: None,
            unavailable=lambda name, reason: None,
            types=types_of(choices),
        )

    def string_list(self, value: str, *, title: str = "") -> StringList:
        """Strings."""
        return StringList(self._read(super().string_list(value, title=title).patterns, title), title=title)

    def domain_list(self, value: str, *, parent_matches: bool = False, title: str = "") -> DomainList:
        """Domains."""
        patterns = super().domain_list(value, parent_matches=parent_matches, title=title).patterns
        return DomainList(self._read(patterns, title), parent_matches, title)

    def address_list(self, value: str, *, parent_matches: bool = False, title: str = "") -> AddressList:
        """Clients."""
        patterns = super().address_list(value, parent_matches=parent_matches, title=title).patterns
        return AddressList(self._read(patterns, title), parent_matches, title)

    def _read(self, patterns: tuple[Pattern, ...], title: str) -> tuple[Pattern, ...]:
        files = [pattern for pattern in patterns if pattern.trouble and pattern.text.startswith("/")]
        self.unread.update((title, pattern.text) for pattern in files)
        return tuple(pattern for pattern in patterns if pattern not in files)


class StrangersFacts(WorldFacts):
    """The facts of the world, but for access tables, which answer through `choices`, and for waiting."""

    def __init__(self, settings: Settings, quiet: Tables, access: Tables, dns: StrangersDns) -> None:
        self.routing = Routing(settings, quiet)
        super().__init__(settings, quiet, self.routing, dns, Hosts())
        self._access = access

    def maps(self, value: str, title: str) -> Maps:
        """Tables; those of access checks are another set."""
        return (
            self._access.maps(value, title=title) if title.lower().startswith("check_") else super().maps(value, title)
        )

    async def sleep(self, seconds: float) -> None:
        """Nobody waits."""


@dataclass(frozen=True, slots=True)
class Atom:
    """A restriction where it stands, and how it is asked."""

    place: Place
    ask: Ask

    @property
    def name(self) -> str:
        """In lower case, as the registry has it."""
        return self.place.name.lower()


@dataclass(frozen=True, slots=True)
class Event:
    """A restriction was asked, and this is what it said.  None: a look-up failed."""

    place: Place
    act: Act | None


class World:
    """One service's configuration, ready to be played.  ConfigTrouble where no server would start with it."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.choices = Choices()
        self.quiet_choices = Choices()
        self.dns = StrangersDns(settings.text("myhostname").lower())
        self.quiet = PatientTables(settings, self.quiet_choices)
        self.access = PatientTables(settings, self.choices)
        self.atoms: dict[tuple[str, str, str, str], Atom] = {}
        self.events: list[Event] = []
        self.exempted: list[str] = []
        """Keys of the exemptions that counted, since somebody emptied it."""
        self._bench: Bench | None = None
        self.facts = StrangersFacts(settings, self.quiet, self.access, self.dns)
        self.judge = Judge(settings, self.facts, needs_guard=False, registry=self._registry())

    def exempt_entries(self) -> tuple[Entry, ...]:
        """Who is exempt from what."""
        exemptions = self.facts.exemptions
        return () if exemptions is None else exemptions.current.entries

    def exemptions_of(self, attempt: Attempt) -> tuple[tuple[str, ...], ...]:
        """What a client is exempt from."""
        exemptions = self.facts.exemptions
        if exemptions is None or not exemptions.current:
            return ()
        found = exemptions.of_client(attempt.address, confirmed_name(attempt))
        return tuple(sorted(entry.checks for entry in found))

    def _registry(self) -> Registry:
        """The real restrictions, each telling when it is asked; what would ask the network is the stranger's choice."""
        told = {}
        for name, restriction in RESTRICTIONS.items():
            build: Builder = restriction.build
            if name == SERVICE:
                build = self._build_service
            elif name in UNVERIFIED:
                build = _build_dunno
            told[name] = Restriction(self._telling(name, build, restriction.argument), restriction.argument)
        return told

    def _telling(self, name: str, build: Builder, argument: Argument) -> Builder:
        def build_telling(bench: Bench, place: Place) -> Ask:
            if argument is Argument.DOMAIN:
                self._know_zone(name, place.argument)
            self._bench = bench
            ask = build(bench, place)
            spares = sparing(bench.facts, place.name, place.argument)
            key = (place.name.lower(), place.argument, place.stage.parameter, place.stage.reply_class)
            self.atoms.setdefault(key, Atom(place, ask))

            def told(attempt: Attempt) -> Verdict:
                try:
                    verdict = now(ask(attempt))
                except TableTrouble:
                    self.events.append(Event(place, None))
                    raise
                heard = verdict if spares is None else spares(attempt, verdict)
                if heard.reason == Reason.EXEMPT:
                    self.exempted.append(heard.evidence[0])
                self.events.append(Event(place, heard.act))
                return verdict

            return told

        return build_telling

    def meet(self, value: str, place: Place) -> None:
        """Compile a list that a table holds, as it will be when the table says so: its checks become known."""
        if self._bench is not None:
            self._bench.compile(value, place.stage)

    def _know_zone(self, name: str, argument: str) -> None:
        domain, equals, pattern = argument.partition("=")
        if name not in PERMIT_LISTS:
            self.dns.zones.add(domain.lower())
            return
        try:
            byte_sets = parse_reply_filter(pattern) if equals else ()
        except ConfigTrouble:
            return  # the builder says so
        address = ".".join(str(min(values)) for values in byte_sets) or "127.0.0.2"
        self.dns.permits.setdefault(domain.lower(), address)

    def _build_service(self, bench: Bench, place: Place) -> Ask:
        RESTRICTIONS[SERVICE].build(bench, place)  # raises what is wrong with the argument
        name = service_name(place.argument)

        def ask(attempt: Attempt) -> Answer:
            action = self.choices.said.get(name)
            return DUNNO if action is None else answering(bench, place, name, action)(attempt)

        return ask


def _build_dunno(bench: Bench, place: Place) -> Ask:
    return lambda attempt: DUNNO


def now(answer: Answer) -> Verdict:
    """A verdict that waits for nobody."""
    return answer if isinstance(answer, Verdict) else result_now(_awaited(answer))


async def _awaited(answer: Awaitable[Verdict]) -> Verdict:
    return await answer


def meaning(value: str) -> str:
    """What a table's answer comes to for the proof: texts and codes do not matter, lists of restrictions do."""
    word = value.split(None, 1)[0].upper() if value.strip() else ""
    if value.isdigit() or word in ("OK", "RELAY"):
        return "OK"
    if word in ("REJECT", "DEFER", "HANGUP") or (len(word) == 3 and word.isdigit() and word[0] in "45"):
        return "REJECT"
    if word in ("DEFER_IF_PERMIT", "DEFER_IF_REJECT", "DISCARD", "REDIRECT"):
        return word
    return "DUNNO" if word in ACTIONS else value


def table_of(place: Place) -> str:
    """The ``type:name`` of an access check's argument, without its options."""
    return service_name(place.argument)
