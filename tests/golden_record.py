"""`make golden`: plays golden cases against the real Postfix and writes down what it says.

``python -m tests.golden_record [TOPIC or TOPIC/CASE …]``; without arguments all cases. What a case says about Seawall
(``S[seawall D-nn]:``) is kept where it stands. Afterwards `git diff tests/golden` shows what has changed.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import replace

from tests import box
from tests.case_file import GOLDEN, Case, Exchange, Expected, all_cases, format_case
from tests.player import Played, groups_of
from tests.player_postfix import PostfixDriver


def recorded(case: Case, played: Played, version: str) -> Case:
    """The case with Postfix's side as it was played."""
    dialogue: list[Exchange] = []
    for exchange, said in zip(case.dialogue, played.said, strict=False):
        dialogue.append(replace(exchange, postfix=said))
        if said.closes:
            break
    names = [*case.mailboxes, *(name for name in sorted(played.mailboxes) if name not in case.mailboxes)]
    mailboxes = {
        name: replace(case.mailboxes.get(name, Expected()), postfix=played.mailboxes.get(name, ())) for name in names
    }
    return replace(
        case,
        recorded=f"Postfix {version}",
        dialogue=tuple(dialogue),
        mailboxes={name: one for name, one in mailboxes.items() if one.postfix or one.seawall is not None},
        log=replace(case.log, postfix=played.log),
    )


def main(arguments: Sequence[str]) -> int:
    trouble = box.missing()
    if trouble:
        sys.stderr.write(f"{trouble}\n")
        return 69
    wanted = [case for case in all_cases() if case.is_named(arguments)]
    with box.Box() as open_box:
        driver = PostfixDriver(open_box)
        version = driver.version()
        for group in groups_of(wanted):
            driver.start(group)
            for case in group.cases:
                played = driver.play(case, record=True)
                (GOLDEN / f"{case.name}.case").write_text(
                    format_case(recorded(case, played, version)), encoding="utf-8"
                )
            driver.stop()
    sys.stdout.write(f"recorded {len(wanted)} cases\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
