"""Greylisting at RCPT: who is asked about, what a stranger hears, and when two networks count as one sender's.

`seawall_greylist` puts the check behind the last list that is judged at RCPT, and behind the question whether the
recipient exists: so a client is put off only where everything else would let its mail in.  Where it is off there is no
such check at all.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from enum import Enum
from typing import TypeAlias

from seawall.config.source import ConfigTrouble
from seawall.eager import now_or_later
from seawall.mail.reply import Reply
from seawall.policy.attempt import UNKNOWN, Attempt, NameStatus
from seawall.policy.bench import Bench, Place, Values
from seawall.policy.by_client import permit_mynetworks
from seawall.policy.by_recipient import reject_unlisted_recipient
from seawall.policy.evaluate import Ask, Item, Items
from seawall.policy.exempting import sparing
from seawall.policy.greylist import (
    MOST_ELDERS,
    PUT_OFF,
    Elder,
    Greylist,
    Keys,
    Met,
    Rules,
    Sought,
    Standing,
    have_same_parent,
    looks_dynamic,
)
from seawall.policy.language import Watch
from seawall.policy.reasons import Reason
from seawall.policy.spf import Asks, equates
from seawall.policy.stages import RECIPIENT, STAGES, Stage
from seawall.policy.verdict import DUNNO, Act, Remark, Verdict

PARAMETER = "seawall_greylist"
NAME = "greylist"
PATIENCE = 5.0
"""Seconds that the question whether two networks are one sender's may take.  Ours: a retry that waits for DNS is put off again."""
ALWAYS_WELCOME = frozenset({"postmaster", "abuse"})
"""Local parts that are never put off, as postgrey's list of recipients has them."""
_PLAIN_PERMITS = frozenset({"permit", "permit_auth_destination"})


Elders: TypeAlias = Callable[[int], "Awaitable[tuple[Elder, ...]]"]
"""Asks the store for the attempts of a pair."""


class Greylister:
    """The greylist of a process, and whom it asks of what crosses networks.  `now` is wall time in seconds."""

    def __init__(self, greylist: Greylist, elders: Elders, now: Callable[[], float]) -> None:
        self.greylist = greylist
        self._elders = elders
        self._now = now

    def meet(self, asks: Asks, sought: Sought) -> Met | Awaitable[Met]:
        """An attempt is made: at once where it is known here."""
        keys = self.greylist.keys(sought.address, sought.sender, sought.recipient)
        if self.greylist.is_new(keys, self._now()):
            return self._meet_new(asks, sought, keys)
        return self.greylist.meet(keys, self._now(), sought.address, sought.name)

    async def _meet_new(self, asks: Asks, sought: Sought, keys: Keys) -> Met:
        """Here it is new; another network's attempt may have begun the wait for it, or one that we have lost."""
        since: float | None = None
        for elder in (await self._elders(keys.pair))[:MOST_ELDERS]:
            if elder.triplet == keys.triplet or await self._is_one_sender(asks, sought, elder):
                since = elder.first
                break
        return self.greylist.meet(keys, self._now(), sought.address, sought.name, since)

    async def _is_one_sender(self, asks: Asks, sought: Sought, elder: Elder) -> bool:
        """Do both clients send for one sender: by their names, or because the sender's domain says so?"""
        if elder.name and sought.name and have_same_parent(elder.name, sought.name, elder.address, sought.address):
            return True
        if not sought.sender:
            return False  # a bounce has no domain that could speak for two hosts
        found = now_or_later(equates(asks, elder.address, sought.address, sought.sender, sought.helo))
        if isinstance(found, bool):
            return found
        asking = asyncio.ensure_future(found)
        done, _ = await asyncio.wait({asking}, timeout=PATIENCE)
        if not done:
            asking.cancel()
        return bool(done) and asking.result()


async def nobody(pair: int) -> tuple[Elder, ...]:
    """`Elders` where there is no store."""
    return ()


def read_rules(values: Values) -> Rules:
    """postconf(5) seawall_greylist_*"""
    return Rules(
        delay=values.seconds("seawall_greylist_delay"),
        window=values.seconds("seawall_greylist_retry_window"),
        keep=values.seconds("seawall_greylist_max_age"),
        retried=values.number("seawall_greylist_auto_pass"),
        ipv4_bits=values.number("seawall_greylist_ipv4_prefix_length"),
        ipv6_bits=values.number("seawall_greylist_ipv6_prefix_length"),
        most=values.number("seawall_greylist_triplets"),
    )


class Mode(Enum):
    """Who is put off."""

    NO = "no"
    PASSIVE = "passive"
    """Nobody: what would be done is logged, and what is seen is learnt."""
    SUSPICIOUS = "suspicious"
    """Strangers whose name says that they are no mail server, and those who have none."""
    YES = "yes"
    """All strangers."""


def read_mode(values: Values) -> Mode:
    """seawall_greylist.  Raises ConfigTrouble."""
    word = values.text(PARAMETER)
    try:
        return Mode(word.lower())
    except ValueError:
        raise ConfigTrouble(f"{PARAMETER} = {word}: no, passive, suspicious or yes is meant") from None


