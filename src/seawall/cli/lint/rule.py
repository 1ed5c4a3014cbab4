"""What a rule is, and what it finds."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from seawall.cli.lint.site import Site
from seawall.config.source import Location

ERROR, WARNING, ADVICE = "error", "warning", "advice"
LEVELS = (ERROR, WARNING, ADVICE)
"""error: a server would not start, or mail is refused, lost or relayed now.  warning: it will go wrong, or does so in
silence.  advice: it works, and there is something better."""


@dataclass(frozen=True, slots=True)
class Hit:
    """One place where a rule applies: the fact, where it stands (None: nowhere, it is a default), and what to write
    instead where that depends on the place."""

    what: str
    location: Location | None
    instead: str = ""


Find = Callable[[Site], Iterator[Hit]]


@dataclass(frozen=True, slots=True)
class Rule:
    """A row of the table.  `slug` never changes once it is released; `stops`: a server would not start."""

    slug: str
    level: str
    why: str
    instead: str
    find: Find
    stops: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """A hit with all that its rule says."""

    slug: str
    level: str
    what: str
    why: str
    instead: str
    location: Location | None
    stops: bool
