"""Berkeley DB files, read: hash (versions 8 and 9) and btree (8 to 10), as postmap(1) and postalias(1) write them.

The file is read whole, in the byte order it was written in, and every leaf page is listed; nothing is looked up
in place.  Layout: Berkeley DB's db_page.h.  Offsets below are bytes from the start of a page:

    8 page number, 12 previous, 16 next (also of overflow pages), 20 entries, 22 offset or length, 25 type, 26 index
"""

from __future__ import annotations

import os
import struct
from collections.abc import Iterator
from dataclasses import dataclass

from seawall.tables.table import TableTrouble
from seawall.tables.watched import opened

HASH_MAGIC, BTREE_MAGIC = 0x061561, 0x053162
VERSIONS = {HASH_MAGIC: range(7, 11), BTREE_MAGIC: range(8, 11)}
PAGE_HEADER = 26

HASH_UNSORTED, BTREE_INNER, BTREE_LEAF, OVERFLOW, HASH_META, BTREE_META, HASH_PAGE = 2, 3, 5, 7, 8, 9, 13
"""Page types."""
KEYDATA, HASH_OFFPAGE, BTREE_OVERFLOW = 1, 3, 3
"""Item types."""
_DELETED = 0x80


class Damaged(Exception):
    """The file is not what it should be."""


@dataclass(frozen=True, slots=True)
class _File:
    """A file in memory: `order` is ``<`` or ``>``."""

    data: bytes
    page_size: int
    order: str

    def number(self, form: str, at: int) -> int:
        try:
            value: int = struct.unpack_from(self.order + form, self.data, at)[0]
        except struct.error:
            raise Damaged("an item lies outside its page") from None
        return value

    def overflow(self, page: int, length: int) -> bytes:
        """A long item: `length` bytes in a chain of pages."""
        parts: list[bytes] = []
        left = length
        for _ in range(len(self.data) // self.page_size + 1):
            if page == 0 or left <= 0:
                break
            start = page * self.page_size
            if start + self.page_size > len(self.data) or self.data[start + 25] != OVERFLOW:
                raise Damaged("a long item has no page")
            size = min(self.number("H", start + 22), self.page_size - PAGE_HEADER, left)
            parts.append(self.data[start + PAGE_HEADER : start + PAGE_HEADER + size])
            left -= size
            page = self.number("I", start + 16)
        if left > 0:
            raise Damaged("a long item is cut short")
        return b"".join(parts)


def read_file(path: str, lock: bool = True) -> list[tuple[bytes, bytes]]:
    """All pairs of a hash or btree file, read under a shared lock.  Busy where postmap is writing it.

    ``lock=False`` is for who holds the lock already.
    """
    with opened(path, lock=lock) as descriptor, os.fdopen(os.dup(descriptor), "rb") as file:
        data = file.read()
    try:
        return list(pairs_of(data))
    except Damaged as error:
        raise TableTrouble(f"hash:{path}", f"open database {path}: {error}") from None


def pairs_of(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    """All pairs of a file's bytes.  Damaged where they are none of Berkeley DB's."""
    file = _opened(data)
    for start in range(file.page_size, len(data) - file.page_size + 1, file.page_size):
        kind = data[start + 25]
        if kind in (HASH_PAGE, HASH_UNSORTED):
            yield from _paired(_hash_items(file, start))
        elif kind == BTREE_LEAF:
            yield from _paired(_btree_items(file, start))


def _opened(data: bytes) -> _File:
    """The file, once its first page says what it is."""
    if len(data) < 512:
        raise Damaged("not a Berkeley DB file")
    for order in "<>":
        magic, version, page_size = struct.unpack_from(order + "III", data, 12)
        if magic not in VERSIONS:
            continue
        if version not in VERSIONS[magic]:
            raise Damaged(f"Berkeley DB format version {version} is not supported")
        if data[24]:
            raise Damaged("the file is encrypted")
        if data[26] & 1:
            raise Damaged("files with page checksums are not supported")
        if page_size not in (512 << shift for shift in range(8)):
            raise Damaged("not a Berkeley DB file")
        return _File(data, page_size, order)
    raise Damaged("not a Berkeley DB file")


def _paired(items: Iterator[bytes | None]) -> Iterator[tuple[bytes, bytes]]:
    """Keys and values that stand one after the other; deleted ones (None) are passed over."""
    for key in items:
        value = next(items, None)
        if key is not None and value is not None:
            yield key, value


def _hash_items(file: _File, start: int) -> Iterator[bytes | None]:
    """Items of a hash page: each ends where the one before it starts."""
    end = file.page_size
    for at in range(file.number("H", start + 20)):
        offset = file.number("H", start + PAGE_HEADER + 2 * at)
        if not PAGE_HEADER <= offset < end:
            raise Damaged("an item lies outside its page")
        kind = file.data[start + offset]
        if kind == KEYDATA:
            yield file.data[start + offset + 1 : start + end]
        elif kind == HASH_OFFPAGE:
            yield file.overflow(file.number("I", start + offset + 4), file.number("I", start + offset + 8))
        else:
            yield None  # sets of duplicates: postmap makes none
        end = offset


def _btree_items(file: _File, start: int) -> Iterator[bytes | None]:
    """Items of a btree leaf: each says its own length."""
    for at in range(file.number("H", start + 20)):
        offset = file.number("H", start + PAGE_HEADER + 2 * at)
        if not PAGE_HEADER <= offset <= file.page_size - 3:
            raise Damaged("an item lies outside its page")
        kind = file.data[start + offset + 2]
        if kind & _DELETED:
            yield None
        elif kind == KEYDATA:
            length = file.number("H", start + offset)
            if offset + 3 + length > file.page_size:
                raise Damaged("an item lies outside its page")
            yield file.data[start + offset + 3 : start + offset + 3 + length]
        elif kind == BTREE_OVERFLOW:
            yield file.overflow(file.number("I", start + offset + 4), file.number("I", start + offset + 8))
        else:
            yield None
