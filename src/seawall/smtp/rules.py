"""What one configuration lets the engine do: limits, strictness, offers.  A value, made once for each profile."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from seawall.smtp.end_of_data import BareNewline


def _never(word: str) -> bool:
    return False


@dataclass(frozen=True, slots=True)
class Rules:
    """Names and meanings are those of postconf(5); sizes are bytes, 0 is no limit."""

    hostname: str
    """myhostname"""
    helo_required: bool = False
    """smtpd_helo_required"""
    strict_envelopes: bool = False
    """strict_rfc821_envelopes"""
    smtputf8: bool = True
    """smtputf8_enable"""
    strict_smtputf8: bool = False
    line_length_limit: int = 2048
    message_size_limit: int = 10240000
    bare_newline: BareNewline = BareNewline.NORMALIZE
    """smtpd_forbid_bare_newline; a session of smtpd_forbid_bare_newline_exclusions is told otherwise."""
    bare_newline_code: int = 550
    """smtpd_forbid_bare_newline_reject_code"""
    forbid_unauth_pipelining: bool = True
    disable_vrfy: bool = False
    """disable_vrfy_command"""
    discarded: frozenset[str] = frozenset()
    """smtpd_discard_ehlo_keywords, as `extensions.parse_discarded` gives them."""
    sasl: bool = False
    """smtpd_sasl_auth_enable"""
    auth_needs_tls: bool = False
    """smtpd_tls_auth_only, or TLS is mandatory."""
    offers_tls: bool = False
    """smtpd_tls_security_level is may or encrypt."""
    requires_tls: bool = False
    """smtpd_tls_security_level is encrypt."""
    response_limit: int = 12288
    """smtpd_sasl_response_limit"""
    verp_filter: str = "-=+"
    """verp_delimiter_filter"""
    default_verp: str = "+="
    """default_verp_delimiters"""
    is_noop: Callable[[str], bool] | None = None
    """smtpd_noop_commands, None where there are none."""
    is_forbidden: Callable[[str], bool] = _never
    """smtpd_forbidden_commands"""
    command_filter: Callable[[str], str | None] | None = None
    """smtpd_command_filter"""
