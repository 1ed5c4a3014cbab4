"""Trials for postmap(1) and postalias(1), by kind of table: systematic ones, and random ones from a seed.

``python -m tests.tables.versus_postmap [KIND] [SEED] [COUNT]`` plays random ones against Postfix in the box, and prints each
that differs.
"""

from __future__ import annotations

import re
import shlex
import sys
from collections.abc import Callable, Mapping
from random import Random

from tests.box import Box
from tests.versus import Result, Said, Trial, crashed, describe, ours, plain, real, trial

KEYS = "a\nA\nab\naB\nabc\nfoo\nFoo bar\nuser@example.com\nUser+ext@Example.COM\n\nü\nÜ\nx y\n$\n/\nb\n1\n12\na/b\nx\\y\n\n"


def pick(random: Random, *choices: str) -> str:
    """One of them."""
    return random.choice(choices)


def some(random: Random, least: int, most: int, make: Callable[[Random], str], between: str = "") -> str:
    """A few of what `make` makes."""
    return between.join(make(random) for _ in range(random.randint(least, most)))


def query(kind: str, rules: str, keys: str = KEYS, *options: str) -> Trial:
    """Ask a file of rules for many keys."""
    return trial("postmap", *options, "-q", "-", f"{kind}:rules", stdin=keys, rules=rules)


# expressions

ATOMS = (
    "a",
    "b",
    "B",
    "foo",
    ".",
    "^",
    "$",
    "(a)",
    "(b)?",
    "(x|y)",
    "[a-c]",
    "[^a]",
    "a*",
    "\\.",
    "\\/",
    "@",
    "ü",
    "+",
    "1",
)
ODD_ATOMS = (
    "(",
    ")",
    "[",
    "*",
    "\\",
    "{",
    "a{2}",
    "a{1,",
    "(?:a)",
    "(?i)a",
    "\\1",
    "\\d",
    "[[:alpha:]]",
    "(?<n>a)",
    "\\b",
    "#",
    " ",
)
RESULTS = (
    "ok",
    "R $1",
    "${1}x",
    "$(2)",
    "$$",
    "$$1",
    "a $1 $2",
    "",
    "  two  words  ",
    "$3",
    "$0",
    "$x",
    "${1",
    "$",
    "REJECT ü",
    "$()",
    "${}",
    "${ 1 }",
    "$01",
    "$1a",
    "${1a}",
    "$1$1",
    "!",
    "/x/",
    "{x}",
)


def expression(random: Random) -> str:
    """An expression with its delimiters and flags."""
    text = some(
        random, 0 if random.random() < 0.05 else 1, 4, lambda r: r.choice(ATOMS if r.random() < 0.85 else ODD_ATOMS)
    )
    mark = "/" if random.random() < 0.8 else pick(random, "!", "|", "#", '"', ";", "{", "\\", "ü", "%", ",")
    flags = "" if random.random() < 0.6 else some(random, 1, 3, lambda r: r.choice("imxsAEUXiimmxzZ9 "))
    end = mark if random.random() < 0.96 else ""
    return f"{mark}{text}{end}{flags}"


def rule(random: Random) -> str:
    """One line of a table of expressions."""
    roll = random.random()
    negation = pick(random, "", "", "", "", "", "!", "! ", "!!", "!\t!")
    if roll < 0.12:
        word = pick(random, "if", "IF", "If", "if ", "ifx")
        return f"{word}{pick(random, ' ', '', chr(9))}{negation}{expression(random)}{pick(random, '', '', '', ' extra', ' ')}"
    if roll < 0.24:
        return pick(random, "endif", "ENDIF", "EndIf ", "endif x", "endif#", "endifx", "endif/x/")
    if roll < 0.28:
        return pick(
            random,
            "# comment",
            "",
            "  ",
            "junk",
            "1 x",
            "!",
            "! ",
            "/",
            "//",
            "// x",
            "!/a/!/b/ c",
            "/a/!/b/ d",
            "/a/!/b/",
            "/(a)/!/b/ $1",
            "/(a)/ !/b/ d",
            "/a/!b d",
            "/a/!/b/i d",
            "/a/m!/b/ d",
            "/a/! /b/ d",
            "/a/!!/b/ d",
            "ü x",
        )
    if roll < 0.32:
        return " " + pick(random, "continued", "/x/ y", "#no", "")
    gap = pick(random, " ", " ", "\t", "   ", "", "\r")
    return f"{negation}{expression(random)}{gap}{random.choice(RESULTS)}{pick(random, '', '', ' ', chr(13))}"


