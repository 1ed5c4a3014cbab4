"""What the journal store knows of exemptions and of those who may need one.  Read only."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import msgspec

from seawall.config.settings import Settings
from seawall.journal.store import Row, each_row
from seawall.policy.attempt import UNKNOWN
from seawall.policy.exempt_honest import Sighting, What
from seawall.policy.reasons import Reason
from seawall.run.site import OWN

DOOR = frozenset({"RecipientRefused", "Spared", "SpokeEarly", "BrokeRule"})
KINDS = DOOR | {"Remarked", "Opened"}


class _Told(msgspec.Struct):
    """The fields of those records that matter here, as far as one has them."""

    name: str = ""
    address: str = ""
    what: str = ""
    message: str = ""
    reply: str = ""
    said: str = ""
    check: str = ""
    key: str = ""
    sender: str | None = None
    recipient: str | None = None
    helo: str | None = None
    reason: str = ""
    evidence: tuple[str, ...] = ()


_DECODER = msgspec.json.Decoder(_Told)


@dataclass(slots=True)
class Uses:
    """How often an exemption counted, and when last (seconds since the epoch)."""

    number: int = 0
    last: float = 0.0


def journal_path(settings: Settings) -> Path:
    """The store of a configuration's server."""
    return Path(settings.path(settings.text("data_directory"))) / OWN / "journal.sqlite"


def sightings(settings: Settings, since: float = 0.0) -> Iterator[Sighting]:
    """What the journal has of clients.  sqlite3.Error where there is no store of our format."""
    for row in each_row(journal_path(settings), KINDS, since):
        found = sighting_of(row)
        if found is not None:
            yield found


def sighting_of(row: Row) -> Sighting | None:
    """One record as a fact about a client; None for one that says nothing here."""
    told = _DECODER.decode(row.record)
    name = told.name if told.name != UNKNOWN else ""
    evidence = told.evidence
    match row.kind, told.what, told.reason:
        case "Opened", _, _:
            what = What.ACCEPTED
        case "Spared", _, _:
            what, evidence = What.SPARED, (told.key, told.check, told.reason)
        case "Remarked", "exempt", Reason.EXEMPT:
            what = What.SPARED
        case ("Remarked", "reject", _) | ("RecipientRefused", _, _):
            what = What.REFUSED
        case (("SpokeEarly" | "BrokeRule"), _, _):
            what = What.MISBEHAVED
        case _:
            return None
    return Sighting(
        what=what,
        at=row.at,
        address=told.address,
        name=name,
        sender=told.sender,
        recipient=told.recipient,
        helo=told.helo,
        said=told.message or told.reply or told.said,
        reason=told.reason,
        evidence=evidence,
    )


def read_uses(settings: Settings) -> dict[str, Uses] | None:
    """How often each key counted; None where there is no journal to ask."""
    found: dict[str, Uses] = {}
    try:
        for sighting in sightings(settings):
            if sighting.what is What.SPARED and sighting.evidence:
                uses = found.setdefault(sighting.evidence[0], Uses())
                uses.number += 1
                uses.last = max(uses.last, sighting.at)
    except (sqlite3.Error, OSError):
        return None
    return found