def with_greylisting(
    items: Items, bench: Bench, stage: Stage, refuses_unlisted: bool, watch: Watch | None = None
) -> Items:
    """The list with greylisting at its end; as it was where that is off.  Raises ConfigTrouble.

    A ``permit`` for everybody at the end of the list would hide it, and is left out: the end of a list is one as well.
    """
    mode = read_mode(bench.values)
    if mode is Mode.NO:
        return items
    while items and items[-1].name.lower() in _PLAIN_PERMITS:
        items = items[:-1]
    more = [Item(NAME, _Check(bench, mode).ask, stage.reply_name, spares=sparing(bench.facts, NAME, ""))]
    if refuses_unlisted:  # who does not exist is refused, not put off
        place = Place(stage, "reject_unlisted_recipient")
        more.insert(0, Item(place.name, reject_unlisted_recipient(bench, place), stage.reply_name))
    return (*items, *(more if watch is None else (watch(item, stage) for item in more)))


def greylist(bench: Bench, place: Place) -> Ask:
    """The same check by name, in the lists of `seawall policy-service`."""
    mode = read_mode(bench.values)
    return _Check(bench, Mode.YES if mode is Mode.NO else mode).ask


class _Check:
    """Asks about strangers, and words what they hear."""

    def __init__(self, bench: Bench, mode: Mode) -> None:
        self._facts = bench.facts
        self._mode = mode
        self._text = bench.values.text("seawall_greylist_text")
        self._is_ours = permit_mynetworks(bench, Place(STAGES["client"], "permit_mynetworks"))

    def ask(self, attempt: Attempt) -> Verdict | Awaitable[Verdict]:
        """At once where nothing must be asked."""
        if attempt.where != "RCPT" or attempt.recipient is None or attempt.sasl_username:
            return DUNNO
        if attempt.recipient.partition("@")[0].lower() in ALWAYS_WELCOME:
            return DUNNO
        if self._facts.is_own_address(attempt.address):
            return DUNNO
        ours = self._is_ours(attempt)
        if not isinstance(ours, Verdict):
            return self._ask_later(attempt, ours)
        return DUNNO if ours is not DUNNO else self._ask_of_suspicion(attempt)

    async def _ask_later(self, attempt: Attempt, ours: Awaitable[Verdict]) -> Verdict:
        if await ours is not DUNNO:
            return DUNNO
        verdict = self._ask_of_suspicion(attempt)
        return verdict if isinstance(verdict, Verdict) else await verdict

    def _ask_of_suspicion(self, attempt: Attempt) -> Verdict | Awaitable[Verdict]:
        """All strangers, or those who look like it; DNS lists have a say where the door asks some."""
        if self._mode is not Mode.SUSPICIOUS or is_suspicious(attempt):
            return self._ask_stranger(attempt)
        score = self._facts.dnsbl_score(attempt.address)
        if score is None or isinstance(score, int):
            return self._ask_stranger(attempt) if score and score > 0 else DUNNO
        return self._ask_listed(attempt, score)

    async def _ask_listed(self, attempt: Attempt, score: Awaitable[int | None]) -> Verdict:
        if (await score or 0) <= 0:
            return DUNNO
        verdict = self._ask_stranger(attempt)
        return verdict if isinstance(verdict, Verdict) else await verdict

    def _ask_stranger(self, attempt: Attempt) -> Verdict | Awaitable[Verdict]:
        name = attempt.name if attempt.name_status is NameStatus.OK and attempt.name != UNKNOWN else ""
        recipient = attempt.recipient or ""
        sought = Sought(attempt.address, name, attempt.sender or "", recipient, attempt.helo or "")
        met = self._facts.greylist(sought)
        if met is None or isinstance(met, Met):
            return self._verdict(attempt, met)
        return self._wait(attempt, met)

    async def _wait(self, attempt: Attempt, coming: Awaitable[Met | None]) -> Verdict:
        return self._verdict(attempt, await coming)

    def _verdict(self, attempt: Attempt, met: Met | None) -> Verdict:
        if met is None or met.standing not in PUT_OFF:
            if met is not None and met.standing is Standing.RETRIED:
                attempt.remarks.append(Remark("info", attempt.where, f"greylist: came again after {met.waited:.0f} s"))
            return DUNNO
        recipient = attempt.recipient or ""
        text = self._text.replace("%s", f"{met.left:.0f}").replace("%r", recipient.rpartition("@")[2])
        reply = Reply(450, "4.2.0", f"<{recipient}>: {RECIPIENT} rejected: {text}")
        if self._mode is Mode.PASSIVE:
            said = f"{reply.code} {reply.status} {reply.text}"
            attempt.remarks.append(Remark("reject_warning", attempt.where, said))
            return DUNNO
        evidence = (met.standing.value, f"waited {met.waited:.0f} s", f"{met.left:.0f} s left")
        return Verdict(Act.REJECT, reply, Reason.GREYLISTED, evidence)


def is_suspicious(attempt: Attempt) -> bool:
    """True for a client without a confirmed name, or with a name of the kind that providers give out.  A name that DNS
    could not tell just now is nothing to hold against it."""
    if attempt.name_status is not NameStatus.OK or attempt.name == UNKNOWN:
        return attempt.name_status is not NameStatus.TEMPORARY
    return looks_dynamic(attempt.name, attempt.address)
