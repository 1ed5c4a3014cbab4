"""PLAIN, LOGIN and CRAM-MD5 step by step, and what no client can make them raise."""

import hmac

import pytest
from hypothesis import given
from hypothesis import strategies as st

from seawall.config.settings import ConfigTrouble, Settings
from seawall.edge.login import Challenge, Exchange, Failure, Step, Success
from seawall.edge.mechanisms import (
    BAD_PROTOCOL,
    WRONG,
    CramMd5,
    LoginMechanism,
    Plain,
    allowed_by,
    password_exchange,
    read_security_options,
)

NONCE = b"<1896.697170952@postoffice.reston.mci.net>"


def check(name: str, password: str) -> Step:
    """One user, whose password has what a password may have."""
    return Success(name) if (name, password) == ("tim", "tanstaaf \u00fc:") else Failure(WRONG, username=name)


def secret(name: str) -> str | None:
    return "tanstaaftanstaaf" if name == "tim" else None


def played(exchange: Exchange, *responses: bytes) -> list[Step]:
    """What each step of an exchange came to."""
    steps = [exchange.first(), *map(exchange.step, responses)]
    exchange.close()
    exchange.close()
    done = [step for step in steps if isinstance(step, Challenge | Success | Failure)]
    assert len(done) == len(steps)
    return done


RIGHT = "\0tim\0tanstaaf \u00fc:".encode()


def test_plain_takes_an_initial_response_or_asks_for_one() -> None:
    assert played(Plain(check, RIGHT)) == [Success("tim")]
    assert played(Plain(check, None), RIGHT) == [Challenge(b""), Success("tim")]


def test_plain_lets_nobody_be_somebody_else() -> None:
    assert played(Plain(check, b"tim" + RIGHT)) == [Success("tim")]
    assert played(Plain(check, b"root" + RIGHT)) == [Failure(WRONG, username="tim")]


@pytest.mark.parametrize("response", [b"", b"\0", b"\0\0", b"\0\0x", b"tim", b"\0tim", b"\0tim\0a\0b"])
def test_what_is_no_plain_response_is_bad_protocol(response: bytes) -> None:
    assert played(Plain(check, response)) == [Failure(BAD_PROTOCOL)]


def test_login_asks_for_name_and_password() -> None:
    name, word = Challenge(b"Username:"), Challenge(b"Password:")
    password = "tanstaaf \u00fc:".encode()
    assert played(LoginMechanism(check, None), b"tim", password) == [name, word, Success("tim")]
    assert played(LoginMechanism(check, b"tim"), password) == [word, Success("tim")]
    assert played(LoginMechanism(check, None), b"tim", b"x") == [name, word, Failure(WRONG, username="tim")]
    assert played(LoginMechanism(check, None), b"", b"x")[-1] == Failure(BAD_PROTOCOL)


def test_cram_md5_is_that_of_rfc_2195() -> None:
    challenge = Challenge(NONCE)
    assert played(CramMd5(secret, NONCE, None), b"tim b913a602c7eda7a495b4e6e7334d3890") == [challenge, Success("tim")]
    assert played(CramMd5(secret, NONCE, None), b"tim B913A602C7EDA7A495B4E6E7334D3890") == [challenge, Success("tim")]
    assert played(CramMd5(secret, NONCE, None), b"tim " + b"0" * 32)[1] == Failure(WRONG, username="tim")


def test_cram_md5_of_nobody_is_wrong_whatever_he_says() -> None:
    digest = hmac.new(b"", NONCE, "md5").hexdigest().encode()
    assert played(CramMd5(secret, NONCE, None), b"nobody " + digest)[1] == Failure(WRONG, username="nobody")


@pytest.mark.parametrize("response", [b"", b"tim", b"tim abc", b"b913a602c7eda7a495b4e6e7334d3890"])
def test_what_is_no_cram_md5_response_is_bad_protocol(response: bytes) -> None:
    assert played(CramMd5(secret, NONCE, None), response)[1] == Failure(BAD_PROTOCOL)


def test_cram_md5_has_no_initial_response() -> None:
    assert played(CramMd5(secret, NONCE, b"tim x")) == [Failure(BAD_PROTOCOL)]


@given(response=st.binary(max_size=80), initial=st.none() | st.binary(max_size=80))
def test_no_response_raises_and_none_that_is_wrong_succeeds(response: bytes, initial: bytes | None) -> None:
    for exchange in (Plain(check, initial), LoginMechanism(check, initial), CramMd5(secret, NONCE, initial)):
        steps = played(exchange, response)
        if RIGHT not in (response, initial):
            assert not any(isinstance(step, Success) for step in steps)


def test_an_unknown_mechanism_fails_from_the_start() -> None:
    assert isinstance(played(password_exchange("NTLM", check, b"x"), b"y")[0], Failure)
    assert played(password_exchange("plain", check, RIGHT)) == [Success("tim")]


def test_security_options_say_what_may_be_offered() -> None:
    settings = Settings.from_text("smtpd_sasl_security_options = noanonymous, noPlaintext\n")
    options = read_security_options(settings, "smtpd_sasl_security_options")
    assert not allowed_by(options, "PLAIN")
    assert allowed_by(options, "CRAM-MD5")
    assert not allowed_by(options, "NTLM")
    assert allowed_by(frozenset({"noanonymous"}), "LOGIN")


def test_an_unknown_security_option_is_refused_with_its_place() -> None:
    settings = Settings.from_text("smtpd_sasl_security_options = nonsense\n")
    with pytest.raises(ConfigTrouble, match="unknown smtpd_sasl_security_options value: nonsense"):
        read_security_options(settings, "smtpd_sasl_security_options")
