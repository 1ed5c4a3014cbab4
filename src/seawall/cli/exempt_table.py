"""`seawall exempt add`, `list` and `remove`: the file of exemptions."""

from __future__ import annotations

import argparse
import getpass
import json
import os
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace

from seawall.cli import exits
from seawall.cli.exempt_edit import Draft, changed, locked, read_entries
from seawall.cli.exempt_journal import Uses, read_uses
from seawall.cli.relay_proof import prove
from seawall.config.settings import Settings
from seawall.config.source import ConfigTrouble
from seawall.policy.exempt import (
    ALL,
    DOOR,
    BadExemption,
    Entry,
    Key,
    day_of,
    make_entry,
    parse_checks,
    parse_key,
)
from seawall.policy.exempt_file import PARAMETER, path_of
from seawall.policy.proof.search import Kind
from seawall.tables.table import TableUnsupported


class Refused(Exception):
    """It is not done; the text says why and what to do, `code` is how the command ends."""

    def __init__(self, text: str, code: int) -> None:
        super().__init__(text)
        self.code = code


@dataclass(frozen=True, slots=True)
class Request:
    """What is asked for: a configuration, the options, and the time (seconds since the epoch)."""

    settings: Settings
    options: argparse.Namespace
    now: float

    @property
    def shown(self) -> str:
        """The file as the configuration names it.  Raises Refused where it names none."""
        path = path_of(self.settings)
        if not path:
            raise Refused(f"{PARAMETER} is empty: nobody can be exempt; name a file there", exits.CONFIG)
        return path

    @property
    def path(self) -> str:
        """The file to be changed.  Raises Refused."""
        path = self.settings.path(self.shown)
        if os.path.islink(path):
            raise Refused(f"{self.shown} is a symbolic link: name the file itself in {PARAMETER}", exits.CONFIG)
        return path

    def entries(self) -> tuple[str, tuple[Entry, ...]]:
        """(text, entries).  Raises Refused for a file that does not read."""
        try:
            return read_entries(self.settings.path(self.shown), self.shown)
        except ConfigTrouble as trouble:
            raise Refused(
                f"{trouble}; correct the line first, the server goes by the copy from before", exits.DATAERR
            ) from None

    def say(self, told: dict[str, object], *lines: str) -> None:
        """The answer, as JSON or for people."""
        text = json.dumps(told) if self.options.json else "\n".join(lines)
        sys.stdout.write(text + "\n")


def add(request: Request) -> int:
    """One entry more, which takes the place of those for the same key that it includes."""
    options = request.options
    key, checks = parse_key(options.key), parse_checks(options.checks)
    by = options.by or whoever()
    entry = make_entry(key, checks, options.days, by, options.reason, day_of(request.now), force=options.force)
    path = request.path
    with locked(path):
        text, entries = request.entries()
        gone = [old for old in entries if old.key == key and includes(checks, old.checks)]
        replaced: dict[int, Entry | None] = {old.line: None for old in gone}
        with Draft(path, changed(text, replaced, (entry,))) as draft:
            prove_draft(request, draft)
            draft.commit()
    lines = [f"added to {request.shown}: {entry.text()}", *(f"in place of: {old.text()}" for old in gone)]
    if key.network is None and checks == (ALL,):
        lines.append(f"note: the door ({', '.join(DOOR)}) does not know names; for its tests name the network")
    request.say({"added": as_dict(entry), "replaced": [as_dict(old) for old in gone], "file": request.shown}, *lines)
    return exits.OK


def includes(checks: tuple[str, ...], others: tuple[str, ...]) -> bool:
    """Is everything in `others` exempt by `checks` as well?"""
    return checks == (ALL,) or all(other in checks or other.partition("=")[0] in checks for other in others)


def whoever() -> str:
    """Who types this."""
    try:
        return os.environ.get("SUDO_USER") or getpass.getuser()
    except (KeyError, OSError):
        return str(os.getuid())


def prove_draft(request: Request, draft: Draft) -> None:
    """Would the new file open a relay?  Raises Refused.  An exemption only says DUNNO, but a list may go on to a permit."""
    after = worst(request.settings.with_overrides({PARAMETER: f"{request.shown}.new"}))
    if after is None or after is Kind.PROVED:
        return
    before = worst(request.settings)
    order = list(Kind)
    if before is None or order.index(after) >= order.index(before):
        return
    if after is Kind.RELAYS or not request.options.force:
        raise Refused(
            "with this exemption the configuration would no longer be proved against relaying: a list goes on to a permit "
            "where the check stood in the way; put reject_unauth_destination before that permit (seawall relay-proof)",
            exits.CONFIG,
        )


