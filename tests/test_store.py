"""The one way to SQLite: strange and damaged files, a full disk, locks, crashes, and look-ups beside the writer."""

import os
import sqlite3
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from seawall.store import REST, Database, LookUps, Shape
from tests.box import Box

SHAPE = Shape(3, "CREATE TABLE things (name TEXT PRIMARY KEY, size INTEGER NOT NULL);", patience=0.1)
ADD = "INSERT INTO things VALUES (?, ?)"
FIND = "SELECT size FROM things WHERE name = ?"
WARM = "SELECT max(size) FROM things"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "state" / "things.sqlite"


def names(database: Database) -> list[str]:
    return [name for (name,) in database.rows("SELECT name FROM things ORDER BY name")]


def fill(path: Path, count: int = 2000) -> None:
    database = Database(path, SHAPE)
    with database.writing() as connection:
        connection.executemany(ADD, ((f"thing {number}", number) for number in range(count)))
    database.close()


def damage(path: Path, first_page: int) -> None:
    """Overwrite the pages behind the first ones, as a dying disk does."""
    with path.open("r+b") as file:
        size = file.seek(0, os.SEEK_END)
        file.seek(4096 * first_page)
        file.write(b"\xa5" * (size - 4096 * first_page))


# ---- opening ------------------------------------------------------------------------------------------------------


def test_a_new_file_is_its_owners_alone_and_is_found_again(path: Path) -> None:
    database = Database(path, SHAPE)
    assert database.write(ADD, ("a", 1)) == 1
    database.close()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    again = Database(path, SHAPE)
    assert names(again) == ["a"]
    assert again.take_remarks() == []
    again.close()


def test_what_a_new_file_begins_with_is_there_with_its_tables(path: Path) -> None:
    shape = Shape(1, SHAPE.schema, meta="secret BLOB NOT NULL")

    def begin(connection: sqlite3.Connection) -> tuple[bytes]:
        connection.execute(ADD, ("first", 0))
        return (b"key",)

    one, two = Database(path, shape, begin), Database(path, shape, begin)
    assert names(two) == ["first"]
    assert two.rows("SELECT format, secret FROM meta") == [(1, b"key")]
    one.close()
    two.close()


def test_files_of_other_formats_are_put_aside_one_beside_the_other_and_named(path: Path) -> None:
    for number, aside in enumerate(("things.sqlite.other-format", "things.sqlite.other-format.2")):
        other = Database(path, Shape(99 + number, SHAPE.schema))
        other.write(ADD, (f"of format {99 + number}", 1))
        other.close()
        database = Database(path, SHAPE)
        assert names(database) == []
        [remark] = database.take_remarks()
        assert remark.endswith(f"{aside}, and a new one has begun")
        assert "has another format" in remark
        database.close()
        with sqlite3.connect(path.with_name(aside)) as kept:
            assert kept.execute("SELECT name FROM things").fetchall() == [(f"of format {99 + number}",)]
        kept.close()
        if number == 0:
            path.unlink()


def test_a_database_of_another_program_is_put_aside_as_it_was(path: Path) -> None:
    path.parent.mkdir()
    with sqlite3.connect(path) as theirs:
        theirs.execute("CREATE TABLE songs (name TEXT)")
    theirs.close()
    before = path.read_bytes()
    database = Database(path, SHAPE)
    assert names(database) == []
    database.close()
    assert path.with_name("things.sqlite.other-format").read_bytes() == before


def test_a_file_that_is_no_database_is_an_error_and_stays(path: Path) -> None:
    path.parent.mkdir()
    path.write_bytes(b"a letter to somebody " * 1000)
    with pytest.raises(sqlite3.DatabaseError, match="not a database"):
        Database(path, SHAPE)
    assert path.read_bytes().startswith(b"a letter")
    assert os.listdir(path.parent) == ["things.sqlite"]


def test_a_file_whose_schema_is_damaged_is_put_aside_when_it_is_opened(path: Path) -> None:
    fill(path)
    with path.open("r+b") as file:  # the first page: a sound header, and nonsense for what tables there are
        file.seek(100)
        file.write(b"\xa5" * 3000)
    database = Database(path, SHAPE)
    [remark] = database.take_remarks()
    assert remark == (f"{path} is damaged: it is now {path}.damaged, and a new one has begun")
    assert database.write(ADD, ("new", 1)) == 1
    database.close()


# ---- writing ------------------------------------------------------------------------------------------------------


def test_damage_that_is_met_later_is_named_and_what_comes_next_is_kept(path: Path) -> None:
    fill(path)
    damage(path, 3)
    database = Database(path, SHAPE)
    assert database.take_remarks() == []  # what opening reads is sound
    with pytest.raises(sqlite3.DatabaseError, match=r"malformed: .* is now .*things\.sqlite\.damaged"):
        database.rows("SELECT name FROM things ORDER BY name")
    assert database.write(ADD, ("next", 1)) == 1
    assert names(database) == ["next"]
    database.close()
    assert path.with_name("things.sqlite.damaged").stat().st_size > 40_000


def test_a_transaction_is_kept_whole_or_not_at_all(path: Path) -> None:
    database = Database(path, SHAPE)
    with pytest.raises(sqlite3.IntegrityError), database.writing() as connection:
        connection.executemany(ADD, [("a", 1), ("b", 2), ("a", 3)])
    assert names(database) == []
    database.close()


