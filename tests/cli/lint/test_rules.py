"""Every rule names the lines that it should, and holds its tongue about a near miss."""

from pathlib import Path

import pytest

from seawall.cli.lint.every_rule import CHAPTERS, RULES
from seawall.cli.lint.rule import LEVELS
from tests.cli.lint.cases import Case, findings_in, place, read_cases

CASES = tuple(read_cases())
IN_PYTHON = frozenset(
    {
        # rules about things that a text file cannot hold: see test_files.py, and test_check.py for the first
        "main-unreadable",
        "file-writable",
        "certificate-expired",
        "certificate-expiring",
        "certificate-name",
        "certificate-key-short",
        "certificate-key-wrong",
        "exempt-unused",  # it needs a journal: tests/cli/test_exempt.py
    }
)


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case.source}-{case.slug}")
def test_a_rule_names_exactly_the_marked_lines(case: Case, tmp_path: Path) -> None:
    case.lay(tmp_path)
    found = findings_in(tmp_path, case.slug)
    assert {place(finding) for finding in found} == case.wanted, [finding.what for finding in found]
    assert case.is_near_miss is not bool(case.wanted), "a near miss has no marks, a case has some"


def test_every_rule_has_a_case_and_a_near_miss() -> None:
    slugs = {rule.slug for rule in RULES} - IN_PYTHON
    assert slugs <= {case.slug for case in CASES if not case.is_near_miss}
    assert slugs <= {case.slug for case in CASES if case.is_near_miss}
    assert {case.slug for case in CASES} <= {rule.slug for rule in RULES}


def test_rules_have_slugs_of_their_own_and_say_why_and_what_instead() -> None:
    assert len({rule.slug for rule in RULES}) == len(RULES)
    for rule in RULES:
        assert rule.level in LEVELS
        assert rule.why.endswith("."), rule.slug
        assert rule.instead or rule.slug == "not-acted-on", rule.slug
        assert rule.slug.replace("-", "").isalnum() and rule.slug.islower()


def test_every_chapter_has_rules() -> None:
    assert all(rules for _, rules in CHAPTERS)
