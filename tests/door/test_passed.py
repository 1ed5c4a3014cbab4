import os
import shutil
import sqlite3
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from seawall.door.passed_clients import PassedClients, address_of, key_of
from seawall.door.passed_store import PassedLookUps, PassedStore

FORMATS = Path(__file__).parent.parent / "golden" / "formats"
FIVE = [10, 20, 1, 1, 1]
TWO = ("192.0.2.1", "192.0.2.2")


def known(path: Path, *addresses: str) -> dict[str, tuple[int, ...]]:
    """What a worker that has just begun knows of these clients."""
    said: list[str] = []
    kept = PassedLookUps(path, said.append)
    found = {address: stamps for address in addresses if (stamps := kept.find(address)) is not None}
    kept.close()
    assert said == []
    return found


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
    assert "192.0.2.2" not in dict(passed.take_changes(10))


def test_who_has_left_memory_is_found_in_the_store(tmp_path: Path) -> None:
    path = tmp_path / "passed.sqlite"
    store = PassedStore(path)
    kept = PassedLookUps(path, print)
    passed = PassedClients(kept, most=1)
    for address in ("192.0.2.1", "2001:db8::1"):
        passed.keep(address, FIVE)
        store.save(passed.take_changes(10))
    assert len(passed) == 1
    assert passed.find("192.0.2.1") == FIVE
    assert passed.find("2001:0DB8::0:1") == FIVE
    assert passed.find("192.0.2.2") is None
    assert passed.find("nonsense") is None
    kept.close()
    store.close()


def test_what_was_learnt_counts_more_than_what_is_kept(tmp_path: Path) -> None:
    path = tmp_path / "passed.sqlite"
    store = PassedStore(path)
    store.save([("192.0.2.1", (1, 1, 1, 1, 1))])
    kept = PassedLookUps(path, print)
    passed = PassedClients(kept)
    assert passed.find("192.0.2.1") == [1, 1, 1, 1, 1]
    passed.keep("192.0.2.1", FIVE)
    assert passed.find("192.0.2.1") == FIVE
    kept.close()
    store.close()


def test_who_has_not_come_for_long_is_forgotten(tmp_path: Path) -> None:
    path = tmp_path / "passed.sqlite"
    store = PassedStore(path)
    store.save([(f"192.0.2.{at}", (100 + at, 1, 1, 1, 1)) for at in range(10)] + [("::1", (1, 1, 1, 1, 500))])
    last, found = "!", []
    while last:
        done = store.clean(105, last, 4)
        found.append(done[:2])
        last = done.last
    assert found == [(0, 4), (3, 1), (3, 0)]
    assert set(known(path, "::1", *(f"192.0.2.{at}" for at in range(10)))) == {
        "::1",
        *(f"192.0.2.{at}" for at in range(5, 10)),
    }
    store.close()


def test_a_store_that_is_too_large_loses_who_was_passed_longest_ago(tmp_path: Path) -> None:
    path = tmp_path / "passed.sqlite"
    store = PassedStore(path)
    store.save([(f"192.0.2.{at}", (100 - at, 1, 1, 1, 1)) for at in range(10)])
    assert [store.shorten(4, 5) for _ in range(3)] == [5, 1, 0]
    assert set(known(path, *(f"192.0.2.{at}" for at in range(10)))) == {f"192.0.2.{at}" for at in range(4)}
    store.close()


def test_the_store_outlives_its_writer(tmp_path: Path) -> None:
    path = tmp_path / "state" / "passed.sqlite"
    store = PassedStore(path)
    store.save([("192.0.2.1", tuple(FIVE)), ("192.0.2.2", (1, 2, 3, 4, 5))])
    store.save([("192.0.2.2", ())])
    assert known(path, *TWO) == {"192.0.2.1": tuple(FIVE)}
    store.close()
    assert known(path, *TWO) == {"192.0.2.1": tuple(FIVE)}
    assert os.stat(path).st_mode & 0o777 == 0o600


def test_without_a_store_nobody_is_known(tmp_path: Path) -> None:
    assert known(tmp_path / "none.sqlite", *TWO) == {}


def test_a_store_of_another_format_is_put_aside(tmp_path: Path) -> None:
    path = tmp_path / "passed.sqlite"
    database = sqlite3.connect(path)
    database.executescript("CREATE TABLE meta (format INTEGER NOT NULL); INSERT INTO meta VALUES (99);")
    database.close()
    PassedStore(path).close()
    assert path.with_name("passed.sqlite.other-format").exists()


def test_a_file_of_the_first_format_is_read(tmp_path: Path) -> None:
    path = tmp_path / "passed.sqlite"
    shutil.copy(FORMATS / "passed-clients.1", path)
    PassedStore(path).close()
    assert known(path, "192.0.2.1", "2001:db8::1") == {"192.0.2.1": tuple(FIVE), "2001:db8::1": (1, 2, 3, 4, 5)}
