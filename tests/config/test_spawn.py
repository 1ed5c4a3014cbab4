"""What the words of a spawn(8) service say, and which services of master.cf nobody serves."""

from __future__ import annotations

import pytest

from seawall.config.master_cf import Service, parse_master
from seawall.config.settings import Settings
from seawall.config.source import ConfigTrouble
from seawall.config.spawn import SpawnWords, read_spawn
from seawall.config.support import bad_values, findings, unserved

SETTINGS = Settings.from_text("compatibility_level = 3.6\n")


def services(text: str) -> tuple[Service, ...]:
    return parse_master(text, "/etc/postfix/master.cf", SETTINGS)


def words(arguments: str) -> SpawnWords:
    (service,) = services(f"policy unix - n n - 0 spawn {arguments}\n")
    return read_spawn(service)


def test_the_command_is_all_that_follows_argv() -> None:
    assert words("user=filter argv=/usr/bin/policyd --user=x argv=y") == SpawnWords(
        "filter", "", ("/usr/bin/policyd", "--user=x", "argv=y")
    )


def test_a_group_may_follow_the_user() -> None:
    assert words("USER=filter:mail ARGV=x") == SpawnWords("filter", "mail", ("x",))
    assert words("user=filter: argv=x") == SpawnWords("filter", "", ("x",))


def test_braces_keep_a_word_with_blanks_together() -> None:
    assert words("user=filter argv=/bin/sh -c {echo a; echo b}").words == ("/bin/sh", "-c", "echo a; echo b")


def test_overrides_are_no_attributes() -> None:
    assert words("-o syslog_name=x -v user=filter argv=x") == SpawnWords("filter", "", ("x",))


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ("argv=x", "missing user= attribute"),
        ("user= argv=x", "missing user= attribute"),
        ("user=filter", "missing argv= attribute"),
        ("user=filter argv=", "missing argv= attribute"),
        ("user=filter flags=R argv=x", "unknown attribute name: flags=R"),
        ("user=filter x argv=x", "unknown attribute name: x"),
    ],
)
def test_what_spawn_would_refuse_is_refused_in_its_words(arguments: str, said: str) -> None:
    with pytest.raises(ConfigTrouble, match=said):
        words(arguments)


def test_a_service_without_roots_power_or_of_another_type_is_refused() -> None:
    text = "a unix - - n - 0 spawn user=x argv=x\nb pass - n n - 0 spawn user=x argv=x\n"
    assert [str(trouble) for trouble in bad_values(SETTINGS, services(text))] == [
        "/etc/postfix/master.cf, line 1: service a requires privileged operation: write n in its third column",
        "/etc/postfix/master.cf, line 2: a spawn service is of type unix or inet, not pass",
    ]


@pytest.mark.parametrize(
    ("line", "consequence"),
    [
        (
            "mine unix - n n - 1 mydaemon",
            "nobody answers there: Seawall has no such program, and runs none of Postfix's",
        ),
        ("628 inet n - n - - qmqpd", "QMQP is not served"),
        ("smtpd unix - - n - - smtpd", "nobody answers there: smtpd and postscreen are served on ports only"),
        ("99 inet n - n - - showq", "nobody answers on this port: Seawall has no server of this kind there"),
        ("p unix - n y - 0 spawn user=x argv=x", "its chroot is not made: the command runs outside"),
    ],
)
def test_a_service_that_nobody_serves_is_named_with_its_place(line: str, consequence: str) -> None:
    (finding,) = unserved(services(f"{line}\n"))
    assert finding.consequence == consequence
    assert str(finding.location) == "/etc/postfix/master.cf, line 1"
    assert finding in findings(SETTINGS, services(f"{line}\n"))


@pytest.mark.parametrize(
    "line",
    [
        "verify unix - - n - 1 verify",
        "dnsblog unix - - n - 0 dnsblog",
        "smtpd pass - - n - - smtpd",
        "scache unix - - n - 1 scache",
        "tlsmgr unix - - n 1000? 1 tlsmgr",
        "proxymap unix - - n - - proxymap",
        "postlog unix-dgram n - n - 1 postlogd",
        "maildrop unix - n n - - pipe user=x argv=x",
        "465 inet n - n - - smtpd",
        "p unix - n n - 0 spawn user=x argv=x",
        "127.0.0.1:99 inet n n n - 0 spawn user=x argv=x",
    ],
)
def test_a_service_that_is_served_or_needs_no_process_is_not_named(line: str) -> None:
    assert not list(unserved(services(f"{line}\n")))
