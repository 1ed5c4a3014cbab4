from hypothesis import given
from hypothesis import strategies as st

from seawall.door.screening import (
    BARE_NEWLINE,
    DEEP,
    DNSBL,
    EARLY,
    NEVER,
    NON_SMTP,
    PIPELINING,
    PREGREET,
    WAS_OFF,
    Action,
    Client,
    Fact,
    Listing,
)
from tests.door.world import DROP, ENFORCE, IGNORE, NOW, Door, rules

ENVELOPE = "EHLO a\r\n", "MAIL FROM:<a@b>\r\n", "RCPT TO:<c@d>\r\n"


def test_a_client_without_tests_gets_its_session_at_once() -> None:
    door = Door(rules(0)).arrive()
    assert door.facts == [Fact.KNOCKED]
    assert door.handed_on == 1
    assert not door.remembered


def test_a_client_that_waits_passes_and_is_remembered() -> None:
    door = Door(rules(PREGREET)).arrive()
    assert not door.is_over
    door.waited(NOW, 6.0)
    assert door.facts == [Fact.KNOCKED, Fact.PASSED]
    assert door.noted[-1][1] == {"is_new": True}
    assert door.remembered == [[NOW + 100, WAS_OFF, WAS_OFF, WAS_OFF, WAS_OFF]]
    assert door.handed_on == 1


def test_a_client_that_has_passed_before_does_not_wait() -> None:
    door = Door(rules(PREGREET)).arrive([NOW + 1, WAS_OFF, WAS_OFF, WAS_OFF, WAS_OFF])
    assert door.noted[-1] == (Fact.PASSED, {"is_new": False})
    assert door.handed_on == 1


def test_a_result_that_has_expired_is_tested_again_and_the_client_is_an_old_one() -> None:
    door = Door(rules(PREGREET)).arrive([NOW - 1, WAS_OFF, WAS_OFF, WAS_OFF, WAS_OFF])
    assert not door.is_over
    door.waited(NOW, 6.0)
    assert door.noted[-1] == (Fact.PASSED, {"is_new": False})


def test_only_what_has_expired_is_tested() -> None:
    door = Door(rules(EARLY)).arrive([NOW + 50, NOW - 1, NEVER, NEVER, NEVER])
    assert door.asked_score
    assert not door.awaits_silence
    door.scored(0, "", 60, NOW, 0.1)
    assert door.handed_on == 1


def test_an_early_talker_that_is_let_off_is_tested_the_next_time() -> None:
    door = Door(rules(PREGREET, IGNORE)).arrive()
    door.spoke(3, "abc", NOW, 1.0)
    assert door.handed_on == 1
    assert not door.remembered


def test_an_early_talker_is_dropped_with_521() -> None:
    door = Door(rules(PREGREET, DROP)).arrive()
    door.spoke(3, "abc", NOW, 1.0)
    assert door.replies == ["521 5.5.1 Protocol error"]
    assert door.left == 1


def test_an_early_talker_hears_no_greeting_and_no_recipient_is_taken() -> None:
    door = Door(rules(PREGREET, ENFORCE)).arrive()
    door.spoke(3, "abc", NOW, 1.0)
    for line in ENVELOPE:
        door.hear(line)
    assert door.replies[-1] == "550 5.5.1 Protocol error"
    assert "220 hello" not in door.replies


def test_a_score_at_the_threshold_fails_and_names_the_heaviest_list() -> None:
    door = Door(rules(DNSBL, DROP, threshold=2)).arrive()
    door.scored(2, "bl.example", 60, NOW, 0.1)
    assert door.replies == ["521 5.7.1 Service unavailable; client [192.0.2.1] blocked using bl.example"]
    assert Fact.RANKED in door.facts


def test_lists_that_do_not_answer_in_time_weigh_nothing() -> None:
    door = Door(rules(EARLY, DROP)).arrive()
    door.waited(NOW, 6.0)
    assert door.handed_on == 1


def test_a_client_that_lists_know_as_good_is_spared_the_other_tests() -> None:
    door = Door(rules(EARLY | DEEP, DROP, allow_threshold=-2)).arrive()
    door.scored(-3, "wl.example", 60, NOW, 0.1)
    assert door.handed_on == 1
    assert door.remembered == [[NOW + 60] * 5]


def test_where_we_are_a_backup_nobody_passes() -> None:
    door = Door(rules(PREGREET)).arrive(is_backup=True)
    door.waited(NOW, 6.0)
    for line in ENVELOPE:
        door.hear(line)
    assert door.replies[-1] == "450 4.3.2 Service currently unavailable"
    assert not door.remembered


def test_a_denied_client_that_is_let_off_is_tested_like_others() -> None:
    door = Door(rules(PREGREET, denylist=IGNORE)).arrive(listing=Listing.DENIED)
    door.waited(NOW, 6.0)
    assert door.facts == [Fact.KNOCKED, Fact.IN_LIST, Fact.PASSED]


