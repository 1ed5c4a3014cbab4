"""DNS messages.  The fuzz test's invariant: whatever bytes come, `parse_response` gives a Response or raises BadMessage."""

from __future__ import annotations

import contextlib
import struct

import dns.message
import dns.rrset
import pytest
from hypothesis import given
from hypothesis import strategies as st

from seawall.dns.answers import Found
from seawall.dns.wire import (
    KINDS,
    BadMessage,
    Response,
    format_name,
    format_query,
    parse_response,
    read_name,
)

RECORDS = {
    "A": ("192.0.2.1", "192.0.2.1", 0),
    "AAAA": ("2001:db8::1", "2001:db8::1", 0),
    "MX": ("10 mx.x.example.", "mx.x.example", 10),
    "NS": ("ns.x.example.", "ns.x.example", 0),
    "PTR": ("host.x.example.", "host.x.example", 0),
    "CNAME": ("other.x.example.", "other.x.example", 0),
    "TXT": ('"one " "two"', "one two", 0),
    "SRV": ("1 2 25 mx.x.example.", "2 25 mx.x.example", 1),
    "TLSA": ("3 1 0 00ff", "3 1 0 00ff", 0),
    "SOA": ("ns.x.example. h.x.example. 1 2 3 4 5", "ns.x.example h.x.example 1 2 3 4 5", 0),
}


def answered(name: str, kind: str, text: str) -> bytes:
    """The wire form of an answer, made by dnspython."""
    query = dns.message.from_wire(format_query(7, name, kind))
    response = dns.message.make_response(query)
    response.answer.append(dns.rrset.from_text(name + ".", 300, "IN", kind, text))
    return response.to_wire()


@pytest.mark.parametrize("kind", RECORDS)
def test_every_kind_is_read(kind: str) -> None:
    text, data, preference = RECORDS[kind]
    response = parse_response(answered("x.example", kind, text), 7, "x.example", kind)

    assert isinstance(response.answer, Found)
    [record] = response.answer.records
    assert (record.kind, record.data, record.preference, record.ttl) == (kind, data, preference, 300)


def test_all_kinds_have_a_case() -> None:
    assert set(RECORDS) == set(KINDS)


def test_a_query_is_one_that_others_understand() -> None:
    query = dns.message.from_wire(format_query(513, "a.Example", "MX"))

    assert (query.id, str(query.question[0]), query.payload) == (513, "a.Example. IN MX", 1232)


@pytest.mark.parametrize("name", ["a..b", "x" * 64 + ".example", ".".join(["x" * 60] * 5)])
def test_a_name_that_does_not_fit_is_not_asked_for(name: str) -> None:
    with pytest.raises(BadMessage):
        format_name(name)


def test_a_pointer_must_point_backwards() -> None:
    with pytest.raises(BadMessage):
        read_name(b"\xc0\x00", 0)
    with pytest.raises(BadMessage):
        read_name(b"\x01a\xc0\x03\xc0\x02", 2)
    assert read_name(b"\x01a\x00\x01b\xc0\x00", 3) == ("b.a", 7)


def test_a_dot_inside_a_label_is_no_label_end() -> None:
    assert read_name(b"\x03a.b\x00", 0)[0] == "a\\046b"


@given(st.binary(max_size=600))
def test_no_bytes_raise_anything_but_bad_message(data: bytes) -> None:
    with contextlib.suppress(BadMessage):
        assert isinstance(parse_response(data, 7, "x.example", "MX"), Response)


MUTATIONS = st.lists(st.tuples(st.integers(0, 199), st.integers(0, 255)), max_size=8)


@given(st.sampled_from(sorted(RECORDS)), MUTATIONS, st.integers(0, 200))
def test_no_damage_to_a_good_answer_raises_anything_but_bad_message(
    kind: str, mutations: list[tuple[int, int]], cut: int
) -> None:
    data = bytearray(answered("x.example", kind, RECORDS[kind][0]))
    for at, value in mutations:
        if at < len(data):
            data[at] = value
    with contextlib.suppress(BadMessage):
        assert isinstance(parse_response(bytes(data[: len(data) - cut]), 7, "x.example", kind), Response)


@given(st.lists(st.integers(0, 255), min_size=1, max_size=60), st.integers(0, 20))
def test_names_never_loop(letters: list[int], at: int) -> None:
    with contextlib.suppress(BadMessage):
        name, end = read_name(bytes(letters), at)
        assert end <= len(letters)
        assert len(name) <= 4 * 255


def test_a_header_alone_with_many_records_is_refused() -> None:
    head = struct.pack(">HHHHHH", 7, 0x8180, 1, 65535, 65535, 65535)
    question = format_name("x.example") + struct.pack(">HH", KINDS["A"], 1)

    with pytest.raises(BadMessage):
        parse_response(head + question, 7, "x.example", "A")
