"""What the real Postfix answered to the sessions of `versus_cases` and `versus_matrix`: kept beside this, made anew by

python -m tests.policy.recorded [cases|matrix]
"""

from __future__ import annotations

import hashlib
import json
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

from tests.box import Box
from tests.policy import versus_cases, versus_matrix
from tests.policy.versus import Replies, Session, ask_postfix

SOURCES: Mapping[str, Callable[[], list[Session]]] = {
    "cases": versus_cases.every_session,
    "matrix": versus_matrix.every_session,
}
"""The sessions by the name of their file, ``recorded_NAME.json``."""


def file_of(source: str) -> Path:
    """Where the replies are kept."""
    return Path(__file__).parent / f"recorded_{source}.json"


def key_of(session: Session) -> str:
    """A session's name in the file: a digest of all that it is."""
    client = session.client
    words = [
        sorted(session.settings.items()),
        [client.name, client.address, client.status.name, client.reverse_name],
        [session.helo, session.sender, list(session.recipients), session.data],
    ]
    words += [[name, text] for name in ("end", "etrn", "vrfy", "login") if (text := getattr(session, name))]
    return hashlib.sha256(json.dumps(words).encode()).hexdigest()[:16]


def read(source: str) -> Mapping[str, Replies]:
    """The replies by session."""
    return {key: tuple(replies) for key, replies in json.loads(file_of(source).read_text())["replies"].items()}


def record(source: str) -> None:
    """Ask Postfix everything, and write it down."""
    sessions = SOURCES[source]()
    with Box() as box:
        heard = ask_postfix(box, sessions)
        version = box.run("postconf", "-dh", "mail_version").out.strip()
    lines = sorted(f"{json.dumps(key_of(s))}: {json.dumps(r)}" for s, r in zip(sessions, heard, strict=True))
    text = ",\n".join(dict.fromkeys(lines))
    file_of(source).write_text(f'{{"postfix": {json.dumps(version)}, "replies": {{\n{text}\n}}}}\n')
    sys.stderr.write(f"{len(sessions)} sessions of Postfix {version} in {file_of(source)}\n")


if __name__ == "__main__":
    for name in sys.argv[1:] or SOURCES:
        record(name)
