"""A configuration to ask."""

from pathlib import Path

import pytest

from seawall.config.host import Host, mynetworks
from seawall.config.settings import ConfigTrouble, Settings, load
from seawall.mail.network import Network

SERVER = Host("mx.example.com", (Network(0x7F000001, 8, 32), Network(0xC0000205, 24, 32), Network(1, 128, 128)))


def test_a_value_is_expanded_and_typed() -> None:
    settings = Settings.from_text("myhostname = a.example\nsmtpd_banner = $myhostname\n  hello\nsmtpd_timeout = 2m\n")
    assert settings.text("smtpd_banner") == "a.example  hello"
    assert settings.raw("smtpd_banner") == "$myhostname  hello"
    assert settings.seconds("smtpd_timeout") == 120
    assert settings.flag("smtpd_helo_required") is False
    assert settings.number("smtpd_hard_error_limit") == 20
    assert settings.words("mydestination") == ("a.example", "localhost.example", "localhost")


def test_an_undefined_name_expands_to_nothing_as_in_postfix() -> None:
    assert Settings.from_text("relayhost = [$nobody]\n").text("relayhost") == "[]"


def test_trouble_names_file_and_line() -> None:
    settings = Settings.from_text("a = 1\nsmtpd_soft_error_limit = many\nmyorigin = $myorigin\n")
    with pytest.raises(ConfigTrouble) as caught:
        settings.number("smtpd_soft_error_limit")
    assert (
        str(caught.value) == "/etc/postfix/main.cf, line 2: bad numerical configuration: smtpd_soft_error_limit = many"
    )
    with pytest.raises(ConfigTrouble) as caught:
        settings.text("myorigin")
    assert caught.value.location is not None and caught.value.location.line == 3


def test_a_name_that_nobody_knows_is_trouble() -> None:
    settings = Settings.from_text("mine = 1\n")
    assert settings.text("mine") == "1"
    with pytest.raises(ConfigTrouble, match="unknown parameter: yours"):
        settings.text("yours")


def test_under_stress_limits_and_times_are_others() -> None:
    calm = Settings.from_text("")
    stressed = calm.with_overrides({"stress": "yes"})
    assert (calm.number("smtpd_hard_error_limit"), stressed.number("smtpd_hard_error_limit")) == (20, 1)
    assert (calm.seconds("smtpd_timeout"), stressed.seconds("smtpd_timeout")) == (300, 10)
    assert calm.flag("smtpd_per_request_deadline") is False and stressed.flag("smtpd_per_request_deadline") is True


def test_an_override_leaves_the_first_view_alone() -> None:
    first = Settings.from_text("smtpd_timeout = 5\n")
    second = first.with_overrides({"smtpd_timeout": "6"})
    assert (first.seconds("smtpd_timeout"), second.seconds("smtpd_timeout")) == (5, 6)
    assert first.where("smtpd_timeout") is not None and second.where("smtpd_timeout") is None


def test_defaults_follow_the_compatibility_level() -> None:
    old, new = Settings.from_text(""), Settings.from_text("compatibility_level = 3.12\n")
    assert old.flag("append_dot_mydomain") is True and new.flag("append_dot_mydomain") is False
    assert old.words("smtpd_relay_restrictions") == ()
    assert "defer_unauth_destination" in new.words("smtpd_relay_restrictions")


def test_a_transports_own_parameter_has_the_default_of_its_family() -> None:
    settings = Settings.from_text("default_destination_concurrency_limit = 15\nslow_destination_rate_delay = 2\n")
    assert settings.number("smtp_destination_concurrency_limit") == 15
    assert settings.number("local_destination_concurrency_limit") == 2
    assert settings.seconds("slow_destination_rate_delay") == 2
    assert settings.number("x_destination_recipient_limit") == 50
    assert settings.number("x_recipient_limit") == 20000
    assert settings.seconds("mailman_time_limit") == 1000


def test_old_spellings_count_as_the_default_of_the_new_ones() -> None:
    settings = Settings.from_text("virtual_maps = hash:/a\nfallback_relay = [b]\npostscreen_blacklist_action = drop\n")
    assert settings.text("virtual_alias_maps") == "hash:/a"
    assert settings.text("smtp_fallback_relay") == "[b]"
    assert settings.text("postscreen_denylist_action") == "drop"


def test_a_raw_parameter_keeps_its_macros() -> None:
    settings = Settings.from_text("default_rbl_reply = $rbl_code no\n")
    assert settings.text("default_rbl_reply") == "$rbl_code no"
    assert "$home" in settings.text("forward_path")


def test_the_host_gives_its_name_and_networks() -> None:
    settings = Settings.from_text("compatibility_level = 1\n", host=SERVER)
    assert settings.text("myhostname") == "mx.example.com"
    assert settings.text("mydomain") == "example.com"
    assert settings.text("mynetworks") == "127.0.0.0/8 192.0.2.0/24 [::1]/128"
    narrow = settings.with_overrides({"mynetworks_style": "host", "inet_protocols": "ipv4"})
    assert narrow.text("mynetworks") == "127.0.0.1/32 192.0.2.5/32"


def test_a_host_name_without_a_domain_gets_one() -> None:
    short = Host("mx", ())
    assert Settings.from_text("", host=short).text("myhostname") == "mx.localdomain"
    assert Settings.from_text("mydomain = example.org\n", host=short).text("myhostname") == "mx.example.org"


@pytest.mark.parametrize(
    ("style", "interfaces", "networks"),
    [
        ("class", ("all",), "127.0.0.0/8 192.0.2.0/24 [::1]/128"),
        ("subnet", ("loopback-only",), "127.0.0.0/8 [::1]/128"),
        ("host", ("192.0.2.5",), "192.0.2.5/32"),
        ("subnet", ("127.0.0.1", "[::1]"), "127.0.0.0/8 [::1]/128"),
    ],
)
def test_mynetworks_follows_style_and_interfaces(style: str, interfaces: tuple[str, ...], networks: str) -> None:
    assert mynetworks(style, SERVER, interfaces, ("all",)) == networks


def test_a_configuration_below_root_is_read_there(tmp_path: Path) -> None:
    (tmp_path / "etc/postfix").mkdir(parents=True)
    (tmp_path / "etc/postfix/main.cf").write_text("myhostname = below.example\n")
    settings = load("/etc/postfix", str(tmp_path))
    assert settings.text("myhostname") == "below.example"
    assert str(settings.where("myhostname")) == "/etc/postfix/main.cf, line 1"
    assert settings.path("/etc/aliases") == f"{tmp_path}/etc/aliases"
    assert settings.path("private/auth") == "private/auth"


def test_a_directory_without_main_cf_is_trouble(tmp_path: Path) -> None:
    with pytest.raises(ConfigTrouble, match="No such file"):
        load(str(tmp_path))
