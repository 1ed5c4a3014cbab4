"""docs/differences.md: every heading has one number, in order, and somebody who names it; who names one finds it there."""

import re
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parent.parent
HEADINGS = tuple(
    int(number) for number in re.findall(r"^## D-(\d+) ", (ROOT / "docs/differences.md").read_text(), re.MULTILINE)
)
EXAMPLES = ("case_file.py", "test_player_cases.py", Path(__file__).name)
"""Files of tests that show how a difference is written."""


def naming() -> Iterator[tuple[str, int]]:
    """Every mention of a difference: the file, and the number."""
    paths = (*(ROOT / "src").rglob("*.py"), *(ROOT / "tests").rglob("*.py"), *(ROOT / "tests/golden").rglob("*.case"))
    for path in paths:
        if path.name not in EXAMPLES:
            for number in re.findall(r"\bD-(\d+)\b", path.read_text(encoding="utf-8", errors="surrogateescape")):
                yield path.relative_to(ROOT).as_posix(), int(number)


def test_headings_have_numbers_of_their_own_in_order() -> None:
    assert list(HEADINGS) == sorted(set(HEADINGS))


def test_every_difference_is_named_by_a_module_or_a_case() -> None:
    assert set(HEADINGS) - {number for _, number in naming()} == set()


def test_every_difference_that_is_named_has_a_heading() -> None:
    assert [(path, number) for path, number in naming() if number not in HEADINGS] == []
