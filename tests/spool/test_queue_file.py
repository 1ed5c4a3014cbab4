"""The queue file: what is written is read, what is damaged is named, and a released format stays readable."""

import struct
import zlib
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from seawall.mail.envelope import Envelope, Origin, Recipient, TlsFacts
from seawall.mail.outcome import Bounced, Deferred, Delivered
from seawall.mail.packing import pack, unpack
from seawall.spool.queue_file import (
    FORMAT,
    HEAD_SIZE,
    Asked,
    CorruptFile,
    MessageState,
    Outcomes,
    Reported,
    Result,
    StateRecord,
    StoredEnvelope,
    Waiting,
    format_envelope,
    format_head,
    format_records,
    format_trailer,
    parse_envelope,
    parse_head,
    parse_records,
)

GOLDEN = Path(__file__).parent.parent / "golden" / "formats"

texts = st.text(max_size=30).map(lambda text: text.encode("utf-8", "surrogatepass").decode("utf-8", "surrogateescape"))
octets = st.binary(max_size=30).map(lambda data: data.decode("utf-8", "surrogateescape"))


def sample() -> tuple[StoredEnvelope, bytes, list[StateRecord]]:
    """Every kind of field that format 1 has."""
    tls = TlsFacts("TLSv1.3", "TLS_AES_256_GCM_SHA384", 256, 256, sni="mx.example.org", peer_trusted=True)
    origin = Origin(
        client_name="client.example",
        client_address="192.0.2.1",
        client_port="40000",
        reverse_name="client.example",
        helo="client.example",
        protocol="ESMTPSA",
        server_address="198.51.100.1",
        server_port="25",
        tls=tls,
        sasl_method="PLAIN",
        sasl_username="ann",
        sasl_sender="",
        submitted_by="",
        is_local=False,
    )
    envelope = Envelope(
        sender="ann@a.example",
        recipients=(
            Recipient("bob@b.example", "Bob@b.example", "rfc822;Bob@b.example", 6),
            Recipient("stray\udcff@b.example"),
            Recipient("carl@b.example"),
        ),
        origin=origin,
        body="8BITMIME",
        smtputf8=False,
        ret="HDRS",
        envid="id+1",
        filter="",
        redirect="",
        hold=False,
    )
    content = b"Subject: sample\n\nThe sample of format 1.\n"
    records: list[StateRecord] = [
        Outcomes(
            1_700_000_001.5,
            (
                Result(0, Delivered(status="2.0.0", text="delivered to maildir", relay="local", sending=0.25)),
                Result(1, Bounced(status="5.1.1", text='unknown user: "stray"', relay="local")),
                Result(
                    2,
                    Deferred(
                        status="4.2.2",
                        text="host mx[192.0.2.9] said: 452 4.2.2 full",
                        relay="mx[192.0.2.9]:25",
                        remote_mta="mx",
                        diagnostic="452 4.2.2 full",
                        site_down=False,
                    ),
                ),
            ),
        ),
        Reported(1_700_000_002.0, "failure", (1,)),
        Waiting(1_700_000_301.5),
        Asked(1_700_000_100.0, "expire"),
    ]
    return StoredEnvelope("4SVLCh00000101", 1_700_000_000.25, envelope), content, records


def whole(stored: StoredEnvelope, content: bytes, records: list[StateRecord]) -> bytes:
    envelope = format_envelope(stored)
    head = format_head(len(content), len(envelope), stored.arrived)
    return head + content + envelope + format_trailer(zlib.crc32(content), envelope) + format_records(records)


def read(data: bytes) -> tuple[StoredEnvelope, bytes, list[StateRecord], int]:
    head = parse_head(data, len(data))
    stored, content_sum = parse_envelope(data[head.envelope_offset :], head)
    content = data[HEAD_SIZE : head.envelope_offset]
    if zlib.crc32(content) != content_sum:
        raise CorruptFile("the content is damaged")
    records, length = parse_records(data[head.records_offset :])
    return stored, content, records, len(data) - head.records_offset - length


