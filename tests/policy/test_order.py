"""policy/order: a cheaper order never changes who is permitted or refused."""

from itertools import pairwise, product

from hypothesis import given
from hypothesis import strategies as st

from seawall.policy.order import PRESENT_NAMES, TRAITS, Cost, better_order, cost_of, table_cost
from seawall.policy.registry import RESTRICTIONS

Check = tuple[int, str, int]
"""(number, what it may do: permit or refuse, cost)"""


def test_every_restriction_has_its_traits_and_no_other_name_has() -> None:
    assert set(TRAITS) == set(RESTRICTIONS) - set(PRESENT_NAMES)
    assert set(PRESENT_NAMES) <= set(RESTRICTIONS)


def test_tables_cost_by_where_they_lie() -> None:
    assert table_cost("hash:/etc/postfix/x") is Cost.TABLE
    assert table_cost("proxy:pgsql:/etc/postfix/x") is Cost.REMOTE_TABLE
    assert table_cost("unionmap:{hash:/x, ldap:/y}") is Cost.REMOTE_TABLE
    assert cost_of("check_sender_access", "mysql:/x") is Cost.REMOTE_TABLE
    assert cost_of("check_sender_mx_access", "mysql:/x") is Cost.DNS
    assert cost_of("reject_rbl_client", "zen.spamhaus.org") is Cost.DNS_LIST
    assert cost_of("nobody_knows_it", "") is Cost.NOTHING


CHECKS = st.lists(st.tuples(st.sampled_from(["permit", "refuse"]), st.integers(0, 6)), max_size=5).map(
    lambda pairs: tuple((at, *pair) for at, pair in enumerate(pairs))
)


def verdict(checks: tuple[Check, ...], fires: tuple[bool, ...]) -> str:
    """What a list says of a client for whom some of its checks fire."""
    return next((does for number, does, _ in checks if fires[number]), "dunno")


@given(CHECKS)
def test_whoever_was_permitted_or_refused_still_is(checks: tuple[Check, ...]) -> None:
    better = better_order(checks, lambda check: Cost(check[2]), lambda check: check[1] == "permit")
    assert sorted(better) == sorted(checks)
    for fires in product((False, True), repeat=len(checks)):
        assert verdict(better, fires) == verdict(checks, fires)


@given(CHECKS)
def test_between_two_fences_the_cheap_stand_first(checks: tuple[Check, ...]) -> None:
    better = better_order(checks, lambda check: Cost(check[2]), lambda check: check[1] == "permit")
    for (_, does, cost), (_, next_does, next_cost) in pairwise(better):
        assert "permit" in (does, next_does) or cost <= next_cost