def worst(settings: Settings) -> Kind | None:
    """The answer of the proof; None where the configuration cannot be proved at all, which `seawall check` tells."""
    try:
        lines = prove(settings)
    except (ConfigTrouble, TableUnsupported):
        return None
    return min((line.finding.kind for line in lines), key=list(Kind).index, default=Kind.PROVED)


def remove(request: Request) -> int:
    """Entries less, or checks of them."""
    options = request.options
    if options.expired == (options.key is not None):
        raise BadExemption("say whose exemption is to end, or --expired")
    key = Key("") if options.expired else parse_key(options.key)
    checks = parse_checks(options.checks) if options.checks else ()
    path = request.path
    with locked(path):
        text, entries = request.entries()
        if options.expired:
            gone: dict[int, Entry | None] = {each.line: None for each in entries if each.is_expired(request.now)}
        else:
            gone = dict(_less([each for each in entries if each.key == key], checks))
        if not gone and not options.expired:
            raise Refused(f"{options.key} has no such exemption; seawall exempt list shows all", exits.DATAERR)
        if gone:
            with Draft(path, changed(text, gone)) as draft:
                draft.commit()
    touched = [each for each in entries if each.line in gone]
    lines = [f"removed: {each.text()}" if gone[each.line] is None else f"less: {each.text()}" for each in touched] or [
        "nothing has expired"
    ]
    request.say({"removed": [as_dict(each) for each in touched], "file": request.shown}, *lines)
    return exits.OK


def _less(entries: list[Entry], checks: tuple[str, ...]) -> Iterator[tuple[int, Entry | None]]:
    """Lines that go, or go on with fewer checks.  Raises BadExemption for a part of ``all``."""
    for entry in entries:
        if not checks or checks == (ALL,):
            yield entry.line, None
            continue
        if entry.checks == (ALL,):
            raise BadExemption(f"{entry.key.text} is exempt from all checks: remove it, and add those that are to stay")
        rest = tuple(each for each in entry.checks if each not in checks)
        if rest != entry.checks:
            yield entry.line, replace(entry, checks=rest) if rest else None


def show(request: Request) -> int:
    """All entries, those that count first."""
    _, entries = request.entries()
    uses = read_uses(request.settings)
    told = [as_dict(each) | state(each, uses, request.now) for each in entries]
    lines = [
        line
        for each in sorted(entries, key=lambda each: (each.is_expired(request.now), each.line))
        for line in in_words(each, uses, request.now)
    ] or [f"nobody is exempt ({request.shown})"]
    if entries and uses is None:
        lines.append("how often they counted is not known: there is no journal to read")
    request.say({"file": request.shown, "entries": told}, *lines)
    return exits.OK


def as_dict(entry: Entry) -> dict[str, object]:
    """An entry for JSON."""
    return {
        "key": entry.key.text,
        "checks": list(entry.checks),
        "added": str(entry.added),
        "until": str(entry.until),
        "by": entry.by,
        "reason": entry.reason,
    }


def state(entry: Entry, uses: dict[str, Uses] | None, now: float) -> dict[str, object]:
    """Whether it counts, and what the journal has of it."""
    found = None if uses is None else uses.get(entry.key.text, Uses())
    return {
        "expired": entry.is_expired(now),
        "wide": entry.key.is_wide,
        "uses": None if found is None else found.number,
        "last_use": found.last if found is not None and found.number else None,
    }


def in_words(entry: Entry, uses: dict[str, Uses] | None, now: float) -> Iterator[str]:
    """An entry for people, three lines."""
    ended = "EXPIRED " if entry.is_expired(now) else "until "
    yield f"{entry.key.text}  {', '.join(entry.checks)}"
    used = ""
    if uses is not None:
        found = uses.get(entry.key.text, Uses())
        last = f", last {time.strftime('%Y-%m-%d %H:%M', time.localtime(found.last))}" if found.number else ""
        used = f"; used {found.number} times{last}" if found.number else "; never used as far as the journal goes"
    yield f"    {ended}{entry.until}, added {entry.added} by {entry.by}{used}"
    yield f"    {entry.reason}"
