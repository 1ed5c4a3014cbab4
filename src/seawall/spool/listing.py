"""What postqueue(1) shows of a message, read from its file.  showq(8)"""

from __future__ import annotations

from collections.abc import Container, Iterator

import msgspec

from seawall.mail.address import quote_local
from seawall.mail.outcome import Deferred
from seawall.mail.queue_id import is_queue_id
from seawall.spool.disk import Disk
from seawall.spool.places import HOLD, QUEUE, Places
from seawall.spool.queue_file import CorruptFile
from seawall.spool.queue_files import QueueFiles

MAILER_DAEMON = "MAILER-DAEMON"
"""How the null sender is shown."""
ACTIVE, INCOMING, DEFERRED = "active", "incoming", "deferred"


class ListedRecipient(msgspec.Struct, frozen=True, omit_defaults=True):
    """A recipient that still waits, with the reason of the last delay."""

    address: str
    delay_reason: str = ""


class Listed(msgspec.Struct, frozen=True):
    """One message; the names are those of `postqueue -j`."""

    queue_name: str
    queue_id: str
    arrival_time: int
    message_size: int
    forced_expire: bool
    sender: str
    recipients: tuple[ListedRecipient, ...]


def _shown(address: str) -> str:
    """External form, as text that every reader of JSON takes."""
    return quote_local(address).encode("utf-8", "surrogateescape").decode("utf-8", "replace")


def list_message(files: QueueFiles, folder: str, queue_id: str, active: Container[str]) -> Listed | None:
    """A message of ``queue/`` or ``hold/``; None where it is gone or does not read."""
    try:
        loaded = files.read_path(f"{files.places.root}/{folder}/{queue_id}")
    except (OSError, CorruptFile):
        return None
    state, envelope = loaded.state, loaded.stored.envelope
    if folder == HOLD:
        name = HOLD
    elif queue_id in active:
        name = ACTIVE
    else:
        name = DEFERRED if state.was_deferred else INCOMING
    waiting = []
    for place in state.pending():
        outcome = state.outcomes.get(place)
        reason = outcome.text if isinstance(outcome, Deferred) else ""
        waiting.append(
            ListedRecipient(
                _shown(envelope.recipients[place].address),
                reason.encode("utf-8", "surrogateescape").decode("utf-8", "replace"),
            )
        )
    return Listed(
        queue_name=name,
        queue_id=queue_id,
        arrival_time=int(loaded.stored.arrived),
        message_size=loaded.head.content_length,
        forced_expire="expire" in state.asked,
        sender=_shown(envelope.sender) if envelope.sender else MAILER_DAEMON,
        recipients=tuple(waiting),
    )


def queue_names(disk: Disk, places: Places) -> Iterator[tuple[str, str]]:
    """(folder, queue id) of everything in the queue, oldest first, held mail last."""
    for folder in (QUEUE, HOLD):
        for name in sorted(disk.names(f"{places.root}/{folder}")):
            if is_queue_id(name):
                yield folder, name
