"""`python -m bench.flood [CASE…]`: Seawall, Postfix, and Postfix with postscreen, while others attack.

Each contender runs with the thread's configuration in a network of its own that nothing leaves; bots come from 378 networks
of 198.18.0.0/15, good clients from 128 others, and mynetworks names none of them.  A good client's times count from the
moment at which it was due, whoever never was greeted counts as one who waited for ever.  Prints tables, writes
docs/flood.svg where `silence` ran with all its bots, and all figures to .cache/flood.json.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType
from typing import Any

from tests.box import missing

from bench.flood_cases import Effort, Result, a_connection, imap, mix, pair, resolver, silence
from bench.flood_front import front
from bench.flood_refusals import refusals
from bench.flood_show import picture
from bench.flood_site import CACHE, SEAWALL

CASES: Mapping[str, Callable[[Effort], Result]] = MappingProxyType(
    {
        "silence": silence,
        "mixed": mix,
        "refusals": refusals,
        "resolver": resolver,
        "imap": imap,
        "front": front,
    }
)
PICTURE = Path(__file__).resolve().parent.parent / "docs" / "flood.svg"
QUICK = Effort(0.1, 4.0, 4.0, "postscreen_greet_wait = 2s\n")
QUICK_CASES = ("silence", "mixed", "refusals")


def draw(raw: Mapping[str, Sequence[Mapping[str, Any]]]) -> str:
    """The picture of `silence`: greetings of those good clients who need not wait at a door, and memory."""
    greetings = {
        name: [(step["size"], pair(step["good"])[0].greeting_p99) for step in steps] for name, steps in raw.items()
    }
    memory = {name: [(step["size"], a_connection(step)) for step in steps] for name, steps in raw.items()}
    return picture(greetings, memory)


def main(arguments: Sequence[str]) -> int:
    """Run what is named, or everything."""
    whole = Effort()
    parser = argparse.ArgumentParser(prog="bench.flood", description=__doc__)
    parser.add_argument("case", nargs="*", choices=[*CASES, []], default=[], help="default: all")
    parser.add_argument("--scale", type=float, help="a fraction of the bots")
    parser.add_argument("--seconds", type=float, help=f"of good mail in each flood; default {whole.seconds:g}")
    parser.add_argument("--patience", type=float, help=f"seconds of a good client; default {whole.patience:g}")
    parser.add_argument(
        "--quick",
        action="store_true",
        help=f"a look, in some minutes: a tenth of the bots, a short wait at doors; default: {', '.join(QUICK_CASES)}",
    )
    parser.add_argument("--json", action="store_true", help="print figures instead of tables")
    given = parser.parse_args(arguments)
    trouble = missing()
    if trouble:
        print(trouble, file=sys.stderr)
        return 69
    base = QUICK if given.quick else whole
    effort = replace(
        base,
        scale=given.scale or base.scale,
        seconds=given.seconds or base.seconds,
        patience=given.patience or base.patience,
    )
    raw: dict[str, Any] = {}
    for name in given.case or (QUICK_CASES if given.quick else CASES):
        began = time.monotonic()
        result = CASES[name](effort)
        raw[name] = result.raw
        if not given.json:
            print("\n".join(line for table in result.tables for line in table.lines()), flush=True)
        print(f"{name}: {time.monotonic() - began:.0f} s", file=sys.stderr, flush=True)
    text = json.dumps(raw)
    (CACHE / "flood.json").write_text(text)
    if given.json:
        print(text)
    if "silence" in raw and SEAWALL.name in raw["silence"]:
        place = PICTURE if effort.scale == 1 else CACHE / PICTURE.name
        place.write_text(draw(raw["silence"]))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
