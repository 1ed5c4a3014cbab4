"""postmap, postalias, newaliases: options, output, messages, exit codes."""

import io
import os
import sys
from pathlib import Path

import pytest

from seawall.cli import newaliases, postalias, postmap
from seawall.tables.build import FORMATS


class Shell:
    """Runs the tools in a directory, with standard input, and gives what they printed."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, capture: pytest.CaptureFixture[bytes], place: Path) -> None:
        self._monkeypatch = monkeypatch
        self._capture = capture
        self._place = place
        monkeypatch.chdir(place)
        monkeypatch.setenv("MAIL_CONFIG", str(place))
        self.code = 0
        self.err = ""

    def write(self, name: str, text: str) -> None:
        (self._place / name).write_text(text, encoding="utf-8", errors="surrogateescape")

    def __call__(self, command: str, *arguments: str, stdin: str = "") -> str:
        tool = {"postmap": postmap, "postalias": postalias, "newaliases": newaliases}[command]
        with open(self._place / ".stdin", "w+b") as file:
            file.write(stdin.encode("utf-8", "surrogateescape"))
            file.seek(0)
            self._monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(file))
            self.code = tool.main(list(arguments))
        out, err = self._capture.readouterr()
        self.err = err.decode("utf-8", "surrogateescape")
        return out.decode("utf-8", "surrogateescape")


@pytest.fixture
def sh(monkeypatch: pytest.MonkeyPatch, capsysbinary: pytest.CaptureFixture[bytes], tmp_path: Path) -> Shell:
    return Shell(monkeypatch, capsysbinary, tmp_path)


SOURCE = """\
# comment
a b
  c d
