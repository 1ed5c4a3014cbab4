"""What the log says of judgement, beside the real Postfix: refusals, warnings, permits, and what tables ask to be told."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace

import pytest

from seawall.journal.records.edge import Remarked
from seawall.policy.verdict import Remark
from tests.box import Box
from tests.policy import versus_matrix
from tests.policy.versus import Court, PostfixCourt, Session

LINE = re.compile(r"postfix/smtpd\[\d+\]: (?:[0-9A-F]{5,}: )?(.*)")
OF_THE_SESSION = (
    "NOQUEUE: connect",
    "connect from",
    "disconnect from",
    "lost connection",
    "client=",
    "mapping DSN status",
)
OF_THE_RESOLVER = ("warning: malformed domain name in resource data", "warning: valid_hostname: misplaced hyphen")
"""Postfix tells of every odd name that DNS holds; here that is what the answer is (`NoData.malformed`)."""


def sessions() -> Iterator[Session]:
    """Single recipients, judged at RCPT, every permit logged; as many configurations as one start takes."""
    groups = versus_matrix.groups()
    actions = groups["actions in the client list"] + groups["actions in the recipient list"]
    listed = groups["restrictions in the recipient list"][::3]
    kept: dict[tuple[tuple[str, str], ...], None] = {}
    for session in (*actions, *listed):
        settings = {**session.settings, "smtpd_log_access_permit_actions": "static:all"}
        key = tuple(sorted(settings.items()))
        if len(session.recipients) == 1 and not session.login and (key in kept or len(kept) < 100):
            kept[key] = None
            yield replace(session, settings=settings)


def line_of(session: Session, remark: Remark) -> str:
    if remark.what == "warning":
        return f"warning: {remark.text}"
    name, address = session.client.name, session.client.address
    told = Remarked(
        at=0.0, name=name, address=address, what=remark.what, where=remark.where, message=remark.text,
        sender=session.sender, recipient=session.recipients[0], protocol="SMTP", helo=session.helo,
    )  # fmt: skip
    return told.text()


@pytest.mark.peer
def test_the_log_says_of_judgement_what_postfix_says(box: Box) -> None:
    played, ours = list(sessions()), Court()
    box.wipe()
    theirs = PostfixCourt(box, [session.settings for session in played])
    try:
        theirs.play(played)
        log = box.log()[0]
    finally:
        theirs.close()
    for session in played:
        ours.play(session)
    expected = {found[1].removeprefix("NOQUEUE: ") for found in map(LINE.match, log.splitlines()) if found}
    expected = {text for text in expected if not text.startswith((*OF_THE_SESSION, *OF_THE_RESOLVER))}
    got = {line_of(session, remark).removeprefix("NOQUEUE: ") for session, remark in ours.remarks}

    assert len(got) > 150
    assert got == expected