def test_one_connection_too_many_is_turned_away_before_anything_else() -> None:
    client = Client()
    Door(rules(PREGREET, connections=1), client).arrive()
    second = Door(rules(PREGREET, connections=1), client).arrive(listing=Listing.ALLOWED)
    assert second.replies == ["421 4.7.0 Error: too many connections"]


def test_of_two_connections_at_one_time_the_first_to_pass_is_new() -> None:
    client = Client()
    doors = [Door(rules(PREGREET), client).arrive() for _ in range(2)]
    for door in doors:
        door.waited(NOW, 6.0)
    assert [door.noted[-1] for door in doors] == [(Fact.PASSED, {"is_new": new}) for new in (True, False)]


def test_deep_tests_end_at_the_first_recipient_and_the_client_must_come_again() -> None:
    door = Door(rules(DEEP, ENFORCE)).arrive()
    for line in ENVELOPE:
        door.hear(line)
    assert door.replies[-1] == "450 4.3.2 Service currently unavailable"
    door.hear("QUIT\r\n")
    assert door.noted[-2:] == [(Fact.PASSED, {"is_new": True}), (Fact.LEFT, {})]
    assert door.remembered == [[WAS_OFF, WAS_OFF, NOW + 300, NOW + 400, NOW + 500]]


def test_a_client_that_hangs_up_keeps_what_it_has_passed() -> None:
    door = Door(rules(DEEP)).arrive()
    for line in ENVELOPE:
        door.hear(line)
    door.hung_up(9.0)
    assert door.facts[-3:] == [Fact.HUNG_UP, Fact.PASSED, Fact.LEFT]


def test_what_was_passed_can_still_be_failed() -> None:
    door = Door(rules(BARE_NEWLINE, ENFORCE)).arrive()
    for line in (*ENVELOPE, "RSET\n", "QUIT\r\n"):
        door.hear(line)
    assert Fact.PASSED not in door.facts
    assert not door.remembered


EVENTS = st.lists(
    st.sampled_from(
        [
            "speak",
            "wait",
            "score",
            "bad score",
            "hang up",
            *ENVELOPE,
            "GET /\r\n",
            "NOOP\r\nNOOP\r\n",
            "NOOP\n",
            "QUIT\r\n",
        ]
    ),
    max_size=12,
)


@given(
    enabled=st.integers(0, 31),
    actions=st.lists(st.sampled_from(Action), min_size=5, max_size=5),
    denylist=st.sampled_from(Action),
    listing=st.sampled_from(Listing),
    known=st.none() | st.lists(st.sampled_from([NEVER, WAS_OFF, NOW - 10, NOW + 10]), min_size=5, max_size=5),
    is_backup=st.booleans(),
    events=EVENTS,
)
def test_nobody_passes_who_failed_and_everybody_ends_once(
    enabled: int,
    actions: list[Action],
    denylist: Action,
    listing: Listing,
    known: list[int] | None,
    is_backup: bool,
    events: list[str],
) -> None:
    door = Door(rules(enabled, *actions, denylist=denylist)).arrive(known, listing, is_backup=is_backup)
    for event in events:
        if door.is_over:
            break
        play(door, event)
    assert door.handed_on + door.left <= 1
    assert not (door.handed_on and door.goes_no_further)
    harmless = {test for test in range(5) if actions[test] is IGNORE}
    broke = {
        test
        for test, word in (
            (PIPELINING, "COMMAND PIPELINING"),
            (NON_SMTP, "NON-SMTP COMMAND"),
            (BARE_NEWLINE, "BARE NEWLINE"),
        )
        if any(facts.get("what") == word for _, facts in door.noted) and (test.bit_length() - 1) not in harmless
    }
    if Fact.SPOKE_EARLY in door.facts and 0 not in harmless:
        broke.add(PREGREET)
    if Fact.RANKED in door.facts and 1 not in harmless:
        broke.add(DNSBL)
    if broke:
        assert not door.handed_on
        if door.left:
            assert not door.remembered
    assert (Fact.LEFT in door.facts) == bool(door.left)
    assert door.client.connections == (0 if door.is_over else 1)


def play(door: Door, event: str) -> None:
    if door.dialogue is not None:
        if event == "hang up":
            door.hung_up(2.0)
        elif event.endswith("\n"):
            door.hear(event)
    elif event == "speak" and door.awaits_silence:
        door.spoke(4, "noop", NOW, 1.0)
    elif event == "wait":
        door.waited(NOW, 6.0)
    elif event in ("score", "bad score") and door.asked_score:
        door.asked_score = False
        door.scored(5 if event == "bad score" else 0, "bl.example", 60, NOW, 1.0)
    elif event == "hang up":
        door.hung_up(2.0)
