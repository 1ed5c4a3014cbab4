"""`seawall exempt suggest`: senders that were refused and look honest, with the evidence and the line that would exempt them."""

from __future__ import annotations

import shlex
import time
from collections.abc import Iterator

from seawall.cli import exits
from seawall.cli.exempt_journal import sightings
from seawall.cli.exempt_table import Request
from seawall.policy.exempt import Exemptions
from seawall.policy.exempt_file import path_of
from seawall.policy.exempt_honest import Proposal, Witness


def suggest(request: Request) -> int:
    """Read the journal; propose.  sqlite3.Error where there is none."""
    options = request.options
    since = request.now - options.days * 86400 if options.days > 0 else 0.0
    settings = request.settings
    ours = frozenset(text.lower() for text in (settings.text("myhostname"), settings.text("mydomain")))
    witness = Witness(ours)
    for sighting in sightings(settings, since):
        witness.hear(sighting)
    exemptions = Exemptions(request.entries()[1] if path_of(settings) else ())
    found = [each for each in witness.proposals() if not is_exempt(each, exemptions, request.now)][: options.most]
    lines = [line for each in found for line in in_words(each, request)]
    if not found:
        lines.append("nobody who was refused looks honest enough, as far as the journal goes")
    if witness.was_cut:
        lines.append("note: the journal names more networks than are looked at; --days looks at fewer")
    request.say({"proposals": [as_dict(each, request) for each in found], "cut": witness.was_cut}, *lines)
    return exits.OK


def is_exempt(proposal: Proposal, exemptions: Exemptions, now: float) -> bool:
    """Is it exempt already, from all that refused it?"""
    network = proposal.key.network
    if network is None:
        return False
    address = proposal.key.text.partition("/")[0]
    return all(
        exemptions.find(address, proposal.name, check, zone, now) is not None
        for check, _, zone in (each.partition("=") for each in proposal.checks)
    )


def command_of(proposal: Proposal, request: Request) -> str:
    """The line that exempts it."""
    options = request.options
    where = [*(["--root", options.root] if options.root else []), "-c", options.directory]
    reason = f"{proposal.name or proposal.helo or proposal.key.text}: comes again as mail servers do"
    words = ["seawall", "exempt", "add", *where, proposal.key.text, ",".join(proposal.checks), "--reason", reason]
    return shlex.join(words)


def in_words(proposal: Proposal, request: Request) -> Iterator[str]:
    """A proposal for people."""
    first, last = (time.strftime("%Y-%m-%d", time.localtime(at)) for at in (proposal.first, proposal.last))
    who = f"{proposal.name or 'unknown'}[{proposal.key.text}]"
    yield f"{who}: refused {proposal.refusals} times from {first} to {last} by {', '.join(proposal.checks)}"
    if proposal.helo:
        yield f"    it says HELO {proposal.helo}"
    yield from (f"    {each}" for each in proposal.evidence)
    yield f"    {command_of(proposal, request)}"


def as_dict(proposal: Proposal, request: Request) -> dict[str, object]:
    """A proposal for JSON."""
    return {
        "key": proposal.key.text,
        "checks": list(proposal.checks),
        "name": proposal.name,
        "helo": proposal.helo,
        "refusals": proposal.refusals,
        "accepted": proposal.accepted,
        "pairs_retried": proposal.retried,
        "days": proposal.days,
        "first": proposal.first,
        "last": proposal.last,
        "evidence": list(proposal.evidence),
        "command": command_of(proposal, request),
    }
