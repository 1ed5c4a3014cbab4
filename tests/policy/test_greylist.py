"""Who waits and who does not: the greylist in memory, its bounded records, and the traits of clients."""

from __future__ import annotations

import random
from collections.abc import Mapping

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from seawall.dns.answers import Answer, Found, NoSuchName, Resource
from seawall.eager import result_now
from seawall.policy.greylist import (
    APART,
    DEEPEST,
    PUT_OFF,
    Elder,
    Entry,
    Greylist,
    Records,
    Rules,
    Sought,
    Standing,
    TripletRow,
    have_same_parent,
    looks_dynamic,
    network_of,
)
from seawall.policy.greylisting import Greylister, nobody

DAY = 86400.0
SECRET = b"k" * 16
NEW, EARLY, RETRIED, PASSED, TRUSTED = Standing


def met(
    greylist: Greylist, now: float, client: str = "198.18.3.4", sender: str = "a@b.example", to: str = "c@d.example"
) -> Standing:
    return greylist.meet(greylist.keys(client, sender, to), now, client).standing


def test_a_stranger_waits_for_the_delay_and_then_passes_for_good() -> None:
    greylist = Greylist(Rules(), SECRET)
    assert [met(greylist, 1000.0 + t) for t in (0, 1, 299, 300, 301, 30 * DAY, 60 * DAY)] == [
        *(NEW, EARLY, EARLY, RETRIED, PASSED, PASSED, PASSED)
    ]
    assert met(greylist, 1000.0 + 96 * DAY) is NEW  # nothing for more than 35 days


def test_who_comes_again_too_late_is_new() -> None:
    greylist = Greylist(Rules(), SECRET)
    assert [met(greylist, t) for t in (0, 2 * DAY + 1, 2 * DAY + 2, 2 * DAY + 301)] == [NEW, NEW, EARLY, RETRIED]


def test_it_is_told_how_long_was_waited_and_is_left() -> None:
    greylist = Greylist(Rules(), SECRET)
    keys = greylist.keys("198.18.3.4", "a@b.example", "c@d.example")
    assert greylist.meet(keys, 100.0, "198.18.3.4").left == 300
    assert greylist.meet(keys, 220.0, "198.18.3.4")[1:] == (120, 180)
    assert greylist.meet(keys, 500.0, "198.18.3.4")[:2] == (RETRIED, 400)


def test_a_network_is_one_client_and_what_varies_in_a_sender_does_not_count() -> None:
    greylist = Greylist(Rules(), SECRET)
    assert met(greylist, 0) is NEW
    assert met(greylist, 10, client="198.18.3.77") is EARLY
    assert met(greylist, 10, client="198.18.4.4") is NEW
    assert met(greylist, 10, sender="A@B.example", to="C@D.example") is EARLY
    assert met(greylist, 10, sender="other@b.example") is NEW
    assert met(greylist, 20, sender="news-123@b.example") is NEW
    assert met(greylist, 21, sender="news-4567@b.example") is EARLY
    assert met(greylist, 22, sender="a+x=y@b.example") is EARLY
    assert met(greylist, 30, sender="") is NEW
    assert network_of("2001:db8:1:2:3::4", 24, 64) == "2001:db8:1:2::/64"
    assert network_of("::ffff:198.18.3.4", 24, 64) == network_of("198.18.3.9", 24, 64) == "198.18.3.0/24"
    assert network_of("unknown", 24, 64) == "unknown"


def test_a_network_that_retried_five_times_an_hour_apart_passes() -> None:
    greylist = Greylist(Rules(), SECRET)
    for number in range(5):
        begin = number * (APART + 1)
        people = [f"{to}{number}@d.example" for to in "xyz"]  # one message to three is one retry
        assert [met(greylist, begin, to=each) for each in people] == [NEW] * 3
        seen = [met(greylist, begin + 300, to=each) for each in people]
        assert seen == ([RETRIED] * 3 if number < 4 else [RETRIED, TRUSTED, TRUSTED])
    now = 6.0 * APART
    assert met(greylist, now, to="never-seen@d.example") is TRUSTED
    assert met(greylist, now, client="198.18.99.1", to="never-seen@d.example") is NEW
    assert met(greylist, now + 36 * DAY, to="never-seen@d.example") is NEW
    never = Greylist(Rules(retried=0), SECRET)
    for number in range(9):
        met(never, number * 2.0 * APART, to=f"x{number}@d.example")
        met(never, number * 2.0 * APART + 300, to=f"x{number}@d.example")
    assert met(never, now * 9, to="never-seen@d.example") is NEW


def test_a_clock_that_was_set_back_makes_nobody_wait_longer() -> None:
    greylist = Greylist(Rules(), SECRET)
    assert [met(greylist, t) for t in (DAY, 100, 399, 400)] == [NEW, EARLY, EARLY, RETRIED]


times = st.lists(st.floats(0, 3 * DAY), min_size=1, max_size=12).map(sorted)


