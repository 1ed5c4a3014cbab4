"""Restrictions that look at the HELO or EHLO name.  postconf(5) smtpd_helo_restrictions"""

from __future__ import annotations

from seawall.dns.hostnames import is_hostaddr, mailhost_address, without_final_dot
from seawall.dns.reply_filter import DROPS_ALL
from seawall.mail.address import is_hostname
from seawall.mail.reply import Reply
from seawall.policy.attempt import Attempt
from seawall.policy.bench import Bench, Place, warn
from seawall.policy.domains import Status, exists, is_usual_name
from seawall.policy.evaluate import Ask
from seawall.policy.reasons import Reason
from seawall.policy.stages import HELO
from seawall.policy.verdict import DUNNO, Act, Verdict


def _bad_literal(code: int, helo: str) -> Verdict:
    """A HELO in brackets must hold an address.  smtpd_check.c reject_invalid_hostaddr()"""
    inside = helo[1:-1] if len(helo) > 2 and helo.endswith("]") else helo
    if mailhost_address(inside) is not None:
        return DUNNO
    reply = Reply(code, "5.5.2", f"<{helo}>: {HELO} rejected: invalid ip address")
    return Verdict(Act.REJECT, reply, Reason.HELO_INVALID, (helo,))


def reject_invalid_helo_hostname(bench: Bench, place: Place) -> Ask:
    """Neither a host name nor an address."""
    code = bench.values.number("invalid_hostname_reject_code")

    def ask(attempt: Attempt) -> Verdict:
        helo = attempt.helo
        if helo is None:
            return DUNNO
        if helo.startswith("["):
            return _bad_literal(code, helo)
        if is_usual_name(helo):
            return DUNNO
        name = without_final_dot(helo)
        if is_hostname(name) or is_hostaddr(name):
            return DUNNO
        reply = Reply(code, "5.5.2", f"<{helo}>: {HELO} rejected: Invalid name")
        return Verdict(Act.REJECT, reply, Reason.HELO_INVALID, (helo,))

    return ask


def reject_non_fqdn_helo_hostname(bench: Bench, place: Place) -> Ask:
    """No dot in the name, or no host name at all."""
    code = bench.values.number("non_fqdn_reject_code")
    bad_code = bench.values.number("invalid_hostname_reject_code")

    def ask(attempt: Attempt) -> Verdict:
        helo = attempt.helo
        if helo is None:
            return DUNNO
        if helo.startswith("["):
            return _bad_literal(bad_code, helo)
        if is_usual_name(helo, attempt.smtputf8):
            return DUNNO
        reply = Reply(code, "5.5.2", f"<{helo}>: {HELO} rejected: need fully-qualified hostname")
        return Verdict(Act.REJECT, reply, Reason.HELO_NOT_FQDN, (helo,))

    return ask


def reject_unknown_helo_hostname(bench: Bench, place: Place) -> Ask:
    """DNS knows neither an address nor an MX for the name."""
    code = bench.values.number("unknown_hostname_reject_code")
    bad_code = bench.values.number("invalid_hostname_reject_code")
    unclear = tempfail_act(bench, "unknown_helo_hostname_tempfail_action")

    async def ask(attempt: Attempt) -> Verdict:
        helo = attempt.helo
        if helo is None:
            return DUNNO
        if helo.startswith("["):
            return _bad_literal(bad_code, helo)
        status = await exists(bench.facts, helo)
        if status in (Status.OK, Status.NULL_MX):
            return DUNNO
        if status is Status.POLICY:
            warn(attempt, f"{helo}: address or MX lookup error: {DROPS_ALL}")
            return DUNNO
        if status is Status.RETRY:
            reply = Reply(450, "4.7.1", f"<{helo}>: {HELO} rejected: Host not found")
            return Verdict(unclear, reply, Reason.HELO_UNCLEAR, (helo,))
        text = "Malformed DNS server reply" if status is Status.INVALID else "Host not found"
        reply = Reply(code, "4.7.1", f"<{helo}>: {HELO} rejected: {text}")
        return Verdict(Act.REJECT, reply, Reason.HELO_UNKNOWN, (helo,))

    return ask


def tempfail_act(bench: Bench, name: str) -> Act:
    """What a temporary DNS error means: ``defer_if_permit`` or ``defer`` (at once).  postconf(5) reject_tempfail_action"""
    return Act.REJECT if bench.values.text(name).lower() == "defer" else Act.DEFER_IF_PERMIT
