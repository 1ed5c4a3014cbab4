"""The proof against brute force: random lists, and random sessions of strangers played under them."""

from __future__ import annotations

import asyncio
import random

from seawall.cli.relay_proof import relays
from seawall.config.host import LOOPBACK
from seawall.config.settings import Settings
from seawall.policy.proof.doors import Door
from seawall.policy.proof.parts import Reducer
from seawall.policy.proof.script import script_of
from seawall.policy.proof.search import Kind, examine
from seawall.policy.proof.session import play
from seawall.policy.proof.world import World
from tests.policy.proof.random_lists import random_settings, sessions
from tests.policy.proof.relay_cases import BASE

CONFIGURATIONS = 120
EACH = 200
COMMANDS = {"smtp": "smtp", "relay": "smtp", "local": "local"}


def settings_of(values: dict[str, str]) -> Settings:
    text = "".join(f"{name} = {value}\n" for name, value in {**BASE, **values}.items())
    return Settings.from_text(text, host=LOOPBACK)


def test_what_is_proved_no_session_gets_through_and_what_relays_does() -> None:
    chance = random.Random(31)
    answers = {Kind.PROVED: 0, Kind.RELAYS: 0, Kind.DEPENDS: 0}
    for _ in range(CONFIGURATIONS):
        values = random_settings(chance)
        settings = settings_of(values)
        finding = examine(settings, COMMANDS)
        answers[finding.kind] += 1
        if finding.kind is Kind.RELAYS:
            script = script_of(Door("a", settings, None, {}), settings, finding.holes[0])
            assert asyncio.run(relays(settings, script)), (values, script)
            continue
        if finding.note:
            continue  # no server starts
        world = World(settings)
        reducer = Reducer(world, COMMANDS)
        for session in sessions(chance, EACH):
            if session.helo is None and settings.flag("smtpd_helo_required"):
                continue
            if play(world, session).accepted and reducer.is_relayed(session.recipient):
                raise AssertionError((finding, values, session))

    assert min(answers[Kind.PROVED], answers[Kind.RELAYS]) > CONFIGURATIONS // 10
