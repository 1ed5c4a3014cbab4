"""Restrictions that look at the client: its names and its address.  postconf(5) smtpd_client_restrictions

Where XCLIENT names the client, docs/differences.md D-35.
"""

from __future__ import annotations

from collections.abc import Awaitable

from seawall.mail.reply import Reply
from seawall.policy.attempt import Attempt, NameStatus
from seawall.policy.bench import Bench, Place, warn
from seawall.policy.evaluate import Ask
from seawall.policy.reasons import Reason
from seawall.policy.stages import CLIENT
from seawall.policy.verdict import DUNNO, Act, Verdict
from seawall.tables.table import TableTrouble


def reject_unknown_client_hostname(bench: Bench, place: Place) -> Ask:
    """No name for the address, or one that does not lead back to it.  RFC 7372 §3.3 has the status."""
    code = bench.values.number("unknown_client_reject_code")

    def ask(attempt: Attempt) -> Verdict:
        status = attempt.name_status
        if status is NameStatus.OK:
            return DUNNO
        text = f"Client host rejected: cannot find your hostname, [{attempt.address}]"
        reply = Reply(450 if status is NameStatus.TEMPORARY else code, "4.7.25", text)
        return Verdict(Act.REJECT, reply, Reason.CLIENT_NAME_UNKNOWN, (status.name,))

    return ask


def reject_unknown_reverse_client_hostname(bench: Bench, place: Place) -> Ask:
    """No name at all for the address."""
    code = bench.values.number("unknown_client_reject_code")

    def ask(attempt: Attempt) -> Verdict:
        status = attempt.reverse_name_status
        if status is NameStatus.OK:
            return DUNNO
        text = f"Client host rejected: cannot find your reverse hostname, [{attempt.address}]"
        reply = Reply(code if status is NameStatus.PERMANENT else 450, "4.7.1", text)
        return Verdict(Act.REJECT, reply, Reason.REVERSE_NAME_UNKNOWN, (status.name,))

    return ask


def permit_inet_interfaces(bench: Bench, place: Place) -> Ask:
    """The client has an address of ours."""

    def ask(attempt: Attempt) -> Verdict:
        if not bench.facts.is_own_address(attempt.address):
            return DUNNO
        return bench.permit(attempt, place.name, CLIENT, attempt.client)

    return ask


def permit_mynetworks(bench: Bench, place: Place) -> Ask:
    """The client is in mynetworks.  Asked once a session: neither its address nor its name changes."""
    name, networks = place.name, bench.mynetworks

    def permitted(attempt: Attempt) -> Verdict:
        return bench.permit(attempt, name, CLIENT, attempt.client) if bench.permit_log else _PERMIT

    def told(attempt: Attempt, trouble: TableTrouble) -> TableTrouble:
        warn(attempt, f"mynetworks: {trouble.table}: table lookup problem")
        return trouble

    async def ask_later(attempt: Attempt, found: Awaitable[bool], key: object) -> Verdict:
        try:
            inside = attempt.pending.known[key] = await found
        except TableTrouble as trouble:
            raise told(attempt, trouble) from None
        return permitted(attempt) if inside else DUNNO

    def ask(attempt: Attempt) -> Verdict | Awaitable[Verdict]:
        known = attempt.pending.known
        key = (networks, attempt.name, attempt.address)
        inside = known.get(key)
        if inside is None:
            try:
                found = networks.test(attempt.name, attempt.address)
            except TableTrouble as trouble:
                raise told(attempt, trouble) from None
            if not isinstance(found, bool):
                return ask_later(attempt, found, key)
            inside = known[key] = found
        return permitted(attempt) if inside else DUNNO

    return ask


_PERMIT = Verdict(Act.PERMIT, reason="permit", evidence=("mynetworks",))
