"""The reference page of parameters, drawn from the registry: docs/reference/parameters.md.

`python -m seawall.config.reference` prints it; `make docs` writes it, and a test fails where the page differs.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator

from seawall.config.parameter import Kind, Parameter
from seawall.config.registry import STAGES
from seawall.config.registry.templates import OBSOLETE, REPLACED, SUFFIXES
from seawall.config.registry.unsupported import PROGRAMS, Act, unsupported

TITLES = {
    "site": "Who and where we are",
    "tables": "Lookup tables",
    "door": "Before the dialogue",
    "edge": "The SMTP server",
    "tls": "TLS",
    "policy": "Restrictions and replies",
    "routing": "Addresses and routes",
    "intake": "What becomes of a message before it rests",
    "spool": "The queue",
    "delivery": "Mailboxes and commands",
    "smtp_client": "Mail that goes on by SMTP",
    "lmtp_client": "Mail that goes on by LMTP",
    "bounce": "What sender and postmaster are told",
    "own": "Seawall's own",
}
INTRODUCTION = """\
# Parameters

Every parameter of main.cf that Seawall knows, with its kind, its default and its bounds, as Postfix 3.12 has them.
Generated from `src/seawall/config/registry/`; do not edit.

A parameter without a sentence is known by name: *stops the start* where it is set to something else than its default
and ignoring it would let mail through, astray or in the clear (`seawall_ignore_parameters` overrides that), *ignored*
otherwise.  A time without a unit counts in the unit shown.
"""


def reference() -> str:
    """The whole page, as Markdown."""
    return "\n".join(lines())


def lines() -> Iterator[str]:
    """The lines of the page."""
    acted = sum(parameter.is_acted_on for table in STAGES.values() for parameter in table)
    total = sum(len(table) for table in STAGES.values())
    yield INTRODUCTION
    yield f"{total} parameters, {acted} of them acted on.\n"
    for stage, table in STAGES.items():
        yield f"## {TITLES[stage]}\n"
        yield "| parameter | kind | default | what it does |"
        yield "|---|---|---|---|"
        yield from (row(parameter) for parameter in table)
        yield ""
    yield from appendix()


def row(parameter: Parameter) -> str:
    """The table row of one parameter."""
    return f"| `{parameter.name}` | {kind(parameter)} | {code(parameter.default)} | {meaning(parameter)} |"


def code(text: str) -> str:
    """A value as a code span, or nothing."""
    shown = text.replace("|", "\\|")
    if not shown:
        return ""
    return f"`` {shown} ``" if "`" in shown else f"`{shown}`"


def kind(parameter: Parameter) -> str:
    """The kind with unit and bounds."""
    parts = [parameter.kind.value]
    if parameter.kind is Kind.TIME:
        parts[0] += f" ({parameter.unit})"
    if parameter.kind in (Kind.TEXT, Kind.RAW):
        parts += ["not empty"] if parameter.low else []
    else:
        parts += [f"from {parameter.low}"] if parameter.low else []
        parts += [f"to {parameter.high}"] if parameter.high else []
    return ", ".join(parts)


def meaning(parameter: Parameter) -> str:
    """The sentence, or what it means that there is none."""
    if parameter.sentence:
        return parameter.sentence.replace("|", "\\|")
    found = unsupported(parameter.name)
    if found is None:
        return ""
    where = f" (only with {found.program} in master.cf)" if found.program else ""
    return f"*{'stops the start' if found.act is Act.STOP else 'ignored'}*{where}: {found.consequence}"


def appendix() -> Iterator[str]:
    """Templates, old spellings, programs."""
    yield "## Parameters of a service\n"
    yield "`NAME` is the name of a service in master.cf.\n"
    yield "| parameter | default |"
    yield "|---|---|"
    yield from (f"| `NAME{suffix}` | `${base}` |" for suffix, base in SUFFIXES.items())
    yield "\n## Old spellings\n"
    yield "| name | today |"
    yield "|---|---|"
    yield from (f"| `{name}` | the default of `{new}` |" for name, new in OBSOLETE.items())
    yield from (f"| `{name}` | {advice} |" for name, advice in REPLACED.items())
    yield "\n## Programs of master.cf that there is nothing for\n"
    yield "| program | what that means |"
    yield "|---|---|"
    for program, found in PROGRAMS.items():
        yield f"| `{program}` | *{'stops the start' if found.act is Act.STOP else 'ignored'}*: {found.consequence} |"
    yield ""


if __name__ == "__main__":
    sys.stdout.write(reference())
