"""What Postfix's postconf said to the trials of `chosen`: kept beside this, made anew by

python -m tests.config.recorded_postconf
"""

from __future__ import annotations

from pathlib import Path

from tests.box import Box
from tests.config.versus_postconf import CHOSEN, random_trials
from tests.versus import Trial, crashed, real, record

FILE = Path(__file__).parent / "recorded_postconf.jsonl"


def chosen() -> list[Trial]:
    """The ones that were thought of, and some random ones of each kind."""
    kinds = ("expansion", "main", "master", "edit")
    return [*CHOSEN, *(one for kind in kinds for one in random_trials(kind, 77, 50))]


if __name__ == "__main__":
    trials = chosen()
    with Box() as box:
        pairs = zip(trials, real(box, trials), strict=True)
        record(FILE, (pair for pair in pairs if not crashed(pair[1])))
