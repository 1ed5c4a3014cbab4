"""master.cf: lines, services, overrides."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from seawall.config.master_cf import STANDARD, Service, load_master, parse_entries, parse_entry, parse_master
from seawall.config.settings import Settings
from seawall.config.source import ConfigTrouble, Location

HERE = Location("master.cf", 1)
NEW = Settings.from_text("compatibility_level = 3.6\ndefault_process_limit = 7\n")


def service(text: str, settings: Settings = NEW) -> Service:
    (one,) = parse_master(text, "/etc/postfix/master.cf", settings)
    return one


def test_a_dash_stands_for_the_default_of_its_field() -> None:
    found = service("smtp unix - - - - - smtp\n")
    assert found.private and found.unprivileged and not found.chroot
    assert (found.wakeup, found.maxproc) == (0, 7)


def test_before_compatibility_level_1_a_service_is_chrooted_unless_told_otherwise() -> None:
    assert service("smtp unix - - - - - smtp\n", Settings.from_text("")).chroot


def test_overrides_are_read_in_all_their_spellings() -> None:
    found = service(
        "smtp inet n - n - - smtpd -v\n  -o a=1 -ob=2\n# a remark\n  -o { c = x y , z }  -vo d=4\n  -o a=5\n"
    )
    assert dict(found.overrides) == {"b": "2", "c": "x y , z", "d": "4", "a": "5"}
    assert found.arguments == ("-v", "-v")
    assert found.location.line == 1


def test_a_pipes_arguments_stay_and_lose_their_braces() -> None:
    found = service("mailman unix - n n - 10 pipe -o x=1 flags=FR { user = list } argv=/bin/m ${nexthop}\n")
    assert found.arguments == ("flags=FR", "user = list", "argv=/bin/m", "${nexthop}")
    assert found.maxproc == 10


def test_a_wakeup_time_with_a_question_mark_waits_for_the_first_use() -> None:
    found = service("flush unix n - n 1000? 0 flush\n")
    assert (found.wakeup, found.wakes_when_used, found.maxproc) == (1000, True, 0)


def test_a_service_sees_main_cf_with_its_overrides_and_its_own_name() -> None:
    found = service("submission inet n - n - - smtpd -o syslog_name=postfix/$service_name -o smtpd_timeout=5\n")
    view = found.settings(NEW)
    assert view.text("syslog_name") == "postfix/submission"
    assert view.seconds("smtpd_timeout") == 5
    assert str(view.where("smtpd_timeout")) == "/etc/postfix/master.cf, line 1"


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("smtp inet n - n -", "bad field count"),
        ("smtp udp n - n - - smtpd", 'invalid type field "udp"'),
        ("smtp inet q - n - - smtpd", 'invalid private field "q"'),
        ("smtp inet n - x - - smtpd", 'invalid chroot field "x"'),
        ("smtp inet n - n 5x - smtpd", 'invalid wakeup field "5x"'),
        ("smtp inet n - n - 5? smtpd", 'invalid process_limit field "5?"'),
        ("smtp inet - - n - - smtpd", "inet service cannot be private"),
        ("smtp inet n - n - - smtpd -o foo", "missing '=' after attribute name"),
        ("smtp inet n - n - - smtpd -o { foo }", "missing '=' after attribute name"),
        ("smtp inet n - n - - smtpd -o { a=b", "missing '}'"),
    ],
)
def test_a_bad_line_is_trouble_with_its_place(line: str, message: str) -> None:
    with pytest.raises(ConfigTrouble) as caught:
        parse_master(line, "/etc/postfix/master.cf", NEW)
    assert message in caught.value.message
    assert caught.value.location == Location("/etc/postfix/master.cf", 1)


def test_master_service_disable_takes_services_out_by_name_or_type() -> None:
    text = "smtp inet n - n - - smtpd\n25 inet n - n - - smtpd\nsmtp unix - - n - - smtp\n"
    settings = Settings.from_text("master_service_disable = !25/inet inet\n")
    assert [found.name + "/" + found.type for found in parse_master(text, "m", settings)] == ["25/inet", "smtp/unix"]


def test_a_site_without_master_cf_gets_postfixs_services(tmp_path: Path) -> None:
    (tmp_path / "main.cf").write_text("")
    assert len(load_master(str(tmp_path))) == len(parse_entries(STANDARD, "m"))


@given(st.text(alphabet="-ov{}= ab,\t", max_size=40))
def test_whatever_follows_the_command_is_an_entry_or_config_trouble(rest: str) -> None:
    try:
        parse_entry("smtp inet n - n - - smtpd " + rest, HERE).overrides()
    except ConfigTrouble as trouble:
        assert trouble.location == HERE
