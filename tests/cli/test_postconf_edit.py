"""`seawall postconf -e, -X, -#` change what they are told to, and nothing else."""

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from seawall.cli.postconf import main
from seawall.cli.postconf_edit import split_blocks
from seawall.config.main_cf import parse_main_cf
from seawall.config.settings import load

MAIN = """\
# top
a = 1
  # inside
  2

b = 3
# end
a = 4
"""
MASTER = """\
# top
smtp inet n - n - - smtpd
  -o x=1
# about list
list unix - n n - - pipe
  # inside
  argv=/bin/list
"""


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    (tmp_path / "main.cf").write_text(MAIN)
    (tmp_path / "master.cf").write_text(MASTER)
    return tmp_path


def edited(directory: Path, *arguments: str, file: str = "main.cf") -> str:
    assert main(["-c", str(directory), *arguments]) == 0
    return (directory / file).read_text()


def test_e_sets_where_it_stands_and_adds_at_the_end(directory: Path) -> None:
    assert edited(directory, "-e", "b = 5 6", "new=7") == MAIN.replace("b = 3", "b = 5 6") + "new = 7\n"


def test_an_assignment_needs_no_e(directory: Path) -> None:
    assert edited(directory, "b=") == MAIN.replace("b = 3", "b = ")


def test_e_replaces_all_lines_of_a_value_and_every_one_of_that_name(
    directory: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert edited(directory, "-e", "a=9") == "# top\na = 9\n  # inside\n\nb = 3\n# end\na = 9\n"
    assert f'postconf: warning: {directory}/main.cf: multiple entries for "a"' in capsys.readouterr().err


def test_x_capital_takes_out_and_the_hash_comments_out(directory: Path) -> None:
    assert edited(directory, "-X", "a") == "# top\n  # inside\n\nb = 3\n# end\n"
    assert edited(directory, "-#", "b") == "# top\n  # inside\n\n#b = 3\n# end\n"


def test_a_file_without_a_last_line_end_gets_one(directory: Path) -> None:
    (directory / "main.cf").write_text("a = 1")
    assert edited(directory, "-e", "b=2") == "a = 1\nb = 2\n"


def test_mode_and_content_change_at_once_and_no_other_file_stays(directory: Path) -> None:
    (directory / "main.cf").chmod(0o640)
    before = (directory / "main.cf").stat().st_ino
    edited(directory, "-e", "b=5")
    after = (directory / "main.cf").stat()
    assert after.st_ino != before
    assert after.st_mode & 0o777 == 0o640
    assert sorted(path.name for path in directory.iterdir()) == ["main.cf", "master.cf"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["-e", "a"], "missing '=' after attribute name: \"a\""),
        (["-e", "#a=1"], "-e, -X, or -# accepts no comment input"),
        (["-e", "a=1\nb=2"], "-e, -X, or -# accepts no multi-line input"),
        (["-X", "a=1"], "-X or -# requires parameter names without value"),
        (["-MX", "smtp"], "-Me, -MX or -M# requires service_name/type"),
        (["-Me", "x/unix=x unix"], 'bad field count: "x/unix=x unix"'),
        (["-Fe", "smtp/inet/*=1"], "-Fe does not accept wild-card field name"),
        (["-Fe", "smtp/inet/chroot=a b"], "-Fe does not accept whitespace in non-command field"),
        (["-Pe", "smtp/inet/x=a b"], "-Pe does not accept whitespace in parameter value"),
    ],
)
def test_a_bad_request_changes_nothing(
    directory: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], message: str
) -> None:
    # -X and -MX with an equals sign would count as -e, as in Postfix
    code = main(["-c", str(directory), *arguments])
    err = capsys.readouterr().err
    assert code == 1
    assert message in err or "specify one of -e -X" in err
    assert (directory / "main.cf").read_text() == MAIN
    assert (directory / "master.cf").read_text() == MASTER


def test_me_replaces_adds_and_mx_takes_out_a_service(directory: Path) -> None:
    text = edited(directory, "-Me", "smtp/inet=smtp inet n - y - 5 smtpd -o { y = 1 2 }", file="master.cf")
    assert text.startswith(
        "# top\nsmtp       inet  n       -       y       -       5       smtpd\n    -o {y=1 2}\n# about"
    )
    text = edited(directory, "-Me", "new/unix=new unix - - n - - smtp", file="master.cf")
    assert text.endswith("new        unix  -       -       n       -       -       smtp\n")
    assert "list unix" not in edited(directory, "-MX", "list/unix", file="master.cf")
    assert "\n#smtp " in edited(directory, "-M#", "smtp/inet", file="master.cf")


def test_fe_changes_a_field_and_pe_and_px_an_override(directory: Path) -> None:
    assert "smtp       inet  n       -       y" in edited(directory, "-Fe", "smtp/inet/chroot=y", file="master.cf")
    text = edited(directory, "-Pe", "smtp/inet/x=2", "smtp/inet/z=3", file="master.cf")
    assert "    -o x=2\n    -o z=3\n" in text
    assert "x=2" not in edited(directory, "-PX", "smtp/inet/x", file="master.cf")


def test_comments_of_master_cf_stay_where_they_stand(directory: Path) -> None:
    text = edited(directory, "-Fe", "*/*/chroot=y", file="master.cf")
    assert [line for line in text.splitlines() if "#" in line] == ["# top", "# about list", "  # inside"]
    assert text.index("# about list") > text.index("smtp ")


lines = st.lists(st.sampled_from(["a = 1", "b=2", "  c", "# d", "", "\t", "  # e", "f", "a=3 # g"]), max_size=12)


@given(lines)
def test_the_blocks_of_a_file_are_the_file(found: list[str]) -> None:
    text = "".join(line + "\n" for line in found)
    assert "".join(line for block in split_blocks(text) for line in block.lines) == text


names = st.sampled_from(["a", "b", "relayhost"])
values = st.text(st.characters(codec="utf-8", exclude_characters="\n\0", exclude_categories=["Cs"]), max_size=30)


@settings(max_examples=50, deadline=None)
@given(found=lines, name=names, value=values)
def test_what_was_set_is_read_back(
    tmp_path_factory: pytest.TempPathFactory, found: list[str], name: str, value: str
) -> None:
    directory = tmp_path_factory.mktemp("edit")
    text = "".join(line + "\n" for line in found if line not in ("f", "  c"))
    (directory / "main.cf").write_text(text)
    assert main(["-c", str(directory), "-e", f"{name}={value}"]) == 0
    wanted = parse_main_cf(f"{name} = {value}\n", "main.cf").values[name].text
    assert load(str(directory)).raw(name) == wanted
    others = {key: one.text for key, one in parse_main_cf(text, "main.cf").values.items() if key != name}
    assert {key: load(str(directory)).raw(key) for key in others} == others
