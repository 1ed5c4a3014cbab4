"""Lookup tables: files that are missing or stale, keys that never match, results that mean nothing."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass

from seawall.cli.lint.rule import ERROR, WARNING, Hit, Rule
from seawall.cli.lint.site import Site
from seawall.cli.lint.table_names import is_in_use, named_tables
from seawall.config.parameter import split_words
from seawall.config.source import Location
from seawall.mail.network import Network, parse_network
from seawall.policy.access import ACTIONS
from seawall.policy.registry import RESTRICTIONS
from seawall.tables.source import parse_map

INDEXED = {"hash": ".db", "btree": ".db", "cdb": ".cdb", "lmdb": ".lmdb", "dbm": ".dir", "sdbm": ".dir"}
TEXTS = frozenset({*INDEXED, "texthash"})
PATTERNS = frozenset({"regexp", "pcre"})
BIGGEST = 16 << 20
"""Bytes of a table's source that are read for this; ours."""
MOST_HITS = 20
"""Remarks of one rule on one table; more would hide the rest.  Ours."""
CATCH_ALL = frozenset({"/^/", "/$/", "/./", "/.*/", "/^.*$/", "/^.*/", "/.*$/", "/.+/", "/^.+$/", "//"})
NAMES_ONLY = ("helo", "sender", "recipient", "etrn", "sasl", "ccert")


@dataclass(frozen=True, slots=True)
class Entry:
    """One line of a table's source."""

    key: str
    value: str
    location: Location


@dataclass(frozen=True, slots=True)
class Used:
    """A table in use: its type, its file, how it is used (``check_client_access``, or a parameter), and where."""

    kind: str
    file: str
    use: str
    location: Location | None

    @property
    def spec(self) -> str:
        """``type:file``."""
        return f"{self.kind}:{self.file}"


def used(site: Site) -> tuple[Used, ...]:
    """Every table of main.cf and of the services, each use once."""
    return site.once("used", lambda: find_used(site))


def find_used(site: Site) -> tuple[Used, ...]:
    """The same, looked for."""
    found: dict[tuple[str, str], Used] = {}
    for view in site.views:
        for listing in view.listings():
            for check in listing.checks:
                if check.is_table:
                    for kind, file in named_tables(check.argument):
                        found.setdefault(
                            (f"{kind}:{file}", check.present), Used(kind, file, check.present, check.location)
                        )
    access = {spec for spec, _ in found}
    unset = ("alias_maps",) if is_in_use(site.settings, "alias_maps") else ()
    for name in (*site.settings.values, *unset):
        for word in site.placed(name):
            for kind, file in named_tables(word.text):
                if f"{kind}:{file}" not in access or not name.endswith("_restrictions"):
                    found.setdefault((f"{kind}:{file}", name), Used(kind, file, name, word.location))
    return tuple(found.values())


def each_file(site: Site) -> Iterator[Used]:
    """Each table once, however often it is used."""
    seen: set[str] = set()
    for table in used(site):
        if table.file.startswith("/") and table.spec not in seen:
            seen.add(table.spec)
            yield table


def source_of(site: Site, table: Used) -> str:
    """The text of a table's source; empty where there is none, or it is too big."""
    return site.once(f"source {table.file}", lambda: read_source(site, table))


def read_source(site: Site, table: Used) -> str:
    """The same, read."""
    try:
        path = site.settings.path(table.file)
        if not os.path.isfile(path) or os.path.getsize(path) > BIGGEST:
            return ""
        with open(path, encoding="utf-8", errors="surrogateescape", newline="\n") as file:
            return file.read()
    except (OSError, ValueError):
        return ""


def entries_of(site: Site, table: Used) -> Iterator[Entry]:
    """The ``key value`` lines of a table of strings."""
    if table.kind in TEXTS and table.use not in ("alias_maps", "alias_database"):
        for line, key, value in parse_map(source_of(site, table), table.file, lambda text: None, False):
            yield Entry(key, value, Location(table.file, line))


def rules_of(site: Site, table: Used) -> Iterator[Entry]:
    """The rules of a cidr or pattern table: what stands before the first blank, and the rest."""
    for number, line in enumerate(source_of(site, table).split("\n"), 1):
        if line.strip() and not line.startswith((" ", "\t", "#")):
            words = line.split(None, 1)
            yield Entry(words[0], words[1].strip() if len(words) > 1 else "", Location(table.file, number))


def few(hits: Iterator[Hit]) -> Iterator[Hit]:
    """The first hits; the last one says that there are more."""
    for count, hit in enumerate(hits):
        if count == MOST_HITS:
            yield Hit(f"and more of the same in {hit.location.file if hit.location else 'this table'}", hit.location)
            return
        yield hit


def duplicates(site: Site) -> Iterator[Hit]:
    """Keys that stand twice: postmap keeps the first and warns."""
    for table in each_file(site):
        yield from few(doubled(site, table))


