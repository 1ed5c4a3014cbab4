"""sendmail -bs: what a program hears that hands in mail by SMTP, beside the real one, and what becomes of its mail."""

import re
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from seawall.cli.sendmail_session import STAND_ALONE, StandAlone
from seawall.config.settings import Settings
from seawall.edge.profile import compile_profile
from seawall.mail.reply import Reply
from seawall.spool.handing_in import Handed, HandedRecipient, checksum
from seawall.tables.registry import Tables
from tests.box import Box
from tests.cli.queue_site import QueueSite
from tests.system.server import until

ALICE = 3001
MAIN = "compatibility_level = 3.6\nmyhostname = box.example\nmydestination = box.example\nmail_name = Postfix\nalias_maps =\nmynetworks = 10.0.0.0/8\n"
DIALOGUES = (
    "EHLO me.example\nNOOP x\nVRFY bob\nVRFY nobody\nETRN x.example\nAUTH PLAIN AAA\nSTARTTLS\nXCLIENT ADDR=1.2.3.4\nQUIT\n",
    "HELO x\nRCPT TO:<bob>\nMAIL FROM:<alice>\nMAIL FROM:<alice>\nRCPT TO:<>\nDATA\nRSET\nFOO\nQUIT\n",
    "EHLO x\nMAIL FROM:<> SIZE=9999\nRCPT TO:bob junk\nMAIL\nRCPT TO:\nGET / x\n",
    "EHLO x\nMAIL FROM:<alice@box.example> BODY=8BITMIME RET=HDRS ENVID=one\nRCPT TO:<bob@box.example> NOTIFY=NEVER\n"
    "RCPT TO:<carol@box.example>\nDATA\nSubject: one\n\n..dot\nx\n.\nMAIL FROM:<a@b.example>\nRSET\nQUIT\n",
    "HELO x\nMAIL FROM:<alice@box.example>\nRCPT TO:<bob@box.example>\nBDAT 14\nSubject: two\n\nBDAT 5 LAST\nbody\nQUIT\n",
    "MAIL FROM:<alice@box.example>\nRCPT TO:<bob@box.example>\nDATA\nSubject: lost\n\nno dot\n",
    "NOPE\n" * 25,
)  # fmt: skip
"""Lines as a program writes them, all at once."""


QUEUED = Reply(250, "2.0.0", "Ok: queued as 4cX")


class Desk:
    """Takes messages, and answers as told."""

    def __init__(self, reply: Reply = QUEUED) -> None:
        self.taken: list[tuple[Handed, bytes]] = []
        self._reply = reply

    def take(self, handed: Handed, content: bytes) -> Reply:
        self.taken.append((handed, content))
        return self._reply


def session(desk: Desk, more: str = "") -> StandAlone:
    settings = Settings.from_text(f"{MAIN}{more}").with_overrides(STAND_ALONE)
    return StandAlone(compile_profile(settings, Tables()), "Postfix", desk.take, lambda: 0.0)


def said(session: StandAlone, *pieces: bytes) -> list[str]:
    """The replies' last lines."""
    for piece in pieces:
        session.receive(piece)
    lines = b"".join(session.said).decode().splitlines()
    return [line for line in lines if line[3:4] == " "]


MESSAGE = b"HELO h.example\r\nMAIL FROM:<a@b.example> ENVID=e\r\nRCPT TO:<c@d.example> NOTIFY=DELAY ORCPT=rfc822;x@y\r\nDATA\r\nSubject: s\r\n\r\n..\r\n.\r\nQUIT\r\n"


def test_a_message_is_handed_in_with_its_envelope() -> None:
    desk = Desk()
    replies = said(session(desk), MESSAGE)

    assert replies[-2:] == ["250 2.0.0 Ok: queued as 4cX", "221 2.0.0 Bye"]
    ((handed, content),) = desk.taken
    assert handed.sender == "a@b.example"
    assert handed.envid == "e"
    assert handed.recipients == (HandedRecipient("c@d.example", 8, "rfc822;x@y"),)
    assert content.startswith(
        b"Received: from h.example (localhost [127.0.0.1])\n\tby box.example (Postfix) with SMTP\n\tfor <c@d.example>; Thu,"
    )
    assert content.endswith(b"Subject: s\n\n.\n")
    assert (handed.size, handed.checksum) == (len(content), checksum(content))


