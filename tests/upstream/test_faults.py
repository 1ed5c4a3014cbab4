"""When there are too many clients, or Postfix dies, hangs, or is not there: nobody hears 250 but from Postfix itself."""

import re
import signal
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from tests.box import Box
from tests.system.server import until
from tests.upstream.front_site import ONE, PATIENCE, PROXY, FrontSite, codes, replies

pytestmark = [pytest.mark.peer, pytest.mark.xdist_group("front")]

ENVELOPE = ("EHLO client.example", "MAIL FROM:<a@b.example>", "RCPT TO:<alice@example.com>")
GONE = "421 4.3.2 mx.example Error: the mail server does not answer, try again later"
BUSY = "421 4.3.2 mx.example Error: all server ports are busy, try again later"
SILENT = """
import socket
held = []
for at in range(given[0]):
    s = socket.create_connection(("192.0.2.1", given[1]), 30, (f"198.18.{100 + at // 100}.{at % 100 + 1}", 0))
    f = s.makefile("rb")
    f.readline()
    if at % 2:
        s.sendall(b"HELO bot.example\\r\\n")
        f.readline()
    held.append((s, f))
s = socket.create_connection(("192.0.2.1", given[1]), 30, ("198.18.3.4", 0))
f = s.makefile("rb")
said = [f.readline().decode()]
for text in given[2]:
    s.sendall(text.encode() + b"\\r\\n")
    said.append(f.readline().decode())
print(json.dumps(said))
"""


@pytest.fixture(scope="module")
def front(box: Box) -> Iterator[FrontSite]:
    site = FrontSite(box).begin()
    yield site
    site.end()
    assert "Traceback" not in site.printed()


@pytest.fixture
def other(front: FrontSite) -> Iterator[str]:
    """An address from which nobody came yet.  Whom its test has stopped goes on."""
    yield front.new_address()
    for pid in front.smtpds():
        front.kill(pid, signal.SIGCONT)


def begun(*lines: str) -> list[tuple[str, Any]]:
    """Acts that say these lines, each after the reply to the one before."""
    return [("expect", 1), *[act for line in lines for act in (("send", f"{line}\r\n"), ("listen", 0.05))]]


def test_two_hundred_silent_bots_take_no_place(front: FrontSite) -> None:
    said = front.python(SILENT, 200, ONE, ["HELO good.example", *ENVELOPE[1:], "DATA", "among bots\r\n."])
    assert isinstance(said, list)
    assert [line[:3] for line in said] == ["220", "250", "250", "250", "354", "250"]
    front.arrives("alice", "among bots")


def test_who_comes_when_all_places_are_in_use_waits_and_then_hears_421(front: FrontSite, other: str) -> None:
    with ThreadPoolExecutor(1) as pool:
        hold = [*begun(*ENVELOPE), ("pause", 4.0), ("send", "QUIT\r\n"), ("expect", 1)]
        holder = pool.submit(front.box.talk, hold, port=ONE, source=other, patience=PATIENCE)
        until(lambda: front.was_behind(other), "joined")
        heard = front.visit(*ENVELOPE, port=ONE)
        assert heard[2].lines == (BUSY,)
        assert heard[2].closed
        assert codes(replies(holder.result()))[-1] == "221"
    front.said("127.0.0.1:10025: all 1 places are taken")


def test_a_place_that_is_free_in_time_goes_to_who_waits(front: FrontSite, other: str) -> None:
    with ThreadPoolExecutor(1) as pool:
        hold = [*begun(*ENVELOPE), ("pause", 1.0), ("send", "QUIT\r\n"), ("expect", 1)]
        holder = pool.submit(front.box.talk, hold, port=ONE, source=other, patience=PATIENCE)
        until(lambda: front.was_behind(other), "joined")
        assert codes(replies(front.visit(*ENVELOPE, port=ONE)))[2:] == ["250", "250"]
        assert codes(replies(holder.result()))[-1] == "221"


def test_who_has_nothing_under_way_makes_room_and_does_not_notice(front: FrontSite, other: str) -> None:
    with ThreadPoolExecutor(1) as pool:
        idle = [
            *begun(*ENVELOPE, "RSET"),
            ("pause", 2.0),
            *begun(*ENVELOPE[1:])[1:],
            ("send", "QUIT\r\n"),
            ("expect", 1),
        ]
        holder = pool.submit(front.box.talk, idle, port=ONE, source=other, patience=PATIENCE)
        until(lambda: front.was_behind(other), "joined")
        assert codes(replies(front.visit(*ENVELOPE, "QUIT", port=ONE)))[2:] == ["250", "250", "221"]
        assert codes(replies(holder.result()))[-3:] == ["250", "250", "221"]


