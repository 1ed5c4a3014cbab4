"""What is known of the DNS lists that configurations name: which are gone, which answer with errors that look like hits.

The knowledge is data, ``data/dnsbl_status.tsv``, a row a zone with its date and its source; nothing else is claimed.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from importlib import resources

DEAD, LISTING, MERGED, REGISTER, PAID, SCORES, CODES, ALIVE = (
    "dead",
    "listing",
    "merged",
    "register",
    "paid",
    "scores",
    "codes",
    "alive",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class ListStatus:
    """One zone.

    `kind` says what it lists: addresses, domains or both, with ``good`` before it for a list of the good.  `since` is a
    date as exact as it is known.  `errors` begins the answers that are no hits; `within` is a zone that holds all of it.
    """

    zone: str
    kind: str
    status: str
    since: str
    errors: str
    within: str
    note: str
    source: str

    @property
    def lists_the_good(self) -> bool:
        """True for a list that permits."""
        return self.kind.startswith("good ")

    @property
    def holds(self) -> str:
        """addresses, domains or both."""
        return self.kind.removeprefix("good ")


@cache
def known_lists() -> dict[str, ListStatus]:
    """All rows by zone."""
    text = resources.files("seawall.policy").joinpath("data", "dnsbl_status.tsv").read_text(encoding="utf-8")
    lines = [line.split("\t") for line in text.splitlines() if line and not line.startswith("#")]
    head, rows = lines[0], lines[1:]
    return {row[0]: ListStatus(**dict(zip(head, row, strict=True))) for row in rows}


def status_of(argument: str) -> ListStatus | None:
    """What is known of ``domain`` or ``domain=d.d.d.d``: the longest zone that it is, or lies in."""
    name = argument.partition("=")[0].lower().rstrip(".")
    lists = known_lists()
    while name:
        if name in lists:
            return lists[name]
        name = name.partition(".")[2]
    return None
