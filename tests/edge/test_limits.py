"""Errors, junk, recipients, time: what a client may do before it is slowed down or hung up."""

import asyncio

from seawall.patience import Patience
from tests.edge.world import HOST, World, refuse, settle

WHO = "client.example.org[192.0.2.7]"


class Timer:
    """A loop's clock and timer in the hands of the test."""

    def __init__(self) -> None:
        self.now = 100.0
        self.calls: list[tuple[float, object]] = []

    def patience(self) -> Patience:
        def call_later(delay: float, callback: object) -> None:
            self.calls.append((self.now + delay, callback))

        return Patience(lambda: self.now, call_later)

    def advance(self, seconds: float) -> None:
        end = self.now + seconds
        while self.calls and min(at for at, _ in self.calls) <= end:
            self.calls.sort(key=lambda call: call[0])
            at, callback = self.calls.pop(0)
            self.now = max(self.now, at)
            assert callable(callback)
            callback()
        self.now = end


def timed(main_cf: str = "") -> tuple[World, Timer]:
    timer = Timer()
    world = World(main_cf, patience=timer.patience)
    world.edge.monotonic = lambda: timer.now
    return world, timer


async def test_too_many_errors_end_the_session() -> None:
    world = World("smtpd_hard_error_limit = 3\n")
    talk = world.dialogue()
    talk.heard()
    assert talk.say("FOO", "FOO", "FOO", "NOOP") == ["500 5.5.2 Error: command not recognized"] * 3 + [
        f"421 4.7.0 {HOST} Error: too many errors"
    ]
    assert world.log[-2:] == [
        f"too many errors after UNKNOWN from {WHO}",
        f"disconnect from {WHO} unknown=0/3 commands=0/3",
    ]


async def test_an_accepted_message_makes_up_for_errors() -> None:
    world = World("smtpd_hard_error_limit = 3\n")
    talk = world.dialogue()
    talk.say("EHLO x", "FOO", "FOO", "MAIL FROM:<a@b.c>", "RCPT TO:<u@example.com>", "DATA", b"x\r\n.\r\n")
    assert talk.say("FOO", "FOO", "NOOP")[-1] == "250 2.0.0 Ok"


async def test_junk_commands_count_as_errors_when_there_are_too_many() -> None:
    world = World("smtpd_junk_command_limit = 2\nsmtpd_hard_error_limit = 2\nsmtpd_noop_commands = XNOP\n")
    talk = world.dialogue()
    talk.heard()
    assert talk.say("NOOP", "RSET", "XNOP", "NOOP", "NOOP")[-2:] == [
        "250 2.0.0 Ok",
        f"421 4.7.0 {HOST} Error: too many errors",
    ]


async def test_who_makes_errors_waits_longer_for_each_answer() -> None:
    world = World("smtpd_soft_error_limit = 1\nsmtpd_hard_error_limit = 10\nsmtpd_error_sleep_time = 1\n")
    waits: list[float] = []
    loop = asyncio.get_running_loop()
    call_later = loop.call_later

    def noted(delay: float, callback: object, *args: object) -> object:
        waits.append(delay)
        return call_later(0, callback, *args)

    loop.call_later = noted
    talk = world.dialogue()
    talk.heard()
    waits.clear()
    assert talk.say("FOO") == ["500 5.5.2 Error: command not recognized"]
    assert talk.say("NOOP") == []
    assert waits == [1.0]
    await asyncio.sleep(0.01)
    assert talk.heard() == ["250 2.0.0 Ok"]


async def test_recipients_beyond_the_limit_are_put_off() -> None:
    world = World("smtpd_recipient_limit = 2\nsmtpd_recipient_overshoot_limit = 1\nsmtpd_hard_error_limit = 1\n")
    talk = world.dialogue()
    talk.say("EHLO x", "MAIL FROM:<a@b.c>", "RCPT TO:<a@example.com>", "RCPT TO:<b@example.com>")
    assert talk.say("RCPT TO:<c@example.com>") == ["452 4.5.3 Error: too many recipients"]
    assert talk.say("RCPT TO:<d@example.com>")[-1] == f"421 4.7.0 {HOST} Error: too many errors"
    assert len(world.intake.opened[0].recipients) == 2
    assert world.log[-1].endswith("rcpt=3/4 commands=5/6")


async def test_a_client_that_says_nothing_is_hung_up() -> None:
    world, timer = timed("smtpd_timeout = 30\n")
    talk = world.dialogue()
    talk.heard()
    timer.advance(20)
    assert talk.say("NOOP") == ["250 2.0.0 Ok"]
    timer.advance(20)
    assert talk.heard() == []
    timer.advance(15)
    assert talk.heard() == [f"421 4.4.2 {HOST} Error: timeout exceeded"]
    assert talk.transport.closed
    assert world.log[-2] == f"timeout after NOOP from {WHO}"


