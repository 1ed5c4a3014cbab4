import pytest

from seawall.routing.transports import apply_entry, domain_keys, user_keys


@pytest.mark.parametrize(
    ("entry", "expected"),
    [
        (":", ("smtp", "domain.example")),
        (":[h]", ("smtp", "[h]")),
        ("relay:", ("relay", "domain.example")),
        ("relay", ("relay", "domain.example")),
        ("relay:[h]:25", ("relay", "[h]:25")),
        ("error:", ("error", "Address is undeliverable")),
        ("retry:", ("retry", "Address is undeliverable")),
        ("error:5.1.1 no: really", ("error", "5.1.1 no: really")),
    ],
)
def test_an_entry_changes_transport_and_next_hop_by_transport_5(entry: str, expected: tuple[str, str]) -> None:
    assert apply_entry(entry, "smtp", "domain.example", "domain.example") == expected


def test_a_transport_without_next_hop_puts_the_domain_back() -> None:
    assert apply_entry("relay:", "smtp", "[relayhost]", "domain.example") == ("relay", "domain.example")


def test_keys_come_in_the_order_of_transport_5() -> None:
    assert user_keys("bob+x@a.b.example", "+") == [("bob@a.b.example", False)]
    assert user_keys("bob@a.b.example", "+") == []
    found = [key for key, _ in domain_keys("a.b.example", parent_matches=False)]
    assert found == ["a.b.example", ".b.example", ".example", "*"]


def test_parents_have_no_dot_where_they_match_subdomains() -> None:
    found = [key for key, _ in domain_keys("a.b.example", parent_matches=True)]
    assert found == ["a.b.example", "b.example", "example", "*"]


def test_patterns_are_asked_of_no_part_of_an_address() -> None:
    assert [key for key, whole in domain_keys("a.example", parent_matches=False) if whole] == ["*"]
