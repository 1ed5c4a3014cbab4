"""STARTTLS and wrapper mode, with real handshakes over memory."""

import ssl
from collections.abc import Iterator
from pathlib import Path

import pytest
import trustme

from seawall.config.settings import Settings
from seawall.tls import TlsServer, TlsTrouble, server_context
from tests.edge.world import HOST, Dialogue, World

WHO = "client.example.org[192.0.2.7]"


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, Path, trustme.CA]]:
    directory = tmp_path_factory.mktemp("certificates")
    authority = trustme.CA()
    server = authority.issue_cert(HOST)
    chain, key = directory / "chain.pem", directory / "key.pem"
    server.cert_chain_pems[0].write_to_path(chain)
    server.private_key_pem.write_to_path(key)
    yield chain, key, authority


def settings_for(certificates: tuple[Path, Path, trustme.CA], level: str = "may") -> str:
    chain, key, _ = certificates
    return f"smtpd_tls_cert_file = {chain}\nsmtpd_tls_key_file = {key}\nsmtpd_tls_security_level = {level}\nsmtpd_tls_loglevel = 1\n"


class Client:
    """A TLS client over the memory transport of a dialogue."""

    def __init__(self, talk: Dialogue, authority: trustme.CA) -> None:
        context = ssl.create_default_context()
        authority.configure_trust(context)
        self.talk = talk
        self._in, self._out = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls = context.wrap_bio(self._in, self._out, server_hostname=HOST)

    def _carry(self) -> None:
        data = self._out.read()
        if data:
            self.talk.session.data_received(data)
        self._in.write(self.talk.transport.written)
        self.talk.transport.written = b""

    def shake_hands(self) -> None:
        for _ in range(10):
            try:
                self._tls.do_handshake()
            except ssl.SSLWantReadError:
                self._carry()
            else:
                break
        self._carry()

    def heard(self) -> list[str]:
        self._carry()
        text = b""
        while True:
            try:
                part = self._tls.read(65536)
            except (ssl.SSLWantReadError, ssl.SSLZeroReturnError):
                break
            if not part:
                break
            text += part
        return text.decode().split("\r\n")[:-1]

    def say(self, *lines: str) -> list[str]:
        for line in lines:
            self._tls.write(line.encode() + b"\r\n")
        return self.heard()


async def test_starttls_makes_the_session_secret_and_forgets_what_was_said(
    certificates: tuple[Path, Path, trustme.CA],
) -> None:
    world = World(settings_for(certificates))
    talk = world.dialogue()
    talk.heard()
    assert "250-STARTTLS" in talk.say("EHLO x")
    assert talk.say("STARTTLS") == ["220 2.0.0 Ready to start TLS"]
    client = Client(talk, certificates[2])
    client.shake_hands()
    assert "250-STARTTLS" not in client.say("EHLO y")
    assert client.say("STARTTLS") == ["554 5.5.1 Error: TLS already active"]
    assert client.say("MAIL FROM:<a@b.c>", "RCPT TO:<u@example.com>", "DATA")[-1].startswith("354")
    assert client.say("x", ".") == ["250 2.0.0 Ok: queued as Q1"]
    assert client.say("QUIT") == ["221 2.0.0 Bye"]
    origin = world.intake.opened[0].submission.origin
    assert origin.protocol == "ESMTPS"
    assert origin.tls is not None
    assert (origin.tls.protocol, origin.tls.bits, origin.tls.algorithm_bits) == ("TLSv1.3", 256, 256)
    assert world.log[1] == (
        f"Anonymous TLS connection established from {WHO}: TLSv1.3 with cipher TLS_AES_256_GCM_SHA384 (256/256 bits)"
    )
    assert world.log[-1].endswith("ehlo=2 starttls=1/2 mail=1 rcpt=1 data=1 quit=1 commands=7/8")


async def test_what_was_sent_in_the_clear_does_not_count_after_the_handshake(
    certificates: tuple[Path, Path, trustme.CA],
) -> None:
    world = World(settings_for(certificates))
    talk = world.dialogue()
    talk.say("EHLO x")
    talk.say(b"STARTTLS\r\nMAIL FROM:<injected@example.com>\r\n")
    client = Client(talk, certificates[2])
    client.shake_hands()
    assert client.heard() == []
    assert client.say("RCPT TO:<u@example.com>") == ["503 5.5.1 Error: need MAIL command"]


async def test_what_is_no_tls_ends_the_session_with_a_line_in_the_log(
    certificates: tuple[Path, Path, trustme.CA],
) -> None:
    world = World(settings_for(certificates))
    talk = world.dialogue()
    talk.say("EHLO x", "STARTTLS")
    talk.say_only(b"EHLO x\r\n" * 10)
    assert talk.transport.closed
    assert world.log[-3].startswith(f"SSL_accept error from {WHO}: ")
    assert world.log[-2] == f"lost connection after STARTTLS from {WHO}"
    assert "starttls=0/1" in world.log[-1]


