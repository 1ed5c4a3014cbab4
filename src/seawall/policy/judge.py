"""smtpd_check(3): the judge of one configuration, asked at every step of a session.

The lists are compiled when a configuration is read, once plain and once under ``stress`` (two judges).  What each step
asks, in which order, and what smtpd_delay_reject puts off is all here; what a list means is in `evaluate`.
"""

from __future__ import annotations

from collections.abc import Awaitable
from typing import TypeAlias

from seawall.config.settings import ConfigTrouble, Settings
from seawall.mail.action import What
from seawall.policy.addresses import Unlisted, route_of
from seawall.policy.attempt import Attempt
from seawall.policy.bench import Bench, Registry
from seawall.policy.evaluate import Items, Manner, evaluate, refuse, settle
from seawall.policy.facts import Facts
from seawall.policy.greylisting import with_greylisting
from seawall.policy.language import GUARDS, Compiler, Watch, has_guard
from seawall.policy.registry import RESTRICTIONS
from seawall.policy.rewriting import RewriteClients
from seawall.policy.stages import RECIPIENT, SENDER, STAGES
from seawall.policy.verdict import DUNNO, Act, Verdict

Answer: TypeAlias = Verdict | Awaitable[Verdict]
_REJECT = Act.REJECT


class Judge:
    """Judges each step; PERMIT and DUNNO mean go on, REJECT carries the reply (or none: hang up without a word).

    The attempt's `actions` and `remarks` grow; the edge empties remarks after each step, actions with the transaction.
    `attempt.where` is the command being answered, also for lists that were put off until it.
    """

    def __init__(
        self,
        settings: Settings,
        facts: Facts,
        *,
        needs_guard: bool = True,
        registry: Registry = RESTRICTIONS,
        watch: Watch | None = None,
    ) -> None:
        """Compile everything.

        ConfigTrouble for a configuration that must not start: among others where no list refuses to relay, which
        `needs_guard` = False lets pass (a rehearsal has no such list at first).  `watch` puts an observer before checks.  TableUnsupported for what
        this release lacks.
        """
        self._facts = facts
        self._delays = settings.flag("smtpd_delay_reject")
        relay_first = settings.flag("smtpd_relay_before_recipient_restrictions")
        self._refuses_unlisted = settings.flag("smtpd_reject_unlisted_recipient")
        self._refuses_unlisted_senders = settings.flag("smtpd_reject_unlisted_sender")
        self.manner = Manner(settings.flag("soft_bounce"), settings.flag("smtputf8_enable"))
        classes = read_classes(settings)
        if needs_guard:
            check_guard(settings, classes)
        compiler = Compiler(registry, classes, lambda: bench, watch)
        bench = Bench(
            values=settings,
            facts=facts,
            manner=self.manner,
            compile=compiler.compile_value,
            mynetworks=facts.clients(settings.text("mynetworks"), "mynetworks"),
            permit_log=settings.words("smtpd_log_access_permit_actions"),
        )
        self.lists: dict[str, Items] = {name: compile_list(settings, compiler, name) for name in STAGES}
        order = ("relay", "recipient") if relay_first else ("recipient", "relay")
        last = order[-1]  # of the lists at RCPT: greylisting comes after all else
        self.lists[last] = with_greylisting(self.lists[last], bench, STAGES[last], self._refuses_unlisted, watch)
        self._at_rcpt = tuple(self.lists[name] for name in order if self.lists[name])
        self.problems = tuple(compiler.problems)
        """Mistakes in the lists, in Postfix's words: each is a 451 for whoever gets there."""
        self._rewrite_clients = RewriteClients(bench)
        self._unlisted_recipient = Unlisted(bench, RECIPIENT)
        self._unlisted_sender = Unlisted(bench, SENDER)

    def connect(self, attempt: Attempt) -> Answer:
        """smtpd_client_restrictions, unless they are put off."""
        return DUNNO if self._delays else self.client_list(attempt)

    def helo(self, attempt: Attempt) -> Answer:
        """smtpd_helo_restrictions, unless they are put off.  `attempt.helo` is the new name."""
        return DUNNO if self._delays else self.helo_list(attempt)

    def mail(self, attempt: Attempt) -> Answer:
        """smtpd_sender_restrictions, unless they are put off.  `attempt.sender` is the new address."""
        return DUNNO if self._delays else self.sender_list(attempt)

    def rcpt(self, attempt: Attempt) -> Answer:
        """All that was put off, then relay and recipient restrictions, then whether the recipient exists.

        A bare ``postmaster`` is always welcome.  RFC 5321 §4.5.1
        """
        if attempt.recipient is None or attempt.recipient.lower() == "postmaster":
            return DUNNO
        return self._rcpt(attempt)

    def vrfy(self, attempt: Attempt) -> Answer:
        """As RCPT: what VRFY tells, RCPT would tell as well.  `attempt.where` is VRFY."""
        return self.rcpt(attempt)

    def data(self, attempt: Attempt) -> Answer:
        """smtpd_data_restrictions."""
        return self._message(attempt, self.lists["data"])

    def end_of_data(self, attempt: Attempt) -> Answer:
        """smtpd_end_of_data_restrictions."""
        return self._message(attempt, self.lists["end_of_data"])

    async def etrn(self, attempt: Attempt) -> Verdict:
        """What was put off, then smtpd_etrn_restrictions; the domain is `attempt.etrn_domain`."""
        pending = attempt.pending
        if self._delays:
            for step in (self.client_list, self.helo_list):
                verdict = await step(attempt)
                if verdict.act is Act.REJECT:
                    return verdict
        pending.defer_if_permit = pending.after_client or pending.after_helo
        verdict = await self._ask(attempt, self.lists["etrn"])
        return verdict if verdict.act is Act.REJECT else self._deferred(attempt)

    async def client_list(self, attempt: Attempt) -> Verdict:
        """smtpd_client_restrictions now, put off or not; so a rehearsal asks."""
        pending = attempt.pending
        pending.defer_if_permit = None
        verdict = await self._ask(attempt, self.lists["client"])
        pending.after_client = pending.defer_if_permit
        return verdict

    async def helo_list(self, attempt: Attempt) -> Verdict:
        """smtpd_helo_restrictions now."""
        if attempt.helo is None:
            return DUNNO
        pending = attempt.pending
        pending.defer_if_permit = pending.after_client
        verdict = await self._ask(attempt, self.lists["helo"])
        pending.after_helo = pending.defer_if_permit
        return verdict

    async def sender_list(self, attempt: Attempt) -> Verdict:
        """smtpd_sender_restrictions now, and whether the sender exists."""
        sender = attempt.sender
        if sender is None:
            return DUNNO
        pending = attempt.pending
        pending.defer_if_permit = pending.after_client or pending.after_helo
        pending.sender_listed = False
        verdict = await self._ask(attempt, self.lists["sender"])
        pending.after_sender = pending.defer_if_permit
        if self._refuses_unlisted_senders and sender and verdict.act is not _REJECT and not pending.discards:
            return settle(await self._unlisted_sender.judge(attempt, sender, attempt.recipient), attempt, self.manner)
        return verdict

    async def _rcpt(self, attempt: Attempt) -> Verdict:
        pending = attempt.pending
        pending.recipient_listed = False
        if self._delays:
            if self.lists["client"]:
                verdict = await self.client_list(attempt)
                if verdict.act is _REJECT:
                    return verdict
            else:
                pending.defer_if_permit = pending.after_client = None
            verdict = await self.helo_list(attempt)
            if verdict.act is _REJECT:
                return verdict
            verdict = await self.sender_list(attempt)
            if verdict.act is _REJECT:
                return verdict
        pending.defer_if_permit = pending.after_sender
        self._reset(attempt)
        for items in self._at_rcpt:  # they share one memory of deferrals
            verdict = await evaluate(items, attempt, self.manner)
            if verdict.act is _REJECT:
                return verdict
        verdict = self._deferred(attempt)
        if verdict.act is _REJECT or not self._refuses_unlisted or pending.discards:
            return verdict
        verdict = await self._unlisted_recipient.judge(attempt, attempt.recipient or "", attempt.sender)
        return verdict if verdict is DUNNO else settle(verdict, attempt, self.manner)

    def _message(self, attempt: Attempt, items: Items) -> Answer:
        """DATA or end of data.  With several recipients the verdict is for all of them, so none is named."""
        attempt.pending.defer_if_permit = None
        return self._for_all(attempt, items) if items else DUNNO

    async def _for_all(self, attempt: Attempt, items: Items) -> Verdict:
        recipient = attempt.recipient
        if attempt.recipient_count > 1:
            attempt.recipient = None
        try:
            verdict = await self._ask(attempt, items)
            return verdict if verdict.act is Act.REJECT else self._deferred(attempt)
        finally:
            attempt.recipient = recipient

    def _ask(self, attempt: Attempt, items: Items) -> Awaitable[Verdict]:
        self._reset(attempt)
        return evaluate(items, attempt, self.manner)

    @staticmethod
    def _reset(attempt: Attempt) -> None:
        """What does not outlive a list.  smtpd_check.c SMTPD_CHECK_RESET"""
        pending = attempt.pending
        pending.depth = 0
        pending.warns = False
        pending.defer_if_reject = None
        pending.discards = bool(attempt.actions) and any(action.what is What.DISCARD for action in attempt.actions)

    def _deferred(self, attempt: Attempt) -> Verdict:
        """An earlier temporary error may have hidden a refusal: then nothing is permitted now."""
        earlier = attempt.pending.defer_if_permit
        return DUNNO if earlier is None else refuse(earlier, attempt, self.manner)

    async def rewrite_context(self, attempt: Attempt) -> Verdict:
        """local_header_rewrite_clients: PERMIT for a client of ours, DUNNO for a stranger, REJECT for trouble (451)."""
        return await self._rewrite_clients.judge(attempt)

    async def is_malformed(self, address: str, sender: str, *, smtputf8: bool) -> bool:
        """True for an address that no mail can be for: 501 5.1.7 at MAIL, 501 5.1.3 at RCPT.

        Without SMTPUTF8 a domain beyond ASCII is malformed as well.  smtpd_check.c smtpd_check_addr()
        """
        if not address:
            return False
        route = await route_of(self._facts, address, sender)
        if route.has_failed:
            return False  # it is told where the address is judged
        return route.is_malformed or not (smtputf8 or route.domain.isascii())


