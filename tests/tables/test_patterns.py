"""regexp: and pcre: tables."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from seawall.linux.regexp import EXTENDED, ICASE, NOSUB, Regexp, RegexpTrouble
from seawall.tables.registry import Tables
from seawall.tables.replacement import parse_replacement
from seawall.tables.table import Use

KINDS = ("regexp", "pcre")

RULES = """\
# comment
/^ann@/         FIRST
/^(.*)@(.*)\\.example$/  $2 has ${1} and $(1), costs $$1
!/@/            no domain
if /@deep$/
/^a/            a-deep
if !/^b/
/./             not b
endif
/^b/            b-deep
endif
/x(y)?z@/       got <$1>
/CaSe@/i        exact case
/multi
  line@/        joined
"""


@pytest.fixture(params=KINDS)
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.mark.parametrize(
    ("key", "expected"),
    [
        ("ann@x.example", "FIRST"),
        ("ANN@x", "FIRST"),
        ("bob@b.example", "b has bob and bob, costs $1"),
        ("nobody", "no domain"),
        ("abc@deep", "a-deep"),
        ("ccc@deep", "not b"),
        ("bcc@deep", "b-deep"),
        ("xz@q", "got <>"),
        ("xyz@q", "got <y>"),
        ("case@q", None),
        ("CaSe@q", "exact case"),
        ("multi  line@q", "joined"),
        ("q@q", None),
    ],
)
def test_the_first_rule_that_matches_answers(tmp_path: Path, kind: str, key: str, expected: str | None) -> None:
    (tmp_path / "rules").write_text(RULES)
    tables = Tables(root=str(tmp_path))
    assert tables.open(f"{kind}:/rules").lookup(key) == expected
    assert tables.warnings == []


BAD = (
    ("foo bar", ("ignoring unrecognized request",)),
    ("/abc", ('no closing regexp delimiter "/": {unclosed}',)),
    ("/abc/q x", ('unknown regexp option "q": skipping this rule',)),
    ("/a/", ("no replacement text: using empty string",)),
    ("/a/ $2", ('out of range replacement index "2": skipping this rule',)),
    ("/a/ $a", ('non-numeric replacement index "a"', "bad replacement syntax: skipping this rule")),
    ("/(a)/ $1b", ('non-numeric replacement index "1b"', "bad replacement syntax: skipping this rule")),
    ("/a/ $0", ('{range} replacement index "0"', "bad replacement syntax: skipping this rule")),
    ("!/(a)/ $1", ("$number found in negative match replacement text: skipping this rule",)),
    ("!", ("no regexp: skipping this rule",)),
    ("if", ("no regexp: skipping this rule",)),
    ("endif", ("ignoring ENDIF without matching IF",)),
    ("if /a/", ("IF has no matching ENDIF",)),
    (
        "if /a/ x\nendif",
        (
            'ignoring extra text after IF statement: "x"',
            "do not prepend whitespace to statements between IF and ENDIF",
        ),
    ),
    ("if /a/\nendif x", ("line 2: ignoring extra text after ENDIF",)),
)


@pytest.mark.parametrize(("rules", "words"), BAD, ids=[rules for rules, _ in BAD])
def test_a_bad_rule_is_left_out_with_postfixs_warning(
    tmp_path: Path, kind: str, rules: str, words: tuple[str, ...]
) -> None:
    (tmp_path / "rules").write_text(rules + "\n")
    tables = Tables(root=str(tmp_path))
    tables.open(f"{kind}:/rules")
    fill = {
        "{unclosed}": "skipping this rule" if kind == "regexp" else "ignoring this rule",
        "{range}": "out-of-range" if kind == "regexp" else "out of range",
    }
    expected = []
    for word in words:
        for mark, text in fill.items():
            word = word.replace(mark, text)
        line = "" if word.startswith("line ") else "line 1: "
        expected.append(f"{kind} map {tmp_path}/rules, {line}{word}")
    assert tables.warnings == expected


def test_a_bad_expression_is_told_in_the_engines_words() -> None:
    tables = Tables()
    tables.open("regexp:{{/(a/ x}}")
    tables.open("pcre:{{/(a/ x}}")
    assert tables.warnings == [
        "regexp map {{/(a/ x}}, line 1: Unmatched ( or \\(",
        "pcre map {{/(a/ x}}, line 1: error in regex at offset 2: missing closing parenthesis",
    ]


def test_a_broken_dollar_is_told_with_the_whole_text() -> None:
    warnings: list[str] = []
    assert parse_replacement("${1", "x", warnings.append, "") is None
    assert parse_replacement("a $", "x", warnings.append, "") is None
    assert warnings == ['truncated macro reference: "${1"', 'empty macro name: "a $"']


def test_alias_tables_allow_no_substitution() -> None:
    tables = Tables()
    table = tables.open("regexp:{{/^(.*)$/ $1}, {/^a$/ b}}", Use(substitute=False))
    assert table.lookup("a") == "b"
    assert tables.warnings[0].endswith("regular expression substitution is not allowed: skipping this rule")


def test_regexp_is_leftmost_longest_and_pcre_leftmost_first() -> None:
    tables = Tables()
    assert tables.open("regexp:{{/(a|ab)/ <$1>}}").lookup("xab") == "<ab>"
    assert tables.open("pcre:{{/(a|ab)/ <$1>}}").lookup("xab") == "<a>"


def test_regexp_may_have_a_second_pattern() -> None:
    table = Tables().open("regexp:{{/a/!/b/ a and no b}, {/a/!!/b/ a and b}}")
    assert table.lookup("a") == "a and no b"
    assert table.lookup("ab") == "a and b"


def test_the_flags_of_pcre() -> None:
    tables = Tables()
    assert tables.open("pcre:{{/a b # c/x y}}").lookup("ab") == "y"
    assert tables.open("pcre:{{/b/A y}}").lookup("ab") is None
    assert tables.open("pcre:{{/^b/m y}}").lookup("a\nb") == "y"
    assert tables.open("pcre:{{/a.b/ y}}").lookup("a\nb") == "y"
    assert tables.open("pcre:{{/a.b/s y}}").lookup("a\nb") is None
    assert tables.open("pcre:{{/(a+)/U $1}}").lookup("aaa") == "a"
    assert tables.open("pcre:{{/a$/ y}}").lookup("a\n") == "y"
    assert tables.open("pcre:{{/a$/E y}}").lookup("a\n") is None
    tables.open("pcre:{{/a/X y}}")
    assert tables.warnings == ['pcre map {{/a/X y}}, line 1: ignoring obsolete regexp option "X"']


def test_an_expression_that_explodes_ends_with_a_warning_and_no_match() -> None:
    tables = Tables()
    table = tables.open("pcre:{{/^(a+)+$/ x}, {/b/ later rule}}")
    assert table.lookup("a" * 40 + "b") == "later rule"
    assert tables.warnings == ["pcre map {{/^(a+)+$/ x}, {/b/ later rule}}, line 1: match limit exceeded"]


async def test_an_expression_without_a_bound_is_asked_in_a_thread() -> None:
    table = Tables().open("regexp:{{/^(a+)\\1$/ doubled}}")
    answer = table.lookup("aaaa")
    assert answer is not None
    assert not isinstance(answer, str)
    assert await answer == "doubled"


def test_keys_that_are_no_utf8_match_nothing_unless_the_user_says_so(kind: str) -> None:
    tables = Tables()
    assert tables.open(f"{kind}:{{{{/./ x}}}}").lookup("caf\udce9") is None
    assert tables.open(f"{kind}:{{{{/caf(.)$/ <$1>}}}}", Use(utf8=False)).lookup("caf\udce9") == "<\udce9>"
    assert tables.open(f"{kind}:{{{{/café/ x}}}}").lookup("un café") == "x"


def test_deep_ifs_do_not_exhaust_anything(tmp_path: Path, kind: str) -> None:
    (tmp_path / "rules").write_text("if /a/\n" * 3000 + "/a/ deep\n" + "endif\n" * 3000 + "/b/ b\n")
    table = Tables(root=str(tmp_path)).open(f"{kind}:/rules")
    assert table.lookup("a") == "deep"
    assert table.lookup("b") == "b"


@given(st.text('/!ifendIFx$(){}\\1*+[]| \t\n"', max_size=60), st.text(max_size=10))
def test_no_table_text_gives_more_than_warnings(rules: str, key: str) -> None:
    from seawall.config.source import logical_lines
    from seawall.tables.patterns import compile_pcre, compile_regexp
    from seawall.tables.table import USUAL

    for compile_rules in (compile_pcre, compile_regexp):
        find = compile_rules(logical_lines(rules), "t", USUAL, lambda text: None)
        assert isinstance(find(key.replace("\0", "")), str | None)


def test_the_c_library_tells_groups_and_trouble() -> None:
    assert Regexp(b"(a)(b(c))?", EXTENDED).groups == 3
    assert Regexp(b"(a)(b)?", EXTENDED | ICASE).search(b"xA") == (b"A", b"A", b"")
    assert Regexp(b"a", EXTENDED | NOSUB).matches(b"bab")
    with pytest.raises(RegexpTrouble, match="Invalid range end"):
        Regexp(b"[z-a]", EXTENDED)