def test_a_writer_that_is_killed_leaves_a_sound_file(path: Path) -> None:
    text = (
        "import os, sys; from pathlib import Path; from seawall.store import Database\n"
        "from tests.test_store import ADD, SHAPE\n"
        "database = Database(Path(sys.argv[1]), SHAPE)\n"
        "database.write(ADD, ('kept', 1))\n"
        "with database.writing() as connection:\n"
        "    connection.execute(ADD, ('lost', 1)); os._exit(9)\n"
    )
    assert subprocess.run([sys.executable, "-c", text, str(path)], timeout=60, check=False).returncode == 9
    looks = LookUps(path, SHAPE, WARM, pytest.fail)
    assert looks.rows(FIND, ("kept",)) == [(1,)]
    assert looks.rows(FIND, ("lost",)) == []
    looks.close()
    database = Database(path, SHAPE)
    assert names(database) == ["kept"]
    database.close()


def test_a_file_that_another_process_has_locked_is_waited_for_and_not_put_aside(path: Path) -> None:
    fill(path, 1)
    text = (
        "import sqlite3, sys; database = sqlite3.connect(sys.argv[1], isolation_level=None)\n"
        "database.execute('BEGIN IMMEDIATE'); print('locked', flush=True); sys.stdin.read()\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", text, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as other:
        assert other.stdin is not None and other.stdout is not None
        assert other.stdout.readline() == b"locked\n"
        with pytest.raises(sqlite3.OperationalError, match="locked"):
            Database(path, SHAPE)
        looks = LookUps(path, SHAPE, WARM, pytest.fail)
        assert looks.rows(FIND, ("thing 0",)) == [(0,)]  # who only reads does not wait
        looks.close()
        other.stdin.close()
        assert other.wait(60) == 0
    database = Database(path, SHAPE)
    assert names(database) == ["thing 0"]
    assert sorted(name for name in os.listdir(path.parent) if "aside" in name or "format" in name) == []
    database.close()


FULL = """
import sqlite3, sys
from pathlib import Path
from seawall.store import Database
from tests.test_store import ADD, SHAPE, names
place = Path("/run/full")
database = Database(place / "things.sqlite", SHAPE)
database.write(ADD, ("kept", 1))
(place / "ballast").write_bytes(bytes(200_000))
try:
    with database.writing() as connection:
        connection.executemany(ADD, ((f"much {number}" * 20, number) for number in range(20_000)))
except sqlite3.OperationalError as trouble:
    print(trouble)
(place / "ballast").unlink()
print(database.write(ADD, ("after", 1)), names(database), sorted(p.name for p in place.iterdir()))
database.close()
"""


def test_a_full_disk_costs_the_batch_and_nothing_else(box: Box) -> None:
    mounted = 'mkdir -p /run/full && mount -t tmpfs -o size=600k full /run/full && exec "$@"'
    ran = box.run("sh", "-c", mounted, "sh", sys.executable, "-c", FULL, timeout=60)
    assert ran.code == 0, ran.err
    error, rest = ran.out.splitlines()
    assert error == "database or disk is full"
    assert rest.startswith("1 ['after', 'kept'] ['things.sqlite'")


# ---- looking up ---------------------------------------------------------------------------------------------------


class Looker:
    """Look-ups with a clock and a disk of the test's."""

    def __init__(self, path: Path) -> None:
        self.now = 0.0
        self.jump = 0.0
        self.reads = 0
        self.said: list[str] = []
        self.looks = LookUps(path, SHAPE, WARM, self.said.append, self.monotonic, lambda: self.reads)

    def monotonic(self) -> float:
        self.now += self.jump
        return self.now

    def find(self, name: str) -> object:
        return next(iter(self.looks.rows(FIND, (name,))), None)


def test_what_is_committed_is_found_beside_the_writer(path: Path) -> None:
    database = Database(path, SHAPE)
    looker = Looker(path)
    assert looker.find("a") is None
    with database.writing() as connection:
        connection.execute(ADD, ("a", 7))
        assert looker.find("a") is None
    assert looker.find("a") == (7,)
    looker.looks.close()
    database.close()


def test_a_file_that_is_made_later_and_one_that_is_replaced_are_found(path: Path) -> None:
    looker = Looker(path)
    assert looker.find("thing 1") is None
    fill(path)
    assert looker.find("thing 1") is None  # looked for once a second
    looker.now += REST
    assert looker.find("thing 1") == (1,)
    path.rename(path.with_name("away"))
    database = Database(path, SHAPE)
    database.write(ADD, ("thing 1", 5))
    looker.now += REST
    assert looker.find("thing 1") == (5,)
    assert looker.said == []
    looker.looks.close()
    database.close()


def test_nothing_is_asked_for_a_while_where_rows_keep_waiting_for_the_disk(path: Path) -> None:
    fill(path)
    looker = Looker(path)
    looker.jump = 0.004
    for number in range(5):  # slow, but no disk had to be read: others had the processor
        assert looker.find(f"thing {number}") == (number,)
    for number in range(3):
        looker.reads += 8
        assert looker.find(f"thing {number}") == (number,)
    assert looker.find("thing 4") is None
    looker.now += REST
    assert looker.find("thing 4") == (4,)
    looker.reads += 8
    assert looker.find("thing 5") == (5,)  # one that waits is no habit
    assert looker.find("thing 6") == (6,)
    looker.looks.close()


def test_trouble_with_a_file_is_told_once_and_nothing_is_known(path: Path) -> None:
    fill(path)
    damage(path, 3)
    looker = Looker(path)
    for _ in range(3):
        assert all(looker.find(f"thing {number}") is None for number in (500, 1500))
        looker.now += REST
    [said] = looker.said
    assert said.startswith(f"{path}: database disk image is malformed")
    other = Database(path.with_name("other"), Shape(4, SHAPE.schema))
    looker = Looker(path.with_name("other"))
    assert looker.find("a") is None
    assert "has another format" in looker.said[0]
    other.close()