@given(times, st.integers(1, 5000))
def test_no_first_attempt_passes_and_no_one_that_has_passed_is_put_off(attempts: list[float], delay: int) -> None:
    greylist = Greylist(Rules(delay=delay, retried=0), SECRET)
    has_passed = False
    first = attempts[0]
    for at, now in enumerate(attempts):
        standing = met(greylist, now)
        if at == 0:
            assert standing is NEW
        assert (standing in PUT_OFF) or now - first >= delay - 1
        assert not (has_passed and standing in PUT_OFF)
        has_passed = has_passed or standing not in PUT_OFF


# ---- bounded records ----------------------------------------------------------------------------------------------


def never_over(entry: Entry, now: int) -> bool:
    return False


@settings(max_examples=60)
@given(st.lists(st.tuples(st.integers(-(2**63), 2**63 - 1), st.integers(0, 2**32 - 1)), max_size=300))
def test_records_are_found_again_whatever_their_octets(rows: list[tuple[int, int]]) -> None:
    records, plain = Records(DEEPEST * 40, never_over), dict[int, Entry]()
    for key, at in rows:
        plain[key] = Entry(at, at, at % 7)
        records.put(key, plain[key], at)
    if len(plain) <= DEEPEST:  # no bucket can be full
        assert {key: records.get(key) for key in plain} == plain
        assert len(records) == len(plain)
    assert records.get(42 if 42 not in plain else 43 + max(plain)) is None or max(plain) > 2**62


def test_a_record_is_not_mistaken_for_the_seam_of_two_others() -> None:
    records = Records(1, never_over)
    records.put(1, Entry(0x02020202, 0x03030303, 0x0404), 0)
    records.put(0x0505050505050505, Entry(1, 1, 1), 0)
    seam = int.from_bytes(b"\x04\x04\x05\x05\x05\x05\x05\x05", "little", signed=True)
    inner = int.from_bytes(b"\x02\x02\x02\x02\x03\x03\x03\x03", "little", signed=True)
    assert records.get(seam) is None and records.get(inner) is None
    assert records.get(0x0505050505050505) == Entry(1, 1, 1)


def test_a_full_bucket_loses_who_waits_longest_and_keeps_who_has_passed() -> None:
    records = Records(DEEPEST, never_over)
    for key in range(DEEPEST // 2):
        records.put(key, Entry(key, key, 1), 0)
    for key in range(1000, 1000 + 20 * DEEPEST):
        records.put(key, Entry(key, key, 0), 0)
    assert len(records) == DEEPEST
    assert all(records.get(key) for key in range(DEEPEST // 2))
    assert records.get(1000 + 20 * DEEPEST - 1) is not None and records.get(1000) is None


def test_what_is_over_is_swept_in_steps() -> None:
    greylist = Greylist(Rules(most=64 * 16), SECRET)
    for number in range(400):
        met(greylist, 0, to=f"x{number}@d.example")
    met(greylist, 0, to="good@d.example")
    met(greylist, 400, to="good@d.example")
    for _ in range(16):
        greylist.sweep(1, 2 * DAY + 1)
    assert len(greylist.triplets) == 1


# ---- senders with many networks -----------------------------------------------------------------------------------


class Store:
    """What the store would answer: all rows of all workers."""

    def __init__(self) -> None:
        self.rows: dict[int, TripletRow] = {}
        self.asked = 0

    def take(self, greylist: Greylist) -> None:
        self.rows.update((row.triplet, row) for row in greylist.take_changes()[0])

    async def elders(self, pair: int) -> tuple[Elder, ...]:
        self.asked += 1
        found = sorted(
            (row for row in self.rows.values() if row.pair == pair), key=lambda row: (not row.passed, row.first)
        )
        return tuple(Elder(row.triplet, row.first, row.address, row.name) for row in found)


class Zone:
    def __init__(self, texts: Mapping[str, str]) -> None:
        self._texts = texts
        self.asked = 0

    def ask(self, name: str, kind: str) -> Answer:
        self.asked += 1
        text = self._texts.get(name) if kind == "TXT" else None
        return NoSuchName() if text is None else Found((Resource("TXT", name, text, 300),))


class Site:
    """Some workers, each with the networks that the kernel gives it, and one store."""

    def __init__(self, spf: str, workers: int = 2) -> None:
        self.now = 1000.0
        self.store = Store()
        self.zone = Zone({"b.example": spf})
        self.workers = [
            Greylister(Greylist(Rules(), SECRET), self.store.elders, lambda: self.now) for _ in range(workers)
        ]

    def attempt(self, address: str, name: str = "", sender: str = "a@b.example") -> Standing:
        worker = self.workers[hash(address.rpartition(".")[0]) % len(self.workers)]
        coming = worker.meet(self.zone, Sought(address, name, sender, "c@d.example", "h.b.example"))
        found = result_now(coming) if hasattr(coming, "send") else coming
        self.store.take(worker.greylist)
        standing: Standing = found.standing
        return standing


POOL = "v=spf1 ip4:198.18.0.0/16 ip4:198.19.0.0/18 -all"


@pytest.mark.parametrize("workers", [1, 3])
def test_a_sender_with_many_networks_is_put_off_once(workers: int) -> None:
    site = Site(POOL, workers)
    addresses = [f"198.18.{number}.25" for number in range(20)]
    assert [site.attempt(address) for address in addresses[:3]] == [NEW, NEW, NEW]
    site.now += 301
    assert site.attempt(addresses[7]) is RETRIED
    assert [site.attempt(address) for address in addresses[8:]] == [RETRIED] * 12


@settings(max_examples=50, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 15), st.floats(0, 200)), min_size=2, max_size=15))
def test_no_attempt_of_a_pool_passes_before_the_delay_and_none_is_put_off_after(steps: list[tuple[int, float]]) -> None:
    site = Site(POOL)
    begin = site.now
    for network, pause in steps:
        standing = site.attempt(f"198.18.{network}.25")
        assert (standing in PUT_OFF) == (int(site.now) - int(begin) < 300)
        site.now += pause


