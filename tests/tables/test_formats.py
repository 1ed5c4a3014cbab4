"""Berkeley DB and constant databases, byte for byte: what is written is read, and no bytes do harm."""

import struct
from collections.abc import Callable, Mapping

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from seawall.tables import berkeley, berkeley_write, cdb
from seawall.tables.berkeley import Damaged, pairs_of

FILE_ID = bytes(range(20))
WRITERS: Mapping[str, Callable[[Mapping[bytes, bytes], bytes], bytes]] = {
    "hash": berkeley_write.format_hash,
    "btree": berkeley_write.format_btree,
}
entries = st.dictionaries(
    st.one_of(st.binary(min_size=1, max_size=30), st.binary(min_size=900, max_size=1100)),
    st.one_of(st.binary(max_size=40), st.binary(min_size=1000, max_size=9000)),
    max_size=40,
)


@pytest.mark.parametrize("kind", sorted(WRITERS))
@given(pairs=entries)
@settings(max_examples=60, deadline=None)
def test_what_is_written_is_read(kind: str, pairs: dict[bytes, bytes]) -> None:
    data = WRITERS[kind](pairs, FILE_ID)
    assert len(data) % berkeley_write.PAGE_SIZE == 0
    assert dict(pairs_of(data)) == pairs


@pytest.mark.parametrize("kind", sorted(WRITERS))
def test_ten_thousand_keys_and_long_values(kind: str) -> None:
    pairs = {b"key%d\0" % number: b"value " * (number % 7 * 100) + b"\0" for number in range(10000)}
    assert dict(pairs_of(WRITERS[kind](pairs, FILE_ID))) == pairs


@pytest.mark.parametrize("kind", sorted(WRITERS))
def test_a_file_of_the_other_byte_order_is_read(kind: str) -> None:
    """Only what a small file has: description and one page."""
    pairs = {b"a": b"1", b"b": b"2"}
    data = bytearray(WRITERS[kind](pairs, FILE_ID))
    for start in range(0, len(data), berkeley_write.PAGE_SIZE):
        entries_here = struct.unpack_from("<H", data, start + 20)[0] if start else 0
        for at, width in [(8, 4), (12, 4), (16, 4), (20, 4 if not start else 2)]:
            data[start + at : start + at + width] = bytes(reversed(data[start + at : start + at + width]))
        for number in range(entries_here):
            at = start + 26 + 2 * number
            offset = struct.unpack_from("<H", data, at)[0]
            data[at : at + 2] = struct.pack(">H", offset)
            if kind == "btree":
                data[start + offset : start + offset + 2] = bytes(reversed(data[start + offset : start + offset + 2]))
    assert dict(pairs_of(bytes(data))) == pairs


@pytest.mark.parametrize("kind", sorted(WRITERS))
@given(st.data())
@settings(max_examples=150, deadline=None)
def test_no_damage_gives_more_than_damaged(kind: str, data: st.DataObject) -> None:
    pairs = {b"key%d" % number: b"v" * (number * 300) for number in range(20)}
    content = bytearray(WRITERS[kind](pairs, FILE_ID))
    for _ in range(data.draw(st.integers(1, 4))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    cut = data.draw(st.integers(0, len(content)))
    for version in (bytes(content), bytes(content[:cut])):
        try:
            list(pairs_of(version))
        except Damaged:
            continue


def test_what_is_no_berkeley_db_file_is_told() -> None:
    for data in (b"", b"a b\n", bytes(4096), b"\xff" * 4096):
        with pytest.raises(Damaged, match="not a Berkeley DB file"):
            list(pairs_of(data))
    old = bytearray(berkeley_write.format_hash({}, FILE_ID))
    old[16] = 5
    with pytest.raises(Damaged, match="format version 5"):
        list(pairs_of(bytes(old)))


def test_a_chain_of_pages_that_bites_its_tail_ends() -> None:
    data = bytearray(berkeley_write.format_hash({b"k": b"v" * 20000}, FILE_ID))
    size = berkeley_write.PAGE_SIZE
    for start in range(0, len(data), size):
        if data[start + 25] == berkeley.OVERFLOW:
            data[start + 16 : start + 20] = struct.pack("<I", start // size)
            data[start + 22 : start + 24] = b"\0\0"
    with pytest.raises(Damaged, match="cut short"):
        list(pairs_of(bytes(data)))


def test_the_hashes_are_the_formats_own() -> None:
    assert cdb.hash_of(b"") == 5381
    assert cdb.hash_of(b"one") == 193420161
    assert berkeley_write.hash_of(b"a") == 97
    assert berkeley_write.hash_of(b"%$sniglet^&\0") == 0x5E688DD1


@given(st.dictionaries(st.binary(max_size=20), st.binary(max_size=50), max_size=30))
def test_a_constant_database_is_read_as_written(pairs: dict[bytes, bytes]) -> None:
    data = cdb.format_file(pairs.items())
    assert dict(cdb.pairs_of(data)) == pairs


@given(st.data())
def test_no_damage_to_a_constant_database_gives_more_than_damaged(data: st.DataObject) -> None:
    content = bytearray(cdb.format_file({b"key%d" % number: b"v" * number for number in range(20)}.items()))
    content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    try:
        list(cdb.pairs_of(bytes(content[: data.draw(st.integers(0, len(content)))])))
    except cdb.Damaged:
        return


def test_of_equal_keys_the_first_counts() -> None:
    data = cdb.format_file([(b"a", b"1"), (b"a", b"2")])
    assert list(cdb.pairs_of(data)) == [(b"a", b"1")]
