"""sendmail: what it hands in, with the server up and down, and its exit codes."""

import io
import os
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from seawall.cli import sendmail
from seawall.cli.sendmail_text import extract_recipients, header_fields, parse_list, read_message
from seawall.mail.envelope import Notify, Ret
from seawall.mail.reply import Reply
from seawall.spool.handing_in import parse_handed
from tests.cli.queue_site import QueueSite

SOURCE = Path(__file__).parent.parent.parent / "src"


@pytest.fixture
def site(tmp_path: Path) -> QueueSite:
    return QueueSite(tmp_path)


def run(site: QueueSite, monkeypatch: pytest.MonkeyPatch, text: bytes, *arguments: str) -> int:
    monkeypatch.setattr(sendmail, "_stdin", lambda: io.BytesIO(text))
    return sendmail.main(["-C", str(site.directory), *arguments])


def test_a_message_is_handed_in_with_its_envelope(site: QueueSite, monkeypatch: pytest.MonkeyPatch) -> None:
    with site.running():
        code = run(
            site,
            monkeypatch,
            b"From me at noon\r\nSubject: hi\r\n\r\n.dot\r\n",
            *["-oi", "-f", "ann@a.example", "-F", "Ann A", "-N", "success,failure", "-R", "hdrs", "-V", "id1"],
            *["-B", "8BITMIME", "--", "bob@b.example", "Carl <carl@c.example>, bob@b.example"],
        )
    assert code == 0
    ((submission, recipients, content),) = site.desk.taken
    assert submission.sender == "ann@a.example"
    assert submission.ret is Ret.HDRS
    assert submission.envid == "id1"
    assert submission.body.value == "8BITMIME"
    assert submission.extra == ("fullname=Ann A",)
    assert [recipient.address for recipient in recipients] == ["bob@b.example", "carl@c.example"]
    assert {recipient.notify for recipient in recipients} == {(Notify.SUCCESS | Notify.FAILURE).value}
    assert content == b"Subject: hi\n\n.dot\n"


def test_recipients_come_from_the_header_with_t(site: QueueSite, monkeypatch: pytest.MonkeyPatch) -> None:
    text = b'To: a@x.example, "B b" <b@x.example>\nBcc: c@x.example\nSubject: t\n\nTo: no@x.example\n'
    with site.running():
        assert run(site, monkeypatch, text, "-t", "-i", "-f", "<>", "d@x.example") == 0
    ((submission, recipients, _),) = site.desk.taken
    assert submission.sender == ""
    assert [r.address for r in recipients] == ["d@x.example", "a@x.example", "b@x.example", "c@x.example"]


