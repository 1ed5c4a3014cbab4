"""A trace of judgement: every check that was met, what it asked, what it heard, what it said and how long it took.

A judge that is built with `Trace.watch` and a port that tells `Trace.heard` fill it in.  Sessions may run side by side:
what a check asks is known by who runs, so a coroutine is followed step by step.
"""

from __future__ import annotations

import json
import types
from collections.abc import Awaitable, Callable, Generator
from typing import Any, NamedTuple

import msgspec

from seawall.dns.answers import Found, NoData, NoSuchName, TryAgain
from seawall.mail.reply import Reply
from seawall.policy.attempt import Attempt
from seawall.policy.evaluate import Ask, Item
from seawall.policy.greylist import Met
from seawall.policy.policy_service import PolicyAnswer
from seawall.policy.reasons import Reason
from seawall.policy.stages import Stage
from seawall.policy.verdict import DUNNO, Act, Verdict
from seawall.routing.recipients import Listing
from seawall.routing.route import Route
from seawall.tables.table import TableTrouble

ITSELF = "(the server itself)"
"""Whoever asks outside every check: where an address goes, whether it is one at all."""


class Question(msgspec.Struct):
    """What was asked (`kind`, `words`) and heard."""

    kind: str
    words: tuple[str, ...]
    heard: str


class Step(msgspec.Struct):
    """One check.  `said` is its own word, before deferrals and soft_bounce; `inside` are checks of a list within it."""

    parameter: str
    name: str
    said: str = ""
    reason: str = ""
    evidence: tuple[str, ...] = ()
    seconds: float = 0.0
    asked: list[Question] = msgspec.field(default_factory=list)
    inside: list[Step] = msgspec.field(default_factory=list)


class Trace:
    """Collects steps.  `now` is a clock in seconds."""

    def __init__(self, now: Callable[[], float]) -> None:
        self._now = now
        self._steps: list[Step] = []
        self._current: Step | None = None

    def take(self) -> list[Step]:
        """What was collected since the last call."""
        steps, self._steps = self._steps, []
        return steps

    def watch(self, item: Item, stage: Stage) -> Item:
        """The same check, watched."""
        return Item(item.name, self.watched(item, stage.parameter), item.reply_name, item.warns, item.spares)

    def heard(self, kind: str, words: tuple[str, ...], answer: object) -> None:
        """A question and its answer, as `RecordingFacts` notes them."""
        step = self._current
        if step is None:
            if not self._steps or self._steps[-1].name != ITSELF:
                self._steps.append(Step("", ITSELF))
            step = self._steps[-1]
        step.asked.append(Question(kind, words, in_words(answer)))

    def watched(self, item: Item, parameter: str) -> Ask:
        """What asks a check, watched; its step stands under `parameter`."""

        def ask(attempt: Attempt) -> Verdict | Awaitable[Verdict]:
            outer = self._current
            step = Step(parameter, item.name)
            (self._begun(attempt) if outer is None else outer.inside).append(step)
            begun = self._now()
            self._current = step
            try:
                answer = item.ask(attempt)
            except TableTrouble as trouble:
                self._end(step, begun, trouble)
                raise
            finally:
                self._current = outer
            if isinstance(answer, Verdict):
                return self._heard(item, attempt, step, begun, answer)
            return self._wait(item, attempt, step, begun, answer)

        return ask

    def _heard(self, item: Item, attempt: Attempt, step: Step, begun: float, verdict: Verdict) -> Verdict:
        """The check's word, or that its client is exempt."""
        if item.spares is not None:
            verdict = item.spares(attempt, verdict)
        self._end(step, begun, verdict)
        return verdict

    async def _wait(
        self, item: Item, attempt: Attempt, step: Step, begun: float, coming: Awaitable[Verdict]
    ) -> Verdict:
        try:
            verdict: Verdict = await self._followed(step, coming)
        except TableTrouble as trouble:
            self._end(step, begun, trouble)
            raise
        return self._heard(item, attempt, step, begun, verdict)

    @types.coroutine
    def _followed(self, step: Step, coming: Awaitable[Verdict]) -> Generator[Any, Any, Verdict]:
        """Await, and say that `step` runs whenever it does."""
        inner = coming.__await__()
        go = inner.__next__
        while True:
            outer, self._current = self._current, step
            try:
                waited = go()
            except StopIteration as ended:
                verdict: Verdict = ended.value
                return verdict
            finally:
                self._current = outer
            try:
                yield waited
            except BaseException as trouble:  # a cancellation must reach who waits
                if not isinstance(inner, Generator):
                    raise
                go = _thrower(inner, trouble)
            else:
                go = inner.__next__

    def _begun(self, attempt: Attempt) -> list[Step]:
        """Where a check of a list, not of one inside another, is kept."""
        return self._steps

    def _end(self, step: Step, begun: float, what: Verdict | TableTrouble) -> None:
        step.seconds = self._now() - begun
        step.said = verdict_in_words(what)
        if isinstance(what, Verdict):
            step.reason, step.evidence = str(what.reason), what.evidence


