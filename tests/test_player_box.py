"""The box itself: what runs in it is real, apart from the host, and gone when it closes."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.box import Box

pytestmark = pytest.mark.peer


@pytest.fixture
def own_box(box: Box) -> Iterator[Box]:
    """A box of the test's own; asking for the shared one first tells whether any can be had."""
    with Box() as opened:
        yield opened


def test_postfix_serves_in_the_box_and_not_on_the_host(own_box: Box) -> None:
    own_box.wipe()
    own_box.start_postfix()
    greeting, bye = own_box.talk(
        [("expect", 1), ("send", "QUIT\r\n"), ("expect-close", "")], port=25, source="198.18.3.4"
    )
    assert greeting.lines[0].startswith("220 ")
    assert bye.lines == ("221 2.0.0 Bye",)
    assert bye.closed
    assert "connect from unknown[198.18.3.4]" in own_box.log()[0]


def test_a_closed_box_leaves_no_process(own_box: Box) -> None:
    marker = f"86400.{secrets.randbelow(10**9):09}"
    own_box.start("sleep", marker)
    assert any(marker in line for line in _command_lines())
    own_box.close()
    assert not any(marker in line for line in _command_lines())


def test_what_a_box_writes_stays_in_it(own_box: Box) -> None:
    before = Path("/etc/passwd").read_bytes()
    own_box.write("/etc/passwd", "nobody:x:65534:65534::/:/bin/false\n")
    own_box.write("/var/lib/seawall-was-here", "x")
    assert own_box.read("/var/lib/seawall-was-here") == b"x"
    assert Path("/etc/passwd").read_bytes() == before
    assert not Path("/var/lib/seawall-was-here").exists()


def test_the_name_server_answers_from_the_zone_and_nothing_else(own_box: Box) -> None:
    own_box.zone("here.example. A 203.0.113.1\nmail.here.example. CNAME here.example.\n;!servfail bad.example A\n")
    script = (
        "import socket\n"
        "for name in ('here.example', 'mail.here.example', 'there.example', 'bad.example'):\n"
        "    try: print(socket.getaddrinfo(name, 25, socket.AF_INET, socket.SOCK_STREAM)[0][4][0])\n"
        "    except socket.gaierror as error: print(error.errno == socket.EAI_AGAIN)\n"
    )
    assert own_box.run("python", "-c", script).out.split() == ["203.0.113.1", "203.0.113.1", "False", "True"]


def test_a_command_that_fails_says_why(own_box: Box) -> None:
    done = own_box.run("sh", "-c", "echo no >&2; exit 3", check=False)
    assert (done.code, done.err) == (3, "no\n")


def _command_lines() -> list[str]:
    lines = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                lines.append((entry / "cmdline").read_bytes().replace(b"\0", b" ").decode("utf-8", "replace"))
            except OSError:
                continue  # it has just ended
    return lines
