"""Greylisting at RCPT: where it stands among the checks, whom it asks about, what a stranger hears; and its store."""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Coroutine, Mapping
from pathlib import Path

import pytest

from seawall.config.settings import ConfigTrouble
from seawall.dns.hosts import Hosts
from seawall.dns.zone import Zone
from seawall.eager import result_now
from seawall.journal.batch import batch_of
from seawall.journal.record import Warned
from seawall.journal.records.edge import Opened
from seawall.journal.store import Store, read_arrivals
from seawall.policy.attempt import Attempt, NameStatus
from seawall.policy.facts import RecordingFacts
from seawall.policy.greylist import Greylist, NetworkRow, Rules, Standing, TripletRow, networks_seen
from seawall.policy.greylist_store import GreylistLookUps, GreylistStore
from seawall.policy.greylisting import Greylister, nobody, read_rules
from seawall.policy.judge import Judge
from seawall.policy.policy_server import Checks
from seawall.policy.reasons import Reason
from seawall.policy.verdict import Act, Verdict
from seawall.policy.world import WorldFacts
from seawall.routing.resolve import Routing
from seawall.tables.registry import Tables
from tests.policy.test_policy_server import question
from tests.policy.versus import ZONE, settings_of

FORMATS = Path(__file__).parent.parent / "golden" / "formats"
SEE = "Greylisted, see http://postgrey.schweikert.ch/help/here.example.html"
REFUSED = f"450 4.2.0 <joe@here.example>: Recipient address rejected: {SEE}"


class Door:
    """A judge with a greylist, a clock in the test's hand, and a stranger."""

    def __init__(self, **settings: str) -> None:
        made = settings_of({"seawall_greylist": "yes", **settings})
        tables = Tables(warn=lambda text: None)
        self.now = 1000.0
        self.greylist = Greylist(read_rules(made), b"k" * 16)
        greylister = Greylister(self.greylist, nobody, lambda: self.now)
        world = WorldFacts(made, tables, Routing(made, tables), Zone(ZONE), Hosts(), greylister=greylister)
        self.heard: list[str] = []
        self.judge = Judge(
            made, RecordingFacts(world, lambda kind, words, answer: self.heard.append(kind)), needs_guard=False
        )
        self.remarks: list[tuple[str, str]] = []
        self.reason = ""
        self.checks = Checks(made, world, "greylist")
        self.world = world

    def rcpt(self, recipient: str = "joe@here.example", **facts: object) -> str:
        attempt = Attempt("198.18.7.7", name="mx.friend.example", reverse_name="mx.friend.example", helo="h.example")
        attempt.sender, attempt.recipient, attempt.where = "a@friend.example", recipient, "RCPT"
        for name, value in facts.items():
            setattr(attempt, name, value)
        answer = self.judge.rcpt(attempt)
        if not isinstance(answer, Verdict):
            assert isinstance(answer, Coroutine)
            answer = result_now(answer)
        assert isinstance(answer, Verdict)
        self.remarks = [(remark.what, remark.text) for remark in attempt.remarks]
        self.reason = answer.reason
        return answer.reply.line() if answer.act is Act.REJECT and answer.reply is not None else "ok"


def test_a_stranger_is_put_off_in_postgreys_words_and_passes_after_the_delay() -> None:
    door = Door()
    assert door.rcpt() == REFUSED
    assert (door.remarks, door.reason) == ([("reject", REFUSED)], Reason.GREYLISTED)
    door.now += 299
    assert door.rcpt() == REFUSED
    door.now += 1
    assert door.rcpt() == "ok"
    assert door.remarks == [("info", "greylist: came again after 300 s")]
    assert door.rcpt() == "ok"
    assert door.remarks == []


def test_the_text_may_name_the_seconds_and_the_domain() -> None:
    assert Door(seawall_greylist_text="for %r wait %s s").rcpt().endswith("rejected: for here.example wait 300 s")