LARGE = f"Subject: half\r\n\r\n{('x' * 70 + chr(13) + chr(10)) * 10_000}"


def content_under_way(front: FrontSite, other: str) -> int:
    """Postfix's process that has a part of the large content."""
    until(
        lambda: front.box.run("find", "/var/spool/postfix/incoming", "-type", "f", "-size", "+200k").out,
        "Postfix has begun to write it",
    )
    found = re.search(rf"postfix/smtpd\[(\d+)\]: \w+: client=unknown\[{other}\]", front.log())
    assert found is not None
    return int(found[1])


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSTOP])
def test_postfix_dies_or_hangs_in_the_middle_of_a_content(front: FrontSite, other: str, number: signal.Signals) -> None:
    with ThreadPoolExecutor(1) as pool:
        acts = [
            *begun(*ENVELOPE, "DATA"),
            ("send", LARGE),
            ("pause", 2.0),
            ("send", "the rest\r\n.\r\n"),
            ("listen", 0.1),
        ]
        talk = pool.submit(front.box.talk, acts, port=PROXY, source=other, patience=PATIENCE)
        front.kill(content_under_way(front, other), number)
        heard = talk.result()
    assert replies(heard)[-2:] == [("354 End data with <CR><LF>.<CR><LF>",), (GONE,)]
    assert heard[-1].closed
    assert codes(replies(front.visit(*ENVELOPE, "DATA", "after that\r\n.")))[-1] == "250"
    front.arrives("alice", "after that")
    assert not front.messages("half")


def test_a_client_waits_where_postfix_does_not_read_and_memory_stays(front: FrontSite, other: str) -> None:
    with ThreadPoolExecutor(1) as pool:
        acts = [*begun(*ENVELOPE, "DATA"), ("send", LARGE), ("pause", 0.5), ("send", LARGE * 20), ("send", ".\r\n")]
        talk = pool.submit(front.box.talk, [*acts, ("listen", 0.1)], port=PROXY, source=other, patience=PATIENCE)
        process = content_under_way(front, other)
        worker = front.children("worker")[0]
        before = int(front.status(worker)["VmRSS"].split()[0])
        front.kill(process, signal.SIGSTOP)
        until(lambda: f"disconnect from unknown[{other}]" in front.log(), "it is given up")
        assert int(front.status(worker)["VmRSS"].split()[0]) - before < 6_000  # KiB, of 14 MB
        talk.result()


def test_postfix_stops_and_comes_back(front: FrontSite) -> None:
    front.stop_behind()
    heard = replies(front.visit(*ENVELOPE))
    assert "250-SIZE 52428800" in heard[1]  # what was learnt stays
    assert heard[2] == (GONE,)
    front.said("127.0.0.1:10025 does not answer: ")
    front.begin_behind()
    assert codes(replies(front.visit(*ENVELOPE, "DATA", "it is back\r\n.")))[-1] == "250"
    front.said("127.0.0.1:10025 answers again")


def test_a_client_that_vanishes_in_its_content_leaves_nothing(front: FrontSite, other: str) -> None:
    acts = [*begun(*ENVELOPE, "DATA"), ("send", "Subject: cut\r\n\r\ncut off\r\n"), ("close", "")]
    front.act(acts, source=other)
    lost = re.compile(rf"postfix/smtpd.*: lost connection after DATA \(\d+ bytes\) from unknown\[{re.escape(other)}\]")
    until(lambda: lost.search(front.log()), "Postfix saw it")
    assert codes(replies(front.visit(*ENVELOPE, "DATA", "whole\r\n.", port=ONE)))[-1] == "250"
    front.arrives("alice", "whole")
    assert not front.messages("cut off")


def test_a_reload_and_a_stop_keep_no_client_waiting(front: FrontSite) -> None:
    front.kill(front.pid, signal.SIGHUP)
    until(lambda: "reload: " in front.log(), "the reload is over")
    assert codes(replies(front.visit(*ENVELOPE, "QUIT")))[-1] == "221"
