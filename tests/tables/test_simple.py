"""Tables without a file of their own, and the registry's list of types."""

import os
import pwd
from pathlib import Path

import pytest

from seawall.mail.words import split_words, unbrace
from seawall.tables.registry import INSTEAD, TYPES, Tables
from seawall.tables.system import is_local, users_of
from seawall.tables.table import TableUnsupported, Use


@pytest.mark.parametrize(
    ("spec", "key", "expected"),
    [
        ("inline:{a=b,{c = d e}}", "c", "d e"),
        ("inline:{A=b}", "a", "b"),
        ("inline:{a=b}", "A", "b"),
        ("inline:{a=b=c}", "a", "b=c"),
        ("inline:{a=1 a=2}", "a", "2"),
        ("internal:x", "a", None),
        ("static:OK", "anything", "OK"),
        ("static:{ a b }", "anything", "a b"),
        ("unix:passwd.byname", "no such user", None),
        ("unix:passwd.byname", "", None),
        ("unix:passwd.byname", "a\0b", None),
        ("unix:group.byname", "no such group", None),
    ],
)
def test_what_they_answer(spec: str, key: str, expected: str | None) -> None:
    assert Tables().open(spec).lookup(key) == expected


def test_unix_gives_the_lines_of_the_system() -> None:
    root = pwd.getpwuid(0)
    line = f"{root.pw_name}:{root.pw_passwd}:0:{root.pw_gid}:{root.pw_gecos}:{root.pw_dir}:{root.pw_shell}"
    assert Tables().open("unix:passwd.byname").lookup(root.pw_name) == line
    assert str(Tables().open("unix:group.byname").lookup("root")).startswith("root:")


def test_environ_gives_the_variables_of_the_process() -> None:
    table = Tables().open("environ:x", Use(fold=False))
    assert table.lookup("PATH") == os.environ["PATH"]
    assert table.lookup("no such variable") is None


def test_a_directory_server_behind_nss_is_seen(tmp_path: Path) -> None:
    file = tmp_path / "nsswitch.conf"
    file.write_text("# c\npasswd: files systemd [NOTFOUND=return]\ngroup: files ldap\n")
    assert is_local("passwd", str(file))
    assert not is_local("group", str(file))
    assert is_local("passwd", str(tmp_path / "none"))


@pytest.mark.parametrize("kind", sorted(INSTEAD))
def test_a_type_that_we_lack_is_told_with_what_to_use_instead(kind: str) -> None:
    assert kind not in TYPES
    with pytest.raises(TableUnsupported, match=f"unsupported dictionary type: {kind}: "):
        Tables().open(f"{kind}:/etc/x")


def test_an_unknown_type_and_a_missing_type_are_told() -> None:
    with pytest.raises(TableUnsupported, match="unsupported dictionary type: nope"):
        Tables().open("nope:x")
    with pytest.raises(TableUnsupported, match='expecting "type:name" form instead of "/etc/x"'):
        Tables().open("/etc/x")


def test_words_are_held_together_by_braces() -> None:
    assert split_words("a, b\tc\n") == ["a", "b", "c"]
    assert split_words("inline:{a=b, c=d} x") == ["inline:{a=b, c=d}", "x"]
    assert split_words("{a b") == ["{a b"]
    assert split_words("a} b") == ["a}", "b"]
    assert unbrace("{ a {b} }") == "a {b}"
    assert unbrace("{a}b") is None


def test_users_are_read_from_the_file_as_the_library_reads_it() -> None:
    text = "# c\n\nroot:x:0:0:root:/root:/bin/sh\nann:x:007:8::/home/ann:\nroot:x:9:9:other:/:/\n"
    assert users_of(text) == {"root": "root:x:0:0:root:/root:/bin/sh", "ann": "ann:x:7:8::/home/ann:"}


@pytest.mark.parametrize(
    "line", ["+::::::", "+@netgroup", " ann:x:1:1:::", "ann:x:1", "ann:x:-1:1:::", "ann:x:1:1::\0:"]
)
def test_a_file_with_a_line_of_another_kind_is_left_to_the_library(line: str) -> None:
    assert users_of(f"root:x:0:0:root:/root:/bin/sh\n{line}\n") is None
