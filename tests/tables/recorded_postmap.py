"""What Postfix's postmap and postalias said to the trials of `chosen`: kept beside this, made anew by

python -m tests.tables.recorded_postmap
"""

from __future__ import annotations

from pathlib import Path

from tests.box import Box
from tests.tables.versus_postmap import CHOSEN, KINDS, random_trials
from tests.versus import Trial, crashed, real, record

FILE = Path(__file__).parent / "recorded_postmap.jsonl"
OF_THIS_MACHINE = frozenset({"options"})
"""Kinds that ask who there is on the machine."""


def chosen() -> list[Trial]:
    """The ones that were thought of, and some random ones of each kind."""
    return [*CHOSEN, *(one for kind in KINDS if kind not in OF_THIS_MACHINE for one in random_trials(kind, 77, 30))]


if __name__ == "__main__":
    trials = chosen()
    with Box() as box:
        pairs = zip(trials, real(box, trials), strict=True)
        record(FILE, (pair for pair in pairs if not crashed(pair[1])))