def doubled(site: Site, table: Used) -> Iterator[Hit]:
    """The same of one table."""
    seen: dict[str, Entry] = {}
    for entry in entries_of(site, table):
        earlier = seen.setdefault(entry.key.lower(), entry)
        if earlier is not entry:
            differs = "" if earlier.value == entry.value else ", with another result"
            yield Hit(
                f"{table.spec}: {entry.key} stands in line {earlier.location.line} already{differs}: the first counts",
                entry.location,
            )


def dead_keys(site: Site) -> Iterator[Hit]:
    """Keys of access tables that no lookup ever asks for."""
    for table in used(site):
        if table.use.startswith("check_") and table.kind in TEXTS:
            yield from few(never_asked(site, table))


def never_asked(site: Site, table: Used) -> Iterator[Hit]:
    """The same of one table.  access(5)"""
    parents = "smtpd_access_maps" in site.main.words("parent_domain_matches_subdomains")
    what = table.use.removeprefix("check_").removesuffix("_access")
    by_address = what.partition("_")[0] in ("sender", "recipient") and not what.endswith(("_a", "_mx", "_ns"))
    for entry in entries_of(site, table):
        key, why, instead = entry.key, "", ""
        if "*" in key and not by_address:
            why, instead = (
                "there are no wildcards in such tables",
                key.replace("*.", "." if not parents else "").replace("*", ""),
            )
        elif re.fullmatch(r"[0-9a-fA-F.:\[\]]+/\d{1,3}", key):
            why, instead = "networks are not understood in such tables", "a cidr: table"
        elif re.fullmatch(r"(?:\d{1,3}\.){1,3}", key):
            why, instead = "a network of whole bytes is written without the last dot", key.rstrip(".")
        elif by_address and key.startswith("@"):
            why, instead = "a domain is written without @ here", key[1:]
        elif key.startswith(".") and parents and len(key) > 1:
            why, instead = (
                "smtpd_access_maps stands in parent_domain_matches_subdomains, so the name alone means its subdomains too",
                key[1:],
            )
        elif re.fullmatch(r"\[[0-9.]+\]", key) and what != "helo" and not by_address:
            why, instead = "addresses are written without brackets", key.strip("[]")
        if why:
            yield Hit(f"{table.spec}: {key} never matches: {why}", entry.location, instead)


def results(site: Site) -> Iterator[Hit]:
    """Results of access tables that are no action, no restriction and no class."""
    classes = {name for view in site.views for name in view.words("smtpd_restriction_classes")}
    for table in used(site):
        if table.use.startswith("check_"):
            entries = entries_of(site, table) if table.kind in TEXTS else plain_results(site, table)
            yield from few(meaningless(table, entries, classes))


def plain_results(site: Site, table: Used) -> Iterator[Entry]:
    """The rules of a cidr or pattern table that give a result."""
    if table.kind == "cidr" or table.kind in PATTERNS:
        for rule in rules_of(site, table):
            if rule.key.lower() not in ("if", "endif") and (table.kind == "cidr" or " " not in rule.key):
                value = rule.value
                if table.kind in PATTERNS and not re.search(r".[imsxAEUX]*\Z", rule.key):
                    continue
                yield Entry(rule.key, value, rule.location)


def meaningless(table: Used, entries: Iterator[Entry], classes: set[str]) -> Iterator[Hit]:
    """The same of one table."""
    for entry in entries:
        word = entry.value.split(None, 1)[0] if entry.value.split() else ""
        if not word or word.upper() in ACTIONS or word.isdigit() or re.fullmatch(r"[45]\d\d", word) or "$" in word:
            continue
        if any(each in entry.value for each in ("/", "!")) and table.kind in PATTERNS:
            continue
        first = next(iter(split_words(entry.value)), "")
        if ":" in entry.value and first in RESTRICTIONS:
            yield Hit(
                f"{table.spec}: {entry.key}: a table inside a table's result: 451 4.3.5",
                entry.location,
                "a restriction class, by its name",
            )
        elif first not in classes and first.lower() not in RESTRICTIONS and first.lower() != "warn_if_reject":
            yield Hit(
                f"{table.spec}: {entry.key}: {word} is no action, no restriction and no class: 451 4.3.5",
                entry.location,
                "an action of access(5)",
            )


def forbidden_ok(site: Site) -> Iterator[Hit]:
    """OK where only a refusal may be."""
    for table in used(site):
        if re.fullmatch(r"check_\w+_(?:a|mx|ns)_access", table.use):
            entries = entries_of(site, table) if table.kind in TEXTS else plain_results(site, table)
            yield from few(
                Hit(f"{table.spec}: {entry.key}: {table.use} may not permit: 451 4.3.5", entry.location, "DUNNO")
                for entry in entries
                if entry.value.split()
                and (entry.value.split()[0].upper() in ("OK", "RELAY") or entry.value.strip().isdigit())
            )


def hidden_networks(site: Site) -> Iterator[Hit]:
    """Rules of cidr tables that an earlier one answers."""
    for table in each_file(site):
        if table.kind == "cidr":
            yield from few(covered(site, table))


