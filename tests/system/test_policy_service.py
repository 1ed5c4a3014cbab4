"""`seawall policy-service` asked by the real Postfix: over a port, and started by its spawn(8)."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence

import pytest

from tests.box import Box

pytestmark = pytest.mark.peer

CHECKS = "reject_non_fqdn_sender, reject_unknown_sender_domain, check_helo_access inline:{ {odd.example = PREPEND X-Odd: yes} }"
MAIN_CF = f"""\
compatibility_level = 3.6
myhostname = mail.here.example
mydestination = here.example
alias_maps =
alias_database =
local_recipient_maps =
home_mailbox = Maildir/
mynetworks = 127.0.0.0/8
seawall_policy_service_restrictions = {CHECKS}
smtpd_recipient_restrictions = reject_unauth_destination, check_policy_service %s
"""
SPAWNED = """
checks unix - n n - 0 spawn
  user=nobody argv={python} -m seawall policy-service -c /etc/postfix
"""
ZONE = "friend.example. MX 10 mx.friend.example.\nmx.friend.example. A 198.18.9.9\n"


def lay_out(box: Box, service: str, master_cf: str = "") -> None:
    box.wipe()
    box.write("/etc/postfix/main.cf", MAIN_CF % service)
    box.write("/etc/postfix/master.cf", (box.read("/etc/postfix/master.cf") or b"").decode() + master_cf)
    box.zone(ZONE)


def say(box: Box, lines: Sequence[str]) -> list[str]:
    acts: list[tuple[str, object]] = [("expect", 1)]
    for line in lines:
        acts += [("send", f"{line}\r\n"), ("expect", 1)]
    return [heard.lines[-1] for heard in box.talk(acts, port=25, source="198.18.3.4", patience=20)[1:]]


@pytest.fixture(params=["inet:127.0.0.1:10040", "unix:private/checks"])
def postfix(box: Box, request: pytest.FixtureRequest) -> Iterator[Box]:
    """Postfix that asks us: at a port where we listen, or by spawn."""
    service = str(request.param)
    spawned = service.startswith("unix")
    lay_out(box, service, SPAWNED.format(python=sys.executable) if spawned else "")
    ours = 0
    if not spawned:
        command = (sys.executable, "-m", "seawall", "policy-service", "-c", "/etc/postfix", "--listen", service)
        ours = box.start(*command, output="/var/log/policy.log")
        assert box.listens(10040, address="127.0.0.1")
    master = box.start_postfix()
    yield box
    box.stop_postfix(master)
    if ours:
        assert box.stop(ours) == 0


def test_postfix_says_what_our_checks_say(postfix: Box) -> None:
    heard = say(
        postfix,
        [
            "HELO odd.example",
            "MAIL FROM:<a@nosuch.example>",
            "RCPT TO:<alice@here.example>",
            "RSET",
            "MAIL FROM:<a@host>",
            "RCPT TO:<alice@here.example>",
            "RSET",
            "MAIL FROM:<a@friend.example>",
            "RCPT TO:<x@elsewhere.example>",
            "RCPT TO:<alice@here.example>",
            "DATA",
            "Subject: x\r\n\r\ntext\r\n.",
        ],
    )
    refused = "<alice@here.example>: Recipient address rejected: Sender address rejected:"

    assert heard[2] == f"450 4.1.2 {refused} Domain not found"
    assert heard[5] == f"504 5.5.2 {refused} need fully-qualified address"
    assert heard[8] == "454 4.7.1 <x@elsewhere.example>: Relay access denied"
    assert heard[9] == "250 2.1.5 Ok"
    assert heard[11].startswith("250 2.0.0 Ok")
    postfix.ask("postfix_settled")
    [message] = postfix.ask("mail")["alice"]
    assert "\nX-Odd: yes\n" in message
    assert "problem talking" not in postfix.log()[0]
