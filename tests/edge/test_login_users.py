"""Our own file of users: what it may say, and who gets in."""

import asyncio
import inspect
from collections.abc import Awaitable
from pathlib import Path

import argon2
import pytest

from seawall.config.settings import ConfigTrouble, Settings
from seawall.edge.login import Challenge, Exchange, Failure, Step, Success
from seawall.edge.login_users import BUSY, MOST_WAITING, NOBODY, UsersLogin, parse_users, verify
from seawall.edge.mechanisms import WRONG
from seawall.linux.crypt import crypt
from seawall.policy.attempt import Attempt

CHEAP = argon2.PasswordHasher(time_cost=1, memory_cost=8, parallelism=1)
CLIENT = Attempt("198.18.3.4")


def login(tmp_path: Path, users: str, more: str = "") -> UsersLogin:
    (tmp_path / "users").write_text(users)
    return UsersLogin(Settings.from_text(f"seawall_users_file = {tmp_path}/users\n{more}"), lambda name: True)


async def settled(step: Step | Awaitable[Step]) -> Step:
    return step if isinstance(step, Challenge | Success | Failure) else await step


async def plain(made: UsersLogin, user: str, password: str) -> Step:
    return await settled(made.start("PLAIN", f"\0{user}\0{password}".encode(), CLIENT).first())


async def test_the_right_password_and_no_other_lets_in(tmp_path: Path) -> None:
    made = login(tmp_path, f"# people\n\nann:{CHEAP.hash('sesam')}\n")
    assert await plain(made, "ann", "sesam") == Success("ann")
    assert await plain(made, "ann", "Sesam") == Failure(WRONG, username="ann")
    assert await plain(made, "bob", "sesam") == Failure(WRONG, username="bob")
    assert await plain(made, "bob", "") == Failure(WRONG, username="bob")


async def test_any_hash_of_crypt_is_understood(tmp_path: Path) -> None:
    hashed = crypt(b"sesam", b"$6$salt")
    assert hashed is not None
    made = login(tmp_path, f"ann:{hashed.decode()}\n")
    assert await plain(made, "ann", "sesam") == Success("ann")
    assert await plain(made, "ann", "x") == Failure(WRONG, username="ann")


async def test_a_flood_of_attempts_is_turned_away_for_now(tmp_path: Path) -> None:
    made = login(tmp_path, f"ann:{CHEAP.hash('sesam')}\n")
    tasks = [asyncio.ensure_future(plain(made, "ann", "sesam")) for _ in range(MOST_WAITING)]
    await asyncio.sleep(0)
    assert await plain(made, "ann", "sesam") == BUSY
    assert set(await asyncio.gather(*tasks)) == {Success("ann")}
    assert await plain(made, "ann", "sesam") == Success("ann")


async def test_hashing_is_not_done_on_the_loop(tmp_path: Path) -> None:
    made = login(tmp_path, f"ann:{CHEAP.hash('sesam')}\n")
    step = made.start("PLAIN", b"\0ann\0sesam", CLIENT).first()
    assert inspect.isawaitable(step)
    assert await step == Success("ann")


def exchange_of(made: UsersLogin, mechanism: str) -> Exchange:
    return made.start(mechanism, None, CLIENT)


def test_only_what_is_offered_begins(tmp_path: Path) -> None:
    made = login(
        tmp_path, "", "smtpd_sasl_security_options = noplaintext\nsmtpd_sasl_tls_security_options = noanonymous\n"
    )
    assert made.mechanisms(False) == ()
    assert made.mechanisms(True) == ("PLAIN", "LOGIN")
    assert isinstance(exchange_of(made, "PLAIN").first(), Failure)
    assert isinstance(exchange_of(login(tmp_path, ""), "CRAM-MD5").first(), Failure)
    assert exchange_of(login(tmp_path, ""), "login").first() == Challenge(b"Username:")


@pytest.mark.parametrize("line", ["ann", "ann:", "ann:secret", ":$6$x"])
def test_a_line_that_is_none_is_refused_with_its_number(line: str) -> None:
    with pytest.raises(ConfigTrouble, match="users, line 3: expected name:hash") as refused:
        parse_users(f"# one\n\n{line}\n", "users")
    assert "secret" not in str(refused.value)


def test_a_file_that_is_missing_is_refused_with_its_name() -> None:
    with pytest.raises(ConfigTrouble, match="seawall_users_file = /nowhere: No such file or directory"):
        UsersLogin(Settings.from_text("seawall_users_file = /nowhere\n"), lambda name: True)
    with pytest.raises(ConfigTrouble, match="smtpd_sasl_type = seawall needs seawall_users_file"):
        UsersLogin(Settings.from_text("smtpd_sasl_type = seawall\n"), lambda name: True)


def test_a_hash_that_is_damaged_fits_no_password() -> None:
    for hashed in ("$argon2id$v=19$m=65536,t=3,p=4$x", "$argon2", "$y$", "$6$", "$nonsense$", "$1$\0"):
        assert not verify(hashed, "")
        assert not verify(hashed, "x")


def test_the_stand_in_for_nobody_costs_what_a_fresh_hash_costs() -> None:
    assert not argon2.PasswordHasher().check_needs_rehash(NOBODY)
    assert not verify(NOBODY, "")
