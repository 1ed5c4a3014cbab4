"""smtpd.conf as Cyrus SASL reads it, saslauthd's question and answer, and sasldb."""

import asyncio
import struct
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from seawall.config.settings import ConfigTrouble, Settings
from seawall.edge.login import Challenge, Failure, Step, Success
from seawall.edge.login_cyrus import TROUBLE, CyrusLogin, ask_saslauthd, read_options
from seawall.edge.mechanisms import WRONG
from seawall.policy.attempt import Attempt
from seawall.tables.berkeley_write import format_hash

CLIENT = Attempt("198.18.3.4")


def settings(tmp_path: Path, smtpd_conf: str | None, more: str = "") -> Settings:
    if smtpd_conf is not None:
        (tmp_path / "smtpd.conf").write_text(smtpd_conf)
    return Settings.from_text(f"myhostname = mx.example\ncyrus_sasl_config_path = {tmp_path}\n{more}")


def test_what_smtpd_conf_says_is_what_counts(tmp_path: Path) -> None:
    text = "# a comment\npwcheck_method: saslauthd\nmech_list: plain login\nsaslauthd_path: /run/x/mux\nlog_level: 7\n"
    options = read_options(settings(tmp_path, text))
    assert (options.method, options.mechanisms, options.saslauthd) == ("saslauthd", ("PLAIN", "LOGIN"), "/run/x/mux")


def test_without_smtpd_conf_it_is_sasldb(tmp_path: Path) -> None:
    options = read_options(settings(tmp_path, None))
    assert (options.method, options.plugins, options.sasldb) == ("auxprop", ("sasldb",), "/etc/sasldb2")
    assert options.mechanisms == ("CRAM-MD5", "PLAIN", "LOGIN")


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("pwcheck_method: pwcheck\n", "pwcheck_method: pwcheck is not served"),
        ("auxprop_plugin: ldapdb\n", "auxprop_plugin: ldapdb is not served"),
        ("mech_list: DIGEST-MD5\n", "mech_list: DIGEST-MD5 is not served with auxprop"),
        ("pwcheck_method: saslauthd\nmech_list: CRAM-MD5\n", "mech_list: CRAM-MD5 is not served with saslauthd"),
    ],
)
def test_what_cannot_be_served_is_refused_with_file_and_method(tmp_path: Path, text: str, what: str) -> None:
    with pytest.raises(ConfigTrouble, match=what) as refused:
        CyrusLogin(settings(tmp_path, text), lambda name: True)
    assert str(refused.value).startswith(f"{tmp_path}/smtpd.conf: ")


Answer = Callable[[list[bytes]], Iterable[bytes]]


