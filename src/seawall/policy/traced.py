"""A judge whose every check is traced: those of the lists, and what the server asks of its own accord.

Nobody pays for it who does not use it: the plain judge knows nothing of a trace.
"""

from __future__ import annotations

from collections.abc import Awaitable

from seawall.config.settings import Settings
from seawall.policy.addresses import Unlisted
from seawall.policy.attempt import Attempt
from seawall.policy.bench import Registry
from seawall.policy.evaluate import Answer, Item
from seawall.policy.facts import Facts, RecordingFacts
from seawall.policy.judge import Judge
from seawall.policy.registry import RESTRICTIONS
from seawall.policy.stages import RECIPIENT, SENDER, STAGES
from seawall.policy.trace import Trace, has_checks
from seawall.policy.verdict import DUNNO, JUDGED, Act, Remark, Verdict


class TracedJudge(Judge):
    """Judges as `Judge` does, and tells a trace.  `tells_all`: what is let through is remarked as well (`JUDGED`)."""

    def __init__(
        self,
        settings: Settings,
        facts: Facts,
        trace: Trace,
        *,
        needs_guard: bool = True,
        registry: Registry = RESTRICTIONS,
        tells_all: bool = False,
    ) -> None:
        heard = RecordingFacts(facts, trace.heard)
        super().__init__(settings, heard, needs_guard=needs_guard, registry=registry, watch=trace.watch)
        self._trace = trace
        self._tells_all = tells_all
        self._unlisted_recipient = _Watched(self._unlisted_recipient, trace, RECIPIENT)
        self._unlisted_sender = _Watched(self._unlisted_sender, trace, SENDER)

    def connect(self, attempt: Attempt) -> Answer:
        """As `Judge.connect`."""
        return self._told(attempt, super().connect(attempt))

    def helo(self, attempt: Attempt) -> Answer:
        """As `Judge.helo`."""
        return self._told(attempt, super().helo(attempt))

    def mail(self, attempt: Attempt) -> Answer:
        """As `Judge.mail`."""
        return self._told(attempt, super().mail(attempt))

    def rcpt(self, attempt: Attempt) -> Answer:
        """As `Judge.rcpt`; VRFY comes here too."""
        return self._told(attempt, super().rcpt(attempt))

    def data(self, attempt: Attempt) -> Answer:
        """As `Judge.data`."""
        return self._told(attempt, super().data(attempt))

    def end_of_data(self, attempt: Attempt) -> Answer:
        """As `Judge.end_of_data`."""
        return self._told(attempt, super().end_of_data(attempt))

    async def etrn(self, attempt: Attempt) -> Verdict:
        """As `Judge.etrn`."""
        return self._tell(attempt, await super().etrn(attempt))

    def _told(self, attempt: Attempt, answer: Answer) -> Answer:
        return self._tell(attempt, answer) if isinstance(answer, Verdict) else self._tell_later(attempt, answer)

    async def _tell_later(self, attempt: Attempt, coming: Awaitable[Verdict]) -> Verdict:
        return self._tell(attempt, await coming)

    def _tell(self, attempt: Attempt, verdict: Verdict) -> Verdict:
        """A refusal has its remark already; what goes on gets one where something was asked for it."""
        if self._tells_all and verdict.act is not Act.REJECT and has_checks(attempt):
            attempt.remarks.append(Remark(JUDGED, attempt.where, "goes on"))
        return verdict

    def _deferred(self, attempt: Attempt) -> Verdict:
        """The refusal that had to wait until nothing permitted is a check of its own."""
        if attempt.pending.defer_if_permit is None:
            return DUNNO
        settle = super()._deferred
        item = Item("what an earlier check deferred", settle, lambda attempt: attempt.client)
        answer = self._trace.watched(item, "")(attempt)
        return answer if isinstance(answer, Verdict) else DUNNO


class _Watched(Unlisted):
    """reject_unlisted_sender or reject_unlisted_recipient where no list names it."""

    def __init__(self, inner: Unlisted, trace: Trace, reply_class: str) -> None:
        self._inner = inner
        self._trace = trace
        stage = STAGES["sender" if reply_class == SENDER else "recipient"]
        self._reply_name = stage.reply_name
        self._name = "reject_unlisted_sender" if reply_class == SENDER else "reject_unlisted_recipient"

    async def judge(self, attempt: Attempt, address: str, other: str | None) -> Verdict:
        """The same, seen."""
        pending = attempt.pending
        if pending.sender_listed if self._name.endswith("sender") else pending.recipient_listed:
            return DUNNO  # a list has asked
        item = Item(self._name, lambda attempt: self._inner.judge(attempt, address, other), self._reply_name)
        answer = self._trace.watched(item, f"smtpd_{self._name}")(attempt)
        return answer if isinstance(answer, Verdict) else await answer
