"""Ours against what the real cleanup(8) made of the same mail (postfix_mail.py records it)."""

import json
from pathlib import Path
from typing import Any

import pytest

from seawall.mail.address import quote_local, split_address, split_extension
from seawall.mail.envelope import Origin, Recipient, Submission
from seawall.mail.message import Message
from tests.intake.conftest import Bench
from tests.intake.postfix_mail import CASES, MAPS, RECORDED, masked

SETS: list[dict[str, Any]] = json.loads(RECORDED.read_text())


def origin(ours: bool) -> Origin:
    return Origin(
        client_name="unknown",
        client_address="127.0.0.1" if ours else "198.18.3.4",
        helo="client.example",
        protocol="ESMTP",
        is_local=ours,
    )


async def delivered(bench: Bench, message: Message) -> tuple[list[list[str]], list[list[Any]]]:
    """(what local(8) would write, what stays queued) for a message."""
    envelope = message.envelope
    if envelope.hold:
        return [], [["hold", envelope.sender, [quote_local(each.address) for each in envelope.recipients]]]
    recipients = envelope.recipients
    if envelope.redirect:
        recipients = (Recipient(envelope.redirect, recipients[0].original),)
    mail: list[list[str]] = []
    held: list[list[Any]] = []
    for recipient in recipients:
        route = await bench.routing.resolve(recipient.address)
        if route.transport != "local":
            held.append(["deferred", envelope.sender, [recipient.address]])
            continue
        head = (
            f"Return-Path: <{quote_local(envelope.sender) if envelope.sender else ''}>\n"
            f"X-Original-To: {quote_local(recipient.original)}\nDelivered-To: {quote_local(recipient.address)}\n"
        )
        user, _ = split_extension(split_address(recipient.address)[0].lower(), "+")
        mail.append([user, masked(head + message.content.memory.decode("utf-8", "surrogateescape"))])
    return mail, held


@pytest.mark.parametrize("recorded", SETS, ids=["usual", "checked"])
async def test_mail_comes_in_as_it_does_with_postfix(recorded: dict[str, Any], tmp_path: Path) -> None:
    for name, text in MAPS.items():
        (tmp_path / name).write_text(text)
    bench = Bench(recorded["main.cf"].replace("MAPS", str(tmp_path)), tmp_path)
    cases = [(*case, ours) for case in CASES for ours in (False, True)]
    for (content, sender, recipients, ours), expected in zip(cases, recorded["answers"], strict=True):
        reception = bench.cleanup.open(Submission(origin=origin(ours), sender=sender))
        for recipient in recipients:
            reception.add_recipient(Recipient(recipient, recipient))
        reception.write(content.encode())
        reply = await reception.finish()
        mail: list[list[str]] = []
        held: list[list[Any]] = []
        for message in bench.spool.messages:
            some, others = await delivered(bench, message)
            mail += some
            held += others
        bench.spool.messages.clear()
        found = {"reply": masked(reply.line()), "mail": sorted(mail), "held": held}
        assert found == expected, (content[:200], recipients, ours)
    assert [masked(line) for line in bench.lines] == recorded["log"]