async def test_a_client_may_begin_only_so_many_tls_sessions(certificates: tuple[Path, Path, trustme.CA]) -> None:
    world = World(settings_for(certificates) + "smtpd_client_new_tls_session_rate_limit = 1\n")
    for heard in ([], [f"421 4.7.0 {HOST} Error: too many new TLS sessions from {WHO}"]):
        talk = world.dialogue()
        talk.say("EHLO x", "STARTTLS")
        client = Client(talk, certificates[2])
        client.shake_hands()
        assert client.heard() == heard
    assert f"warning: New TLS session rate limit exceeded: 2 from {WHO} for service smtp" in world.log
    talk = world.dialogue()
    assert talk.say("EHLO x", "STARTTLS")[-1] == f"454 4.7.0 Error: too many new TLS sessions from {WHO}"
    assert f"warning: Refusing STARTTLS request from {WHO} for service smtp" in world.log


async def test_a_handshake_is_not_waited_for_when_the_server_goes_down(
    certificates: tuple[Path, Path, trustme.CA],
) -> None:
    world = World(settings_for(certificates))
    talk = world.dialogue()
    talk.say("EHLO x", "STARTTLS")
    world.edge.drain()
    assert talk.transport.closed
    assert not world.edge.sessions


async def test_where_tls_is_required_it_comes_first(certificates: tuple[Path, Path, trustme.CA]) -> None:
    world = World(settings_for(certificates, "encrypt"))
    talk = world.dialogue()
    talk.say("EHLO x")
    assert talk.say("MAIL FROM:<a@b.c>") == ["530 5.7.0 Must issue a STARTTLS command first"]


async def test_without_a_certificate_tls_is_refused_for_now() -> None:
    world = World("smtpd_tls_security_level = may\n")
    talk = world.dialogue()
    talk.say("EHLO x")
    assert talk.say("STARTTLS") == ["454 4.7.0 TLS not available due to local problem"]
    assert "No server certs available. TLS won't be enabled" in world.edge.profile.warnings


async def test_in_wrapper_mode_the_greeting_is_secret(certificates: tuple[Path, Path, trustme.CA]) -> None:
    world = World(settings_for(certificates) + "smtpd_tls_wrappermode = yes\n")
    talk = world.dialogue()
    assert talk.heard() == []
    client = Client(talk, certificates[2])
    client.shake_hands()
    assert client.heard() == [f"220 {HOST} ESMTP Seawall"]
    assert client.say("QUIT") == ["221 2.0.0 Bye"]


@pytest.mark.parametrize("noise", [b"\x16\x03\x01" + b"\xff" * 600, b"\0" * 2000, b"GET / HTTP/1.0\r\n\r\n"])
async def test_noise_in_wrapper_mode_ends_the_session(
    certificates: tuple[Path, Path, trustme.CA], noise: bytes
) -> None:
    world = World(settings_for(certificates) + "smtpd_tls_wrappermode = yes\n")
    talk = world.dialogue()
    talk.say_only(noise)
    if not talk.transport.closed:
        talk.transport.close()
    assert world.log[-2] == f"lost connection after CONNECT from {WHO}"
    assert world.log[-1] == f"disconnect from {WHO} commands=0/0"


def test_protocols_are_read_as_postfix_reads_them(certificates: tuple[Path, Path, trustme.CA]) -> None:
    base = settings_for(certificates)
    context = server_context(Settings.from_text(base + "smtpd_tls_protocols = >=TLSv1.2, <=TLSv1.2\n"), mandatory=False)
    assert context.minimum_version == context.maximum_version == ssl.TLSVersion.TLSv1_2
    context = server_context(
        Settings.from_text(base + "smtpd_tls_mandatory_protocols = !TLSv1.3, !SSLv2\n"), mandatory=True
    )
    assert context.options & ssl.Options.OP_NO_TLSv1_3
    with pytest.raises(TlsTrouble):
        server_context(Settings.from_text(base + "smtpd_tls_protocols = TLSv9\n"), mandatory=False)


def test_a_certificate_that_cannot_be_read_is_trouble() -> None:
    with pytest.raises(TlsTrouble, match="cannot load"):
        server_context(Settings.from_text("smtpd_tls_cert_file = /nowhere/cert.pem\n"), mandatory=False)


def test_text_waits_for_the_end_of_the_handshake(certificates: tuple[Path, Path, trustme.CA]) -> None:
    tls = TlsServer(server_context(Settings.from_text(settings_for(certificates)), mandatory=False))
    tls.send(b"220 hello\r\n")
    assert tls.take_output() == b""
    tls.say_goodbye()
    assert not tls.is_established
