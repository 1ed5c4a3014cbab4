"""reject_unverified_sender and reject_unverified_recipient: can the address be delivered to?  verify(8)

The answer comes from the queue manager, which tries addresses that it does not know.  A client waits for such a probe
as long as Postfix's polls take together, (address_verify_poll_count - 1) * address_verify_poll_delay, but no longer than
the probe itself.
"""

from __future__ import annotations

from collections.abc import Awaitable

from seawall.mail.reply import Reply
from seawall.mail.verified import Standing, Verified
from seawall.policy.attempt import Attempt
from seawall.policy.bench import Bench, Place, warn
from seawall.policy.by_helo import tempfail_act
from seawall.policy.evaluate import Ask
from seawall.policy.reasons import Reason
from seawall.policy.stages import RECIPIENT, SENDER
from seawall.policy.verdict import DUNNO, Act, Verdict

LONGEST_REASON = 250
"""Characters of a temporary reason that a client is told.  smtpd_check.c reject_unverified_address()"""


def reject_unverified_sender(bench: Bench, place: Place) -> Ask:
    """Mail could not be returned to the sender, as far as the nearest server for it says."""
    check = _Unverified(bench, "sender", SENDER)

    def ask(attempt: Attempt) -> Verdict | Awaitable[Verdict]:
        return check.judge(attempt, attempt.sender) if attempt.sender else DUNNO

    return ask


def reject_unverified_recipient(bench: Bench, place: Place) -> Ask:
    """Mail could not be delivered to the recipient, as far as the nearest server for it says."""
    check = _Unverified(bench, "recipient", RECIPIENT)

    def ask(attempt: Attempt) -> Verdict | Awaitable[Verdict]:
        return check.judge(attempt, attempt.recipient) if attempt.recipient is not None else DUNNO

    return ask


class _Unverified:
    """The check of one side.  smtpd_check.c reject_unverified_address()"""

    def __init__(self, bench: Bench, word: str, reply_class: str) -> None:
        values = bench.values
        self._facts = bench.facts
        self._class = reply_class
        self._as_sender = reply_class == SENDER
        self._status = "4.1.7" if self._as_sender else "4.1.1"
        self._defer_code = values.number(f"unverified_{word}_defer_code")
        self._reject_code = values.number(f"unverified_{word}_reject_code")
        self._reason = values.text(f"unverified_{word}_reject_reason")
        self._unclear = tempfail_act(bench, f"unverified_{word}_tempfail_action")
        polls = values.number("address_verify_poll_count")
        self._patience = max(0, polls - 1) * values.seconds("address_verify_poll_delay")

    def judge(self, attempt: Attempt, address: str) -> Verdict | Awaitable[Verdict]:
        """At once where the answer is known here."""
        answer = self._facts.verify(address, self._as_sender, self._patience)
        if answer is None or isinstance(answer, Verified):
            return self._verdict(attempt, address, answer)
        return self._wait(attempt, address, answer)

    async def _wait(self, attempt: Attempt, address: str, coming: Awaitable[Verified | None]) -> Verdict:
        return self._verdict(attempt, address, await coming)

    def _verdict(self, attempt: Attempt, address: str, found: Verified | None) -> Verdict:
        head = f"<{address}>: {self._class} rejected: "
        if found is None:
            warn(attempt, "verify service failure")
            reply = Reply(450, self._status, f"{head}address verification problem")
            return Verdict(self._unclear, reply, Reason.VERIFY_FAILED)
        if found.standing is Standing.DELIVERABLE:
            return DUNNO
        code = self._reject_code if found.standing is Standing.UNDELIVERABLE else self._defer_code
        if 200 <= code <= 299:
            return DUNNO
        text = self._reason or found.text if code >= 400 else found.text
        evidence = (found.standing.value, found.text)
        if 400 <= code <= 499:
            reply = Reply(code, self._status, f"{head}unverified address: {text[:LONGEST_REASON]}")
            return Verdict(self._unclear, reply, Reason.UNVERIFIED, evidence)
        reply = Reply(code, self._status, f"{head}undeliverable address: {text}")
        return Verdict(Act.REJECT, reply, Reason.UNDELIVERABLE, evidence)
