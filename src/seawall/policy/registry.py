"""Every restriction by its name: one visible table.  The compiler looks up; the reference page is drawn from it.

Names are compared without case.  Old spellings stand behind the new ones; postconf(5) has the versions, and
docs/differences.md D-10 those that are gone.
"""

from __future__ import annotations

from seawall.policy import (
    by_client,
    by_helo,
    by_recipient,
    by_sender,
    by_session,
    by_table,
    delegation,
    dnsbl,
    verification,
)
from seawall.policy.attempt import Attempt
from seawall.policy.bench import Argument, Registry, Restriction
from seawall.policy.by_table import known_name, known_reverse_name, server_access
from seawall.policy.stages import (
    CLIENT,
    HELO,
    RECIPIENT,
    REVERSE_CLIENT,
    SENDER,
    client_of,
    helo_of,
    recipient_of,
    reverse_name_of,
    sender_of,
)


def _client(kind: str) -> Restriction:
    return Restriction(server_access(kind, CLIENT, client_of, known_name), Argument.TABLE)


def _reverse(kind: str) -> Restriction:
    return Restriction(server_access(kind, REVERSE_CLIENT, reverse_name_of, known_reverse_name), Argument.TABLE)


def _helo(kind: str) -> Restriction:
    return Restriction(server_access(kind, HELO, helo_of, _the_helo), Argument.TABLE)


def _sender(kind: str) -> Restriction:
    return Restriction(server_access(kind, SENDER, sender_of, _the_sender), Argument.TABLE)


def _recipient(kind: str) -> Restriction:
    return Restriction(server_access(kind, RECIPIENT, recipient_of, _the_recipient), Argument.TABLE)


def _the_helo(attempt: Attempt) -> str | None:
    return attempt.helo


def _the_sender(attempt: Attempt) -> str | None:
    return attempt.sender


def _the_recipient(attempt: Attempt) -> str | None:
    return attempt.recipient


