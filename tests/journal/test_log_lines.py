"""Log lines: shaped as Postfix's, clean whatever a client said."""

from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from seawall.journal.log_lines import LineFormat, clean, syslog_packet, syslog_packets
from seawall.journal.record import MemoryJournal, Record, Warned
from seawall.journal.writer import BATCH, BatchingJournal, FileSink, FunctionSink


class Said(Record, frozen=True, tag=True, kw_only=True):
    program = "smtpd"
    queue_id: str = ""
    words: str

    def text(self) -> str:
        return f"{self.queue_id or 'NOQUEUE'}: {self.words}"


FORM = LineFormat("mx.example.com", "postfix", 77)


def test_a_line_names_host_program_and_session() -> None:
    line = FORM.line(Said(at=0, number=12, words="reject: x"))
    assert line.endswith(" mx postfix/smtpd[12]: NOQUEUE: reject: x")
    assert len(line.split(" mx ")[0]) == len("Jan  1 00:00:00")


def test_a_record_without_a_session_shows_the_process_and_a_service_its_own_name() -> None:
    assert " postfix/smtpd[77]: " in FORM.line(Said(at=0, words="x"))
    assert " postfix/submission/smtpd[77]: " in FORM.line(Said(at=0, words="x", service="postfix/submission"))
    assert " postfix/pickup[77]: warning: odd" in FORM.line(Warned(at=0, source="pickup", message="odd"))


@given(st.text(), st.binary())
def test_nothing_that_a_terminal_obeys_reaches_a_log_line(text: str, raw: bytes) -> None:
    for untrusted in (text, raw.decode("utf-8", "surrogateescape")):
        line = clean(untrusted)
        assert line.isprintable()
        assert len(line) == len(untrusted)
        assert FORM.line(Said(at=0, words=untrusted)).isprintable()


def test_what_is_printable_stays_as_it_is() -> None:
    assert clean("héllo <x@exämple>") == "héllo <x@exämple>"
    assert clean("a\r\nb\x1b[31m") == "a??b?[31m"


@given(st.lists(st.one_of(st.text(), st.binary().map(lambda raw: raw.decode("utf-8", "surrogateescape")))))
def test_a_batch_has_the_lines_of_its_records_one_by_one(texts: list[str]) -> None:
    records = [Said(at=0, number=number, words=text) for number, text in enumerate(texts)]
    assert FORM.lines(records) == "".join(FORM.line(each) + "\n" for each in records).encode("utf-8", "replace")
    assert syslog_packets(FORM, records) == [syslog_packet(FORM, each) for each in records]


def test_a_syslog_packet_carries_facility_and_severity() -> None:
    assert syslog_packet(FORM, Said(at=0, number=1, words="x")).startswith(b"<22>")
    assert syslog_packet(FORM, Warned(at=0, source="master", message="x")).startswith(b"<20>")


def test_records_wait_for_company_and_a_full_batch_does_not_wait() -> None:
    batches: list[int] = []
    planned: list[tuple[float, object]] = []
    journal = BatchingJournal(
        [FunctionSink(lambda records: batches.append(len(records)))],
        lambda delay, call: planned.append((delay, call)) or True,
    )
    for number in range(BATCH + 1):
        journal.write(Said(at=number, words="x"))
    assert batches == [BATCH]
    journal.flush()
    journal.flush()
    assert batches == [BATCH, 1]
    assert len(planned) == 2


def test_a_full_disk_loses_log_lines_and_nothing_else(tmp_path: Path) -> None:
    with Path("/dev/full").open("wb", buffering=0) as full:
        FileSink(full.fileno(), FORM).take([Said(at=0, words="x")])


def test_the_memory_journal_keeps_and_tells() -> None:
    told: list[Record] = []
    journal = MemoryJournal(told.append)
    journal.write(Said(at=0, words="x"))
    assert journal.records == told


def test_a_record_that_could_not_be_timed_leaves_with_the_next_one() -> None:
    written: list[int] = []
    handles: list[object] = [None, "a handle"]
    calls: list[object] = []

    def later(delay: float, call: object) -> object:
        calls.append(call)
        return handles.pop(0)

    journal = BatchingJournal([FunctionSink(lambda records: written.append(len(records)))], later)
    for number in range(3):
        journal.write(Said(at=number, words="x"))
    assert len(calls) == 2  # refused, planned, and then it is
    journal.flush()
    assert written == [3]
