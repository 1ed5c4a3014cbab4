import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from seawall.config.settings import Settings
from seawall.eager import result_now
from seawall.intake.mapping import AddressMaps, Place
from seawall.intake.status import Errors
from seawall.routing.resolve import Routing
from seawall.tables.registry import Tables

CONFIG = (
    "compatibility_level = 3.6\nmyhostname = mail.example.org\nmyorigin = example.org\nmydestination = example.org\n"
    "recipient_delimiter = +\n"
)


def maps(more: str) -> AddressMaps:
    settings, tables = Settings.from_text(CONFIG + more), Tables()
    return AddressMaps(settings, Routing(settings, tables), tables)


def expanded(more: str, address: str) -> list[str]:
    errors = Errors()
    found = result_now(maps(more).expanded(address, errors))
    assert not errors, errors.warnings
    return found


@pytest.mark.parametrize(
    ("table", "address", "expected"),
    [
        ("{a@v.example=b@example.org}", "a@v.example", ["b@example.org"]),
        ("{a@v.example=b,c}", "a@v.example", ["b@example.org", "c@example.org"]),
        ("{@v.example=@w.example}", "a@v.example", ["a@w.example"]),
        ("{@v.example=@w.example}", "a+x@v.example", ["a+x@w.example"]),
        ("{a@v.example=b@w.example}", "a+x@v.example", ["b+x@w.example"]),
        ("{a@v.example=b@v.example}{b@v.example=c@v.example}", "a@v.example", ["c@v.example"]),
        ("{a@v.example=a@v.example,b@v.example}", "a@v.example", ["a@v.example", "b@v.example"]),
        ("{alice=bob@w.example}", "alice@example.org", ["bob@w.example"]),
        ("{alice=bob@w.example}", "alice@elsewhere.example", ["alice@elsewhere.example"]),
        ('{a@v.example="x y"@example.org}', "a@v.example", ["x y@example.org"]),
        ("{b@v.example=x}", "a@v.example", ["a@v.example"]),
    ],
)
def test_virtual_aliases_are_followed_to_the_end(table: str, address: str, expected: list[str]) -> None:
    entries = table.replace("}{", "} {")
    assert expanded(f"virtual_alias_maps = inline:{{{entries}}}\n", address) == expected


def test_an_extension_goes_no_further_where_it_is_not_propagated() -> None:
    more = "virtual_alias_maps = inline:{{a@v.example=b@w.example}}\npropagate_unmatched_extensions =\n"
    assert expanded(more, "a+x@v.example") == ["b@w.example"]


@pytest.mark.parametrize(
    ("more", "warning"),
    [
        ("virtual_alias_maps = inline:{{a@v=b@v} {b@v=a@v}}\n", "nesting"),
        ("virtual_alias_maps = inline:{{a@v=b@v,c@v,d@v}}\nvirtual_alias_expansion_limit = 2\n", "expansion size"),
        ("virtual_alias_maps = inline:{{a@v=bbbbbbbbbbbbbbbb@v}}\nvirtual_alias_address_length_limit = 9\n", "result"),
    ],
)
def test_an_expansion_that_is_out_of_hand_is_given_up(more: str, warning: str) -> None:
    errors = Errors()
    assert result_now(maps(more).expanded("a@v", errors)) == ["a@v"]
    assert errors.reply().line() == "451 4.6.0 Alias expansion error"
    assert warning in errors.warnings[0]


@given(
    st.dictionaries(
        st.sampled_from([f"{letter}@v.example" for letter in "abcdef"]),
        st.lists(st.sampled_from([f"{letter}@v.example" for letter in "abcdefgh"]), min_size=1, max_size=4),
    )
)
def test_every_expansion_ends_and_repeats_nothing_without_end(table: dict[str, list[str]]) -> None:
    entries = " ".join("{" + f"{key} = {', '.join(values)}" + "}" for key, values in table.items())
    more = f"virtual_alias_expansion_limit = 50\nvirtual_alias_recursion_limit = 50\nvirtual_alias_maps = inline:{{{entries}}}\n"
    errors = Errors()
    found = result_now(maps(more if table else "virtual_alias_maps = inline:{{x=y}}\n").expanded("a@v.example", errors))
    assert 1 <= len(found) <= 50, json.dumps(table)


def mapped(more: str, address: str, place: Place) -> str:
    errors = Errors()
    found = result_now(maps(more).mapped(address, place, errors))
    assert not errors
    return found


def test_canonical_maps_change_what_their_classes_name() -> None:
    more = (
        "canonical_maps = inline:{{a@x=b@x}}\ncanonical_classes = header_sender\n"
        "sender_canonical_maps = inline:{{a@x=c@x}}\nsender_canonical_classes = envelope_sender\n"
        "recipient_canonical_maps = inline:{{a@x=d@x}}\n"
    )
    found = [mapped(more, "a@x", place) for place in Place]
    assert found == ["c@x", "d@x", "b@x", "d@x"]


def test_a_canonical_loop_ends_where_it_is() -> None:
    assert mapped("canonical_maps = inline:{{a@x=b@x} {b@x=a@x}}\n", "a@x", Place.ENVELOPE_SENDER) == "a@x"


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        ("u@a.masq.example", "u@masq.example"),
        ("u@masq.example", "u@masq.example"),
        ("u@a.not.masq.example", "u@a.not.masq.example"),
        ("ROOT@a.masq.example", "ROOT@a.masq.example"),
        ("u@xmasq.example", "u@xmasq.example"),
    ],
)
def test_masquerading_hides_hosts_but_not_exceptions(address: str, expected: str) -> None:
    more = "masquerade_domains = !not.masq.example masq.example\nmasquerade_exceptions = root\n"
    assert mapped(more, address, Place.HEADER_SENDER) == expected
    assert mapped(more, address, Place.ENVELOPE_RECIPIENT) == address
