"""Macros in values, with the answers that the real mac_expand gives."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from seawall.config.expand import expand, names_used
from seawall.config.source import ConfigTrouble

VALUES = {
    "name1": "name1-value",
    "empty": "",
    "level": "3.6",
    "twice": "$name1 ${name1}",
    "dollar": "$$name1",
    "loop": "$loop2",
    "loop2": "x${loop}",
}


def expanded(text: str) -> str:
    return expand(text, VALUES.get)


@pytest.mark.parametrize(
    ("text", "result"),
    [
        ("plain", "plain"),
        ("$name1", "name1-value"),
        ("$(name1)", "name1-value"),
        ("${name1}", "name1-value"),
        ("${ name1 }", "name1-value"),
        ("a$name1-b", "aname1-value-b"),
        ("$twice", "name1-value name1-value"),
        ("$$name1", "$name1"),
        ("$dollar", "$name1"),
        ("$undefined", ""),
        ("${name1?yes}", "yes"),
        ("${name1:no}", ""),
        ("${empty?yes}", ""),
        ("${empty:no}", "no"),
        ("${undefined:$name1}", "name1-value"),
        ("${name1?{yes}:{no}}", "yes"),
        ("${empty?{yes}:{no}}", "no"),
        ("${undefined ? {yes} : {no}}", "no"),
        ("${name1??foo:{b}ar}", "?foo:{b}ar"),
        ("${name1?a:b}", "a:b"),
        ("${empty?a:b}", ""),
        ("${name1?{${empty?{1}:{2}}}:{3}}", "2"),
        ("${{a} == {a}}", "true"),
        ("${{a} != {a}}", ""),
        ("${{a} == {b}?{yes}:{no}}", "no"),
        ("${{a} != {b}?{yes}}", "yes"),
        ("${{a} == {b}:{no}}", "no"),
        ("${{$name1} == {name1-value}?{same}:{other}}", "same"),
        ("${{10} > {9}?{number}:{text}}", "number"),
        ("${{10} > {9x}?{number}:{text}}", "text"),
        ("${{1} <= {1}?{y}:{n}}${{1} >= {1}?{y}:{n}}${{1} < {1}?{y}:{n}}${{1} > {1}?{y}:{n}}", "yynn"),
        ("${{3.10} >level {3.9}?{newer}:{older}}", "newer"),
        ("${{3.10} > {3.9}?{newer}:{older}}", "older"),
        ("${{$level} <level {3.6} ? {old} : {new}}", "new"),
        ("${{$level} ==level {3.6.0}?{y}:{n}}", "y"),
        ("${domain_to_ascii{b\u00fccher.example}}", "xn--bcher-kva.example"),
        ("${domain_to_ascii{$name1}}", "name1-value"),
        ("${domain_to_utf8{xn--bcher-kva.example}}", "b\u00fccher.example"),
    ],
)
def test_a_macro_expands_as_in_postfix(text: str, result: str) -> None:
    assert expanded(text) == result


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("${name1", 'truncated macro reference: "${name1"'),
        ("$(name1", 'truncated macro reference: "$(name1"'),
        ("a $ b", 'empty macro name: "a $ b"'),
        ("${}", 'empty macro name: "${}"'),
        ("${na-me}", 'attribute name syntax error at: "...na>>>-me"'),
        ("${name1 x}", 'attribute name syntax error at: "...name1>>> x"'),
        ("${{a} = {b}}", 'expected at: "...a}>>>= {b}"'),
        ("${{a} == b}", '"{expression}" expected at: "...{a} ==>>> b"'),
        ("${{a} ==foo {b}}", 'bad operator suffix at: "...==>>>foo"'),
        ("${{a} == {b} c}", '"?" or ":" expected at: "...}>>>c"'),
        ("${name1?{a} b}", '":" expected at: "...a}>>>b"'),
        ("${name1?{a}:{b} c}", 'unexpected input at: "...b}>>>c"'),
        ("${{x} <level {3}}", 'malformed compatibility level syntax: "x"'),
        ("$loop", "unreasonable macro call nesting"),
    ],
)
def test_what_postfix_stops_at_is_trouble_in_its_words(text: str, message: str) -> None:
    with pytest.raises(ConfigTrouble) as caught:
        expanded(text)
    assert message in caught.value.message


def test_a_value_that_doubles_at_every_step_ends_in_trouble() -> None:
    chain = {f"n{at}": f"$n{at + 1}$n{at + 1}" for at in range(60)}
    with pytest.raises(ConfigTrouble):
        expand("$n0", {**chain, "n60": ""}.get)
    with pytest.raises(ConfigTrouble):
        expand("$n40", {**chain, "n60": "x" * 1000}.get)


def test_names_are_found_on_both_sides_of_a_condition() -> None:
    text = "$a ${b?{$c}:{${d}}} ${{$e} == {$f} ? {$g} : {$h}} ${i:$j} $$k ${domain_to_ascii{$l}}"
    assert names_used(text) == tuple("abcdefghijl")


macro_text = st.lists(
    st.sampled_from(
        [
            "$",
            "${",
            "}",
            "$(",
            ")",
            "{",
            "a",
            "b",
            "c",
            "?",
            ":",
            "==",
            "<level",
            " ",
            "3.6",
            "$$",
            "domain_to_ascii",
            "\u00fc",
        ]
    ),
    max_size=24,
).map("".join)


@given(macro_text, st.dictionaries(st.sampled_from(["a", "b", "c"]), macro_text))
def test_an_expansion_ends_in_a_text_or_in_config_trouble(text: str, values: dict[str, str]) -> None:
    for ask in (lambda: expand(text, values.get), lambda: names_used(text)):
        try:
            ask()
        except ConfigTrouble:
            continue
