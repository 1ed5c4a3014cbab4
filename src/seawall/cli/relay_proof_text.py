"""What `seawall relay-proof` prints: the answers for people, or as JSON."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass

from seawall.config.main_cf import read_text
from seawall.config.settings import Settings
from seawall.config.source import ConfigTrouble
from seawall.policy.bench import Argument, Place
from seawall.policy.proof.changes import Change
from seawall.policy.proof.doors import Door
from seawall.policy.proof.search import Finding, Guard, Hole, Kind
from seawall.policy.proof.stranger import is_private
from seawall.policy.registry import RESTRICTIONS

DECISIVE = ("smtpd_relay_restrictions", "smtpd_recipient_restrictions")
"""Lists in which a permit lets mail through; in others it only ends its own list."""
MOST_GUARDS = 6
"""Guards that people are told, those that refused most first; --json has all."""
SHORT = 16
"""Hexadecimal digits of a digest that people compare; --json has all."""


@dataclass(frozen=True, slots=True)
class Line:
    """The answer for one door: a script for each hole, and whether it relayed when it was played."""

    door: Door
    finding: Finding
    scripts: tuple[tuple[str, ...], ...] = ()
    played: tuple[bool, ...] = ()
    changes: tuple[Change, ...] = ()


def as_text(lines: list[Line]) -> str:
    """The report: the answer for each service, the whole at the end."""
    text: list[str] = []
    for line in lines:
        where = f" ({line.door.location.file}:{line.door.location.line})" if line.door.location else ""
        text.append(f"{line.door.name}{where}: {heading(line.finding)}")
        text.extend(f"  {entry}".rstrip() for entry in _details(line))
    worst = [line for kind in Kind for line in lines if line.finding.kind is kind]
    text.append(summary(worst[0].finding) if worst else "proved: there is no smtpd that listens on the network")
    return "".join(entry + "\n" for entry in text)


def heading(finding: Finding) -> str:
    """The answer in a word or two."""
    if finding.kind is not Kind.DEPENDS:
        return str(finding.kind.value)
    if not finding.holes:
        return f"not proved: {finding.note}"
    return f"relays if {', or '.join(condition(hole) for hole in finding.holes)}"


def condition(hole: Hole) -> str:
    """``TABLE says OK``."""
    return " and ".join(f"{one.part} says {one.value}" for one in hole.said)


def summary(finding: Finding) -> str:
    """The last line."""
    match finding.kind:
        case Kind.RELAYS:
            return "relays: a stranger can send mail to anybody through this server"
        case Kind.DEPENDS:
            return "not proved: it depends on what cannot be listed"
        case Kind.PROVED:
            return "proved: no stranger can relay"


def _details(line: Line) -> Iterator[str]:
    finding = line.finding
    if finding.note:
        yield finding.note
    for hole, script, played in zip(finding.holes, line.scripts, line.played, strict=True):
        if finding.kind is Kind.DEPENDS:
            yield f"if {condition(hole)}  ({'; '.join(hole.reasons)})"
        for place in (place for place in hole.permitted if place.stage.parameter in DECISIVE):
            yield f"permitted by {shown(place)}{where_is(line.door.settings, place, line.door)}"
        for key in hole.exempt:
            yield f"{key} is exempt from what might have refused it: seawall exempt remove {key}"
        yield "this session relays:" if played else "this session should relay, and did not when it was rehearsed:"
        yield from (f"    {entry}" for entry in script)
    if line.changes:
        yield "this closes it:" if finding.kind is Kind.RELAYS else "with this it does not matter what they say:"
        yield from (f"    {change.text()}    # {change.why}" for change in line.changes)
    if finding.kind is not Kind.RELAYS:
        yield from _grounds(line)


def _grounds(line: Line) -> Iterator[str]:
    """What the proof rests on."""
    finding = line.finding
    for guard in finding.guards[:MOST_GUARDS]:
        yield f"guarded by {guard_text(guard)}{where_is(line.door.settings, guard.place, line.door)}"
    for name, why in finding.harmless:
        yield f"{name}: {why}"
    for table in finding.tables:
        if table.opens:
            yield f"as long as {table.name} gives no OK to a stranger's mail (sha256 {table.digest[:SHORT]})"
        elif table.trouble:
            yield f"not read: {table.name} ({table.trouble})"
        else:
            yield f"read: {table.name}{f' (sha256 {table.digest[:SHORT]})' if table.digest else ''}"
    for parameter, name in finding.trusted:
        if is_private(name):
            yield f"as long as no router or proxy before this server shows strangers as {name} ({parameter})"
        else:
            yield f"as long as {name} in {parameter} names only what is yours"
    if finding.played:
        yield f"{finding.played} sessions played"


def guard_text(guard: Guard) -> str:
    """What refused."""
    if guard.place is None:
        return f"a check of its own at {guard.step}" if guard.step.isupper() else guard.step
    return shown(guard.place)


def shown(place: Place) -> str:
    """A restriction and its list."""
    return f"{place.stage.parameter}: {place.name} {argument_of(place)}".rstrip()


def argument_of(place: Place) -> str:
    """Its argument, empty where it takes none: the word behind it is then another's."""
    row = RESTRICTIONS.get(place.name.lower())
    return place.argument if row is not None and row.argument is not Argument.NONE else ""


