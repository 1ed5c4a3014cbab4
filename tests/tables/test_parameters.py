"""Where a remote table's parameters come from, and what is wrong with them; option files of MySQL's clients."""

from pathlib import Path

import pytest

from seawall.config.settings import Settings
from seawall.tables.mysql_options import read_options
from seawall.tables.parameters import BadParameters, Parameters, main_cf_of
from seawall.tables.registry import Tables
from seawall.tables.table import TableTrouble, no_main_cf


def of_file(**values: str) -> Parameters:
    return Parameters("/x.cf", values, no_main_cf)


def test_parameters_in_main_cf_have_their_macros_expanded() -> None:
    settings = Settings.from_text("box_user = ${who}x\nwho = me\nbox_limit = 5\n")
    parameters = Parameters("box", None, main_cf_of(settings))
    assert parameters.text("user") == "mex"
    assert parameters.number("limit", 0) == 5
    assert parameters.get("password") is None
    with pytest.raises(BadParameters, match="bad string length 0 < 1: box_dbname = "):
        parameters.text("dbname", low=1)


def test_parameters_in_a_file_stand_as_they_are() -> None:
    assert of_file(user="${who}").text("user") == "${who}"


@pytest.mark.parametrize("value", ["", "x", "1x", "1 ", "1_0", "99999999999"])
def test_a_number_is_a_number(value: str) -> None:
    with pytest.raises(BadParameters, match="bad numerical configuration: n = "):
        of_file(n=value).number("n", 0)


def test_numbers_have_bounds_and_flags_are_yes_or_no() -> None:
    with pytest.raises(BadParameters, match="invalid n parameter value 0 < 1"):
        of_file(n="0").number("n", 5, low=1)
    with pytest.raises(BadParameters, match="invalid n parameter value 9 > 8"):
        of_file(n="9").number("n", 5, high=8)
    with pytest.raises(BadParameters, match="bad boolean configuration: f = maybe"):
        of_file(f="maybe").flag("f", True)
    assert of_file(f="YES").flag("f", False)


@pytest.mark.parametrize("kind", ["pgsql", "mysql", "sqlite", "memcache"])
def test_a_table_without_its_file_is_trouble_when_it_is_asked(kind: str, tmp_path: Path) -> None:
    tables = Tables(root=str(tmp_path))
    table = tables.open(f"{kind}:/none.cf")
    assert tables.warnings == [f"{kind}:/none.cf is unavailable. open /none.cf: No such file or directory"]
    with pytest.raises(TableTrouble, match="open /none"):
        table.lookup("key")


def test_option_files_are_read_with_what_they_include(tmp_path: Path) -> None:
    (tmp_path / "my.cnf").write_text(
        "# comment\nuser = nobody\n[mysqld]\nport = 1\n[client]\nuser = 'one'\nskip-ssl\n!include /more.cnf\n!includedir /conf.d\n"
    )
    (tmp_path / "more.cnf").write_text("[client]\nport=3307\nssl_ca = /ca.pem\n[extra]\nuser = two\n")
    (tmp_path / "conf.d").mkdir()
    (tmp_path / "conf.d/a.cnf").write_text("[client]\nsocket = /s\n!include /my.cnf\n")
    (tmp_path / "conf.d/a.txt").write_text("[client]\nsocket = /t\n")

    def path(name: str) -> str:
        return str(tmp_path) + name

    options = read_options(of_file(option_file="/my.cnf"), path)
    assert (options.user, options.port, options.socket, options.ca_file) == ("one", 3307, "/s", "/ca.pem")
    options = read_options(of_file(option_file="/more.cnf", option_group="extra", tls_CAfile="/mine.pem"), path)
    assert (options.user, options.port, options.ca_file) == ("two", 3307, "/mine.pem")
    assert read_options(of_file(option_group=""), path).user == ""
