"""What the journal store knows of one session, and the script that asks for the same again."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import msgspec

from seawall.config.settings import Settings
from seawall.journal.log_lines import clean
from seawall.journal.records.edge import Connected, Judged, Remarked
from seawall.journal.store import Row, read_rows
from seawall.policy.trace import Step, read_checks
from seawall.run.site import OWN

EDGE = "smtpd"
LONGEST_NUMBER = 12
"""Digits of a session's number, at most; a queue id may be of digits too, but is longer or not found as a number."""


@dataclass(frozen=True, slots=True)
class Fact:
    """A record: its line as the log has it, and what the judge thought."""

    at: float
    line: str
    reason: str = ""
    evidence: tuple[str, ...] = ()
    remark: Remarked | None = None
    checks: tuple[Step, ...] = ()


@dataclass(frozen=True, slots=True)
class Past:
    """A session that was: who the client was, and all facts in order."""

    program: str
    number: int
    client: Connected | None
    facts: tuple[Fact, ...]


def find_past(settings: Settings, wanted: str) -> Past | None:
    """The session of a queue id, or the last one of a number.  sqlite3.Error where there is no store."""
    path = Path(settings.path(settings.text("data_directory"))) / OWN / "journal.sqlite"
    if wanted.isascii() and wanted.isdigit() and len(wanted) < LONGEST_NUMBER:
        rows = read_rows(path, program=EDGE, session=int(wanted))
        if rows:
            return _past(_life(rows, rows[-1].at))
    rows = read_rows(path, queue_id=wanted)
    mine = next((row for row in rows if row.program == EDGE), None)
    if mine is not None:
        life = _life(read_rows(path, program=EDGE, session=mine.session), mine.at)
        rows = sorted({*rows, *life}, key=lambda row: row.at)
    return _past(rows) if rows else None


def _life(rows: list[Row], at: float) -> list[Row]:
    """The rows of the session that was there at that time: its number may be another's before and after."""
    first = max((n for n, row in enumerate(rows) if row.kind == "Connected" and row.at <= at), default=0)
    ends = (n for n, row in enumerate(rows) if n > first and row.kind == "Connected")
    return rows[first : next(ends, len(rows))]


def _past(rows: list[Row]) -> Past:
    facts: list[Fact] = []
    client: Connected | None = None
    number = next((row.session for row in rows if row.program == EDGE), rows[0].session)
    for row in rows:
        if row.kind == "Connected":
            client = msgspec.json.decode(row.record, type=Connected)
            facts.append(Fact(row.at, clean(client.text())))
        elif row.kind == "Remarked":
            remark = msgspec.json.decode(row.record, type=Remarked)
            checks = tuple(read_checks(remark.checks)) if remark.checks else ()
            facts.append(Fact(row.at, clean(remark.text()), remark.reason, remark.evidence, remark, checks))
        elif row.kind == "Judged":
            judged = msgspec.json.decode(row.record, type=Judged)
            facts.append(Fact(row.at, clean(judged.text()), checks=tuple(read_checks(judged.checks))))
        else:
            facts.append(Fact(row.at, f"{row.program}: {row.kind} {_plain(row)}"))
    return Past(EDGE, number, client, tuple(facts))


LEFT_OUT = frozenset({"type", "at", "number", "service", "name", "address", "port"})


def _plain(row: Row) -> str:
    """Another record's fields, as they are."""
    fields: dict[str, object] = msgspec.json.decode(row.record)
    return clean(", ".join(f"{name}={value}" for name, value in fields.items() if name not in LEFT_OUT and value))


def script_of(past: Past) -> list[str]:
    """Lines that ask again what was refused or remarked."""
    lines: list[str] = []
    if past.client is not None:
        name = past.client.name
        lines.append(f"client {name} {past.client.address} {5 if name == 'unknown' else 2}")
        if name == "unknown" and past.client.reverse_name not in ("", "unknown"):
            lines.append(f"assume reverse {past.client.reverse_name}")
    helo = sender = None
    for remark in (fact.remark for fact in past.facts if fact.remark is not None):
        if remark.helo is not None and remark.helo != helo:
            helo = remark.helo
            lines.append(f"helo {helo}")
        if remark.sender is not None and remark.sender != sender:
            sender = remark.sender
            lines.append(f"mail <{sender}>")
        if remark.recipient is not None:
            lines.append(f"rcpt <{remark.recipient}>")
    return list(dict.fromkeys(lines))
