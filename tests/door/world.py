"""A screening without a socket: what it says, notes and remembers is kept in lists."""

from __future__ import annotations

from typing import Any

from seawall.door.screening import Action, Client, Fact, Listing, ScreenRules, Stamps, TestRules
from seawall.door.talk import Talk, TalkingScreening, TalkRules

NOW = 1_000_000
IGNORE, ENFORCE, DROP = Action.IGNORE, Action.ENFORCE, Action.DROP


def rules(enabled: int, *actions: Action, **more: Any) -> ScreenRules:
    """`enabled` tests, with an action for each, or the last for the rest."""
    given = [*actions, *[actions[-1] if actions else IGNORE] * 5][:5]
    tests = tuple(TestRules(bool(enabled >> at & 1), action, 100 * (at + 1)) for at, action in enumerate(given))
    facts: dict[str, Any] = {
        "denylist": IGNORE,
        "threshold": 1,
        "allow_threshold": 0,
        "connections": 0,
        "respectful": True,
    }
    return ScreenRules(tests=tests, **{**facts, **more})


TALK = TalkRules(
    hostname="mx.example",
    command_count=20,
    line_length=100,
    helo_required=False,
    disable_vrfy=False,
    announces_vrfy=True,
    smtputf8=True,
    size_limit=0,
    offers_tls=False,
    requires_tls=False,
    soft_bounce=False,
    discarded=frozenset(),
    discarded_for=lambda address: None,
    is_forbidden=lambda word: word.upper() == "GET",
    replace=lambda line: None,
)


class Door(TalkingScreening):
    """One connection in the hands of the test."""

    def __init__(self, screen: ScreenRules, client: Client | None = None, talk: TalkRules = TALK) -> None:
        super().__init__(screen, client or Client(), ("192.0.2.1", "99"), ("192.0.2.2", "25"))
        self.talk_rules = talk
        self.noted: list[tuple[Fact, dict[str, Any]]] = []
        self.replies: list[str] = []
        self.remembered: list[Stamps] = []
        self.dialogue: Talk | None = None
        self.asked_score = False
        self.partial = (0, "", 0)
        self.handed_on = 0
        self.left = 0

    def arrive(
        self, known: Stamps | None = None, listing: Listing = Listing.UNKNOWN, *, is_backup: bool = False
    ) -> Door:
        if self.knock():
            self.judge(listing, known, NOW, 0.0, is_backup=is_backup)
        return self

    @property
    def facts(self) -> list[Fact]:
        return [fact for fact, _ in self.noted]

    @property
    def is_over(self) -> bool:
        return bool(self.handed_on or self.left)

    def hear(self, data: str, now: int = NOW) -> None:
        assert self.dialogue is not None
        self.dialogue.feed(self, data.encode(), now)

    def note(self, fact: Fact, **facts: Any) -> None:
        self.noted.append((fact, facts))

    def ask_score(self) -> None:
        self.asked_score = True

    def score_so_far(self) -> tuple[int, str, int]:
        return self.partial

    def talk(self, *, greets: bool) -> None:
        self.dialogue = Talk()
        if greets:
            self.replies.append("220 hello")

    def reply(self, text: str) -> None:
        self.replies.append(text)

    def remember(self, stamps: Stamps) -> None:
        self.remembered.append(list(stamps))

    def hand_on(self) -> None:
        self.handed_on += 1
        self.client.connections -= 1

    def leave(self) -> None:
        self.left += 1
        self.client.connections -= 1
