"""Restrictions that look at the RCPT TO address.  postconf(5) smtpd_relay_restrictions, smtpd_recipient_restrictions"""

from __future__ import annotations

from collections.abc import Awaitable

from seawall.dns.answers import Found, Resource, TryAgain
from seawall.dns.hostnames import to_ascii
from seawall.mail.reply import Reply
from seawall.policy.addresses import NotFqdn, UnknownDomain, Unlisted, route_of
from seawall.policy.attempt import Attempt
from seawall.policy.bench import Bench, Place
from seawall.policy.domains import addresses, ask, host_reason, is_null_mx, reason_of
from seawall.policy.evaluate import Ask, lookup_error
from seawall.policy.facts import ClientMatch, host_addresses
from seawall.policy.reasons import Reason
from seawall.policy.stages import RECIPIENT
from seawall.policy.verdict import DUNNO, PERMIT, Act, Verdict
from seawall.routing.route import Route


class AuthDestination:
    """Is the recipient ours to take: final here, or in relay_domains?"""

    def __init__(self, bench: Bench) -> None:
        self._facts = bench.facts
        self._trusts_routes = bench.values.flag("allow_untrusted_routing")

    async def allows(self, recipient: str, sender: str | None) -> bool | Verdict:
        """Yes, no, or the verdict on a failed look-up.  smtpd_check.c permit_auth_destination()"""
        return self.judge_route(await route_of(self._facts, recipient, sender), recipient)

    def judge_route(self, route: Route, recipient: str) -> bool | Verdict:
        """The same for a route that is known."""
        if route.has_failed:
            return lookup_error(recipient, route.error)
        if "@" not in route.recipient:
            return True
        if route.is_routed and not self._trusts_routes:
            return False
        return route.is_taken


def permit_auth_destination(bench: Bench, place: Place) -> Ask:
    """Mail for us, or for a domain that we relay for."""
    check = AuthDestination(bench)

    async def ask(attempt: Attempt) -> Verdict:
        if attempt.recipient is None:
            return DUNNO
        allowed = await check.allows(attempt.recipient, attempt.sender)
        if isinstance(allowed, Verdict):
            return allowed
        return bench.permit(attempt, place.name, RECIPIENT, attempt.recipient) if allowed else DUNNO

    return ask


def reject_unauth_destination(bench: Bench, place: Place) -> Ask:
    """Mail that is neither for us nor for a domain that we relay for."""
    return _unauth_destination(bench, bench.values.number("relay_domains_reject_code"), "5.7.1")


def defer_unauth_destination(bench: Bench, place: Place) -> Ask:
    """The same, as a temporary refusal."""
    return _unauth_destination(bench, bench.values.number("relay_domains_reject_code") - 100, "4.7.1")


def _unauth_destination(bench: Bench, code: int, status: str) -> Ask:
    check, facts = AuthDestination(bench), bench.facts

    def judge_route(route: Route, recipient: str) -> Verdict:
        allowed = check.judge_route(route, recipient)
        if isinstance(allowed, Verdict):
            return allowed
        if allowed:
            return DUNNO
        reply = Reply(code, status, f"<{recipient}>: Relay access denied")
        return Verdict(Act.REJECT, reply, Reason.RELAY_DENIED, (recipient.rpartition("@")[2],))

    async def wait(coming: Awaitable[Route], recipient: str) -> Verdict:
        return judge_route(await coming, recipient)

    def ask_destination(attempt: Attempt) -> Verdict | Awaitable[Verdict]:
        recipient = attempt.recipient
        if recipient is None:
            return DUNNO
        route = facts.route(recipient, attempt.sender or "")
        return judge_route(route, recipient) if isinstance(route, Route) else wait(route, recipient)

    return ask_destination


def reject_non_fqdn_recipient(bench: Bench, place: Place) -> Ask:
    """The recipient's domain has no dot, or is no domain."""
    check = NotFqdn(bench.values.number("non_fqdn_reject_code"), RECIPIENT)
    return lambda attempt: check.judge(attempt, attempt.recipient) if attempt.recipient is not None else DUNNO


def reject_unknown_recipient_domain(bench: Bench, place: Place) -> Ask:
    """Mail could not be sent on: no MX, no address, or a null MX."""
    check = UnknownDomain(bench, RECIPIENT)

    def ask(attempt: Attempt) -> Verdict | Awaitable[Verdict]:
        return check.judge(attempt, attempt.recipient, attempt.sender) if attempt.recipient is not None else DUNNO

    return ask


