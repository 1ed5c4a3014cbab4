"""authorized_submit_users and its sisters, as lists of user names."""

import pytest

from seawall.config.settings import Settings
from seawall.spool.permission import allowed_by
from seawall.tables.registry import Tables


@pytest.mark.parametrize(
    ("value", "user", "may"),
    [
        (None, "anybody", True),
        ("static:anyone", "anybody", True),
        ("!mallory, static:anyone", "mallory", False),
        ("!mallory, static:anyone", "ann", True),
        ("ann, bob", "carl", False),
        ("", "ann", False),
    ],
)
async def test_lists_decide(value: str | None, user: str, may: bool) -> None:
    text = "" if value is None else f"authorized_submit_users = {value}\n"
    allowed = allowed_by(Settings.from_text(text), Tables())
    assert await allowed("authorized_submit_users", user) is may