"q r" v
"q x
k:  v
nov
A upper
Key value
"""


@pytest.mark.parametrize("kind", sorted(FORMATS))
def test_a_table_is_built_and_queried(sh: Shell, kind: str) -> None:
    sh.write("map", SOURCE)
    assert sh("postmap", f"{kind}:map") == ""
    assert sh.code == 0
    shown = {"cdb": "map", "lmdb": "lmdb:map"}.get(kind, "map.db")
    assert sh.err == (
        "postmap: warning: map, line 5: unbalanced '\"' in '\"q x' -- ignoring this line\n"
        'postmap: warning: map, line 6: record is in "key: value" format; is this an alias file?\n'
        "postmap: warning: map, line 7: expected format: key whitespace value\n"
        f'postmap: warning: {shown}: duplicate entry: "a"\n'
    )
    assert sh("postmap", "-q", "KEY", f"{kind}:map") == "value\n"
    assert sh.code == 0
    assert sh("postmap", "-q", "nothing", f"{kind}:map") == ""
    assert sh.code == 1
    assert sh("postmap", "-q", "-", f"{kind}:map", stdin="a\nnothing\nKEY\n") == "a\tb  c d\nKEY\tvalue\n"
    assert sorted(sh("postmap", "-s", f"{kind}:map").splitlines()) == ['"q r"\tv', "a\tb  c d", "k:\tv", "key\tvalue"]


@pytest.mark.parametrize("kind", sorted(FORMATS))
def test_entries_are_added_and_deleted(sh: Shell, kind: str) -> None:
    sh.write("map", "a 1\nb 2\n")
    sh("postmap", f"{kind}:map")
    sh("postmap", "-i", f"{kind}:map", stdin="c 3\na 9\n")
    assert "duplicate entry" in sh.err
    assert sh("postmap", "-q", "-", f"{kind}:map", stdin="a\nb\nc\n") == "a\t1\nb\t2\nc\t3\n"
    sh("postmap", "-r", "-i", f"{kind}:map", stdin="a 9\n")
    assert sh.err == ""
    assert sh("postmap", "-q", "a", f"{kind}:map") == "9\n"
    sh("postmap", "-w", "-i", f"{kind}:map", stdin="a 8\n")
    assert (sh.err, sh("postmap", "-q", "a", f"{kind}:map")) == ("", "9\n")
    sh("postmap", "-d", "A", f"{kind}:map")
    assert sh.code == 0
    sh("postmap", "-d", "a", f"{kind}:map")
    assert sh.code == 1
    sh("postmap", "-d", "-", f"{kind}:map", stdin="b\nx\n")
    assert sh.code == 0
    assert sh("postmap", "-s", f"{kind}:map") == "c\t3\n"


@pytest.mark.parametrize("kind", sorted(FORMATS))
def test_adding_makes_a_file_that_is_not_there_and_deleting_does_not(sh: Shell, kind: str) -> None:
    sh("postmap", "-i", f"{kind}:new", stdin="a 1\n")
    assert sh("postmap", "-s", f"{kind}:new") == "a\t1\n"
    sh("postmap", "-d", "a", f"{kind}:none")
    suffix = FORMATS[kind].family.suffix
    assert (sh.code, sh.err) == (1, f"postmap: fatal: open database none{suffix}: No such file or directory\n")


def test_unfolded_keys_are_asked_as_they_are(sh: Shell) -> None:
    sh.write("map", "Key v\n")
    sh("postmap", "-f", "hash:map")
    assert sh("postmap", "-q", "Key", "hash:map") == ""
    assert sh("postmap", "-f", "-q", "Key", "hash:map") == "v\n"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ((), "usage: postmap [-bfFhimnNoprsuUvw] [-c config_dir] [-d key] [-q key] [map_type:]file..."),
        (("-q", "a"), "usage: postmap [-bfFhimnNoprsuUvw] [-c config_dir] [-d key] [-q key] [map_type:]file..."),
        (("-q", "a", "-s", "hash:x"), "specify only one of -s or -q or -d"),
        (("-q", "a", "-d", "b", "hash:x"), "specify only one of -s -q or -d"),
        (("-q", "a", "-h", "hash:x"), 'specify -b -h or -m only with "-q -"'),
        (("-h", "hash:x"), 'specify -b -h or -m only with "-q -"'),
        (("-q", "a", "hash:x"), "open database x.db: No such file or directory"),
        (("-q", "a", "x"), "open database x.db: No such file or directory"),
        (("-q", "a", "texthash:x"), "open database x: No such file or directory"),
        (("-q", "a", "regexp:x"), "open x: No such file or directory"),
        (("-q", "a", "nope:x"), "unsupported dictionary type: nope"),
        (("-q", "a", "fail:x"), "table fail:x: query error: Application error"),
        (("-q", "a", "pipemap:x"), 'bad syntax: "pipemap:x"; need "pipemap:{type:name...}"'),
        (("hash:x",), "open x: No such file or directory"),
        (("texthash:map",), "unsupported dictionary type: texthash does not support bulk-mode creation."),
        (("nope:map",), "unsupported dictionary type: nope. Is the postfix-nope package installed?"),
        (("proxy:hash:map",), "can't create maps via the proxy service"),
        (("-d", "a", "texthash:map"), "texthash:map map requires O_RDONLY access mode"),
        (("-s", "regexp:{{/a/ b}}"), "table regexp:{{/a/ b}}: sequence operation is not supported"),
        (("-s", "proxy:hash:map"), "can't sequence maps via the proxy service"),
        (("-c", "/nonexistent", "-q", "a", "static:x"), "open /nonexistent/main.cf: No such file or directory"),
    ],
)
def test_what_ends_the_tool(sh: Shell, arguments: tuple[str, ...], words: str) -> None:
    sh.write("map", "a b\n")
    assert sh("postmap", *arguments) == ""
    assert sh.code == 1
    assert sh.err == f"postmap: fatal: {words}\n"


def test_a_wrong_option_is_told_as_getopt_tells_it(sh: Shell) -> None:
    sh("postmap", "-Z")
    assert sh.err.startswith("postmap: invalid option -- 'Z'\npostmap: fatal: usage: ")
    sh("postmap", "-q")
    assert sh.err.startswith("postmap: option requires an argument -- 'q'\npostmap: fatal: usage: ")


def test_listing_nothing_finds_nothing(sh: Shell) -> None:
    assert (sh("postmap", "-s"), sh.code, sh.err) == ("", 1, "")


def test_the_type_may_come_from_main_cf(sh: Shell) -> None:
    sh.write("main.cf", "default_database_type = cdb\n")
    sh.write("map", "a 1\n")
    sh("postmap", "map")
    assert os.path.exists("map.cdb")
    assert sh("postmap", "-q", "a", "map") == "1\n"


def test_the_first_table_that_knows_answers(sh: Shell) -> None:
    assert sh("postmap", "-q", "a", "inline:{b=1}", "inline:{a=2}", "inline:{a=3}") == "2\n"
    assert sh("postmap", "-q", "-", "inline:{b=1}", "inline:{a=2}", stdin="a\nb\nc\n") == "a\t2\nb\t1\n"


def test_an_empty_answer_is_warned_of(sh: Shell) -> None:
    assert sh("postmap", "-q", "c", "inline:{c=}") == "\n"
    assert sh.err == (
        "postmap: warning: table inline:{c=}: key c: empty string result is not allowed\n"
        "postmap: warning: table inline:{c=} should return NO RESULT in case of NOT FOUND\n"
    )


def test_what_cannot_be_printed_is_shown_as_a_question_mark(sh: Shell) -> None:
    sh.write("map", "a\x07b\udcff c\n")
    sh("postmap", "hash:map")
    assert sh.err == 'postmap: warning: map, line 1: non-UTF-8 input "a?b? c" -- ignoring this line\n'


def test_without_utf8_any_bytes_are_kept(sh: Shell) -> None:
    sh.write("map", "key \udcff\n")
    sh("postmap", "-u", "hash:map")
    assert sh("postmap", "-u", "-q", "key", "hash:map") == "\udcff\n"
    assert sh("postmap", "-q", "key", "hash:map") == ""


def test_values_may_be_taken_from_files(sh: Shell) -> None:
    sh.write("one", "content\n")
    sh.write("map", "a one\nb none\n")
    sh("postmap", "-F", "hash:map")
    assert sh.err == "postmap: warning: map, line 2: open none: No such file or directory: skipping this entry\n"
    assert sh("postmap", "-q", "a", "hash:map") == "Y29udGVudAo=\n"
    assert sh("postmap", "-F", "-q", "a", "hash:map") == "content\n\n"
    assert sh("postmap", "-F", "-s", "hash:map") == "a\tcontent\n\n"
    sh("postmap", "-F", "-q", "a", "inline:{a=none}")
    words = 'open none: No such file or directory: "inline:{a=none}"; need "inline:{name=filename...}"'
    assert sh.err == f"postmap: fatal: {words}\n"


MESSAGE = """\
Subject: foo
 bar
