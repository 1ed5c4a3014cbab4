"""Berkeley DB files, written: a whole hash or btree file, format version 9, that Postfix and db_dump read.

The file is laid out at once, the way Berkeley DB would leave it after filling it: no log, no free pages, no
duplicates.  Layout: Berkeley DB's db_page.h; see also `berkeley`.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping

from seawall.tables.berkeley import (
    BTREE_INNER,
    BTREE_LEAF,
    BTREE_MAGIC,
    BTREE_META,
    BTREE_OVERFLOW,
    HASH_MAGIC,
    HASH_META,
    HASH_OFFPAGE,
    HASH_PAGE,
    KEYDATA,
    OVERFLOW,
    PAGE_HEADER,
)

PAGE_SIZE = 4096
"""What Berkeley DB takes from the usual file system."""
VERSION = 9
_HASH_BIG = PAGE_SIZE // 4
_BTREE_BIG = (PAGE_SIZE - PAGE_HEADER) // 4 - 10
"""Bytes from which an item gets pages of its own: two keys and two values must fit on a page."""
_CHECK_KEY = b"%$sniglet^&\0"
"""Berkeley DB hashes this and refuses a file made with another hash function."""
_BUCKET_FILL = PAGE_SIZE * 3 // 4
_ROOT = 1


def hash_of(key: bytes) -> int:
    """Berkeley DB's hash of a key since version 4: Fowler, Noll, Vo, 32 bits, started at 0."""
    value = 0
    for byte in key:
        value = (value * 16777619 & 0xFFFFFFFF) ^ byte
    return value


