import os
import sqlite3
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from seawall.door.passed_clients import PassedClients, address_of, key_of
from seawall.door.passed_store import PassedStore, read_passed

FIVE = [10, 20, 1, 1, 1]


def everybody(path: Path) -> dict[str, tuple[int, ...]]:
    return {address: stamps for rows in read_passed(path) for address, stamps in rows}


@given(st.ip_addresses())
def test_every_address_has_a_key_of_its_own(address: object) -> None:
    key = key_of(str(address))
    assert key is not None
    assert key_of(address_of(key)) == key


def test_families_do_not_mix() -> None:
    assert key_of("0.0.0.1") != key_of("::1")


def test_who_passed_is_found_and_told_once() -> None:
    passed = PassedClients()
    passed.keep("192.0.2.1", FIVE)
    assert passed.find("192.0.2.1") == FIVE
    assert passed.find("192.0.2.2") is None
    assert passed.take_changes(10) == [("192.0.2.1", tuple(FIVE))]
    assert passed.take_changes(10) == []


def test_what_could_not_be_written_is_told_again() -> None:
    passed = PassedClients()
    passed.keep("2001:db8::1", FIVE)
    changes = passed.take_changes(10)
    passed.give_back(changes)
    assert passed.take_changes(10) == changes


def test_memory_is_bounded_and_the_oldest_success_goes_first() -> None:
    passed = PassedClients(most=3)
    for last in (1, 2, 3, 1, 4):
        passed.keep(f"192.0.2.{last}", FIVE)
    assert len(passed) == 3
    assert passed.find("192.0.2.2") is None
    assert ("192.0.2.2", ()) in passed.take_changes(10)


def test_what_was_learnt_counts_more_than_what_is_loaded() -> None:
    passed = PassedClients()
    passed.keep("192.0.2.1", FIVE)
    passed.load([("192.0.2.1", (1, 1, 1, 1, 1)), ("192.0.2.9", (2, 2, 2, 2, 2)), ("nonsense", (1,))])
    assert passed.find("192.0.2.1") == FIVE
    assert len(passed) == 2


def test_who_has_not_come_for_long_is_forgotten() -> None:
    passed = PassedClients()
    for at in range(10):
        passed.keep(f"192.0.2.{at}", [100 + at, 1, 1, 1, 1])
    assert list(passed.clean(1, 105, 4))[-1] == (5, 5)
    assert passed.find("192.0.2.4") is None
    assert ("192.0.2.4", ()) in passed.take_changes(100)


def test_the_store_outlives_its_writer(tmp_path: Path) -> None:
    path = tmp_path / "state" / "passed.sqlite"
    store = PassedStore(path)
    store.save([("192.0.2.1", tuple(FIVE)), ("192.0.2.2", (1, 2, 3, 4, 5))])
    store.save([("192.0.2.2", ())])
    assert everybody(path) == {"192.0.2.1": tuple(FIVE)}
    assert store.forget(21, 10) == 1
    store.close()
    assert everybody(path) == {}
    assert os.stat(path).st_mode & 0o777 == 0o600


def test_without_a_store_nobody_is_known(tmp_path: Path) -> None:
    assert everybody(tmp_path / "none.sqlite") == {}


def test_a_store_of_another_format_is_put_aside(tmp_path: Path) -> None:
    path = tmp_path / "passed.sqlite"
    database = sqlite3.connect(path)
    database.executescript("CREATE TABLE meta (format INTEGER NOT NULL); INSERT INTO meta VALUES (99);")
    database.close()
    assert everybody(path) == {}
    PassedStore(path).close()
    assert path.with_name("passed.sqlite.other-format").exists()