def rules(random: Random) -> str:
    """A table of expressions."""
    return some(random, 1, 8, rule, "\n") + pick(random, "\n", "\n", "")


def by_expression(kind: str) -> Callable[[Random], Trial]:
    """Random tables of regexp or pcre."""

    def make(random: Random) -> Trial:
        if random.random() < 0.15:
            words = some(
                random,
                0,
                4,
                lambda r: pick(r, "{%s}", "{ %s }", "%s", "{{%s}}", "{%s") % rule(r),
                pick(random, ", ", " ", ","),
            )
            spec = f"{kind}:{pick(random, '{%s}', '{ %s }', '{%s', '{%s}x') % words}"
            return trial("postmap", "-q", pick(random, "a", "ab", "foo"), spec.replace("\0", ""))
        options = () if random.random() < 0.8 else (pick(random, "-f", "-u", "-U", "-o"),)
        return query(kind, rules(random), KEYS, *options)

    return make


# networks

ADDRESSES = (
    "1.2.3.4",
    "1.2.3.0",
    "10.0.0.0",
    "10.1.0.0",
    "127.0.0.1",
    "0.0.0.0",
    "255.255.255.255",
    "::1",
    "::",
    "2001:db8::",
    "2001:DB8::1",
    "2001:db8:0:0::5",
    "::ffff:1.2.3.4",
    "fe80::1",
    "1:2:3:4:5:6:7:8",
    "1.2.3.128",
)
BAD_ADDRESSES = (
    "1.2.3",
    "300.1.1.1",
    "01.2.3.4",
    "1.2.3.04",
    "1.2.3.4.",
    "::g",
    "1::2::3",
    "localhost",
    "1.2.3.4:25",
    "[1.2.3.4",
    "::1]",
    "::ffff:1.2.3.256",
    "fe80::1%lo",
    "0x1.2.3.4",
    "12345::",
    "ipv6:::1",
    "1.2.3.-4",
)
NETWORK_KEYS = "".join(
    f"{address}\n"
    for address in (*ADDRESSES, *BAD_ADDRESSES, "1.2.3.5", "10.1.2.3", "2001:db8::ffff", "[::1]", "", "x")
)


def network(random: Random) -> str:
    """A pattern of a cidr table."""
    address = random.choice(ADDRESSES if random.random() < 0.88 else BAD_ADDRESSES)
    length = pick(
        random,
        "",
        "",
        "",
        "/24",
        "/32",
        "/8",
        "/0",
        "/16",
        "/31",
        "/64",
        "/128",
        "/48",
        "/127",
        "/033",
        "/33",
        "/129",
        "/",
        "/x",
        "/-1",
        "/+8",
        "/8 ",
        "/08",
        "/8/8",
        "/255.255.255.0",
    )
    shape = pick(random, "%s%s", "%s%s", "%s%s", "%s%s", "[%s]%s", "[%s%s]", "[%s%s", "%s]%s")
    return shape % (address, length)


def network_rule(random: Random) -> str:
    """One line of a cidr table."""
    roll = random.random()
    negation = pick(random, "", "", "", "", "", "!", "! ", "!!", "!!!")
    if roll < 0.12:
        return f"{pick(random, 'if', 'IF', 'if ', 'ifx')}{pick(random, ' ', '', chr(9))}{negation}{network(random)}{pick(random, '', '', '', ' extra', ' ')}"
    if roll < 0.22:
        return pick(random, "endif", "ENDIF", "EndIf ", "endif x", "endifx", "endif 1.2.3.4")
    if roll < 0.3:
        return pick(random, "# comment", "", "  ", "junk", "1 x", "!", "! ", "if", "if !", " 1.2.3.4 x", " cont")
    gap = pick(random, " ", " ", "\t", "   ", "")
    return f"{negation}{network(random)}{gap}{pick(random, 'ok', 'two words', '', '$1', 'ü')}{pick(random, '', '', ' ', chr(13))}"


