"""Constant databases, read and written: 256 hash tables behind the records.  cdb(5), D. J. Bernstein's format

A cdb is never changed in place: a new one is renamed over it, so a reader needs no lock.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator

from seawall.tables.table import TableTrouble

_HEADER = 2048
_PAIR = struct.Struct("<II")
_LIMIT = 1 << 32
"""Positions have 32 bits."""


def hash_of(key: bytes) -> int:
    """The format's hash of a key, 32 bits."""
    value = 5381
    for byte in key:
        value = ((value << 5) + value & 0xFFFFFFFF) ^ byte
    return value


class Damaged(Exception):
    """The file is not what it should be."""


def read_file(path: str, lock: bool = False) -> list[tuple[bytes, bytes]]:
    """All pairs, in the order they were written.  There is no lock."""
    with open(path, "rb") as file:
        data = file.read()
    try:
        return list(pairs_of(data))
    except Damaged as error:
        raise TableTrouble(f"cdb:{path}", f"open database {path}: {error}") from None


def pairs_of(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    """All pairs of a file's bytes; of equal keys the first is the one that counts.  Damaged where they are no cdb."""
    if len(data) < _HEADER:
        raise Damaged("not a constant database")
    end = min(_PAIR.unpack_from(data, 8 * slot)[0] for slot in range(256))
    if not _HEADER <= end <= len(data):
        raise Damaged("not a constant database")
    known: set[bytes] = set()
    at = _HEADER
    while at < end:
        if at + 8 > end:
            raise Damaged("a record is cut short")
        key_size, value_size = _PAIR.unpack_from(data, at)
        at += 8
        if at + key_size + value_size > end:
            raise Damaged("a record is cut short")
        key = data[at : at + key_size]
        if key not in known:
            known.add(key)
            yield key, data[at + key_size : at + key_size + value_size]
        at += key_size + value_size


def format_file(pairs: Iterable[tuple[bytes, bytes]]) -> bytes:
    """The whole file.  ValueError where it would pass 4 GiB."""
    records: list[bytes] = []
    tables: list[list[tuple[int, int]]] = [[] for _ in range(256)]
    at = _HEADER
    for key, value in pairs:
        number = hash_of(key)
        tables[number & 255].append((number, at))
        records.append(_PAIR.pack(len(key), len(value)) + key + value)
        at += len(records[-1])
    header: list[bytes] = []
    indexes: list[bytes] = []
    for table in tables:
        size = 2 * len(table)
        header.append(_PAIR.pack(at, size))
        slots = [(0, 0)] * size
        for number, position in table:
            slot = (number >> 8) % size
            while slots[slot][1]:
                slot = (slot + 1) % size
            slots[slot] = (number, position)
        indexes.append(b"".join(_PAIR.pack(*slot) for slot in slots))
        at += 8 * size
    if at >= _LIMIT:
        raise ValueError("a constant database holds 4 GiB at most")
    return b"".join((*header, *records, *indexes))
