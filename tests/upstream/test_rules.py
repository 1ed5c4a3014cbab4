"""What main.cf says of the server behind."""

import pytest

from seawall.config.settings import ConfigTrouble, Settings
from seawall.upstream.naming import Manner
from seawall.upstream.rules import in_front, is_front, parse_place, read_rules


def settings(text: str) -> Settings:
    return Settings.from_text(
        f"compatibility_level = 3.6\nmyhostname = mx.example\nqueue_directory = /var/spool/x\n{text}"
    )


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("127.0.0.1:10025", ("127.0.0.1", 10025, "")),
        ("inet:mail.example:25", ("mail.example", 25, "")),
        ("[::1]:10025", ("::1", 10025, "")),
        ("unix:/run/smtpd", ("", 0, "/run/smtpd")),
        ("unix:private/smtpd", ("", 0, "/var/spool/x/private/smtpd")),
    ],
)
def test_a_place_can_be_a_port_or_a_socket(text: str, place: tuple[str, int, str]) -> None:
    assert parse_place(settings(""), text) == place


@pytest.mark.parametrize(
    "text",
    [
        "seawall_upstream = 127.0.0.1",
        "seawall_upstream = :25",
        "seawall_upstream = 127.0.0.1:smtp",
        "seawall_upstream = 127.0.0.1:99999",
        "seawall_upstream = 127.0.0.1:25\nseawall_upstream_protocol = PROXY",
        "seawall_upstream = 127.0.0.1:25\nsmtpd_tls_wrappermode = yes",
        "seawall_upstream = 127.0.0.1:25\nseawall_upstream_connections = 0",
    ],
)
def test_what_means_nothing_stops_the_start(text: str) -> None:
    with pytest.raises(ConfigTrouble):
        read_rules(settings(text), workers=1)


def test_every_worker_has_its_share_of_the_places_and_at_least_one() -> None:
    given = settings("seawall_upstream = 127.0.0.1:25\nseawall_upstream_connections = 10\n")
    assert [read_rules(given, workers=workers).connections for workers in (1, 3, 20)] == [10, 3, 1]
    assert read_rules(given, workers=1).manner is Manner.PROXY


def test_what_the_server_behind_decides_is_not_decided_here() -> None:
    front = in_front(
        settings("seawall_upstream = 127.0.0.1:25\nmessage_size_limit = 9\nsmtpd_tls_security_level = may\n")
    )
    assert is_front(front)
    assert front.number("message_size_limit") == 0
    assert front.text("smtpd_tls_security_level") == "none"
    assert front.text("smtpd_relay_restrictions") == ""
    own = in_front(settings("seawall_upstream = 127.0.0.1:25\nsmtpd_relay_restrictions = reject\n"))
    assert own.text("smtpd_relay_restrictions") == "reject"
    alone = settings("message_size_limit = 9\n")
    assert in_front(alone) is alone
