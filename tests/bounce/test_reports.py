"""Reports as Postfix 3.7.11 wrote them (recorded in `postfix/`), and who gets one."""

import os
import re
from pathlib import Path

import pytest

from seawall.bounce.report import fold, headers_of
from seawall.bounce.when import Report, Reporting
from seawall.config.settings import Settings
from seawall.journal.record import MemoryJournal
from seawall.mail.envelope import Envelope, Notify, Origin, Recipient
from seawall.mail.message import Content, FileSlice, Message
from seawall.mail.outcome import Bounced, Deferred, Delivered, Outcome

RECORDED = Path(__file__).parent / "postfix"
MAIN = """
myhostname = mx.example.org
mail_name = Postfix
smtputf8_enable = yes
delay_warning_time = 3s
maximal_queue_lifetime = 9s
notify_classes = bounce, 2bounce, delay
"""
LONG = "no mail for you, because this text is so very long that it must be wrapped by the program somewhere"
FAIL = Bounced(status="5.7.1", text=LONG)
SLOW = Deferred(status="4.4.1", text="try later please")
DONE = Delivered(status="2.0.0", text="delivered to maildir", relay="local")


class Fixed:
    """The clock of a recording."""

    def __init__(self, now: float) -> None:
        self._now = now

    def now(self) -> float:
        return self._now

    def monotonic(self) -> float:
        return self._now


class Recording:
    """A report that Postfix made, and what it was about, read back from it."""

    def __init__(self, name: str) -> None:
        self.text = (RECORDED / f"{name}.eml").read_text()
        boundary = re.search(r'boundary="([^".]+)\.(\d+)/', self.text)
        assert boundary
        self.queue_id, self.now = boundary[1], float(boundary[2])
        arrival = re.search(r"^Arrival-Date: \w+, 23 Nov 2026 13:(\d+):(\d+) ", self.text, re.MULTILINE)
        assert arrival
        self.arrived = 1795440600.0 + (int(arrival[1]) - 30) * 60 + int(arrival[2])
        original = self.text.split("Return-Path: <", 2)[2].split("\n", 1)[1]
        self.original = original[: original.rindex("\n--")].encode()

    def content(self) -> str:
        """As it was before cleanup(8) and local(8) added their headers and completed addresses."""
        head, _, body = self.text.partition("\n\n")
        lines = head.split("\n")
        kept = []
        for line in lines:
            if line.startswith(("Return-Path", "X-Original-To", "Delivered-To", "Received", "\tid", "Message-Id")):
                continue
            kept.append(line)
        head = "\n".join(kept).replace("<MAILER-DAEMON@mx.example.org>", "<MAILER-DAEMON>")
        return head.replace("To: postmaster@mx.example.org", "To: postmaster") + "\n\n" + body


@pytest.fixture(autouse=True)
def zone(monkeypatch: pytest.MonkeyPatch) -> None:
    import time

    monkeypatch.setenv("TZ", "UTC")
    time.tzset()


def reporting(main_cf: str = "", now: float = 0.0) -> Reporting:
    return Reporting(Settings.from_text(MAIN + main_cf), MemoryJournal(), Fixed(now))


def message(recording: Recording, sender: str = "root@example.org", body: str = "", envid: str = "") -> Message:
    envelope = Envelope(sender, (), Origin(), body=body, envid=envid)
    return Message(recording.queue_id, recording.arrived, envelope, Content(recording.original))


def one(address: str, outcome: Outcome, notify: int = 0) -> tuple[tuple[Recipient, Outcome], ...]:
    return ((Recipient(address, address, f"rfc822;{address}", notify), outcome),)


def text_of(report: Report) -> str:
    return report.content.memory.decode()


def test_a_failure_is_told_in_postfixs_words() -> None:
    seen = Recording("failure")
    reports = reporting(now=seen.now).failures(message(seen), one("x@fail.example", FAIL))
    assert text_of(reports[0]) == seen.content()
    assert reports[0].envelope.sender == ""


def test_the_postmaster_gets_a_copy_of_the_headers() -> None:
    seen, whole = Recording("copy"), Recording("failure")
    reports = reporting(now=seen.now).failures(message(whole), one("x@fail.example", FAIL))
    assert [report.audience for report in reports] == ["sender", "postmaster"]
    assert text_of(reports[1]) == seen.content()
    assert reports[1].envelope.sender == "double-bounce@mx.example.org"


def test_an_expired_recipient_is_told_with_his_last_reason() -> None:
    seen = Recording("expired")
    reports = reporting(now=seen.now).failures(message(seen), one("y@slow.example", SLOW))
    assert text_of(reports[0]) == seen.content()


def test_a_delay_is_told_in_postfixs_words() -> None:
    seen = Recording("delay")
    reports = reporting(now=seen.now).delays(message(seen), one("y@slow.example", SLOW))
    assert text_of(reports[0]) == seen.content()


def test_a_bounce_that_bounces_goes_whole_to_the_postmaster() -> None:
    seen = Recording("double-bounce")
    (report,) = reporting(now=seen.now).failures(message(seen, sender=""), one("z@fail.example", FAIL))
    assert text_of(report) == seen.content()


def test_of_a_large_message_only_the_headers_come_back() -> None:
    seen = Recording("failure-too-large")
    item = message(seen)
    large = Message(item.queue_id, item.arrived, item.envelope, Content(seen.original + b"\n" + b"a\n" * 50000))
    reports = reporting(now=seen.now).failures(large, one("x@fail.example", FAIL))
    assert text_of(reports[0]) == seen.content()


