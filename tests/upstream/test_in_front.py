"""Seawall as the door alone in front of Debian's Postfix: what clients hear, what Postfix gets, who takes its places."""

import base64
from collections.abc import Iterator

import pytest

from tests.box import Box
from tests.system.server import until
from tests.system.test_auth import DOVECOT
from tests.upstream.front_site import (
    DEAD,
    DOOR,
    GREY,
    LISTED,
    LOGINS,
    NONE,
    OTHER,
    PROXY,
    PROXY_V2,
    SOCKET,
    STRANGER,
    XCLIENT,
    FrontSite,
    codes,
    replies,
)

pytestmark = [pytest.mark.peer, pytest.mark.xdist_group("front")]

AUTH = "/var/spool/postfix/private/auth"
LOGIN = "AUTH PLAIN " + base64.b64encode(b"\0alice\0secret").decode()
WRONG = "AUTH PLAIN " + base64.b64encode(b"\0alice\0other").decode()
ENVELOPE = ("EHLO client.example", "MAIL FROM:<a@b.example>", "RCPT TO:<alice@example.com>")


@pytest.fixture(scope="module")
def front(box: Box) -> Iterator[FrontSite]:
    site = FrontSite(box, behind=LOGINS)
    box.write("/etc/dovecot/seawall.conf", DOVECOT)
    box.write("/etc/dovecot/people", "alice:{PLAIN}secret\n")
    box.run("rm", "-f", AUTH)  # of a Dovecot that another test ended
    site.begin_behind()
    pid = box.start("/usr/sbin/dovecot", "-F", "-c", "/etc/dovecot/seawall.conf", output="/var/log/dovecot.out")
    until(lambda: box.run("test", "-S", AUTH, check=False).code == 0, "Dovecot is there")
    site.begin()
    offered = "250-AUTH PLAIN LOGIN CRAM-MD5"
    until(lambda: offered in replies(site.visit("EHLO c", "QUIT"))[1], "it is known what the server behind offers")
    yield site
    site.end()
    box.stop(pid)
    assert "Traceback" not in site.printed()


def data(text: str) -> tuple[str, str]:
    return "DATA", f"Subject: {text}\r\n\r\n{text}\r\n."


@pytest.mark.parametrize("port", [PROXY, PROXY_V2, XCLIENT, SOCKET])
def test_a_message_gets_through_and_postfix_knows_whose_it_is(front: FrontSite, port: int) -> None:
    text = f"through {port}"
    heard = replies(front.visit(*ENVELOPE, *data(text), "QUIT", port=port))
    assert heard[0] == ("220 mx.example ESMTP Seawall",)
    assert heard[1][0] == "250-mx.example"
    assert {"250-PIPELINING", "250-SIZE 52428800", "250-STARTTLS", "250-AUTH PLAIN LOGIN CRAM-MD5"} <= set(heard[1])
    assert not any("XCLIENT" in line for line in heard[1])
    assert codes(heard)[2:] == ["250", "250", "354", "250", "221"]
    assert heard[5][0].startswith("250 2.0.0 Ok: queued as ")
    mail = front.arrives("alice", text)
    assert f"from client.example (unknown [{STRANGER}])" in mail
    front.said(f"client=unknown[{STRANGER}]")


def test_without_a_name_postfix_sees_us(front: FrontSite) -> None:
    assert codes(replies(front.visit(*ENVELOPE, *data("unnamed"), port=NONE)))[-1] == "250"
    assert "[127.0.0.1])" in front.arrives("alice", "unnamed")


def test_the_words_are_postfixs_and_so_is_its_verdict(front: FrontSite) -> None:
    heard = replies(front.visit(*ENVELOPE, "RCPT TO:<nobody@example.com>", "RCPT TO:<x@far.example>"))
    assert heard[4:] == [
        ("550 5.1.1 <nobody@example.com>: Recipient address rejected: User unknown in local recipient table",),
        ("554 5.7.1 <x@far.example>: Relay access denied",),
    ]
    until(lambda: "from=<a@b.example> to=<x@far.example> proto=ESMTP helo=<client.example>" in front.log(), "its log")


def test_helo_and_no_hello_at_all(front: FrontSite) -> None:
    heard = replies(front.visit("HELO old.example", *ENVELOPE[1:], *data("by helo")))
    assert codes(heard)[1:] == ["250", "250", "250", "354", "250"]
    assert "with SMTP id" in front.arrives("alice", "by helo")
    heard = replies(front.visit(*ENVELOPE[1:], *data("no helo")))
    assert codes(heard)[1:] == ["250", "250", "354", "250"]
    front.arrives("alice", "no helo")


