"""What is taken for granted of parts that cannot be asked, or not now: tables, policy services, names in DNS.

The proof plays its sessions over such a world, and a rehearsal's ``assume`` lines make the same world again.
"""

from __future__ import annotations

from collections.abc import Awaitable, Mapping
from dataclasses import dataclass, field

from seawall.dns.answers import Answer as DnsAnswer
from seawall.dns.answers import Asks, Found, NoData, Resource
from seawall.mail.words import split_words, unbrace
from seawall.policy.access import judge_value
from seawall.policy.attempt import Attempt
from seawall.policy.bench import Argument, Bench, Place, Registry, Restriction
from seawall.policy.evaluate import Answer, Ask
from seawall.policy.proof.listing import members
from seawall.policy.registry import RESTRICTIONS
from seawall.tables.registry import TYPES, Opener
from seawall.tables.table import Answer as TableAnswer
from seawall.tables.table import Opening, Table, TableTrouble, fold

QUERY = "policy query"
"""What warnings call the entry that a service's answer stands for, as in seawall.policy.delegation."""
SERVICE = "check_policy_service"
REMOTE = ("ldap", "mysql", "pgsql", "mongodb", "sqlite", "memcache", "tcp", "socketmap", "nis", "nisplus", "netinfo")
"""Types whose entries nobody can list."""


@dataclass(frozen=True, slots=True)
class AssumedTable:
    """Says what was assumed; for any other key what the table itself says, where it can be read here."""

    name: str
    assumed: Mapping[str, str]
    real: Table | None = None

    @property
    def fixed(self) -> bool:
        """As the table is."""
        return self.real.fixed if self.real is not None else True

    def lookup(self, key: str) -> TableAnswer:
        """The value for a key."""
        value = self.assumed.get(fold(key))
        if value is not None or self.real is None:
            return value
        try:
            return self.real.lookup(key)
        except TableTrouble:
            return None


@dataclass(slots=True)
class Assumed:
    """All assumptions.  `tables` by ``type:name``, `services` by name, `records` by (name, kind)."""

    tables: dict[str, dict[str, str]] = field(default_factory=dict)
    services: dict[str, str] = field(default_factory=dict)
    records: dict[tuple[str, str], tuple[Resource, ...]] = field(default_factory=dict)

    def add_entry(self, table: str, key: str = "", value: str = "") -> None:
        """A table is there, and says `value` for `key`; without a key it is there and need not say anything."""
        entries = self.tables.setdefault(table, {})
        if key:
            entries[fold(key)] = value

    def add_record(self, name: str, kind: str, words: list[str]) -> bool:
        """A record of DNS; False for data that is none."""
        preference = 0
        if kind == "MX":
            if len(words) != 2 or not words[0].isdigit():
                return False
            preference = int(words[0])
        elif len(words) != 1 and kind != "TXT":
            return False
        data = " ".join(words) if kind == "TXT" else words[-1].rstrip(".")
        key = (name.rstrip(".").lower(), kind)
        self.records[key] = (*self.records.get(key, ()), Resource(kind, key[0], data, 300, preference))
        return True

    def types(self) -> Mapping[str, Opener]:
        """The types of tables, those that are assumed among them."""
        kinds = {name.partition(":")[0] for name in self.tables}
        return {**TYPES, **{kind: self._opener(kind) for kind in kinds}} if kinds else TYPES

    def _opener(self, kind: str) -> Opener:
        real = TYPES.get(kind)

        def open_assumed(opening: Opening) -> Table:
            entries = self.tables.get(opening.name)
            if entries is None:
                return real(opening) if real is not None else AssumedTable(opening.name, {})
            is_remote = any(word.partition(":")[0] in REMOTE for word in members(opening.name))
            return AssumedTable(opening.name, entries, None if is_remote or real is None else real(opening))

        return open_assumed

    def registry(self) -> Registry:
        """The restrictions, with the services that are assumed."""
        if not self.services:
            return RESTRICTIONS
        return {**RESTRICTIONS, SERVICE: Restriction(self._build_service, Argument.SERVICE)}

    def _build_service(self, bench: Bench, place: Place) -> Ask:
        name = service_name(place.argument)
        action = self.services.get(name)
        if action is None:
            return RESTRICTIONS[SERVICE].build(bench, place)
        return answering(bench, place, name, action)

    def dns(self, real: Asks) -> Asks:
        """DNS with the assumed records before it."""
        return _Dns(self.records, real) if self.records else real


def service_name(argument: str) -> str:
    """``inet:host:port`` of that, or of ``{ inet:host:port, timeout=… }``."""
    inside = unbrace(argument)
    words = split_words(inside) if inside is not None else [argument]
    return words[0] if words else argument


def answering(bench: Bench, place: Place, name: str, action: str) -> Ask:
    """A policy service that always says `action`."""

    def ask(attempt: Attempt) -> Answer:
        return judge_value(bench, place.stage, attempt, name, action, QUERY)

    return ask


@dataclass(frozen=True, slots=True)
class _Dns:
    """A name that has an assumed record has no others."""

    records: Mapping[tuple[str, str], tuple[Resource, ...]]
    real: Asks

    def ask(self, name: str, kind: str) -> DnsAnswer | Awaitable[DnsAnswer]:
        """The records of a kind."""
        key = name.rstrip(".").lower()
        found = self.records.get((key, kind))
        if found is not None:
            return Found(found)
        return NoData() if any(other == key for other, _ in self.records) else self.real.ask(name, kind)