Content-Type: multipart/mixed; boundary="x y"

pre
--x y
Content-Type: text/plain

part
--x y
Content-Type: message/rfc822

X-Inner: z

inner body
--x y--
post
"""


@pytest.mark.parametrize(
    ("letters", "expected"),
    [
        ("-h", ["Subject: foo\n bar", 'Content-Type: multipart/mixed; boundary="x y"']),
        (
            "-hm",
            [
                "Subject: foo\n bar",
                'Content-Type: multipart/mixed; boundary="x y"',
                "Content-Type: text/plain",
                "Content-Type: message/rfc822",
                "X-Inner: z",
            ],
        ),
        (
            "-b",
            [
                "",
                "pre",
                "--x y",
                "Content-Type: text/plain",
                "",
                "part",
                "--x y",
                "Content-Type: message/rfc822",
                "",
                "X-Inner: z",
                "",
                "inner body",
                "--x y--",
                "post",
            ],
        ),
        ("-bm", ["", "pre", "--x y", "", "part", "--x y", "", "", "inner body", "--x y--", "post"]),
    ],
)
def test_the_lines_of_a_message_are_keys(sh: Shell, letters: str, expected: list[str]) -> None:
    out = sh("postmap", letters, "-q", "-", "static:X", stdin=MESSAGE)
    assert out == "".join(f"{key}\tX\n" for key in expected)


def test_aliases_are_built_with_names_unquoted_and_values_quoted(sh: Shell) -> None:
    sh.write("al", 'root: ann\nbob:carol\n"a b": "c d"@x, /f, |"cmd x"\na@b: c\na,b: c\nnov:\n:v\nROOT: again\nx:: y\n')
    sh("postalias", "hash:al")
    assert sh.err == (
        "postalias: warning: al, line 4: name must be local\n"
        "postalias: warning: al, line 5: need name:value pair\n"
        "postalias: warning: al, line 6: need name:value pair\n"
        "postalias: warning: al, line 7: need name:value pair\n"
        'postalias: warning: al.db: duplicate entry: "root"\n'
    )
    assert sorted(sh("postalias", "-s", "hash:al").splitlines()) == [
        "@:\t@",
        'a b:\t"c d"@x, /f, |"cmd x"',
        "bob:\tcarol",
        "root:\tann",
        "x:\t:y",
    ]
    assert sh("postalias", "-q", "-", "hash:al", stdin="root\nbob\n") == "root:\tann\nbob:\tcarol\n"


def test_newaliases_builds_what_alias_database_names(sh: Shell, tmp_path: Path) -> None:
    sh.write("main.cf", f"alias_database = hash:{tmp_path}/al, cdb:{tmp_path}/al\n")
    sh.write("al", "root: ann\n")
    sh("newaliases", "-c", str(tmp_path))
    assert (sh.code, sh.err) == (0, "")
    assert sh("postalias", "-q", "root", f"hash:{tmp_path}/al", f"cdb:{tmp_path}/al") == "ann\n"
    assert os.path.exists("al.cdb")


def test_a_new_file_has_the_rights_of_its_source(sh: Shell) -> None:
    sh.write("map", "a b\n")
    os.chmod("map", 0o640)
    sh("postmap", "hash:map")
    assert os.stat("map.db").st_mode & 0o777 == 0o640
    os.unlink("map.db")
    sh("postmap", "-p", "hash:map")
    assert os.stat("map.db").st_mode & 0o777 == 0o644


def test_a_failed_build_leaves_the_old_file_and_nothing_else(sh: Shell, tmp_path: Path) -> None:
    sh.write("map", "a b\n")
    sh("postmap", "lmdb:map")
    sh.write("map", "k" * 600 + " v\n")
    sh("postmap", "lmdb:map")
    assert sh.code == 1
    assert sh("postmap", "-q", "a", "lmdb:map") == "b\n"
    assert not [name for name in os.listdir(tmp_path) if name.endswith(".tmp")]


def test_below_a_root_names_are_absolute(sh: Shell, tmp_path: Path) -> None:
    (tmp_path / "etc").mkdir()
    sh.write("etc/map", "a b\n")
    sh("postmap", "--root", str(tmp_path), "hash:/etc/map")
    assert sh("postmap", "--root", str(tmp_path), "-q", "a", "hash:/etc/map") == "b\n"
