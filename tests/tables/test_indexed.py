"""Files of strings: how they are found, read, and read again."""

import fcntl
import os
import threading
from pathlib import Path

import pytest

from seawall.tables.build import FORMATS, Choices, Database
from seawall.tables.registry import Tables
from seawall.tables.table import TableTrouble, Use


def build(kind: str, source: Path, entries: dict[str, str], choices: Choices | None = None) -> None:
    database = Database(kind, str(source), choices or Choices(), lambda text: None)
    for key, value in entries.items():
        database.add(key, value)
    database.save()


@pytest.fixture(params=sorted(FORMATS))
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.mark.parametrize("null", [True, False, None])
def test_what_was_built_is_found_with_or_without_nul(tmp_path: Path, kind: str, null: bool | None) -> None:
    build(kind, tmp_path / "map", {"Key": "Value", "é": "ü"}, Choices(null=null))
    table = Tables(root=str(tmp_path)).open(f"{kind}:/map")
    assert table.lookup("KEY") == "Value"
    assert table.lookup("É") == "ü"
    assert table.lookup("other") is None
    assert table.fixed


def test_keys_stay_as_they_are_where_nothing_is_folded(tmp_path: Path, kind: str) -> None:
    build(kind, tmp_path / "map", {"Key": "Value"}, Choices(fold=False))
    table = Tables(root=str(tmp_path)).open(f"{kind}:/map", Use(fold=False))
    assert table.lookup("Key") == "Value"
    assert table.lookup("key") is None


def test_the_text_serves_where_nothing_was_built(tmp_path: Path, kind: str) -> None:
    (tmp_path / "map").write_text("Key  the value\n")
    (tmp_path / "aliases").write_text("# aliases\nRoot: ann, bob\nlist: :include:/x\n")
    tables = Tables(root=str(tmp_path))
    assert tables.open(f"{kind}:/map").lookup("key") == "the value"
    aliases = tables.open(f"{kind}:/aliases")
    assert aliases.lookup("root") == "ann, bob"
    assert aliases.lookup("list") == ":include:/x"


def test_a_missing_file_is_trouble_until_it_is_there(tmp_path: Path, kind: str) -> None:
    tables = Tables(root=str(tmp_path))
    table = tables.open(f"{kind}:/map")
    with pytest.raises(TableTrouble, match="No such file or directory"):
        table.lookup("a")
    assert tables.warnings == [
        f"{kind}:/map is unavailable. open database {tmp_path}/map{FORMATS[kind].family.suffix}: "
        "No such file or directory"
    ]
    build(kind, tmp_path / "map", {"a": "1"})
    tables.refresh(10.0)
    assert table.lookup("a") == "1"


def test_a_changed_file_is_read_again_once_a_second_at_most(tmp_path: Path, kind: str) -> None:
    build(kind, tmp_path / "map", {"a": "1"})
    tables = Tables(root=str(tmp_path))
    table = tables.open(f"{kind}:/map")
    tables.refresh(100.0)
    build(kind, tmp_path / "map", {"a": "2"})
    tables.refresh(100.9)
    assert table.lookup("a") == "1"
    tables.refresh(101.0)
    assert table.lookup("a") == "2"


def test_a_broken_file_leaves_the_old_copy_in_use(tmp_path: Path, kind: str) -> None:
    build(kind, tmp_path / "map", {"a": "1"})
    tables = Tables(root=str(tmp_path))
    table = tables.open(f"{kind}:/map")
    (tmp_path / f"map{FORMATS[kind].family.suffix}").write_bytes(b"rubbish" * 1000)
    tables.refresh(10.0)
    assert table.lookup("a") == "1"
    assert "the copy read before stays in use" in tables.warnings[0]


def test_a_vanished_file_leaves_the_old_copy_in_use(tmp_path: Path, kind: str) -> None:
    build(kind, tmp_path / "map", {"a": "1"})
    tables = Tables(root=str(tmp_path))
    table = tables.open(f"{kind}:/map")
    os.unlink(tmp_path / f"map{FORMATS[kind].family.suffix}")
    tables.refresh(10.0)
    assert table.lookup("a") == "1"


def test_a_big_file_is_read_in_a_thread(tmp_path: Path) -> None:
    build("hash", tmp_path / "map", {"a": "1"})
    tables = Tables(root=str(tmp_path))
    table = tables.open("hash:/map")
    build("hash", tmp_path / "map", {f"key{number}": "x" * 50 for number in range(10000)})
    tables.refresh(10.0)
    tables.settle()
    assert table.lookup("key9999") == "x" * 50
    assert table.lookup("a") is None


