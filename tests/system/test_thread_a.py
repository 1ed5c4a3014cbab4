"""The thread's first configuration, word for word, served for real users."""

import re
from collections.abc import Iterator

import pytest

from tests.box import Box
from tests.system.box_site import STRANGER, BoxSite
from tests.system.postfix_log import strange
from tests.system.server import until

pytestmark = [pytest.mark.peer, pytest.mark.xdist_group("thread-a")]

ALICE, BOB = 3001, 3002
DOVECOT = """\
protocols = imap
log_path = /var/log/dovecot.log
mail_location = maildir:~/Maildir
ssl = no
disable_plaintext_auth = no
listen = 127.0.0.1
service imap-login {
  inet_listener imap {
    port = 10143
  }
}
passdb {
  driver = static
  args = password=secret
}
userdb {
  driver = passwd
}
"""


@pytest.fixture(scope="module")
def a(box: Box) -> Iterator[BoxSite]:
    site = BoxSite(box)
    site.lay_out_config_a()
    site.start()
    yield site
    site.stop()


def test_mail_for_a_local_user_lies_in_his_maildir_and_is_his(a: BoxSite) -> None:
    a.accepted("ann@good.example", "alice@cape.com", "for alice alone")
    mail = a.arrives("alice", "for alice alone")
    assert mail.startswith(
        "Return-Path: <ann@good.example>\nX-Original-To: alice@cape.com\nDelivered-To: alice@cape.com\n"
    )
    assert "Received: from client.good.example (client.good.example [198.18.3.4])\n\tby pop.cape.com (Seawall)" in mail
    (path,) = a.box.files("/home/alice/Maildir/new")
    for place, mode in (
        (path, "600"),
        *((f"/home/alice/Maildir{name}", "700") for name in ("", "/new", "/cur", "/tmp")),
    ):
        assert a.box.run("stat", "-c", "%U:%G %a", place).out == f"alice:alice {mode}\n"


def test_a_virtual_alias_is_followed(a: BoxSite) -> None:
    a.accepted("ann@good.example", "team@virtual.example", "for the team")
    assert "X-Original-To: team@virtual.example" in a.arrives("alice", "for the team")
    a.arrives("bob", "for the team")


def test_a_relay_domain_goes_to_the_next_hop_of_the_transport_table(a: BoxSite) -> None:
    a.box.sunk()
    a.accepted("ann@good.example", "somebody@relay.example", "for the next hop")
    taken: list[str] = []
    until(lambda: taken.extend(a.box.sunk()["sink"]) or taken, "the next hop has it")
    assert "RCPT TO:<somebody@relay.example>" in taken[0]
    assert "for the next hop" in taken[0]


def test_a_stranger_may_not_relay(a: BoxSite) -> None:
    assert a.submit("ann@good.example", "somebody@elsewhere.example", "x")[-1].startswith("450 4.1.2 ")
    assert a.submit("ann@good.example", "somebody@good.example", "x")[1:] == [
        "554 5.7.1 <somebody@good.example>: Relay access denied"
    ]


def test_an_unknown_user_is_refused_at_rcpt(a: BoxSite) -> None:
    assert a.submit("ann@good.example", "nobody-here@cape.com", "x")[1:] == [
        "550 5.1.1 <nobody-here@cape.com>: Recipient address rejected: User unknown in local recipient table"
    ]


def test_dovecot_reads_the_mail_over_imap(a: BoxSite) -> None:
    a.accepted("ann@good.example", "carol@cape.com", "read me over IMAP")
    a.arrives("carol", "read me over IMAP")
    a.box.write("/etc/dovecot/seawall.conf", DOVECOT)
    dovecot = a.box.start("/usr/sbin/dovecot", "-F", "-c", "/etc/dovecot/seawall.conf", output="/var/log/dovecot.out")
    try:
        assert a.box.listens(10143, "127.0.0.1"), a.box.read("/var/log/dovecot.log")
        script = """
import imaplib
with imaplib.IMAP4("127.0.0.1", 10143, timeout=20) as imap:
    imap.login("carol", "secret")
    imap.select("INBOX")
    ids = imap.search(None, "ALL")[1][0].split()
    print(json.dumps([imap.fetch(each, "(RFC822)")[1][0][1].decode() for each in ids]))
"""
        mails = a.python(script)
        assert isinstance(mails, list)
        assert any("read me over IMAP" in mail for mail in mails), a.box.read("/var/log/dovecot.log")
        assert a.box.files("/home/carol/Maildir/cur"), "Dovecot moved it: the Maildir is a real one"
    finally:
        a.box.stop(dovecot)


