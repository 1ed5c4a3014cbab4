"""What each check costs, and a cheaper order of a list that means the same.  Pure.

The order is the thread's: what the server knows by itself, local tables, remote tables, DNS, DNS lists, services, probes.
Nothing is moved across a check that may permit, and nothing across one that ends the list: so whoever was permitted or
refused still is.  Where two checks refuse the same client, the reply may be the other one's.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import TypeVar

Item = TypeVar("Item")


class Cost(IntEnum):
    """How dear a check is; each is worth many of the one before it."""

    NOTHING = 0
    TABLE = 1
    REMOTE_TABLE = 2
    DNS = 3
    DNS_LIST = 4
    SERVICE = 5
    PROBE = 6
    PAUSE = 7


WORDS: Mapping[Cost, str] = {
    Cost.NOTHING: "costs nothing",
    Cost.TABLE: "reads a local table",
    Cost.REMOTE_TABLE: "asks a database",
    Cost.DNS: "asks the DNS",
    Cost.DNS_LIST: "asks a DNS list",
    Cost.SERVICE: "asks a policy service",
    Cost.PROBE: "asks another mail server",
    Cost.PAUSE: "waits",
}


class Needs(IntEnum):
    """From which step of the session on a check knows what it asks about."""

    CLIENT = 0
    HELO = 1
    SENDER = 2
    RECIPIENT = 3
    DATA = 4


@dataclass(frozen=True, slots=True)
class Trait:
    """What a restriction costs (its table apart), what it can do to a session, and what it must know."""

    cost: Cost = Cost.NOTHING
    permits: bool = False
    refuses: bool = True
    ends: bool = False
    needs: Needs = Needs.CLIENT


_C, _H, _S, _R = Needs.CLIENT, Needs.HELO, Needs.SENDER, Needs.RECIPIENT
_TABLE_CHECKS: Mapping[str, Needs] = {
    "client": _C,
    "reverse_client_hostname": _C,
    "helo": _H,
    "sender": _S,
    "recipient": _R,
}

TRAITS: Mapping[str, Trait] = {
    "permit": Trait(permits=True, refuses=False, ends=True),
    "reject": Trait(ends=True),
    "defer": Trait(ends=True),
    "defer_if_permit": Trait(),
    "defer_if_reject": Trait(refuses=False),
    "sleep": Trait(cost=Cost.PAUSE, refuses=False),
    "check_policy_service": Trait(cost=Cost.SERVICE, permits=True),
    "reject_unauth_pipelining": Trait(),
    "reject_multi_recipient_bounce": Trait(needs=Needs.DATA),
    "reject_plaintext_session": Trait(),
    **{
        f"check_{what}_access": Trait(cost=Cost.TABLE, permits=True, needs=needs)
        for what, needs in _TABLE_CHECKS.items()
    },
    **{
        f"check_{what}_{kind}_access": Trait(cost=Cost.DNS, needs=needs)
        for what, needs in _TABLE_CHECKS.items()
        for kind in ("a", "mx", "ns")
    },
    "check_ccert_access": Trait(cost=Cost.TABLE, permits=True),
    "check_sasl_access": Trait(cost=Cost.TABLE, permits=True),
    "check_etrn_access": Trait(cost=Cost.TABLE, permits=True),
    "permit_inet_interfaces": Trait(permits=True, refuses=False),
    "permit_mynetworks": Trait(permits=True, refuses=False),
    "permit_sasl_authenticated": Trait(permits=True, refuses=False),
    "permit_tls_all_clientcerts": Trait(permits=True, refuses=False),
    "permit_tls_clientcerts": Trait(cost=Cost.TABLE, permits=True, refuses=False),
    "permit_dnswl_client": Trait(cost=Cost.DNS_LIST, permits=True, refuses=False),
    "permit_rhswl_client": Trait(cost=Cost.DNS_LIST, permits=True, refuses=False),
    "reject_rbl_client": Trait(cost=Cost.DNS_LIST),
    "reject_rhsbl_client": Trait(cost=Cost.DNS_LIST),
    "reject_rhsbl_reverse_client": Trait(cost=Cost.DNS_LIST),
    # the client's names are asked for at connect, whether or not a check wants them
    "reject_unknown_client_hostname": Trait(),
    "reject_unknown_reverse_client_hostname": Trait(),
    "reject_invalid_helo_hostname": Trait(needs=_H),
    "reject_non_fqdn_helo_hostname": Trait(needs=_H),
    "reject_unknown_helo_hostname": Trait(cost=Cost.DNS, needs=_H),
    "reject_rhsbl_helo": Trait(cost=Cost.DNS_LIST, needs=_H),
    "reject_non_fqdn_sender": Trait(needs=_S),
    "reject_rhsbl_sender": Trait(cost=Cost.DNS_LIST, needs=_S),
    "reject_unknown_sender_domain": Trait(cost=Cost.DNS, needs=_S),
    "reject_unlisted_sender": Trait(cost=Cost.TABLE, needs=_S),
    "reject_unverified_sender": Trait(cost=Cost.PROBE, needs=_S),
    "reject_sender_login_mismatch": Trait(cost=Cost.TABLE, needs=_S),
    "reject_authenticated_sender_login_mismatch": Trait(cost=Cost.TABLE, needs=_S),
    "reject_unauthenticated_sender_login_mismatch": Trait(cost=Cost.TABLE, needs=_S),
    "reject_known_sender_login_mismatch": Trait(cost=Cost.TABLE, needs=_S),
    "permit_auth_destination": Trait(permits=True, refuses=False, needs=_R),
    "permit_mx_backup": Trait(cost=Cost.DNS, permits=True, refuses=False, needs=_R),
    "reject_non_fqdn_recipient": Trait(needs=_R),
    "reject_rhsbl_recipient": Trait(cost=Cost.DNS_LIST, needs=_R),
    "reject_unauth_destination": Trait(needs=_R),
    "defer_unauth_destination": Trait(needs=_R),
    "reject_unknown_recipient_domain": Trait(cost=Cost.DNS, needs=_R),
    "reject_unlisted_recipient": Trait(cost=Cost.TABLE, needs=_R),
    "reject_unverified_recipient": Trait(cost=Cost.PROBE, needs=_R),
}
"""Every restriction by its present name."""

PRESENT_NAMES: Mapping[str, str] = {
    "reject_unknown_client": "reject_unknown_client_hostname",
    "reject_invalid_hostname": "reject_invalid_helo_hostname",
    "reject_non_fqdn_hostname": "reject_non_fqdn_helo_hostname",
    "reject_unknown_hostname": "reject_unknown_helo_hostname",
    "reject_unknown_address": "reject_unknown_sender_domain",
    "check_recipient_maps": "reject_unlisted_recipient",
    "reject_rbl": "reject_rbl_client",
}
"""Old spellings that are still taken: the present one."""

REMOTE_TYPES = frozenset({"ldap", "mysql", "pgsql", "mongodb", "memcache", "tcp", "socketmap", "nis", "nisplus"})


def table_cost(spec: str) -> Cost:
    """What one question to ``type:name`` costs."""
    kind, _, rest = spec.lower().partition(":")
    while kind == "proxy":
        kind, _, rest = rest.partition(":")
    if kind in ("unionmap", "pipemap"):
        return Cost.REMOTE_TABLE if any(f"{name}:" in rest for name in REMOTE_TYPES) else Cost.TABLE
    return Cost.REMOTE_TABLE if kind in REMOTE_TYPES else Cost.TABLE


def cost_of(name: str, argument: str) -> Cost:
    """What a check costs, its table included.  `name` is a present name."""
    trait = TRAITS.get(name)
    if trait is None:
        return Cost.NOTHING
    return max(trait.cost, table_cost(argument)) if trait.cost is Cost.TABLE and argument else trait.cost


def better_order(
    items: Sequence[Item], cost: Callable[[Item], Cost], is_fence: Callable[[Item], bool]
) -> tuple[Item, ...]:
    """The items with the cheap before the dear, between fences; those of one cost keep their order.

    A fence stays where it is: whatever may permit or end the list, or means something by its place.
    """
    result: list[Item] = []
    between: list[Item] = []
    for item in items:
        if is_fence(item):
            result.extend(sorted(between, key=cost))
            result.append(item)
            between = []
        else:
            between.append(item)
    result.extend(sorted(between, key=cost))
    return tuple(result)
