"""Trials for postconf(1): expansion, what main.cf may hold, showing and editing; systematic ones, and random ones from a seed.

``python -m tests.config.versus_postconf [KIND] [SEED] [COUNT]`` plays random ones against Postfix in the box, and prints each
that differs.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from random import Random

from tests.box import Box
from tests.versus import Result, Said, Trial, crashed, describe, ours, plain, real, trial

LEVEL = "compatibility_level = 3.6\n"
HOST = "myhostname = box.example.com\nmynetworks = 127.0.0.0/8\n"
"""What would depend on the machine."""
NETWORKS = LEVEL + HOST
MASTER = """\
smtp inet n - n - - smtpd
  -o smtpd_client_restrictions=permit -o mine=$yours
  -v
submission inet n - y - 10 smtpd -o { smtpd_recipient_restrictions = permit_sasl_authenticated, reject }
smtp unix - - n - - smtp
slow unix - - n - 1 smtp -o syslog_name=postfix/$service_name
mailman unix - n n - - pipe
  flags=FR user=list argv=/usr/bin/mailman ${nexthop} { a b } ${user}
local unix - n n - - local
policy unix - n n - 0 spawn user=nobody argv=/usr/bin/policy
pickup unix n - n 60 1 pickup
"""


def pick(random: Random, *choices: str) -> str:
    """One of them."""
    return random.choice(choices)


def some(random: Random, least: int, most: int, make: Callable[[Random], str], between: str = "") -> str:
    """A few of what `make` makes."""
    return between.join(make(random) for _ in range(random.randint(least, most)))


def ask(*arguments: str, main: str = NETWORKS, master: str = MASTER) -> Trial:
    """A question about a configuration."""
    return trial("postconf", "-c", ".", *arguments, main_cf=main, master_cf=master)


def edit(*arguments: str, main: str = LEVEL, master: str = MASTER) -> Trial:
    """A change of it, and what the files hold then."""
    return trial("postconf", "-c", ".", *arguments, left=("main.cf", "master.cf"), main_cf=main, master_cf=master)


NAMES = (
    "a",
    "b",
    "c",
    "empty",
    "none",
    "n10",
    "n9",
    "mail_owner",
    "loop",
    "deep",
    "level",
    "myhostname",
    "A",
    "spaced",
)
BASE = LEVEL + (
    "myhostname = host.example.com\na = value_a\nb = $a$a\nc = ${b} x\nempty =\nn10 = 10\nn9 = 9\nloop = ${loop2}\nloop2 = x$loop\n"
    "deep = ${a?{${b?{$c}}}}\nlevel = 3.6\nspaced =  two  words \n"
)


def operand(random: Random, depth: int) -> str:
    """A text with macros in it."""

    def part(r: Random) -> str:
        return (
            macro(r, depth + 1)
            if depth < 3 and r.random() < 0.5
            else pick(r, "x", "10", "9", " ", "", "$$", "abc", "{y}", "1", "-1", "08", "3.6", "ü", "/", ".")
        )

    return some(random, 0, 2, part)


def macro(random: Random, depth: int = 0) -> str:
    """A macro, mostly well formed."""
    name = random.choice(NAMES if random.random() < 0.93 else ("", "a-b", "1", "a.b", " a ", "a b", "ü", "_", "a:b"))
    roll = random.random()
    gap = pick(random, "", "", "", " ", "  ")
    if roll < 0.25:
        return (
            pick(random, "$%s", "${%s}", "$(%s)", "${ %s }", "${%s", "$(%s", "$ {%s}", "${%s)", "${%s}}", "$%s$") % name
        )
    if roll < 0.42:
        return (
            "${"
            + name
            + gap
            + pick(random, "?", ":")
            + pick(random, "", "{")
            + operand(random, depth)
            + pick(random, "", "}")
            + gap
            + "}"
        )
    if roll < 0.6:
        return (
            "${"
            + name
            + gap
            + "?"
            + gap
            + "{"
            + operand(random, depth)
            + "}"
            + gap
            + pick(random, ":", ":", ":", "", "?", "x")
            + gap
            + "{"
            + operand(random, depth)
            + "}"
            + gap
            + pick(random, "", "", "", "x", ":{z}")
            + "}"
        )
    op = pick(
        random,
        "==",
        "!=",
        "<",
        "<=",
        ">",
        ">=",
        "==",
        "<",
        ">",
        "=",
        "<>",
        "~",
        "",
        "<=level",
        "<level",
        "==level",
        "<=foo",
        ">level",
        "!",
        "===",
    )
    left, right = (
        pick(random, "{%s}", "{ %s }", "{%s}", "%s", "{%s") % operand(random, depth),
        pick(random, "{%s}", "{ %s }", "{%s}", "%s", "%s}") % operand(random, depth),
    )
    rest = pick(
        random, "?{%s}:{%s}", " ? {%s} : {%s}", "?{%s}:{%s}", "?{%s}", ":{%s}", "?%s", "", "x{%s}", "?{%s}:%s", ":%s"
    )
    rest = rest.replace("%s", "\0").replace("\0", operand(random, depth), 1).replace("\0", operand(random, depth))
    return "${" + gap + left + gap + op + gap + right + gap + rest + "}"


def by_expansion(random: Random) -> Trial:
    """A value with macros, expanded."""
    value = some(
        random, 1, 3, lambda r: macro(r) if r.random() < 0.7 else pick(r, "x", " ", "$$", ",", "{", "}", "$", "a b")
    )
    if random.random() < 0.3:
        return ask("-x", "-o", f"test = {value}", "test", main=BASE + "used = $test\n")
    if random.random() < 0.2:
        return ask("-xP", main=BASE, master=MASTER + f"x unix - - n - - smtp -o {{ test = {value} }}\n")
    return ask(
        "-x",
        pick(random, "test", "relayhost", "mydestination"),
        main=BASE + f"used = $test\n{pick(random, 'test', 'relayhost', 'mydestination')} = {value}\n",
    )


def main_line(random: Random) -> str:
    """One line of main.cf."""
    name = pick(
        random,
        "a",
        "foo",
        "relayhost",
        "mynetworks",
        "mydestination",
        "virtual_alias_maps",
        "foo_bar",
        "smtpd_banner",
        "a.b",
        "A-b",
        "ü",
        "slow_destination_concurrency_limit",
        "nope_destination_recipient_limit",
        "policy_time_limit",
        "mail_version",
        "process_name",
        "db_hosts",
        "cls",
        "smtpd_restriction_classes",
        "default_rbl_reply",
        "{a}",
        "virtual_maps",
        "x y",
        "",
        "mailman_destination_recipient_limit",
        "smtp_recipient_limit",
        "local_command_shell",
        "alias_maps",
    )
    equals = pick(random, " = ", "=", " =", "= ", " = ", " = ", " ", "", "  =  ", "\t=\t", " == ")
    value = pick(
        random,
        "x",
        "",
        "a, b",
        "$a",
        "${foo}",
        "hash:/etc/x",
        "pgsql:db",
        "ldap:db, mysql:db2",
        "{ a b }",
        "{a",
        "proxy:pgsql:db",
        "cls",
        "1",
        "inline:{a=b}",
        "ü",
        "$nope",
        "$(a) ${b?c}",
        "${a",
        "x#y",
        "# z",
        "{{a = b}}",
        "unionmap:{pgsql:db, static:x}",
        "memcache:db",
        "sqlite:db",
        "pgsql:/none.cf",
        "no",
    )
    return f"{name}{equals}{value}{pick(random, '', '', '', ' ', chr(13), chr(9))}"


def main_text(random: Random) -> str:
    """A main.cf."""

    def line(r: Random) -> str:
        if r.random() < 0.75:
            return main_line(r)
        return pick(
            r,
            "",
            "# comment",
            "  # indented",
            "  more",
            "\tmore = x",
            "   ",
            "\x0c",
            " ",
            "#",
            "\r",
            "  more, yet",
            "\0nul = x",
            "nul = a\0b",
        )

    return pick(random, LEVEL, LEVEL, LEVEL, "") + some(random, 0, 8, line, "\n") + pick(random, "\n", "\n", "", "\n\n")


def by_main(random: Random) -> Trial:
    """What main.cf may hold."""
    return ask(
        *pick(
            random,
            "-n",
            "-n",
            "-nf",
            "-nx",
            "-nh",
            "-nH",
            "-C user",
            "-C service",
            "-n foo",
            "a foo relayhost virtual_maps",
            "-d relayhost",
            "-P",
            "-M smtp/inet",
            "-nx mydestination",
            "-C builtin -n",
            "-C user,service -f",
            "-C all -n",
        ).split(),
        main=main_text(random),
    )


def service(random: Random) -> str:
    """One line of master.cf."""
    name = pick(random, "smtp", "submission", "x", "127.0.0.1:25", "[::1]:25", "slow", "mailman", "a/b", "ü", "*")
    kind = pick(random, "inet", "unix", "unix", "pass", "fifo", "foo", "unix-dgram")
    flags = " ".join(pick(random, "n", "-", "y", "n", "-") if random.random() < 0.97 else "z" for _ in range(3))
    rest = f"{pick(random, '-', '60', '60?', '0', 'x', '-?', '300')} {pick(random, '-', '1', '0', '10', 'y', '-1')}"
    command = pick(random, "smtpd", "smtp", "pipe", "local", "spawn", "/usr/lib/x", "lmtp")

    def argument(r: Random) -> str:
        return pick(
            r,
            "-o a=b",
            "-oa=b",
            "-o a = b",
            "-o { a = b c }",
            "-o {a=b}",
            "-v",
            "-vv",
            "-vo a=b",
            "-o",
            "-o a",
            "-o =b",
            "{ x y }",
            "user=a",
            "argv=/x ${y}",
            "--",
            "-o a=$b",
            "-o a={b c}",
            "-o {a",
            "-o smtpd_banner=$myhostname",
            "-o relayhost={x}",
            "-o mine=1 -o relayhost=$mine",
            "-o cls2=x",
            "-o process_name=x",
            "-o smtpd_restriction_classes=k -o k=permit",
            "-n x",
            "-o a= ",
            "-o virtual_alias_maps=pgsql:db -o db_hosts=x",
            "a_very_long_argument_word_that_makes_lines_fold_somewhere",
            "{}",
            "{ }",
            "-o {}",
            "{a}b",
            "-c/x",
            "-o { a = }",
        )

    text = f"{name} {kind} {flags} {rest} {command} {some(random, 0, 5, argument, pick(random, ' ', '  ', chr(10) + '  ', chr(10) + '# c' + chr(10) + '    '))}"
    return (
        text
        if random.random() < 0.95
        else pick(random, "smtp inet n", "x", "smtp", " leading", "# c", "smtp inet n - n - -")
    )


def by_master(random: Random) -> Trial:
    """What master.cf may hold."""
    master = some(random, 0, 4, service, "\n") + "\n"
    options = pick(
        random,
        "-M",
        "-Mf",
        "-Mx",
        "-Mxf",
        "-F",
        "-Ff",
        "-Fh",
        "-FH",
        "-P",
        "-Pf",
        "-Ph",
        "-PH",
        "-Px",
        "-n",
        "-M smtp",
        "-M smtp/inet x",
        "-M */unix",
        "-M *",
        "-F */*/command",
        "-F smtp/inet/chroot x/unix",
        "-F smtp/inet/bogus",
        "-P */*/a",
        "-P smtp/inet/a x/unix/a slow",
        "-M /inet",
        "-M smtp//inet",
        "-M smtp/inet/x",
        "-M sm*/inet",
        "-P smtp",
        "-F smtp/inet/command -x",
        "-C service",
        "-M smtp.inet",
        "-o a=b -Mx",
        "-F */*/",
        "-o mine=2 -Px",
    )
    return ask(
        *options.split(),
        main=NETWORKS + pick(random, "", "b = c\n", "mine = x\nmyhostname = h.example\n"),
        master=master,
    )


REMARKED = (
    "# top\n"
    + LEVEL
    + "# about a\na = 1\n  # inside\n  2\n\nfoo = bar\n  more\n# before empty\nempty =\na = again\n   \nlast = x\n"
)


def by_edit(random: Random) -> Trial:
    """Changes of both files."""
    main = REMARKED if random.random() < 0.5 else main_text(random).replace("\0", "") + "\n"
    master = MASTER if random.random() < 0.6 else some(random, 0, 4, service, "\n") + "\n"

    def main_change(r: Random) -> str:
        return pick(
            r,
            "a=2",
            "a = 3",
            "foo=",
            "new=x",
            "new = y z",
            "a",
            "=x",
            "",
            "# a=b",
            " a=4",
            "a=x\ny",
            "empty=full",
            "last=  spaced  ",
            "foo=$a",
            "a =5",
            "compatibility_level=2",
            "x y=z",
            "ü=ü",
            "a=#b",
            "a==b",
        )

    def name(r: Random) -> str:
        return pick(r, "a", "foo", "nope", "empty", "last", "a=b", "", "# a", " a ", "a b", "compatibility_level", "A")

    def where(r: Random) -> str:
        return pick(
            r,
            "smtp/inet",
            "smtp/unix",
            "slow/unix",
            "x/unix",
            "nope/unix",
            "*/unix",
            "smtp/*",
            "*/*",
            "smtp",
            "smtp/inet/x",
            "",
            "mailman/unix",
        )

    def value(r: Random) -> str:
        return pick(
            r,
            "n",
            "y",
            "-",
            "10",
            "smtpd -o a=b",
            "x y",
            "z",
            "5?",
            "{a b}",
            "$x",
            "smtpd -o { a = b c } -v",
            "inet",
        )

    changes: dict[str, Callable[[Random], str]] = {
        "-e": main_change, "": main_change, "-X": name, "-#": name, "-M#": where, "-MX": where,
        "-Me": lambda r: f"{where(r)}{pick(r, '=', ' = ')}{service(r) if r.random() < 0.7 else pick(r, 'x unix - - n - - smtp -o a=b', '', 'bad', 'smtp inet n - n - - smtpd')}",
        "-Fe": lambda r: f"{where(r)}/{pick(r, 'chroot', 'command', 'process_limit', 'wakeup', 'type', 'service', 'private', 'bogus', '*')}={value(r)}",
        "-Pe": lambda r: f"{where(r)}/{pick(r, 'a', 'mine', 'syslog_name', 'smtpd_client_restrictions', 'new', '*')}={value(r)}",
        "-PX": lambda r: f"{where(r)}/{pick(r, 'a', 'mine', 'syslog_name', 'new')}",
        "-P#": lambda r: f"{where(r)}/a", "-FX": lambda r: f"{where(r)}/chroot", "-F#": lambda r: f"{where(r)}/chroot",
    }  # fmt: skip
    option = pick(random, *changes)
    return edit(
        *([option] if option else []),
        *(changes[option](random) for _ in range(random.randint(1, 1 if changes[option] is main_change else 3))),
        main=main,
        master=master,
    )


LETTERS = (
    "-l",
    "-e",
    "-f",
    "-F",
    "-h",
    "-H",
    "-M",
    "-n",
    "-p",
    "-P",
    "-x",
    "-X",
    "-#",
    "-C builtin",
    "-C user",
    "-C",
    "-o a=b",
    "-o a",
    "-o",
    "-o =",
    "-Z",
    "-T compile-version",
    "-b",
    "-t",
    "--",
)


def by_option(random: Random) -> Trial:
    """Options that go together, and those that do not."""
    words = some(random, 1, 3, lambda r: r.choice(LETTERS), " ").split()
    if not {"-n", "-e", "-X", "-#", "-P", "-M", "-F"} & set(words):
        words += [
            "myhostname",
            *([pick(random, "relayhost", "nope", "a=b", "mail_name=x", "mydomain")] if random.random() < 0.5 else []),
        ]
    if {"-a", "-A", "-l", "-b", "-t"} & set(words) and len(words) < 3:
        words = ["-n"]
    if set(words) & {"-T", "-b", "-t"}:
        words = [word for word in words if word not in ("-T", "compile-version", "-b", "-t")] + ["-n"]
    return edit(*words, main=LEVEL + "myhostname = h.example.com\nmydomain = example.com\nb = c\n")


def comparable(trial: Trial, result: Result) -> Result:
    """What must be the same.

    Postfix looks at parameters in the order of a hash table, so that nobody knows what it has warned of by the time that one
    of them is fatal.
    """
    said = []
    for one in plain(result).said:
        lines = one.err.splitlines(keepends=True)
        if "macro processing error" in one.err:
            lines = sorted({line for line in lines if " parameter" not in line})
        said.append(Said(one.code, one.out, "".join(lines)))
    return Result(tuple(said), result.left)


CHOSEN_VALUES = (
    "${{99999999999999999999} == {1} ? {a}:{b}}", "${{1} <level {x}?{a}}", "${{x} <level {y}?{a}}", "$a ${test2", "${a", "$(a", "$ x", "${}", "$()", "${{x}", "${{x}==", "${{x}=={y", "${a?{x", "${a?{x}", "${a?{x}y}", "${a:{x}y}", "${a!b}", "${ a }", "${a b}", "${{x} == }", "${{x}}", "${{x} == {y}", "${{$b x} == {$c}?x}", "${{$(b} == {${c}?x}", "$$", "$$$a", "$$$$a", "${a}$", "$a$", "${$a}", "${a?$b}", "${a?${b}}", "${none?x}", "${none:x}", "${none?{x}:{y}}", "${empty?{x}:{y}}", "${a?{x}:{y}}", "${a ? {x} : {y}}", "${a?{{x}}}", "${a?{x}:{y}:{z}}", "${a?}", "${a:}", "${a?:}", "${a?{}:{}}", "${a?x:y}", "${none?x:y}", "${none:x?y}", "${{1}<{2}?{x}:{y}}", "${{10}<{9}?{x}:{y}}", "${{a10}<{a9}?{x}:{y}}", "${{010}=={10}?{x}:{y}}", "${{ 1 }=={1}?{x}:{y}}", "${{1}!={1}?{x}:{y}}", "${{1}>={1}?{x}:{y}}", "${{1}=<{1}?{x}:{y}}", "${{1}={1}?{x}:{y}}", "${{1}&&{1}?{x}:{y}}", "${{}=={}?{x}:{y}}", "${{-1}<{1}?{x}:{y}}", "${{1.0}=={1}?{x}:{y}}", "${{3.6}>=level{3.10}?{x}:{y}}", "${{3.6}>level{3.6.1}?{x}:{y}}", "${{3.6}==foo{3.6}?{x}:{y}}", "${{$a}=={value_a}?{$b}:{$c}}", "${{${a?{1}:{2}}}=={1}?{x}:{y}}", "$loop", "${loop?x}", "$deep", "$A", "$a_b", "$a-b", "$a.b", "${a.b}", "${a-b}", "$1", "${1}", "${_}", "{$a}", "{${a}}", "{ $a", "$a}", "a{b}c", "ü$a", "${a?{ü}}", "${ü}", "$ü", "${a?{x}ü}", "${{ü}=={ü}?{x}:{y}}", "$(a?x)", "$(a?{x}:{y})", "$({a}=={a}?{x}:{y})", "${a)", "$(a}", "$((a))", "${{a}}", "${{{a}}=={{a}}?{x}:{y}}", "\\$a", "'$a'", '"$a"', "a,b", "a  b\tc",
)  # fmt: skip
"""Values to be expanded."""

CHOSEN_QUESTIONS = (
    "-n", "-nf", "-nx", "-nh", "-nH", "-n -C user", "-C user", "-C service", "-C service -f", "-C builtin -n", "-C all -n", "-C user,service", "-C foo", "-M", "-Mf", "-Mx", "-M smtp", "-M smtp/inet", "-M smtp/inet x/y", "-M */unix", "-M */*", "-M *", "-M /inet", "-M smtp/inet/x", "-M sm*/inet", "-F", "-Ff", "-Fh", "-FH", "-Fx", "-F smtp/inet/command", "-F */*/chroot", "-F smtp/inet/nope", "-F smtp/inet/", "-F mailman/unix/command -f", "-P", "-Pf", "-Ph", "-PH", "-Px", "-P smtp/inet", "-P */*/mine", "-P smtp/inet/none", "-P smtp/inet/mine/x", "-P smtp", "-d relayhost", "-d nope", "-dh relayhost", "-dH relayhost", "-d -n", "-e -n a", "-M -n", "-F -n", "-P -n", "-Me", "-M#", "-MX", "-Fe", "-Pe", "-PX", "-X", "-#", "-e", "-X a=b", "-# a=b", "-hH a", "-f -e a=b", "-x -e a=b", "-o a=b -e c=d", "-o a", "-o =b", "-o a=b a", "-o relayhost=x relayhost", "-o relayhost=x -n", "-o mine=x -Px", "-d -o a=b relayhost", "-a -n", "-l -n", "-m -h", "-A -e", "-M -e smtp/inet", "-F -X smtp/inet/chroot", "-P -# smtp/inet/mine", "-M smtp.inet", "relayhost nope relayhost", "-h relayhost mydestination", "-H relayhost", "-f virtual_alias_maps", "slow_destination_concurrency_limit", "-d slow_destination_concurrency_limit", "-d nope_destination_concurrency_limit", "-x slow_destination_concurrency_limit", "policy_time_limit", "smtp_destination_recipient_limit", "mailman_time_limit", "virtual_maps", "-n virtual_maps", "-b -t", "-b -n", "-t -n", "-T", "-T foo", "-Z", "-c", "-l", "-e a=b c", "-X nope", "-# nope",
)  # fmt: skip
"""Options, right and wrong, about the usual configuration."""
CHOSEN = (
    *(ask("-xh", "test", main=BASE + f"test = {value}\nused = $test\n") for value in CHOSEN_VALUES),
    *(edit(*question.split(), main=NETWORKS + "mydestination = $myhostname, localhost\nfoo = bar\nuser = x\nvirtual_alias_maps = pgsql:db, hash:/a\ndb_hosts = h\ndb_nope = x\nvirtual_maps = hash:/b\n") for question in CHOSEN_QUESTIONS),
)  # fmt: skip

KINDS: Mapping[str, Callable[[Random], Trial]] = {
    "expansion": by_expansion,
    "main": by_main,
    "master": by_master,
    "edit": by_edit,
    "options": by_option,
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
