"""When a DNS list is put aside, and when it comes back: by positive evidence only, and always."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from seawall.dns.answers import Answer, Found, NoData, NoSuchName, Resource, TryAgain
from seawall.policy import list_watch
from seawall.policy.dnsbl import parse_reply_filter
from seawall.policy.list_watch import Heard, Kind, ListWatch, Must, News, Point, Purpose, What, network_of

LISTED, ERROR = "127.0.0.2", "127.255.255.254"


def hit(address: str = LISTED, ttl: int = 5) -> Answer:
    return Found((Resource("A", "x", address, ttl),))


def watch(*kinds: Kind, zone: str = "bl.example") -> ListWatch:
    watched = ListWatch(zone)
    for kind in kinds or (Kind.ADDRESSES,):
        watched.use(kind, None)
    return watched


def ask(
    watched: ListWatch, purpose: Purpose, say: Callable[[Point], Answer], now: float = 0.0, seed: int = 1
) -> tuple[News, ...]:
    asked = watched.begin(purpose, now, random.Random(seed).randrange)
    return watched.judge(asked, [say(point) for point in asked.points], now)


def sound(point: Point) -> Answer:
    return hit() if point.must is Must.BE else NoSuchName()


def everything(point: Point) -> Answer:
    return hit()


def nothing(point: Point) -> Answer:
    return NoSuchName()


def silence(point: Point) -> Answer:
    return TryAgain("timeout")


def silent_but_beside(point: Point) -> Answer:
    return NoSuchName() if point.must is Must.ANSWER else TryAgain("timeout")


def only(about: str) -> Callable[[Point], Answer]:
    return lambda point: hit() if point.about == about else sound(point)


def test_the_points_are_those_of_rfc_5782() -> None:
    asked = watch(Kind.ADDRESSES, Kind.DOMAINS).begin(Purpose.REGULAR, 0, random.Random(1).randrange)
    queries = {point.query: point.must for point in asked.points}
    assert queries["1.0.0.127.bl.example"] is queries["INVALID.bl.example"] is Must.NOT
    assert queries["2.0.0.127.bl.example"] is queries["TEST.bl.example"] is Must.BE
    assert len(queries) == 6  # and a random address and a random name, which nobody can know beforehand


def test_a_sound_list_stays_and_is_believed_for_a_while() -> None:
    watched = watch()
    assert not watched.is_believed(0)
    assert ask(watched, Purpose.CONFIRM, sound) == ()
    assert watched.is_believed(list_watch.BELIEVED / 2)
    assert not watched.is_believed(list_watch.BELIEVED)


@pytest.mark.parametrize(
    ("kind", "about"), [(Kind.ADDRESSES, "127.0.0.1"), (Kind.DOMAINS, "INVALID")], ids=["addresses", "domains"]
)
def test_an_entry_that_no_list_may_have_puts_it_aside(kind: Kind, about: str) -> None:
    watched = watch(kind)
    (news,) = ask(watched, Purpose.CONFIRM, only(about))
    assert (news.what, news.why, watched.is_aside) == (What.ASIDE, "forbidden entry", True)
    assert news.evidence == f"it lists {about} (127.0.0.2), which no list has (RFC 5782)"


def test_a_wildcard_that_spares_the_test_points_is_found_by_a_random_address() -> None:
    watched = watch()
    (news,) = ask(watched, Purpose.CONFIRM, lambda point: sound(point) if point.about.startswith("127.") else hit())
    assert news.what is What.ASIDE


def test_an_error_answer_puts_it_aside_at_once() -> None:
    watched = watch()
    news = watched.heard(Heard.ERROR, "192.0.2.1", 0, ERROR)
    assert news is not None
    assert (news.why, news.evidence) == ("error answer", f"it answers {ERROR} about 192.0.2.1: an error, no entry")
    assert watched.is_aside


def test_lists_have_error_answers_of_their_own() -> None:
    assert watch(zone="multi.uribl.com").read(hit("127.0.0.1")) is Heard.ERROR
    assert watch().read(hit("127.0.0.1")) is Heard.HIT
    assert watch().read(hit("127.255.255.1")) is watch().read(hit("127.255.255.255")) is Heard.ERROR
    assert watch().read(hit("127.255.25.5")) is Heard.HIT


def test_what_no_filter_lets_count_is_no_lie() -> None:
    watched = ListWatch("scores.example")
    watched.use(Kind.ADDRESSES, parse_reply_filter("127.0.4.[0..20]"))
    assert ask(watched, Purpose.REGULAR, lambda point: hit("127.0.4.95")) == (
        News(What.LACKS_TEST, "scores.example", evidence="127.0.0.2"),
    )
    watched.use(Kind.ADDRESSES, None)
    assert ask(watched, Purpose.CONFIRM, lambda point: hit("127.0.4.95"))[0].what is What.ASIDE


def test_a_missing_test_point_is_told_once_and_no_more() -> None:
    watched = watch()
    assert ask(watched, Purpose.REGULAR, nothing) == (News(What.LACKS_TEST, "bl.example", evidence="127.0.0.2"),)
    assert ask(watched, Purpose.REGULAR, nothing) == ()
    assert not watched.is_aside


def test_a_site_without_a_network_tells_nothing_of_its_lists() -> None:
    watched = watch()
    assert ask(watched, Purpose.REGULAR, silence) == ask(watched, Purpose.COMPARE, silence) == ()
    assert ask(watched, Purpose.CONFIRM, silence) == ()
    assert not watched.is_aside
    assert watched.is_believed(list_watch.UNDECIDED - 1)


def test_silence_counts_only_where_the_dns_beside_the_list_answers() -> None:
    watched = watch()
    for _ in range(list_watch.IN_VAIN):
        assert watched.due(0) is None
        watched.heard(Heard.TROUBLE, "192.0.2.1", 0)
    assert watched.due(0) is Purpose.COMPARE
    assert ask(watched, Purpose.COMPARE, lambda point: NoData() if point.must is Must.NOT else TryAgain()) == ()
    (news,) = ask(watched, Purpose.COMPARE, silent_but_beside)
    assert (news.what, news.why) == (What.ASIDE, "silent")


def test_silence_is_noticed_without_mail_as_well() -> None:
    watched = watch()
    ask(watched, Purpose.REGULAR, silence)
    assert watched.due(0) is Purpose.COMPARE


def test_an_answer_between_them_makes_troubles_harmless() -> None:
    watched = watch()
    for _ in range(50):
        watched.heard(Heard.TROUBLE, "192.0.2.1", 0)
        watched.heard(Heard.TROUBLE, "192.0.2.1", 0)
        watched.heard(Heard.MISS, "192.0.2.1", 0)
        assert watched.due(0) is None


def flood(watched: ListWatch, networks: int, listed: int, now: float = 0.0) -> None:
    for at in range(networks):
        watched.heard(Heard.HIT if at < listed else Heard.MISS, f"198.51.{at}.7", now)


def test_a_flood_of_listed_clients_makes_the_world_be_asked_about_and_convicts_nobody() -> None:
    watched = watch()
    flood(watched, list_watch.NETWORKS - 1, 500)
    assert watched.due(0) is None
    flood(watched, list_watch.NETWORKS, 500)
    assert watched.due(0) is Purpose.WORLD
    half = iter([hit(), NoSuchName()] * list_watch.SAMPLE)
    assert ask(watched, Purpose.WORLD, lambda point: next(half)) == ()
    assert watched.due(0) is None
    assert not watched.is_aside
    flood(watched, list_watch.NETWORKS, 500)
    assert watched.due(0) is None  # nor is it asked more because the flood goes on
    assert watched.due(list_watch.WORLD_PAUSE) is Purpose.WORLD


def test_a_list_that_lists_the_world_lies() -> None:
    watched = watch()
    flood(watched, list_watch.NETWORKS, 500)
    (news,) = ask(watched, Purpose.WORLD, everything)
    assert (news.why, news.evidence) == ("whole world", "it lists 16 of 16 random addresses")


def test_the_share_goes_by_networks_within_an_hour() -> None:
    watched = watch()
    for _ in range(1000):
        watched.heard(Heard.HIT, "198.51.100.7", 0)
    flood(watched, 190, 190)
    flood(watched, 190, 190, now=list_watch.WINDOW + 1)
    assert watched.due(0) is None
    assert network_of("192.0.2.1") == network_of("192.0.2.200") != network_of("192.0.3.1")
    assert network_of("2001:db8::1") == network_of("2001:db8:0:ff::1") != network_of("2001:db8:1::1")
    assert network_of("Bad.Example") == network_of("bad.example")


def test_it_is_asked_again_later_each_time_and_taken_back_when_it_is_mended() -> None:
    watched = watch()
    ask(watched, Purpose.CONFIRM, everything)
    now, pauses = 0.0, []
    for _ in range(9):
        while watched.due(now) is None:
            now += 1
        (news,) = ask(watched, Purpose.AGAIN, everything, now)
        assert news.what is What.STILL
        pauses.append(news.pause)
    assert pauses == [120, 240, 480, 960, 1920, 3600, 3600, 3600, 3600]
    now += 3600
    assert watched.due(now) is Purpose.AGAIN
    (news,) = ask(watched, Purpose.AGAIN, nothing, now)  # without its test point: no reason to keep it out
    assert (news.what, news.pause) == (What.BACK, now)
    assert watched.is_believed(now)


def test_it_does_not_come_back_before_its_lies_have_left_the_caches() -> None:
    watched = watch()
    ask(watched, Purpose.CONFIRM, lambda point: hit(ttl=900))
    assert watched.due(899) is None
    assert watched.due(900) is Purpose.AGAIN


def test_silence_while_it_is_aside_does_not_bring_it_back() -> None:
    watched = watch()
    ask(watched, Purpose.CONFIRM, everything)
    assert ask(watched, Purpose.AGAIN, silence, 60)[0].what is What.STILL
    assert watched.is_aside


def test_a_list_of_the_whole_world_must_deny_the_world_to_come_back() -> None:
    watched = watch()
    ask(watched, Purpose.WORLD, everything)
    assert (
        ask(watched, Purpose.AGAIN, lambda point: hit() if point.must is Must.ANSWER else sound(point), 60)[0].what
        is What.STILL
    )
    assert ask(watched, Purpose.AGAIN, sound, 180)[0].what is What.BACK


def test_what_another_process_found_out_counts_here() -> None:
    watched = watch()
    assert watched.adopt(News(What.ASIDE, "bl.example", "silent", pause=60), 0)
    assert watched.is_aside
    assert watched.due(119) is None  # who found it out asks after 60 s
    assert not watched.adopt(News(What.STILL, "bl.example", "silent", pause=120), 61)
    assert watched.due(300) is None
    assert watched.due(301) is Purpose.AGAIN
    assert watched.adopt(News(What.BACK, "bl.example"), 200)
    assert not watched.is_aside


ANSWERS: Sequence[Answer] = (NoSuchName(), NoData(), TryAgain("timeout"), hit(), hit(ERROR), hit("127.0.0.9", 9999))
EVENTS = st.lists(
    st.tuples(
        st.sampled_from([*Heard, *Purpose]),
        st.lists(st.sampled_from(ANSWERS), min_size=24, max_size=24),
        st.floats(0, 5000),
    ),
    max_size=30,
)


@settings(max_examples=200, deadline=None)
@given(events=EVENTS, kinds=st.sets(st.sampled_from(Kind), min_size=1))
def test_whatever_happened_a_list_that_answers_soundly_comes_back(
    events: list[tuple[Heard | Purpose, list[Answer], float]], kinds: set[Kind]
) -> None:
    watched, now, draw = watch(*kinds), 0.0, random.Random(1).randrange
    for what, answers, seconds in events:
        now += seconds
        if isinstance(what, Heard):
            watched.heard(what, "192.0.2.1", now, ERROR)
            continue
        asked = watched.begin(what, now, draw)
        watched.judge(asked, answers[: len(asked.points)] + [NoSuchName()] * (len(asked.points) - 24), now)
    for _ in range(3):
        now += 2 * 3600 + 1
        if watched.due(now) is Purpose.AGAIN:
            ask(watched, Purpose.AGAIN, sound, now)
    assert not watched.is_aside


@settings(max_examples=200, deadline=None)
@given(
    purposes=st.lists(st.sampled_from(Purpose), max_size=20),
    answers=st.lists(st.sampled_from(ANSWERS[:3]), min_size=20, max_size=20),
)
def test_what_is_not_listed_or_not_answered_never_puts_a_list_aside(
    purposes: list[Purpose], answers: list[Answer]
) -> None:
    watched, drawn = watch(*Kind), iter(answers * 100)
    for at, purpose in enumerate(purposes):
        if purpose is not Purpose.COMPARE:  # which is about silence
            ask(watched, purpose, lambda point: next(drawn), float(at))
    assert not watched.is_aside