def where_is(settings: Settings, place: Place | None, door: Door) -> str:
    """``(main.cf:12)``: the line that names the restriction, or where its list begins."""
    if place is None:
        return ""
    location = settings.where(place.stage.parameter)
    if location is None:
        return " (by default)"
    if place.stage.parameter in door.overrides:
        return f" ({location.file}:{location.line})"
    wanted = argument_of(place) or place.name
    try:
        text = read_text(settings.path(location.file)).split("\n")
    except ConfigTrouble:
        return f" ({location.file}:{location.line})"
    for number in range(location.line, len(text) + 1):
        entry = text[number - 1]
        if number > location.line and entry[:1] not in (" ", "\t", "#", ""):
            break
        if not entry.startswith("#") and wanted in entry:
            return f" ({location.file}:{number})"
    return f" ({location.file}:{location.line})"


def as_json(lines: list[Line]) -> str:
    """The same as one object."""
    order = list(Kind)
    worst = min((line.finding.kind for line in lines), key=order.index, default=Kind.PROVED)
    report = {"answer": worst.value, "services": [_service(line) for line in lines]}
    return json.dumps(report, indent=2) + "\n"


def _service(line: Line) -> dict[str, object]:
    finding, door = line.finding, line.door
    return {
        "service": door.name,
        "location": f"{door.location.file}:{door.location.line}" if door.location else "",
        "answer": finding.kind.value,
        "note": finding.note,
        "holes": [
            {
                "if": [{"part": one.part, "says": one.value} for one in hole.said],
                "reasons": list(hole.reasons),
                "permitted_by": [shown(place) for place in hole.permitted],
                "exempt": list(hole.exempt),
                "script": list(script),
                "relayed_in_rehearsal": played,
            }
            for hole, script, played in zip(finding.holes, line.scripts, line.played, strict=True)
        ],
        "changes": [{"parameter": c.parameter, "value": c.value, "why": c.why} for c in line.changes],
        "guards": [
            {"guard": guard_text(g), "where": where_is(door.settings, g.place, door).strip(" ()"), "sessions": g.count}
            for g in finding.guards
        ],
        "tables": [
            {"table": t.name, "sha256": t.digest, "opens_with_an_ok": t.opens, "trouble": t.trouble}
            for t in finding.tables
        ],
        "trusted": [{"parameter": parameter, "table": name} for parameter, name in finding.trusted],
        "sessions_played": finding.played,
        "permits_no_stranger": dict(finding.harmless),
    }
