"""The scheduler: who may go when.  Times are seconds that the tests choose."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from seawall.mail.outcome import Deferred
from seawall.spool.scheduler import Alarms, Scheduler, Target, Timing, TransportLimits, Turn

DOWN = Deferred(status="4.4.1", text="connect: refused", site_down=True)


def targets(count: int, nexthop: str = "mx", transport: str = "smtp") -> list[Target]:
    return [Target(place, transport, nexthop, f"u{place}@x.example") for place in range(count)]


def scheduler(**limits: float) -> Scheduler:
    chosen = TransportLimits(
        concurrency=int(limits.get("concurrency", 20)),
        initial=int(limits.get("initial", 5)),
        recipients=int(limits.get("recipients", 50)),
        processes=int(limits.get("processes", 100)),
        failed_cohorts=limits.get("failed_cohorts", 1.0),
    )
    return Scheduler(lambda _: chosen, 300.0)


def test_recipients_of_one_next_hop_go_together_up_to_the_limit() -> None:
    queue = scheduler(recipients=2)
    queue.add("A", targets(5), 0.0)
    assert [len(turn.targets) for turn in queue.next_turns()] == [2, 2, 1]


def test_next_hops_do_not_wait_for_each_other() -> None:
    queue = scheduler(initial=1)
    queue.add("A", [*targets(1, "slow"), *targets(1, "fast")], 0.0)
    queue.add("B", targets(1, "slow"), 0.0)
    assert [(turn.queue_id, turn.nexthop) for turn in queue.next_turns()] == [("A", "slow"), ("A", "fast")]


def test_a_list_with_a_thousand_recipients_does_not_hold_up_a_letter() -> None:
    queue = scheduler(initial=1, recipients=10)
    queue.add("LIST", targets(1000), 0.0)
    queue.add("LETTER", targets(1), 0.0)
    (first,) = queue.next_turns()
    queue.finished(first, None, 1.0)
    assert [turn.queue_id for turn in queue.next_turns()][:1] == ["LETTER"]


def test_concurrency_starts_small_grows_with_success_and_stays_below_its_limit() -> None:
    queue = scheduler(initial=2, concurrency=4, recipients=2)
    queue.add("A", targets(100), 0.0)
    turns = queue.next_turns()
    assert len(turns) == 2
    for _ in range(10):
        queue.finished(turns.pop(0), None, 1.0)
        turns += queue.next_turns()
    assert len(turns) == 4


def test_a_transport_has_no_more_deliveries_than_processes() -> None:
    queue = scheduler(processes=3)
    queue.add("A", [target for host in "abcdef" for target in targets(1, host)], 0.0)
    assert len(queue.next_turns()) == 3
    assert queue.next_turns() == []


def test_one_recipient_at_a_time_makes_the_recipient_the_site() -> None:
    queue = scheduler(recipients=1, initial=1)
    queue.add("A", targets(3, "b.example", "local"), 0.0)
    queue.add("B", targets(1, "b.example", "local"), 0.0)
    assert [(turn.queue_id, turn.targets[0].place) for turn in queue.next_turns()] == [("A", 0), ("A", 1), ("A", 2)]


def test_a_site_that_fails_a_whole_cohort_is_dead_and_what_waits_there_is_given_up() -> None:
    queue = scheduler(initial=1, recipients=1)
    queue.add("A", [Target(0, "smtp", "mx", "same@x"), Target(1, "smtp", "mx", "same@x")], 0.0)
    (turn,) = queue.next_turns()
    given_up = queue.finished(turn, DOWN, 10.0)
    assert [(lost.queue_id, lost.targets[0].place) for lost in given_up] == [("A", 1)]
    assert queue.dead_sites(11.0) == (("smtp", "mx same@x"),)
    assert queue.add("B", [Target(0, "smtp", "mx", "same@x")], 200.0)[0][1] == DOWN
    assert queue.add("B", [Target(0, "smtp", "mx", "same@x")], 310.0) == []
    assert len(queue.next_turns()) == 1


def test_one_failure_among_several_is_no_death() -> None:
    queue = scheduler(initial=5, recipients=2)
    queue.add("A", targets(20), 0.0)
    turns = queue.next_turns()
    assert queue.finished(turns[0], DOWN, 1.0) == []
    assert queue.dead_sites(1.0) == ()


def test_a_flush_forgives_dead_sites() -> None:
    queue = scheduler(initial=1)
    queue.add("A", targets(1), 0.0)
    queue.finished(queue.next_turns()[0], DOWN, 1.0)
    queue.forgive()
    assert queue.add("A", targets(1), 2.0) == []
    assert len(queue.next_turns()) == 1


def test_dead_sites_are_forgotten_when_their_time_is_over() -> None:
    queue = scheduler(initial=1)
    queue.add("A", targets(1), 0.0)
    queue.finished(queue.next_turns()[0], DOWN, 1.0)
    queue.tidy(300.0)
    assert len(queue._sites) == 1
    queue.tidy(302.0)
    assert queue._sites == {}


def test_a_message_that_is_withdrawn_leaves_only_what_is_under_way() -> None:
    queue = scheduler(initial=1, recipients=1)
    queue.add("A", [Target(place, "smtp", "mx", "same@x") for place in range(3)], 0.0)
    (turn,) = queue.next_turns()
    assert [target.place for target in queue.withdraw("A")] == [1, 2]
    assert queue.finished(turn, None, 1.0) == []
    assert queue.next_turns() == []


@given(st.lists(st.tuples(st.sampled_from("ABCDEF"), st.sampled_from("xyz"), st.booleans()), max_size=60))
def test_everybody_gets_exactly_one_turn_or_is_told_why_not(mail: list[tuple[str, str, bool]]) -> None:
    queue = scheduler(initial=1, concurrency=2, recipients=3, processes=4)
    open_places: set[tuple[str, int]] = set()
    turns: list[tuple[Turn, bool]] = []
    fails = {}

    def close(queue_id: str, places: list[int]) -> None:
        for place in places:
            open_places.remove((queue_id, place))

    for place, (queue_id, nexthop, failing) in enumerate(mail):
        open_places.add((queue_id, place))
        fails[place] = failing
        for target, _ in queue.add(queue_id, [Target(place, "smtp", nexthop, f"u{place}@x")], float(place)):
            close(queue_id, [target.place])
        turns += [(turn, any(fails[t.place] for t in turn.targets)) for turn in queue.next_turns()]
        assert len(turns) <= 4
        if place % 2 and turns:
            turn, failed = turns.pop(0)
            close(turn.queue_id, [target.place for target in turn.targets])
            for lost in queue.finished(turn, DOWN if failed else None, float(place)):
                close(lost.queue_id, [target.place for target in lost.targets])
            turns += [(turn, any(fails[t.place] for t in turn.targets)) for turn in queue.next_turns()]
    while turns:
        turn, failed = turns.pop(0)
        close(turn.queue_id, [target.place for target in turn.targets])
        for lost in queue.finished(turn, DOWN if failed else None, 100.0):
            close(lost.queue_id, [target.place for target in lost.targets])
        turns += [(turn, any(fails[t.place] for t in turn.targets)) for turn in queue.next_turns()]
    assert not open_places


@pytest.mark.parametrize(("age", "wait"), [(0, 300), (299, 300), (1000, 1000), (9000, 4000)])
def test_the_next_attempt_is_as_far_away_as_the_message_is_old_within_bounds(age: int, wait: int) -> None:
    assert Timing().next_attempt(1000.0, 1000.0 + age) == 1000.0 + age + wait


def test_a_lifetime_of_nothing_is_one_attempt_for_reports_only() -> None:
    timing = Timing(maximal_queue_lifetime=86400.0, bounce_queue_lifetime=0.0)
    assert timing.has_expired(1000.0, "", 1000.0)
    assert not timing.has_expired(1000.0, "ann@a.example", 1000.0 + 86399)
    assert timing.has_expired(1000.0, "ann@a.example", 1000.0 + 86400)


def test_an_alarm_that_was_moved_rings_once() -> None:
    alarms = Alarms()
    alarms.set("A", 10.0)
    alarms.set("B", 5.0)
    alarms.set("A", 20.0)
    assert alarms.due(10.0) == ["B"]
    assert alarms.due(20.0) == ["A"]
    assert alarms.due(99.0) == []
    alarms.set("C", 5.0)
    assert alarms.drop("C")
    assert alarms.due(99.0) == []
