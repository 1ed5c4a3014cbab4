import pytest

from seawall.mail.dates import format_date


@pytest.mark.parametrize(
    ("at", "offset", "zone", "expected"),
    [
        (0, 0, "UTC", "Thu,  1 Jan 1970 00:00:00 +0000 (UTC)"),
        (1795440300, 3600, "CET", "Mon, 23 Nov 2026 14:25:00 +0100 (CET)"),
        (1795440300.9, -12600, "", "Mon, 23 Nov 2026 09:55:00 -0330"),
    ],
)
def test_a_date_is_written_as_postfix_writes_it(at: float, offset: int, zone: str, expected: str) -> None:
    assert format_date(at, offset, zone) == expected