@pytest.mark.parametrize("name", ["queue-file.1", "queue-file.1-asks"])
def test_the_samples_of_format_1_are_read_for_ever(name: str) -> None:
    """The second one is of the time since envelopes say whether they are a question of sendmail -bv."""
    assert read((GOLDEN / name).read_bytes()) == (*sample(), 0)


def test_what_is_written_today_is_format_1_to_the_byte() -> None:
    assert FORMAT == 1
    assert whole(*sample()) == (GOLDEN / "queue-file.1-asks").read_bytes()


def test_any_changed_byte_is_noticed_or_cuts_off_records() -> None:
    stored, content, records = sample()
    good = whole(stored, content, records)
    for at in range(len(good)):
        bad = bytearray(good)
        bad[at] ^= 0x20
        try:
            found = read(bytes(bad))
        except CorruptFile:
            continue
        assert found[:2] == (stored, content)
        assert found[2] == records[: len(found[2])]
        assert len(found[2]) < len(records)


def test_any_cut_is_noticed_or_cuts_off_records() -> None:
    stored, content, records = sample()
    good = whole(stored, content, records)
    body = len(whole(stored, content, []))
    for at in range(len(good)):
        if at < body:
            with pytest.raises(CorruptFile):
                read(good[:at])
        else:
            found = read(good[:at])
            assert found[2] == records[: len(found[2])]
            assert found[3] == at - body - len(format_records(found[2]))


@given(st.binary(max_size=300))
def test_junk_is_never_a_queue_file(data: bytes) -> None:
    with pytest.raises(CorruptFile):
        read(data)


@given(st.binary(max_size=300))
def test_junk_is_never_a_state_record(data: bytes) -> None:
    assert parse_records(data)[0] == []


def test_a_format_from_the_future_is_named() -> None:
    head = bytearray(format_head(0, 0, 0.0))
    struct.pack_into(">H", head, 8, 2)
    struct.pack_into(">I", head, HEAD_SIZE - 4, zlib.crc32(bytes(head[: HEAD_SIZE - 4])))
    with pytest.raises(CorruptFile, match="format 2 is not known"):
        parse_head(bytes(head), 1000)


@given(octets, octets, texts)
def test_every_text_survives(sender: str, address: str, envid: str) -> None:
    envelope = Envelope(sender=sender, recipients=(Recipient(address),), origin=Origin(), envid=envid)
    stored = StoredEnvelope("ID", 1.0, envelope)
    assert read(whole(stored, b"", []))[0] == stored


class Note(msgspec.Struct):
    text: str
    names: dict[str, str] = {}


@given(octets)
def test_packing_keeps_what_utf_8_cannot_hold(text: str) -> None:
    decoder = msgspec.msgpack.Decoder(Note)
    note = Note("\U0010fffd" + text + "\U0010fffda", {"a": text})
    assert unpack(pack(note), decoder) == note


def test_the_state_is_the_fold_of_its_records() -> None:
    stored, _, records = sample()
    state = MessageState(stored.envelope.recipients, records)
    assert state.pending() == (2,)
    assert state.unreported("failure", Bounced) == ()
    assert state.unreported("delay", Deferred) == (2,)
    assert state.until == 1_700_000_301.5
    assert state.asked == {"expire"}
    assert state.was_deferred
    again = MessageState(stored.envelope.recipients, state.records(5.0))
    assert again.outcomes == state.outcomes
    assert (again.until, again.reported, again.asked) == (state.until, state.reported, state.asked)


def test_places_that_the_envelope_does_not_have_are_ignored() -> None:
    state = MessageState((Recipient("a@b"),), [Outcomes(1.0, (Result(7, Delivered(status="2.0.0", text="ok")),))])
    assert state.pending() == (0,)
    assert state.outcomes == {}
