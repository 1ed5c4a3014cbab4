"""How workers put mail to rest: `QueueWriter` keeps the promise behind every 250.  docs/spool.md, S0 to S3"""

from __future__ import annotations

import errno
from collections.abc import Callable

from seawall.journey import RestingTrouble
from seawall.mail.message import Message
from seawall.mail.reply import Reply
from seawall.spool.disk import Disk
from seawall.spool.hands import Hands, SharedFsync
from seawall.spool.places import Places
from seawall.spool.queue_files import QueueFiles

FULL = frozenset({errno.ENOSPC, errno.EDQUOT})
NO_ROOM = Reply(452, "4.3.1", "Insufficient system storage")
WRITE_ERROR = Reply(451, "4.3.0", "Error: queue file write error")


def trouble_of(error: OSError) -> RestingTrouble:
    """What a client hears when the disk said `error`."""
    return RestingTrouble(NO_ROOM if error.errno in FULL else WRITE_ERROR)


class QueueWriter:
    """Implements journey.Resting.  `announce` tells the queue manager of a durable message; it must not block.

    Any number of messages may be stored at once: their file fsyncs run side by side in `hands`, and they share
    the fsyncs of the directory.
    """

    def __init__(
        self,
        places: Places,
        announce: Callable[[str], None],
        *,
        disk: Disk | None = None,
        hands: Hands | None = None,
    ) -> None:
        self._disk = disk or Disk()
        self._hands = hands or Hands()
        self._owns_hands = hands is None
        self._files = QueueFiles(places, self._disk)
        self._shared = SharedFsync(self._disk, self._hands)
        self._announce = announce

    async def store(self, message: Message) -> None:
        """Durable when it returns; RestingTrouble with the client's reply where it is not, and nothing stays behind."""
        try:
            folder = await self._hands.do(self._files.put, message)
        except OSError as error:
            raise trouble_of(error) from error
        try:
            await self._shared.wait(folder)
        except OSError as error:
            await self._hands.do(self._files.take_back, message)
            raise trouble_of(error) from error
        if not message.envelope.hold:
            self._announce(message.queue_id)

    def close(self) -> None:
        """End the threads, after what is under way."""
        if self._owns_hands:
            self._hands.close()
