"""What a configuration is compiled to, and what the server will not start with."""

import pytest

from seawall.config.settings import ConfigTrouble, Settings
from seawall.edge.profile import Profile, compile_profile
from seawall.smtp.end_of_data import BareNewline
from seawall.tables.registry import Tables

BASE = "compatibility_level = 3.6\nmyhostname = mail.example.com\n"


def compiled(main_cf: str = "") -> Profile:
    return compile_profile(Settings.from_text(BASE + main_cf), Tables())


def test_under_stress_a_client_has_less_time_and_fewer_errors() -> None:
    plain, stressed = compiled(), compiled("stress = yes\n")
    assert (plain.limits.timeout, stressed.limits.timeout) == (300, 10)
    assert (plain.limits.hard_errors, stressed.limits.hard_errors) == (20, 1)
    assert (plain.limits.per_request_deadline, stressed.limits.per_request_deadline) == (False, True)


def test_the_banner_is_bytes() -> None:
    assert compiled("smtpd_banner = $myhostname ESMTP x\n").banner == b"220 mail.example.com ESMTP x\r\n"


@pytest.mark.parametrize(
    ("value", "mode"),
    [
        ("yes", BareNewline.NORMALIZE),
        ("Normalize", BareNewline.NORMALIZE),
        ("no", BareNewline.NO),
        ("note", BareNewline.NOTE),
    ],
)
def test_bare_newlines_have_four_modes(value: str, mode: BareNewline) -> None:
    assert compiled(f"smtpd_forbid_bare_newline = {value}\n").rules.bare_newline is mode


@pytest.mark.parametrize("line", ["smtpd_forbid_bare_newline = maybe", "smtpd_tls_security_level = strong"])
def test_what_postfix_would_not_start_with_is_trouble(line: str) -> None:
    with pytest.raises(ConfigTrouble):
        compiled(line + "\n")


def test_the_greeting_waits_for_a_name_only_where_it_must() -> None:
    assert not compiled().needs_name_early
    assert compiled("smtpd_delay_reject = no\n").needs_name_early
    assert compiled("smtpd_authorized_xclient_hosts = 127.0.0.1\n").needs_name_early
    assert compiled("smtpd_forbid_bare_newline = reject\n").needs_name_early


@pytest.mark.parametrize(
    ("level", "offers", "requires"),
    [("", False, False), ("none", False, False), ("may", True, False), ("encrypt", True, True), ("secure", True, True)],
)
def test_tls_is_offered_and_required_by_its_level(level: str, offers: bool, requires: bool) -> None:
    rules = compiled(f"smtpd_tls_security_level = {level}\n").rules
    assert (rules.offers_tls, rules.requires_tls) == (offers, requires)


def test_forbidden_commands_may_be_patterns() -> None:
    rules = compiled().rules
    assert rules.is_forbidden("CONNECT")
    assert rules.is_forbidden("1x")
    assert rules.is_forbidden("\udcff")
    assert not rules.is_forbidden("FOO")


def test_an_unknown_keyword_is_named() -> None:
    assert compiled("smtpd_discard_ehlo_keywords = dsn, bogus\n").warnings == (
        'unknown EHLO keyword "bogus" in smtpd_discard_ehlo_keywords',
    )