def test_an_outsider_gets_nothing_from_a_senders_pool() -> None:
    site = Site(POOL)
    site.attempt("198.18.1.1")
    site.now += 400
    assert site.attempt("203.0.113.5") is NEW
    assert Site("v=spf1 +all").attempt("198.18.1.1") is NEW
    wide = Site("v=spf1 ip4:198.0.0.0/8 +all")
    wide.attempt("198.18.1.1")
    wide.now += 400
    assert wide.attempt("198.18.2.1") is NEW
    bounces = Site(POOL)
    bounces.attempt("198.18.1.1", sender="")
    bounces.now += 400
    assert bounces.attempt("198.18.2.1", sender="") is NEW


def test_hosts_of_one_confirmed_parent_domain_are_one_sender() -> None:
    site = Site("v=spf1 ?all")
    assert site.attempt("198.18.1.1", "out1.mail.big.example") is NEW
    site.now += 301
    assert site.attempt("198.18.2.1", "out2.mail.other.example") is NEW
    assert site.attempt("198.18.3.1", "out2.mail.big.example") is RETRIED
    assert site.attempt("198.18.4.1") is NEW


def test_only_an_attempt_that_is_new_here_asks_anybody() -> None:
    site = Site(POOL, 1)
    site.attempt("198.18.1.1")
    assert (site.store.asked, site.zone.asked) == (1, 0)
    for _ in range(5):
        site.now += 100
        site.attempt("198.18.1.9")
    assert (site.store.asked, site.zone.asked) == (1, 0)


def test_what_a_worker_has_lost_the_store_still_knows() -> None:
    site = Site("", 1)
    site.attempt("198.18.1.1")
    site.workers[0] = Greylister(Greylist(Rules(), SECRET), site.store.elders, lambda: site.now)
    site.now += 301
    assert site.attempt("198.18.1.1") is RETRIED
    alone = Greylister(Greylist(Rules(), SECRET), nobody, lambda: site.now)
    sought = Sought("198.18.1.1", "", "a@b.example", "c@d.example", "h")
    first = alone.meet(site.zone, sought)
    assert hasattr(first, "send") and result_now(first).standing is NEW


# ---- traits -------------------------------------------------------------------------------------------------------


def test_names_that_providers_give_out_look_dynamic() -> None:
    for name in (
        "ip-198-18-3-4.isp.example",
        "4.3.18.198.isp.example",
        "198x18x3x4.isp.example",
        "c6120304.isp.example",
        "host198018003004.isp.example",
        "dsl-1234.isp.example",
        "adsl.isp.example",
        "pool-77.isp.example",
        "dynamic.isp.example",
        "x.dhcp.isp.example",
        "cpe-1.cable.isp.example",
    ):
        assert looks_dynamic(name, "198.18.3.4"), name
    for name in (
        "mail.example",
        "mx1.isp.example",
        "static-198-18-3-4.isp.example",
        "mail-198-18-3-4.sender.example",
        "poole.example",
        "dynamics.example",
        "out-4.isp.example",
        "credible.example",
    ):
        assert not looks_dynamic(name, "198.18.3.4"), name
    assert looks_dynamic("2001-db8-1-2-x.isp.example", "2001:db8:1:2::5") is False
    assert looks_dynamic("20010db800010002.isp.example", "2001:db8:1:2::5")


def test_parents_that_anybody_can_have_do_not_join() -> None:
    assert have_same_parent("a.mail.example.com", "b.mail.example.com")
    assert have_same_parent("a.example.com.", "B.EXAMPLE.com")
    assert not have_same_parent("a.example.com", "b.example.org")
    assert not have_same_parent("example.com", "example2.com")
    assert not have_same_parent("a.co.uk", "b.co.uk")
    assert have_same_parent("a.firm.co.uk", "b.firm.co.uk")
    assert not have_same_parent("dsl-1.isp.example", "dsl-2.isp.example")


def test_a_million_is_held_in_what_is_said() -> None:
    """The bound, with a thousandth of it: `python -m bench.greylist` has the real number."""
    records, chance = Records(2000, never_over), random.Random(1)
    keys = [chance.getrandbits(64) - 2**63 for _ in range(1000)]
    for key in keys:
        records.put(key, Entry(1, 1, 0), 1)
    assert all(records.get(key) is not None for key in keys)
