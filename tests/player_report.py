"""Plays golden cases and prints where they differ: ``python -m tests.player_report postfix|seawall [TOPIC or TOPIC/CASE …]``."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from tests import box
from tests.case_file import all_cases
from tests.player import BoxDriver, differences, groups_of
from tests.player_postfix import PostfixDriver
from tests.player_seawall import SeawallDriver

DRIVERS: dict[str, type[BoxDriver]] = {"postfix": PostfixDriver, "seawall": SeawallDriver}


def main(arguments: Sequence[str]) -> int:
    if not arguments or arguments[0] not in DRIVERS:
        sys.stderr.write("usage: python -m tests.player_report postfix|seawall [TOPIC or TOPIC/CASE...]\n")
        return 64
    trouble = box.missing()
    if trouble:
        sys.stderr.write(f"{trouble}\n")
        return 69
    who, *words = arguments
    cases = [case for case in all_cases() if case.is_named(words)]
    failed: list[str] = []
    with box.Box() as open_box:
        driver = DRIVERS[who](open_box)
        for group in groups_of(cases):
            try:
                driver.start(group)
            except box.BoxTrouble as trouble_:
                sys.stdout.write(f"=== the server does not start for {len(group.cases)} cases: {trouble_}\n")
                failed += [case.name for case in group.cases]
                continue
            for case in group.cases:
                found = differences(case, driver.play(case), who)
                if found:
                    failed.append(case.name)
                    sys.stdout.write(f"=== {case.name}\n" + "\n".join(found) + "\n")
            driver.stop()
    sys.stdout.write(f"{len(cases)} cases, {len(failed)} differ: {' '.join(failed)}\n")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
