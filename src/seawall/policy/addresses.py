"""What restrictions on senders and recipients share: the form of an address, its domain in DNS, its way, its existence."""

from __future__ import annotations

from collections.abc import Awaitable
from dataclasses import dataclass

from seawall.dns.answers import Answer, Found
from seawall.dns.hostnames import to_ascii
from seawall.dns.reply_filter import DROPS_ALL
from seawall.mail.reply import Reply
from seawall.policy.attempt import Attempt
from seawall.policy.bench import Bench, warn
from seawall.policy.by_helo import tempfail_act
from seawall.policy.domains import Status, is_null_mx, is_usual_name, takes_mail
from seawall.policy.evaluate import lookup_error
from seawall.policy.facts import Facts
from seawall.policy.reasons import Reason
from seawall.policy.stages import SENDER, fix_status
from seawall.policy.verdict import DUNNO, Act, Verdict
from seawall.routing.recipients import CODES, Listing
from seawall.routing.route import Route


async def route_of(facts: Facts, address: str, sender: str | None) -> Route:
    """Where an address goes, for mail from `sender`."""
    route = facts.route(address, sender or "")
    return route if isinstance(route, Route) else await route


@dataclass(frozen=True, slots=True)
class NotFqdn:
    """reject_non_fqdn_sender and reject_non_fqdn_recipient."""

    code: int
    reply_class: str

    def judge(self, attempt: Attempt, address: str) -> Verdict:
        """A domain with a dot, or an address literal."""
        domain = address.rpartition("@")[2] if "@" in address else ""
        if domain.startswith("[") and domain.endswith("]"):
            return DUNNO
        if is_usual_name(domain, attempt.smtputf8):
            return DUNNO
        reply = Reply(self.code, "4.5.2", f"<{address}>: {self.reply_class} rejected: need fully-qualified address")
        return Verdict(Act.REJECT, reply, Reason.NOT_FQDN, (domain,))


class UnknownDomain:
    """reject_unknown_sender_domain and reject_unknown_recipient_domain."""

    def __init__(self, bench: Bench, reply_class: str) -> None:
        self._facts = bench.facts
        self._code = bench.values.number("unknown_address_reject_code")
        self._unclear = tempfail_act(bench, "unknown_address_tempfail_action")
        self._class = reply_class
        self._status = "4.1.8" if reply_class == SENDER else "4.1.2"

    def judge(self, attempt: Attempt, address: str, other: str | None) -> Verdict | Awaitable[Verdict]:
        """`other` is the sender where `address` is the recipient, and the other way round: it may choose the route."""
        route = self._facts.route(address, other or "")
        return (
            self._by_route(attempt, address, route) if isinstance(route, Route) else self._wait(attempt, address, route)
        )

    async def _wait(self, attempt: Attempt, address: str, coming: Awaitable[Route]) -> Verdict:
        answer = self._by_route(attempt, address, await coming)
        return answer if isinstance(answer, Verdict) else await answer

    def _by_route(self, attempt: Attempt, address: str, route: Route) -> Verdict | Awaitable[Verdict]:
        """Mail for us needs no DNS; otherwise an MX that is known settles it at once."""
        if route.has_failed:
            return lookup_error(address, route.error)
        domain = route.recipient.rpartition("@")[2]
        if route.is_final or "@" not in route.recipient or (domain.startswith("[") and domain.endswith("]")):
            return DUNNO
        if is_usual_name(domain):
            answer = self._facts.ask(domain, "MX")
            if isinstance(answer, Found) and not is_null_mx(answer.records[0]):
                return DUNNO
            return self._ask(attempt, address, domain, answer)
        return self._ask(attempt, address, to_ascii(domain) or domain, None)

    async def _ask(self, attempt: Attempt, address: str, name: str, mx: Answer | Awaitable[Answer] | None) -> Verdict:
        status = await takes_mail(self._facts, name, mx)
        if status is Status.POLICY:
            warn(attempt, f"{name}: MX or address lookup error: {DROPS_ALL}")
            return DUNNO
        return DUNNO if status is Status.OK else self._refusal(address, name, status)

    def _refusal(self, address: str, name: str, status: Status) -> Verdict:
        head = f"<{address}>: {self._class} rejected: "
        if status is Status.NULL_MX:
            text = f"{head}Domain {name} does not accept mail (nullMX)"
            reply = Reply(550, "4.7.27", text) if self._class == SENDER else Reply(556, "4.1.10", text)
            return Verdict(Act.REJECT, reply, Reason.DOMAIN_TAKES_NO_MAIL, (name,))
        if status is Status.RETRY:
            reply = Reply(450, self._status, f"{head}Domain not found")
            return Verdict(self._unclear, reply, Reason.DOMAIN_UNCLEAR, (name,))
        text = "Malformed DNS server reply" if status is Status.INVALID else "Domain not found"
        return Verdict(Act.REJECT, Reply(self._code, self._status, head + text), Reason.DOMAIN_UNKNOWN, (name,))


class Unlisted:
    """reject_unlisted_sender and reject_unlisted_recipient, and the same checks where the lists do not name them."""

    def __init__(self, bench: Bench, reply_class: str) -> None:
        self._facts = bench.facts
        self._class = reply_class
        self._as_sender = reply_class == SENDER
        self._codes = {name: bench.values.number(name) for name in CODES}

    async def judge(self, attempt: Attempt, address: str, other: str | None) -> Verdict:
        """Asked once a command; behind warn_if_reject it does not count as asked."""
        pending = attempt.pending
        if pending.sender_listed if self._as_sender else pending.recipient_listed:
            return DUNNO
        if not pending.warns:
            if self._as_sender:
                pending.sender_listed = True
            else:
                pending.recipient_listed = True
        found = self._facts.route(address, other or "")
        route = found if isinstance(found, Route) else await found
        if route.has_failed:
            return lookup_error(address, route.error)
        answer = self._facts.listing(route, self._as_sender)
        listing = answer if isinstance(answer, Listing) else await answer
        if listing.trouble:
            warn(attempt, listing.trouble)
            return lookup_error(address, listing.trouble)
        return DUNNO if listing.listed else self._refusal(address, listing)

    def _refusal(self, address: str, listing: Listing) -> Verdict:
        if listing.code_parameter:
            code = self._codes[listing.code_parameter]
        else:
            code = 450 if listing.is_temporary else 550
        status = fix_status(listing.status, self._class)
        reply = Reply(code, status, f"<{address}>: {self._class} rejected: {listing.text}")
        return Verdict(Act.REJECT, reply, Reason.USER_UNKNOWN, (listing.code_parameter,))