@pytest.mark.parametrize(
    ("reply", "code"),
    [(Reply(451, "4.3.0", "Error: queue file write error"), 75), (Reply(550, "5.7.1", "content rejected"), 69)],
)
def test_a_refusal_is_an_exit_code(
    site: QueueSite, monkeypatch: pytest.MonkeyPatch, reply: Reply, code: int, capsys: pytest.CaptureFixture[str]
) -> None:
    site.desk.reply = reply
    with site.running():
        assert run(site, monkeypatch, b"x\n", "bob@b.example") == code
    assert reply.line() in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "code", "complaint"),
    [
        ([], 64, "Recipient addresses must be specified on the command line or via the -t option"),
        (["-t"], 75, "No recipient addresses found in message header"),
        (["-N", "sometimes", "a@b"], 64, "bad -N option value"),
        (["-N", "never,failure", "a@b"], 64, "bad -N option value"),
        (["-R", "half", "a@b"], 64, "bad -R option value"),
        (["-bz", "a@b"], 64, "unsupported: -bz"),
        (["-f", "a@b, c@d", "a@b"], 64, "malformed sender"),
        (["-?"], 64, "usage: sendmail"),
    ],
)
def test_wrong_usage_is_told(
    site: QueueSite,
    monkeypatch: pytest.MonkeyPatch,
    arguments: list[str],
    code: int,
    complaint: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert run(site, monkeypatch, b"Subject: x\n\nbody\n", *arguments) == code
    assert complaint in capsys.readouterr().err


def test_a_message_that_is_too_large_is_refused_before_anything(
    site: QueueSite, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(site, monkeypatch, b"x" * 100001, "bob@b.example") == 69
    assert "Message file too big" in capsys.readouterr().err
    assert os.listdir(site.places.maildrop) == []


def test_with_the_server_down_the_message_waits_in_the_maildrop(
    site: QueueSite, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(site, monkeypatch, b"Subject: x\n\nbody\n", "bob@b.example") == 0
    assert "waits in the maildrop" in capsys.readouterr().err
    (name,) = os.listdir(site.places.maildrop)
    path = Path(site.places.maildrop) / name
    assert path.stat().st_mode & 0o777 == 0o644
    line, _, content = path.read_bytes().partition(b"\n")
    assert parse_handed(line).sender is None
    assert content == b"Subject: x\n\nbody\n"


AS_ANOTHER_USER = """
import os, sys
from seawall.cli import sendmail
if os.getuid() == 0:
    os.setgid(65534)
    os.setuid(65534)
code = sendmail.main(["-C", sys.argv[1], "bob@b.example"])
if os.getuid() == 65534:
    try:
        os.listdir(sys.argv[2])
        code = 99
    except PermissionError:
        pass
sys.exit(code)
"""


def test_an_ordinary_user_may_drop_but_not_look(site: QueueSite) -> None:
    folder = Path(site.places.root)
    while folder != folder.parent:
        if folder.stat().st_uid == os.getuid() and not folder.stat().st_mode & 0o001:
            folder.chmod(folder.stat().st_mode | 0o011)  # pytest's own folders are closed to others
        folder = folder.parent
    done = subprocess.run(
        [sys.executable, "-c", AS_ANOTHER_USER, str(site.directory), site.places.maildrop],
        input=b"Subject: x\n\nbody\n",
        env={**os.environ, "PYTHONPATH": str(SOURCE)},
        capture_output=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr.decode()
    (name,) = os.listdir(site.places.maildrop)
    assert (Path(site.places.maildrop) / name).stat().st_uid == (65534 if os.getuid() == 0 else os.getuid())


def test_a_dot_ends_the_message_unless_i_is_given() -> None:
    text = b"one\n.\ntwo\n"
    assert read_message(io.BytesIO(text), ends_at_dot=True, limit=0) == b"one\n"
    assert read_message(io.BytesIO(text), ends_at_dot=False, limit=0) == text
    assert (
        read_message(io.BytesIO(b">From x\nFrom y\nFrom: z\nFrom w\n"), ends_at_dot=True, limit=0)
        == b"From: z\nFrom w\n"
    )
    assert read_message(io.BytesIO(b"no end"), ends_at_dot=True, limit=0) == b"no end\n"
    assert read_message(io.BytesIO(b""), ends_at_dot=True, limit=0) == b""


def test_resent_headers_take_the_place_of_the_others() -> None:
    text = b"To: old@x.example\nResent-To: new@x.example,\n\tnext@x.example\n\nbody\n"
    assert extract_recipients(text) == ["new@x.example", "next@x.example"]


def test_groups_comments_and_quotes_are_read() -> None:
    assert parse_list('friends: a@x, "q q"@y (hey);, <z@z>') == ["a@x", "q q@y", "z@z"]
    assert parse_list("<>") == []


@given(st.binary(max_size=200))
def test_no_input_is_too_odd(data: bytes) -> None:
    content = read_message(io.BytesIO(data), ends_at_dot=True, limit=0)
    assert content is not None
    header_fields(content)
    extract_recipients(content)


def test_bv_asks_and_hands_in_no_message_of_its_own(
    site: QueueSite, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with site.running():
        assert run(site, monkeypatch, b"never read\n", "-bv", "-f", "ann@a.example", "bob@b.example", "carl") == 0
    ((submission, recipients, content),) = site.desk.taken
    assert "asks" in submission.extra
    assert [recipient.address for recipient in recipients] == ["bob@b.example", "carl"]
    assert content == b"From: ann@a.example\nSubject: probe\nTo: bob@b.example,\n\tcarl\n\n"
    assert capsys.readouterr().out == "Mail Delivery Status Report will be mailed to <ann@a.example>.\n"


def test_bv_takes_its_recipients_from_the_command_line_alone(
    site: QueueSite, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(site, monkeypatch, b"To: x@y.example\n\n", "-bv", "-t") == 64
    assert "-t option cannot be used with -bv" in capsys.readouterr().err
