"""The queue file, format 1, as bytes: what docs/spool.md describes, without any disk.

A file is ``head content envelope trailer record*``.  Everything up to the trailer is written before the file has a
name; state records are appended afterwards.  Reading never trusts a length or a checksum that it has not checked.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterable
from typing import TypeAlias

import msgspec

from seawall.mail.envelope import Envelope, Recipient
from seawall.mail.outcome import Bounced, Deferred, Delivered, Outcome
from seawall.mail.packing import pack, unpack

FORMAT = 1
HEAD_MAGIC = b"SEAWALLQ"
TRAILER_MAGIC = b"SEAWALLE"
_HEAD = struct.Struct(">8sHHQId")
_TRAILER = struct.Struct(">8sII")
_SUM = struct.Struct(">I")
_RECORD = struct.Struct(">II")
HEAD_SIZE = _HEAD.size + _SUM.size
TRAILER_SIZE = _TRAILER.size + _SUM.size
MOST_RECORD = 1 << 26
"""A state record above this is damage: 64 MiB hold the outcomes of some hundred thousand recipients; ours."""


class CorruptFile(Exception):
    """The bytes are no queue file of a format that we know; the text says what is wrong."""


class StoredEnvelope(msgspec.Struct, frozen=True):
    """The envelope part."""

    queue_id: str
    arrived: float
    envelope: Envelope


class Result(msgspec.Struct, frozen=True):
    """The outcome of the recipient at `place` of the envelope."""

    place: int
    outcome: Outcome


class Outcomes(msgspec.Struct, frozen=True, tag=True):
    """State record: an attempt ended so."""

    at: float
    results: tuple[Result, ...]


class Waiting(msgspec.Struct, frozen=True, tag=True):
    """State record: the next attempt is not before `until` (seconds since the epoch)."""

    until: float


class Reported(msgspec.Struct, frozen=True, tag=True):
    """State record: a report of `kind` (``failure``, ``delay``, ``success``) on these recipients went out."""

    at: float
    kind: str
    places: tuple[int, ...]


class Asked(msgspec.Struct, frozen=True, tag=True):
    """State record: the operator asked for `what` (``requeue``, ``expire``); it survives the manager."""

    at: float
    what: str


StateRecord: TypeAlias = Outcomes | Waiting | Reported | Asked


class Head(msgspec.Struct, frozen=True):
    """The lengths that the head tells; `arrived` is in seconds since the epoch."""

    content_length: int
    envelope_length: int
    arrived: float

    @property
    def envelope_offset(self) -> int:
        """Where the envelope starts."""
        return HEAD_SIZE + self.content_length

    @property
    def records_offset(self) -> int:
        """Where the state records start."""
        return self.envelope_offset + self.envelope_length + TRAILER_SIZE


_ENVELOPE = msgspec.msgpack.Decoder(StoredEnvelope)
_RECORDS: msgspec.msgpack.Decoder[StateRecord] = msgspec.msgpack.Decoder(StateRecord)


def format_head(content_length: int, envelope_length: int, arrived: float) -> bytes:
    """The first bytes of the file."""
    head = _HEAD.pack(HEAD_MAGIC, FORMAT, 0, content_length, envelope_length, arrived)
    return head + _SUM.pack(zlib.crc32(head))


def format_envelope(stored: StoredEnvelope) -> bytes:
    """The envelope part."""
    return pack(stored)


def format_trailer(content_sum: int, envelope: bytes) -> bytes:
    """What makes the file whole; `content_sum` is the CRC-32 of the content."""
    trailer = _TRAILER.pack(TRAILER_MAGIC, content_sum, zlib.crc32(envelope))
    return trailer + _SUM.pack(zlib.crc32(trailer))


def format_records(records: Iterable[StateRecord]) -> bytes:
    """State records, each with its length and checksum."""
    bodies = [pack(record) for record in records]
    return b"".join(_RECORD.pack(len(body), zlib.crc32(body)) + body for body in bodies)


def parse_head(data: bytes, file_size: int) -> Head:
    """The head, its lengths within a file of `file_size` bytes; raises CorruptFile."""
    if len(data) < HEAD_SIZE or data[:8] != HEAD_MAGIC:
        raise CorruptFile("not a queue file")
    if _SUM.unpack_from(data, _HEAD.size)[0] != zlib.crc32(data[: _HEAD.size]):
        raise CorruptFile("the head is damaged")
    _, number, _, content_length, envelope_length, arrived = _HEAD.unpack_from(data)
    if number != FORMAT:
        raise CorruptFile(f"format {number} is not known to this version")
    head = Head(content_length, envelope_length, arrived)
    if head.records_offset > file_size:
        raise CorruptFile("the file is shorter than its head tells")
    return head


def parse_envelope(data: bytes, head: Head) -> tuple[StoredEnvelope, int]:
    """The envelope and the checksum that the content must have, from the bytes that follow the content."""
    body = data[: head.envelope_length]
    trailer = data[head.envelope_length : head.envelope_length + TRAILER_SIZE]
    if len(trailer) < TRAILER_SIZE or trailer[:8] != TRAILER_MAGIC:
        raise CorruptFile("the trailer is missing")
    if _SUM.unpack_from(trailer, _TRAILER.size)[0] != zlib.crc32(trailer[: _TRAILER.size]):
        raise CorruptFile("the trailer is damaged")
    _, content_sum, envelope_sum = _TRAILER.unpack_from(trailer)
    if zlib.crc32(body) != envelope_sum:
        raise CorruptFile("the envelope is damaged")
    try:
        return unpack(body, _ENVELOPE), content_sum
    except (msgspec.MsgspecError, UnicodeDecodeError) as trouble:
        raise CorruptFile(f"the envelope does not read: {trouble}") from trouble


def parse_records(data: bytes) -> tuple[list[StateRecord], int]:
    """All whole state records at the start of `data`, and how many bytes they take; what follows is to be cut off."""
    records: list[StateRecord] = []
    at = 0
    while at + _RECORD.size <= len(data):
        length, checksum = _RECORD.unpack_from(data, at)
        body = data[at + _RECORD.size : at + _RECORD.size + length]
        if length > MOST_RECORD or len(body) < length or zlib.crc32(body) != checksum or not body:
            break
        try:
            records.append(unpack(body, _RECORDS))
        except (msgspec.MsgspecError, UnicodeDecodeError):
            break
        at += _RECORD.size + length
    return records, at


class MessageState:
    """The fold of a file's state records: what is known of each recipient, and what comes next."""

    def __init__(self, recipients: tuple[Recipient, ...], records: Iterable[StateRecord] = ()) -> None:
        self.recipients = recipients
        self.outcomes: dict[int, Outcome] = {}
        self.until = 0.0
        self.reported: dict[str, set[int]] = {"failure": set(), "delay": set(), "success": set()}
        self.asked: set[str] = set()
        for record in records:
            self.apply(record)

    def apply(self, record: StateRecord) -> None:
        """Take one more record into account; places that the envelope does not have are ignored."""
        match record:
            case Outcomes(results=results):
                self.outcomes.update({r.place: r.outcome for r in results if 0 <= r.place < len(self.recipients)})
            case Waiting(until=until):
                self.until = until
            case Reported(kind=kind, places=places):
                self.reported.setdefault(kind, set()).update(places)
            case Asked(what=what):
                self.asked.add(what)

    def pending(self) -> tuple[int, ...]:
        """Places of recipients that are neither delivered nor given up."""
        return tuple(place for place in range(len(self.recipients)) if not self._is_final(place))

    def _is_final(self, place: int) -> bool:
        return isinstance(self.outcomes.get(place), Delivered | Bounced)

    def unreported(self, kind: str, outcome: type[Delivered] | type[Bounced] | type[Deferred]) -> tuple[int, ...]:
        """Places whose outcome is of this class, and of which no report of `kind` was sent."""
        told = self.reported[kind]
        return tuple(p for p, found in sorted(self.outcomes.items()) if isinstance(found, outcome) and p not in told)

    @property
    def was_deferred(self) -> bool:
        """True once an attempt failed for a while: postqueue's ``deferred``."""
        return self.until > 0 or any(isinstance(outcome, Deferred) for outcome in self.outcomes.values())

    def records(self, at: float) -> list[StateRecord]:
        """The shortest list of records with this fold, for a file that is written anew."""
        written: list[StateRecord] = []
        if self.outcomes:
            written.append(Outcomes(at, tuple(Result(p, o) for p, o in sorted(self.outcomes.items()))))
        if self.until:
            written.append(Waiting(self.until))
        written += [Reported(at, kind, tuple(sorted(places))) for kind, places in self.reported.items() if places]
        written += [Asked(at, what) for what in sorted(self.asked)]
        return written