@pytest.mark.parametrize(
    ("name", "body"),
    [("success-threaded", ""), ("success-threaded-7bit", "7BIT"), ("success-threaded-8bit", "8BITMIME")],
)
def test_success_is_told_in_postfixs_words(name: str, body: str) -> None:
    seen = Recording(name)
    told = reporting("smtputf8_enable = no\nenable_threaded_bounces = yes\n", seen.now)
    item = message(seen, body=body, envid="e+nv")
    (report,) = told.successes(item, one("root@example.org", DONE, Notify.SUCCESS.value))
    assert text_of(report) == seen.content()


def plain(sender: str = "ann@a.example", ret: str = "") -> Message:
    envelope = Envelope(sender, (), Origin(), ret=ret)
    return Message("ID", 1000.0, envelope, Content(b"Subject: x\n\nbody\n"))


@pytest.mark.parametrize(
    ("notify", "failure", "delay", "success"),
    [
        (Notify.DEFAULT, True, True, False),
        (Notify.NEVER, False, False, False),
        (Notify.FAILURE, True, False, False),
        (Notify.DELAY, False, True, False),
        (Notify.SUCCESS, False, False, True),
        (Notify.SUCCESS | Notify.FAILURE | Notify.DELAY, True, True, True),
    ],
)
def test_notify_decides(notify: Notify, failure: bool, delay: bool, success: bool) -> None:
    told = reporting("notify_classes =\n")
    assert bool(told.failures(plain(), one("r@b", FAIL, notify.value))) is failure
    assert bool(told.delays(plain(), one("r@b", SLOW, notify.value))) is delay
    assert bool(told.successes(plain(), one("r@b", DONE, notify.value))) is success


def test_the_null_sender_hears_nothing() -> None:
    told = reporting("notify_classes = resource, software\n")
    everything = Notify.SUCCESS.value | Notify.FAILURE.value | Notify.DELAY.value
    assert told.failures(plain(""), one("r@b", FAIL, everything)) == ()
    assert told.delays(plain(""), one("r@b", SLOW, everything)) == ()
    assert told.successes(plain(""), one("r@b", DONE, everything)) == ()


def test_a_notice_that_bounces_is_discarded_with_a_warning() -> None:
    journal = MemoryJournal()
    told = Reporting(Settings.from_text(MAIN), journal, Fixed(0.0))
    assert told.failures(plain("double-bounce@mx.example.org"), one("postmaster@b", FAIL)) == ()
    assert [record.text() for record in journal.records] == [
        "warning: ID: undeliverable postmaster notification discarded"
    ]


def test_ret_hdrs_returns_headers_only() -> None:
    (report, *_) = reporting().failures(plain(ret="HDRS"), one("r@b", FAIL))
    assert "Content-Type: text/rfc822-headers" in text_of(report)
    assert "body" not in text_of(report).split("rfc822-headers")[1]


def test_what_another_server_said_is_told_as_its_word() -> None:
    said = Bounced(
        status="5.1.1",
        text="host mx.b[192.0.2.9] said: 550 5.1.1 no such user (in reply to RCPT TO command)",
        relay="mx.b[192.0.2.9]:25",
        remote_mta="mx.b",
        diagnostic="550 5.1.1 no such user",
    )
    (report, *_) = reporting().failures(plain(), one("r@b", said))
    assert "Status: 5.1.1\nRemote-MTA: dns; mx.b\nDiagnostic-Code: smtp; 550 5.1.1 no such user\n" in text_of(report)


def test_addresses_are_quoted_and_controls_are_not_passed_on() -> None:
    bad = Bounced(status="5.0.0", text="evil\nAction: delivered\r\x1b[31m")
    (report, *_) = reporting().failures(plain(), one("a b@x.example", bad))
    text = text_of(report)
    assert '<"a b"@x.example>: evil?Action: delivered??[31m' in text
    assert 'Final-Recipient: rfc822; "a b"@x.example\n' in text


def test_smtputf8_mail_gets_a_global_report() -> None:
    item = plain("ann@a.example")
    envelope = Envelope(item.envelope.sender, (), Origin(), smtputf8=True)
    (report, *_) = reporting().failures(Message("ID", 1.0, envelope, item.content), one("jörg@b.example", FAIL))
    text = text_of(report)
    assert "report-type=global-delivery-status" in text
    assert "Final-Recipient: utf-8; jörg@b.example" in text
    assert "Content-Type: message/global\n" in text


def test_a_large_original_is_read_from_its_descriptor(tmp_path: Path) -> None:
    path = tmp_path / "content"
    path.write_bytes(b"junkSubject: x\n\n" + b"line\n" * 5000)
    descriptor = os.open(path, os.O_RDONLY)
    try:
        content = Content(b"", FileSlice(descriptor, 4, path.stat().st_size - 4))
        item = Message("ID", 1.0, Envelope("ann@a.example", (), Origin()), content)
        (report, *_) = reporting().failures(item, one("r@b", FAIL))
    finally:
        os.close(descriptor)
    assert text_of(report).count("\nline") == 5000


def test_long_reasons_are_folded_at_blanks_only() -> None:
    assert fold("short") == ["short"]
    assert fold("a" * 100) == ["a" * 100]
    assert all(len(line) <= 79 for line in fold("word " * 100))
    assert fold("x" * 90 + " tail") == ["x" * 90, "    tail"]


def test_headers_end_at_the_first_line_that_is_none() -> None:
    assert headers_of(b"A: 1\n b\nB: 2\n\nC: 3\n") == b"A: 1\n b\nB: 2\n"
    assert headers_of(b"A: 1\nno header\n") == b"A: 1\n"
    assert headers_of(b"") == b""