async def test_a_client_that_waits_for_us_is_not_hung_up() -> None:
    world, timer = timed("smtpd_timeout = 30\n")
    world.names.gate = asyncio.Event()
    talk = world.dialogue()
    talk.say("EHLO x", "MAIL FROM:<a@b.c>")
    talk.say_only("RCPT TO:<u@example.com>")
    timer.advance(100)
    assert not talk.transport.closed
    world.names.gate.set()
    await settle()
    assert talk.heard() == ["250 2.1.5 Ok"]
    timer.advance(62)
    assert talk.transport.closed


async def test_with_a_deadline_drops_of_a_command_earn_no_time() -> None:
    world, timer = timed("smtpd_timeout = 30\nsmtpd_per_request_deadline = yes\n")
    talk = world.dialogue()
    talk.heard()
    for letter in "NOOP":
        timer.advance(9)
        talk.say_only(letter.encode())
    assert talk.heard() == [f"421 4.4.2 {HOST} Error: timeout exceeded"]


async def test_with_a_deadline_content_earns_time_at_the_least_rate() -> None:
    world, timer = timed("smtpd_timeout = 30\nsmtpd_per_request_deadline = yes\nsmtpd_min_data_rate = 100\n")
    talk = world.dialogue()
    talk.say("EHLO x", "MAIL FROM:<a@b.c>", "RCPT TO:<u@example.com>", "DATA")
    for _ in range(10):
        timer.advance(9)
        talk.say_only(b"x" * 900)
    assert not talk.transport.closed
    for _ in range(10):
        timer.advance(9)
        talk.say_only(b"x")
    assert talk.transport.closed
    assert world.log[-2].startswith("timeout after DATA (")


async def test_a_client_that_does_not_read_stops_being_served() -> None:
    world, timer = timed("smtpd_timeout = 30\n")
    talk = world.dialogue()
    talk.session.pause_writing()
    assert not talk.transport.reading
    assert talk.say("NOOP") == [f"220 {HOST} ESMTP Seawall"]
    talk.session.resume_writing()
    assert talk.heard() == ["250 2.0.0 Ok"]
    assert talk.transport.reading
    talk.session.pause_writing()
    timer.advance(32)
    assert talk.transport.closed


async def test_what_waits_for_a_busy_session_is_bounded() -> None:
    world = World()
    world.names.gate = asyncio.Event()
    talk = world.dialogue()
    talk.say("EHLO x", "MAIL FROM:<a@b.c>")
    talk.say_only("RCPT TO:<u@example.com>")
    talk.say_only(b"RCPT TO:<v@example.com>\r\n" * 10_000)
    assert not talk.transport.reading
    world.names.gate.set()
    await settle()
    assert talk.transport.reading


async def test_a_long_group_of_commands_lets_others_have_their_turn() -> None:
    world = World()
    talk = world.dialogue()
    talk.say("EHLO x", "MAIL FROM:<a@b.c>")
    assert len(talk.say(b"RCPT TO:<u@example.com>\r\n" * 500)) < 100
    await settle()
    assert len(world.intake.opened[0].recipients) == 500


async def test_a_server_that_goes_down_takes_leave() -> None:
    world = World()
    idle, busy = world.dialogue(), world.dialogue()
    busy.say("EHLO x", "MAIL FROM:<a@b.c>", "RCPT TO:<u@example.com>", "DATA")
    idle.heard()
    world.edge.drain()
    assert idle.heard() == [f"421 4.3.2 {HOST} Service shutting down"]
    assert idle.transport.closed
    assert not busy.transport.closed
    assert busy.say(b"x\r\n.\r\n") == ["250 2.0.0 Ok: queued as Q1", f"421 4.3.2 {HOST} Service shutting down"]
    assert not world.edge.sessions


async def test_refusals_are_softened_and_get_the_sites_footer() -> None:
    world = World("soft_bounce = yes\nsmtpd_reject_footer = \\c. Call $server_name about $client_address\n")
    world.judge.refusals["rcpt"] = refuse("no")
    talk = world.dialogue()
    assert talk.say("EHLO x", "MAIL FROM:<a@b.c>", "RCPT TO:<u@example.com>")[-1] == (
        f"450 4.7.1 no. Call {HOST} about 192.0.2.7"
    )
    world = World("smtpd_reject_footer = For help see\\nhttps://example.com\n")
    talk = world.dialogue()
    talk.heard()
    assert talk.say("FOO") == [
        "500-5.5.2 Error: command not recognized",
        "500-5.5.2 For help see",
        "500 5.5.2 https://example.com",
    ]