def test_while_a_writer_holds_the_lock_the_old_copy_answers(tmp_path: Path) -> None:
    build("hash", tmp_path / "map", {"a": "1"})
    tables = Tables(root=str(tmp_path))
    table = tables.open("hash:/map")
    whole = (tmp_path / "map.db").read_bytes()
    with open(tmp_path / "map.db", "r+b") as writer:  # as postmap(1) does: lock, cut, fill
        fcntl.flock(writer, fcntl.LOCK_EX)
        writer.truncate(0)
        writer.write(whole[:5000])
        writer.flush()
        tables.refresh(10.0)
        assert table.lookup("a") == "1"
        writer.seek(0)
        writer.write(whole)
    tables.refresh(20.0)
    assert table.lookup("a") == "1"
    assert tables.warnings == []


def test_two_changes_within_one_tick_are_both_seen(tmp_path: Path) -> None:
    source = tmp_path / "map"
    source.write_text("a 1\n")
    tables = Tables(root=str(tmp_path))
    table = tables.open("texthash:/map")
    before = os.stat(source).st_mtime_ns
    source.write_text("a 2\n")
    os.utime(source, ns=(before, before))
    tables.refresh(10.0)
    assert table.lookup("a") == "2"


def test_a_forgotten_postmap_is_warned_of(tmp_path: Path, kind: str) -> None:
    (tmp_path / "map").write_text("a 1\n")
    build(kind, tmp_path / "map", {"a": "1"})
    index = tmp_path / f"map{FORMATS[kind].family.suffix}"
    os.utime(tmp_path / "map", (2000, 2000))
    os.utime(index, (1000, 1000))
    tables = Tables(root=str(tmp_path))
    tables.open(f"{kind}:/map")
    assert tables.warnings == [f"database {index} is older than source file {tmp_path}/map"]


def test_values_may_be_the_content_of_files(tmp_path: Path) -> None:
    (tmp_path / "one").write_text("content 1\n")
    (tmp_path / "map").write_text("a /one\nb /none\nc /one, /one\n")
    tables = Tables(root=str(tmp_path))
    table = tables.open("texthash:/map", Use(files=True))
    assert table.lookup("a") == "content 1\n"
    assert table.lookup("c") == "content 1\n\ncontent 1\n"
    assert table.lookup("b") is None
    assert tables.warnings == [f"{tmp_path}/map, line 2: open /none: No such file or directory: skipping this entry"]
    build("hash", tmp_path / "map", {"a": "Y29udGVudA==", "b": "no base64"})
    packed = Tables(root=str(tmp_path)).open("hash:/map", Use(files=True))
    assert packed.lookup("a") == "content"
    with pytest.raises(TableTrouble, match="malformed BASE64 value: no base64"):
        packed.lookup("b")


def test_a_value_that_is_no_utf8_is_trouble_where_its_user_asks_for_utf8(tmp_path: Path) -> None:
    build("hash", tmp_path / "map", {"a": "\udcff", "b": "fine"})
    tables = Tables(root=str(tmp_path))
    table = tables.open("hash:/map")
    assert table.lookup("b") == "fine"
    with pytest.raises(TableTrouble, match='key "a": non-UTF-8 value'):
        table.lookup("a")
    assert Tables(root=str(tmp_path)).open("hash:/map", Use(utf8=False)).lookup("a") == "\udcff"


def test_no_answer_is_wrong_while_our_postmap_writes_in_a_loop(tmp_path: Path, kind: str) -> None:
    entries = {f"key{number}": f"value{number}" for number in range(300)}
    build(kind, tmp_path / "map", entries)
    tables = Tables(root=str(tmp_path))
    table = tables.open(f"{kind}:/map")
    stop = threading.Event()
    rounds: list[int] = []

    def write() -> None:
        while not stop.is_set():
            build(kind, tmp_path / "map", entries)
            rounds.append(1)

    writer = threading.Thread(target=write)
    writer.start()
    try:
        for now in range(60):
            tables.refresh(float(now))
            assert all(table.lookup(key) == value for key, value in entries.items())
    finally:
        stop.set()
        writer.join()
    assert rounds
    assert tables.warnings == []
