"""The proof of one service: every session that its configuration tells apart, played before the judge.  relay-proof

Three answers.  PROVED: all were refused; with what each table that could have opened the way says now, and its digest.
RELAYS: one was not.  DEPENDS: one would not be, if a part that cannot be listed said OK.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from enum import Enum
from itertools import combinations

from seawall.config.settings import Settings
from seawall.dns.answers import Answer as DnsAnswer
from seawall.mail.words import split_words
from seawall.policy.bench import Argument, Place
from seawall.policy.judge import read_classes
from seawall.policy.language import has_guard
from seawall.policy.proof.about import ABOUT, Part, Permits
from seawall.policy.proof.assumed import SERVICE, service_name
from seawall.policy.proof.listing import Rule, digest, members, rules_of
from seawall.policy.proof.parts import Parts, Reducer
from seawall.policy.proof.session import Session, ask_list, play
from seawall.policy.proof.stranger import is_private
from seawall.policy.proof.world import ChosenTable, World, meaning, table_of
from seawall.policy.registry import RESTRICTIONS
from seawall.policy.stages import STAGES
from seawall.tables.combined import Pipe, Union
from seawall.tables.table import Table

MOST_PLAYS = 200_000
"""Sessions of one search; where a configuration tells more apart, the rest is not tried, and the answer says so."""
MOST_TOGETHER = 3
"""Parts that are taken to say OK at once."""


class Kind(Enum):
    """The answers, the worst first."""

    RELAYS = "relays"
    DEPENDS = "relays if"
    PROVED = "proved"


@dataclass(frozen=True, slots=True)
class Guard:
    """What refused, at which step, and how many of the sessions.  `place` None: no restriction of a list did."""

    step: str
    place: Place | None
    count: int


@dataclass(frozen=True, slots=True)
class Said:
    """What a part says in a session: a table for a key, a service (no key)."""

    part: str
    value: str
    keys: tuple[str, ...] = ()
    is_service: bool = False


@dataclass(frozen=True, slots=True)
class Hole:
    """A session that relays.  `said` is what must be so for it; `dns` what DNS said; `permitted` who permitted it;
    `absent` are tables that were taken to be there and to know nothing, `silent` services taken to say DUNNO."""

    session: Session
    said: tuple[Said, ...] = ()
    dns: Mapping[tuple[str, str], DnsAnswer] = field(default_factory=dict)
    permitted: tuple[Place, ...] = ()
    absent: tuple[str, ...] = ()
    silent: tuple[str, ...] = ()
    reasons: tuple[str, ...] = ()
    unread: tuple[tuple[str, str], ...] = ()
    """(parameter, file) of lists that name what cannot be read; it was passed over."""
    exempt: tuple[str, ...] = ()
    """Keys of the exemptions without which it would have been refused, or might have been."""


@dataclass(frozen=True, slots=True)
class TableRead:
    """A table that the answer rests on.  `opens` where an OK of it would relay; `trouble` where it cannot be read."""

    name: str
    digest: str
    opens: bool = False
    trouble: str = ""


@dataclass(frozen=True, slots=True)
class Finding:
    """The answer for one service under one stress."""

    kind: Kind
    holes: tuple[Hole, ...] = ()
    guards: tuple[Guard, ...] = ()
    tables: tuple[TableRead, ...] = ()
    trusted: tuple[tuple[str, str], ...] = ()
    """(parameter, table) of lists that cannot be listed and are taken to name only what is ours."""
    harmless: tuple[tuple[str, str], ...] = ()
    """(restriction, why) of those in the lists that permit others, and no stranger."""
    played: int = 0
    note: str = ""


class Search:
    """Looks for a session that relays under one configuration.  ConfigTrouble where no server would start with it."""

    def __init__(self, settings: Settings, commands: Mapping[str, str], *, proxied: bool = False) -> None:
        self.world = World(settings)
        self._reducer = Reducer(self.world, commands, proxied=proxied)
        self._parts: Parts | None = None
        self.played = 0
        self.was_cut = False
        self.guards: Counter[tuple[str, Place | None]] = Counter()

    @property
    def parts(self) -> Parts:
        """What is combined."""
        if self._parts is None:
            self.world.choices.said.clear()
            self._parts = self._reducer.parts()
        return self._parts

    def find(self, said: Mapping[str, str], *, counts: bool = False) -> Hole | None:
        """The plainest session that relays while some parts say what is given."""
        parts, world = self.parts, self.world
        world.choices.said.clear()
        world.choices.said.update(said)
        try:
            for name in ("relay", "recipient"):
                parts = self._passing(name, parts, counts=counts)
            for number, session in enumerate(parts.sessions()):
                if number >= MOST_PLAYS:
                    self.was_cut = True
                    return None
                course = play(world, session)
                self.played += 1
                if course.accepted:
                    return self._hole(session)
                if counts:
                    self.guards[course.step, course.place] += 1
            return None
        finally:
            world.choices.said.clear()

    def _passing(self, name: str, parts: Parts, *, counts: bool) -> Parts:
        """The parts of sessions that a list by itself lets pass: no session with any other gets through."""
        if not self.world.judge.lists[name]:
            return parts
        parameter = STAGES[name].parameter
        matter = {
            part
            for atom in self.world.atoms.values()
            if atom.place.stage.parameter == parameter
            for part in ABOUT[atom.name].parts
        }
        if self.world.exempt_entries():
            matter.add(Part.CLIENT)
        few = parts.only(matter)
        if few.size > MOST_PLAYS:
            return parts
        passed: list[Session] = []
        for session in few.sessions():
            course = ask_list(self.world, name, session)
            self.played += 1
            if course.accepted:
                passed.append(session)
            elif counts:
                self.guards[course.step, course.place] += 1
        return parts.among(matter, passed) if passed else parts.among({Part.RECIPIENT}, ())

    def _hole(self, session: Session) -> Hole:
        """Play it again and note what it needed."""
        world = self.world
        world.choices.asked.clear()
        world.dns.asked.clear()
        course = play(world, session)
        said = tuple(
            Said(name, value, tuple(dict.fromkeys(key for key, _ in world.choices.asked.get(name, ()))))
            if name not in self.services()
            else Said(name, value, is_service=True)
            for name, value in world.choices.said.items()
        )
        absent = {name: None for name, _ in self._unreadable() if name not in world.choices.said}
        silent = (name for name in self.services() if name not in world.choices.said)
        return Hole(
            session,
            said,
            dict(world.dns.asked),
            course.permitted,
            tuple(absent),
            tuple(silent),
            unread=tuple(sorted(world.quiet.unread)),
            exempt=tuple(dict.fromkeys(world.exempted)),
        )

    # parts that may say something else

    def services(self) -> tuple[str, ...]:
        """Policy services."""
        names = (service_name(atom.place.argument) for atom in self.world.atoms.values() if atom.name == SERVICE)
        return tuple(dict.fromkeys(names))

    def access_specs(self) -> Iterator[str]:
        """Tables of the access checks that may permit."""
        for atom in tuple(self.world.atoms.values()):
            takes_table = RESTRICTIONS[atom.name].argument is Argument.TABLE
            if takes_table and ABOUT[atom.name].permits is Permits.PATTERN:
                yield from split_words(table_of(atom.place))

    def unlisted(self) -> Iterator[tuple[str, tuple[str, ...], str]]:
        """(name, what it may say, why nobody knows) of tables and services that cannot be listed."""
        seen: set[str] = set()
        for spec in self.access_specs():
            for table in _chosen_tables(self.world.access.open(spec)):
                if table.reason and not spec.startswith("randmap:") and table.name not in seen:
                    seen.add(table.name)
                    yield table.name, self._possible(table.name), table.reason
        for name in self.services():
            yield name, ("OK",), "a policy service says what it likes"

    def _possible(self, name: str) -> tuple[str, ...]:
        """What a table may say: after a pipe that ends in a listed table only what stands there."""
        kind = name.partition(":")[0]
        if kind == "pipemap":
            last = members(name)[-1:]
            values = {
                meaning(rule.value): rule.value
                for spec in last
                for rule in rules_of(spec, _bare(self.world.access.open(spec)))
            }
            if values:
                return tuple(value for word, value in values.items() if word not in ("REJECT", "DUNNO"))
        return ("OK",)

    def by_chance(self) -> Iterator[tuple[str, str]]:
        """(randmap, one of its answers)."""
        for spec in dict.fromkeys(self.access_specs()):
            if spec.startswith("randmap:"):
                for rule in rules_of(spec, self.world.access.open(spec)):
                    yield spec, rule.value

    def unreached(self) -> Iterator[tuple[str, Rule]]:
        """Rules whose texts were not found, by table."""
        yield from dict.fromkeys(self._reducer.seeds.unreached())

    def _unreadable(self) -> Iterator[tuple[str, str]]:
        """(name, why) of all tables that cannot be asked here."""
        for tables in (self.world.quiet, self.world.access):
            for table in tables.opened():
                for chosen in _chosen_tables(table):
                    if chosen.reason:
                        yield chosen.name, chosen.reason

    def tables_read(self, opening: set[str]) -> tuple[TableRead, ...]:
        """Digests of all tables that were asked."""
        found = {text: TableRead(text, "", False, f"{name} names it") for name, text in self.world.quiet.unread}
        for tables in (self.world.access, self.world.quiet):
            for table in tables.opened():
                for chosen in _chosen_tables(table):
                    name, bare = chosen.name, _bare(chosen)
                    text = "" if chosen.reason else digest(name, bare)
                    found.setdefault(name, TableRead(name, text, name in opening, chosen.reason))
        exemptions = self.world.facts.exemptions
        if exemptions is not None and (exemptions.current or exemptions.trouble):
            read = TableRead(exemptions.name, digest(exemptions.name, exemptions), False, exemptions.trouble or "")
            found.setdefault(exemptions.name, read)
        return tuple(found.values())

    def harmless(self) -> tuple[tuple[str, str], ...]:
        """What permits in the relay and recipient lists, and why it does not permit a stranger."""
        found: dict[str, str] = {}
        for atom in self.world.atoms.values():
            row = ABOUT[atom.name]
            if row.why and atom.place.stage.parameter in (STAGES["relay"].parameter, STAGES["recipient"].parameter):
                found[atom.name] = row.why
        return tuple(found.items())

    def trusted(self) -> tuple[tuple[str, str], ...]:
        """Lists of what is ours that cannot be listed; and private networks in mynetworks, which NAT may put before us."""
        names = ("mynetworks", "mydestination", "relay_domains", "virtual_alias_domains", "virtual_mailbox_domains")
        found: list[tuple[str, str]] = []
        for parameter in (*names, "relay_clientcerts"):
            for word in split_words(self.world.settings.text(parameter)):
                if ":" in word.lstrip("!") and not word.lstrip("!").startswith("["):
                    tables = _chosen_tables(self.world.quiet.open(word.lstrip("!")))
                    found.extend((parameter, table.name) for table in tables if table.reason)
                elif parameter == "mynetworks" and is_private(word):
                    found.append((parameter, word))
        return tuple(found)


def _chosen_tables(table: Table) -> Iterator[ChosenTable]:
    """The tables that answer through choices, inside of others too."""
    if isinstance(table, Pipe | Union):
        for inner in table.tables:
            yield from _chosen_tables(inner)
    elif isinstance(table, ChosenTable):
        is_made_of_others = isinstance(table.real, Pipe | Union | ChosenTable)
        if is_made_of_others and table.real is not None and not table.reason:
            yield from _chosen_tables(table.real)
        else:
            yield table


def _bare(table: Table) -> Table:
    while isinstance(table, ChosenTable) and table.real is not None:
        table = table.real
    return table


def examine(settings: Settings, commands: Mapping[str, str], *, proxied: bool = False) -> Finding:
    """The answer for one service.  ConfigTrouble where its lists cannot be compiled."""
    lists = [settings.text(name) for name in ("smtpd_relay_restrictions", "smtpd_recipient_restrictions")]
    classes = read_classes(settings)
    if not any(has_guard(text, classes) for text in lists):
        return Finding(Kind.PROVED, note="smtpd does not start: neither the relay nor the recipient list has a guard")
    search = Search(settings, commands, proxied=proxied)
    hole = search.find({}, counts=True) or _by_chance(search)
    if hole is not None:
        return Finding(Kind.RELAYS, (hole,), tables=search.tables_read(set()), played=search.played)
    holes = tuple(_conditions(search))
    opening: set[str] = set() if search.was_cut else _listed_that_open(search)
    guards = tuple(Guard(step, place, count) for (step, place), count in search.guards.most_common())
    kind = Kind.DEPENDS if holes or search.was_cut else Kind.PROVED
    note = f"only {MOST_PLAYS} of its sessions were played" if search.was_cut else ""
    if not search.parts.recipients:
        note = "mail for others goes nowhere: its transport delivers here, refuses or discards"
    elif not search.parts.clients:
        note = "every address that a stranger could have is listed as somebody's own"
    return Finding(
        kind,
        holes,
        guards,
        search.tables_read(opening),
        search.trusted(),
        search.harmless(),
        search.played,
        note,
    )


def _by_chance(search: Search) -> Hole | None:
    for spec, value in search.by_chance():
        hole = search.find({spec: value})
        if hole is not None:
            return hole
    return None


def _conditions(search: Search) -> Iterator[Hole]:
    """Parts that cannot be listed and whose OK relays: each by itself, then the fewest that do so together."""
    unlisted = list(search.unlisted())
    alone: set[str] = set()
    for name, values, reason in unlisted:
        for value in values:
            hole = search.find({name: value})
            if hole is not None:
                alone.add(name)
                yield _because(hole, (reason,))
                break
    for spec, rule in search.unreached():
        if meaning(rule.value) == "REJECT":
            continue
        hole = search.find({spec: rule.value})
        if hole is not None:
            yield _because(hole, (f"{rule.place}: no text was found that its expression matches",))
    others = [part for part in unlisted if part[0] not in alone and part[1]]
    if len(others) < 2 or search.find({name: values[0] for name, values, _ in others}) is None:
        return
    for size in range(2, min(len(others), MOST_TOGETHER) + 1):
        for group in combinations(others, size):
            hole = search.find({name: values[0] for name, values, _ in group})
            if hole is not None:
                yield _because(hole, tuple(reason for _, _, reason in group))
                return
    hole = search.find({name: values[0] for name, values, _ in others})
    if hole is not None:
        yield _because(hole, tuple(reason for _, _, reason in others))


def _because(hole: Hole, reasons: tuple[str, ...]) -> Hole:
    return replace(hole, reasons=reasons)


def _listed_that_open(search: Search) -> set[str]:
    """Tables that can be listed and would open the way if they ever said OK."""
    found: set[str] = set()
    for spec in dict.fromkeys(search.access_specs()):
        for table in _chosen_tables(search.world.access.open(spec)):
            if not table.reason and table.name not in found and search.find({table.name: "OK"}) is not None:
                found.add(table.name)
    return found
