"""What Seawall knows by name and does not do: the one list, and it shrinks (docs/differences.md D-9).

A parameter that rejects, filters, signs, encrypts or diverts stops the start, unless `seawall_ignore_parameters` names
it; all others are named and ignored.  A row counts only where main.cf or master.cf sets the parameter to something
else than its default.  Whoever implements one takes its row away and writes its sentence into the registry.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from fnmatch import fnmatchcase
from types import MappingProxyType

from seawall.config.registry import REGISTRY


class Act(Enum):
    """What an unimplemented parameter does to the start."""

    STOP = "stop"
    IGNORE = "ignore"


STOP, IGNORE = Act.STOP, Act.IGNORE


@dataclass(frozen=True, slots=True)
class Unsupported:
    """Why it matters that a parameter is not acted on; with `program`, only where master.cf runs that program."""

    act: Act
    consequence: str
    program: str = ""


NO_MILTER = Unsupported(IGNORE, "there are no milters")
NO_PROXY = Unsupported(IGNORE, "there is no smtpd_proxy_filter")
NO_SASL = Unsupported(IGNORE, "the SMTP client does not log in")
NO_LMTP = Unsupported(IGNORE, "the LMTP client does not read it", "lmtp")
ONE_CERTIFICATE = Unsupported(IGNORE, "who has not passed yet is shown what smtpd(8) shows", "postscreen")
NO_CACHE = Unsupported(IGNORE, "a connection carries one delivery")
NO_SLOTS = Unsupported(IGNORE, "the scheduler takes turns without slots")
NO_REFILL = Unsupported(IGNORE, "the scheduler's memory is bounded otherwise")
NO_MULTI = Unsupported(IGNORE, "Seawall runs one instance for each -c DIR")
NO_RESUMING = Unsupported(IGNORE, "TLS sessions are not resumed")
NO_PIX = Unsupported(IGNORE, "what the old Cisco PIX needed is not done")
NO_DSA = Unsupported(IGNORE, "DSA certificates have had their day: no client takes them")
NO_RPK = Unsupported(IGNORE, "raw public keys are not used")
NO_TLSRPT = Unsupported(IGNORE, "no TLS reports are made")
NO_REQUIRETLS = Unsupported(IGNORE, "REQUIRETLS is not offered")
NO_MIGRATION = Unsupported(IGNORE, "Berkeley DB files are read as they are; nothing is migrated")
NO_DANE = Unsupported(IGNORE, "no TLSA record is asked for")
NO_MASTER = Unsupported(IGNORE, "there are no processes of that kind")
A_NAME = Unsupported(IGNORE, "its value only serves the parameters that name it")
NO_STATUS_FILTER = Unsupported(STOP, "what it makes of a delivery's outcome would not happen")
NO_REPLY_FILTER = Unsupported(STOP, "what it makes of an answer would not happen")
NO_CONTENT_CHECK = Unsupported(STOP, "mail would pass without this check")
NO_CLIENT_CHECK = Unsupported(STOP, "mail would go out without this check")

UNSUPPORTED: Mapping[str, Unsupported] = MappingProxyType(
    {
        # name, or a pattern for a family; the first that fits counts
        "address_verify_service_name": Unsupported(IGNORE, "the queue manager knows of verified addresses itself"),
        "allow_srv_lookup_fallback": Unsupported(IGNORE, "no SRV record is asked for"),
        "alternate_config_directories": NO_MULTI,
        "application_event_drain_time": NO_MASTER,
        "backwards_bounce_logfile_compatibility": Unsupported(IGNORE, "Postfix's bounce files are not read"),
        "berkeley_db_*": Unsupported(IGNORE, "Berkeley DB files are read without Berkeley DB"),
        "best_mx_transport": Unsupported(
            STOP, "mail for a domain whose best MX is this host would be returned as looping"
        ),
        "biff": Unsupported(IGNORE, "comsat is not told of new mail"),
        "command_directory": A_NAME,
        "confirm_delay_cleared": Unsupported(IGNORE, "a sender is not told that a delay is over"),
        "connection_cache_*": NO_CACHE,
        "daemon_directory": A_NAME,
        "daemon_table_open_error_is_fatal": Unsupported(IGNORE, "a table that cannot be opened answers 451"),
        "daemon_timeout": Unsupported(IGNORE, "the supervisor watches the workers' heartbeats instead"),
        "debug_peer_*": Unsupported(IGNORE, "a session is explained from the journal instead"),
        "debugger_command": Unsupported(IGNORE, "no debugger is started"),
        "default_delivery_slot_*": NO_SLOTS,
        "default_delivery_status_filter": NO_STATUS_FILTER,
        "default_destination_concurrency_negative_feedback": Unsupported(
            IGNORE, "the scheduler gives way by one for each failure and success"
        ),
        "default_destination_concurrency_positive_feedback": Unsupported(
            IGNORE, "the scheduler gives way by one for each failure and success"
        ),
        "default_destination_rate_delay": Unsupported(IGNORE, "deliveries are not slowed"),
        "default_extra_recipient_limit": NO_REFILL,
        "default_filter_nexthop": Unsupported(IGNORE, "there is no content_filter"),
        "default_minimum_delivery_slots": NO_SLOTS,
        "default_recipient_limit": Unsupported(IGNORE, "the scheduler's memory is bounded otherwise"),
        "default_recipient_refill_*": NO_REFILL,
        "default_transport_rate_delay": Unsupported(IGNORE, "deliveries are not slowed"),
        "delay_logging_resolution_limit": Unsupported(IGNORE, "delays are logged with two digits"),
        "destination_concurrency_feedback_debug": Unsupported(IGNORE, "the scheduler's reasons are in the journal"),
        "disable_dns_lookups": Unsupported(STOP, "the DNS would be asked"),
        "disable_mime_output_conversion": Unsupported(IGNORE, "content is never converted"),
        "disable_verp_bounces": Unsupported(IGNORE, "a bounce goes out once"),
        "dns_ncache_ttl_fix_enable": Unsupported(IGNORE, "no answer of that kind is cached"),
        "dnsblog_*": Unsupported(IGNORE, "DNS lists are asked without a dnsblog", "dnsblog"),
        "dnssec_probe": NO_DANE,
        "dont_remove": Unsupported(IGNORE, "a message that is done is removed"),
        "empty_address_local_login_sender_maps_lookup_key": Unsupported(IGNORE, "there are no local_login_sender_maps"),
        "enable_idna2003_compatibility": Unsupported(IGNORE, "domain names follow IDNA2008"),
        "enable_long_queue_ids": Unsupported(IGNORE, "queue ids are long already, and never used again"),
        "error_notice_recipient": Unsupported(IGNORE, "no notice of that kind is sent"),
        "fast_flush_purge_time": Unsupported(IGNORE, "the queue is looked through instead of a file for each domain"),
        "fast_flush_refresh_time": Unsupported(IGNORE, "the queue is looked through instead of a file for each domain"),
        "fault_injection_code": Unsupported(IGNORE, "it is for Postfix's own tests"),
        "force_mime_input_conversion": Unsupported(STOP, "content that should be converted would be kept as it is"),
        "fork_*": NO_MASTER,
        "full_name_encoding_charset": Unsupported(IGNORE, "a From: that is missing is made without the full name"),
        "hash_queue_depth": Unsupported(IGNORE, "the queue has its own folders"),
        "hash_queue_names": Unsupported(IGNORE, "the queue has its own folders"),
        "helpful_warnings": Unsupported(IGNORE, "`seawall check` warns"),
        "html_directory": A_NAME,
        "ignore_srv_lookup_error": Unsupported(IGNORE, "no SRV record is asked for"),
        "import_environment": Unsupported(IGNORE, "the environment is not handed on"),
        "in_flow_delay": Unsupported(IGNORE, "intake is slowed by the bytes in flight instead"),
        "info_log_address_format": Unsupported(IGNORE, "addresses are logged as in mail"),
        "ipc_*": NO_MASTER,
        "known_tcp_ports": Unsupported(IGNORE, "the ports of mail are known, others are asked of /etc/services"),
        "lmdb_map_size": Unsupported(IGNORE, "a table has the size that it needs"),
        "lmtp_*": NO_LMTP,
        "lmtp_body_checks": NO_CLIENT_CHECK,
        "lmtp_generic_maps": Unsupported(STOP, "addresses would go out as they are"),
        "lmtp_header_checks": NO_CLIENT_CHECK,
        "lmtp_mime_header_checks": NO_CLIENT_CHECK,
        "lmtp_nested_header_checks": NO_CLIENT_CHECK,
        "lmtp_reply_filter": NO_REPLY_FILTER,
        "local_delivery_status_filter": NO_STATUS_FILTER,
        "local_login_sender_maps": Unsupported(STOP, "users could name any sender"),
        "mail_release_date": A_NAME,
        "maillog_file_compressor": Unsupported(IGNORE, "rotation is logrotate's"),
        "maillog_file_permissions": Unsupported(IGNORE, "a new log file has mode 0600"),
        "maillog_file_rotate_suffix": Unsupported(IGNORE, "rotation is logrotate's"),
        "mailq_path": A_NAME,
        "manpage_directory": A_NAME,
        "maps_rbl_domains": Unsupported(STOP, "reject_maps_rbl is gone since Postfix 3.9: use reject_rbl_client"),
        "max_idle": Unsupported(IGNORE, "a worker does not end when idle"),
        "max_use": Unsupported(IGNORE, "a worker does not end after a number of clients"),
        "meta_directory": A_NAME,
        "milter_*": NO_MILTER,
        "milter_header_checks": NO_MILTER,
        "multi_instance_directories": NO_MULTI,
        "multi_instance_enable": NO_MULTI,
        "multi_instance_group": NO_MULTI,
        "multi_instance_wrapper": NO_MULTI,
        "newaliases_path": A_NAME,
        "non_bdb_*": NO_MIGRATION,
        "non_empty_end_of_header_action": Unsupported(IGNORE, "an empty line is put before such text"),
        "non_smtpd_milters": Unsupported(STOP, "mail from this host would go unfiltered and unsigned"),
        "openssl_path": Unsupported(IGNORE, "the openssl command is not used"),
        "pipe_delivery_status_filter": NO_STATUS_FILTER,
        "postlog_service_name": NO_MASTER,
        "postlogd_watchdog_timeout": NO_MASTER,
        "postmulti_*": NO_MULTI,
        "postscreen_post_queue_limit": Unsupported(IGNORE, "a client that passes waits for no process", "postscreen"),
        "postscreen_tls_*": ONE_CERTIFICATE,
        "postscreen_watchdog_timeout": Unsupported(IGNORE, "the supervisor watches the workers' heartbeats instead"),
        "proxy_write_maps": Unsupported(IGNORE, "caches are Seawall's own"),
        "qmgr_clog_warn_time": Unsupported(IGNORE, "`seawall postqueue -p` shows what fills the queue"),
        "qmgr_daemon_timeout": Unsupported(IGNORE, "the supervisor watches the queue manager's heartbeat instead"),
        "qmgr_fudge_factor": Unsupported(IGNORE, "the scheduler does not guess"),
        "qmgr_ipc_timeout": NO_MASTER,
        "qmgr_message_recipient_limit": Unsupported(IGNORE, "the scheduler's memory is bounded otherwise"),
        "qmgr_message_recipient_minimum": Unsupported(IGNORE, "the scheduler's memory is bounded otherwise"),
        "qmqpd_*": Unsupported(IGNORE, "QMQP is not served", "qmqpd"),
        "queue_file_attribute_count_limit": Unsupported(IGNORE, "the queue file is another"),
        "readme_directory": A_NAME,
        "relocated_prefix_enable": Unsupported(IGNORE, "the answer for a moved user begins with 5.1.6"),
        "requiretls_*": NO_REQUIRETLS,
        "sample_directory": A_NAME,
        "send_cyrus_sasl_authzid": NO_SASL,
        "sendmail_fix_line_endings": Unsupported(IGNORE, "line ends of what `seawall sendmail` reads are made LF"),
        "sendmail_path": A_NAME,
        "service_throttle_time": NO_MASTER,
        "setgid_group": A_NAME,
        "shlib_directory": A_NAME,
        "smtp_address_preference": Unsupported(
            IGNORE, "hosts are tried in an order of our own within equal preference"
        ),
        "smtp_balance_inet_protocols": Unsupported(
            IGNORE, "hosts are tried in an order of our own within equal preference"
        ),
        "smtp_body_checks": NO_CLIENT_CHECK,
        "smtp_cname_overrides_servername": Unsupported(IGNORE, "the server is known by the name that was looked for"),
        "smtp_connection_*": NO_CACHE,
        "smtp_delivery_status_filter": NO_STATUS_FILTER,
        "smtp_discard_ehlo_keyword_address_maps": Unsupported(IGNORE, "smtp_discard_ehlo_keywords holds for all"),
        "smtp_dns_resolver_options": Unsupported(IGNORE, "the resolver has no such options"),
        "smtp_dns_support_level": Unsupported(IGNORE, "no answer is checked by DNSSEC"),
        "smtp_generic_maps": Unsupported(STOP, "addresses would go out as they are"),
        "smtp_header_checks": NO_CLIENT_CHECK,
        "smtp_host_lookup": Unsupported(STOP, "hosts would be looked for by DNS"),
        "smtp_log_tls_feature_status": Unsupported(IGNORE, "the log line tells of the TLS version alone"),
        "smtp_mime_header_checks": NO_CLIENT_CHECK,
        "smtp_min_data_rate": Unsupported(IGNORE, "timeouts hold for each read and write"),
        "smtp_nested_header_checks": NO_CLIENT_CHECK,
        "smtp_per_request_deadline": Unsupported(IGNORE, "timeouts hold for each read and write"),
        "smtp_pix_*": NO_PIX,
        "smtp_reply_filter": NO_REPLY_FILTER,
        "smtp_requiretls_policy": NO_REQUIRETLS,
        "smtp_sasl_*": NO_SASL,
        "smtp_sasl_auth_enable": Unsupported(STOP, "mail would go out without logging in, or be refused"),
        "smtp_send_dummy_mail_auth": NO_SASL,
        "smtp_send_xforward_command": Unsupported(IGNORE, "the next host is not told of the first client"),
        "smtp_sender_dependent_authentication": Unsupported(STOP, "mail would go out without the sender's login"),
        "smtp_tls_block_early_mail_reply": Unsupported(IGNORE, "what a server says before STARTTLS is thrown away"),
        "smtp_tls_chain_files": Unsupported(STOP, "servers would not see the client's certificate"),
        "smtp_tls_ciphers": Unsupported(IGNORE, "where TLS is a choice OpenSSL chooses the cipher"),
        "smtp_tls_connection_reuse": NO_CACHE,
        "smtp_tls_dane_insecure_mx_policy": NO_DANE,
        "smtp_tls_dcert_file": NO_DSA,
        "smtp_tls_dkey_file": NO_DSA,
        "smtp_tls_eccert_file": Unsupported(STOP, "servers would not see the client's certificate"),
        "smtp_tls_eckey_file": Unsupported(IGNORE, "there is no smtp_tls_eccert_file"),
        "smtp_tls_enable_rpk": NO_RPK,
        "smtp_tls_enforce_peername": Unsupported(IGNORE, "smtp_tls_security_level decides"),
        "smtp_tls_enforce_sts_mx_patterns": Unsupported(IGNORE, "there are no smtp_tls_policy_maps"),
        "smtp_tls_exclude_ciphers": Unsupported(IGNORE, "where TLS is a choice OpenSSL chooses the cipher"),
        "smtp_tls_fingerprint_*": Unsupported(IGNORE, "no server's fingerprint is compared"),
        "smtp_tls_force_insecure_host_tlsa_lookup": NO_DANE,
        "smtp_tls_loglevel": Unsupported(IGNORE, "the log line tells of TLS in one way"),
        "smtp_tls_loglevel_maps": Unsupported(IGNORE, "smtp_tls_loglevel holds for all"),
        "smtp_tls_mandatory_ciphers": Unsupported(STOP, "where TLS is demanded OpenSSL would choose the cipher"),
        "smtp_tls_mandatory_exclude_ciphers": Unsupported(
            STOP, "where TLS is demanded OpenSSL would choose the cipher"
        ),
        "smtp_tls_note_starttls_offer": Unsupported(IGNORE, "the log line tells of TLS in one way"),
        "smtp_tls_per_site": Unsupported(STOP, "a destination that should get mail by TLS alone would get it without"),
        "smtp_tls_policy_maps": Unsupported(
            STOP, "a destination that should get mail by TLS alone would get it without"
        ),
        "smtp_tls_scert_verifydepth": Unsupported(IGNORE, "OpenSSL's limit holds"),
        "smtp_tls_secure_cert_match": Unsupported(STOP, "a server would be known by other names"),
        "smtp_tls_servername": Unsupported(IGNORE, "the name in the TLS handshake is the server's"),
        "smtp_tls_session_cache_*": NO_RESUMING,
        "smtp_tls_trace_size_limit": Unsupported(IGNORE, "no TLS trace is written"),
        "smtp_tls_trust_anchor_file": Unsupported(STOP, "servers would be trusted by other authorities"),
        "smtp_tls_verify_cert_match": Unsupported(STOP, "a server would be known by other names"),
        "smtp_tlsrpt_*": NO_TLSRPT,
        "smtp_xforward_timeout": Unsupported(IGNORE, "XFORWARD is not said"),
        "smtpd_delay_open_until_valid_rcpt": Unsupported(
            IGNORE, "a message gets its queue id with its first recipient"
        ),
        "smtpd_hide_client_session": Unsupported(IGNORE, "Received: names the client of a submission"),
        "smtpd_history_flush_threshold": Unsupported(IGNORE, "the whole session is kept for the postmaster"),
        "smtpd_milter_maps": Unsupported(IGNORE, "there are no milters"),
        "smtpd_milters": Unsupported(STOP, "mail would go unfiltered and unsigned"),
        "smtpd_proxy_*": NO_PROXY,
        "smtpd_proxy_filter": Unsupported(STOP, "mail would go on without passing the filter"),
        "smtpd_reject_filter_maps": NO_REPLY_FILTER,
        "smtpd_tls_always_issue_session_ids": NO_RESUMING,
        "smtpd_tls_ccert_verifydepth": Unsupported(IGNORE, "OpenSSL's limit holds"),
        "smtpd_tls_dh1024_param_file": Unsupported(IGNORE, "OpenSSL's own parameters of key exchange are used"),
        "smtpd_tls_dh512_param_file": Unsupported(IGNORE, "ciphers that weak are gone"),
        "smtpd_tls_eecdh_grade": Unsupported(IGNORE, "OpenSSL's own parameters of key exchange are used"),
        "smtpd_tls_enable_rpk": NO_RPK,
        "smtpd_tls_loglevel_maps": Unsupported(IGNORE, "smtpd_tls_loglevel holds for all"),
        "smtpd_tls_session_cache_database": Unsupported(IGNORE, "sessions are resumed by tickets"),
        "smtpd_tls_session_cache_timeout": Unsupported(IGNORE, "sessions are resumed by tickets"),
        "smtpd_tls_trace_size_limit": Unsupported(IGNORE, "no TLS trace is written"),
        "strict_7bit_headers": NO_CONTENT_CHECK,
        "strict_8bitmime": NO_CONTENT_CHECK,
        "strict_8bitmime_body": NO_CONTENT_CHECK,
        "strict_mime_encoding_domain": NO_CONTENT_CHECK,
        "sun_mailtool_compatibility": Unsupported(IGNORE, "Sun's mailtool has had its day"),
        "syslog_facility": Unsupported(IGNORE, "the facility is mail"),
        "tcp_windowsize": Unsupported(IGNORE, "the kernel's window is used"),
        "tls_append_default_CA": Unsupported(
            IGNORE, "the system's authorities are trusted only where a list names them"
        ),
        "tls_config_*": Unsupported(IGNORE, "OpenSSL's own configuration is read"),
        "tls_daemon_random_bytes": Unsupported(IGNORE, "the kernel's randomness is used"),
        "tls_dane_digests": NO_DANE,
        "tls_disable_workarounds": Unsupported(IGNORE, "OpenSSL's own options are used"),
        "tls_eecdh_auto_curves": Unsupported(IGNORE, "OpenSSL's own parameters of key exchange are used"),
        "tls_eecdh_strong_curve": Unsupported(IGNORE, "tls_eecdh_auto_curves is used"),
        "tls_eecdh_ultra_curve": Unsupported(IGNORE, "tls_eecdh_auto_curves is used"),
        "tls_export_cipherlist": Unsupported(IGNORE, "ciphers that weak are gone"),
        "tls_fast_shutdown_enable": Unsupported(IGNORE, "a session ends without waiting for the peer"),
        "tls_ffdhe_auto_groups": Unsupported(IGNORE, "OpenSSL's groups are used"),
        "tls_low_cipherlist": Unsupported(IGNORE, "ciphers that weak are gone"),
        "tls_random_*": Unsupported(IGNORE, "the kernel's randomness is used"),
        "tls_required_enable": NO_REQUIRETLS,
        "tls_server_sni_maps": Unsupported(STOP, "clients would be shown the wrong certificate"),
        "tls_session_ticket_cipher": Unsupported(IGNORE, "OpenSSL's own cipher is used"),
        "tls_ssl_options": Unsupported(IGNORE, "OpenSSL's own options are used"),
        "tls_trace_rate_limit": Unsupported(IGNORE, "no TLS trace is written"),
        "tls_trust_server_ccerts": Unsupported(IGNORE, "a server's certificate is no client's"),
        "tls_wildcard_matches_multiple_labels": Unsupported(IGNORE, "a wildcard stands for one label"),
        "tlsproxy_*": Unsupported(IGNORE, "TLS is done without a tlsproxy", "tlsproxy"),
        "transport_retry_time": Unsupported(IGNORE, "a transport that fails is tried again with its mail"),
        "trigger_timeout": NO_MASTER,
        "use_srv_lookup": Unsupported(STOP, "the hosts of a service would be looked for by MX"),
        "virtual_delivery_status_filter": NO_STATUS_FILTER,
        "*_service_name": NO_MASTER,
    }
)

SERVED_PROGRAMS = frozenset(
    {
        # programs whose services are answered, or whose work is done without a process of their own
        "anvil",
        "bounce",
        "cleanup",
        "discard",
        "dnsblog",
        "error",
        "flush",
        "lmtp",
        "local",
        "pickup",
        "pipe",
        "postlogd",
        "postscreen",
        "proxymap",
        "qmgr",
        "scache",
        "showq",
        "smtp",
        "smtpd",
        "spawn",
        "tlsmgr",
        "tlsproxy",
        "trivial-rewrite",
        "verify",
        "virtual",
    }
)
ON_PORTS = frozenset({"smtpd", "postscreen", "spawn"})
"""Programs of master.cf whose inet services are answered."""
NOT_ON_PORTS = Unsupported(IGNORE, "nobody answers on this port: Seawall has no server of this kind there")
ONLY_ON_PORTS = Unsupported(IGNORE, "nobody answers there: smtpd and postscreen are served on ports only")
NOBODY_THERE = Unsupported(IGNORE, "nobody answers there: Seawall has no such program, and runs none of Postfix's")
OUTSIDE = Unsupported(IGNORE, "its chroot is not made: the command runs outside")

PROGRAMS: Mapping[str, Unsupported] = MappingProxyType(
    {
        # programs of master.cf that Seawall has nothing for
        "qmqpd": Unsupported(STOP, "QMQP is not served"),
        "nqmgr": Unsupported(IGNORE, "it is qmgr's old name"),
        "oqmgr": Unsupported(IGNORE, "the old scheduler is gone"),
    }
)


def not_served(program: str, kind: str, chroot: bool) -> Unsupported | None:
    """What is not done of a service of master.cf: its program, its type, whether it is to be in a chroot."""
    row = PROGRAMS.get(program)
    if row is not None:
        return row
    if program not in SERVED_PROGRAMS:
        return NOBODY_THERE
    if kind == "inet":
        row = None if program in ON_PORTS else NOT_ON_PORTS
    elif program == "postscreen" or (program == "smtpd" and kind != "pass"):
        row = ONLY_ON_PORTS
    return row if row is not None or program != "spawn" or not chroot else OUTSIDE


def unsupported(name: str) -> Unsupported | None:
    """The row of a parameter; None where it is acted on, or nobody's."""
    known = REGISTRY.get(name)
    if known is not None and known.is_acted_on:
        return None
    exact = UNSUPPORTED.get(name)
    if exact is not None:
        return exact
    return next((row for pattern, row in UNSUPPORTED.items() if "*" in pattern and fnmatchcase(name, pattern)), None)
