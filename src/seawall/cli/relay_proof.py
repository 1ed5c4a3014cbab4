"""`seawall relay-proof`: prove that no stranger can relay, or print a session that does.

Reads only; nothing is asked of the network.  Ends with 0 where no stranger relays, and where one would if a part that
cannot be listed said OK (a warning; 1 with --strict); with 1 where one relays; 78 (EX_CONFIG) for a configuration that
cannot be read.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from seawall.cli import exits
from seawall.cli.rehearse_stage import Rehearsal
from seawall.cli.relay_proof_text import Line, as_json, as_text
from seawall.cli.text_output import keep_bytes
from seawall.config.master_cf import load_master
from seawall.config.settings import DEFAULT_DIRECTORY, Settings, load
from seawall.config.source import ConfigTrouble
from seawall.dns.answers import Answer, NoSuchName
from seawall.policy.proof.changes import closing
from seawall.policy.proof.doors import Door, commands_of, doors
from seawall.policy.proof.script import script_of
from seawall.policy.proof.search import Finding, Kind, examine
from seawall.tables.table import TableUnsupported
from seawall.upstream.rules import UPSTREAM, is_front

RELAYS = 1
"""The exit code for an open relay."""


@dataclass(frozen=True, slots=True)
class NoDns:
    """Beside what a script assumes no name exists."""

    def ask(self, name: str, kind: str) -> Answer:
        """Not there."""
        return NoSuchName()


def main(arguments: list[str]) -> int:
    """Run the command; its exit code."""
    keep_bytes()
    parser = argparse.ArgumentParser(
        prog="seawall relay-proof", description="Prove that no stranger can relay, or print a session that does."
    )
    parser.add_argument("-c", dest="directory", default=DEFAULT_DIRECTORY, help="configuration directory")
    parser.add_argument("--root", default="", help="read every absolute path of the configuration below this directory")
    parser.add_argument("--strict", action="store_true", help="exit with 1 where it depends on what cannot be listed")
    parser.add_argument("--json", action="store_true", help="one JSON object instead of text")
    options = parser.parse_args(arguments)
    try:
        settings = load(options.directory, options.root)
        lines = prove(settings)
    except (ConfigTrouble, TableUnsupported) as trouble:
        sys.stderr.write(f"seawall relay-proof: {trouble}\n")
        return exits.CONFIG
    sys.stdout.write(as_json(lines) if options.json else as_text(lines))
    worst = min((line.finding.kind for line in lines), key=list(Kind).index, default=Kind.PROVED)
    return RELAYS if worst is Kind.RELAYS or (worst is Kind.DEPENDS and options.strict) else exits.OK


def prove(settings: Settings) -> list[Line]:
    """The answer for every door; equal doors share theirs."""
    services = load_master(settings.directory, settings.root, settings)
    commands = commands_of(services)
    known: dict[tuple[object, ...], Finding] = {}
    lines: list[Line] = []
    for door in doors(settings, services):
        finding = known.get(door.key())
        if finding is None:
            closed = Finding(Kind.PROVED, note=f"no stranger reaches it: {door.closed}")
            finding = closed if door.closed else judged(door, commands)
            known[door.key()] = finding
        changes = closing(door, commands, finding.holes) if finding.holes else ()
        scripts = tuple(script_of(door, settings, hole) for hole in finding.holes)
        played = tuple(asyncio.run(relays(settings, script)) for script in scripts)
        lines.append(Line(door, finding, scripts, played, changes))
    return lines


def judged(door: Door, commands: Mapping[str, str]) -> Finding:
    """The answer for a door that strangers reach; where it stands alone, another server says who may relay."""
    if not is_front(door.settings):
        return examine(door.settings, commands, proxied=door.proxied)
    place = door.settings.text(UPSTREAM)
    if door.settings.text("seawall_upstream_protocol") == "none":
        return Finding(Kind.DEPENDS, note=f"the server behind ({place}) takes every client for this host")
    return Finding(
        Kind.DEPENDS, note=f"the server behind ({place}) says who may relay: its configuration is to be proved"
    )


async def relays(settings: Settings, script: Sequence[str]) -> bool:
    """Play it as `seawall rehearse` does: True where every recipient was accepted, and the message at its end."""
    rehearsal = Rehearsal(settings, NoDns())
    accepted: list[bool] = []
    for line in script:
        answered = await rehearsal.play(line)
        if answered is not None and line.split()[0] in ("rcpt", "data", "end_of_data"):
            accepted.append(answered.answer == "OK")
    rehearsal.close()
    return bool(accepted) and all(accepted)
