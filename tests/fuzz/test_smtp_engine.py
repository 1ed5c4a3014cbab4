"""Invariant: whatever bytes come, however they are cut, the engine gives events and refusals, in bounded memory, never an exception.

And: the cuts change neither the events nor the content (but for what depends on several commands coming together).
"""

from __future__ import annotations

import itertools

from hypothesis import given, settings
from hypothesis import strategies as st

from seawall.mail.reply import Reply
from seawall.smtp import events
from seawall.smtp.end_of_data import BareNewline
from seawall.smtp.events import Event
from seawall.smtp.rules import Rules
from seawall.smtp.server import Server
from tests.smtp.dialogue import play

LIMIT = 200
RULES = [
    Rules(
        "h",
        line_length_limit=64,
        message_size_limit=LIMIT,
        bare_newline=mode,
        sasl=True,
        forbid_unauth_pipelining=False,
    )
    for mode in BareNewline
]
LINES = [
    b"EHLO x",
    b"HELO x",
    b"MAIL FROM:<a@b.c>",
    b"MAIL FROM:<a@b.c> SIZE=10 BODY=8BITMIME SMTPUTF8 RET=FULL ENVID=x",
    b"RCPT TO:<d@e.f>",
    b"RCPT TO:<d@e.f> NOTIFY=NEVER ORCPT=rfc822;x",
    b"DATA",
    b"BDAT 3",
    b"BDAT 5 LAST",
    b"BDAT 0 LAST",
    b"BDAT 0",
    b"BDAT 300",
    b"BDAT 99999999999999999999",
    b"RSET",
    b"NOOP",
    b"AUTH PLAIN",
    b"AUTH PLAIN =",
    b"VRFY a",
    b"ETRN a.b",
    b"STARTTLS",
    b"XCLIENT NAME=a ADDR=1.2.3.4",
    b"QUIT",
    b".",
    b"",
    b"x" * 80,
    b"text",
]
PIECES = st.one_of(
    st.sampled_from(LINES).flatmap(
        lambda line: st.sampled_from([b"\r\n", b"\n", b"\r\r\n", b"\r"]).map(lambda end: line + end)
    ),
    st.sampled_from([b"\r\n.\r\n", b"\n.\n", b"\r", b"\0", b"\xff", b"<", b'"', b"\\", b":"]),
    st.binary(max_size=20),
)


def outcome(data: list[bytes], rules: Rules, seed: int) -> list[str | bytes | Event]:
    """The whole dialogue; every few commands the session refuses."""
    server = Server(rules)
    count = itertools.count(seed)

    def judge(event: events.Command) -> Reply | None:
        return Reply(550, "5.7.1", "no") if next(count) % 5 == 0 else None

    def checked() -> itertools.chain[bytes]:
        return itertools.chain(data)

    found = play(checked(), rules, judge, server)
    assert (
        server.waiting <= max((len(part) for part in data), default=0) + rules.line_length_limit + rules.response_limit
    )
    return found


@settings(max_examples=300, deadline=None)
@given(
    st.lists(PIECES, max_size=25), st.lists(st.integers(0, 400), max_size=8), st.sampled_from(RULES), st.integers(0, 4)
)
def test_no_bytes_upset_the_engine_and_cuts_change_nothing(
    pieces: list[bytes], cuts: list[int], rules: Rules, seed: int
) -> None:
    data = b"".join(pieces)
    places = [0, *sorted({cut for cut in cuts if cut < len(data)}), len(data)]
    parts = [data[start:end] for start, end in itertools.pairwise(places)]
    whole = outcome([data], rules, seed)
    assert outcome(parts, rules, seed) == whole
    assert outcome([bytes([octet]) for octet in data], rules, seed) == whole
    content = sum(len(each) for each in whole if isinstance(each, bytes))
    assert content <= (LIMIT + 64 + 300) * (1 + len(pieces))


@settings(max_examples=200, deadline=None)
@given(st.lists(st.binary(max_size=300), max_size=10), st.sampled_from(RULES))
def test_binary_noise_is_answered(parts: list[bytes], rules: Rules) -> None:
    outcome(parts, rules, 0)


def test_a_megabyte_without_a_line_end_is_not_kept() -> None:
    server = Server(RULES[0])
    for _ in range(1024):
        server.receive_data(b"\xff\0" * 512)
        server.next_event()
        assert server.waiting <= 4096


def test_thousands_of_chunks_of_one_byte_leave_nothing_behind() -> None:
    server = Server(Rules("h", forbid_unauth_pipelining=False))
    found = play([b"MAIL FROM:<a@b>\r\nRCPT TO:<c@d>\r\n"], server.rules, server=server)
    found = play([b"BDAT 1\r\nx" * 20_000, b"BDAT 0 LAST\r\n"], server.rules, server=server)
    content = b"".join(each for each in found if isinstance(each, bytes))
    assert content == b"x" * 20_000 + b"\n"
    assert server.waiting == 0
