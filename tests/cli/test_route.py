import json
from pathlib import Path

import pytest

from seawall.cli.route import main

CONFIG = """\
compatibility_level = 3.6
myhostname = mail.example.org
mydestination = $myhostname, example.org
local_recipient_maps = inline:{alice=x}
virtual_alias_domains = v.example
virtual_alias_maps = texthash:/etc/postfix/virtual
transport_maps = inline:{r.example=smtp:[192.0.2.9]}
relay_domains = r.example
"""


@pytest.fixture
def root(tmp_path: Path) -> str:
    directory = tmp_path / "etc/postfix"
    directory.mkdir(parents=True)
    (directory / "main.cf").write_text(CONFIG)
    (directory / "virtual").write_text("list@v.example alice, bob@r.example\n")
    return str(tmp_path)


def test_a_route_tells_every_table_that_was_asked(root: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--root", root, "--json", "list@v.example"]) == 0
    [answered] = json.loads(capsys.readouterr().out)
    assert [goal["recipient"] for goal in answered["goals"]] == ["alice@mail.example.org", "bob@r.example"]
    assert [goal["address_class"] for goal in answered["goals"]] == ["local", "relay"]
    assert [goal["nexthop"] for goal in answered["goals"]] == ["mail.example.org", "[192.0.2.9]"]
    assert [goal["exists"] for goal in answered["goals"]] == [True, None]
    asked = {(each["parameter"], each["key"]): each["answer"] for each in answered["asked"]}
    assert asked["virtual_alias_maps", "list@v.example"] == "alice, bob@r.example"
    assert asked["transport_maps", "r.example"] == "smtp:[192.0.2.9]"
    assert asked["local_recipient_maps", "alice"] == "x"


def test_a_route_is_readable(root: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--root", root, "nobody", "x@bad..example"]) == 0
    text = capsys.readouterr().out
    assert "  rewritten  nobody@mail.example.org\n" in text
    assert "  class      local\n" in text
    assert "  exists     no\n" in text
    assert "User unknown in local recipient table" in text
    assert "bad address syntax" in text


def test_a_table_that_fails_is_told_and_shown_by_the_exit_code(root: str, capsys: pytest.CaptureFixture[str]) -> None:
    (Path(root) / "etc/postfix/virtual").unlink()
    assert main(["--root", root, "alice"]) == 75
    assert "trouble" in capsys.readouterr().out


def test_a_configuration_that_is_wrong_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["-c", str(tmp_path / "none"), "alice"]) == 78
    assert "seawall route:" in capsys.readouterr().err
