"""The two configurations of the thread, unchanged."""

from pathlib import Path

import pytest

from seawall.config.master_cf import STANDARD, parse_entries, parse_master
from seawall.config.names import Names
from seawall.config.settings import Settings
from seawall.config.support import bad_values, stopping

SEED = Path(__file__).parent / "seed"


def seed(name: str) -> Settings:
    return Settings.from_text((SEED / f"config-{name}.main.cf").read_text())


@pytest.mark.parametrize("name", ["a", "b"])
def test_a_seed_configuration_loads_with_nothing_wrong(name: str) -> None:
    settings = seed(name)
    services = parse_master(STANDARD, "/etc/postfix/master.cf", settings)
    assert settings.warnings == ()
    assert [str(trouble) for trouble in bad_values(settings, services)] == []
    assert [str(finding) for finding in stopping(settings, services)] == []


def test_config_a_names_nothing_that_is_unused() -> None:
    settings = seed("a")
    names = Names(settings, parse_entries(STANDARD, "/etc/postfix/master.cf"))
    assert list(names.unused()) == []
    assert names.warnings == []


def test_config_a_says_what_it_said_in_the_thread() -> None:
    settings = seed("a")
    assert settings.text("smtpd_banner") == "pop.cape.com ESMTP Seawall **** Networks that SPAM will be    BLOCKED ****"
    assert settings.seconds("bounce_queue_lifetime") == 0
    assert settings.seconds("maximal_queue_lifetime") == 86400
    assert settings.seconds("smtp_rset_timeout") == 22
    assert settings.words("mydestination") == ("pop.cape.com", "localhost", "hash:/etc/postfix/domain-accept")
    assert settings.number("default_destination_concurrency_limit") == 15
    assert settings.number("local_destination_concurrency_limit") == 2
    assert settings.number("message_size_limit") == 26_000_000
    assert settings.words("smtpd_recipient_restrictions")[0] == "regexp:/etc/postfix/recipient_regexp"


def test_config_b_leaves_out_what_it_comments_out() -> None:
    settings = seed("b")
    assert "reject_unlisted_recipient" not in settings.words("smtpd_recipient_restrictions")
    assert settings.words("smtpd_recipient_restrictions")[-3:] == (
        "check_policy_service",
        "unix:private/vpm-pfpolicy",
        "reject_unauth_destination",
    )
    assert settings.words("smtpd_data_restrictions") == ("reject_unauth_pipelining",)
    assert str(settings.where("smtpd_data_restrictions")) == "/etc/postfix/main.cf, line 30"


def test_the_corpus_and_the_example_have_the_second_configuration_word_for_word() -> None:
    text = (SEED / "config-b.main.cf").read_text()
    checkout = SEED.parents[2]
    assert (checkout / "tests/golden/config-b/main.cf").read_text().endswith(text.rstrip("\n") + "\n")
    assert (checkout / "examples/thread-b/etc/postfix/main.cf").read_text() == text
