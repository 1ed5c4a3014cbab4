"""The thread's second configuration, byte for byte: PostgreSQL behind proxy:pgsql:, a policy service of spawn(8), a block list."""

from __future__ import annotations

import re
import signal
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from seawall.config.master_cf import STANDARD
from tests.box import Box
from tests.box_postgres import BoxPostgres
from tests.player import ROWS, sql_of
from tests.system.box_site import GOLDEN, STRANGER, BoxSite
from tests.system.server import CHECKOUT, until

pytestmark = [pytest.mark.peer, pytest.mark.xdist_group("thread-b")]

SEED = (Path(__file__).parents[1] / "config/seed/config-b.main.cf").read_text()
FOLDER = GOLDEN / "config-b"
FILES = {
    path.name: path.read_text()
    for path in FOLDER.iterdir()
    if path.is_file() and path.name not in ("main.cf", "master.cf", "zone", "transport", "aliases")
}
ZONE = (FOLDER / "zone").read_text().replace("cape.com. MX 10 pop.cape.com.", "box.example. MX 10 pop.cape.com.")
POLICY = "vpm-pfpolicy unix - n n - 10 spawn user=nobody argv=/bin/sh /etc/postfix/policyd spawned\n"
RECIPIENT = "alice@box.example"
POSTFIX, NOBODY = 901, 65534
SETUID_SETGID_KILL = 0xE0
QUICK = 2.0  # seconds in which a refusal for a missing part must come


@pytest.fixture(scope="module")
def database(box: Box) -> Iterator[BoxPostgres]:
    with BoxPostgres(box) as made:
        for name, text in FILES.items():
            if name.endswith(ROWS):
                made.sql(sql_of(name.removesuffix(ROWS), text.replace("@cape.com", "@box.example")))
        yield made


@pytest.fixture(scope="module")
def b(box: Box, database: BoxPostgres) -> Iterator[BoxSite]:
    site = BoxSite(box)
    files = {name: text.replace("@cape.com", "@box.example") for name, text in FILES.items()}
    site.lay_out(SEED, {**files, "master.cf": STANDARD + POLICY}, ZONE)
    box.run("chmod", "600", "/etc/postfix/vpm_recipient_access")  # it holds a password
    site.start()
    yield site
    site.stop()
    assert "Traceback" not in site.printed()


def refusal(site: BoxSite, recipient: str = RECIPIENT, sender: str = "ann@good.example", source: str = STRANGER) -> str:
    """The last reply of a try to send."""
    return site.submit(sender, recipient, "not taken", source=source)[-1]


def reply_to(site: BoxSite, *lines: str, source: str = STRANGER) -> str:
    """The last line of what is said to the last of some commands."""
    acts: list[tuple[str, object]] = [("expect", 1)]
    for line in lines:
        acts += [("send", f"{line}\r\n"), ("listen", 0.05)]
    heard = site.box.talk(acts, port=25, source=source)
    return heard[-1].lines[-1] if heard[-1].lines else ""


def test_good_mail_is_delivered(b: BoxSite) -> None:
    b.accepted("ann@good.example", RECIPIENT, "through all checks of the second configuration")
    until(lambda: b"second configuration" in (b.box.read("/var/mail/alice") or b""), "alice gets it")


@pytest.mark.parametrize(
    ("source", "sender", "recipient", "reply"),
    [
        ("198.18.3.7", "ann@good.example", RECIPIENT, "550 5.7.25 Client host rejected: cannot find your hostname"),
        ("198.18.3.9", "ann@good.example", RECIPIENT, "450 4.7.25 Client host rejected: cannot find your hostname"),
        (
            "198.18.88.2",
            "ann@good.example",
            RECIPIENT,
            "554 5.7.1 <a2.good.example[198.18.88.2]>: Client host rejected",
        ),
        (STRANGER, "ann@nobody.example", RECIPIENT, "550 5.1.8 <ann@nobody.example>: Sender address rejected: Domain"),
        (STRANGER, "ann@trouble.example", RECIPIENT, "450 4.1.8 <ann@trouble.example>: Sender address rejected: Dom"),
        (STRANGER, "ann@good.example", "x@nobody.example", "550 5.1.2 <x@nobody.example>: Recipient address rejected"),
        (
            STRANGER,
            "ann@good.example",
            "pg-text@box.example",
            "554 5.7.1 <pg-text@box.example>: Recipient address reje",
        ),
        (STRANGER, "ann@good.example", "pg-450@box.example", "450 4.2.1 <pg-450@box.example>: Recipient address rejec"),
        (STRANGER, "text@sender.example", RECIPIENT, "554 5.7.1 <text@sender.example>: Sender address rejected: we do"),
        (
            STRANGER,
            "ann@good.example",
            "trap@box.example",
            "554 5.7.1 <trap@box.example>: Recipient address rejected: ",
        ),
        ("198.18.3.20", "ann@good.example", RECIPIENT, "554 5.7.1 Service unavailable; Client host [198.18.3.20] bloc"),
        (
            STRANGER,
            "reject@good.example",
            RECIPIENT,
            "554 5.7.1 <alice@box.example>: Recipient address rejected: by sp",
        ),
        (STRANGER, "defer@good.example", RECIPIENT, "450 4.7.1 <alice@box.example>: Recipient address rejected: greyl"),
        (STRANGER, "ann@good.example", "x@outside.example", "554 5.7.1 <x@outside.example>: Relay access denied"),
        (STRANGER, "ann@good.example", "nobody-here@box.example", "550 5.1.1 <nobody-here@box.example>: Recipient add"),
    ],
)
def test_each_check_refuses_in_its_own_words(b: BoxSite, source: str, sender: str, recipient: str, reply: str) -> None:
    assert refusal(b, recipient, sender, source).startswith(reply)


