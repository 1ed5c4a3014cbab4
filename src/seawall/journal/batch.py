"""Records on their way to the journal store: many in one packet, a line of JSON each, and what they are found by.

Encoding and storing a record by itself costs some 10 µs in two processes; in company it costs one.  A refused session
has three records (docs/decisions/0011-records-are-stored-in-batches.md).
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from seawall.journal.record import Record

_ENCODER = msgspec.json.Encoder()


class Batch(msgspec.Struct, frozen=True):
    """Records of one process, at least one.

    `lines` is a line of JSON for each, ``[program, record]``, ended by LF.  `spans` says between which numbers the
    sessions of each program are: (program, lowest, highest).
    """

    count: int
    first: float
    """Seconds since the epoch of the earliest record."""
    last: float
    spans: tuple[tuple[str, int, int], ...]
    queue_ids: tuple[str, ...]
    lines: bytes


def batch_of(records: Sequence[Record]) -> Batch:
    """The records together.  Bytes that are no UTF-8 (kept as surrogates) become ``?``."""
    first = last = records[0].at
    spans: dict[str, tuple[int, int]] = {}
    queue_ids: dict[str, None] = {}
    named: list[tuple[str, Record]] = []
    for record in records:
        at, number = record.at, record.number
        program = getattr(record, "source", "") or record.program
        named.append((program, record))
        if at > last:
            last = at
        elif at < first:
            first = at
        span = spans.get(program)
        if span is None:
            spans[program] = (number, number)
        elif number > span[1]:
            spans[program] = (span[0], number)
        elif number < span[0]:
            spans[program] = (number, span[1])
        queue_id = getattr(record, "queue_id", "")
        if queue_id:
            queue_ids[queue_id] = None
    return Batch(
        count=len(records),
        first=first,
        last=last,
        spans=tuple([(program, *span) for program, span in spans.items()]),
        queue_ids=tuple(queue_ids),
        lines=_encoded(named),
    )


def batches_of(records: Sequence[Record], largest: int) -> list[Batch]:
    """The same in as many batches as are needed for none to have more than `largest` bytes of lines.

    A single record that is larger is left out.
    """
    batch = batch_of(records)
    if len(batch.lines) <= largest:
        return [batch]
    if len(records) == 1:
        return []
    middle = len(records) // 2
    return [*batches_of(records[:middle], largest), *batches_of(records[middle:], largest)]


def joined(batches: Sequence[Batch]) -> Batch:
    """Several batches, at least one, as one."""
    if len(batches) == 1:
        return batches[0]
    spans: dict[str, tuple[int, int]] = {}
    for batch in batches:
        for program, low, high in batch.spans:
            before = spans.get(program, (low, high))
            spans[program] = (min(low, before[0]), max(high, before[1]))
    return Batch(
        count=sum(batch.count for batch in batches),
        first=min(batch.first for batch in batches),
        last=max(batch.last for batch in batches),
        spans=tuple((program, *span) for program, span in spans.items()),
        queue_ids=tuple(dict.fromkeys(queue_id for batch in batches for queue_id in batch.queue_ids)),
        lines=b"".join([batch.lines for batch in batches]),
    )


def _encoded(named: list[tuple[str, Record]]) -> bytes:
    try:
        return _ENCODER.encode_lines(named)
    except UnicodeEncodeError:
        return _ENCODER.encode_lines(_without_surrogates(msgspec.to_builtins(named)))


def _without_surrogates(value: object) -> list[object]:
    return [_cleaned(item) for item in value] if isinstance(value, list) else []


def _cleaned(value: object) -> object:
    if isinstance(value, str):
        return value.encode("utf-8", "replace").decode()
    if isinstance(value, dict):
        return {key: _cleaned(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_cleaned(item) for item in value]
    return value