def test_who_is_ours_is_not_asked_about() -> None:
    door = Door()
    assert door.rcpt(address="10.1.2.3") == "ok"  # mynetworks
    assert door.rcpt(address="192.0.2.1") == "ok"  # inet_interfaces
    assert door.rcpt(sasl_username="joe") == "ok"
    assert door.rcpt("postmaster@here.example", sender="b@friend.example") != REFUSED
    assert door.rcpt("postmaster") == "ok"
    assert door.rcpt(where="VRFY") == "ok"
    assert "greylist" not in door.heard
    assert len(door.greylist.triplets) == 0


def test_all_other_checks_come_before_it() -> None:
    door = Door(
        smtpd_relay_restrictions="reject_unauth_destination", smtpd_sender_restrictions="reject_unknown_sender_domain"
    )
    assert door.rcpt("x@elsewhere.example").startswith("554 5.7.1 ")
    assert door.rcpt("nobody@here.example").startswith("550 5.1.1 ")
    assert door.rcpt(sender="a@nosuch.example").startswith("450 4.1.8 ")
    assert len(door.greylist.triplets) == 0
    assert door.rcpt() == REFUSED


def test_what_the_last_list_vouches_for_is_not_put_off_but_permit_for_all_vouches_for_nobody() -> None:
    vouched = "check_sender_access inline:{friend.example=OK}"
    assert Door(smtpd_recipient_restrictions=f"{vouched}, permit").rcpt() == "ok"
    assert Door(smtpd_recipient_restrictions="reject_unauth_destination, permit").rcpt() == REFUSED
    assert Door(smtpd_recipient_restrictions="permit_auth_destination").rcpt() == REFUSED
    first = Door(smtpd_relay_before_recipient_restrictions="no", smtpd_relay_restrictions="reject_unauth_destination")
    assert first.rcpt() == REFUSED
    assert first.rcpt("x@elsewhere.example").startswith("554 5.7.1 ")


def test_off_there_is_no_such_check() -> None:
    off = Door(seawall_greylist="no", smtpd_recipient_restrictions="reject_unauth_destination, permit")
    assert [item.name for item in off.judge.lists["recipient"]] == ["reject_unauth_destination", "permit"]
    assert off.rcpt() == "ok" and "greylist" not in off.heard


def test_passively_everything_is_learnt_and_nobody_waits() -> None:
    door = Door(seawall_greylist="passive")
    assert door.rcpt() == "ok"
    assert door.remarks == [("reject_warning", REFUSED)]
    door.now += 400
    assert door.rcpt() == "ok" and door.remarks[0][0] == "info"


NAMELESS: Mapping[str, object] = {"name": "unknown", "name_status": NameStatus.PERMANENT}


def test_only_the_suspicious_may_be_meant() -> None:
    door = Door(seawall_greylist="suspicious")
    assert door.rcpt() == "ok"
    assert door.rcpt(**NAMELESS) == REFUSED
    assert door.rcpt(name="unknown", name_status=NameStatus.FORGED) == REFUSED
    assert door.rcpt(name="dsl-7.isp.example", address="198.18.8.8") == REFUSED
    assert door.rcpt(name="unknown", name_status=NameStatus.TEMPORARY) == "ok"


@pytest.mark.parametrize(("score", "said"), [(1, REFUSED), (0, "ok"), (-2, "ok"), (None, "ok")])
def test_whom_dns_lists_weigh_is_suspicious_where_the_door_asks_some(score: int | None, said: str) -> None:
    async def later(address: str) -> int | None:
        return score

    for answer in (lambda address: score, later):
        door = Door(seawall_greylist="suspicious")
        door.world.score_of = answer
        assert door.rcpt() == said
    assert Door(seawall_greylist="suspicious").rcpt() == "ok"


def test_lists_are_not_asked_about_whom_nobody_would_put_off() -> None:
    door = Door(seawall_greylist="suspicious")
    asked: list[str] = []
    door.world.score_of = asked.append
    door.rcpt(address="10.1.2.3")
    door.rcpt(sasl_username="joe")
    door.rcpt(name="unknown", name_status=NameStatus.PERMANENT)
    assert asked == []


