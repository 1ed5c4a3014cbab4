"""Log lines as Postfix writes them, so that pflogsumm, fail2ban and logwatch go on working.  postlogd(8), syslogd(8)

What they say otherwise is docs/differences.md D-15.
"""

from __future__ import annotations

import time
from collections.abc import Sequence

from seawall.journal.record import Record

PRINTABLE = bytes(range(32, 127))


def clean(text: str) -> str:
    """`text` with everything that a terminal or a log reader could misread replaced by ``?``, as Postfix does."""
    if text.isascii() and not text.encode().translate(
        None, PRINTABLE
    ):  # the common case, in half the time of isprintable
        return text
    return "".join(mark if mark.isprintable() else "?" for mark in text)


def is_clean(text: str, lines: int) -> bool:
    """True where `text` is this many lines of plain ASCII: nothing in it needs `clean`."""
    return text.isascii() and text.encode().translate(None, PRINTABLE) == b"\n" * lines


class LineFormat:
    """Turns records into lines: ``Nov 23 13:10:21 host postfix/smtpd[12]: text``.

    `process` is the number for records without one of their own (the process id); `offset` gives the local time for
    seconds since the epoch, an argument so that tests know the time zone.
    """

    def __init__(self, host: str, syslog_name: str, process: int) -> None:
        self._host = host.split(".")[0]
        self._syslog_name = syslog_name
        self._process = process
        self._second = -1
        self._stamp = ""

    def stamp(self, at: float) -> str:
        """``Nov 23 13:10:21``, in the local time zone; drawn once a second."""
        second = int(at)
        if second != self._second:
            self._second = second
            self._stamp = time.strftime("%b %e %H:%M:%S", time.localtime(second))
        return self._stamp

    def head(self, record: Record) -> str:
        """``postfix/smtpd[12]: ``."""
        name = getattr(record, "source", "") or record.program
        return f"{record.service or self._syslog_name}/{name}[{record.number or self._process}]: "

    def line(self, record: Record) -> str:
        """The whole line for a file, without its line end."""
        return f"{self.stamp(record.at)} {self._host} {self.head(record)}{clean(record.text())}"

    def lines(self, records: Sequence[Record]) -> bytes:
        """The lines of a batch, each with its line end.  Whether they are clean is asked once for all."""
        stamp, host, head = self.stamp, self._host, self.head
        text = "".join([f"{stamp(record.at)} {host} {head(record)}{record.text()}\n" for record in records])
        if is_clean(text, len(records)):
            return text.encode()
        return "".join([self.line(record) + "\n" for record in records]).encode("utf-8", "replace")


# syslog(3) LOG_MAIL, and the severities that records name
MAIL_FACILITY = 2 << 3
SEVERITIES = {"crit": 2, "err": 3, "warning": 4, "info": 6, "debug": 7}


def syslog_packet(form: LineFormat, record: Record) -> bytes:
    """The datagram for /dev/log: ``<22>Nov 23 13:10:21 postfix/smtpd[12]: text``.  RFC 3164 §4.1"""
    priority = MAIL_FACILITY | SEVERITIES[record.level]
    return f"<{priority}>{form.stamp(record.at)} {form.head(record)}{clean(record.text())}".encode("utf-8", "replace")


def syslog_packets(form: LineFormat, records: Sequence[Record]) -> list[bytes]:
    """The datagrams of a batch.  Whether they are clean is asked once for all."""
    stamp, head = form.stamp, form.head
    text = "".join(
        [
            f"<{MAIL_FACILITY | SEVERITIES[record.level]}>{stamp(record.at)} {head(record)}{record.text()}\n"
            for record in records
        ]
    )
    if is_clean(text, len(records)):
        return text.encode().split(b"\n")[:-1]
    return [syslog_packet(form, record) for record in records]