def covered(site: Site, table: Used) -> Iterator[Hit]:
    """The same of one table; what stands inside if … endif is left alone."""
    before: dict[tuple[int, int], dict[int, Entry]] = {}
    depth = 0
    for rule in rules_of(site, table):
        low = rule.key.lower()
        depth += {"if": 1, "endif": -1}.get(low, 0)
        network = parse_network(rule.key) if depth == 0 and low != "endif" else None
        if network is None:
            continue
        wider = wider_rule(before, network)
        if wider is not None:
            yield Hit(
                f"{table.spec}: {rule.key} is never reached: {wider.key} in line {wider.location.line} holds all of it",
                rule.location,
            )
        key = (network.width, network.bits)
        before.setdefault(key, {}).setdefault(network.value >> (network.width - network.bits), rule)


def wider_rule(before: dict[tuple[int, int], dict[int, Entry]], network: Network) -> Entry | None:
    """The earlier rule that holds a network."""
    for (width, bits), known in before.items():
        if width == network.width and bits <= network.bits:
            found = known.get(network.value >> (width - bits))
            if found is not None:
                return found
    return None


def host_bits(site: Site) -> Iterator[Hit]:
    """Networks with bits beyond their prefix: the rule is passed over."""
    for table in each_file(site):
        if table.kind == "cidr":
            for rule in rules_of(site, table):
                body, slash, prefix = rule.key.lstrip("!").partition("/")
                if (
                    slash
                    and prefix.isdigit()
                    and parse_network(rule.key.lstrip("!")) is None
                    and parse_network(body) is not None
                ):
                    yield Hit(
                        f"{table.spec}: {rule.key} has bits beyond its prefix: the rule is passed over", rule.location
                    )


def hidden_patterns(site: Site) -> Iterator[Hit]:
    """Rules behind one that matches everything, and rules that stand twice."""
    for table in each_file(site):
        if table.kind in PATTERNS:
            yield from few(behind_catch_all(site, table))


def behind_catch_all(site: Site, table: Used) -> Iterator[Hit]:
    """The same of one table."""
    seen: dict[str, Entry] = {}
    catch: Entry | None = None
    depth = 0
    for rule in rules_of(site, table):
        low = rule.key.lower()
        depth += {"if": 1, "endif": -1}.get(low, 0)
        if low in ("if", "endif") or depth:
            continue
        if catch is not None:
            yield Hit(
                f"{table.spec}: {rule.key} is never reached: {catch.key} in line {catch.location.line} matches everything",
                rule.location,
            )
            continue
        earlier = seen.setdefault(rule.key, rule)
        if earlier is not rule and rule.value:
            yield Hit(
                f"{table.spec}: {rule.key} stands in line {earlier.location.line} already, and the first answers",
                rule.location,
            )
        if rule.key in CATCH_ALL and rule.value and table.use not in ("header_checks", "body_checks"):
            catch = rule


def case_toggled(site: Site) -> Iterator[Hit]:
    """/i, which takes the default away: patterns ignore case unless it stands there."""
    for table in each_file(site):
        if table.kind in PATTERNS:
            yield from few(
                Hit(
                    f"{table.spec}: {rule.key}: the flag i makes capitals count: without it they do not",
                    rule.location,
                    rule.key[: rule.key.rindex("/") + 1],
                )
                for rule in rules_of(site, table)
                if re.fullmatch(r"!?/.*/[a-zA-Z]*i[a-zA-Z]*", rule.key)
            )


def wrong_subject(site: Site) -> Iterator[Hit]:
    """cidr tables for what is no address."""
    for table in used(site):
        subject = table.use.removeprefix("check_").partition("_")[0] if table.use.startswith("check_") else ""
        plain = not table.use.endswith(("_a_access", "_mx_access", "_ns_access"))
        if table.kind == "cidr" and subject in NAMES_ONLY and plain:
            yield Hit(
                f"{table.use} {table.spec}: a cidr: table knows addresses, and is asked about names: it never matches",
                table.location,
            )


RULES = (
    Rule("table-duplicate-key", WARNING, "Only the first counts.", "take one out", duplicates),
    Rule(
        "table-key-never-matches",
        WARNING,
        "The server never asks for a key of this form.",
        "the form that is asked for",
        dead_keys,
    ),
    Rule("table-result-unknown", ERROR, "Whoever matches hears 451 4.3.5.", "an action", results),
    Rule(
        "table-ok-forbidden",
        ERROR,
        "The DNS of a stranger decides what matches: a permit there would let him in, so it answers 451 4.3.5.",
        "DUNNO",
        forbidden_ok,
    ),
    Rule(
        "table-rule-hidden",
        WARNING,
        "The first rule that matches answers.",
        "put the narrow one first, or take it out",
        hidden_networks,
    ),
    Rule(
        "table-pattern-hidden",
        WARNING,
        "The first rule that matches answers.",
        "put it first, or take it out",
        hidden_patterns,
    ),
    Rule("table-host-bits", WARNING, "A network begins at its first address.", "clear the bits", host_bits),
    Rule("table-case-toggled", WARNING, "The flag i turns over what is on by default.", "without i", case_toggled),
    Rule("table-wrong-subject", WARNING, "A table answers what it is made for.", "hash: or regexp:", wrong_subject),
)
