"""Invariant: whatever a client sends, in whatever portions, and whenever it goes, its session has no defect to report,

ends with exactly one disconnect line, leaves no message half open, and its replies are lines of SMTP.
"""

from __future__ import annotations

import asyncio
import itertools
import re

from hypothesis import given, settings
from hypothesis import strategies as st

from seawall.policy.attempt import Attempt
from seawall.policy.verdict import DUNNO, Verdict
from tests.edge.world import Dialogue, TestJudge, World, refuse, settle
from tests.fuzz.test_smtp_engine import PIECES

REPLY = re.compile(r"\d\d\d[ -].*\Z")
CONFIGURATIONS = (
    "smtpd_hard_error_limit = 1000\n",
    "smtpd_delay_reject = no\nsmtpd_forbid_bare_newline = reject\n",
    "smtpd_authorized_xclient_hosts = 192.0.2.7\nsmtpd_authorized_xforward_hosts = all\nsmtpd_forbid_unauth_pipelining = no\n",
    "message_size_limit = 100\nline_length_limit = 512\nsmtpd_recipient_limit = 2\nsoft_bounce = yes\n",
)


class MoodyJudge(TestJudge):
    """Refuses every fifth step, and has to think about every third."""

    __test__ = False

    def __init__(self, seed: int) -> None:
        super().__init__()
        self.count = itertools.count(seed)

    def _say(self, step: str, attempt: Attempt, key: str = "") -> object:
        at = next(self.count)
        verdict: Verdict = refuse("no", 554, hangs_up=at % 35 == 0) if at % 5 == 0 else DUNNO
        return self._later(verdict) if at % 3 == 0 else verdict


async def play(
    data: bytes, cuts: list[int], main_cf: str, seed: int, leaves: bool
) -> tuple[World, Dialogue, list[str]]:
    world = World(main_cf)
    world.edge.judge = MoodyJudge(seed)
    talk = world.dialogue()
    heard = talk.heard()
    places = [0, *sorted({cut for cut in cuts if cut < len(data)}), len(data)]
    for start, end in itertools.pairwise(places):
        talk.say_only(data[start:end])
        await asyncio.sleep(0)
    await settle()
    if not leaves and not talk.transport.closed:
        talk.session.eof_received()
        for _ in range(10):
            await settle()
    heard += talk.heard()
    talk.transport.close()
    await settle()
    return world, talk, heard


@settings(max_examples=200, deadline=None)
@given(
    st.lists(PIECES, max_size=25),
    st.lists(st.integers(0, 400), max_size=8),
    st.sampled_from(CONFIGURATIONS),
    st.integers(0, 34),
    st.booleans(),
)
def test_no_client_upsets_its_session(
    pieces: list[bytes], cuts: list[int], main_cf: str, seed: int, leaves: bool
) -> None:
    world, talk, heard = asyncio.run(play(b"".join(pieces), cuts, main_cf, seed, leaves))
    assert all(REPLY.match(line) for line in heard), heard
    assert not [line for line in world.log if "Error in" in line or "Server local" in line], world.log
    assert sum(line.startswith("disconnect from") for line in world.log) == 1
    assert world.log[-1].startswith("disconnect from")
    assert all(kept.finished or kept.aborted for kept in world.intake.opened)
    assert not world.edge.sessions
    assert talk.session.transaction is None