def by_network(random: Random) -> Trial:
    """A random cidr table."""
    if random.random() < 0.15:
        words = some(random, 0, 4, lambda r: pick(r, "{%s}", "{ %s }", "%s", "{%s") % network_rule(r), ", ")
        return trial(
            "postmap", "-q", random.choice(ADDRESSES), f"cidr:{pick(random, '{%s}', '{ %s }', '{%s', '{%s}x') % words}"
        )
    return query("cidr", some(random, 1, 8, network_rule, "\n") + "\n", NETWORK_KEYS)


# strings

WORDS = (
    "a",
    "A",
    "b",
    "foo",
    "Foo",
    "user@example.com",
    "User@Example.Com",
    '"x y"',
    '"x\\"y"',
    "x\\ y",
    '"open',
    "ü",
    "Ü",
    "@dom",
    "a:",
    "a,",
    "=",
    "#h",
    "a=b",
    "\xe4",
    "\udcff",
    "\\",
    "\\\\",
    "ß",
    "İ",
)
VALUES = ("v", "OK", "two words", "", " ", "ü", "\udcfe", "a, b", '"q"', "x\ty", "v \t ", "x" * 30, "#v", "\0n", "{a}")


def entry(random: Random) -> str:
    """One line of the text of a table of strings."""
    if random.random() < 0.15:
        return pick(random, "", "# c", "  more", "\tmore", "   ", " # c", "onlykey", "\r", "\f", "\v x")
    return f"{random.choice(WORDS)}{pick(random, ' ', chr(9), '  ', ' ', chr(13))}{random.choice(VALUES)}"


STRING_KEYS = "".join(f"{word}\n" for word in WORDS) + "x y\nnone\nFOO\nonlykey\n"


def by_string(kind: str) -> Callable[[Random], Trial]:
    """Random tables of strings, built and asked."""

    def make(random: Random) -> Trial:
        text = some(random, 0, 8, entry, "\n") + pick(random, "\n", "\n", "", "\n\n")
        options: tuple[str, ...]
        if kind == "texthash":
            options = () if random.random() < 0.6 else (pick(random, "-f", "-u", "-U", "-F"),)
            return query("texthash", text, STRING_KEYS, *options)
        options = (
            ()
            if random.random() < 0.4
            else tuple(
                random.sample(
                    [
                        "-f",
                        "-n",
                        "-N",
                        "-r",
                        "-w",
                        "-u",
                        "-U",
                        "-o",
                        "-p",
                        *(["-i"] if kind in ("hash", "btree") else []),
                    ],
                    random.randint(1, 3),
                )
            )
        )
        asked: tuple[str, ...] = (
            tuple(option for option in options if option in ("-f", "-u", "-U", "-n", "-N"))
            if random.random() < 0.7
            else ()
        )
        files = {"rules": text.replace("\0", "")}
        commands = [("postmap", *options, f"{kind}:rules"), ("postmap", *asked, "-q", "-", f"{kind}:rules")]
        if random.random() < 0.4 and kind in ("hash", "btree"):
            commands += [
                ("postmap", *asked, "-d", pick(random, "a", "A", "foo", "-", "none"), f"{kind}:rules"),
                ("postmap", *asked, "-q", "-", f"{kind}:rules"),
            ]
        keys = STRING_KEYS.replace("\0z\n", "") if kind == "lmdb" else STRING_KEYS  # it dies of an empty key
        made = trial(*commands[0], stdin=keys, **files)
        return Trial(tuple(commands), made.files, made.stdin if "-i" not in options else made.files["rules"])

    return make


def alias(random: Random) -> str:
    """One line of an aliases file."""
    name = pick(
        random,
        "a",
        "B",
        '"x y"',
        "root",
        "a@b",
        "a b",
        '"q',
        "a,b",
        "(c) d",
        "",
        "a%b",
        "<e>",
        "f:",
        "ü",
        "a.b",
        "a..b",
        "\\g",
        '"\\"h"',
        "[i]",
        "j;k",
    )
    value = pick(
        random,
        "x",
        "x, y",
        '"|cmd a b"',
        "|cmd",
        "/file",
        ":include:/f",
        '":include:/f g"',
        "u@h (c)",
        "U <u@h>",
        "",
        ",",
        "a b",
        '"open',
        "grp: a, b;",
        "@r:u@h",
        "<>",
        "x,,y",
        "x, ",
        "ü@h",
        "[1.2.3.4]",
        "a@[::1]",
        "\\x",
        '"\\\\x"@h',
        "a.b.@c",
        "$x",
        "a@b@c",
        "!x",
        "x;y",
    )
    return f"{name}{pick(random, ':', ': ', ' : ', ':  ', ' ', '::')}{value}"


