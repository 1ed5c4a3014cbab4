"""What the server's own compiler says of the lists: they are built as at the start, and nothing is asked."""

from __future__ import annotations

import re
from collections.abc import Iterator

from seawall.cli.lint.rule import ERROR, Hit, Rule
from seawall.cli.lint.site import Site, View
from seawall.config.source import ConfigTrouble
from seawall.dns.answers import Answer, TryAgain
from seawall.policy.judge import Judge
from seawall.policy.world import WorldFacts
from seawall.routing.resolve import Routing
from seawall.tables.parameters import main_cf_of
from seawall.tables.registry import Tables
from seawall.tables.table import TableUnsupported

TOLD_BY_OTHERS = ("unknown smtpd restriction", "has been removed in Postfix", "needs a definition")


class NoDns:
    """Answers nothing: compiling asks no question."""

    def ask(self, name: str, kind: str) -> Answer:
        """Not now."""
        return TryAgain("nobody was asked")


def judged(view: View) -> Judge | ConfigTrouble | None:
    """The judge of a view, or why it cannot be; None where a table stands in the way, which is told of the table."""
    settings = view.settings
    try:
        tables = Tables(settings.root, settings.directory, warn=lambda text: None, main_cf=main_cf_of(settings))
        return Judge(settings, WorldFacts(settings, tables, Routing(settings, tables), NoDns()))
    except ConfigTrouble as trouble:
        return trouble
    except TableUnsupported:
        return None


def judges(site: Site) -> Iterator[tuple[View, Judge | ConfigTrouble | None]]:
    """Each view with its judge."""
    yield from site.once("judges", lambda: [(view, judged(view)) for view in site.views])


def refused(site: Site) -> Iterator[Hit]:
    """Lists for which a server does not start: above all those that guard nothing."""
    for view, found in judges(site):
        if isinstance(found, ConfigTrouble) and not any(each in found.message for each in TOLD_BY_OTHERS):
            parameter = found.message.partition(":")[0]
            yield Hit(found.message, found.location or view.where(parameter))


def mistaken(site: Site) -> Iterator[Hit]:
    """Mistakes in a list that are told to whoever gets there."""
    for view, found in judges(site):
        for problem in found.problems if isinstance(found, Judge) else ():
            if not any(each in problem for each in TOLD_BY_OTHERS):
                name = re.search(r"restriction `?\"?(\w+)", problem)
                checks = (
                    c
                    for listing in view.listings()
                    for c in listing.checks
                    if name and c.name.lower() == name.group(1).lower()
                )
                where = next((check.location for check in checks), None)
                yield Hit(problem, where)


RULES = (
    Rule("list-refused", ERROR, "The server does not start with this list.", "correct the list", refused, stops=True),
    Rule(
        "list-mistake",
        ERROR,
        "Whoever gets there hears 451 4.3.5.",
        "correct the list: whoever gets there hears 451 4.3.5",
        mistaken,
    ),
)
