"""The registry says every parameter once, and the list of what is not done shrinks."""

from fnmatch import fnmatchcase

import pytest

from seawall.config.expand import names_used
from seawall.config.parameter import Kind
from seawall.config.reference import TITLES, reference
from seawall.config.registry import REGISTRY, STAGES
from seawall.config.registry.templates import OBSOLETE, REPLACED, SUFFIXES, base_of
from seawall.config.registry.unsupported import UNSUPPORTED, Act, unsupported
from seawall.config.settings import READ_ONLY, Settings
from seawall.config.support import findings, is_default, stopping

PLAIN = Settings.from_text("")
FEWEST = 909
"""What `postconf -d` of 3.12 counts, its three names of a running program included and ours not."""


def test_every_parameter_is_said_once() -> None:
    assert sum(len(table) for table in STAGES.values()) == len(REGISTRY)
    own = sum(name.startswith("seawall_") for name in REGISTRY)
    assert len(REGISTRY) - own + len(READ_ONLY) >= FEWEST


@pytest.mark.parametrize("stage", STAGES)
def test_the_tables_are_sorted_by_name(stage: str) -> None:
    names = [parameter.name for parameter in STAGES[stage]]
    assert stage == "own" or names == sorted(names)


def test_every_default_is_a_value_of_its_kind() -> None:
    for name in REGISTRY:
        PLAIN.check(name)
        PLAIN.with_overrides({"stress": "yes"}).check(name)
        PLAIN.with_overrides({"compatibility_level": "3.12"}).check(name)


def test_a_default_names_only_what_is_known() -> None:
    known = {*REGISTRY, *OBSOLETE}
    for parameter in REGISTRY.values():
        if parameter.kind is not Kind.RAW:
            assert set(names_used(parameter.default)) <= known, parameter.name


def test_a_parameter_is_acted_on_or_listed_as_not_done_and_never_both() -> None:
    for parameter in REGISTRY.values():
        assert parameter.is_acted_on != (unsupported(parameter.name) is not None), parameter.name
        assert not (parameter.is_acted_on and parameter.name in UNSUPPORTED), parameter.name


def test_no_row_of_the_list_is_about_nothing() -> None:
    for pattern in UNSUPPORTED:
        assert any(fnmatchcase(name, pattern) and not REGISTRY[name].is_acted_on for name in REGISTRY), pattern


def test_a_sentence_ends_and_fits_a_line() -> None:
    for parameter in REGISTRY.values():
        if parameter.sentence:
            assert parameter.sentence.endswith("."), parameter.name
            assert len(parameter.sentence) <= 120, parameter.name


def test_templated_names_are_known_by_their_longest_suffix() -> None:
    assert base_of("smtp_destination_recipient_limit") == "default_destination_recipient_limit"
    assert base_of("smtp_extra_recipient_limit") == "default_extra_recipient_limit"
    assert base_of("smtp_recipient_limit") == "default_recipient_limit"
    assert base_of("_recipient_limit") is None
    assert base_of("myhostname") is None
    assert set(SUFFIXES.values()) <= set(REGISTRY)


def test_no_name_is_both_old_and_new() -> None:
    assert not set(OBSOLETE) & set(REGISTRY)
    assert not set(REPLACED) & set(REGISTRY)
    assert set(OBSOLETE.values()) <= set(REGISTRY)


def test_what_would_let_mail_through_unfiltered_stops_the_start() -> None:
    settings = Settings.from_text("smtpd_milters = inet:localhost:8891\n")
    (found,) = stopping(settings, ())
    assert str(found) == (
        "/etc/postfix/main.cf, line 1: smtpd_milters is not implemented: mail would go unfiltered and unsigned; "
        "take it out, or put its name into seawall_ignore_parameters"
    )


def test_what_is_named_in_seawall_ignore_parameters_does_not_stop_the_start() -> None:
    settings = Settings.from_text("smtpd_milters = inet:x:1\nseawall_ignore_parameters = smtpd_milters\n")
    assert stopping(settings, ()) == ()
    assert [found.act for found in findings(settings, ())] == [Act.IGNORE]


def test_a_value_that_is_the_default_says_nothing() -> None:
    settings = Settings.from_text("smtpd_milters =\nmilter_protocol = 6\nmilter_macro_v = $mail_name $mail_version\n")
    assert list(findings(settings, ())) == []
    assert is_default(settings, "milter_protocol")


def test_the_reference_page_names_every_parameter_and_stage() -> None:
    page = reference()
    assert set(TITLES) == set(STAGES)
    for name in REGISTRY:
        assert f"| `{name}` |" in page
