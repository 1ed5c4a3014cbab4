"""PostgreSQL behind every parameter that may name a table: lists, restrictions, routing, recipients, aliases, delivery."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

import pytest

from tests.box import Box
from tests.box_postgres import BoxPostgres
from tests.system.box_site import BoxSite
from tests.system.server import until

pytestmark = [pytest.mark.peer, pytest.mark.xdist_group("remote tables at work")]

ROWS = {
    "mydestination": {"here.example": "x", "pop.cape.com": "x"},
    "mynetworks": {"198.18.7.7": "x"},
    "relay_domains": {"relay.example": "x"},
    "relay_recipient_maps": {"known@relay.example": "x"},
    "transport_maps": {"relay.example": "smtp:[192.0.2.25]:2525"},
    "virtual_alias_domains": {"alias.example": "x"},
    "virtual_alias_maps": {"info@alias.example": "alice@here.example, bob@here.example"},
    "virtual_mailbox_domains": {"boxes.example": "x"},
    "virtual_mailbox_maps": {"joe@boxes.example": "joe/"},
    "alias_maps": {"sales": "alice, carol", "postmaster": "bob"},
    "local_recipient_maps": {"alice": "x", "bob": "x", "sales": "x", "postmaster": "x", "carol": "x"},
    "sender_bcc_maps": {"watched@far.example": "dave@here.example"},
    "recipient_canonical_maps": {"old@here.example": "alice@here.example"},
    "clients": {"198.18.9.9": "REJECT go away"},
    "senders": {"bad.example": "550 5.7.1 not you", "slow@far.example": "DEFER"},
    "recipients": {"closed@here.example": "REJECT closed"},
}
LOCAL = ("alice", "bob", "carol", "dave")
NAMED = [name for name in ROWS if (name.islower() and "_" in name) or name in ("mydestination", "mynetworks")]
MAIN_CF = (
    "seawall_workers = 2\nmyhostname = pop.cape.com\nhome_mailbox = Maildir/\nsmtpd_peername_lookup = no\n"
    "virtual_uid_maps = static:906\nvirtual_gid_maps = static:906\nvirtual_mailbox_base = /var/mail/virtual\n"
    "smtpd_relay_restrictions = permit_mynetworks, reject_unauth_destination\n"
    "smtpd_recipient_restrictions = check_client_access pgsql:/etc/postfix/clients.cf,\n"
    " check_sender_access proxy:pgsql:/etc/postfix/senders.cf, check_recipient_access proxy:pgsql:recipients\n"
    "recipients_hosts = 127.0.0.1\nrecipients_user = mail\nrecipients_password = secret\nrecipients_dbname = mail\n"
    "recipients_query = SELECT v FROM maps WHERE map = 'recipients' AND k = '%s'\n"
    + "".join(f"{name} = proxy:pgsql:/etc/postfix/{name}.cf\n" for name in NAMED)
)


@pytest.fixture(scope="module")
def place() -> Iterator[tuple[Box, BoxSite, BoxPostgres]]:
    with Box() as box, BoxPostgres(box) as database:
        rows = ", ".join(f"('{name}', '{k}', '{v}')" for name, pairs in ROWS.items() for k, v in pairs.items())
        more = ", ".join(f"('local_recipient_maps', '{user}@here.example', 'x')" for user in LOCAL)
        database.sql(f"CREATE TABLE maps (map text, k text, v text); INSERT INTO maps VALUES {rows}, {more}")
        site = BoxSite(box)
        site.lay_out(MAIN_CF)
        for name in ROWS:
            text = (
                "hosts = 127.0.0.1\nuser = mail\npassword = secret\ndbname = mail\n"
                f"query = SELECT v FROM maps WHERE map = '{name}' AND k = '%s'\n"
            )
            box.write(f"/etc/postfix/{name}.cf", text, mode=0o600)  # root alone may read passwords
        site.start()
        yield box, site, database
        site.stop()


def rcpt(box: Box, recipient: str, sender: str = "ann@far.example", source: str = "198.18.3.4") -> str:
    acts = [
        ("expect", 1),
        ("send", "HELO client.example\r\n"),
        ("expect", 1),
        ("send", f"MAIL FROM:<{sender}>\r\n"),
        ("expect", 1),
        ("send", f"RCPT TO:<{recipient}>\r\n"),
        ("expect", 1),
    ]
    return box.talk(acts, port=25, source=source)[-1].lines[-1]


@pytest.mark.parametrize(
    ("recipient", "sender", "source", "reply"),
    [
        ("alice@here.example", "ann@far.example", "198.18.3.4", "250 2.1.5 Ok"),
        ("nobody@here.example", "ann@far.example", "198.18.3.4", "550 5.1.1 <nobody@here.example>: Recipient address"),
        ("known@relay.example", "ann@far.example", "198.18.3.4", "250 2.1.5 Ok"),
        ("other@relay.example", "ann@far.example", "198.18.3.4", "550 5.1.1 <other@relay.example>: Recipient address"),
        ("info@alias.example", "ann@far.example", "198.18.3.4", "250 2.1.5 Ok"),
        ("no@alias.example", "ann@far.example", "198.18.3.4", "550 5.1.1 <no@alias.example>: Recipient address"),
        ("joe@boxes.example", "ann@far.example", "198.18.3.4", "250 2.1.5 Ok"),
        ("no@boxes.example", "ann@far.example", "198.18.3.4", "550 5.1.1 <no@boxes.example>: Recipient address"),
        (
            "x@elsewhere.example",
            "ann@far.example",
            "198.18.3.4",
            "554 5.7.1 <x@elsewhere.example>: Relay access denied",
        ),
        ("x@elsewhere.example", "ann@far.example", "198.18.7.7", "250 2.1.5 Ok"),
        (
            "alice@here.example",
            "ann@far.example",
            "198.18.9.9",
            "554 5.7.1 <unknown[198.18.9.9]>: Client host rejected",
        ),
        (
            "alice@here.example",
            "x@bad.example",
            "198.18.3.4",
            "550 5.7.1 <x@bad.example>: Sender address rejected: not",
        ),
        (
            "alice@here.example",
            "slow@far.example",
            "198.18.3.4",
            "450 4.7.1 <slow@far.example>: Sender address rejected",
        ),
        ("closed@here.example", "ann@far.example", "198.18.3.4", "554 5.7.1 <closed@here.example>: Recipient address"),
    ],
)
def test_every_list_and_map_is_asked(
    place: tuple[Box, BoxSite, BoxPostgres], recipient: str, sender: str, source: str, reply: str
) -> None:
    assert rcpt(place[0], recipient, sender, source).startswith(reply)


def send(box: Box, sender: str, recipient: str, subject: str) -> str:
    lines = ("HELO client.example", f"MAIL FROM:<{sender}>", f"RCPT TO:<{recipient}>", "DATA")
    acts: list[tuple[str, object]] = [("expect", 1)]
    for line in lines:
        acts += [("send", f"{line}\r\n"), ("expect", 1)]
    acts += [("send", f"Subject: {subject}\r\n\r\nbody\r\n.\r\n"), ("expect", 1)]
    return box.talk(acts, port=25, source="198.18.3.4")[-1].lines[-1]


def has(site: BoxSite, user: str, subject: str) -> bool:
    return any(f"Subject: {subject}" in text for text in site.mail(user))


def test_mail_is_mapped_copied_and_delivered_by_the_database(place: tuple[Box, BoxSite, BoxPostgres]) -> None:
    box, site, _ = place
    for sender, recipient, users in (
        ("ann@far.example", "sales@here.example", ("alice", "carol")),
        ("ann@far.example", "info@alias.example", ("alice", "bob")),
        ("watched@far.example", "old@here.example", ("alice", "dave")),
    ):
        assert send(box, sender, recipient, f"for {recipient}").startswith("250 ")
        for user in users:
            until(partial(has, site, user, f"for {recipient}"), f"{user} has it")
    assert send(box, "ann@far.example", "joe@boxes.example", "boxed").startswith("250 ")
    until(lambda: box.files("/var/mail/virtual/joe/new"), "joe has it")
    assert send(box, "ann@far.example", "known@relay.example", "relayed").startswith("250 ")
    until(lambda: any("relayed" in text for text in box.sunk()["sink"]), "the next hop has it")


def test_without_the_database_everything_is_temporary_and_it_is_found_again(
    place: tuple[Box, BoxSite, BoxPostgres],
) -> None:
    box, site, database = place
    database.kill()
    for recipient in ("alice@here.example", "nobody@here.example", "x@elsewhere.example", "joe@boxes.example"):
        assert rcpt(box, recipient).startswith("451 4.3."), recipient
    database.start()
    until(lambda: rcpt(box, "alice@here.example").startswith("250 "), "it is found again", 10)
    assert "Traceback" not in site.printed() + site.log()
