"""`seawall check`: everything wrong or doubtful in a configuration, each with its place and what to do.

Reads only; works on anybody's /etc/postfix (`--root`).  Ends with 0 where a server could start, 78 (EX_CONFIG) where it
could not, 66 (EX_NOINPUT) where there is no main.cf.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator
from dataclasses import asdict, dataclass

from seawall.bounce.when import read_templates
from seawall.cli import exits
from seawall.cli.check_policy import policy_remarks
from seawall.cli.check_queue import Waiting, waiting_mail
from seawall.cli.check_tables import table_remarks
from seawall.cli.text_output import keep_bytes
from seawall.config.main_cf import read_text
from seawall.config.master_cf import STANDARD, Entry, Service, is_disabled, make_service, parse_entries
from seawall.config.names import Names
from seawall.config.registry.templates import REPLACED
from seawall.config.settings import DEFAULT_DIRECTORY, Settings, load
from seawall.config.source import ConfigTrouble, Location
from seawall.config.support import bad_values, findings

ERROR, WARNING, NOTE = "error", "warning", "note"
LEVELS = (ERROR, WARNING, NOTE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Remark:
    """One line of the report: how grave, where, what, and what to do."""

    level: str
    what: str
    remedy: str = ""
    location: Location | None = None


def main(arguments: list[str]) -> int:
    """Run the command; its exit code."""
    keep_bytes()
    parser = argparse.ArgumentParser(
        prog="seawall check", description="Everything wrong or doubtful in a configuration."
    )
    parser.add_argument("-c", dest="directory", default=DEFAULT_DIRECTORY, help="configuration directory")
    parser.add_argument("--root", default="", help="read every absolute path of the configuration below this directory")
    parser.add_argument("--json", action="store_true", help="one JSON object instead of text")
    options = parser.parse_args(arguments)
    try:
        settings = load(options.directory, options.root)
    except ConfigTrouble as trouble:
        return refuse(trouble, as_json=options.json)
    remarks, waiting = examine(settings)
    write = write_json if options.json else write_text
    write(remarks, waiting)
    return exits.CONFIG if any(remark.level == ERROR for remark in remarks) else exits.OK


def refuse(trouble: ConfigTrouble, *, as_json: bool) -> int:
    """Say why main.cf cannot be read."""
    remark = Remark(level=ERROR, what=trouble.message, location=trouble.location)
    (write_json if as_json else write_text)([remark], Waiting({}, is_running=False))
    return exits.CONFIG if trouble.location else exits.NOINPUT


def examine(settings: Settings) -> tuple[list[Remark], Waiting]:
    """All remarks on a configuration, gravest first, and what mail waits in Postfix's queue."""
    remarks: list[Remark] = [
        Remark(level=WARNING, what=warning.message, location=warning.location) for warning in settings.warnings
    ]
    entries: tuple[Entry, ...] = ()
    services: tuple[Service, ...] = ()
    try:
        entries = read_entries(settings)
        services = make_services(entries, settings)
    except ConfigTrouble as trouble:
        remarks.append(Remark(level=ERROR, what=trouble.message, location=trouble.location))
    remarks.extend(name_remarks(settings, entries))
    remarks.extend(value_remarks(settings, services))
    remarks.extend(support_remarks(settings, services))
    remarks.extend(template_remarks(settings))
    for level, what, remedy, location in table_remarks(settings, services):
        remarks.append(Remark(level=level, what=what, remedy=remedy, location=location))
    for level, what, remedy, location in policy_remarks(settings, services):
        remarks.append(Remark(level=level, what=what, remedy=remedy, location=location))
    waiting = waiting_mail(settings)
    return sorted(dict.fromkeys(remarks), key=lambda remark: LEVELS.index(remark.level)), waiting


def read_entries(settings: Settings) -> tuple[Entry, ...]:
    """master.cf, or Postfix's standard services where there is none.  Raises ConfigTrouble."""
    file = f"{settings.directory}/master.cf"
    try:
        text = read_text(settings.path(file))
    except ConfigTrouble:
        text = STANDARD
    return parse_entries(text, file)


def make_services(entries: tuple[Entry, ...], settings: Settings) -> tuple[Service, ...]:
    """The services that are not disabled.  Raises ConfigTrouble."""
    disabled = settings.words("master_service_disable")
    return tuple(make_service(entry, settings) for entry in entries if not is_disabled(entry, disabled))


def name_remarks(settings: Settings, entries: tuple[Entry, ...]) -> Iterator[Remark]:
    """Names that nothing uses, or that nobody defines."""
    names = Names(settings, entries)
    for warning in names.warnings:
        is_undefined = "undefined parameter" in warning
        yield Remark(level=WARNING, what=warning, remedy="define it, or take it out" if is_undefined else "")
    for scope, name, value in names.unused():
        location = scope.entry.location if scope.entry else settings.where(name)
        if name in REPLACED:
            yield Remark(level=WARNING, what=f"{name} is gone", remedy=REPLACED[name], location=location)
        else:
            what = f"unused parameter: {name}={value}"
            yield Remark(level=WARNING, what=what, remedy="correct the name, or take it out", location=location)


def value_remarks(settings: Settings, services: tuple[Service, ...]) -> Iterator[Remark]:
    """Values that cannot be read as what they should be."""
    for trouble in bad_values(settings, services):
        yield Remark(level=ERROR, what=trouble.message, remedy="correct the value", location=trouble.location)


def template_remarks(settings: Settings) -> Iterator[Remark]:
    """A bounce_template_file that does not read: bounce(8) goes on with the built-in texts."""
    try:
        read_templates(settings)
    except ConfigTrouble as trouble:
        remedy = "correct the file; until then the built-in texts serve"
        yield Remark(level=WARNING, what=trouble.message, remedy=remedy, location=trouble.location)


def support_remarks(settings: Settings, services: tuple[Service, ...]) -> Iterator[Remark]:
    """What is asked for and not done."""
    for finding in findings(settings, services):
        yield Remark(
            level=ERROR if finding.stops else NOTE,
            what=finding.what(),
            remedy=finding.remedy,
            location=finding.location,
        )


def write_text(remarks: list[Remark], waiting: Waiting) -> None:
    """The report for people: one line a remark, columns aligned, what to do below it."""
    places = [f"{remark.location.file}:{remark.location.line}" if remark.location else "" for remark in remarks]
    width = max((len(place) for place in places), default=0)
    lines: list[str] = []
    for remark, place in zip(remarks, places, strict=True):
        gap = place.ljust(width) + "  " if width else ""
        lines.append(f"{remark.level:<7}  {gap}{remark.what}")
        if remark.remedy:
            lines.append(" " * (9 + len(gap)) + f"-> {remark.remedy}")
    lines.extend(waiting.lines())
    counts = {level: sum(remark.level == level for remark in remarks) for level in LEVELS}
    summary = ", ".join(f"{count} {level}{'s' if count != 1 else ''}" for level, count in counts.items())
    verdict = "a server would not start" if counts[ERROR] else "a server would start"
    sys.stdout.write("".join(line + "\n" for line in [*lines, f"{summary}: {verdict}"]))


def write_json(remarks: list[Remark], waiting: Waiting) -> None:
    """The same as one JSON object."""
    report = {
        "would_start": all(remark.level != ERROR for remark in remarks),
        "remarks": [asdict(remark) for remark in remarks],
        "postfix_queue": {"running": waiting.is_running, "waiting": dict(waiting.counts)},
    }
    text = json.dumps(report, indent=2, ensure_ascii=True)
    sys.stdout.write(text + "\n")