def by_alias(random: Random) -> Trial:
    """A random aliases file, built and asked."""
    text = (
        some(random, 1, 6, lambda r: alias(r) if r.random() < 0.9 else pick(r, "# c", " more", "", "  , z"), "\n")
        + "\n"
    )
    made = trial("postalias", "hash:al", stdin='a\nb\nB\nx y\nroot\nd\ne\na b\n"h\na.b\nü\n\n\\g\ng\n', al=text)
    return Trial((*made.commands, ("postalias", "-q", "-", "hash:al")), made.files, made.stdin)


# one line

NAMES = (
    "static:x",
    "static:{a b}",
    "inline:{a=b}",
    "inline:{b=c, c=d}",
    "inline:{{a = b c}}",
    "fail:x",
    "inline:{a=}",
    "randmap:{r}",
    "static:",
    "regexp:{{/a(.*)/ $1}}",
    "environ:x",
    "inline:{}",
    "nope:x",
    "static",
    "hash:/none",
    "cidr:{{0.0.0.0/0 x}}",
    "inline:{ A=B }",
    "static:b",
    "inline:{b=x y}",
    "inline:{b = x}",
    "internal:x",
    "unionmap:{}",
    "static:{ü}",
    "static:{ }",
    "static:{}",
    "{static:x}",
    "static:a=b",
)


def composed(random: Random, depth: int = 0) -> str:
    """``type:{…}``, right or wrong."""
    if depth > 2 or random.random() < 0.5:
        return random.choice(NAMES)
    inside = some(random, 0, 3, lambda r: composed(r, depth + 1), pick(random, ", ", " ", ",", ",,"))
    kind = pick(random, "pipemap", "unionmap", "pipemap", "unionmap", "inline", "static")
    return f"{kind}:{pick(random, '{%s}', '{%s}', '{ %s }', '{%s', '{{%s}}', '%s', '{%s}}') % inside}"


def inline(random: Random) -> str:
    """``inline:{…}``, right or wrong."""

    def pair(r: Random) -> str:
        text = f"{pick(r, 'a', 'b', 'A', 'a b', '', 'ü', '{a}')}{pick(r, '=', ' = ', '= ', ' =', '', '==')}{pick(r, 'x', 'x y', '', '{x}', '$a', 'x=y')}"
        return pick(r, "%s", "{%s}", "{ %s }", "{{%s}}", "{%s") % text

    return pick(random, "inline:{%s}", "inline:{ %s }", "inline:%s", "inline:{%s}x", "inline:{%s") % some(
        random, 0, 3, pair, pick(random, ", ", " ", ",", "\t")
    )


def by_spec(random: Random) -> Trial:
    """Tables of one line."""
    spec = inline(random) if random.random() < 0.4 else composed(random)
    key = pick(random, "a", "b", "A", "c", "", "ab", "1.2.3.4", "ü", "a b")
    if random.random() < 0.2:
        return trial("postmap", "-s", spec)
    if random.random() < 0.3:
        return trial(
            "postmap",
            "-q",
            "-",
            spec,
            *([composed(random)] if random.random() < 0.4 else []),
            stdin="a\nb\nA\n\nc\nab\nü\n",
        )
    return trial(
        "postmap",
        *([pick(random, "-f", "-u", "-U", "-F", "-o")] if random.random() < 0.2 else []),
        "-q",
        key,
        spec,
        *([composed(random)] if random.random() < 0.2 else []),
    )


LETTERS = (
    "-i",
    "-n",
    "-N",
    "-o",
    "-p",
    "-r",
    "-s",
    "-u",
    "-U",
    "-w",
    "-f",
    "-F",
    "-b",
    "-h",
    "-m",
    "-q",
    "-d",
    "-c",
    "-Z",
    "--",
    "-",
    "-qa",
    "-da",
    "-q-",
    "-x",
)


