"""XCLIENT and XFORWARD: a trusted proxy tells who its client is.  XCLIENT_README, XFORWARD_README"""

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING

from seawall.mail.address import is_hostname
from seawall.mail.reply import Reply
from seawall.policy.attempt import UNKNOWN, Attempt, NameStatus
from seawall.smtp.events import XClient, XForward
from seawall.smtp.grammar import neuter

if TYPE_CHECKING:
    from seawall.edge.session import Session

OK = Reply(250, "2.0.0", "Ok")
UNAVAILABLE = "[UNAVAILABLE]"
_NAME_STATUS: Mapping[str, NameStatus] = MappingProxyType(
    {UNAVAILABLE: NameStatus.PERMANENT, "[TEMPUNAVAIL]": NameStatus.TEMPORARY}
)
_LONGEST_PROTOCOL = 64
_LONGEST_HELO = 255


def _bad(name: str, value: str) -> Reply:
    return Reply(501, "5.5.4", f"Bad {name} syntax: {value}")


def normal_address(text: str) -> str | None:
    """An address as the program writes it, from ``192.0.2.1``, ``IPV6:2001:db8::1`` or a mapped one; None for no address."""
    text = text[5:] if text[:5].upper() == "IPV6:" else text
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return None
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return str(mapped or address)


def _name(attempt: Attempt, value: str) -> Reply | None:
    status = _NAME_STATUS.get(value.upper(), NameStatus.OK)
    if status is NameStatus.OK and not is_hostname(value):
        return _bad("NAME", value)
    attempt.name_status = status
    attempt.name = value if status is NameStatus.OK else UNKNOWN
    if status is NameStatus.OK:
        attempt.reverse_name, attempt.reverse_name_status = value, status
    return None


def _reverse_name(attempt: Attempt, value: str) -> Reply | None:
    status = _NAME_STATUS.get(value.upper(), NameStatus.OK)
    if status is NameStatus.OK and not is_hostname(value):
        return _bad("REVERSE_NAME", value)
    attempt.reverse_name_status = status
    attempt.reverse_name = value if status is NameStatus.OK else UNKNOWN
    return None


def _address(attempt: Attempt, value: str) -> Reply | None:
    if value.upper() == UNAVAILABLE:
        attempt.address = UNKNOWN
        return None
    address = normal_address(value)
    if address is None:
        return _bad("ADDR", value)
    attempt.address = address
    return None


def _is_port(value: str) -> bool:
    return value.isascii() and value.isdigit() and len(value) <= 5


def _port(attempt: Attempt, value: str) -> Reply | None:
    if value.upper() != UNAVAILABLE and not _is_port(value):
        return _bad("PORT", value)
    attempt.port = UNKNOWN if value.upper() == UNAVAILABLE else value
    return None


def _helo(attempt: Attempt, value: str) -> Reply | None:
    if value.upper() == UNAVAILABLE:
        attempt.helo = None
        return None
    if len(value) > _LONGEST_HELO:
        return _bad("HELO", value)
    attempt.helo = neuter(value)
    return None


def _protocol(attempt: Attempt, value: str) -> Reply | None:
    if value.upper() not in ("SMTP", "ESMTP"):
        return _bad("PROTO", value)
    attempt.protocol = value.upper()
    return None


def _login(attempt: Attempt, value: str) -> Reply | None:
    if value.upper() != UNAVAILABLE:
        attempt.sasl_method, attempt.sasl_username = "XCLIENT", value
    return None


def _server_address(attempt: Attempt, value: str) -> Reply | None:
    if value.upper() == UNAVAILABLE:
        attempt.server_address = UNKNOWN
        return None
    address = normal_address(value)
    if address is None:
        return _bad("DESTADDR", value)
    attempt.server_address = address
    return None


def _server_port(attempt: Attempt, value: str) -> Reply | None:
    if value.upper() != UNAVAILABLE and not _is_port(value):
        return _bad("DESTPORT", value)
    attempt.server_port = UNKNOWN if value.upper() == UNAVAILABLE else value
    return None


Taker = Callable[[Attempt, str], Reply | None]
XCLIENT: Mapping[str, Taker] = MappingProxyType(
    {
        "NAME": _name,
        "REVERSE_NAME": _reverse_name,
        "ADDR": _address,
        "PORT": _port,
        "HELO": _helo,
        "PROTO": _protocol,
        "LOGIN": _login,
        "DESTADDR": _server_address,
        "DESTPORT": _server_port,
    }
)


async def xclient(session: Session, event: XClient) -> Reply | None:
    """The session begins anew with another client: lists are asked again, and the greeting is said again."""
    attempt = session.attempt
    names = {name.upper() for name, _ in event.attributes}
    for name, value in event.attributes:
        take = XCLIENT.get(name.upper())
        reply = take(attempt, value) if take else Reply(501, "5.5.4", f"Bad XCLIENT attribute name: {name}")
        if reply is not None:
            return reply
    if "HELO" not in names:
        attempt.helo = None
    if "PROTO" not in names:
        attempt.protocol = "SMTP"
    if "LOGIN" not in names:
        attempt.sasl_method = attempt.sasl_username = ""
    session.forget()
    session.begin_anew()
    await session.welcome("XCLIENT")
    return None


def _forward_name(value: str) -> str | Reply:
    if value.upper() == UNAVAILABLE:
        return UNKNOWN
    name = neuter(value)
    return name if is_hostname(name) else _bad("NAME", name)


def _forward_address(value: str) -> str | Reply:
    if value.upper() == UNAVAILABLE:
        return UNKNOWN
    return normal_address(value) or _bad("ADDR", value)


def _forward_port(value: str) -> str | Reply:
    if value.upper() == UNAVAILABLE:
        return UNKNOWN
    return value if _is_port(value) else _bad("PORT", value)


def _forward_text(value: str) -> str | Reply:
    return "" if value.upper() == UNAVAILABLE else neuter(value)


def _forward_protocol(value: str) -> str | Reply:
    return _bad("PROTO", value) if len(value) > _LONGEST_PROTOCOL else _forward_text(value)


def _forward_domain(value: str) -> str | Reply:
    word = "LOCAL" if value.upper() == UNAVAILABLE else value.upper()
    return word if word in ("LOCAL", "REMOTE") else _bad("SOURCE", value)


XFORWARD: Mapping[str, Callable[[str], str | Reply]] = MappingProxyType(
    {
        "NAME": _forward_name,
        "ADDR": _forward_address,
        "PORT": _forward_port,
        "PROTO": _forward_protocol,
        "HELO": _forward_text,
        "IDENT": _forward_text,
        "SOURCE": _forward_domain,
    }
)


def xforward(session: Session, event: XForward) -> Reply:
    """What the log should say of the next message's way here."""
    for name, value in event.attributes:
        take = XFORWARD.get(name.upper())
        found = take(value) if take else Reply(501, "5.5.4", f"Bad XFORWARD attribute name: {name}")
        if isinstance(found, Reply):
            return found
        session.forwarded["DOMAIN" if name.upper() == "SOURCE" else name.upper()] = found
    return OK
