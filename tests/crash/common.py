"""What the crash tests share: places, messages, and the ruins that a crash leaves."""

import random
from collections.abc import Iterator

from seawall.mail.envelope import Envelope, Origin, Recipient
from seawall.mail.message import Content, Message
from seawall.mail.queue_id import QueueIds
from seawall.spool.places import Places
from seawall.spool.queue_files import QueueFiles
from tests.crash.model_disk import ModelDisk

PLACES = Places("/spool/seawall")
FOLDERS = tuple(f"{PLACES.root}/{name}" for name in ("queue", "hold", "corrupt", "maildrop", "public"))
ARRIVED = 1_700_000_000.0
RUINS = 6
"""Power cuts with different chances after each system call."""


def new_disk() -> ModelDisk:
    return ModelDisk(FOLDERS)


def message(number: int = 1, *, recipients: int = 1, hold: bool = False, body: bytes = b"hello\n") -> Message:
    ids = QueueIds(1)
    queue_id = [ids.next(ARRIVED) for _ in range(number)][-1]
    return Message(
        queue_id,
        ARRIVED,
        Envelope(
            sender="ann@a.example",
            recipients=tuple(Recipient(f"r{at}@b.example", f"r{at}@b.example") for at in range(recipients)),
            origin=Origin(client_name="c.example", client_address="192.0.2.1", helo="c.example", protocol="ESMTP"),
            hold=hold,
        ),
        Content(b"Subject: " + str(number).encode() + b"\n\n" + body),
    )


def ruins(disk: ModelDisk) -> Iterator[ModelDisk]:
    """The disk as a new process may find it: after a kill, and after power cuts of all kinds."""
    yield disk.kill()
    for seed in range(RUINS):
        yield disk.cut_power(random.Random(seed))


def files_on(disk: ModelDisk) -> QueueFiles:
    return QueueFiles(PLACES, disk)
