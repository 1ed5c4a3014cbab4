"""Query and result templates, and which keys they rule out."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from seawall.tables.pgsql import arguments_of
from seawall.tables.template import BadTemplate, Templates, fill, parse_template


@pytest.mark.parametrize(
    ("question", "result", "key", "asked"),
    [
        ("%s", "%s", "user@example.com", "user@example.com"),
        ("%u|%d", "%s", "user@example.com", "user|example.com"),
        ("%u", "%s", "user", "user"),
        ("%u", "%s", "@example.com", None),
        ("%d", "%s", "user", None),
        ("%d", "%s", "user@", None),
        ("%s", "%D", "user", None),
        ("%s", "%U", "@example.com", None),
        ("%s", "%d", "user", "user"),
        ("%1.%2.%3", "%s", "user@mail.example.com", "com.example.mail"),
        ("%3", "%s", "user@example.com", None),
        ("%s", "%3", "user@example.com", None),
        ("%2", "%s", "user@example..com", "example"),
        ("%%s", "%s", "user@example.com", "%s"),
        ("%u", "%s", "a@b@c", "a@b"),
        ("%s", "%s", "", None),
    ],
)
def test_a_key_that_lacks_a_part_is_not_asked_for(question: str, result: str, key: str, asked: str | None) -> None:
    templates = Templates([question], result)
    parts = templates.key_of(key)
    assert (None if parts is None else fill(templates.questions[0], parts)) == asked


@pytest.mark.parametrize(
    ("result", "value", "shown"),
    [
        ("%s", "x", "x"),
        ("%s", "", None),
        ("smtp:[%s]", "host", "smtp:[host]"),
        ("%u", "a@b", "a"),
        ("%u", "@b", None),
        ("%d", "a", None),
        ("%d", "a@b", "b"),
        ("%S %U %D %1 %2 %%", "x", "user@example.com user example.com com example %"),
        ("constant", "x", "constant"),
    ],
)
def test_values_take_the_form_of_the_result(result: str, value: str, shown: str | None) -> None:
    templates = Templates(["%s"], result)
    parts = templates.key_of("user@example.com")
    assert parts is not None
    assert templates.result_of(value, parts) == shown


@pytest.mark.parametrize("text", ["%", "%x", "a%", "%0", "%%%"])
def test_an_unknown_letter_is_no_template(text: str) -> None:
    with pytest.raises(BadTemplate):
        parse_template(text)


@pytest.mark.parametrize(
    ("query", "text", "places"),
    [
        ("SELECT a FROM t WHERE k = '%s'", "SELECT a FROM t WHERE k = $1", ["user@x"]),
        ("SELECT a FROM t WHERE k IN ('%u', '@%d')", "SELECT a FROM t WHERE k IN ($1, $2)", ["user", "@x"]),
        ("SELECT f('%s'), 'kept'", "SELECT f($1), 'kept'", ["user@x"]),
        ("SELECT 1", "SELECT 1", []),
    ],
)
def test_quoted_texts_become_arguments(query: str, text: str, places: list[str]) -> None:
    prepared = arguments_of(parse_template(query))
    parts = Templates([query]).key_of("user@x")
    assert prepared is not None
    assert parts is not None
    assert prepared.text == text
    assert [fill(place, parts) for place in prepared.places] == places


@pytest.mark.parametrize(
    "query",
    [
        "SELECT %s",
        "SELECT E'%s'",
        "SELECT '%s''s'",
        "SELECT '''%s'",
        "SELECT '%s' 'more'",
        "SELECT $$%s$$",
        "SELECT '%s' -- it's",
        "SELECT '%s",
        'SELECT "%s"',
        "SELECT '\\%s'",
        "SELECT U&'%s'",
    ],
)
def test_what_is_not_plainly_quoted_is_left_to_postgresql(query: str) -> None:
    assert arguments_of(parse_template(query)) is None


@given(st.text(alphabet="ab'%sud@ $E\\\"-=", max_size=30))
def test_a_prepared_query_means_what_the_text_means(query: str) -> None:
    try:
        template = parse_template(query)
    except BadTemplate:
        return
    prepared = arguments_of(template)
    if prepared is None:
        return
    # put the arguments back where they were: the text must be the same again
    text = prepared.text
    for number in range(len(prepared.places), 0, -1):
        place = "".join(part if isinstance(part, str) else f"%{part.letter}" for part in prepared.places[number - 1])
        text = text.replace(f"${number}", f"'{place}'")
    assert "%%" in query or parse_template(text.replace("%%", "%")) == template
