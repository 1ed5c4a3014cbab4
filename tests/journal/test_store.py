"""The journal store: batches of records, found by session, queue id and time."""

import sqlite3
from collections.abc import Iterable, Sequence
from contextlib import closing
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from seawall.journal.batch import batch_of, batches_of, joined
from seawall.journal.record import Record, Warned
from seawall.journal.store import MOST_IN_ROW, Row, Store, read_rows


class Said(Record, frozen=True, tag=True, kw_only=True):
    program = "smtpd"
    queue_id: str = ""
    words: str = "x"


def kept(path: Path, *batches: Sequence[Record]) -> Path:
    """A store with these batches in it."""
    with closing(Store(path)) as store:
        store.add([batch_of(batch) for batch in batches])
    return path


def times(rows: Iterable[Row]) -> list[float]:
    return [row.at for row in rows]


def rows_in(path: Path) -> int:
    with closing(sqlite3.connect(path)) as database:
        counts = [
            database.execute(f"SELECT count(*) FROM {table}").fetchone()[0]
            for table in ("batches", "spans", "queue_ids")
        ]
    return sum(counts)


def test_records_are_found_by_queue_id_session_and_time(tmp_path: Path) -> None:
    said = [Said(at=float(n), number=n // 2, queue_id=f"Q{n % 2}") for n in range(10)]
    path = kept(tmp_path / "journal.sqlite", said[:3], said[3:], [Warned(at=11.0, source="pickup", message="odd")])
    found = read_rows(path, queue_id="Q1")
    assert times(found) == [1, 3, 5, 7, 9]
    assert (found[0].kind, found[0].program, found[0].session) == ("Said", "smtpd", 0)
    assert msgspec.json.decode(found[0].record, type=Said) == said[1]
    assert times(read_rows(path, program="smtpd", session=1)) == [2, 3]
    assert read_rows(path, program="cleanup", session=1) == []
    assert times(read_rows(path, since=8.5)) == [9, 11]
    assert times(read_rows(path, program="pickup")) == [11]


def test_the_oldest_records_go_first_and_nothing_stays_of_them(tmp_path: Path) -> None:
    path = tmp_path / "journal.sqlite"
    with closing(Store(path)) as store:
        for start in range(0, 10, 2):
            store.add([batch_of([Said(at=float(n), number=n, queue_id=f"Q{n}") for n in (start, start + 1)])])
        assert store.forget(5.0, 3) == 4, "records go with those that they were stored with"
        assert store.forget(5.0, 3) == 0, "4 is older, but 5 in the same row is not"
        assert times(read_rows(path)) == [4, 5, 6, 7, 8, 9]
        assert store.forget(100.0, 100) == 6
    assert rows_in(path) == 0


def test_a_reader_of_a_store_of_another_format_is_told(tmp_path: Path) -> None:
    path = kept(tmp_path / "journal.sqlite", [Said(at=1.0)])
    with closing(sqlite3.connect(path)) as other, other:
        other.execute("UPDATE meta SET format = 99")
    with pytest.raises(sqlite3.DatabaseError, match="another format"):
        read_rows(path)
    assert read_rows(kept(path, [Said(at=2.0)])) != []
    assert (tmp_path / "journal.sqlite.other-format").exists()


def test_small_batches_share_a_row_and_large_ones_do_not(tmp_path: Path) -> None:
    many = [Said(at=float(n), number=n) for n in range(MOST_IN_ROW)]
    path = kept(tmp_path / "journal.sqlite", many[:1], many[1:3], many, many[3:5])
    with closing(sqlite3.connect(path)) as database:
        assert [count for (count,) in database.execute("SELECT count FROM batches")] == [3, MOST_IN_ROW, 2]
    assert len(read_rows(path, program="smtpd", session=4)) == 2


@pytest.mark.parametrize("raw", [b"\xff\xfe", "ü".encode("latin-1")])
def test_bytes_that_are_no_utf8_are_kept_readable(tmp_path: Path, raw: bytes) -> None:
    path = kept(tmp_path / "journal.sqlite", [Said(at=1.0), Said(at=2.0, words=raw.decode("utf-8", "surrogateescape"))])
    assert [msgspec.json.decode(row.record)["words"][:1] for row in read_rows(path)] == ["x", "?"]


SAID = st.builds(
    Said,
    at=st.floats(0, 1e10),
    number=st.integers(0, 2**31),
    queue_id=st.sampled_from(["", "Q1", "Q2"]),
    words=st.text(max_size=300),
)


@given(st.lists(SAID, min_size=1, max_size=30), st.integers(300, 4000))
def test_batches_fit_their_packets_and_together_say_the_same(records: list[Said], largest: int) -> None:
    batches = batches_of(records, largest)
    assert all(len(batch.lines) <= largest for batch in batches)
    lines = b"".join(batch.lines for batch in batches)
    assert set(lines.splitlines()) <= set(batch_of(records).lines.splitlines())
    if len(batches) == 0:
        return
    if sum(batch.count for batch in batches) == len(records):
        assert joined(batches) == batch_of(records)
