"""postqueue and mailq: what they print with the server up and down, in Postfix's form."""

import json
import time
from pathlib import Path

import pytest

from seawall.cli import mailq, postqueue
from tests.cli.queue_site import QueueSite, fresh


@pytest.fixture
def site(tmp_path: Path) -> QueueSite:
    return QueueSite(tmp_path)


def run(site: QueueSite, *arguments: str) -> int:
    return postqueue.main(["-c", str(site.directory), *arguments])


def test_an_empty_queue_says_so(site: QueueSite, capsys: pytest.CaptureFixture[str]) -> None:
    with site.running():
        assert run(site, "-p") == 0
        assert run(site, "-j") == 0
    assert capsys.readouterr().out == "Mail queue is empty\n"


def test_the_queue_is_shown_as_mailq_shows_it(site: QueueSite, capsys: pytest.CaptureFixture[str]) -> None:
    site.defer("r0@b.example", "r1@b.example")
    first, held = fresh(1, recipients=3), fresh(2, hold=True)
    site.files.store(first)
    site.files.store(held)
    with site.running():
        assert mailq.main(["-c", str(site.directory)]) == 0
    when = time.ctime(first.arrived)[:19]
    assert capsys.readouterr().out == (
        "----Queue ID----- --Size-- ---Arrival Time---- --Sender/Recipient------\n"
        f"{first.queue_id:<17}       18 {when} ann@a.example\n"
        f"{'':64}(mailbox full)\n"
        "                                               r0@b.example\n"
        "                                               r1@b.example\n"
        "\n"
        f"{held.queue_id + '!':<17}       18 {when} ann@a.example\n"
        "                                               r0@b.example\n"
        "\n"
        "-- 0 Kbytes in 2 Requests.\n"
    )


def test_json_has_the_fields_of_postqueue_j(site: QueueSite, capsys: pytest.CaptureFixture[str]) -> None:
    site.defer("r0@b.example")
    item = fresh(1)
    site.files.store(item)
    with site.running():
        assert run(site, "-j") == 0
    line = capsys.readouterr().out
    assert line == (
        f'{{"queue_name": "deferred", "queue_id": "{item.queue_id}", "arrival_time": {int(item.arrived)}, "message_size": 18, '
        '"forced_expire": false, "sender": "ann@a.example", '
        '"recipients": [{"address": "r0@b.example", "delay_reason": "mailbox full"}]}\n'
    )
    assert json.loads(line)["queue_name"] == "deferred"


def test_with_the_server_down_the_owner_reads_the_files(site: QueueSite, capsys: pytest.CaptureFixture[str]) -> None:
    site.files.store(fresh(1))
    assert run(site, "-p") == 0
    shown = capsys.readouterr()
    assert "-- 0 Kbytes in 1 Request.\n" in shown.out
    assert shown.err == "postqueue: warning: Mail system is down -- accessing queue directly\n"
    assert run(site, "-f") == 69
    assert capsys.readouterr().err == "postqueue: fatal: Cannot flush mail queue - mail system is down\n"


def test_flush_makes_deferred_mail_go_at_once(site: QueueSite) -> None:
    site.defer("r0@b.example")
    items = [fresh(1), fresh(2)]
    for item in items:
        site.files.store(item)
    with site.running():
        for arguments in (["-i", items[0].queue_id], ["-s", "b.example"], ["-f"]):
            before = len(site.agents.jobs)
            assert run(site, *arguments) == 0
            site.settle()
            assert len(site.agents.jobs) == before + (1 if arguments[0] == "-i" else 2)


@pytest.mark.parametrize("arguments", [[], ["-p", "-f"], ["-x"], ["-p", "word"]])
def test_wrong_usage_is_69_as_postfix_has_it(
    site: QueueSite, arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(site, *arguments) == 69
    assert capsys.readouterr().err.startswith("postqueue: fatal: usage: postqueue -f | ")
