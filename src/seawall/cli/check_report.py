"""The report of `seawall check`: grouped by rule for people, in colour on a terminal; one JSON object for programs."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import groupby
from typing import TextIO

from seawall.cli.check_queue import Waiting
from seawall.cli.lint.rule import ADVICE, ERROR, LEVELS, WARNING, Finding
from seawall.config.source import Location

COLOURS: Mapping[str, str] = {ERROR: "\33[1;31m", WARNING: "\33[1;33m", ADVICE: "\33[1;36m"}
PLAIN = "\33[0m"
PLURALS: Mapping[str, str] = {ERROR: "errors", WARNING: "warnings", ADVICE: "pieces of advice"}
SINGULARS: Mapping[str, str] = {ERROR: "error", WARNING: "warning", ADVICE: "piece of advice"}


def place_of(location: Location | None, main_cf: str) -> str:
    """``file:line``; the file alone for what has no line, main.cf for what stands nowhere."""
    if location is None:
        return main_cf
    return f"{location.file}:{location.line}" if location.line else location.file


def write_text(
    findings: Iterable[Finding], waiting: Waiting, out: TextIO, *, main_cf: str, host: Sequence[str] = ()
) -> None:
    """The report for people; `host` are the lines that tell what this host holds out."""
    every = tuple(findings)
    in_colour = out.isatty()
    lines: list[str] = []
    for _, group in groupby(every, key=lambda each: each.slug):
        lines.extend(group_lines(tuple(group), main_cf, in_colour=in_colour))
        lines.append("")
    lines.extend(waiting.lines())
    lines.extend(host)
    counts = {level: sum(each.level == level for each in every) for level in LEVELS}
    summary = ", ".join(f"{count} {(SINGULARS if count == 1 else PLURALS)[level]}" for level, count in counts.items())
    verdict = "a server would not start" if any(each.stops for each in every) else "a server would start"
    lines.append(f"{summary}: {verdict}")
    out.write("".join(line + "\n" for line in lines))


def group_lines(group: tuple[Finding, ...], main_cf: str, *, in_colour: bool) -> Iterator[str]:
    """One rule: what it is and why, each place, and what to write instead, once where it is the same everywhere."""
    first = group[0]
    level = f"{COLOURS[first.level]}{first.level}{PLAIN}" if in_colour else first.level
    yield f"{level}{' ' * (9 - len(first.level))}{first.slug}: {first.why}"
    placed = sorted(
        ((place_of(each.location, main_cf), each) for each in group),
        key=lambda pair: (pair[1].location.file, pair[1].location.line) if pair[1].location else ("", 0),
    )
    width = max(len(place) for place, _ in placed)
    is_one = len({each.instead for each in group}) == 1
    for place, each in placed:
        yield f"  {place.ljust(width)}  {shown(each.what)}"
        if each.instead and not is_one:
            yield f"  {' ' * width}  -> {shown(each.instead)}"
    if is_one and first.instead:
        yield f"  {' ' * width}  -> {shown(first.instead)}"


def shown(text: str) -> str:
    """A text from a configuration, without what would move a terminal's cursor."""
    return "".join(letter if letter.isprintable() or 0xDC80 <= ord(letter) <= 0xDCFF else "?" for letter in text)


def write_json(
    findings: Iterable[Finding], waiting: Waiting, out: TextIO, host: Mapping[str, object] | None = None
) -> None:
    """The same as one JSON object."""
    every = tuple(findings)
    report = {
        "would_start": not any(each.stops for each in every),
        "remarks": [
            {
                "rule": each.slug,
                "level": each.level,
                "what": each.what,
                "why": each.why,
                "instead": each.instead,
                "stops": each.stops,
                "location": {"file": each.location.file, "line": each.location.line or None} if each.location else None,
            }
            for each in every
        ],
        "postfix_queue": {"running": waiting.is_running, "waiting": dict(waiting.counts)},
        "host": host,
    }
    out.write(json.dumps(report, indent=2, ensure_ascii=True) + "\n")
