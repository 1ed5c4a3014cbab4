"""Is a DNS list to be believed?  What it says of clients and of test points, weighed; pure: times and answers are arguments.

A list is put aside by positive evidence only: an entry that no list may have (RFC 5782), the list's own word that it will
not answer us, silence while the rest of the DNS answers, or the whole world listed.  That an entry is missing which every
list should have is told and no more.  Whoever is put aside is asked again, later each time, and taken back when it answers
soundly.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import TypeAlias

from seawall.dns.answers import Answer, Found, TryAgain
from seawall.mail.network import parse_address
from seawall.policy.list_status import status_of

BELIEVED = 1.0
"""Seconds that a list is believed after it has denied what no list may have.  Ours: in a flood this is a question a second,
and a list that begins to lie refuses for a second."""
UNDECIDED = 10.0
"""The same, where the question about that was not answered: a list that just said something is believed meanwhile."""
IN_VAIN = 3
"""Questions in a row without an answer, after which the rest of the DNS is asked for comparison.  Ours."""
NETWORKS = 200
"""Distinct client networks (or domains) that make a share of them mean something."""
WINDOW = 3600.0
"""Seconds in which so many must have come."""
NEARLY_ALL = 0.95
"""The share of them from which on the world is asked about.  In a flood it may be true: so it convicts nobody."""
SAMPLE = 16
"""Random addresses of the world that are asked about then."""
CONVICTS = 15
"""So many of them listed, and the list lies: of one that rightly lists half of the world, 1 sample in 3,800 does so."""
COMPARE_PAUSE, WORLD_PAUSE = 10.0, 600.0
"""Seconds between two comparisons, and between two looks at the world: a flood, or DNS that is down, asks no more of us."""
FIRST_PAUSE = 60.0
"""Seconds after which a list that was put aside is asked again for the first time; then twice that, and so on."""
LONGEST_LIE = 3600.0
"""A list comes back when its false answers have left the caches; no resolver of ours keeps one for longer."""
ERROR_ANSWER = "127.255.255"
"""Begins what lists answer to those whom they do not serve.  Spamhaus began with it, others follow."""

ByteSets: TypeAlias = tuple[frozenset[int], ...]
Draw: TypeAlias = Callable[[int], int]
"""A random number below its argument."""


class Kind(Enum):
    """What a list is asked about."""

    ADDRESSES = "addresses"
    DOMAINS = "domains"


class Heard(Enum):
    """What a list said."""

    MISS = "not listed"
    HIT = "listed"
    ERROR = "error"
    TROUBLE = "no answer"


class Why(Enum):
    """What speaks against a list."""

    FORBIDDEN = "forbidden entry"
    ERROR = "error answer"
    SILENT = "silent"
    WORLD = "whole world"


class What(Enum):
    """What there is to tell of a list; of STILL only other processes hear."""

    ASIDE = "aside"
    STILL = "still aside"
    BACK = "back"
    LACKS_TEST = "lacks test"


class Purpose(Enum):
    """Why a list is asked."""

    CONFIRM = "confirm"
    """It lists somebody: would it list what no list may?"""
    REGULAR = "regular"
    """From time to time, test points included."""
    COMPARE = "compare"
    """It says nothing: does anybody?"""
    WORLD = "world"
    """It lists nearly everybody who comes: does it list everybody?"""
    AGAIN = "again"
    """It was put aside: does it answer soundly?"""


class Must(Enum):
    """What the answer about a point should be."""

    NOT = "not listed"
    BE = "listed"
    ANSWER = "anything"
    """The rest of the DNS, or a random place of the world."""


@dataclass(frozen=True, slots=True)
class Point:
    """One question: its name, what it is about in words, and what should come."""

    query: str
    about: str
    must: Must


@dataclass(frozen=True, slots=True)
class Round:
    """Questions that are weighed together."""

    purpose: Purpose
    points: tuple[Point, ...]


@dataclass(frozen=True, slots=True)
class News:
    """What changed: `pause` is the seconds until a list that is aside is asked again, or those that it was aside."""

    what: What
    zone: str
    why: str = ""
    evidence: str = ""
    pause: float = 0.0


def counts(addresses: Iterable[str], reply_filter: ByteSets | None) -> bool:
    """True where one of the answers fits the filter; without one every answer does."""
    if reply_filter is None:
        return True
    return any(
        all(int(byte) in good for byte, good in zip(address.split("."), reply_filter, strict=True))
        for address in addresses
    )


def error_prefixes(zone: str) -> tuple[str, ...]:
    """What begins the answers of a list that are no entries, whatever its reply filter says."""
    status = status_of(zone)
    known = status.errors if status is not None else ""
    return (ERROR_ANSWER, known) if known and known != ERROR_ANSWER else (ERROR_ANSWER,)


def is_error(address: str, prefixes: Sequence[str]) -> bool:
    """True for an answer that says why there is none."""
    return any(address == each or address.startswith(f"{each}.") for each in prefixes)


def read(answer: Answer, prefixes: Sequence[str], filters: Iterable[ByteSets | None]) -> Heard:
    """The answer in a word, for whoever asks with one of these filters."""
    if isinstance(answer, TryAgain):
        return Heard.TROUBLE
    if not isinstance(answer, Found):
        return Heard.MISS
    addresses = [record.data for record in answer.records]
    sound = [address for address in addresses if not is_error(address, prefixes)]
    if sound and any(counts(sound, each) for each in filters):
        return Heard.HIT
    return Heard.ERROR if len(sound) < len(addresses) else Heard.MISS


def network_of(text: str) -> object:
    """What counts as one client: a network (/24, /56), or the domain that is asked about."""
    address = parse_address(text)
    if address is None:
        return text.lower()
    value, width = address
    return value >> (8 if width == 32 else 72), width


@dataclass(slots=True)
class _Aside:
    """A list that is put aside: since when, why, and when it is asked again."""

    since: float
    why: Why | None
    pause: float
    again: float


class ListWatch:
    """One zone.  `now` is always monotonic seconds; `longest` bounds the pauses between two tries."""

    def __init__(self, zone: str, longest: float = 3600.0) -> None:
        self.zone = zone
        self.kinds: list[Kind] = []
        self.filters: list[ByteSets | None] = []
        self._prefixes = error_prefixes(zone)
        self._longest = longest
        self._aside: _Aside | None = None
        self._believed_until = 0.0
        self._in_vain = 0
        self._seen: dict[object, bool] = {}
        self._seen_since = 0.0
        self._is_suspect = False
        self._lacks_test = False
        self._not_before = {Purpose.COMPARE: 0.0, Purpose.WORLD: 0.0}

    def use(self, kind: Kind, reply_filter: ByteSets | None) -> None:
        """A configuration asks it so."""
        if kind not in self.kinds:
            self.kinds.append(kind)
        if reply_filter not in self.filters:
            self.filters.append(reply_filter)

    @property
    def is_aside(self) -> bool:
        """True while it neither refuses nor permits."""
        return self._aside is not None

    def is_believed(self, now: float) -> bool:
        """True where an entry counts at once; else ask `Purpose.CONFIRM` first."""
        return self._aside is None and now < self._believed_until

    def read(self, answer: Answer) -> Heard:
        """An answer in a word."""
        return read(answer, self._prefixes, self.filters)

    # ---- what it says of clients --------------------------------------------------------------------------------------

    def heard(self, heard: Heard, about: str, now: float, answer: str = "") -> News | None:
        """It was asked about a client; `answer` is what it said where that is an error."""
        if self._aside is not None:
            return None
        if heard is Heard.TROUBLE:
            self._in_vain += 1
            return None
        self._in_vain = 0
        if heard is Heard.ERROR:
            return self._put_aside(Why.ERROR, _error_text(answer, about), now)
        self._count(network_of(about), heard is Heard.HIT, now)
        return None

    def _count(self, network: object, is_listed: bool, now: float) -> None:
        if now - self._seen_since > WINDOW:
            self._seen.clear()
        if not self._seen:
            self._seen_since = now
        self._seen[network] = is_listed
        if len(self._seen) >= NETWORKS:
            self._is_suspect = sum(self._seen.values()) >= NEARLY_ALL * len(self._seen)
            self._seen.clear()

    # ---- what it is asked ---------------------------------------------------------------------------------------------

    def due(self, now: float) -> Purpose | None:
        """What should be asked now because of what was heard."""
        if self._aside is not None:
            return Purpose.AGAIN if now >= self._aside.again else None
        if self._in_vain >= IN_VAIN and now >= self._not_before[Purpose.COMPARE]:
            return Purpose.COMPARE
        return Purpose.WORLD if self._is_suspect and now >= self._not_before[Purpose.WORLD] else None

    def begin(self, purpose: Purpose, now: float, draw: Draw) -> Round:
        """The questions."""
        if purpose is Purpose.AGAIN and self._aside is not None:
            self._aside.again = now + self._longest  # the answers set it anew; a round that never ends is no end
        if purpose is Purpose.COMPARE:
            self._in_vain = 0
            self._not_before[purpose] = now + COMPARE_PAUSE
            return Round(purpose, (self._control(draw), *self._forbidden(draw, is_new=True)))
        if purpose is Purpose.WORLD:
            self._is_suspect = False
            self._not_before[purpose] = now + WORLD_PAUSE
            return Round(purpose, self._world(draw))
        points = self._forbidden(draw)
        if purpose is not Purpose.CONFIRM:
            points += self._tests()
        if purpose is Purpose.AGAIN and self._aside is not None and self._aside.why in (Why.WORLD, None):
            points += self._world(draw)
        return Round(purpose, points)

    def _forbidden(self, draw: Draw, *, is_new: bool = False) -> tuple[Point, ...]:
        """What no list may have: RFC 5782 §5, and a place that nobody sends mail from; `is_new`: only what no cache knows."""
        points: list[Point] = []
        if Kind.ADDRESSES in self.kinds:
            addresses = ("127.0.0.1", _address(240, 254, draw))
            points += [self._address_point(each, Must.NOT) for each in addresses[is_new:]]
        if Kind.DOMAINS in self.kinds:
            names = ("INVALID", f"{_letters(draw)}.example")
            points += [self._name_point(each, Must.NOT) for each in names[is_new:]]
        return tuple(points)

    def _tests(self) -> tuple[Point, ...]:
        """What every list should have."""
        points: list[Point] = []
        if Kind.ADDRESSES in self.kinds:
            points.append(self._address_point("127.0.0.2", Must.BE))
        if Kind.DOMAINS in self.kinds:
            points.append(self._name_point("TEST", Must.BE))
        return tuple(points)

    def _world(self, draw: Draw) -> tuple[Point, ...]:
        """Random hosts, or names that nobody has registered."""
        if Kind.ADDRESSES in self.kinds:
            drawn = [_address(1, 223, draw) for _ in range(SAMPLE)]
            return tuple(self._address_point(each, Must.ANSWER) for each in drawn)
        names = [f"{_letters(draw)}.com" for _ in range(SAMPLE)]
        return tuple(self._name_point(each, Must.ANSWER) for each in names)

    def _address_point(self, address: str, must: Must) -> Point:
        return Point(f"{'.'.join(reversed(address.split('.')))}.{self.zone}", address, must)

    def _name_point(self, name: str, must: Must) -> Point:
        return Point(f"{name}.{self.zone}", name, must)

    def _control(self, draw: Draw) -> Point:
        """A name beside the list, of which no cache can know."""
        name = f"{_letters(draw)}.{self.zone.rpartition('.')[2]}"
        return Point(name, name, Must.ANSWER)

    # ---- what comes of it ---------------------------------------------------------------------------------------------

    def judge(self, asked: Round, answers: Sequence[Answer], now: float) -> tuple[News, ...]:
        """All answers to a round, in its order; what changed."""
        heard = [self.read(answer) for answer in answers]
        found = self._evidence(asked, answers, heard)
        if self._aside is not None:
            return self._judge_again(asked, found, answers, heard, now)
        if found is not None:
            return (self._put_aside(*found, now, _lie(asked, answers)),)
        denied = [each for point, each in zip(asked.points, heard, strict=True) if point.must is Must.NOT]
        if denied and asked.purpose is Purpose.CONFIRM:
            is_answered = all(each is Heard.MISS for each in denied)
            self._believed_until = max(self._believed_until, now + (BELIEVED if is_answered else UNDECIDED))
        if asked.purpose is Purpose.REGULAR and all(each is Heard.TROUBLE for each in heard):
            self._in_vain = IN_VAIN
        return self._missing(asked, heard)

    def _evidence(self, asked: Round, answers: Sequence[Answer], heard: Sequence[Heard]) -> tuple[Why, str] | None:
        """What speaks against the list, if anything does."""
        listed: list[Point] = []
        is_beside_answered = False
        for point, answer, each in zip(asked.points, answers, heard, strict=True):
            if asked.purpose is Purpose.COMPARE and point.must is Must.ANSWER:
                is_beside_answered = each is not Heard.TROUBLE
            elif each is Heard.ERROR:
                return Why.ERROR, _error_text(_first(answer), point.about)
            elif each is Heard.HIT and point.must is Must.NOT:
                return Why.FORBIDDEN, f"it lists {point.about} ({_first(answer)}), which no list has (RFC 5782)"
            elif each is Heard.HIT and point.must is Must.ANSWER:
                listed.append(point)
        if len(listed) >= CONVICTS:
            what = "addresses" if Kind.ADDRESSES in self.kinds else "names that nobody has"
            return Why.WORLD, f"it lists {len(listed)} of {SAMPLE} random {what}"
        silent = [each for point, each in zip(asked.points, heard, strict=True) if point.must is Must.NOT]
        if is_beside_answered and silent and all(each is Heard.TROUBLE for each in silent):
            return Why.SILENT, "it does not answer, and the DNS beside it does"
        return None

    def _put_aside(self, why: Why, evidence: str, now: float, lie: float = 0.0) -> News:
        pause = max(min(FIRST_PAUSE, self._longest), lie)
        self._aside = _Aside(now, why, pause, now + pause)
        self._in_vain, self._is_suspect = 0, False
        self._believed_until = 0.0
        self._seen.clear()
        return News(What.ASIDE, self.zone, why.value, evidence, pause)

    def _judge_again(
        self,
        asked: Round,
        found: tuple[Why, str] | None,
        answers: Sequence[Answer],
        heard: Sequence[Heard],
        now: float,
    ) -> tuple[News, ...]:
        """It is aside, and was asked: taken back only where every question was answered, and none of the answers lies."""
        aside = self._aside
        if aside is None or asked.purpose is not Purpose.AGAIN:
            return ()
        # what a list only should have does not keep it out
        needed = [each for point, each in zip(asked.points, heard, strict=True) if point.must is not Must.BE]
        if found is None and Heard.TROUBLE not in needed:
            self._aside = None
            self._believed_until = now + BELIEVED
            return (News(What.BACK, self.zone, aside.why.value if aside.why else "", pause=now - aside.since),)
        if found is not None:
            aside.why = found[0]
        aside.pause = max(min(aside.pause * 2, self._longest), _lie(asked, answers) if found is not None else 0.0)
        aside.again = now + aside.pause
        return (News(What.STILL, self.zone, aside.why.value if aside.why else "", pause=aside.pause),)

    def _missing(self, asked: Round, heard: Sequence[Heard]) -> tuple[News, ...]:
        """A test entry that is not there is told once: private lists have none."""
        missing = [
            point.about
            for point, each in zip(asked.points, heard, strict=True)
            if point.must is Must.BE and each is Heard.MISS
        ]
        if not missing or self._lacks_test or Heard.TROUBLE in heard:
            return ()
        self._lacks_test = True
        return (News(What.LACKS_TEST, self.zone, evidence=" and ".join(missing)),)

    def adopt(self, news: News, now: float) -> bool:
        """Another process has found something out; True where that changes anything here.

        Who finds it out asks again; we do so only where nothing is heard of it for long.
        """
        if news.what in (What.ASIDE, What.STILL):
            was_aside = self._aside is not None
            since = self._aside.since if self._aside is not None else now
            pause = max(news.pause, 1.0)
            why = next((each for each in Why if each.value == news.why), None)
            self._aside = _Aside(since, why, pause, now + 2 * pause)
            return not was_aside
        if news.what is What.BACK and self._aside is not None:
            self._aside = None
            return True
        if news.what is What.LACKS_TEST:
            self._lacks_test = True
        return False


def _first(answer: Answer) -> str:
    return answer.records[0].data if isinstance(answer, Found) else ""


def _lie(asked: Round, answers: Sequence[Answer]) -> float:
    """Seconds for which false answers may live on in caches."""
    ttls = [
        min(record.ttl for record in answer.records)
        for point, answer in zip(asked.points, answers, strict=True)
        if isinstance(answer, Found) and point.must is not Must.BE
    ]
    return min(float(max(ttls, default=0)), LONGEST_LIE)


def _error_text(answer: str, about: str) -> str:
    return f"it answers {answer or ERROR_ANSWER + '.x'} about {about}: an error, no entry"


def _address(low: int, high: int, draw: Draw) -> str:
    """A random address with its first byte within bounds, and not of 127/8 or 10/8."""
    first = low + draw(high - low + 1)
    while first in (10, 127):
        first = low + draw(high - low + 1)
    return f"{first}.{draw(256)}.{draw(256)}.{1 + draw(254)}"


def _letters(draw: Draw) -> str:
    return "".join(chr(97 + draw(26)) for _ in range(16))