def reject_unlisted_recipient(bench: Bench, place: Place) -> Ask:
    """An address of ours that does not exist."""
    check = Unlisted(bench, RECIPIENT)

    def ask(attempt: Attempt) -> Verdict | Awaitable[Verdict]:
        return check.judge(attempt, attempt.recipient, attempt.sender) if attempt.recipient else DUNNO

    return ask


class MxBackup:
    """Is this host a backup MX, and no primary one, for the recipient's domain?  smtpd_check.c permit_mx_backup()"""

    def __init__(self, bench: Bench) -> None:
        self._facts = bench.facts
        self._trusts_routes = bench.values.flag("allow_untrusted_routing")
        value = bench.values.text("permit_mx_backup_networks")
        self._networks = bench.facts.clients(value, "permit_mx_backup_networks") if value else None

    async def judge(self, recipient: str, sender: str | None) -> Verdict:
        """PERMIT, DUNNO, or DEFER_IF_REJECT where DNS did not say."""
        route = await route_of(self._facts, recipient, sender)
        if route.has_failed:
            return lookup_error(recipient, route.error)
        domain = route.recipient.rpartition("@")[2]
        if "@" not in route.recipient:
            return PERMIT
        if route.is_routed and not self._trusts_routes:
            return DUNNO
        if route.is_taken:
            return PERMIT
        if domain.startswith("[") and domain.endswith("]"):
            return DUNNO
        answer = await ask(self._facts, to_ascii(domain) or domain, "MX")
        if not isinstance(answer, Found):
            text = f"Unable to look up mail exchanger information: {reason_of(answer)}"
            return self._unclear(recipient, text) if isinstance(answer, TryAgain) else DUNNO
        return await self._judge_hosts(recipient, [record for record in answer.records if not is_null_mx(record)])

    async def _judge_hosts(self, recipient: str, records: list[Resource]) -> Verdict:
        best = min((record.preference for record in records), default=0)
        primaries = [record.data for record in records if record.preference == best]
        backups = [record.data for record in records if record.preference != best]
        unclear: list[str] = []
        if await self._is_among(primaries, unclear) or not await self._is_among(backups, unclear):
            return self._unclear(recipient, unclear[0]) if unclear else DUNNO
        if self._networks is not None and not await self._are_allowed(primaries, self._networks, unclear):
            return self._unclear(recipient, unclear[0]) if unclear else DUNNO
        return PERMIT

    async def _is_among(self, hosts: list[str], unclear: list[str]) -> bool:
        """By name first; only then by address."""
        for host in hosts:
            local = self._facts.is_local(host)
            if local if isinstance(local, bool) else await local:
                return True
        for host in hosts:
            answer = await addresses(self._facts, host)
            if not isinstance(answer, Found):
                unclear.append(f"Unable to look up mail exchanger host {host}: {host_reason(answer)}")
            elif any(self._facts.is_own_address(address) for address in host_addresses(answer)):
                return True
        return False

    async def _are_allowed(self, hosts: list[str], networks: ClientMatch, unclear: list[str]) -> bool:
        """True where every address of every host lies inside permit_mx_backup_networks."""
        for host in hosts:
            answer = await addresses(self._facts, host)
            if not isinstance(answer, Found):
                unclear.append(f"Unable to look up host {host} as mail exchanger: {reason_of(answer)}")
                return False
            for address in host_addresses(answer):
                found = networks.test(host, address)
                if not (found if isinstance(found, bool) else await found):
                    return False
        return True

    @staticmethod
    def _unclear(recipient: str, text: str) -> Verdict:
        reply = Reply(450, "4.4.4", f"<{recipient}>: {RECIPIENT} rejected: {text}")
        return Verdict(Act.DEFER_IF_REJECT, reply, Reason.MX_UNCLEAR, (recipient.rpartition("@")[2],))


def permit_mx_backup(bench: Bench, place: Place) -> Ask:
    """Mail for a domain whose backup MX we are."""
    check = MxBackup(bench)

    async def ask_backup(attempt: Attempt) -> Verdict:
        if attempt.recipient is None:
            return DUNNO
        verdict = await check.judge(attempt.recipient, attempt.sender)
        if verdict is not PERMIT:
            return verdict
        return bench.permit(attempt, place.name, RECIPIENT, attempt.recipient)

    return ask_backup