class LiveTrace(Trace):
    """The same for sessions side by side: each keeps the checks of its last command.  `checks_of` takes them."""

    def heard(self, kind: str, words: tuple[str, ...], answer: object) -> None:
        """A question of a check; what the server itself asks has no session by which to know it."""
        if self._current is not None:
            super().heard(kind, words, answer)

    def _begun(self, attempt: Attempt) -> list[Step]:
        command = (attempt.where, attempt.recipient)
        kept = attempt.pending.known.get(CHECKS)
        if not isinstance(kept, _Kept) or kept.command != command:
            kept = attempt.pending.known[CHECKS] = _Kept(command, [])
        return kept.steps


CHECKS = "checks of the last command"
"""The key of what a session keeps."""


class _Kept(NamedTuple):
    command: tuple[str, str | None]
    steps: list[Step]


def has_checks(attempt: Attempt) -> bool:
    """True where `checks_of` has something to give."""
    return CHECKS in attempt.pending.known


def checks_of(attempt: Attempt) -> str:
    """The checks of the command just judged as JSON; empty where nobody traces.  They are forgotten with that."""
    kept = attempt.pending.known.pop(CHECKS, None)
    return json.dumps(msgspec.to_builtins(kept.steps)) if isinstance(kept, _Kept) else ""


def read_checks(text: str) -> list[Step]:
    """What `checks_of` gave.  msgspec.DecodeError for anything else."""
    return msgspec.json.decode(text, type=list[Step])


def _thrower(inner: Generator[Any, Any, Any], trouble: BaseException) -> Callable[[], Any]:
    return lambda: inner.throw(trouble)


SAYINGS = {
    Act.PERMIT: "permits",
    Act.DEFER_IF_PERMIT: "defers what would be permitted",
    Act.DEFER_IF_REJECT: "defers what would be refused",
    Act.REJECT: "refuses",
}


def verdict_in_words(what: Verdict | TableTrouble) -> str:
    """``refuses: 554 5.7.1 …``."""
    if isinstance(what, TableTrouble):
        return f"cannot say: {what}"
    if what is DUNNO or what.act is Act.DUNNO:
        return f"exempt ({what.evidence[-1]})" if what.reason == Reason.EXEMPT else "no opinion"
    said = SAYINGS[what.act]
    if what.reply is not None:
        reply = what.reply  # its class follows the code when it is said: evaluate._sound()
        status = f"{reply.code // 100}{reply.status[1:]}" if reply.status else ""
        return f"{said}: {Reply(reply.code, status, reply.text).line()}"
    return "hangs up" if what.hangs_up else said


def in_words(answer: object) -> str:
    """An answer of any port, on one line."""
    match answer:
        case Found(records):
            return ", ".join(f"{r.preference} {r.data}" if r.kind == "MX" else r.data for r in records)
        case NoSuchName():
            return "no such name"
        case NoData():
            return "no such record"
        case TryAgain(reason=reason) | TableTrouble(reason=reason):
            return f"no answer: {reason}" if reason else "no answer"
        case Route() if answer.has_failed:
            return f"no answer: {answer.error}"
        case Route():
            return f"{answer.recipient} by {answer.transport}:{answer.nexthop}"
        case Listing():
            return answer.trouble or ("listed" if answer.listed else answer.text)
        case PolicyAnswer():
            return answer.action if answer.action is not None else "no answer"
        case Met():
            return f"{answer.standing.value}, waited {answer.waited:.0f} s"
        case bool():
            return "yes" if answer else "no"
        case None:
            return "nothing"
        case _:
            return str(answer)
