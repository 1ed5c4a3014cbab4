"""AUTH over a login that is told what to say: replies, log lines, and what the session knows afterwards."""

import base64

import pytest

from seawall.edge.login import Challenge, Failure, Step, Success
from seawall.policy.attempt import Attempt
from tests.edge.world import Dialogue, World

WHO = "client.example.org[192.0.2.7]"
SASL = "smtpd_sasl_auth_enable = yes\nsmtpd_sasl_type = dovecot\n"


class OneExchange:
    def __init__(self, mechanism: str, initial: bytes | None) -> None:
        self.mechanism = mechanism
        self.initial = initial
        self.heard: list[bytes] = []
        self.closed = 0

    def first(self) -> Step:
        if self.mechanism == "BROKEN":
            return Failure("Connection lost to authentication server", is_temporary=True)
        if self.mechanism == "PLAIN" and self.initial is not None:
            return self._judge(self.initial)
        return Challenge(b"Username:" if self.mechanism == "LOGIN" else b"")

    async def step(self, response: bytes) -> Step:
        self.heard.append(response)
        if self.mechanism == "LOGIN" and len(self.heard) == 1:
            return Challenge(b"Password:")
        return self._judge(b"\0".join(self.heard))

    def _judge(self, said: bytes) -> Step:
        if said.endswith(b"secret"):
            return Success("ann@example.com")
        return Failure("Authentication failed", username="ann")

    def close(self) -> None:
        self.closed += 1


class OneLogin:
    def __init__(self) -> None:
        self.exchanges: list[OneExchange] = []
        self.offered = ("PLAIN", "LOGIN")

    def mechanisms(self, tls: bool) -> tuple[str, ...]:
        return self.offered

    def start(self, mechanism: str, initial: bytes | None, attempt: Attempt) -> OneExchange:
        self.exchanges.append(OneExchange(mechanism, initial))
        return self.exchanges[-1]


def coded(data: bytes) -> str:
    return base64.b64encode(data).decode()


def begun(main_cf: str = SASL) -> tuple[World, OneLogin, Dialogue]:
    login = OneLogin()
    world = World(main_cf, login=login)
    talk = world.dialogue()
    talk.heard()
    return world, login, talk


async def test_ehlo_offers_the_mechanisms_there_are() -> None:
    _, login, talk = begun(SASL + "broken_sasl_auth_clients = yes\n")
    lines = talk.say("EHLO x")
    assert "250-AUTH PLAIN LOGIN" in lines
    assert "250-AUTH=PLAIN LOGIN" in lines
    login.offered = ()
    assert not any("AUTH" in line for line in talk.say("EHLO x"))
    assert talk.say("AUTH PLAIN") == ["503 5.5.1 Error: authentication not enabled"]


async def test_plain_with_an_initial_response() -> None:
    world, login, talk = begun()
    talk.say("EHLO x")
    assert talk.say(f"AUTH PLAIN {coded(b'|ann|secret')}") == ["235 2.7.0 Authentication successful"]
    assert talk.session.attempt.sasl_username == "ann@example.com"
    assert talk.session.attempt.sasl_method == "PLAIN"
    assert talk.say("AUTH PLAIN") == ["503 5.5.1 Error: already authenticated"]
    talk.say("MAIL FROM:<a@b.c> AUTH=<>", "RCPT TO:<u@example.com>")
    assert world.log[-1] == f"Q1: client={WHO}, sasl_method=PLAIN, sasl_username=ann@example.com"
    assert world.intake.opened[0].submission.origin.protocol == "ESMTPA"
    assert login.exchanges[0].closed


async def test_login_by_challenges() -> None:
    _, login, talk = begun()
    talk.say("EHLO x")
    assert talk.say("AUTH LOGIN", coded(b"ann"), coded(b"secret")) == [
        f"334 {coded(b'Username:')}",
        f"334 {coded(b'Password:')}",
        "235 2.7.0 Authentication successful",
    ]
    assert login.exchanges[0].heard == [b"ann", b"secret"]


async def test_a_wrong_password_is_told_to_the_client_and_the_log_without_the_password() -> None:
    world, _, talk = begun()
    talk.say("EHLO x")
    assert talk.say(f"AUTH PLAIN {coded(b'|ann|hunter2')}") == [
        "535 5.7.8 Error: authentication failed: Authentication failed"
    ]
    assert world.log[-1] == (
        f"warning: {WHO}: SASL PLAIN authentication failed: Authentication failed, sasl_username=ann"
    )
    assert not any("hunter2" in line or coded(b"|ann|hunter2") in line for line in world.log)
    talk.say("QUIT")
    assert "auth=0/1" in world.log[-1]


async def test_trouble_of_our_own_is_temporary() -> None:
    _, _, talk = begun()
    talk.say("EHLO x")
    assert talk.say("AUTH BROKEN") == [
        "454 4.7.0 Temporary authentication failure: Connection lost to authentication server"
    ]


async def test_the_client_may_give_up() -> None:
    world, login, talk = begun()
    talk.say("EHLO x")
    assert talk.say("AUTH LOGIN", "*", "NOOP")[1:] == ["501 5.7.0 Authentication aborted", "250 2.0.0 Ok"]
    assert world.log[-1] == f"warning: {WHO}: SASL LOGIN authentication aborted"
    assert login.exchanges[0].closed


@pytest.mark.parametrize(
    ("said", "reply"),
    [
        (("AUTH PLAIN not!base64",), "535 5.7.8 Error: authentication failed: Invalid base64 data in initial response"),
        (
            ("AUTH LOGIN", "not!base64"),
            "535 5.7.8 Error: authentication failed: Invalid base64 data in continued response",
        ),
        (("AUTH",), "501 5.5.4 Syntax: AUTH mechanism"),
        (("AUTH PLAIN a b",), "501 5.5.4 Syntax: AUTH mechanism"),
        (("AUTH LOGIN", "x" * 20_000), "500 5.5.6 SASL response limit exceeded"),
        (("MAIL FROM:<a@b.c>", "AUTH PLAIN"), "503 5.5.1 Error: MAIL transaction in progress"),
    ],
)
async def test_what_is_wrong_hears_what_postfix_says(said: tuple[str, ...], reply: str) -> None:
    _, _, talk = begun()
    talk.say("EHLO x")
    assert talk.say(*said)[-1] == reply
    assert not talk.session.attempt.sasl_username


async def test_an_empty_initial_response_is_an_equals_sign() -> None:
    _, login, talk = begun()
    talk.say("EHLO x", "AUTH PLAIN =")
    assert login.exchanges[0].initial == b""


async def test_passwords_wait_for_tls_where_the_site_wants_it() -> None:
    _, _, talk = begun(SASL + "smtpd_tls_auth_only = yes\n")
    assert not any("AUTH" in line for line in talk.say("EHLO x"))
    assert talk.say("AUTH PLAIN") == ["503 5.5.1 Error: authentication not enabled"]


async def test_some_networks_are_not_offered_auth() -> None:
    _, _, talk = begun(SASL + "smtpd_sasl_exceptions_networks = 192.0.2.0/24\n")
    assert not any("AUTH" in line for line in talk.say("EHLO x"))


async def test_a_client_that_goes_while_it_logs_in_leaves_nothing_open() -> None:
    _, login, talk = begun()
    talk.say("EHLO x", "AUTH LOGIN")
    talk.transport.close()
    assert login.exchanges[0].closed
