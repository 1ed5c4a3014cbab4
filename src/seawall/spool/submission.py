"""Mail handed in on this host: sendmail's socket ``public/submit`` and what both ways have in common.  pickup(8)

Who submits is told by the kernel (SO_PEERCRED, or the owner of the drop file).  The answer 250 is given after the
message is durable, as to any client.
"""

from __future__ import annotations

import asyncio
import os
import socket
import zlib
from collections.abc import AsyncIterator

import msgspec

from seawall.clock import Clock
from seawall.journal.record import Journal
from seawall.journal.records.spool import PickedUp
from seawall.journey import Intake
from seawall.mail.envelope import Body, Origin, Recipient, Ret, Submission
from seawall.mail.reply import Reply
from seawall.spool.control import Allowed, everybody, peer_uid, user_name
from seawall.spool.disk import CHUNK
from seawall.spool.handing_in import LINE, Handed, NotHanded, Verdict, parse_handed
from seawall.spool.visits import KEEPS_SOCKET, Visits, part

PATIENCE = 300.0
"""Seconds without a byte after which a submission is given up; ours, as smtpd_timeout."""

TOO_BIG = Reply(552, "5.3.4", "Message file too big")
NOT_WHOLE = Reply(451, "4.3.0", "Error: the submission is not whole")
NO_ROOM = Reply(452, "4.3.1", "Insufficient system storage")
FULL_NAME = "fullname="
"""Opens the entry of `Submission.extra` that holds the submitter's full name (intake knows it by this word)."""

ASKS = "asks"
"""The entry for sendmail -bv."""
NOT_ALLOWED = Reply(550, "5.7.1", "Submission refused: see authorized_submit_users")


def _extra(handed: Handed) -> tuple[str, ...]:
    """What intake is to know beside the envelope."""
    name = (f"{FULL_NAME}{handed.full_name}",) if handed.full_name else ()
    return (*name, ASKS) if handed.asks else name


async def hand_to_intake(
    intake: Intake, journal: Journal, clock: Clock, handed: Handed, uid: int, pieces: AsyncIterator[bytes]
) -> Reply:
    """Pass one submission on; `pieces` are its content.  The reply is intake's, or ours where the content is not whole."""
    name = await asyncio.to_thread(user_name, uid)
    sender = name if handed.sender is None else handed.sender
    try:
        body, ret = Body(handed.body), Ret(handed.ret)
    except ValueError:
        return NOT_WHOLE
    submission = Submission(
        origin=Origin(is_local=True, submitted_by=f"userid {uid}"),
        sender=sender,
        size=handed.size,
        body=body,
        smtputf8=handed.smtputf8,
        ret=ret,
        envid=handed.envid,
        extra=_extra(handed),
    )
    if not intake.room_for(handed.size):
        return NO_ROOM
    reception = intake.open(submission)
    journal.write(PickedUp(at=clock.now(), queue_id=reception.queue_id, uid=uid, sender=sender))
    for recipient in handed.recipients:
        reception.add_recipient(Recipient(recipient.address, recipient.address, recipient.orcpt, recipient.notify))
    length, checksum = 0, 0
    async for piece in pieces:
        length, checksum = length + len(piece), zlib.crc32(piece, checksum)
        reception.write(piece)
    if length != handed.size or checksum != handed.checksum:
        reception.abort()
        return NOT_WHOLE
    return await reception.finish()


class SubmissionServer:
    """Takes messages from sendmail, one a connection.  `size_limit` is message_size_limit, 0 for none."""

    def __init__(
        self, intake: Intake, journal: Journal, clock: Clock, size_limit: int, allowed: Allowed = everybody
    ) -> None:
        self.visits = Visits()
        self._intake = intake
        self._journal = journal
        self._clock = clock
        self._size_limit = size_limit
        self._allowed = allowed

    async def handle(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection, for asyncio.start_unix_server(limit=LINE)."""
        self.visits.enter()
        try:
            reply = await self._take(reader, peer_uid(writer))
            writer.write(msgspec.json.encode(Verdict(reply.code, reply.status, reply.text)) + b"\n")
            await asyncio.wait_for(writer.drain(), PATIENCE)
        except (TimeoutError, ConnectionError):
            return
        finally:
            await part(writer)

    async def _take(self, reader: asyncio.StreamReader, uid: int) -> Reply:
        try:
            handed = parse_handed(await asyncio.wait_for(reader.readline(), PATIENCE))
        except ValueError:  # readline: longer than LINE
            return NOT_WHOLE
        except NotHanded as trouble:
            return Reply(501, "5.5.4", str(trouble))
        if self._size_limit and handed.size > self._size_limit:
            return TOO_BIG
        if uid != 0 and not await self._allowed("authorized_submit_users", await asyncio.to_thread(user_name, uid)):
            return NOT_ALLOWED
        pieces = self._pieces(reader, handed.size)
        return await hand_to_intake(self._intake, self._journal, self._clock, handed, uid, pieces)

    @staticmethod
    async def _pieces(reader: asyncio.StreamReader, size: int) -> AsyncIterator[bytes]:
        while size > 0:
            piece = await asyncio.wait_for(reader.read(min(CHUNK, size)), PATIENCE)
            if not piece:
                return
            size -= len(piece)
            yield piece


async def serve_submission(server: SubmissionServer, where: str | socket.socket) -> asyncio.Server:
    """Listen at a path, or on a socket that the supervisor opened; everybody may connect."""
    if isinstance(where, socket.socket):
        return await asyncio.start_unix_server(server.handle, sock=where, limit=LINE, **KEEPS_SOCKET)
    if os.path.exists(where):
        os.unlink(where)
    listening = await asyncio.start_unix_server(server.handle, where, limit=LINE, **KEEPS_SOCKET)
    os.chmod(where, 0o666)
    return listening
