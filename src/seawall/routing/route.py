"""Where mail for one address goes: the value that routing gives, and the classes an address can be of."""

from __future__ import annotations

from enum import Flag, auto

import msgspec


class Classes(Flag):
    """What resolving has found out.  The first five are the address classes, of which a route has one.

    postfix.org ADDRESS_CLASS_README; resolve_clnt(3) RESOLVE_*
    """

    NONE = 0
    LOCAL = auto()
    """mydestination, inet_interfaces, proxy_interfaces: local(8)."""
    ALIAS = auto()
    """virtual_alias_domains: every address must be found in virtual_alias_maps."""
    VMAILBOX = auto()
    """virtual_mailbox_domains: virtual(8)."""
    RELAY = auto()
    """relay_domains: we are a (backup) MX for it."""
    DEFAULT = auto()
    """Everybody else's mail."""
    ROUTED = auto()
    """The local part has routing of its own (``user%x@``, ``user@x@``): a relay test in disguise."""
    MALFORMED = auto()
    """The domain is no domain, or the local part starts with ``-``: 501 at MAIL and RCPT."""
    FAILED = auto()
    """A table could not say: temporary."""


FINAL = Classes.LOCAL | Classes.ALIAS | Classes.VMAILBOX
"""Classes whose mail ends on this host."""
ANY_CLASS = FINAL | Classes.RELAY | Classes.DEFAULT

# The same as numbers: an operation between flags costs more than all the rest of a check.
_FINAL = FINAL.value
_RELAYED = FINAL.value | Classes.RELAY.value
_MALFORMED = Classes.MALFORMED.value
_FAILED = Classes.FAILED.value
_ROUTED = Classes.ROUTED.value


class Route(msgspec.Struct, frozen=True):
    """The way of one recipient: `transport` is a master.cf service, `nexthop` what it is told, `recipient` the address.

    For transport ``error`` and ``retry`` the next hop is the text for the sender.  `error` says what went wrong
    where FAILED is set.
    """

    transport: str
    nexthop: str
    recipient: str
    classes: Classes
    error: str = ""

    @property
    def is_malformed(self) -> bool:
        """True where no mail can be for such an address."""
        return bool(self.classes._value_ & _MALFORMED)

    @property
    def has_failed(self) -> bool:
        """True where the answer is not known now; everything but `error` is then without meaning."""
        return bool(self.classes._value_ & _FAILED)

    @property
    def is_routed(self) -> bool:
        """True where the local part names a further destination."""
        return bool(self.classes._value_ & _ROUTED)

    @property
    def is_final(self) -> bool:
        """True where mail for the address ends here."""
        return bool(self.classes._value_ & _FINAL)

    @property
    def is_taken(self) -> bool:
        """True where mail for the address ends here, or where we are a relay for its domain."""
        return bool(self.classes._value_ & _RELAYED)

    @property
    def domain(self) -> str:
        """The recipient's domain."""
        return self.recipient.rpartition("@")[2]


def failed(reason: str) -> Route:
    """The route that is not known now."""
    return Route("", "", "", Classes.FAILED, reason)
