import pytest
from hypothesis import given
from hypothesis import strategies as st

from seawall.mail.address import (
    fold,
    is_hostname,
    literal_address,
    quote_local,
    quote_path,
    split_address,
    split_extension,
    unquote_local,
)

QUOTED = [
    # internal, external; quote_822_local(3)
    ("bob@x.example", "bob@x.example"),
    ("a b@x", '"a b"@x'),
    ("a@b@x", '"a@b"@x'),
    ("a..b@x", '"a..b"@x'),
    (".a@x", '".a"@x'),
    ("a.@x", '"a."@x'),
    ('a"b@x', '"a\\"b"@x'),
    ("a\\b@x", '"a\\\\b"@x'),
    ("é@x", "é@x"),
    ("@x", '""@x'),
    ("", '""'),
    ("a!b%c@x", "a!b%c@x"),
    ("a@b@c@d", '"a@b@c"@d'),
]


@pytest.mark.parametrize(("internal", "external"), QUOTED)
def test_a_local_part_is_quoted_only_where_it_must_be(internal: str, external: str) -> None:
    assert quote_local(internal) == external
    assert unquote_local(external) == internal


@pytest.mark.parametrize(
    ("external", "internal"),
    [('"a@b@c"', "a@b@c"), ('"a@b@c"@d@e', "a@b@c@d@e"), ("a\\ b@x", "a b@x"), ("a@x\\", "a@x\\"), ('"a', "a")],
)
def test_quotes_go_as_in_postfix_s_own_tests(external: str, internal: str) -> None:
    assert unquote_local(external) == internal


def test_a_source_route_is_no_part_of_the_local_part() -> None:
    assert quote_local("@a,@b:c d@x") == '@a,@b:"c d"@x'


def test_the_null_path_has_no_quotes() -> None:
    assert quote_path("") == ""
    assert quote_path("a b@x") == '"a b"@x'


@given(
    st.text(alphabet=st.characters(exclude_categories=["Cs"]), max_size=30),
    st.sampled_from(["x", "x.example", "[192.0.2.1]"]),
)
def test_quoting_and_unquoting_give_the_address_back(local: str, domain: str) -> None:
    if not local.startswith("@"):  # which would be a source route
        assert unquote_local(quote_local(f"{local}@{domain}")) == f"{local}@{domain}"


@pytest.mark.parametrize(
    ("address", "expected"), [("a@b", ("a", "b")), ("a@b@c", ("a@b", "c")), ("a", ("a", None)), ("a@", ("a", ""))]
)
def test_the_domain_is_behind_the_last_at_sign(address: str, expected: tuple[str, str | None]) -> None:
    assert split_address(address) == expected


@pytest.mark.parametrize(
    ("local", "delimiters", "expected"),
    [
        ("bob+x", "+", ("bob", "x")),
        ("bob+x+y", "+", ("bob", "x+y")),
        ("bob-x+y", "+-", ("bob", "x+y")),
        ("bob+", "+", ("bob", "")),
        ("bob", "+", ("bob", None)),
        ("bob+x", "", ("bob+x", None)),
        ("+bob", "+", ("+bob", None)),
        ("owner-list", "-", ("owner-list", None)),
        ("list-request", "-", ("list-request", None)),
        ("-request", "-", ("-request", None)),
        ("owner+list", "+", ("owner", "list")),
        ("MAILER-DAEMON", "-", ("MAILER-DAEMON", None)),
        ("double-bounce", "-", ("double-bounce", None)),
    ],
)
def test_an_extension_is_split_off_but_from_reserved_names(
    local: str, delimiters: str, expected: tuple[str, str | None]
) -> None:
    assert split_extension(local, delimiters) == expected


def test_owner_is_nothing_special_where_the_site_says_so() -> None:
    assert split_extension("owner-list", "-", owner_request_special=False) == ("owner", "list")


@pytest.mark.parametrize("name", ["a", "a.b", "a-b.c", "_dmarc.x", "1a", "xn--abc", "a" * 63])
def test_a_name_may_be_a_mail_domain(name: str) -> None:
    assert is_hostname(name)


@pytest.mark.parametrize(
    "name", ["", ".", "a.", ".a", "a..b", "-a", "a-", "a-.b", "1.2", "123", "a b", "é", "a" * 64, "a." * 128 + "a"]
)
def test_a_name_may_not_be_a_mail_domain(name: str) -> None:
    assert not is_hostname(name)


@pytest.mark.parametrize(
    ("domain", "address"),
    [
        ("[192.0.2.1]", "192.0.2.1"),
        ("[IPv6:2001:db8::1]", "2001:db8::1"),
        ("[ipv6:::1]", "::1"),
        ("[2001:db8::1]", None),
        ("[IPv6:192.0.2.1]", None),
        ("192.0.2.1", None),
        ("[]", None),
        ("[a]", None),
    ],
)
def test_an_address_literal_has_its_prefix(domain: str, address: str | None) -> None:
    assert literal_address(domain) == address


def test_letters_are_compared_without_case() -> None:
    assert fold("BoB@ÉXAMPLE") == "bob@éxample"
