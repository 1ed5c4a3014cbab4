"""Parameters named after a service of master.cf, and names that Postfix has dropped or changed.  postconf(5)

`smtp_destination_concurrency_limit` is the transport `smtp`'s own `default_destination_concurrency_limit`: every
delivery transport has the family below, whether or not main.cf mentions it.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

COMMAND_TIME_LIMIT = "_time_limit"

TRANSPORT_SUFFIXES: Mapping[str, str] = MappingProxyType(
    {
        # suffix: the parameter that gives the default
        "_recipient_limit": "default_recipient_limit",
        "_extra_recipient_limit": "default_extra_recipient_limit",
        "_recipient_refill_limit": "default_recipient_refill_limit",
        "_recipient_refill_delay": "default_recipient_refill_delay",
        "_delivery_slot_cost": "default_delivery_slot_cost",
        "_delivery_slot_loan": "default_delivery_slot_loan",
        "_delivery_slot_discount": "default_delivery_slot_discount",
        "_minimum_delivery_slots": "default_minimum_delivery_slots",
        "_initial_destination_concurrency": "initial_destination_concurrency",
        "_destination_concurrency_limit": "default_destination_concurrency_limit",
        "_destination_recipient_limit": "default_destination_recipient_limit",
        "_destination_concurrency_positive_feedback": "default_destination_concurrency_positive_feedback",
        "_destination_concurrency_negative_feedback": "default_destination_concurrency_negative_feedback",
        "_destination_concurrency_failed_cohort_limit": "default_destination_concurrency_failed_cohort_limit",
        "_destination_rate_delay": "default_destination_rate_delay",
        "_transport_rate_delay": "default_transport_rate_delay",
    }
)
SUFFIXES: Mapping[str, str] = MappingProxyType({COMMAND_TIME_LIMIT: "command_time_limit", **TRANSPORT_SUFFIXES})

PROGRAM_SUFFIXES: Mapping[str, Mapping[str, str]] = MappingProxyType(
    {
        # program of master.cf: the family that its services have
        "local": TRANSPORT_SUFFIXES,
        "error": TRANSPORT_SUFFIXES,
        "virtual": TRANSPORT_SUFFIXES,
        "smtp": TRANSPORT_SUFFIXES,
        "lmtp": TRANSPORT_SUFFIXES,
        "pipe": SUFFIXES,
        "spawn": MappingProxyType({COMMAND_TIME_LIMIT: "command_time_limit"}),
    }
)

OBSOLETE: Mapping[str, str] = MappingProxyType(
    {
        # name that Postfix still honours as a default of another: that other
        "authorized_verp_clients": "smtpd_authorized_verp_clients",
        "fallback_relay": "smtp_fallback_relay",
        "lmtp_per_record_deadline": "lmtp_per_request_deadline",
        "postscreen_blacklist_action": "postscreen_denylist_action",
        "postscreen_dnsbl_ttl": "postscreen_dnsbl_max_ttl",
        "postscreen_dnsbl_whitelist_threshold": "postscreen_dnsbl_allowlist_threshold",
        "postscreen_whitelist_interfaces": "postscreen_allowlist_interfaces",
        "smtp_per_record_deadline": "smtp_per_request_deadline",
        "smtpd_client_connection_limit_exceptions": "smtpd_client_event_limit_exceptions",
        "smtpd_per_record_deadline": "smtpd_per_request_deadline",
        "tlsproxy_client_level": "tlsproxy_client_security_level",
        "tlsproxy_client_policy": "tlsproxy_client_policy_maps",
        "virtual_maps": "virtual_alias_maps",
    }
)

REPLACED: Mapping[str, str] = MappingProxyType(
    {
        # name that Postfix ignores today: what to do instead
        "check_relay_domains": "use reject_unauth_destination in smtpd_relay_restrictions",
        "default_verp_delimiter": "use default_verp_delimiters",
        "extract_recipient_limit": "nothing: the limit is gone",
        "lmtp_cache_connection": "use lmtp_connection_cache_on_demand",
        "lmtp_tls_cipherlist": "use lmtp_tls_ciphers",
        "message_count_limit": "nothing: the limit is gone",
        "opts": "nothing",
        "postdrop_service_name": "nothing",
        "program_directory": "use daemon_directory",
        "qmgr_site_hog_factor": "nothing: the scheduler is another",
        "sender_based_routing": "use sender_dependent_relayhost_maps",
        "smtp_skip_4xx_greeting": "nothing: it is always skipped",
        "smtp_tls_cipherlist": "use smtp_tls_ciphers",
        "smtpd_sasl_application_name": "use smtpd_sasl_path",
        "smtpd_tls_cipherlist": "use smtpd_tls_ciphers",
        "tls_dane_digest_agility": "nothing: digest agility is always on",
        "tls_dane_trust_anchor_digest_enable": "nothing",
        "tls_legacy_public_key_fingerprints": "nothing: fingerprints are always of the new kind",
        "tlsproxy_client_loglevel_parameter": "nothing",
        "virtual_mailbox_lock_style": "use virtual_mailbox_lock",
    }
)


def base_of(name: str) -> str | None:
    """The parameter whose value is the default of a templated one; None where the name is no such."""
    for suffix, base in SUFFIXES.items():
        if name.endswith(suffix) and len(name) > len(suffix):
            # the longer suffixes end like shorter ones: `_destination_recipient_limit` is no `_recipient_limit`
            longer = [other for other in SUFFIXES if other.endswith(suffix) and name.endswith(other)]
            return SUFFIXES[max(longer, key=len)] if longer else base
    return None