def test_two_messages_two_hellos_and_a_reset_in_one_connection(front: FrontSite) -> None:
    heard = replies(
        front.visit(
            *ENVELOPE, *data("first of two"), "RSET", "EHLO second.example", *ENVELOPE[1:], "RSET", "NOOP",
            *ENVELOPE[1:], *data("second of two"), "QUIT",
        )
    )  # fmt: skip
    assert codes(heard)[-7:] == ["250", "250", "250", "250", "354", "250", "221"]
    front.arrives("alice", "first of two")
    assert "from second.example" in front.arrives("alice", "second of two")


def test_what_is_pipelined_is_answered_in_order(front: FrontSite) -> None:
    group = "MAIL FROM:<a@b.example>\r\nRCPT TO:<nobody@example.com>\r\nRCPT TO:<alice@example.com>\r\nDATA\r\n"
    text = (
        "Subject: piped\r\n\r\npiped\r\n.\r\nMAIL FROM:<c@d.example>\r\nRCPT TO:<bob@example.com>\r\nRSET\r\nQUIT\r\n"
    )
    acts = [("expect", 1), ("send", "EHLO c\r\n"), ("listen", 0.1), ("send", group), ("expect", 4), ("send", text)]
    heard = front.act([*acts, ("expect", 5)])
    assert [line[:3] for line in heard[2]] == ["250", "550", "250", "354"]
    assert [line[:3] for line in heard[3]] == ["250", "250", "250", "250", "221"]
    front.arrives("alice", "piped")


def test_chunks_go_on_as_one_content(front: FrontSite) -> None:
    first, last = "Subject: chunks\r\n\r\none\r\n.\r\n", "two, without an end"
    chunks = f"BDAT {len(first)}\r\n{first}BDAT {len(last)} LAST\r\n{last}"
    acts = [("expect", 1), *[act for line in ENVELOPE for act in (("send", f"{line}\r\n"), ("listen", 0.05))]]
    heard = front.act([*acts, ("send", chunks), ("expect", 2), ("send", "QUIT\r\n"), ("expect", 1)])
    assert heard[4][0] == f"250 2.0.0 Ok: {len(first)} bytes"
    assert heard[4][1].startswith("250 2.0.0 Ok: ")
    assert heard[5] == ("221 2.0.0 Bye",)
    assert front.arrives("alice", "Subject: chunks").endswith("\none\n.\ntwo, without an end\n")


def test_eight_bits_and_utf8_addresses(front: FrontSite) -> None:
    text = "MAIL FROM:<ä@b.example> BODY=8BITMIME SMTPUTF8 SIZE=100".encode().decode("latin-1")
    body = "Subject: grüße\r\n\r\nwide\r\n.".encode().decode("latin-1")
    heard = replies(front.visit("EHLO c", text, "RCPT TO:<alice@example.com>", "DATA", body))
    assert codes(heard)[2:] == ["250", "250", "354", "250"]
    mail = front.arrives("alice", "wide").encode("latin-1").decode()
    assert "grüße" in mail
    assert "with UTF8SMTP" in mail
    heard = replies(front.visit("EHLO c", "MAIL FROM:<a@b.example> SIZE=99999999"))
    assert heard[-1] == ("552 5.3.4 Message size exceeds fixed limit",)


SEND_LARGE = """
import hashlib, socket
line = b"." + b"x" * 70 + b"\\r\\n"
s = socket.create_connection(("192.0.2.1", 25), 30, ("198.18.3.4", 0))
f = s.makefile("rb")
f.readline()
for text in (b"HELO c", b"MAIL FROM:<a@b.example>", b"RCPT TO:<bob@example.com>", b"DATA"):
    s.sendall(text + b"\\r\\n"); f.readline()
s.sendall(b"Subject: large\\r\\n\\r\\n")
for _ in range(given[0]):
    s.sendall((b"." + line) * 1000)
s.sendall(b".\\r\\n")
print(json.dumps(f.readline().decode()))
"""


def test_a_large_message_streams_through_and_memory_stays(front: FrontSite) -> None:
    worker = front.children("worker")[0]
    before = int(front.status(worker)["VmRSS"].split()[0])
    said = front.python(SEND_LARGE, 500)
    assert str(said).startswith("250 2.0.0 Ok: queued as ")
    until(lambda: front.box.files("/home/bob/Maildir/new"), "bob gets it")
    content = front.box.run("sh", "-c", "cat /home/bob/Maildir/new/* | grep -c '^[.]x\\{70\\}$'").out
    assert int(content) == 500_000
    assert int(front.status(worker)["VmRSS"].split()[0]) - before < 12_000  # KiB; the message is 36 MB
    front.box.remove("/home/bob/Maildir/new")


