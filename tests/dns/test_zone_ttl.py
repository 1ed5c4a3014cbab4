"""Zones that say nothing of lifetimes, as people write them for a rehearsal."""

import pytest

from seawall.dns.answers import Found
from seawall.dns.zone import DEFAULT_TTL, BadZone, Zone


def test_a_zone_without_lifetimes_is_read_all_the_same() -> None:
    found = Zone("a.example. A 192.0.2.1\nb.example. 60 A 192.0.2.2\n")
    first, second = found.ask("a.example", "A"), found.ask("b.example", "A")
    assert isinstance(first, Found)
    assert isinstance(second, Found)
    assert (first.records[0].ttl, second.records[0].ttl) == (DEFAULT_TTL, 60)


def test_trouble_names_the_line_of_the_file() -> None:
    with pytest.raises(BadZone, match=r"^line 2:"):
        Zone("a.example. A 192.0.2.1\nb.example. A no-address\n")
