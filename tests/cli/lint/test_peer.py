"""What the linter says of tables and services is so in the real Postfix."""

from collections.abc import Iterator

import pytest

from tests.box import Box

pytestmark = pytest.mark.peer

MAIN = """\
compatibility_level = 3.6
myhostname = mx.here.example
mydestination = here.example
mynetworks = 127.0.0.1
alias_maps =
local_recipient_maps = static:x
smtpd_peername_lookup = no
smtpd_client_connection_count_limit = 0
smtpd_client_restrictions = check_client_access hash:/etc/postfix/clients
smtpd_sender_restrictions =
  check_sender_access hash:/etc/postfix/senders
  check_sender_access regexp:/etc/postfix/patterns
  check_sender_access cidr:/etc/postfix/networks
  check_sender_mx_access cidr:/etc/postfix/mx
"""
MASTER = "smtp inet n - n - - smtpd -o smtpd_banner=first\nsmtp inet n - n - - smtpd -o smtpd_banner=last\n"
TABLES = {
    "clients": "198.18.0.0/16\tREJECT\n198.18.\tREJECT\n[198.18.3.4]\tREJECT\n",
    "senders": (
        "@at.example\tREJECT\n.dot.example\tREJECT\n*.star.example\tREJECT\nplain.example\tREJECT plain\n"
        "twice.example\tREJECT first\nTWICE.example\tREJECT second\nblock.example\tBLOCK\n[192.0.2.9]\tREJECT literal\n"
    ),
    "patterns": "/@Shout\\.example$/i\tREJECT\n/@Quiet\\.example$/\tREJECT\n/@any\\./\tREJECT one\n/@any\\.example/\tREJECT two\n",
    "networks": "0.0.0.0/0\tREJECT\n",
    "mx": "192.0.2.77\tOK\n",
}
CLAIMS = (
    # sender, the reply to RCPT, why
    ("x@at.example", "250 2.1.5 Ok", "a domain is written without @"),
    ("x@sub.dot.example", "250 2.1.5 Ok", "a leading dot never matches under parent_domain_matches_subdomains"),
    ("x@sub.star.example", "250 2.1.5 Ok", "no wildcards"),
    ("x@sub.plain.example", "554 5.7.1 <x@sub.plain.example>: Sender address rejected: plain", "the parent does"),
    ("x@[192.0.2.9]", "554 5.7.1 <x@[192.0.2.9]>: Sender address rejected: literal", "brackets are right for senders"),
    ("x@twice.example", "554 5.7.1 <x@twice.example>: Sender address rejected: first", "the first of two counts"),
    ("x@block.example", "451 4.3.5 Server configuration error", "BLOCK is no action"),
    ("x@shout.example", "250 2.1.5 Ok", "the flag i makes capitals count"),
    (
        "x@quiet.example",
        "554 5.7.1 <x@quiet.example>: Sender address rejected: Access denied",
        "without it they do not",
    ),
    ("x@any.example", "554 5.7.1 <x@any.example>: Sender address rejected: one", "the first pattern answers"),
    ("x@mx.example", "451 4.3.5 Server configuration error", "an MX access table may not permit"),
    ("x@free.example", "250 2.1.5 Ok", "and a cidr table never matches a sender"),
)


@pytest.fixture
def server(box: Box) -> Iterator[Box]:
    """Postfix with these tables."""
    box.wipe()
    box.write("/etc/postfix/main.cf", MAIN)
    standard = box.read("/etc/postfix/master.cf") or b""
    kept = [line for line in standard.decode().split("\n") if not line.startswith("smtp  ") or "inet" not in line]
    box.write("/etc/postfix/master.cf", MASTER + "\n".join(kept))
    box.zone("mx.example. MX 10 mail.mx.example.\nmail.mx.example. A 192.0.2.77\n")
    for name, text in TABLES.items():
        box.write(f"/etc/postfix/{name}", text)
    for name in ("clients", "senders"):
        box.run("postmap", f"hash:/etc/postfix/{name}")
    pid = box.start_postfix()
    yield box
    box.stop_postfix(pid)


def test_postfix_does_with_such_tables_and_services_what_the_linter_says(server: Box) -> None:
    heard: list[tuple[str, str]] = []
    for sender, _, _ in CLAIMS:
        greeting, _, _, reply = server.talk(
            [
                ("expect", 1),
                ("send", "HELO client.example\r\n"),
                ("expect", 1),
                ("send", f"MAIL FROM:<{sender}>\r\n"),
                ("expect", 1),
                ("send", "RCPT TO:<joe@here.example>\r\n"),
                ("expect", 1),
            ],
            port=25,
            source="198.18.3.4",
        )
        assert greeting.lines == ("220 last",), "of two services of one name the last one runs"
        heard.append((sender, reply.lines[0]))
    assert heard == [(sender, reply) for sender, reply, _ in CLAIMS]
