"""Mailboxes that Dovecot keeps: mailbox_transport and its kin lead out of local(8) to an LMTP server."""

import signal
from collections.abc import Iterator

import pytest

from tests.box import Box
from tests.system.box_site import BoxSite
from tests.system.server import until

pytestmark = [pytest.mark.peer, pytest.mark.xdist_group("lmtp")]

SOCKET = "/var/spool/postfix/private/dovecot-lmtp"
MAIN_CF = """\
compatibility_level = 3.6
myhostname = pop.cape.com
mynetworks =
mydestination = $myhostname
local_recipient_maps =
alias_maps = hash:/etc/postfix/aliases
home_mailbox = Maildir/
recipient_delimiter = +
smtpd_peername_lookup = no
smtpd_relay_restrictions = reject_unauth_destination
seawall_workers = 1
"""
ALIASES = "both: alice, bob\n"
DOVECOT = f"""\
protocols = lmtp
log_path = /var/log/dovecot.log
ssl = no
mail_location = maildir:~/dovecot
first_valid_uid = 1000
auth_username_format = %Ln
recipient_delimiter = +
passdb {{
  driver = static
  args = nopassword=y
}}
userdb {{
  driver = passwd
}}
service lmtp {{
  unix_listener {SOCKET} {{
    mode = 0600
    user = postfix
    group = postfix
  }}
}}
"""


@pytest.fixture
def site(box: Box) -> Iterator[BoxSite]:
    found = BoxSite(box)
    for user in ("alice", "bob", "carol"):
        box.remove(f"/home/{user}/dovecot")
    box.write("/etc/dovecot/seawall.conf", DOVECOT)
    box.run("install", "-d", "-m", "700", "-o", "postfix", "/var/spool/postfix/private")
    pid = 0
    try:
        pid = box.start("/usr/sbin/dovecot", "-F", "-c", "/etc/dovecot/seawall.conf", output="/var/log/dovecot.out")
        until(lambda: box.run("test", "-S", SOCKET, check=False).code == 0, "Dovecot's socket is there")
        yield found
    finally:
        found.stop()
        if pid:
            box.stop(pid)


def kept_by_dovecot(site: BoxSite, user: str) -> list[str]:
    """What Dovecot has put into a user's mailbox."""
    found = [site.box.read(path) for path in site.box.files(f"/home/{user}/dovecot/new")]
    return [mail.decode("latin-1") for mail in found if mail is not None]


def has(site: BoxSite, user: str, text: str) -> None:
    until(lambda: any(text in mail for mail in kept_by_dovecot(site, user)), f"Dovecot has for {user}: {text}")


def test_mailbox_transport_leads_to_dovecot(site: BoxSite) -> None:
    site.lay_out(MAIN_CF + "mailbox_transport = lmtp:unix:private/dovecot-lmtp\n", {"aliases": ALIASES})
    site.start()
    site.accepted("ann@good.example", "alice@pop.cape.com", "the first")
    has(site, "alice", "the first")
    assert "Delivered-To: alice@pop.cape.com\n" in kept_by_dovecot(site, "alice")[0]
    site.said("postfix/lmtp[")
    site.said(f"to=<alice@pop.cape.com>, relay=pop.cape.com[{SOCKET.removeprefix('/var/spool/postfix/')}], ")
    site.accepted("ann@good.example", "both@pop.cape.com", "for two")
    has(site, "alice", "for two")
    has(site, "bob", "for two")
    site.said("to=<bob@pop.cape.com>, orig_to=<both@pop.cape.com>, relay=pop.cape.com[private/dovecot-lmtp], ")
    assert not site.mail("alice")


def test_who_dovecot_does_not_know_is_returned_to_the_sender(site: BoxSite) -> None:
    site.lay_out(MAIN_CF + "mailbox_transport = lmtp:unix:private/dovecot-lmtp\n", {"aliases": ALIASES})
    site.start()
    site.accepted("alice@pop.cape.com", "nobody-here@pop.cape.com", "lost")
    has(site, "alice", "Undelivered Mail Returned to Sender")
    assert "550 5.1.1 <nobody-here@pop.cape.com>" in kept_by_dovecot(site, "alice")[0]
    site.said("dsn=5.1.1, status=bounced (host pop.cape.com[private/dovecot-lmtp] said: 550 5.1.1")


def test_a_map_may_send_some_users_to_dovecot(site: BoxSite) -> None:
    maps = "mailbox_transport_maps = inline:{{alice = lmtp:unix:private/dovecot-lmtp}}\n"
    site.lay_out(MAIN_CF + maps, {"aliases": ALIASES})
    site.start()
    site.accepted("ann@good.example", "both@pop.cape.com", "one each")
    has(site, "alice", "one each")
    site.arrives("bob", "one each")
    assert not site.mail("alice")


def test_unknown_users_may_be_sent_on_by_smtp(site: BoxSite) -> None:
    site.lay_out(MAIN_CF + "fallback_transport = smtp:[192.0.2.25]:2525\n", {"aliases": ALIASES})
    site.start()
    site.accepted("ann@good.example", "elsewhere@pop.cape.com", "for the other host")
    site.said("postfix/smtp[")
    site.said("to=<elsewhere@pop.cape.com>, relay=192.0.2.25[192.0.2.25]:2525, ")
    site.accepted("ann@good.example", "carol@pop.cape.com", "for this host")
    site.arrives("carol", "for this host")


def test_mail_waits_while_dovecot_is_away(site: BoxSite) -> None:
    site.lay_out(MAIN_CF + "mailbox_transport = lmtp:unix:private/not-there\n", {"aliases": ALIASES})
    site.start()
    site.accepted("ann@good.example", "alice@pop.cape.com", "patient")
    site.said("status=deferred (connect to pop.cape.com[private/not-there]: No such file or directory)")


def test_a_new_queue_manager_relays_as_well_also_after_a_reload(site: BoxSite) -> None:
    site.lay_out(MAIN_CF + "mailbox_transport = lmtp:unix:private/dovecot-lmtp\n", {"aliases": ALIASES})
    site.start()
    (before,) = site.children("queue_manager")
    site.kill(before)
    until(lambda: set(site.children("queue_manager")) - {before}, "there is a new one")
    site.accepted("ann@good.example", "alice@pop.cape.com", "after its end")
    has(site, "alice", "after its end")
    site.kill(site.pid, signal.SIGHUP)
    site.said("reload: the new configuration is in use")
    site.accepted("ann@good.example", "alice@pop.cape.com", "after the reload")
    has(site, "alice", "after the reload")