@asynccontextmanager
async def saslauthd(path: Path, answer: Answer) -> AsyncIterator[str]:
    """A server that reads four counted strings and writes what `answer` gives."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        fields = []
        for _ in range(4):
            (length,) = struct.unpack("!H", await reader.readexactly(2))
            fields.append(await reader.readexactly(length))
        writer.write(b"".join(answer(fields)))  # writelines() of nothing never ends in Python 3.13
        writer.close()

    async with await asyncio.start_unix_server(serve, path / "mux"):
        yield str(path / "mux")


def counted(text: bytes) -> bytes:
    return struct.pack("!H", len(text)) + text


async def test_saslauthd_is_asked_with_name_password_service_and_realm(tmp_path: Path) -> None:
    asked: list[list[bytes]] = []

    def answer(fields: list[bytes]) -> list[bytes]:
        asked.append(fields)
        return [counted(b"OK" if fields[1] == "s\u00e9sam".encode() else b"NO")]

    async with saslauthd(tmp_path, answer) as path:
        assert await ask_saslauthd(path, "ann", "s\u00e9sam", "smtp", "") == Success("ann")
        assert await ask_saslauthd(path, "ann@cape.com", "x", "smtp", "other") == Failure(
            WRONG, username="ann@cape.com"
        )
    assert asked == [[b"ann", "s\u00e9sam".encode(), b"smtp", b""], [b"ann", b"x", b"smtp", b"cape.com"]]


@pytest.mark.parametrize("said", [b"", b"\0", counted(b"OK")[:3], counted(b"")[:1]])
async def test_half_an_answer_is_temporary(tmp_path: Path, said: bytes) -> None:
    async with saslauthd(tmp_path, lambda fields: [said]) as path:
        assert await ask_saslauthd(path, "ann", "x", "smtp", "") == TROUBLE


async def test_a_saslauthd_that_is_away_is_temporary(tmp_path: Path) -> None:
    assert await ask_saslauthd(str(tmp_path / "mux"), "ann", "x", "smtp", "") == TROUBLE


async def test_a_name_that_does_not_fit_is_wrong_and_not_asked_for(tmp_path: Path) -> None:
    assert await ask_saslauthd(str(tmp_path / "mux"), "a" * 70_000, "x", "smtp", "") == Failure(
        WRONG, username="a" * 70_000
    )


def with_sasldb(tmp_path: Path, **people: str) -> CyrusLogin:
    """A login over a sasldb of people of the realm mx.example."""
    pairs = {f"{name}\0mx.example\0userPassword".encode(): password.encode() for name, password in people.items()}
    (tmp_path / "sasldb2").write_bytes(format_hash(pairs, b"i" * 20))
    text = f"pwcheck_method: auxprop\nsasldb_path: {tmp_path}/sasldb2\n"
    return CyrusLogin(settings(tmp_path, text), lambda name: name != "LOGIN")


async def plain(made: CyrusLogin, user: str, password: str) -> Step:
    step = made.start("PLAIN", f"\0{user}\0{password}".encode(), CLIENT).first()
    return step if isinstance(step, Challenge | Success | Failure) else await step


async def test_sasldb_is_read_again_when_it_changes(tmp_path: Path) -> None:
    made = with_sasldb(tmp_path, ann="sesam")
    assert made.mechanisms(False) == ("CRAM-MD5", "PLAIN"), "smtpd_sasl_mechanism_filter took LOGIN away"
    assert await plain(made, "ann", "sesam") == Success("ann")
    assert await plain(made, "ann@mx.example", "sesam") == Success("ann@mx.example")
    assert await plain(made, "ann@elsewhere.example", "sesam") == Failure(WRONG, username="ann@elsewhere.example")
    assert await plain(made, "bob", "") == Failure(WRONG, username="bob")
    with_sasldb(tmp_path, ann="another one", bob="x")
    assert await plain(made, "ann", "another one") == Success("ann")
    assert await plain(made, "ann", "sesam") == Failure(WRONG, username="ann")


async def test_a_damaged_sasldb_keeps_the_old_secrets(tmp_path: Path) -> None:
    made = with_sasldb(tmp_path, ann="sesam")
    (tmp_path / "sasldb2").write_bytes(b"no database at all")
    assert await plain(made, "ann", "sesam") == Success("ann")


async def test_a_sasldb_that_cannot_be_read_is_temporary(tmp_path: Path) -> None:
    made = with_sasldb(tmp_path)
    assert await plain(made, "ann", "") == Failure(WRONG, username="ann")
    (tmp_path / "sasldb2").write_bytes(b"no database at all")
    text = f"pwcheck_method: auxprop\nsasldb_path: {tmp_path}/sasldb2\n"
    assert await plain(CyrusLogin(settings(tmp_path, text), lambda name: True), "ann", "") == TROUBLE


def test_each_cram_md5_challenge_is_a_new_one(tmp_path: Path) -> None:
    made = with_sasldb(tmp_path, ann="sesam")
    challenges = [made.start("CRAM-MD5", None, CLIENT).first() for _ in range(2)]
    assert all(isinstance(each, Challenge) and each.data.endswith(b"@mx.example>") for each in challenges)
    assert challenges[0] != challenges[1]