def test_a_word_that_is_none_is_told() -> None:
    with pytest.raises(ConfigTrouble, match="seawall_greylist = maybe: no, passive, suspicious or yes is meant"):
        Door(seawall_greylist="maybe")


def test_a_policy_service_says_the_same() -> None:
    door = Door()
    attempt = Attempt(
        "198.18.7.7", name="mx.friend.example", reverse_name="mx.friend.example", helo="h.example", where="RCPT"
    )
    attempt.sender, attempt.recipient = "a@friend.example", "joe@here.example"
    assert result_now(door.checks.answer(question(attempt))).action == f"450 4.2.0 {SEE}"
    door.now += 300
    assert result_now(door.checks.answer(question(attempt))).action == "DUNNO"


# ---- the store ----------------------------------------------------------------------------------------------------


def row(triplet: int, first: int, passed: int = 0, pair: int = 7, name: str = "", last: int = 0) -> TripletRow:
    return TripletRow(triplet, pair, first, last or first, passed, "198.18.3.4", name)


def test_what_is_kept_is_loaded_with_the_same_key(tmp_path: Path) -> None:
    path = tmp_path / "state" / "greylist.sqlite"
    store = GreylistStore(path)
    greylist = Greylist(Rules(), store.secret)
    keys = greylist.keys("198.18.3.4", "a\udcff@b.example", "c@d.example")
    greylist.meet(keys, 1000.0, "198.18.3.4", "mx\udcff.b.example")
    store.save(*greylist.take_changes())
    greylist.meet(keys, 1300.0, "198.18.3.4", "mx.b.example")
    store.save(*greylist.take_changes())
    store.close()
    again = GreylistStore(path)
    assert again.secret == store.secret
    assert oct(path.stat().st_mode)[-3:] == "600"
    kept = GreylistLookUps(path, print)
    fresh = Greylist(Rules(), again.secret, kept)
    keys = fresh.keys("198.18.3.9", "a\udcff@b.example", "C@d.example")
    assert fresh.meet(keys, 1301.0, "198.18.3.9").standing is Standing.PASSED
    assert kept.find(0, keys.network) == (None, (1300, 1300, 1))
    kept.close()
    [elder] = again.elders(keys.pair)
    assert elder == (keys.triplet, 1000, "198.18.3.4", "mx.b.example")
    again.close()


def test_elders_are_those_that_passed_and_then_the_oldest(tmp_path: Path) -> None:
    store = GreylistStore(tmp_path / "greylist.sqlite")
    store.save([row(1, 50), row(2, 20), row(3, 90, passed=1), row(-4, 10, pair=8), row(5, 60)], [])
    assert [elder.triplet for elder in store.elders(7)] == [3, 2, 1]
    store.close()


def test_what_is_over_goes_and_a_bound_holds_with_who_waits_first(tmp_path: Path) -> None:
    store = GreylistStore(tmp_path / "greylist.sqlite")
    kept = GreylistLookUps(tmp_path / "greylist.sqlite", print)
    day = 86400
    store.save(
        [row(1, day), row(2, 37 * day), row(3, day, 1, last=2 * day), row(4, day, 1, last=30 * day)],
        [NetworkRow(1, day, day, 3), NetworkRow(2, day, 38 * day, 3)],
    )
    assert store.forget(Rules(), 38.0 * day, 100) == 2
    kept_still = [kept.find(number, 0)[0] is not None for number in range(1, 5)]
    assert kept_still == [False, True, False, True]
    assert kept.find(0, 1)[1] is None and kept.find(0, 2)[1] == (day, 38 * day, 3)
    store.save([row(number, 38 * day + number, passed=number % 2) for number in range(100, 110)], [])
    assert store.forget(Rules(most=5), 38.5 * day, 100) == 7
    assert {number for number in range(2, 110) if kept.find(number, 0)[0]} == {101, 103, 105, 107, 109}
    kept.close()
    store.close()