def by_option(random: Random) -> Trial:
    """Options, right or wrong."""
    options = [random.choice(LETTERS) for _ in range(random.randint(0, 3))]
    tables = [
        pick(
            random,
            "rules",
            "hash:rules",
            "static:x",
            "regexp:rules",
            "nope:x",
            "hash:none",
            "texthash:rules",
            "",
            ":",
            "hash:",
            "unix:passwd.byname",
        )
        for _ in range(random.randint(0, 2))
    ]
    tool = pick(random, "postmap", "postmap", "postmap", "postalias")
    if "-c" in options:
        options.insert(options.index("-c") + 1, ".")
    files = {"rules": "a b\nc d\n" if tool == "postmap" else "a: b\nc: d\n", "main_cf": "compatibility_level = 3.6\n"}
    made = trial(
        tool, *options, *tables, stdin=pick(random, "", "a\nb\n", "Subject: a\n b\nTo: c\n\nbody\nmore\n"), **files
    )
    return Trial(((tool, "hash:rules"), *made.commands), made.files, made.stdin)


MESSAGE = (
    "Subject: one\n two\nTo: x\nBad header\nX-Y : z\n\nbody line\n\nlast\n",
    "From x\nSubject: a\n\nb\n",
    'Content-Type: multipart/mixed; boundary="q"\n\npre\n--q\nContent-Type: text/plain\n\nin part\n--q\nContent-Type: message/rfc822\n\nSubject: nested\nX: y\n z\n\ninner\n--q--\npost\n',
    "\nonly body\n",
    "Subject: x",
    "",
    "A: b\n\n\n\nc\n",
    "Content-Type: message/rfc822\n\nS: t\n\nu\n",
    "Content-Type: text/plain; charset=x\nContent-Transfer-Encoding: base64\n\nQUJD\n",
    " leading\nA: b\n",
    "A: b\nnot header\nC: d\n\ne\n",
)


def by_message(random: Random) -> Trial:
    """-h, -b and -m over messages."""
    options = random.sample(["-h", "-b", "-m"], random.randint(1, 3))
    return trial(
        "postmap",
        *options,
        "-q",
        "-",
        "regexp:{{/^(.*)$/m <$1>}}" if random.random() < 0.5 else "static:x",
        stdin=random.choice(MESSAGE),
    )


CHOSEN_LINES = r"""
postmap -q '' 'inline:{=x}'
postmap -q '' 'inline:{ =x }'
postmap -q '' 'inline:{{=x}}'
postmap -q '' 'inline:{{ = x}}'
postmap -s 'inline:{a=b =x}'
postmap -s 'inline:{ =x, a=b}'
postmap -s 'inline:{ { =x}, a=b}'
postmap -s 'inline:{ = }'
postmap -s 'inline:{ == }'
postmap -s 'inline:{ a =b }'
postmap -s 'inline:{ a= b }'
postmap -s 'inline:{ {a =b} }'
postmap -s 'inline:{ {"a b" =b} }'
postmap -s 'inline:{ {"a\"b" =b} }'
postmap -s 'inline:{ {"a b=b} }'
postmap -s 'inline:{ {"a b"x=b} }'
postmap -s 'inline:{ {a"=b} }'
postmap -s 'inline:{ {""=b} }'
postmap -s 'inline:{ {a b} }'
postmap -s 'inline:{ {a} }'
postmap -s 'inline:{ {a}=b }'
postmap -s 'inline:{ {a} =b }'
postmap -s 'inline:{ a={b c} }'
postmap -s 'inline:{ a={b}c }'
postmap -s 'inline:{ a=b,,c=d }'
postmap -s 'inline:{ a=1, A=2, a=3 }'
postmap -s 'inline:{ b=1, a=2, c=3 }'
postmap -f -s 'inline:{ a=1, A=2, a=3 }'
postmap -q '' 'static:x'
postmap -q 'a' ':'
postmap -q 'a' ':x'
postmap -q 'a' 'x:'
postmap -q 'a' 'static'
postmap -q 'a' 'regexp:'
postmap -s 'static:x'
postmap -s 'regexp:{{/a/ b}}'
postmap -s 'pipemap:{static:x,static:y}'
postmap -s 'unionmap:{static:x,static:y}'
postmap -s 'randmap:{a,b}'
postmap -s 'texthash:rules'
postmap -s 'fail:x'
postmap 'static:x'
postmap 'inline:{a=b}'
postmap 'fail:x'
postmap 'regexp:rules'
postmap 'texthash:rules'
postmap 'environ:rules'
postmap 'pipemap:{hash:rules}'
postmap 'pcre:rules'
postmap 'foo:rules'
postmap -i 'foo:rules'
postmap -i 'regexp:rules'
postmap -i 'static:x'
postmap -d a 'regexp:rules'
postmap -d a 'static:x'
postmap -d a 'inline:{a=b}'
postmap -d a 'texthash:rules'
postmap -d a 'fail:x'
postmap -d a 'pipemap:{hash:rules}'
postmap -d a 'unionmap:{hash:rules}'
postmap -d a 'randmap:{hash:rules}'
postmap -d a 'foo:x'
postmap -q a 'unix:x'
postmap -q a 'unix:'
postmap 'hash:/none/x'
postmap 'hash:none'
postmap none
postmap -q a none
postmap 'lmdb:none'
postmap -q a 'lmdb:none'
postmap -q a 'cdb:none'
postmap -q a 'btree:none'
postmap -s 'hash:none'
postmap -d a 'hash:none'
postmap -i hash:none <<< 'a b\n'
postmap -i lmdb:none <<< 'a b\n'
postmap -i btree:none <<< 'a b\n'
postmap -F -q a 'inline:{a=rules}'
postmap -F -q a 'inline:{a=nofile}'
postmap -F -q a 'static:rules'
postmap -F -q a 'static:none'
postmap -F -q a 'static:{rules rules}'
postmap -F -q a 'randmap:{rules,rules}'
postmap -F -q a 'pipemap:{static:rules}'
postmap -F -q a 'regexp:{{/a/ rules}}'
postmap -F -q a 'pcre:{{/a/ rules}}'
postmap -F -q a 'cidr:{{1.2.3.4 rules}}'
postmap -F -q 1.2.3.4 'cidr:{{1.2.3.4 rules}}'
postmap -F -q 1.2.3.4 'cidr:{{1.2.3.4 none}}'
postmap -F -q a 'regexp:{{/a/ none}}'
postmap -F -q a 'texthash:rules'
"""
"""One-liners among the file ``rules``; what follows ``<<<`` is standard input."""