class _Pages:
    """Pages of a file that grows; page 0 is the description, set last."""

    def __init__(self) -> None:
        self.pages: list[bytes] = [b""]

    def reserve(self, count: int) -> int:
        """The number of the first of `count` pages that will be set."""
        first = len(self.pages)
        self.pages.extend([b""] * count)
        return first

    def add_long(self, item: bytes) -> int:
        """A long item's chain of pages; the first one's number."""
        room = PAGE_SIZE - PAGE_HEADER
        count = -(-len(item) // room)
        first = self.reserve(count)
        for at in range(count):
            piece = item[at * room : (at + 1) * room]
            before = first + at - 1 if at else 0
            after = first + at + 1 if at + 1 < count else 0
            head = _header(first + at, before, after, 1, len(piece), 0, OVERFLOW)
            self.pages[first + at] = (head + piece).ljust(PAGE_SIZE, b"\0")
        return first


def _header(page: int, before: int, after: int, entries: int, offset: int, level: int, kind: int) -> bytes:
    return struct.pack("<8xIIIHHBB", page, before, after, entries, offset, level, kind)


def _page(number: int, before: int, after: int, items: list[bytes], level: int, kind: int) -> bytes:
    """A page with its items, laid from the end backwards, and the index that finds them."""
    offsets: list[int] = []
    offset = PAGE_SIZE
    for item in items:
        offset -= len(item)
        offsets.append(offset)
    head = _header(number, before, after, len(items), offset, level, kind)
    index = struct.pack(f"<{len(offsets)}H", *offsets)
    return (head + index).ljust(offset, b"\0") + b"".join(reversed(items))


def _meta(magic: int, kind: int, last: int, file_id: bytes, own: bytes) -> bytes:
    """Page 0: what every file says of itself, then `own`, what its kind does."""
    common = struct.pack(
        "<8xIIIIBBBBIIIIII20s", 0, magic, VERSION, PAGE_SIZE, 0, kind, 0, 0, 0, last, 0, 0, 0, 0, file_id[:20]
    )
    return (common + own).ljust(PAGE_SIZE, b"\0")


# Hash


def _hash_item(pages: _Pages, item: bytes) -> bytes:
    if len(item) > _HASH_BIG:
        return struct.pack("<B3xII", HASH_OFFPAGE, pages.add_long(item), len(item))
    return bytes((KEYDATA,)) + item


def format_hash(pairs: Mapping[bytes, bytes], file_id: bytes) -> bytes:
    """A whole hash file; `file_id` is 20 bytes that no other file has."""
    bulk = sum(
        min(len(key), 12) + min(len(value), 12) if len(value) > _HASH_BIG else len(key) + len(value) + 6
        for key, value in pairs.items()
    )
    buckets = 2
    while buckets * _BUCKET_FILL < bulk:
        buckets *= 2
    filled: list[list[tuple[bytes, bytes]]] = [[] for _ in range(buckets)]
    for key, value in pairs.items():
        filled[hash_of(key) & (buckets - 1)].append((key, value))
    pages = _Pages()
    first = pages.reserve(buckets)
    for at, bucket in enumerate(filled):
        _fill_bucket(pages, first + at, sorted(bucket))
    own = struct.pack("<IIIIII", buckets - 1, buckets - 1, buckets // 2 - 1, 0, len(pairs), hash_of(_CHECK_KEY))
    doublings = buckets.bit_length() - 1
    own += struct.pack("<32I", *(first if at <= doublings else 0 for at in range(32)))
    pages.pages[0] = _meta(HASH_MAGIC, HASH_META, len(pages.pages) - 1, file_id, own)
    return b"".join(pages.pages)


def _fill_bucket(pages: _Pages, number: int, pairs: list[tuple[bytes, bytes]]) -> None:
    """A bucket's page, and further ones in a chain where it does not hold all."""
    sheets: list[list[bytes]] = [[]]
    room = PAGE_SIZE - PAGE_HEADER
    for key, value in pairs:
        items = [_hash_item(pages, key), _hash_item(pages, value)]
        needed = sum(map(len, items)) + 4
        if needed > room:
            sheets.append([])
            room = PAGE_SIZE - PAGE_HEADER
        sheets[-1] += items
        room -= needed
    numbers = [number, *(pages.reserve(1) for _ in sheets[1:]), 0]
    before = 0
    for at, items in enumerate(sheets):
        pages.pages[numbers[at]] = _page(numbers[at], before, numbers[at + 1], items, 0, HASH_PAGE)
        before = numbers[at]


# Btree


def _aligned(item: bytes) -> bytes:
    return item.ljust(len(item) + 3 & ~3, b"\0")


def _btree_item(pages: _Pages, item: bytes) -> bytes:
    if len(item) > _BTREE_BIG:
        return struct.pack("<HBBII", 0, BTREE_OVERFLOW, 0, pages.add_long(item), len(item))
    return _aligned(struct.pack("<HB", len(item), KEYDATA) + item)


def _inner_item(pages: _Pages, key: bytes, child: int) -> bytes:
    """An item of an inner page: the lowest key below `child`, left out for the first child of all."""
    if len(key) > _BTREE_BIG:
        long = struct.pack("<HBBII", 0, BTREE_OVERFLOW, 0, pages.add_long(key), len(key))
        return struct.pack("<HBBII", len(long), BTREE_OVERFLOW, 0, child, 0) + long
    return _aligned(struct.pack("<HBBII", len(key), KEYDATA, 0, child, 0) + key)


def format_btree(pairs: Mapping[bytes, bytes], file_id: bytes) -> bytes:
    """A whole btree file; `file_id` is 20 bytes that no other file has."""
    pages = _Pages()
    pages.reserve(1)  # the root, page 1, wherever the tree ends
    level, kind = 1, BTREE_LEAF
    groups = [(key, [_btree_item(pages, key), _btree_item(pages, pairs[key])]) for key in sorted(pairs)]
    while True:
        sheets = _sheets(groups)
        last = len(sheets) == 1
        first = _ROOT if last else pages.reserve(len(sheets))
        for at, (_, items) in enumerate(sheets):
            before = first + at - 1 if at and kind == BTREE_LEAF else 0
            after = first + at + 1 if at + 1 < len(sheets) and kind == BTREE_LEAF else 0
            pages.pages[first + at] = _page(first + at, before, after, items, level, kind)
        if last:
            break
        level, kind = level + 1, BTREE_INNER
        groups = [
            (lowest, [_inner_item(pages, lowest if at else b"", first + at)]) for at, (lowest, _) in enumerate(sheets)
        ]
    own = struct.pack("<IIIII", 0, 2, 0, 0, _ROOT)
    pages.pages[0] = _meta(BTREE_MAGIC, BTREE_META, len(pages.pages) - 1, file_id, own)
    return b"".join(pages.pages)


def _sheets(groups: list[tuple[bytes, list[bytes]]]) -> list[tuple[bytes, list[bytes]]]:
    """(lowest key, items) of each page that the groups fill; a group is never parted."""
    sheets: list[tuple[bytes, list[bytes]]] = [(b"", [])]
    room = PAGE_SIZE - PAGE_HEADER
    for key, items in groups:
        needed = sum(len(item) + 2 for item in items)
        if needed > room and sheets[-1][1]:
            sheets.append((key, []))
            room = PAGE_SIZE - PAGE_HEADER
        if not sheets[-1][1]:
            sheets[-1] = (key, sheets[-1][1])
        sheets[-1][1].extend(items)
        room -= needed
    return sheets