def test_swaks_sends(a: BoxSite) -> None:
    done = a.box.run(
        "swaks", "--server", "192.0.2.1", "--local-interface", STRANGER, "--helo", "client.good.example",
        "--from", "ann@good.example", "--to", "dave@cape.com", "--body", "by swaks", "--timeout", "20",
    )  # fmt: skip
    assert re.search(r"<-  250 2\.0\.0 Ok: queued as \w+", done.out)
    a.arrives("dave", "by swaks")


def test_an_ordinary_user_sends_with_sendmail(a: BoxSite) -> None:
    a.seawall("sendmail", "-f", "alice", "bob@cape.com", user=ALICE, stdin="Subject: local\n\nby sendmail\n")
    assert "From: Alice <alice@pop.cape.com>" in a.arrives("bob", "by sendmail")
    assert re.search(r"pickup\[\d+\]: \w+: uid=3001 from=<alice>", a.log())


def test_the_queue_can_be_seen_and_handled_while_the_server_runs(a: BoxSite) -> None:
    a.accepted("ann@good.example", "answer-450@relay.example", "waits in the queue")
    a.said("status=deferred (host 192.0.2.25[192.0.2.25] said: 450 4.1.1 refused as asked")
    listed = a.seawall("postqueue", "-p", user=BOB).out
    (queue_id,) = re.findall(r"^([0-9A-Za-z]{6,})\s+\d+ .*ann@good\.example$", listed, re.M)
    assert "answer-450@relay.example" in listed
    assert "waits in the queue" in a.seawall("postcat", "-q", queue_id).out
    assert a.seawall("postcat", "-q", queue_id, user=BOB, check=False).code != 0
    a.seawall("postsuper", "-h", queue_id)
    assert f"{queue_id}!" in a.seawall("postqueue", "-p").out
    a.seawall("postsuper", "-H", queue_id)
    assert f"{queue_id}!" not in a.seawall("postqueue", "-p").out
    assert a.seawall("postsuper", "-d", queue_id, user=BOB, check=False).code != 0
    a.seawall("postsuper", "-d", queue_id)
    assert queue_id not in a.seawall("postqueue", "-p").out


def test_a_message_that_nobody_can_take_comes_back_by_the_sites_own_template(a: BoxSite) -> None:
    a.accepted("erin@cape.com", "answer-550@relay.example", "comes back", source="198.18.77.7")
    bounce = a.arrives("erin", "This is the mail system at host pop.cape.com of the Cape.")
    assert "550 5.1.1 refused as asked" in bounce


def test_every_line_of_the_log_is_one_that_postfix_writes(a: BoxSite) -> None:
    a.seawall("postqueue", "-f")
    assert strange(a.log()) == []
    assert "Traceback" not in a.printed()


def test_what_was_sent_while_the_server_was_down_is_picked_up_at_its_start(a: BoxSite) -> None:
    a.stop()
    sent = a.seawall("sendmail", "-t", user=BOB, stdin="To: alice@cape.com\nSubject: down\n\nin the maildrop\n")
    assert sent.err == "sendmail: warning: the Seawall mail system is down; the message waits in the maildrop\n"
    assert a.box.files("/var/spool/postfix/seawall/maildrop")
    # a stranger's file, and a link, are not mail
    a.box.run("ln", "-s", "/etc/shadow", "/var/spool/postfix/seawall/maildrop/" + "A" * 16)
    a.start()
    a.arrives("alice", "in the maildrop")
    until(lambda: not a.box.files("/var/spool/postfix/seawall/maildrop"), "the maildrop is empty")
    assert not any("root:" in mail for mail in a.mail("alice"))
