"""Limits and who is exempt from them by seawall_exempt_file: nobody hears of it, and the log tells."""

from __future__ import annotations

import pytest

from seawall.edge.counting import Counting, compile_client_limits
from seawall.policy.exempt import Entry, Exemptions, parse_line
from seawall.policy.reasons import Reason
from tests.edge.world import HOST, World

TAIL = "added=2020-01-01 until=2999-01-01 by=ann  many at once"
WHO = "client.example.org[192.0.2.7]"


class Exempting:
    def __init__(self, *lines: str) -> None:
        self._exemptions = Exemptions(parse_line(f"{line} {TAIL}", 1) for line in lines)

    def find(self, address: str, name: str, check: str, zone: str = "") -> Entry | None:
        return self._exemptions.find(address, name, check, zone, 1e9)


def world_with(main_cf: str, *lines: str) -> World:
    world = World(main_cf)
    exempt = world.tables.address_list("", title="exempt")
    limits = compile_client_limits(world.settings)
    now, monotonic = world.clock.now, world.clock.monotonic
    world.edge.counting = Counting(limits, exempt, world.rates, "smtp", now, monotonic, Exempting(*lines))
    return world


@pytest.mark.parametrize("key", ["192.0.2.0/24", "client.example.org", ".example.org"])
async def test_an_exempt_client_may_hold_more_connections(key: str) -> None:
    world = world_with("smtpd_client_connection_count_limit = 1\n", f"{key} connection_count")
    world.dialogue()
    assert world.dialogue().heard()[0].startswith("220 ")
    said = f"NOQUEUE: exempt: CONNECT from {WHO}: 421 4.7.0 Error: too many connections; many at once; proto=SMTP"
    assert said in world.log
    (record,) = [each for each in world.journal.records if getattr(each, "what", "") == "exempt"]
    assert getattr(record, "reason", "") == Reason.EXEMPT
    assert getattr(record, "evidence", ())[:2] == (key, "connection_count")


async def test_each_limit_has_its_own_exemption() -> None:
    limits = "smtpd_client_connection_count_limit = 1\nsmtpd_client_connection_rate_limit = 1\n"
    for line, begins in (
        ("192.0.2.7 connection_count", f"421 4.7.0 {HOST} Error: too many connections"),
        ("192.0.2.7 connection_rate", f"421 4.7.0 {HOST} Error: too many connections"),
        ("192.0.2.7 connection_rate,connection_count", "220 "),
        ("192.0.2.8 all", f"421 4.7.0 {HOST} Error: too many connections"),
    ):
        world = world_with(limits, line)
        world.dialogue()
        assert world.dialogue().heard()[0].startswith(begins)


@pytest.mark.parametrize(
    ("limit", "check", "command"),
    [("message_rate", "message_rate", "MAIL FROM:<b@c>"), ("recipient_rate", "recipient_rate", "RCPT TO:<b@c>")],
)
async def test_rates_of_commands_know_who_is_exempt(limit: str, check: str, command: str) -> None:
    for line, code in ((f"192.0.2.7 {check}", "250"), ("192.0.2.7 connection_rate", "450")):
        world = world_with(f"smtpd_client_{limit}_limit = 1\n", line)
        dialogue = world.dialogue()
        first = "MAIL FROM:<a@b>"
        await dialogue.said("HELO x", first, "RCPT TO:<a@c>")
        if command.startswith("MAIL"):
            await dialogue.said("RSET")
        assert (await dialogue.said(command))[-1].startswith(code)


async def test_nobody_is_exempt_from_the_limit_on_logins() -> None:
    world = world_with("smtpd_client_auth_rate_limit = 1\n", "192.0.2.7 all")
    counting = world.edge.counting
    assert counting is not None
    assert not counting._spares(world.dialogue().session, "", "450 4.7.1 Error: too many AUTH commands")