@pytest.mark.parametrize(
    ("helo", "reply"),
    [
        ("localhost", "554 5.7.1 <localhost>: Helo command rejected: nobody is localhost"),
        ("bad..example", "501 5.5.2 <bad..example>: Helo command rejected: Invalid name"),
        ("mail", "504 5.5.2 <mail>: Helo command rejected: need fully-qualified hostname"),
    ],
)
def test_each_check_of_helo_refuses_in_its_own_words(b: BoxSite, helo: str, reply: str) -> None:
    assert reply_to(b, f"HELO {helo}", "MAIL FROM:<ann@good.example>", f"RCPT TO:<{RECIPIENT}>") == reply


def test_who_runs_commands_can_be_their_users_and_nothing_else(b: BoxSite) -> None:
    (pid,) = b.children("spawn")
    status = b.status(pid)
    assert status["Uid"].split() == [str(POSTFIX)] * 4
    assert int(status["CapEff"], 16) == int(status["CapPrm"], 16) == SETUID_SETGID_KILL
    assert status["NoNewPrivs"] == "0", "a command may start setuid programs, as under Postfix"


def test_the_policy_services_command_is_nobody_and_has_no_power(b: BoxSite) -> None:
    refusal(b, sender="reject@good.example")
    commands = [pid for pid, line in b.box.processes().items() if line == "/bin/sh /etc/postfix/policyd spawned"]
    assert commands, "workers keep their connections"
    for pid in commands:
        status = b.status(pid)
        assert status["Uid"].split() == [str(NOBODY)] * 4
        assert status["Groups"].split() == [str(NOBODY)]
        assert {int(status[name], 16) for name in ("CapInh", "CapPrm", "CapEff", "CapAmb")} == {0}


def test_a_policy_service_that_dies_is_started_again(b: BoxSite) -> None:
    assert refusal(b, sender="reject@good.example").startswith("554 5.7.1 ")
    for pid, line in b.box.processes().items():
        if line == "/bin/sh /etc/postfix/policyd spawned":
            b.kill(pid)
    assert refusal(b, sender="reject@good.example").startswith("554 5.7.1 ")
    b.said("warning: command /bin/sh killed by signal 9")


def test_a_spawn_process_that_dies_is_replaced_and_nothing_is_refused_for_good(b: BoxSite) -> None:
    (pid,) = b.children("spawn")
    b.kill(pid)
    b.said(f"process spawn 0 (pid {pid}) ended with signal 9; replaced")
    for line_pid, line in b.box.processes().items():
        if line == "/bin/sh /etc/postfix/policyd spawned":
            b.kill(line_pid)
    replies: list[str] = []

    def again() -> bool:
        replies.append(refusal(b, sender="defer@good.example"))
        return "greylisted by spawned" in replies[-1]

    until(again, "the policy service is asked again")
    assert not [reply for reply in replies if not reply.startswith("4")]


def test_a_database_that_is_down_is_temporary_at_once_and_by_itself_over(b: BoxSite, database: BoxPostgres) -> None:
    heard: list[str] = []
    database.stop()
    for _ in range(8):
        began = time.monotonic()
        heard.append(refusal(b))
        assert time.monotonic() - began < QUICK
        assert heard[-1].startswith("451 4.3.")
    assert refusal(b, sender="ann@nobody.example").startswith("550 5.1.8 "), "what needs no database goes on"
    database.start()
    began = time.monotonic()

    def accepted() -> bool:
        heard.append(refusal(b))
        return heard[-1].startswith("250 2.0.0 Ok")

    until(accepted, "mail is taken again")
    assert time.monotonic() - began < 5
    assert {reply[0] for reply in heard} == {"4", "2"}