def test_a_file_of_another_format_is_put_aside(tmp_path: Path) -> None:
    path = tmp_path / "greylist.sqlite"
    database = sqlite3.connect(path)
    database.executescript("CREATE TABLE meta (format INTEGER, secret BLOB); INSERT INTO meta VALUES (99, x'00');")
    database.close()
    store = GreylistStore(path)
    assert len(store.secret) == 16
    assert (tmp_path / "greylist.sqlite.other-format").exists()
    store.close()
    path.write_bytes(b"no database " * 1000)
    with pytest.raises(sqlite3.DatabaseError):
        GreylistStore(path)
    assert path.read_bytes().startswith(b"no database ")


def test_a_file_of_the_first_format_is_read(tmp_path: Path) -> None:
    path = tmp_path / "greylist.sqlite"
    shutil.copy(FORMATS / "greylist.1", path)
    store = GreylistStore(path)
    assert store.secret == bytes(range(16))
    kept = GreylistLookUps(path, print)
    keys = Greylist(Rules(), store.secret).keys("198.18.3.4", "a@b.example", "c@d.example")
    assert kept.find(keys.triplet, keys.network) == ((1000, 2000, 1), (1000, 2000, 3))
    assert [elder.name for elder in store.elders(keys.pair)] == ["mx.b.example"]
    kept.close()
    store.close()


def test_a_damaged_store_is_put_aside_and_keeps_its_key_for_who_has_it(tmp_path: Path) -> None:
    path = tmp_path / "greylist.sqlite"
    store = GreylistStore(path)
    store.save([row(number, 5) for number in range(3000)], [])
    store.close()
    store = GreylistStore(path)
    with path.open("r+b") as file:
        file.seek(3 * 4096)
        file.write(b"\xa5" * (path.stat().st_size - 3 * 4096))
    secret = store.secret
    with pytest.raises(sqlite3.DatabaseError, match=r"greylist\.sqlite\.damaged"):
        store.elders(7)
    store.save([row(1, 5)], [])
    assert len(store.elders(7)) == 1
    store.close()
    again = GreylistStore(path)
    assert again.secret == secret
    again.close()


def test_two_processes_may_open_a_store_that_is_not_there(tmp_path: Path) -> None:
    one, two = (GreylistStore(tmp_path / "greylist.sqlite") for _ in range(2))
    assert one.secret == two.secret
    one.save([row(1, 5)], [])
    two.save([row(2, 5)], [])
    assert len(one.elders(7)) == 2
    one.close()
    two.close()


def test_a_new_store_learns_from_what_the_journal_knows(tmp_path: Path) -> None:
    journal = Store(tmp_path / "journal.sqlite")
    regular = [
        Opened(at=1000.0 + 4000 * number, number=1, name="x", address=f"198.18.3.{number}", queue_id="Q")
        for number in range(6)
    ]
    burst = [Opened(at=1000.0 + number, number=2, name="x", address="198.18.9.9", queue_id="Q") for number in range(50)]
    journal.add([batch_of([*regular, *burst, Warned(at=1.0, source="x", message="y")])])
    journal.close()
    arrivals = read_arrivals(tmp_path / "journal.sqlite", 0.0, 1000)
    assert len(arrivals) == 56 and arrivals == sorted(arrivals, key=lambda each: each[0])
    assert read_arrivals(tmp_path / "none.sqlite", 0.0, 1000) == []
    store = GreylistStore(
        tmp_path / "greylist.sqlite", lambda secret: networks_seen(Greylist(Rules(), secret), arrivals)
    )
    kept = GreylistLookUps(tmp_path / "greylist.sqlite", print)
    greylist = Greylist(Rules(), store.secret, kept)
    standings = {
        address: greylist.meet(greylist.keys(address, "new@b.example", "c@d.example"), 30_000.0, address).standing
        for address in ("198.18.3.200", "198.18.9.9", "198.18.10.10")
    }
    assert list(standings.values()) == [Standing.TRUSTED, Standing.NEW, Standing.NEW]
    kept.close()
    store.close()