def test_it_is_all_the_same_in_what_pieces_the_input_comes() -> None:
    whole, single = Desk(), Desk()
    assert said(session(whole), MESSAGE) == said(session(single), *(bytes([octet]) for octet in MESSAGE))
    assert whole.taken == single.taken


def test_a_refusal_of_the_mail_system_is_the_reply() -> None:
    replies = said(session(Desk(Reply(451, "4.3.0", "Error: queue file write error"))), MESSAGE)
    assert replies[-2] == "451 4.3.0 Error: queue file write error"


def test_limits_hold() -> None:
    desk = Desk()
    more = "message_size_limit = 100\nsmtpd_recipient_limit = 1\n"
    text = b"HELO h\nMAIL FROM:<a@b>\nRCPT TO:<c@d>\nRCPT TO:<e@d>\nDATA\n" + b"x" * 200 + b"\n.\nQUIT\n"

    replies = said(session(desk, more), text)
    assert replies[-4:] == [
        "452 4.5.3 Error: too many recipients",
        "354 End data with <CR><LF>.<CR><LF>",
        "552 5.3.4 Error: message file too big",
        "221 2.0.0 Bye",
    ]
    assert desk.taken == []


def test_who_says_nothing_for_too_long_is_told() -> None:
    talk = session(Desk())
    talk.time_is_over()
    assert talk.is_over
    assert talk.said[-1] == b"421 4.4.2 box.example Error: timeout exceeded\r\n"


@given(st.lists(st.one_of(st.binary(max_size=40), st.sampled_from([b"HELO x\n", b"MAIL FROM:<a@b>\n", b"RCPT TO:<c@d>\n", b"DATA\n", b".\n", b"BDAT 3\n", b"BDAT 2 LAST\n"])), max_size=12))  # fmt: skip
def test_no_input_is_too_odd(pieces: list[bytes]) -> None:
    desk = Desk()
    replies = said(session(desk), *pieces)
    assert all(re.fullmatch(r"[2345]\d\d .*", reply) for reply in replies)


def test_with_the_server_down_the_message_waits_in_the_maildrop(tmp_path: Path) -> None:
    site = QueueSite(tmp_path)
    command = [sys.executable, "-m", "seawall", "sendmail", "-C", str(site.directory), "-bs"]
    done = subprocess.run(command, input=MESSAGE, capture_output=True, check=False, timeout=60)

    assert done.returncode == 0
    assert b"\r\n250 2.0.0 Ok\r\n221 2.0.0 Bye\r\n" in done.stdout
    (drop,) = Path(site.places.maildrop).iterdir()
    assert drop.read_bytes().endswith(b"Subject: s\n\n.\n")


def replies_of(box: Box, command: str, text: str) -> list[str]:
    as_alice = ("setpriv", f"--reuid={ALICE}", f"--regid={ALICE}", "--init-groups")
    done = box.run(*as_alice, "sh", "-c", command, stdin=text)
    return re.sub(r"queued as \w+", "queued as ID", done.out).splitlines()


@pytest.mark.peer
def test_every_dialogue_goes_as_with_the_real_one(box: Box) -> None:
    box.wipe()
    box.write("/etc/postfix/main.cf", MAIN)
    pid = box.start_postfix()
    try:
        theirs = [replies_of(box, "exec sendmail -bs", text) for text in DIALOGUES]
    finally:
        box.stop_postfix(pid)

    box.wipe()
    box.write("/etc/postfix/main.cf", MAIN + "home_mailbox = Maildir/\n")
    pid = box.start_seawall()
    try:
        ours = [replies_of(box, f"exec {sys.executable} -m seawall sendmail -bs", text) for text in DIALOGUES]
        until(lambda: len(box.files("/home/bob/Maildir/new")) == 2, "both messages are there")
        mails = [(box.read(path) or b"").decode() for path in box.files("/home/bob/Maildir/new")]
    finally:
        box.stop(pid)

    assert ours == theirs
    one = next(mail for mail in mails if "Subject: one" in mail)
    assert "(Postfix, from userid 3001)" in one
    assert "Received: from x (localhost [127.0.0.1])\n\tby box.example (Postfix) with ESMTP;\n\t" in one
    assert one.endswith("\n\n.dot\nx\n")
