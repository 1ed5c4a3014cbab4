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


def what_is_explained(box: Box, main_cf: str, commands: tuple[str, ...], wanted: str) -> tuple[str, list[str]]:
    """The last reply but one, and what `seawall explain --past` says of the session; waits until it has `wanted`."""
    box.wipe()
    box.zone("$TTL 60\nfriend.example. MX 10 mx.friend.example.\n")
    box.write("/etc/postfix/main.cf", main_cf)
    box.write("/etc/postfix/master.cf", "25 inet n - n - - smtpd\n")
    pid = box.start_seawall()
    try:
        acts: list[tuple[str, object]] = [("expect", 1)]
        for command in commands:
            acts += [("send", f"{command}\r\n"), ("expect", 1)]
        heard = box.talk(acts, port=25, source="198.18.1.1")
        for _ in range(TRIES):
            said = re.search(r"smtpd\[(\d+)\]: disconnect from unknown\[198", box.log()[0])
            number = said[1] if said is not None else "1"
            words = ("python", "-m", "seawall", "explain", "-c", "/etc/postfix", "--past", number)
            told = box.run(*words, check=False)
            if wanted in told.out:
                break
    finally:
        box.stop(pid)
    lines = [re.sub(r"  \([0-9.]+ ms\)$", "", line.strip()) for line in told.out.splitlines()]
    return heard[-2].lines[-1], lines


@pytest.mark.peer
def test_a_command_that_went_on_is_explained_where_everything_is_kept_and_not_logged(box: Box) -> None:
    main = MAIN.replace("= refused", "= all").replace("local_recipient_maps =", "local_recipient_maps = inline:{bob=x}")
    commands = ("HELO x", "MAIL FROM:<a@friend.example>", "RCPT TO:<bob@here.example>", "QUIT")

    reply, lines = what_is_explained(box, main, commands, "judged")

    assert reply == "250 2.1.5 Ok"
    begin = next(at for at, line in enumerate(lines) if "judged: RCPT from unknown[198.18.1.1]: goes on" in line)
    assert lines[begin + 1] == "smtpd_sender_restrictions:"
    unlisted = lines.index("smtpd_reject_unlisted_recipient:")
    assert lines[unlisted + 1] == "reject_unlisted_recipient: no opinion"
    assert "judged" not in box.log()[0]


@pytest.mark.peer
def test_an_unknown_user_is_explained_by_the_check_that_no_list_names(box: Box) -> None:
    main = MAIN.replace("local_recipient_maps =", "local_recipient_maps = inline:{bob=x}")
    commands = ("HELO x", "MAIL FROM:<a@friend.example>", "RCPT TO:<joe@here.example>", "QUIT")

    reply, lines = what_is_explained(box, main, commands, "unlisted")

    assert f"reject_unlisted_recipient: refuses: {reply}" in lines
    assert "because: user-unknown (unknown_local_recipient_reject_code)" in lines


@pytest.mark.peer
def test_a_message_that_is_too_large_is_explained(box: Box) -> None:
    commands = ("EHLO x\r\nNOOP", "MAIL FROM:<a@friend.example> SIZE=99999999", "QUIT")
    main = MAIN + "smtpd_forbid_unauth_pipelining = no\n"

    _, lines = what_is_explained(box, main, commands, "too-large")

    assert "because: message-too-large" in lines


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
            words = ("python", "-m", "seawall", "explain", "-c", "/etc/postfix", "--past", number)
            told = box.run(*words, check=False)
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
