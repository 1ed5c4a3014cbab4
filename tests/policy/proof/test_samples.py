"""Texts for expressions match them, and which of their letters were free is told."""

from __future__ import annotations

import pytest

from seawall.linux import regexp
from seawall.policy.proof.samples import samples
from seawall.policy.proof.stranger import is_free

EXPRESSIONS = (
    r"^postmaster@",
    r"@(gmail|yahoo)\.com$",
    r"^.*@([a-z]+\.)?example\.org$",
    r"[[:digit:]]+x{2,3}",
    r"^[^@]+@[^@]+%",
    r"a|b|(c(d|e)?)",
    r"^\.+$",
    r"[]x-]+",
    r"(^|\.)partner\.example$",
    r"x{3}y*z?",
    r"\$\(\)",
)


@pytest.mark.parametrize("expression", EXPRESSIONS)
def test_every_sample_matches(expression: str) -> None:
    compiled = regexp.Regexp(expression.encode(), regexp.EXTENDED | regexp.ICASE)

    found = samples(expression)

    assert found
    assert all(compiled.matches(one.text.encode()) and len(one.text) == len(one.free) for one in found)


@pytest.mark.parametrize("expression", ["(", "[", "a{", "(?<n>", "\\", "[[:alpha:", ")))", "(?", "a**", "x{1,"])
def test_what_cannot_be_read_brings_no_trouble(expression: str) -> None:
    assert isinstance(samples(expression), tuple)


def test_a_name_is_a_strangers_where_its_domain_is_not_spelled_out() -> None:
    free = {one.text: is_free(one) for one in samples(r"^.+\.partner\.com$|^mail\.[a-z]+\.com$")}

    assert free == {name: name.startswith("mail.") for name in free}
    assert len(set(free.values())) == 2
