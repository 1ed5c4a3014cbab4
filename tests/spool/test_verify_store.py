import shutil
import sqlite3
import stat
from pathlib import Path

import pytest

from seawall.mail.verified import Standing
from seawall.spool.verify_cache import Entry, Times
from seawall.spool.verify_store import VerifyStore

FORMATS = Path(__file__).parent.parent / "golden" / "formats"
GOOD = Entry(Standing.DELIVERABLE, 5000.0, 0.0, "250 2.1.5 Ok")
BAD = Entry(Standing.UNDELIVERABLE, 6000.0, 0.0, "host mx said: 550 no")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "state" / "verify.sqlite"


def test_what_is_saved_is_found_by_the_next_process(path: Path) -> None:
    store = VerifyStore(path)
    store.save([("ann@a.example", GOOD), ("bob@a.example", BAD)])
    other = VerifyStore(path)  # also while the first still runs, as at a reload
    assert other.find("ann@a.example") == GOOD
    store.save([("ann@a.example", None)])
    assert other.find("ann@a.example") is None
    assert other.find("bob@a.example") == BAD
    assert other.find("Bob@a.example") is None
    store.close()
    other.close()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_what_is_only_in_progress_is_not_kept(path: Path) -> None:
    store = VerifyStore(path)
    store.save([("ann@a.example", GOOD)])
    store.save([("ann@a.example", Entry(Standing.IN_PROGRESS, 0.0, 7000.0, "…"))])
    assert store.find("ann@a.example") is None
    store.save([("ann@a.example", GOOD._replace(probed=7000.0))])
    assert store.find("ann@a.example") == GOOD
    store.close()


def test_addresses_and_texts_of_any_octets_are_kept_apart(path: Path) -> None:
    store = VerifyStore(path)
    store.save([("\udcff@a.example", GOOD), ("\\udcff@a.example", BAD), ("ü@a.example", BAD._replace(text="\udcfe"))])
    assert store.find("\udcff@a.example") == GOOD
    assert store.find("\\udcff@a.example") == BAD
    found = store.find("ü@a.example")
    assert found is not None and found.text == "\\udcfe"
    store.close()


def test_what_has_expired_is_forgotten_in_steps(path: Path) -> None:
    store = VerifyStore(path)
    times = Times(positive_expire=1000.0, negative_expire=100.0)
    store.save([(f"old{n}@a.example", GOOD) for n in range(5)])
    store.save([("young@a.example", GOOD._replace(updated=6500.0)), ("bad@a.example", BAD)])
    assert [store.forget(6101.0, times, 4) for _ in range(3)] == [4, 2, 0]
    assert store.find("young@a.example") is not None
    assert store.find("bad@a.example") is None
    store.close()


def test_a_file_of_another_format_is_put_aside(path: Path) -> None:
    store = VerifyStore(path)
    store.save([("ann@a.example", GOOD)])
    store.close()
    with sqlite3.connect(path) as database:
        database.execute("UPDATE meta SET format = 99")
    database.close()
    store = VerifyStore(path)
    assert store.find("ann@a.example") is None
    store.close()
    assert Path(f"{path}.other-format").exists()


def test_a_file_that_is_no_database_is_an_error_that_names_it(path: Path) -> None:
    path.parent.mkdir(parents=True)
    path.write_bytes(b"not a database at all, and long enough to be looked at" * 40)
    with pytest.raises(sqlite3.Error):
        VerifyStore(path)


def test_a_file_of_the_first_format_is_read(path: Path) -> None:
    path.parent.mkdir(parents=True)
    shutil.copy(FORMATS / "verify-cache.1", path)
    store = VerifyStore(path)
    assert store.find("ann@a.example") == GOOD
    assert store.find("bob@a.example") == BAD
    store.close()
