"""Questions to DNS as the mail system asks them: does a name exist, does it take mail.  dns_lookup(3)"""

from __future__ import annotations

from collections.abc import Awaitable
from enum import IntEnum
from functools import lru_cache

from seawall.dns import reply_filter
from seawall.dns.answers import Answer, Found, NoData, NoSuchName, Resource, TryAgain
from seawall.dns.hostnames import is_fqdn
from seawall.mail.address import is_hostname
from seawall.policy.facts import Facts


class Status(IntEnum):
    """What a question came to, the better the higher: of several questions the best answer counts.  dns.h"""

    NOT_FOUND = -6
    NULL_MX = -5
    """The domain says that it takes no mail.  RFC 7505"""
    INVALID = -3
    RETRY = -2
    POLICY = -1
    """There were records, and smtpd_dns_reply_filter took them all."""
    OK = 0


ADDRESSES = ("A", "AAAA")
ANSWERS = (Found, NoSuchName, NoData, TryAgain)


@lru_cache(maxsize=1000)
def is_usual_name(name: str, utf8: bool = False) -> bool:
    """`is_fqdn`, remembered: a session asks it several times of the same name, and many clients name the same domains."""
    return is_fqdn(name, utf8=utf8)


async def ask(facts: Facts, name: str, kind: str) -> Answer:
    """One question; a name that is no host name is not found without asking."""
    if not (is_usual_name(name) and not name.endswith(".")) and not is_hostname(name):
        return NoSuchName()
    answer = facts.ask(name, kind)
    return answer if isinstance(answer, ANSWERS) else await answer


async def addresses(facts: Facts, host: str) -> Answer:
    """All addresses of a host, hosts file included."""
    answer = facts.addresses(host)
    return answer if isinstance(answer, ANSWERS) else await answer


def status_of(answer: Answer) -> Status:
    """The answer in one word."""
    if isinstance(answer, Found):
        for record in answer.records:
            if not is_null_mx(record):
                return Status.OK
        return Status.NULL_MX
    match answer:
        case reply_filter.Dropped():
            return Status.POLICY
        case TryAgain():
            return Status.RETRY
        case NoData(malformed=True):
            return Status.INVALID
        case _:
            return Status.NOT_FOUND


def is_null_mx(record: Resource) -> bool:
    """``MX 0 .``  RFC 7505 §3"""
    return not record.data and record.kind == "MX" and record.preference == 0


def reason_of(answer: Answer) -> str:
    """Why nothing was found, in the resolver's words.  dns_strerror(3)"""
    match answer:
        case reply_filter.Dropped():
            return "DNS reply filter policy"
        case TryAgain(reason=reply_filter.BAD_FILTER):
            return "Unknown error 0"  # the resolver itself had no trouble, here and where names are malformed
        case TryAgain():
            return "Host not found, try again"
        case NoData(malformed=True):
            return "Unknown error 0"
        case NoData():
            return "Host found but no data record of requested type"
        case _:
            return "Host not found"


def host_reason(answer: Answer) -> str:
    """Why a host has no address, in the C library's words.  gai_strerror(3)"""
    match answer:
        case NoData():
            return "No address associated with hostname"
        case NoSuchName():
            return "Name or service not known"
        case _:
            return "Temporary failure in name resolution"


async def exists(facts: Facts, name: str) -> Status:
    """A, AAAA or MX: is there such a host at all?"""
    best = Status.NOT_FOUND
    for kind in (*ADDRESSES, "MX"):
        best = max(best, status_of(await ask(facts, name, kind)))
        if best is Status.OK:
            break
    return best


async def takes_mail(facts: Facts, name: str, mx: Answer | Awaitable[Answer] | None = None) -> Status:
    """MX, else A or AAAA: can mail be sent there?  `mx` is the question for the MX where it is asked already.

    RFC 5321 §5.1, RFC 7505
    """
    best = Status.NOT_FOUND
    for kind in ("MX", *ADDRESSES):
        if kind == "MX" and mx is not None:
            answer = mx if isinstance(mx, ANSWERS) else await mx
        else:
            answer = await ask(facts, name, kind)
        status = status_of(answer)
        if status in (Status.OK, Status.INVALID, Status.NULL_MX) or (kind == "MX" and status is Status.POLICY):
            return status
        best = max(best, status)
    return best