def of_line(line: str) -> Trial:
    """A trial from one line of a shell."""
    words = shlex.split(line)
    stdin = ""
    if "<<<" in words:
        stdin = words[-1].replace("\\n", "\n")
        words = words[:-2]
    return trial(*words, stdin=stdin, rules="a b\nc d\n")


CHOSEN = tuple(of_line(line) for line in CHOSEN_LINES.splitlines() if line)


def comparable(trial: Trial, result: Result) -> Result:
    """What must be the same.

    Lists of hash tables come in any order, offsets in expressions are those of the library's version.
    """
    said = []
    for command, one in zip(trial.commands, plain(result).said, strict=True):
        out = "".join(sorted(one.out.splitlines(keepends=True))) if "-s" in command else one.out
        said.append(Said(one.code, out, re.sub(r"at offset \d+", "at offset N", one.err)))
    return Result(tuple(said), result.left)


KINDS: Mapping[str, Callable[[Random], Trial]] = {
    "regexp": by_expression("regexp"),
    "pcre": by_expression("pcre"),
    "cidr": by_network,
    "texthash": by_string("texthash"),
    "hash": by_string("hash"),
    "btree": by_string("btree"),
    "cdb": by_string("cdb"),
    "lmdb": by_string("lmdb"),
    "aliases": by_alias,
    "specs": by_spec,
    "options": by_option,
    "messages": by_message,
}
"""What makes a random trial, by kind."""


def random_trials(kind: str, seed: int, count: int) -> list[Trial]:
    """The same ones for the same seed."""
    random = Random(f"{kind} {seed}")
    return [KINDS[kind](random) for _ in range(count)]


def main(arguments: list[str]) -> None:
    """Play, and print what differs."""
    kinds = [arguments[0]] if arguments and arguments[0] != "all" else list(KINDS)
    seed, count = int(arguments[1]) if len(arguments) > 1 else 1, int(arguments[2]) if len(arguments) > 2 else 100
    with Box() as box:
        for kind in kinds:
            trials = random_trials(kind, seed, count)
            pairs = [
                (one, comparable(one, theirs), comparable(one, our))
                for one, theirs, our in zip(trials, real(box, trials), ours(trials), strict=True)
            ]
            different = [pair for pair in pairs if pair[1] != pair[2] and not crashed(pair[1])]
            sys.stdout.write("".join(f"{describe(*pair)}\n\n" for pair in different))
            sys.stdout.write(f"== {kind}: {len(different)} of {count} differ\n")


if __name__ == "__main__":
    main(sys.argv[1:])