RESTRICTIONS: Registry = {
    # generic
    "permit": Restriction(by_session.permit),
    "reject": Restriction(by_session.reject),
    "defer": Restriction(by_session.defer),
    "defer_if_permit": Restriction(by_session.defer_if_permit),
    "defer_if_reject": Restriction(by_session.defer_if_reject),
    "check_policy_service": Restriction(delegation.check_policy_service, Argument.SERVICE),
    "reject_unauth_pipelining": Restriction(by_session.reject_unauth_pipelining),
    "reject_multi_recipient_bounce": Restriction(by_session.reject_multi_recipient_bounce),
    "reject_plaintext_session": Restriction(by_session.reject_plaintext_session),
    "sleep": Restriction(by_session.sleep, Argument.NUMBER),
    # client
    "check_client_access": Restriction(by_table.check_client_access, Argument.TABLE),
    "check_client_a_access": _client("A"),
    "check_client_mx_access": _client("MX"),
    "check_client_ns_access": _client("NS"),
    "check_reverse_client_hostname_access": Restriction(by_table.check_reverse_client_hostname_access, Argument.TABLE),
    "check_reverse_client_hostname_a_access": _reverse("A"),
    "check_reverse_client_hostname_mx_access": _reverse("MX"),
    "check_reverse_client_hostname_ns_access": _reverse("NS"),
    "check_ccert_access": Restriction(by_table.check_ccert_access, Argument.TABLE),
    "check_sasl_access": Restriction(by_table.check_sasl_access, Argument.TABLE),
    "permit_inet_interfaces": Restriction(by_client.permit_inet_interfaces),
    "permit_mynetworks": Restriction(by_client.permit_mynetworks),
    "permit_sasl_authenticated": Restriction(by_session.permit_sasl_authenticated),
    "permit_tls_all_clientcerts": Restriction(by_session.permit_tls_all_clientcerts),
    "permit_tls_clientcerts": Restriction(by_session.permit_tls_clientcerts),
    "permit_dnswl_client": Restriction(dnsbl.permit_dnswl_client, Argument.DOMAIN),
    "permit_rhswl_client": Restriction(dnsbl.permit_rhswl_client, Argument.DOMAIN),
    "reject_rbl_client": Restriction(dnsbl.reject_rbl_client, Argument.DOMAIN),
    "reject_rbl": Restriction(dnsbl.reject_rbl_client, Argument.DOMAIN),
    "reject_rhsbl_client": Restriction(dnsbl.reject_rhsbl(CLIENT, known_name), Argument.DOMAIN),
    "reject_rhsbl_reverse_client": Restriction(dnsbl.reject_rhsbl(REVERSE_CLIENT, known_reverse_name), Argument.DOMAIN),
    "reject_unknown_client_hostname": Restriction(by_client.reject_unknown_client_hostname),
    "reject_unknown_client": Restriction(by_client.reject_unknown_client_hostname),
    "reject_unknown_reverse_client_hostname": Restriction(by_client.reject_unknown_reverse_client_hostname),
    # helo
    "check_helo_access": Restriction(by_table.check_helo_access, Argument.TABLE),
    "check_helo_a_access": _helo("A"),
    "check_helo_mx_access": _helo("MX"),
    "check_helo_ns_access": _helo("NS"),
    "reject_invalid_helo_hostname": Restriction(by_helo.reject_invalid_helo_hostname),
    "reject_invalid_hostname": Restriction(by_helo.reject_invalid_helo_hostname),
    "reject_non_fqdn_helo_hostname": Restriction(by_helo.reject_non_fqdn_helo_hostname),
    "reject_non_fqdn_hostname": Restriction(by_helo.reject_non_fqdn_helo_hostname),
    "reject_unknown_helo_hostname": Restriction(by_helo.reject_unknown_helo_hostname),
    "reject_unknown_hostname": Restriction(by_helo.reject_unknown_helo_hostname),
    "reject_rhsbl_helo": Restriction(dnsbl.reject_rhsbl(HELO, _the_helo), Argument.DOMAIN),
    # sender
    "check_sender_access": Restriction(by_table.check_sender_access, Argument.TABLE),
    "check_sender_a_access": _sender("A"),
    "check_sender_mx_access": _sender("MX"),
    "check_sender_ns_access": _sender("NS"),
    "reject_non_fqdn_sender": Restriction(by_sender.reject_non_fqdn_sender),
    "reject_rhsbl_sender": Restriction(dnsbl.reject_rhsbl(SENDER, _the_sender), Argument.DOMAIN),
    "reject_unknown_sender_domain": Restriction(by_sender.reject_unknown_sender_domain),
    "reject_unknown_address": Restriction(by_sender.reject_unknown_sender_domain),
    "reject_unlisted_sender": Restriction(by_sender.reject_unlisted_sender),
    "reject_unverified_sender": Restriction(verification.reject_unverified_sender),
    "reject_sender_login_mismatch": Restriction(by_sender.reject_sender_login_mismatch),
    "reject_authenticated_sender_login_mismatch": Restriction(by_sender.reject_authenticated_sender_login_mismatch),
    "reject_unauthenticated_sender_login_mismatch": Restriction(by_sender.reject_unauthenticated_sender_login_mismatch),
    "reject_known_sender_login_mismatch": Restriction(by_sender.reject_known_sender_login_mismatch),
    # recipient and relay
    "check_recipient_access": Restriction(by_table.check_recipient_access, Argument.TABLE),
    "check_recipient_a_access": _recipient("A"),
    "check_recipient_mx_access": _recipient("MX"),
    "check_recipient_ns_access": _recipient("NS"),
    "permit_auth_destination": Restriction(by_recipient.permit_auth_destination),
    "permit_mx_backup": Restriction(by_recipient.permit_mx_backup),
    "reject_non_fqdn_recipient": Restriction(by_recipient.reject_non_fqdn_recipient),
    "reject_rhsbl_recipient": Restriction(dnsbl.reject_rhsbl(RECIPIENT, _the_recipient), Argument.DOMAIN),
    "reject_unauth_destination": Restriction(by_recipient.reject_unauth_destination),
    "defer_unauth_destination": Restriction(by_recipient.defer_unauth_destination),
    "reject_unknown_recipient_domain": Restriction(by_recipient.reject_unknown_recipient_domain),
    "reject_unlisted_recipient": Restriction(by_recipient.reject_unlisted_recipient),
    "check_recipient_maps": Restriction(by_recipient.reject_unlisted_recipient),
    "reject_unverified_recipient": Restriction(verification.reject_unverified_recipient),
    # etrn
    "check_etrn_access": Restriction(by_table.check_etrn_access, Argument.TABLE),
}
