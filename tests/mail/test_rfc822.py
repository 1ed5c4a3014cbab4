import pytest
from hypothesis import given
from hypothesis import strategies as st

from seawall.mail.address import quote_local
from seawall.mail.rfc822 import Address, BadPath, Path, addresses, externalize, internalize, parse, parse_path, scan

LISTS = [
    # text, internal form, external form; tok822_parse(3)
    ("wietse venema <wietse@porcupine.org>", None, None),
    ("wietse@porcupine.org (Wietse Venema)", None, None),
    ("wietse@porcupine.org", None, None),
    ('"wietse venema" <w@p>', "wietse venema <w@p>", '"wietse venema" <w@p>'),
    ('Foo: a@b, "x y"@c (hi);, d@e', "Foo: a@b, x y@c (hi);, d@e", 'Foo: a@b, "x y"@c (hi);, d@e'),
    ("first last", "first, last", "first, last"),
    ("a@b c@d", "a@b, c@d", "a@b, c@d"),
    ("<a(c)b@x>", "<ab@x (c)>", "<ab@x (c)>"),
    ("a\\ b@c", "a b@c", '"a b"@c'),
    ("a:b@c", "a:b@c", '"a:b"@c'),
    ("a,,b", "a, , b", "a, , b"),
    ("x@[192.0.2.1]", None, None),
    ("group:;", "group: ;", "group: ;"),
    ("(a (nested) b)", None, None),
    ("Mr. B <a@b>", "Mr.B <a@b>", "Mr.B <a@b>"),
]


@pytest.mark.parametrize(("text", "internal", "external"), LISTS)
def test_a_list_is_understood_leniently_and_nothing_is_lost(
    text: str, internal: str | None, external: str | None
) -> None:
    nodes = parse(text)
    assert internalize(nodes) == (text if internal is None else internal)
    assert externalize(nodes) == (text if external is None else external)


def test_a_header_gets_one_address_a_line() -> None:
    assert externalize(parse("a@b, c@d, e@f"), lines=True) == "a@b,\nc@d,\ne@f"


def test_the_addresses_of_a_list_are_found_in_order() -> None:
    assert [a.internal for a in addresses(parse('Me <a@b>, "c d"@e (x), g: h@i;'))] == ["a@b", "c d@e", "h@i"]


def test_reading_stops_at_the_token_limit() -> None:
    assert len(scan("a " * 1000, 10)) == 10


@pytest.mark.parametrize(
    "text", ["\\", '"', "[", "(", "a\\", '"a\\', "[a\\", "(a\\", "<", ">", ":", ";", ",", "", " \t\n"]
)
def test_broken_text_is_no_trouble(text: str) -> None:
    externalize(parse(text))


@given(st.text(alphabet='ab@.,:;<>()[]"\\ \t\n%!|', max_size=40))
def test_any_text_can_be_parsed_and_the_result_is_stable(text: str) -> None:
    once = externalize(parse(text))
    assert externalize(parse(once)).count("@") == once.count("@")


@given(st.text(alphabet='ab@.<>()[]"\\ %!', max_size=12))
def test_an_address_survives_quoting_and_parsing(local: str) -> None:
    if local and not local.startswith("@"):
        nodes = parse(quote_local(f"{local}@x.example"))
        assert [a.internal for a in addresses(nodes)] == [f"{local}@x.example"]
        assert isinstance(nodes[0], Address)


@pytest.mark.parametrize(
    ("text", "lenient", "strict"),
    [
        ("<a@b>", "a@b", "a@b"),
        ("<>", "", ""),
        ("a@b", "a@b", None),
        ('<"a b"@c>', "a b@c", "a b@c"),
        ("<a b@c>", None, None),
        ("<x@y> (c)", "x@y", None),
        ("Foo <a@b>", "a@b", None),
        ("<@a,@b:c@d>", "c@d", "c@d"),
        ("<a@b,c@d>", None, None),
        ("<@b>", "@b", None),
        ("<<a@b>>", "a@b", "a@b"),
        ("<a@[192.0.2.1]>", "a@[192.0.2.1]", "a@[192.0.2.1]"),
        ("<a@b(c)>", "a@b", None),
    ],
)
def test_a_path_is_taken_as_smtpd_takes_it(text: str, lenient: str | None, strict: str | None) -> None:
    for expected, is_strict in ((lenient, False), (strict, True)):
        found = parse_path(text, strict=is_strict)
        if expected is None:
            assert isinstance(found, BadPath)
        else:
            assert found == Path(expected, text)


def test_rcpt_needs_an_address() -> None:
    assert isinstance(parse_path("<>", allow_empty=False), BadPath)
