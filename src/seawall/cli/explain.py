"""`seawall explain`: every check that a session met, what it asked, what it heard, what it said and how long it took."""

from __future__ import annotations

import argparse
import asyncio
import json
import sqlite3
import sys
import time
from collections.abc import Iterator, Sequence
from typing import TextIO

import msgspec

from seawall.cli import exits
from seawall.cli.explain_past import Past, find_past, script_of
from seawall.cli.rehearse import open_script
from seawall.cli.rehearse_stage import Answered, Rehearsal
from seawall.config.settings import ConfigTrouble, Settings, load
from seawall.dns.zone import BadZone, Zone
from seawall.policy.trace import Step, Trace

DESCRIPTION = """\
Explain a session.  With --rehearse, each line of a script is played as `seawall rehearse` plays it, and every check that
it met is shown.  With an ID (a queue id, or the number in the brackets of smtpd[…]) the journal store tells what was
seen of that session, with the reason of every refusal; then what it asked for is judged again, as things stand now:
DNS and policy services are asked anew."""


def parse_arguments(arguments: list[str]) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(
        "seawall explain", description=DESCRIPTION, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("-c", dest="directory", metavar="DIR", help="the configuration's directory")
    parser.add_argument("--root", default="", metavar="DIR", help="read every absolute path below DIR")
    parser.add_argument("--dns", metavar="ZONEFILE", help="answer all DNS questions from this master file")
    parser.add_argument("--json", action="store_true", help="one JSON object a line instead of text")
    parser.add_argument("--rehearse", metavar="SCRIPT", help="explain this script (- is standard input)")
    parser.add_argument("--past", action="store_true", help="only what was: ask nobody anything again")
    parser.add_argument("id", nargs="?", metavar="ID", help="a queue id, or a session's number in the log")
    options = parser.parse_args(arguments)
    if (options.id is None) == (options.rehearse is None):
        parser.error("one of ID and --rehearse SCRIPT is needed")
    return options


def main(arguments: list[str]) -> int:
    """Explain; 0 where there was something to explain, 1 where the journal knows no such session."""
    options = parse_arguments(arguments)
    try:
        settings = load(options.directory, options.root) if options.directory or options.id else None
        zone = Zone.read(options.dns) if options.dns else None
        if options.rehearse is not None:
            with open_script(options.rehearse) as lines:
                asyncio.run(explain(settings, zone, lines, as_json=options.json))
            return exits.OK
        past = find_past(settings, options.id) if settings is not None else None
    except ConfigTrouble as trouble:
        return complain(str(trouble), exits.CONFIG)
    except BadZone as trouble:
        return complain(f"{options.dns}: {trouble}", exits.DATAERR)
    except sqlite3.Error as trouble:
        return complain(f"journal store: {trouble}", exits.NOINPUT)
    except OSError as error:
        return complain(f"{error.filename}: {error.strerror}", exits.NOINPUT)
    if past is None:
        return complain(f"the journal knows no session {options.id}", 1)
    show_past(past, as_json=options.json)
    if not options.past:
        if not options.json:
            say("judged again, as things stand now:")
        asyncio.run(explain(settings, zone, script_of(past), as_json=options.json))
    return exits.OK


def complain(text: str, code: int) -> int:
    """Say what is wrong, and which exit code it makes."""
    sys.stderr.write(f"seawall explain: {text}\n")
    return code


async def explain(
    settings: Settings | None, zone: Zone | None, lines: Sequence[str] | TextIO, *, as_json: bool
) -> None:
    """Play lines, and show after each what was asked for it."""
    trace = Trace(time.perf_counter)
    rehearsal = Rehearsal(settings, zone, trace)
    for text in lines:
        line = text.rstrip("\r\n")
        answered = await rehearsal.play(line)
        steps = trace.take()
        if answered is not None:
            say(in_json(line, answered, steps) if as_json else "\n".join(in_text(line, answered, steps)))
    rehearsal.close()


def in_json(line: str, answered: Answered, steps: list[Step]) -> str:
    """One line's explanation as an object."""
    told = {"command": line, "answer": answered.answer, "log": answered.log, "checks": steps}
    return json.dumps(msgspec.to_builtins(told))


def in_text(line: str, answered: Answered, steps: list[Step]) -> Iterator[str]:
    """One line's explanation for people: lists, their checks, what these asked; then log and answer."""
    yield f">>> {line}"
    yield from steps_in_text(steps)
    yield from (f"  log: {entry}" for entry in answered.log)
    yield answered.answer


def steps_in_text(steps: Sequence[Step]) -> Iterator[str]:
    """Checks under the names of their lists."""
    parameter: str | None = None
    for step in steps:
        if step.parameter != parameter:
            parameter = step.parameter
            yield f"  {parameter or 'after the lists'}:"
        yield from step_in_text(step, "    ")


def step_in_text(step: Step, indent: str) -> Iterator[str]:
    """A check, what it asked, and the checks inside it."""
    took = f"  ({step.seconds * 1000:.2f} ms)" if step.said else ""
    yield f"{indent}{step.name}{': ' if step.said else ''}{step.said}{took}"
    if step.reason and step.said.startswith(("refuses", "defers", "hangs")):
        evidence = ", ".join(text for text in step.evidence if text)
        yield f"{indent}  because: {step.reason}{f' ({evidence})' if evidence else ''}"
    for asked in step.asked:
        yield f"{indent}  asked {asked.kind} {' '.join(word or '<>' for word in asked.words)}: {asked.heard}"
    for inner in step.inside:
        yield from step_in_text(inner, indent + "  ")


def show_past(past: Past, *, as_json: bool) -> None:
    """What the journal has of a session."""
    if as_json:
        for fact in past.facts:
            told = {
                "at": fact.at,
                "line": fact.line,
                "reason": fact.reason,
                "evidence": fact.evidence,
                "checks": fact.checks,
            }
            say(json.dumps(msgspec.to_builtins(told)))
        return
    say(f"session {past.program}[{past.number}], as it was:")
    for fact in past.facts:
        stamp = time.strftime("%b %d %H:%M:%S", time.localtime(fact.at))
        say(f"  {stamp} {fact.line}")
        if fact.reason:
            evidence = ", ".join(text for text in fact.evidence if text)
            say(f"      because: {fact.reason}{f' ({evidence})' if evidence else ''}")
        for line in steps_in_text(fact.checks):
            say(f"    {line}")


def say(text: str) -> None:
    """A line to standard output; undecodable bytes come out as they went in."""
    sys.stdout.buffer.write(text.encode("utf-8", "surrogateescape") + b"\n")
    sys.stdout.flush()
