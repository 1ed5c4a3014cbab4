"""Postfix's log lines as pflogsumm, logwatch and fail2ban take them apart: every line of ours must be one of these."""

from __future__ import annotations

import re

CLIENT = r"[^\s\[]+\[[0-9a-fA-F.:]+\](:\d+)?"
ID = r"[0-9A-Za-z]{6,}"
ADDRESS = r"<[^>]*>"
REPLY = r"[245]\d\d( [245]\.\d+\.\d+)? "

SCREENED = r"\[[0-9a-fA-F.:]+\]:\d+"

LINES: dict[str, tuple[str, ...]] = {
    "smtpd": (
        rf"connect from {CLIENT}",
        rf"disconnect from {CLIENT}( [a-z_]+=\d+(/\d+)?)* commands=\d+(/\d+)?( notes=bare_lf)?",
        rf"lost connection after [A-Z-]+( \(approximately \d+ bytes\))? from {CLIENT}",
        rf"timeout after [A-Z-]+( \(approximately \d+ bytes\))? from {CLIENT}",
        rf"too many errors after [A-Z-]+( \(\d+ bytes\))? from {CLIENT}",
        rf"improper command pipelining after [A-Z]+ from {CLIENT}: .*",
        rf"{ID}: client={CLIENT}(, sasl_method=\S+)?(, sasl_username=\S+)?(, sasl_sender=\S+)?",
        rf"(NOQUEUE|{ID}): (reject|hold|discard|redirect|filter|prepend|warn|info|reject_warning): [A-Z-]+ from {CLIENT}: .*; "
        rf"from={ADDRESS}( to={ADDRESS})? proto=E?SMTP( helo=<[^>]*>)?( sasl_username=<[^>]*>)?",
        rf"(NOQUEUE|{ID}): reject: [A-Z-]+ from {CLIENT}: {REPLY}.*;( from={ADDRESS})?( to={ADDRESS})? proto=E?SMTP( helo=<[^>]*>)?",
        rf"warning: {CLIENT}: SASL [A-Z0-9-]+ authentication (failed: .*|aborted)",
        r"(Anonymous|Untrusted|Trusted|Verified) TLS connection established from .*",
        r"(warning|error|fatal): .*",
    ),
    "postscreen": (
        rf"CONNECT from {SCREENED} to {SCREENED}",
        rf"(PASS (NEW|OLD)|ALLOWLIST VETO|WHITELISTED|ALLOWLISTED|BLACKLISTED|DENYLISTED|DISCONNECT) {SCREENED}",
        rf"PREGREET \d+ after [\d.]+ from {SCREENED}: .*",
        rf"DNSBL rank \d+ for {SCREENED}",
        rf"(COMMAND (PIPELINING|TIME LIMIT|COUNT LIMIT|LENGTH LIMIT)|NON-SMTP COMMAND|BARE NEWLINE) from {SCREENED}.*",
        rf"HANGUP after [\d.]+ from {SCREENED} in tests (before|after) SMTP handshake",
        rf"NOQUEUE: reject: (CONNECT|RCPT) from {SCREENED}: .*",
        r"(entering|leaving) STRESS mode with \d+ connections",
        r"cache .* full cleanup: retained=\d+ dropped=\d+ entries",
        r"(warning|error|fatal): .*",
    ),
    "cleanup": (
        rf"{ID}: message-id=\S*( .*)?",
        rf"{ID}: (reject|warning|hold|discard|redirect|prepend|replace|info|bcc): .*",
        r"(warning|error|fatal): .*",
    ),
    "pickup": (rf"{ID}: uid=\d+ from={ADDRESS}", r"(warning|error|fatal): .*"),
    "qmgr": (
        rf"{ID}: from={ADDRESS}, size=\d+, nrcpt=\d+ \(queue active\)",
        rf"{ID}: from={ADDRESS}, status=(expired|force-expired), returned to sender",
        rf"{ID}: removed",
        r"(warning|error|fatal): .*",
    ),
    "bounce": (
        rf"{ID}: (sender|postmaster) (non-delivery|delivery status|delay) notification: {ID}",
        r"(warning|error|fatal): .*",
    ),
    "master": (r"(daemon started -- version .*|stopping: .*|stopped|reload: .*)", r"(warning|error|fatal): .*"),
    "postsuper": (rf"{ID}: (removed|requeued|placed on hold|released from hold)", r"[A-Z][a-z]+: \d+ messages?( .*)?"),
}
DELIVERY = (
    rf"{ID}: to={ADDRESS}(, orig_to={ADDRESS})?, relay=\S+(, conn_use=\d+)?, delay=[\d.]+, "
    r"delays=[\d.]+/[\d.]+/[\d.]+/[\d.]+, dsn=[245]\.\d+\.\d+, status=(sent|deferred|bounced|expired|undeliverable) \(.*\)",
    rf"(Anonymous|Untrusted|Trusted|Verified) TLS connection established to .*|connect to .*|{ID}: host .* (said|refused).*",
    r"(warning|error|fatal): .*",
)
DELIVERERS = ("local", "virtual", "smtp", "relay/smtp", "lmtp", "pipe", "error", "discard")
HEAD = re.compile(r"postfix/(?P<program>[a-z]+(/[a-z]+)?)\[\d+\]: (?P<text>.*)")


def strange(log: str) -> list[str]:
    """The lines of a log that no reader of Postfix's would know."""
    table = {**LINES, **dict.fromkeys(DELIVERERS, DELIVERY)}
    compiled = {name: [re.compile(pattern) for pattern in patterns] for name, patterns in table.items()}
    found = []
    for line in log.splitlines():
        head = HEAD.fullmatch(line)
        if head is None or not any(p.fullmatch(head["text"]) for p in compiled.get(head["program"], ())):
            found.append(line)
    return found
