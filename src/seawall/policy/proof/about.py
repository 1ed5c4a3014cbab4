"""What each restriction can do for a stranger: which part of the session it looks at, and whether it can let him relay.

One row for each name of seawall.policy.registry; a test fails where one is missing.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum


class Part(Enum):
    """A part of a session that a stranger chooses, each by itself."""

    CLIENT = "client"
    """His address, the names that DNS has for it, and his login, if XCLIENT gives him one."""
    HELO = "helo"
    SENDER = "sender"
    RECIPIENT = "recipient"
    TLS = "TLS"


class Permits(Enum):
    """May it say OK to a stranger's mail for somebody else?"""

    NEVER = "cannot permit"
    OURS = "permits only who is ours"
    TAKEN = "permits only mail that we take"
    PATTERN = "permits whom its table, or its service, names"
    ANYBODY = "permits everybody"


@dataclass(frozen=True, slots=True)
class About:
    """A row.  `why` says, for the proof, what keeps a stranger out."""

    parts: tuple[Part, ...] = ()
    permits: Permits = Permits.NEVER
    why: str = ""


_CLIENT, _HELO, _SENDER, _RECIPIENT, _TLS = (About((part,)) for part in Part)
_SENDER_AND_RECIPIENT = About((Part.SENDER, Part.RECIPIENT))
_LOGIN = About((Part.CLIENT, Part.SENDER))
_NOTHING = About()
_FORBIDDEN = "an OK of its table is an error (451): anybody can make DNS say what he likes"


def _table(part: Part, why: str = "") -> About:
    return About((part,), Permits.PATTERN, why)


def _never(part: Part) -> About:
    return About((part,), Permits.NEVER, _FORBIDDEN)


ABOUT: Mapping[str, About] = {
    # generic
    "permit": About((), Permits.ANYBODY),
    "reject": _NOTHING,
    "defer": _NOTHING,
    "defer_if_permit": _NOTHING,
    "defer_if_reject": _NOTHING,
    "check_policy_service": About((), Permits.PATTERN),
    "reject_unauth_pipelining": _NOTHING,
    "reject_multi_recipient_bounce": _SENDER_AND_RECIPIENT,
    "reject_plaintext_session": _TLS,
    "sleep": _NOTHING,
    # client
    "check_client_access": _table(Part.CLIENT),
    "check_client_a_access": _never(Part.CLIENT),
    "check_client_mx_access": _never(Part.CLIENT),
    "check_client_ns_access": _never(Part.CLIENT),
    "check_reverse_client_hostname_access": _never(Part.CLIENT),
    "check_reverse_client_hostname_a_access": _never(Part.CLIENT),
    "check_reverse_client_hostname_mx_access": _never(Part.CLIENT),
    "check_reverse_client_hostname_ns_access": _never(Part.CLIENT),
    "check_ccert_access": _table(Part.TLS),
    "check_sasl_access": About((Part.CLIENT,), Permits.OURS, "a stranger has no login"),
    "permit_inet_interfaces": About((Part.CLIENT,), Permits.OURS, "a stranger has none of our addresses"),
    "permit_mynetworks": About((Part.CLIENT,), Permits.OURS, "a stranger is not in mynetworks"),
    "permit_sasl_authenticated": About((Part.CLIENT,), Permits.OURS, "a stranger has no login"),
    "permit_tls_all_clientcerts": About((Part.TLS,), Permits.OURS, "a stranger has no certificate of our authority"),
    "permit_tls_clientcerts": About((Part.TLS,), Permits.OURS, "a stranger's certificate is not in relay_clientcerts"),
    "permit_dnswl_client": About((Part.CLIENT,), Permits.TAKEN, "it does not override reject_unauth_destination"),
    "permit_rhswl_client": About((Part.CLIENT,), Permits.TAKEN, "it does not override reject_unauth_destination"),
    "reject_rbl_client": _CLIENT,
    "reject_rbl": _CLIENT,
    "reject_rhsbl_client": _CLIENT,
    "reject_rhsbl_reverse_client": _CLIENT,
    "reject_unknown_client_hostname": _CLIENT,
    "reject_unknown_client": _CLIENT,
    "reject_unknown_reverse_client_hostname": _CLIENT,
    # helo
    "check_helo_access": _table(Part.HELO),
    "check_helo_a_access": _never(Part.HELO),
    "check_helo_mx_access": _never(Part.HELO),
    "check_helo_ns_access": _never(Part.HELO),
    "reject_invalid_helo_hostname": _HELO,
    "reject_invalid_hostname": _HELO,
    "reject_non_fqdn_helo_hostname": _HELO,
    "reject_non_fqdn_hostname": _HELO,
    "reject_unknown_helo_hostname": _HELO,
    "reject_unknown_hostname": _HELO,
    "reject_rhsbl_helo": _HELO,
    # sender
    "check_sender_access": _table(Part.SENDER),
    "check_sender_a_access": _never(Part.SENDER),
    "check_sender_mx_access": _never(Part.SENDER),
    "check_sender_ns_access": _never(Part.SENDER),
    "reject_non_fqdn_sender": _SENDER,
    "reject_rhsbl_sender": _SENDER,
    "reject_unknown_sender_domain": _SENDER,
    "reject_unknown_address": _SENDER,
    "reject_unlisted_sender": _SENDER,
    "reject_unverified_sender": _SENDER,
    "reject_sender_login_mismatch": _LOGIN,
    "reject_authenticated_sender_login_mismatch": _LOGIN,
    "reject_unauthenticated_sender_login_mismatch": _LOGIN,
    "reject_known_sender_login_mismatch": _LOGIN,
    # recipient and relay
    "check_recipient_access": _table(Part.RECIPIENT),
    "check_recipient_a_access": _never(Part.RECIPIENT),
    "check_recipient_mx_access": _never(Part.RECIPIENT),
    "check_recipient_ns_access": _never(Part.RECIPIENT),
    "permit_auth_destination": About((Part.RECIPIENT,), Permits.TAKEN, "a stranger's recipient is not ours"),
    "permit_mx_backup": About((Part.RECIPIENT,), Permits.PATTERN, "permit_mx_backup_networks bounds it"),
    "reject_non_fqdn_recipient": _RECIPIENT,
    "reject_rhsbl_recipient": _RECIPIENT,
    "reject_unauth_destination": _RECIPIENT,
    "defer_unauth_destination": _RECIPIENT,
    "reject_unknown_recipient_domain": _RECIPIENT,
    "reject_unlisted_recipient": _RECIPIENT,
    "check_recipient_maps": _RECIPIENT,
    "reject_unverified_recipient": _RECIPIENT,
    # etrn
    "check_etrn_access": About((), Permits.NEVER, "there is no ETRN domain at RCPT"),
}
"""By the names of the registry.  Keys that a stranger forges as he likes: the HELO name, the sender, his unconfirmed
name.  What he cannot forge: his address, and a confirmed name below a domain that is not his."""
