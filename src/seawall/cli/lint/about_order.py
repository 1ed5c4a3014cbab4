"""A cheaper order of a list that means the same."""

from __future__ import annotations

from collections.abc import Iterator

from seawall.cli.lint.about_lists import line_of
from seawall.cli.lint.about_tables import TEXTS, Used, entries_of
from seawall.cli.lint.checks import Check, Listing
from seawall.cli.lint.rule import ADVICE, Hit, Rule
from seawall.cli.lint.site import Site
from seawall.cli.lint.table_names import named_tables
from seawall.policy.order import WORDS, Cost, better_order

REFUSALS = frozenset({"REJECT", "DEFER", "DUNNO", "INFO", "WARN"})
"""Results of an access table after which the list goes on or the client is refused, and nothing else happens."""


def is_fence(site: Site, check: Check) -> bool:
    """True for a check that nothing may be moved across: it may permit, end the list, or change the message."""
    if check.is_table and permits_nobody(site, check):
        return False
    trait = check.trait
    return trait.permits or trait.ends or not check.is_known or not trait.refuses or check.is_class


def permits_nobody(site: Site, check: Check) -> bool:
    """True for an access table that can be listed, and does nothing but refuse."""
    tables = [Used(kind, file, check.present, check.location) for kind, file in named_tables(check.argument)]
    if not tables or any(table.kind not in TEXTS for table in tables):
        return False
    results = [entry.value.split() for table in tables for entry in entries_of(site, table)]
    return bool(results) and all(
        words and (words[0].upper() in REFUSALS or (len(words) > 1 and words[0][:1] in "45" and words[0].isdigit()))
        for words in results
    )


def weight(check: Check) -> Cost:
    """What counts for the order: whatever stays on the machine is equally cheap."""
    return max(check.cost, Cost.TABLE)


def dear_first(site: Site) -> Iterator[Hit]:
    """Lists in which a dear check stands before a cheap one that could change places with it."""
    for view in site.views:
        for listing in view.listings():
            yield from in_list(site, listing)


def in_list(site: Site, listing: Listing) -> Iterator[Hit]:
    """The first cheap check of a list that could stand before a dear one."""
    better = better_order(listing.checks, weight, lambda check: is_fence(site, check))
    places = {id(check): at for at, check in enumerate(better)}
    for at, check in enumerate(listing.checks):
        behind = (
            each
            for each in listing.checks[:at]
            if weight(each) > weight(check) and places[id(each)] > places[id(check)]
        )
        dear = next(behind, None)
        if dear is not None:
            what = (
                f"{listing.parameter}: {dear.shown} ({line_of(dear.location)}) {WORDS[dear.cost]} "
                f"before {check.shown}, which {WORDS[check.cost]}"
            )
            yield Hit(what, check.location, f"in this order: {', '.join(warned(each) for each in better)}")
            return


def remote_table_first(site: Site) -> Iterator[Hit]:
    """Databases asked before local tables; only the site knows whether they may change places."""
    for view in site.views:
        for listing in view.listings():
            for at, check in enumerate(listing.checks):
                rest = listing.checks[at + 1 :]
                local = next((each for each in rest if each.is_table and each.cost is Cost.TABLE), None)
                if check.is_table and check.cost is Cost.REMOTE_TABLE and local is not None:
                    what = (
                        f"{listing.parameter}: {check.shown} asks a database "
                        f"before {local.shown} ({line_of(local.location)}) reads a local table"
                    )
                    yield Hit(what, check.location)
                    break


def warned(check: Check) -> str:
    """As a hand would write it."""
    return f"warn_if_reject {check.shown}" if check.warns else check.shown


RULES = (
    Rule(
        "dear-before-cheap",
        ADVICE,
        "Each client that a cheap check refuses needs no dear one: what the server knows and local tables first, then "
        "databases, then the DNS, then services.",
        "the cheap before the dear",
        dear_first,
    ),
    Rule(
        "remote-table-first",
        ADVICE,
        "A local table answers in a millionth of the time, and while the database is away everybody hears 451.",
        "the local table first, where it permits and refuses nobody whom the database should judge",
        remote_table_first,
    ),
)
