"""What is wrong with the restriction lists: they are compiled as the server would compile them, and nothing is asked."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence

from seawall.config.master_cf import Service
from seawall.config.settings import Settings
from seawall.config.source import ConfigTrouble, Location
from seawall.dns.answers import Answer, TryAgain
from seawall.policy.bench import Unserved
from seawall.policy.judge import Judge
from seawall.policy.world import WorldFacts
from seawall.routing.resolve import Routing
from seawall.tables.registry import Tables
from seawall.tables.table import TableUnsupported

Remark = tuple[str, str, str, Location | None]
"""(level, what, remedy, place)"""


class NoDns:
    """Answers nothing: compiling asks no question."""

    def ask(self, name: str, kind: str) -> Answer:
        """Not now."""
        return TryAgain("nobody was asked")


def policy_remarks(settings: Settings, services: Sequence[Service]) -> Iterator[Remark]:
    """What the lists of each SMTP service would say at the start; the same remark once."""
    seen: set[str] = set()
    for service in services:
        if os.path.basename(service.command) != "smtpd":
            continue
        for remark in judged(service.settings(settings)):
            if remark[1] not in seen:
                seen.add(remark[1])
                yield remark


def judged(settings: Settings) -> Iterator[Remark]:
    """What one view of the configuration says."""
    try:
        tables = Tables(settings.root, settings.directory, warn=lambda text: None)
        judge = Judge(settings, WorldFacts(settings, tables, Routing(settings, tables), NoDns()))
    except ConfigTrouble as trouble:
        yield "error", trouble.message, "correct the list", trouble.location
    except Unserved as trouble:
        yield "error", str(trouble), "", settings.where(str(trouble).partition(":")[0])
    except TableUnsupported:
        return  # said of the parameter that names it
    else:
        for problem in judge.problems:
            yield "warning", problem, "correct the list: whoever gets there hears 451 4.3.5", None