def test_starttls_is_postfixs_and_what_was_said_in_the_clear_before_it_is_gone(front: FrontSite) -> None:
    inner = [act for line in ("EHLO tls.example", *ENVELOPE[1:]) for act in (("send", f"{line}\r\n"), ("listen", 0.1))]
    acts = [
        ("expect", 1), ("send", "EHLO c\r\n"), ("listen", 0.1), ("send", "STARTTLS\r\nRSET\r\n"), ("expect", 1),
        ("starttls", ""), *inner, ("send", "DATA\r\n"), ("expect", 1),
        ("send", "Subject: secret\r\n\r\nunder tls\r\n.\r\n"), ("expect", 1), ("send", "QUIT\r\n"), ("expect", 1),
    ]  # fmt: skip
    heard = front.act(acts)
    assert heard[2] == ("220 2.0.0 Ready to start TLS",)
    assert heard[3][0] == "250-mail.example"
    assert codes(heard)[4:] == ["250", "250", "354", "250", "221"]
    mail = front.arrives("alice", "under tls")
    assert "with ESMTPS id" in mail
    assert f"[{STRANGER}]" in mail


def test_a_login_goes_through_and_opens_the_relay(front: FrontSite) -> None:
    heard = replies(front.visit("EHLO c", WRONG, LOGIN, ENVELOPE[1], "RCPT TO:<x@relay.example>", *data("relayed")))
    assert codes(heard)[2:] == ["535", "235", "250", "250", "354", "250"]
    heard = replies(front.visit("EHLO c", "AUTH LOGIN", "YWxpY2U=", "c2VjcmV0", "AUTH PLAIN", "NOOP", "QUIT"))
    assert codes(heard)[2:] == ["334", "334", "235", "503", "250", "221"]
    until(lambda: "sasl_username=alice" in front.log(), "Postfix knows who it is")


def test_who_is_greylisted_never_gets_to_postfix(front: FrontSite) -> None:
    heard = replies(front.visit(*ENVELOPE, "QUIT", port=GREY, source=OTHER))
    assert heard[2] == ("250 2.1.0 Ok",)
    assert heard[3][0].startswith("450 4.2.0 <alice@example.com>: Recipient address rejected: Greylisted")
    front.said(f"disconnect from unknown[{OTHER}]")
    assert not front.was_behind(OTHER)
    heard = replies(front.visit("EHLO c", LOGIN, *ENVELOPE[1:], "QUIT", port=GREY, source=OTHER))
    assert codes(heard)[2:] == ["235", "250", "250", "221"]
    heard = replies(front.visit("EHLO c", ENVELOPE[1], "RCPT TO:<postmaster@example.com>", port=GREY, source=OTHER))
    assert heard[3] == ("250 2.1.5 Ok",)


def test_what_the_door_says_falls_at_rcpt_unless_the_client_logs_in(front: FrontSite) -> None:
    refusal = f"550 5.7.1 Service unavailable; client [{LISTED}] blocked using bl.example"
    heard = replies(front.visit(*ENVELOPE, "RSET", "STARTTLS", "QUIT", port=DOOR, source=LISTED))
    assert heard[2:] == [
        ("250 2.1.0 Ok",), (refusal,), ("250 2.0.0 Ok",), ("454 4.7.0 TLS not available to this client",),
        ("221 2.0.0 Bye",),
    ]  # fmt: skip
    assert not front.was_behind(LISTED)
    heard = replies(front.visit("EHLO c", LOGIN, *ENVELOPE[1:], *data("roaming"), port=DOOR, source=LISTED))
    assert codes(heard)[2:] == ["235", "250", "250", "354", "250"]
    front.arrives("alice", "roaming")


def test_a_server_that_is_not_there_is_421_when_it_is_needed(front: FrontSite) -> None:
    heard = front.visit("EHLO c", "NOOP", ENVELOPE[1], port=DEAD)
    assert replies(heard)[1] == ("250-mx.example", "250 PIPELINING")
    assert replies(heard)[3] == ("421 4.3.2 mx.example Error: the mail server does not answer, try again later",)
    assert heard[-1].closed
    front.said("127.0.0.1:9 does not answer: ")
