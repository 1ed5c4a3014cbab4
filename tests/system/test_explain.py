"""A refusal by the running server, explained: what each check asked and heard, as the journal store keeps it."""

from __future__ import annotations

import re

import pytest

from tests.box import Box

MAIN = """\
compatibility_level = 3.6
myhostname = mail.here.example
mydestination = here.example
mynetworks = 127.0.0.0/8
alias_maps =
local_recipient_maps =
smtpd_sender_restrictions = reject_unknown_sender_domain
smtpd_relay_restrictions = permit_mynetworks, reject_unauth_destination
seawall_journal_checks = refused
"""
COMMANDS = ("HELO x", "MAIL FROM:<a@friend.example>", "RCPT TO:<x@far.example>", "QUIT")
TRIES = 20
"""The store takes what it is told in batches; each try is a run of the command."""


@pytest.mark.peer
def test_a_refusal_of_the_running_server_is_explained(box: Box) -> None:
    box.wipe()
    box.zone("$TTL 60\nfriend.example. MX 10 mx.friend.example.\n")
    box.write("/etc/postfix/main.cf", MAIN)
    box.write("/etc/postfix/master.cf", "25 inet n - n - - smtpd\n")
    pid = box.start_seawall()
    try:
        acts: list[tuple[str, object]] = [("expect", 1)]
        for command in COMMANDS:
            acts += [("send", f"{command}\r\n"), ("expect", 1)]
        heard = box.talk(acts, port=25, source="198.18.1.1")
        refusal = heard[3].lines[-1]
        for _ in range(TRIES):
            said = re.search(r"smtpd\[(\d+)\]: NOQUEUE: reject", box.log()[0])
            number = said[1] if said is not None else "1"
            command = ("python", "-m", "seawall", "explain", "-c", "/etc/postfix", "--past", number)
            told = box.run(*command, check=False)
            if "reject_unauth_destination" in told.out:
                break
    finally:
        box.stop(pid)

    assert refusal == "554 5.7.1 <x@far.example>: Relay access denied"
    lines = [re.sub(r"  \([0-9.]+ ms\)$", "", line.strip()) for line in told.out.splitlines()]
    begin = lines.index("smtpd_sender_restrictions:")
    assert lines[begin : begin + 9] == [
        "smtpd_sender_restrictions:",
        "reject_unknown_sender_domain: no opinion",
        "asked route a@friend.example x@far.example: a@friend.example by smtp:friend.example",
        "asked dns friend.example MX: 10 mx.friend.example",
        "smtpd_relay_restrictions:",
        "permit_mynetworks: no opinion",
        "asked clients mynetworks unknown 198.18.1.1: no",
        f"reject_unauth_destination: refuses: {refusal}",
        "because: relay-denied (far.example)",
    ]
