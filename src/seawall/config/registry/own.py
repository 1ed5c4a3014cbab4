"""Seawall's own parameters: they start with `seawall_`, and `seawall postconf` shows them only where they are named."""

from __future__ import annotations

from seawall.config.parameter import flag, number, text, time

PARAMETERS = (
    text(
        "seawall_ignore_parameters",
        "",
        "Names of parameters that reject, filter, sign, encrypt or divert, are not implemented, and are to be ignored.",
    ),
    number("seawall_workers", "0", "Worker processes that serve SMTP; 0 is one for each processor."),
    text("seawall_event_loop", "uvloop", "The event loop of the processes: uvloop, or asyncio, Python's own."),
    flag(
        "seawall_door",
        "no",
        "Screen strangers before smtpd(8) serves them, by the postscreen_* parameters, where master.cf has no postscreen.",
    ),
    number(
        "seawall_most_sessions",
        "0",
        "Connections that all workers hold at most before strangers are let go; 0 is what descriptors allow.",
    ),
    number(
        "seawall_most_memory",
        "0",
        "Megabytes that all workers fill at most before strangers are let go; 0 is half of the host's memory.",
    ),
    flag("seawall_direct_delivery", "yes", "Write mail for local Maildirs before the 250, without a queue file."),
    text(
        "seawall_journal_checks",
        "none",
        "What checks asked and heard is kept for `seawall explain`: `none`, with every `refused` command, or with `all`.",
        low=1,
    ),
    time("seawall_journal_retention", "14d", "How long the journal store keeps what it was told.", unit="d"),
    number(
        "seawall_policy_service_connections",
        "50",
        "Connections that a worker keeps to one policy service at most; further questions wait for a free one.",
        low=1,
    ),
    text(
        "seawall_policy_service_restrictions",
        "reject_invalid_helo_hostname, reject_non_fqdn_helo_hostname, reject_non_fqdn_sender, "
        "reject_unknown_sender_domain, reject_non_fqdn_recipient, reject_unauth_pipelining",
        "What `seawall policy-service` checks for somebody else's Postfix, where no restrictions are named with it.",
    ),
    text(
        "seawall_greylist",
        "no",
        "Strangers are put off at RCPT until they come again: `yes`, `no`, only the `suspicious`, or `passive`: learnt only.",
        low=1,
    ),
    time("seawall_greylist_delay", "300s", "How long after its first attempt a stranger's mail is put off.", low=1),
    time(
        "seawall_greylist_retry_window",
        "2d",
        "How long after its first attempt a stranger may come again; later it is new.",
        low=1,
        unit="d",
    ),
    time(
        "seawall_greylist_max_age",
        "35d",
        "How long who has passed is remembered after he was seen last.",
        low=1,
        unit="d",
    ),
    number(
        "seawall_greylist_auto_pass",
        "5",
        "Retries, an hour apart, after which a client's network passes without a wait; 0 is never.",
    ),
    number("seawall_greylist_ipv4_prefix_length", "24", "Bits of an IPv4 client's network.", low=8, high=32),
    number("seawall_greylist_ipv6_prefix_length", "64", "Bits of an IPv6 client's network.", low=16, high=128),
    number(
        "seawall_greylist_triplets",
        "2000000",
        "Triplets that a worker and the store hold at most; those that wait go before those that have passed.",
        low=64,
    ),
    text(
        "seawall_greylist_text",
        "Greylisted, see http://postgrey.schweikert.ch/help/%r.html",
        "What a client hears that is put off; `%s` is the seconds still to wait, `%r` the recipient's domain.",
        low=1,
    ),
    flag(
        "seawall_dnsbl_watch",
        "yes",
        "DNS lists that lie or are silent are put aside, and their error answers are no entries; `no` is Postfix's way.",
    ),
    time(
        "seawall_dnsbl_watch_interval",
        "1h",
        "How often each DNS list is asked its test points, and at most before one that is put aside is asked again.",
        low=1,
        unit="h",
    ),
    text(
        "seawall_exempt_file",
        "$config_directory/seawall.exempt",
        "Misconfigured but honest senders, and the checks that say DUNNO for them: see `seawall exempt`; empty is nobody.",
    ),
    text("seawall_users_file", "", "Hashed passwords for smtpd_sasl_type = seawall, one `name:hash` a line."),
    text(
        "seawall_upstream",
        "",
        "The server that stays, where Seawall is the door alone: `host:port`, `[address]:port` or `unix:path`.",
    ),
    text(
        "seawall_upstream_protocol",
        "proxy",
        "How that server is told who the client is: `proxy`, `proxy-v2` (PROXY protocol 1, 2), `xclient` or `none`.",
        low=1,
    ),
    number(
        "seawall_upstream_connections",
        "90",
        "Clients that are joined with that server at one time, all workers together; others wait.",
        low=1,
    ),
    time("seawall_upstream_wait", "10s", "How long a client waits to be joined before it hears 421.", low=1),
    time(
        "seawall_upstream_connect_timeout", "10s", "How long that server may take to greet and to answer EHLO.", low=1
    ),
    time("seawall_upstream_timeout", "300s", "How long that server may be silent when it is its turn.", low=1),
    time("seawall_upstream_refresh", "300s", "How often that server is asked what it offers.", low=1),
)
