"""All rules, in the order in which they are told, and what they find in one configuration."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from seawall.cli.lint import (
    about_dns_lists,
    about_exempt,
    about_files,
    about_limits,
    about_lists,
    about_meaning,
    about_names,
    about_order,
    about_policy,
    about_replies,
    about_services,
    about_site,
    about_table_files,
    about_tables,
    about_tls,
    about_upstream,
)
from seawall.cli.lint.rule import LEVELS, Finding, Rule
from seawall.cli.lint.site import Site
from seawall.config.source import ConfigTrouble

CHAPTERS: tuple[tuple[str, tuple[Rule, ...]], ...] = (
    ("Names and values", about_names.RULES),
    ("master.cf", about_services.RULES),
    ("Restriction lists", (*about_policy.RULES, *about_lists.RULES, *about_meaning.RULES, *about_order.RULES)),
    ("DNS lists", about_dns_lists.RULES),
    ("Exemptions", about_exempt.RULES),
    ("Proxies", about_upstream.RULES),
    ("Reply codes", about_replies.RULES),
    ("Limits and times", about_limits.RULES),
    ("TLS and logins", about_tls.RULES),
    ("The site", about_site.RULES),
    ("Lookup tables", (*about_table_files.RULES, *about_tables.RULES)),
    ("Files and certificates", about_files.RULES),
)
"""The table of all rules, by what they are about."""

RULES: tuple[Rule, ...] = tuple(rule for _, rules in CHAPTERS for rule in rules)


def examine(site: Site, *, only: Iterable[str] = (), skip: Iterable[str] = ()) -> tuple[Finding, ...]:
    """What all rules find, gravest first; each fact once, however many servers share it."""
    wanted, unwanted = frozenset(only), frozenset(skip)
    if about_upstream.is_door_alone(site) and not wanted:
        unwanted |= about_upstream.NOT_OF_A_DOOR
    rules = [rule for rule in RULES if (not wanted or rule.slug in wanted) and rule.slug not in unwanted]
    found = dict.fromkeys(finding for rule in rules for finding in findings_of(rule, site))
    order = {rule.slug: at for at, rule in enumerate(RULES)}
    return tuple(sorted(found, key=lambda each: (LEVELS.index(each.level), order[each.slug])))


def findings_of(rule: Rule, site: Site) -> Iterator[Finding]:
    """What one rule finds.  A value that cannot be read at all is told by its own rule; here it ends this one."""
    try:
        for hit in rule.find(site):
            yield Finding(
                slug=rule.slug,
                level=rule.level,
                what=hit.what,
                why=rule.why,
                instead=hit.instead or rule.instead,
                location=hit.location,
                stops=rule.stops,
            )
    except ConfigTrouble:
        return
