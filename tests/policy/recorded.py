"""What the real Postfix answered to the sessions of `versus_cases`: kept in recorded.json, made anew by

python -m tests.policy.recorded
"""

from __future__ import annotations

import hashlib
import json
import sys
from collections.abc import Mapping
from pathlib import Path

from tests.box import Box
from tests.policy.versus import PostfixCourt, Replies, Session
from tests.policy.versus_cases import every_session

FILE = Path(__file__).parent / "recorded.json"


def key_of(session: Session) -> str:
    """A session's name in the file: a digest of all that it is."""
    client = session.client
    words = [
        sorted(session.settings.items()),
        [client.name, client.address, client.status.name, client.reverse_name],
        [session.helo, session.sender, list(session.recipients), session.data],
    ]
    return hashlib.sha256(json.dumps(words).encode()).hexdigest()[:16]


def read() -> Mapping[str, Replies]:
    """The replies by session."""
    return {key: tuple(replies) for key, replies in json.loads(FILE.read_text())["replies"].items()}


def record() -> None:
    """Ask Postfix everything, and write it down."""
    sessions = every_session()
    with Box() as box:
        court = PostfixCourt(box, [session.settings for session in sessions])
        heard = court.play(sessions)
        version = box.run("postconf", "-dh", "mail_version").out.strip()
    lines = sorted(f"{json.dumps(key_of(s))}: {json.dumps(r)}" for s, r in zip(sessions, heard, strict=True))
    text = ",\n".join(dict.fromkeys(lines))
    FILE.write_text(f'{{"postfix": {json.dumps(version)}, "replies": {{\n{text}\n}}}}\n')
    sys.stderr.write(f"{len(sessions)} sessions of Postfix {version} in {FILE}\n")


if __name__ == "__main__":
    record()
