"""The date of a header, as Postfix writes it.  RFC 5322 §3.3, mail_date(3)"""

from __future__ import annotations

from datetime import UTC, datetime

_DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")


def format_date(at: float, offset: int = 0, zone: str = "") -> str:
    """``Mon, 23 Nov 2026 13:05:00 +0100 (CET)``.

    `at` is seconds since the epoch, `offset` seconds east of UTC, `zone` the zone's name or empty.  The day of
    the month is padded with a blank, not a zero, as strftime's %e does.
    """
    when = datetime.fromtimestamp(int(at) + offset, UTC)
    hours, minutes = divmod(abs(offset) // 60, 60)
    comment = f" ({zone})" if zone else ""
    return (
        f"{_DAYS[when.weekday()]}, {when.day:2d} {_MONTHS[when.month - 1]} {when.year} "
        f"{when.hour:02d}:{when.minute:02d}:{when.second:02d} {'-' if offset < 0 else '+'}{hours:02d}{minutes:02d}{comment}"
    )
