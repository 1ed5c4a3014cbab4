"""Restrictions that look at the MAIL FROM address.  postconf(5) smtpd_sender_restrictions"""

from __future__ import annotations

from collections.abc import Awaitable

from seawall.mail.reply import Reply
from seawall.mail.words import split_words
from seawall.policy.addresses import NotFqdn, UnknownDomain, Unlisted, route_of
from seawall.policy.attempt import Attempt
from seawall.policy.bench import Bench, Place, warn
from seawall.policy.evaluate import Ask, lookup_error
from seawall.policy.reasons import Reason
from seawall.policy.stages import SENDER
from seawall.policy.verdict import DUNNO, Act, Verdict
from seawall.tables.search import Form
from seawall.tables.table import TableTrouble


def reject_non_fqdn_sender(bench: Bench, place: Place) -> Ask:
    """The sender's domain has no dot, or is no domain."""
    check = NotFqdn(bench.values.number("non_fqdn_reject_code"), SENDER)
    return lambda attempt: check.judge(attempt, attempt.sender) if attempt.sender else DUNNO


def reject_unknown_sender_domain(bench: Bench, place: Place) -> Ask:
    """Mail could not be sent back: no MX, no address, or a null MX."""
    check = UnknownDomain(bench, SENDER)

    def ask(attempt: Attempt) -> Verdict | Awaitable[Verdict]:
        return check.judge(attempt, attempt.sender, attempt.recipient) if attempt.sender else DUNNO

    return ask


def reject_unlisted_sender(bench: Bench, place: Place) -> Ask:
    """An address of ours that does not exist."""
    check = Unlisted(bench, SENDER)

    def ask(attempt: Attempt) -> Verdict | Awaitable[Verdict]:
        return check.judge(attempt, attempt.sender, attempt.recipient) if attempt.sender else DUNNO

    return ask


class _Logins:
    """Who may use a sender address.  postconf(5) smtpd_sender_login_maps"""

    def __init__(self, bench: Bench) -> None:
        self._facts = bench.facts
        self._maps = bench.facts.maps(bench.values.text("smtpd_sender_login_maps"), "smtpd_sender_login_maps")
        self._delimiters = bench.values.text("recipient_delimiter")

    async def owners(self, attempt: Attempt, sender: str) -> tuple[str, ...] | Verdict | None:
        """The logins that own the address, None where it has no owner, or the verdict on a failed look-up."""
        route = await route_of(self._facts, sender, attempt.recipient)
        if route.has_failed:
            return lookup_error(sender, route.error)
        try:
            found = await self._maps.find_address(
                route.recipient, delimiters=self._delimiters, is_local=self._facts.is_local, form=Form.EXTERNAL_FIRST
            )
        except TableTrouble as trouble:
            return lookup_error(sender, str(trouble))
        return None if found is None else tuple(split_words(found[0]))

    async def judge_login(self, attempt: Attempt, sender: str, *, strangers: bool) -> Verdict:
        """A client that has logged in owns its sender; with `strangers` addresses without an owner are free."""
        owners = await self.owners(attempt, sender)
        if isinstance(owners, Verdict):
            return owners
        if owners is None and strangers:
            return DUNNO
        login = attempt.sasl_username
        if any(owner.casefold() == login.casefold() for owner in owners or ()):
            return DUNNO
        text = f"<{sender}>: Sender address rejected: not owned by user {login}"
        return Verdict(Act.REJECT, Reply(553, "5.7.1", text), Reason.NOT_OWNER, (login,))

    async def judge_stranger(self, attempt: Attempt, sender: str) -> Verdict:
        """A client that has not logged in may not use an address that has an owner."""
        owners = await self.owners(attempt, sender)
        if isinstance(owners, Verdict):
            return owners
        if owners is None:
            return DUNNO
        text = f"<{sender}>: Sender address rejected: not logged in"
        return Verdict(Act.REJECT, Reply(553, "5.7.1", text), Reason.NOT_OWNER)


def _login_check(bench: Bench, place: Place, *, logged_in: bool, strangers: bool, others: bool) -> Ask:
    """`logged_in` and `others` say whom the check is for."""
    if not bench.values.flag("smtpd_sasl_auth_enable"):
        both = place.name.lower() == "reject_sender_login_mismatch"  # a class of two restrictions, each says it
        return no_sasl(*(BOTH_MISMATCHES if both else (place.name,)))
    logins = _Logins(bench)

    def ask(attempt: Attempt) -> Verdict | Awaitable[Verdict]:
        sender = attempt.sender
        if not sender:
            return DUNNO
        if attempt.sasl_username:
            return logins.judge_login(attempt, sender, strangers=strangers) if logged_in else DUNNO
        return logins.judge_stranger(attempt, sender) if others else DUNNO

    return ask


BOTH_MISMATCHES = ("reject_authenticated_sender_login_mismatch", "reject_unauthenticated_sender_login_mismatch")


def no_sasl(*names: str) -> Ask:
    """A restriction on logins where nobody can log in."""

    def ask(attempt: Attempt) -> Verdict:
        for name in names:
            warn(attempt, f"restriction `{name}' ignored: no SASL support")
        return DUNNO

    return ask


def reject_authenticated_sender_login_mismatch(bench: Bench, place: Place) -> Ask:
    """Who has logged in must own the sender address."""
    return _login_check(bench, place, logged_in=True, strangers=False, others=False)


def reject_unauthenticated_sender_login_mismatch(bench: Bench, place: Place) -> Ask:
    """Who has not logged in must not use an owned address."""
    return _login_check(bench, place, logged_in=False, strangers=False, others=True)


def reject_known_sender_login_mismatch(bench: Bench, place: Place) -> Ask:
    """Both, for addresses that have an owner."""
    return _login_check(bench, place, logged_in=True, strangers=True, others=True)


def reject_sender_login_mismatch(bench: Bench, place: Place) -> Ask:
    """Both."""
    return _login_check(bench, place, logged_in=True, strangers=False, others=True)
