"""postsuper: the same with a manager and without one."""

import io
import os
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path

import pytest

from seawall.cli import postsuper
from tests.cli.queue_site import QueueSite, fresh


@pytest.fixture
def site(tmp_path: Path) -> QueueSite:
    found = QueueSite(tmp_path)
    found.defer("r0@b.example")
    return found


def run(site: QueueSite, *arguments: str) -> int:
    return postsuper.main(["-c", str(site.directory), *arguments])


def up(site: QueueSite, running: bool) -> AbstractContextManager[None]:
    return site.running() if running else nullcontext()


def names(site: QueueSite, folder: str) -> list[str]:
    return sorted(os.listdir(f"{site.places.root}/{folder}"))


@pytest.mark.parametrize("running", [True, False])
def test_hold_release_and_delete(site: QueueSite, running: bool, capsys: pytest.CaptureFixture[str]) -> None:
    item, other = fresh(1), fresh(2)
    site.files.store(item)
    site.files.store(other)
    with up(site, running):
        assert run(site, "-h", item.queue_id) == 0
        assert names(site, "hold") == [item.queue_id]
        assert run(site, "-H", item.queue_id) == 0
        assert names(site, "hold") == []
        site.settle()
        assert run(site, "-d", item.queue_id, "-d", "NOSUCHMESSAGE", "-d", "../etc") == 0
        assert names(site, "queue") == [other.queue_id]
    assert capsys.readouterr().err.splitlines() == [
        f"postsuper: {item.queue_id}: placed on hold",
        "postsuper: Placed on hold: 1 message",
        f"postsuper: {item.queue_id}: released from hold",
        "postsuper: Released from hold: 1 message",
        f"postsuper: {item.queue_id}: removed",
        "postsuper: warning: invalid mail queue id: ../etc",
        "postsuper: Deleted: 1 message",
    ]


@pytest.mark.parametrize("running", [True, False])
def test_all_of_a_queue_and_ids_from_standard_input(
    site: QueueSite, running: bool, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    items = [fresh(number) for number in range(1, 6)]
    for item in items:
        site.files.store(item)
    with up(site, running):
        monkeypatch.setattr("sys.stdin", io.StringIO(f"{items[0].queue_id}\n\n{items[1].queue_id}\n"))
        assert run(site, "-h", "-") == 0
        assert run(site, "-d", "ALL", "hold") == 0
        assert names(site, "queue") == sorted(item.queue_id for item in items[2:])
        assert run(site, "-d", "ALL", "deferred" if running else "incoming") == 0
        assert names(site, "queue") == []
    assert capsys.readouterr().err.splitlines()[-2:] == [
        "postsuper: Deleted: 2 messages",
        "postsuper: Deleted: 3 messages",
    ]


def test_what_was_asked_for_with_the_server_down_is_done_when_it_starts(site: QueueSite) -> None:
    first, second = fresh(1), fresh(2)
    site.files.store(first)
    site.files.store(second)
    assert run(site, "-r", first.queue_id, "-e", second.queue_id) == 0
    with site.running():
        pass
    assert names(site, "queue") == []
    assert len(site.desk.taken) == 2, "the requeued message and the report on the expired one"
    assert any("status=force-expired" in record.text() for record in site.journal.records)


def test_structure_and_purge(site: QueueSite, capsys: pytest.CaptureFixture[str]) -> None:
    drop = Path(site.places.maildrop) / "left-over"
    drop.write_bytes(b"half")
    drop.chmod(0o600)
    os.rmdir(site.places.corrupt)
    assert run(site, "-s", "-p") == 0
    assert drop.exists()
    os.utime(drop, (1000, 1000))
    assert run(site, "-p") == 0
    assert not drop.exists()
    assert os.path.isdir(site.places.corrupt)
    assert "postsuper: Purged: 1 message\n" in capsys.readouterr().err


def test_others_may_not(site: QueueSite, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: os.stat(site.places.queue).st_uid + 12345)
    assert run(site, "-d", "ALL") == 1
    assert "reserved for the superuser" in capsys.readouterr().err


def test_a_queue_name_that_is_none_is_refused(site: QueueSite, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(site, "-d", "ALL", "../../etc") == 1
    assert "bad queue name" in capsys.readouterr().err