def test_a_database_that_hangs_is_temporary_and_by_itself_over(b: BoxSite, database: BoxPostgres) -> None:
    database.hang()
    heard: list[str] = []

    def is_quick() -> bool:
        began = time.monotonic()
        heard.append(refusal(b))
        return time.monotonic() - began < QUICK

    try:
        until(is_quick, "nobody waits any more for a database that hangs")
        assert all(is_quick() for _ in range(4))
    finally:
        database.resume()
    assert {reply[:6] for reply in heard} == {"451 4."}
    began = time.monotonic()
    until(lambda: refusal(b).startswith("250 2.0.0 Ok"), "mail is taken again")
    assert time.monotonic() - began < 5


@pytest.mark.parametrize(
    ("user", "said"),
    [
        ("root", "request to deliver as root"),
        ("postfix", "request to deliver as mail system owner"),
        ("bob:root", "request to use privileged group id 0"),
        ("bob:postfix", "request to use mail system owner group id 901"),
        ("nosuchuser", "unknown user name: nosuchuser"),
        ("bob:nosuchgroup", "unknown group name: nosuchgroup"),
    ],
)
def test_a_command_may_not_be_run_as_who_has_power(b: BoxSite, user: str, said: str) -> None:
    b.box.write("/etc/postfix/master.cf", STANDARD + POLICY.replace("user=nobody", f"user={user}"))
    b.box.kill(b.pid, signal.SIGHUP)
    line = len((STANDARD + POLICY).splitlines())
    b.said(f"error: reload: /etc/postfix/master.cf, line {line}: {said}; the old configuration stays in use")
    assert refusal(b, sender="reject@good.example").startswith("554 5.7.1 ")


def test_a_daemon_may_listen_where_the_command_was(b: BoxSite) -> None:
    b.box.write("/etc/postfix/master.cf", STANDARD)
    b.box.kill(b.pid, signal.SIGHUP)
    until(lambda: not b.children("spawn"), "there is no service for commands any more")
    b.box.policy("unix:private/vpm-pfpolicy", "sender=reject@* -> REJECT by a daemon")
    until(lambda: "by a daemon" in refusal(b, sender="reject@good.example"), "the daemon is asked")
    b.accepted("ann@good.example", RECIPIENT, "by leave of a daemon")
    b.box.policy_end("unix:private/vpm-pfpolicy")


def test_the_lines_that_the_thread_has_commented_out_work_as_well(b: BoxSite) -> None:
    b.stop()
    whole = re.sub(r"^#(?= +reject)", " ", SEED, flags=re.MULTILINE).replace("# unknown_host", "unknown_host")
    assert "#" not in whole
    b.box.write("/etc/postfix/main.cf", whole)
    b.box.write("/etc/postfix/master.cf", STANDARD + POLICY)
    b.start()
    b.accepted("ann@good.example", RECIPIENT, "through all lines")
    for helo, code in (("no-such.example", "550 5.7.1"), ("trouble.example", "450 4.7.1")):
        said = reply_to(b, f"EHLO {helo}", "MAIL FROM:<ann@good.example>", f"RCPT TO:<{RECIPIENT}>")
        assert said == f"{code} <{helo}>: Helo command rejected: Host not found"
    assert refusal(b, "nobody-here@box.example", "reject@good.example").startswith(
        "550 5.1.1 <nobody-here@box.example>"
    )


ALICE = 3001
ASK = """\
import socket
client = socket.socket(socket.AF_UNIX)
client.connect("/home/alice/example/var/spool/postfix/private/vpm-pfpolicy")
client.sendall(b"sender=casino@far.example\\n\\n")
print(json.dumps(client.makefile().readline()))
"""


def test_the_example_runs_for_an_ordinary_user_and_its_command_is_his(b: BoxSite) -> None:
    b.stop()
    box = b.box
    box.run("cp", "-r", str(CHECKOUT / "examples/thread-b"), "/home/alice/example")
    box.run("rm", "-rf", "/home/alice/example/var")
    box.run("sed", "-i", "s/^2525/127.0.0.1:2600/", "/home/alice/example/etc/postfix/master.cf")  # 2525 is the sink's
    box.run("chown", "-R", "alice", "/home/alice/example")
    words = ("seawall", "serve", "-c", "/etc/postfix", "--root", "/home/alice/example")
    as_alice = ("setpriv", f"--reuid={ALICE}", f"--regid={ALICE}", "--clear-groups")
    pid = box.start(*as_alice, sys.executable, "-m", *words, output="/var/log/example.log")
    try:
        until(lambda: b"ready on" in (box.read("/var/log/example.log") or b""), "it is ready")
        assert b.python(ASK) == "action=REJECT no games here\n"
        b.said("vpm-pfpolicy: without root's power its command runs as uid 3001, not as user=nobody")
    finally:
        assert box.stop(pid, timeout=30) == 0