def compile_list(settings: Settings, compiler: Compiler, name: str) -> Items:
    """One list; what is wrong with it as a whole is told with its place."""
    stage = STAGES[name]
    try:
        return compiler.compile(settings.text(stage.parameter), stage)
    except ConfigTrouble as trouble:
        raise type(trouble)(trouble.message, trouble.location or settings.where(stage.parameter)) from None


def read_classes(settings: Settings) -> dict[str, str]:
    """smtpd_restriction_classes with what each stands for.  ConfigTrouble for a class without a definition."""
    classes: dict[str, str] = {}
    for name in settings.words("smtpd_restriction_classes"):
        text = settings.text(name) if settings.is_set(name) else ""
        if not text:
            where = settings.where("smtpd_restriction_classes")
            raise ConfigTrouble(f"restriction class `{name}' needs a definition", where)
        classes[name] = text
    return classes


def check_guard(settings: Settings, classes: dict[str, str]) -> None:
    """ConfigTrouble where neither the relay nor the recipient list refuses anything by default: an open relay."""
    names = ("smtpd_relay_restrictions", "smtpd_recipient_restrictions")
    if any(has_guard(settings.text(name), classes) for name in names):
        return
    where = settings.where(names[1]) or settings.where(names[0])
    raise ConfigTrouble(
        f"in parameter {' or '.join(names)}, specify at least one working instance of: "
        f"{', '.join(GUARDS[:-1])} or {GUARDS[-1]}",
        where,
    )
