"""The rules of verify(8)'s cache, with time as an argument; and a model of them, in words of its own, for any history."""

from hypothesis import given
from hypothesis import strategies as st

from seawall.mail.verified import Standing
from seawall.spool.verify_cache import IN_PROGRESS, PROBE_TTL, Entry, Times, consult, has_expired, learn, lose

NOW = 1_000_000.0
TIMES = Times(positive_expire=1000.0, positive_refresh=500.0, negative_expire=300.0, negative_refresh=100.0)
FORGETFUL = TIMES._replace(keeps_failures=False)
GOOD, BAD, UNCLEAR, OPEN = Standing.DELIVERABLE, Standing.UNDELIVERABLE, Standing.DEFERRED, Standing.IN_PROGRESS


def test_a_new_address_is_in_progress_and_probed_once() -> None:
    first = consult(None, NOW, TIMES)
    assert (first.answer.standing, first.answer.text, first.probes) == (OPEN, IN_PROGRESS, True)
    again = consult(first.entry, NOW + 10, TIMES)
    assert (again.answer.standing, again.probes) == (OPEN, False)


def test_a_probe_that_nobody_answers_is_given_up_after_a_while() -> None:
    entry = consult(None, NOW, TIMES).entry
    assert not consult(entry, NOW + PROBE_TTL, TIMES).probes
    assert consult(entry, NOW + PROBE_TTL + 1, TIMES).probes


def test_a_success_is_served_tried_again_in_the_background_and_expires() -> None:
    entry = learn(None, GOOD, "250 Ok", NOW, TIMES)
    assert consult(entry, NOW + 500, TIMES)[0].good_for == 0
    assert consult(entry, NOW + 400, TIMES)[0].good_for == 100
    late = consult(entry, NOW + 501, TIMES)
    assert (late.answer.standing, late.probes) == (GOOD, True)
    assert consult(late.entry, NOW + 502, TIMES)[0].standing is GOOD
    gone = consult(entry, NOW + 1001, TIMES)
    assert (gone.answer.standing, gone.probes) == (OPEN, True)


def test_a_failure_has_times_of_its_own() -> None:
    for standing in (BAD, UNCLEAR):
        entry = learn(None, standing, "550 no", NOW, TIMES)
        assert consult(entry, NOW + 100, TIMES)[0].standing is standing
        assert not consult(entry, NOW + 100, TIMES).probes
        assert consult(entry, NOW + 101, TIMES).probes
        # NOW + 301 lies within PROBE_TTL of nothing: no probe was sent for this entry
        assert consult(entry, NOW + 301, TIMES)[0].standing is OPEN


def test_a_failure_takes_nothing_from_a_success() -> None:
    entry = learn(None, GOOD, "250 Ok", NOW, TIMES)
    asked = consult(entry, NOW + 600, TIMES).entry
    after = learn(asked, BAD, "550 no", NOW + 601, TIMES)
    assert after == asked
    assert not consult(after, NOW + 700, TIMES).probes  # not before the probe counts as lost
    expired = consult(after, NOW + 600 + PROBE_TTL + 1, TIMES)
    assert (expired.answer.standing, expired.probes) == (OPEN, True)
    failed = learn(expired.entry, BAD, "550 no", NOW + 2000, TIMES)
    assert failed is not None and failed.standing is BAD


def test_without_a_negative_cache_failures_are_not_kept() -> None:
    asked = consult(None, NOW, FORGETFUL)
    assert (asked.entry, asked.probes) == (None, True)
    assert learn(None, BAD, "550 no", NOW, FORGETFUL) is None
    assert learn(None, GOOD, "250 Ok", NOW, FORGETFUL) is not None
    old = Entry(BAD, NOW - 400, 0.0, "550 no")  # of a time when they were kept
    assert consult(old, NOW, FORGETFUL).entry is None


def test_a_probe_that_is_broken_off_leaves_what_was_known() -> None:
    assert lose(consult(None, NOW, TIMES).entry) is None
    entry = learn(None, GOOD, "250 Ok", NOW, TIMES)
    assert lose(consult(entry, NOW + 600, TIMES).entry) == entry


EVENTS = st.lists(
    st.tuples(
        st.sampled_from(["ask", GOOD, BAD, UNCLEAR, "lose"]),
        st.floats(min_value=0.0, max_value=1500.0, allow_nan=False),
    ),
    max_size=40,
)


@given(events=EVENTS, keeps=st.booleans())
def test_any_history_is_answered_by_the_last_word_that_counts(
    events: list[tuple[str | Standing, float]], keeps: bool
) -> None:
    times = TIMES._replace(keeps_failures=keeps)
    now, entry = NOW, None
    heard: list[tuple[float, Standing]] = []  # what probes said, whether it counted or not
    probed = 0.0
    for event, seconds in events:
        now += seconds
        if event == "ask":
            answer, entry, probes = consult(entry, now, times)
            if answer.standing is not OPEN:
                said = [at for at, standing in heard if standing is answer.standing]
                life = times.positive_expire if answer.standing is GOOD else times.negative_expire
                assert said, "an answer that no probe gave"
                # an answer outlives its time only while a probe for it is out
                assert now - max(said) <= life or now - probed <= PROBE_TTL
            if answer.standing in (BAD, UNCLEAR):
                assert keeps
                assert heard[-1][1] is not GOOD, "a failure after a success that came later"
            if probes:
                assert now - probed > PROBE_TTL or not keeps or entry is None or entry.probed == now
                probed = now
            assert not (probes and answer.good_for > 0)
        elif event == "lose":
            entry, probed = lose(entry), 0.0
        elif isinstance(event, Standing):
            before = entry
            entry = learn(entry, event, "text", now, times)
            heard.append((now, event))
            if event is GOOD:
                probed = 0.0
                assert entry == Entry(GOOD, now, 0.0, "text")
            elif before is not None and before.standing is GOOD:
                assert entry == before
            elif keeps:
                probed = 0.0
        if entry is not None:
            assert entry.updated <= now and entry.probed <= now
            assert entry.updated or entry.probed
            assert keeps or entry.standing is GOOD
            has_expired(entry, now, times)
