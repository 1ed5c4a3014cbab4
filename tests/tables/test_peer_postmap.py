"""Beside the real postmap and postalias: one builds and the other queries, and both say the same of bad text."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from seawall.tables.registry import Tables
from tests.box import Box, Ran

pytestmark = pytest.mark.peer


@pytest.fixture(scope="module")
def box() -> Iterator[Box]:
    with Box() as made:
        yield made


def ours(place: Path, tool: str, *arguments: str, stdin: str = "") -> Ran:
    ran = subprocess.run(
        [sys.executable, "-m", "seawall", tool, *arguments],
        cwd=place,
        input=stdin.encode("utf-8", "surrogateescape"),
        capture_output=True,
        check=False,
    )
    return Ran(
        ran.returncode, ran.stdout.decode("utf-8", "surrogateescape"), ran.stderr.decode("utf-8", "surrogateescape")
    )


def theirs(box: Box, place: Path, tool: str, *arguments: str, stdin: str = "") -> Ran:
    return box.run(
        "sh",
        "-c",
        'cd "$0" && exec "$@"',
        str(place),
        tool,
        *arguments,
        stdin=stdin.encode("utf-8", "surrogateescape"),
        check=False,
    )


def same(box: Box, place: Path, tool: str, *arguments: str, stdin: str = "") -> Ran:
    """Run both; they must agree in everything."""
    expected = theirs(box, place, tool, *arguments, stdin=stdin)
    assert ours(place, tool, *arguments, stdin=stdin) == expected
    return expected


NASTY = (
    b'a b\n  c d\n"q r" v\n"q x\nk:  v\nnov\n  lead x\n\xff\xfe bad\nA upper\na dup\nx\0y z\nb \xff\n\n#com\n d e\n'
    b'\\" quoted\n"a\\"b" c\ntab\tvalue\t with \t tabs \t\n\x0bvt x\nlast line without end'
)


@pytest.mark.parametrize("kind", ["hash", "btree", "cdb", "lmdb"])
def test_nasty_text_is_parsed_alike(box: Box, tmp_path: Path, kind: str) -> None:
    (tmp_path / "map").write_bytes(NASTY)
    built = same(box, tmp_path, "postmap", f"{kind}:map")
    assert "unbalanced" in built.err
    (tmp_path / "reference").write_bytes(NASTY)  # Postfix cannot list a cdb
    theirs(box, tmp_path, "postmap", "btree:reference")
    listed = theirs(box, tmp_path, "postmap", "-s", "btree:reference").out
    theirs(box, tmp_path, "postmap", f"{kind}:map")
    again = ours(tmp_path, "postmap", "-s", f"{kind}:map").out
    assert sorted(again.splitlines()) == sorted(listed.splitlines())


def test_nasty_aliases_are_parsed_alike(box: Box, tmp_path: Path) -> None:
    (tmp_path / "al").write_bytes(
        b'root: alice\nbob:carol\n"a b": "c d"@x, /f, |"cmd x"\nx y: z\na@b: c\na,b: c\nnov:\n:v\nA: dup\nroot: again\n'
        b'  zz\n lead: x\nx:: y\n"q": "\\"/a b\\""\ng: <u@h>, U <v@h> (c), :include:/f\n(c) h: i\n\xff: j\nl:"" \n'
    )
    same(box, tmp_path, "postalias", "hash:al")
    listed = theirs(box, tmp_path, "postalias", "-s", "hash:al").out.splitlines()
    theirs(box, tmp_path, "postalias", "hash:al")
    expected = [line for line in listed if not line.startswith("YP_")]  # for NIS, which we do not serve
    again = ours(tmp_path, "postalias", "-s", "hash:al").out.splitlines()
    assert sorted(line for line in again if not line.startswith("YP_")) == sorted(expected)


@pytest.mark.parametrize("kind", ["hash", "btree", "cdb", "lmdb"])
def test_ten_thousand_keys_are_found_by_the_other(box: Box, tmp_path: Path, kind: str) -> None:
    pairs = {
        f"key{number}": f"value{number} " + "x" * (number % 50 * 100 if number % 10 == 0 else 0)
        for number in range(10000)
    }
    (tmp_path / "map").write_text("".join(f"{key} {value}\n" for key, value in pairs.items()))
    keys = "".join(f"{key}\n" for key in pairs)
    wanted = "".join(f"{key}\t{value.rstrip()}\n" for key, value in pairs.items())
    assert ours(tmp_path, "postmap", f"{kind}:map").err == ""
    assert theirs(box, tmp_path, "postmap", "-q", "-", f"{kind}:map", stdin=keys).out == wanted
    if kind in ("hash", "btree"):
        assert box.run("db_verify", str(tmp_path / "map.db"), check=False).code == 0
    theirs(box, tmp_path, "postmap", f"{kind}:map")
    assert ours(tmp_path, "postmap", "-q", "-", f"{kind}:map", stdin=keys).out == wanted


@pytest.mark.parametrize("kind", ["hash", "btree", "cdb", "lmdb"])
def test_each_goes_on_with_the_others_file(box: Box, tmp_path: Path, kind: str) -> None:
    (tmp_path / "map").write_text("".join(f"k{number} v{number}\n" for number in range(500)))
    ours(tmp_path, "postmap", f"{kind}:map")
    if kind != "cdb":  # Postfix cannot change those
        assert theirs(box, tmp_path, "postmap", "-i", f"{kind}:map", stdin="new v\n" + "long " + "v" * 9000).err == ""
        assert theirs(box, tmp_path, "postmap", "-d", "k77", f"{kind}:map").code == 0
        assert ours(tmp_path, "postmap", "-q", "new", f"{kind}:map").out == "v\n"
        assert ours(tmp_path, "postmap", "-q", "long", f"{kind}:map").out == "v" * 9000 + "\n"
        assert ours(tmp_path, "postmap", "-q", "k77", f"{kind}:map").code == 1
    assert ours(tmp_path, "postmap", "-i", f"{kind}:map", stdin="mine v\n").err == ""
    assert ours(tmp_path, "postmap", "-d", "k78", f"{kind}:map").code == 0
    assert theirs(box, tmp_path, "postmap", "-q", "mine", f"{kind}:map").out == "v\n"
    assert theirs(box, tmp_path, "postmap", "-q", "k78", f"{kind}:map").code == 1
    assert theirs(box, tmp_path, "postmap", "-q", "k499", f"{kind}:map").out == "v499\n"


RULES = """\
foo bar
/abc
/abc/q x
/a1/
/a/ $2
/a/ $a
/a/ ${1
/a/ $
/a/ $0
!/a/ $1
if /b/ zz
/bb/ yes
endif
endif zz
endif
if
/c1/
! /u/ not u
/u.v/ u $$ v
!
/(x)(y)?/ <$1> <${2}> $(1)
IF !/zz/
/./i other
Endif
if /q/
"""


@pytest.mark.parametrize("kind", ["regexp", "pcre"])
@pytest.mark.parametrize("key", ["u1v", "xu", "xyu", "bbu", "u zz", "z", "Ü u"])
def test_rules_are_read_and_answer_alike(box: Box, tmp_path: Path, kind: str, key: str) -> None:
    (tmp_path / "rules").write_text(RULES)
    same(box, tmp_path, "postmap", "-q", key, f"{kind}:rules")


CIDR = """\
1.2.3.4/24 a
1.2.3.0/24 ok
!10.0.0.0/8 neg
if 10.0.0.0/8
10.1.0.0/16 ten1
endif
[::1]  six
[::1]/128 sixb
1.2.3/24 b
300.1.1.1 x
1.2.3.4
if 1.2.3.4 x
endif foo
endif
[1.2.3.4 x
[1.2.3.4]x y
if
! 1.1.1.1 y
!!2.2.2.2 z
foo bar
  cont
1.2.3.0/x a
1.2.3.0/33 b
1.2.3.0/ b
::/129 x
1::/8 x
if1.2.3.4
! z
if\t! 1.2.3.0/24
5.6.7.8 fine
endif
if ::/0
::2 two
"""


@pytest.mark.parametrize("key", ["1.2.3.4", "10.1.2.3", "10.2.0.1", "11.0.0.0", "::1", "::2", "::3", "bogus"])
def test_networks_are_read_and_answer_alike(box: Box, tmp_path: Path, key: str) -> None:
    (tmp_path / "rules").write_text(CIDR)
    same(box, tmp_path, "postmap", "-q", key, "cidr:rules")


@pytest.mark.parametrize(
    "arguments",
    [
        ("-q", "a", "inline:{a=b,{c = d e}}"),
        ("-q", "c", "inline:{a}"),
        ("-q", "c", "inline:{{a=b}c}"),
        ("-q", "c", "inline:{a b=c}"),
        ("-q", "c", "inline:{ }"),
        ("-q", "c", "inline:{c=}"),
        ("-q", "c", "regexp:{{/c/ d}, {/e/ f}}"),
        ("-q", "c", "regexp:{/c/ d}"),
        ("-q", "c", "regexp:{{/c d}}"),
        ("-q", "c", "regexp:{{/c/ d}"),
        ("-q", "c", "unionmap:{static:a,static:b,inline:{c=}}"),
        ("-q", "c", "pipemap:{inline:{c=d},inline:{d=e}}"),
        ("-q", "c", "static:{a b}"),
        ("-q", "c", "static:{a b"),
        ("-q", "c", "randmap:{{a b}}"),
        ("-q", "1.2.3.4", "cidr:{{1.2.3.4 y}}"),
        ("-q", "c", "fail:x"),
        ("-q", "c", "nope:x"),
        ("-q", "c", "hash:/nonexistent"),
        ("-q", "c", "cidr:/nonexistent"),
        ("-q", "root", "unix:passwd.byname"),
        ("-q", "", "static:x"),
        ("-s",),
        ("-Z",),
        ("-q",),
        (),
    ],
)
def test_one_liners_say_the_same(box: Box, tmp_path: Path, arguments: tuple[str, ...]) -> None:
    same(box, tmp_path, "postmap", *arguments)


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


@pytest.mark.parametrize("letters", ["-h", "-b", "-bh", "-hm", "-bm", "-bhm"])
@pytest.mark.parametrize("message", [MESSAGE, "no header\nA: b\n\nC: d", "A: b\n", "", "\nbody\n"])
def test_the_lines_of_a_message_are_the_same_keys(box: Box, tmp_path: Path, letters: str, message: str) -> None:
    same(box, tmp_path, "postmap", letters, "-q", "-", "static:X", stdin=message)


@pytest.mark.parametrize("kind", ["hash", "btree", "lmdb", "cdb"])
def test_no_answer_is_wrong_while_postmap_writes_in_a_loop(box: Box, tmp_path: Path, kind: str) -> None:
    (tmp_path / "map").write_text("".join(f"key{number} value{number}\n" for number in range(2000)))
    theirs(box, tmp_path, "postmap", f"{kind}:map")
    done = tmp_path / "done"
    pid = box.start(
        "sh",
        "-c",
        f'cd "{tmp_path}"; for n in 1 2 3 4 5 6 7 8 9 10 11 12; do postmap {kind}:map; done; : > done',
    )
    tables = Tables()
    table = tables.open(f"{kind}:{tmp_path}/map")
    now, wrong, asked = 0.0, 0, 0
    while not done.exists():
        now += 1.0
        tables.refresh(now)
        for number in range(0, 2000, 7):
            asked += 1
            wrong += table.lookup(f"key{number}") != f"value{number}"
    box.ended(pid)
    assert asked > 1000
    assert wrong == 0
    assert tables.warnings == []
