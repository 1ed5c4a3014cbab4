"""Which names a configuration may use."""

from pathlib import Path

from seawall.config.master_cf import parse_entries
from seawall.config.names import NameClass, Names
from seawall.config.settings import Settings


def names_of(main: str, master: str = "", root: str = "") -> Names:
    return Names(Settings.from_text(main, root=root), parse_entries(master, "/etc/postfix/master.cf"))


def unused(names: Names) -> list[str]:
    return [f"{scope.file}: {name}={value}" for scope, name, value in names.unused()]


def test_a_name_that_nothing_uses_is_unused() -> None:
    assert unused(names_of("foo = bar\n")) == ["/etc/postfix/main.cf: foo=bar"]


def test_a_name_that_a_value_uses_is_the_sites_own() -> None:
    names = names_of("domain = x.example\nmyhostname = mx.$domain\n")
    assert unused(names) == []
    assert names.classes["domain"] is NameClass.USER


def test_a_condition_uses_the_names_on_both_its_sides() -> None:
    assert unused(names_of("a = 1\nb = 2\nmyorigin = ${stress?{$a}:{$b}}\n")) == []


def test_restriction_classes_are_the_sites_own() -> None:
    assert unused(names_of("smtpd_restriction_classes = one, two\none = permit\ntwo = reject\nthree = permit\n")) == [
        "/etc/postfix/main.cf: three=permit"
    ]


def test_an_undefined_name_is_warned_about_once_it_is_used() -> None:
    assert names_of("relayhost = $nobody\n").warnings == ["/etc/postfix/main.cf: undefined parameter: nobody"]


def test_the_old_form_of_database_tables_makes_names() -> None:
    names = names_of("virtual_alias_maps = hash:/x proxy:pgsql:vpm\nvpm_hosts = db\nvpm_bogus = 1\n")
    assert unused(names) == ["/etc/postfix/main.cf: vpm_bogus=1"]
    assert names.classes["vpm_hosts"] is NameClass.USER
    assert names.warnings == []


def test_a_database_table_in_braces_is_found_too() -> None:
    text = "virtual_alias_maps = unionmap:{ldap:dir, hash:/x}\nsmtpd_client_restrictions = { check_client_access mysql:m }\n"
    assert unused(names_of(text + "dir_server_host = a\nm_query = q\n")) == []


def test_a_database_tables_own_file_is_checked_for_unknown_names(tmp_path: Path) -> None:
    (tmp_path / "pg.cf").write_text("hosts = db\nquery = select 1\ncolour = blue\n")
    main = "virtual_alias_maps = pgsql:/pg.cf\ntransport_maps = pgsql:/pg.cf sqlite:/missing.cf\n"
    assert names_of(main, root=str(tmp_path)).warnings == [
        "pgsql:/pg.cf: unused parameter: colour=blue",
        'open "sqlite" configuration "/missing.cf": No such file or directory',
    ]


def test_a_service_brings_its_family_of_names() -> None:
    names = names_of("slow_destination_rate_delay = 1s\n", "slow unix - - n - - smtp\nfoo unix - n n - - pipe\n")
    assert unused(names) == []
    assert names.classes["slow_destination_rate_delay"] is NameClass.SERVICE
    assert names.default("foo_time_limit") == "$command_time_limit"
    assert "slow_time_limit" not in names.classes


def test_overrides_have_a_name_space_of_their_own() -> None:
    master = "smtp inet n - n - - smtpd -o mine=1 -o syslog_name=postfix/$mine -o lost=2 -o cls=reject\n"
    names = names_of("smtpd_restriction_classes = cls\ncls = permit\n", master)
    assert unused(names) == ["/etc/postfix/master.cf: lost=2"]


def test_a_name_that_main_cf_uses_may_be_set_in_master_cf() -> None:
    names = names_of("smtpd_banner = $myhostname $which\n", "smtp inet n - n - - smtpd -o which=a\n")
    assert (unused(names), names.warnings) == ([], [])


def test_a_running_programs_own_names_cannot_be_set() -> None:
    assert names_of("process_name = x\n").warnings == [
        "/etc/postfix/main.cf: read-only parameter assignment: process_name=x"
    ]


def test_an_old_spelling_is_shown_where_it_is_set() -> None:
    names = names_of("virtual_maps = hash:/x\n")
    assert names.classes["virtual_maps"] is NameClass.USER
    assert names.classes["fallback_relay"] is NameClass.LEGACY
    assert (unused(names), names.warnings) == ([], [])


def test_trouble_in_a_value_is_a_warning() -> None:
    assert names_of("relayhost = ${broken\n").warnings[0] == 'truncated macro reference: "${broken"'
