"""What no client should send, over sockets: the standard reply, bounded memory, no traceback."""

import itertools
import os
import random
import re
import socket
import ssl
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import trustme

from tests.system.client import Client
from tests.system.server import Server, site, until

MEGABYTE = 1 << 20
ROOM = 24 * 1024  # KiB by which a worker may grow under any one of these, caches included


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    """One worker, with TLS on its own port and after STARTTLS."""
    with site() as made:
        authority = trustme.CA()
        issued = authority.issue_cert("mx.example")
        for name, blobs in (("key.pem", [issued.private_key_pem]), ("cert.pem", issued.cert_chain_pems)):
            path = made.etc / name
            path.write_bytes(b"".join(blob.bytes() for blob in blobs))
            path.chmod(0o600 if name == "key.pem" else 0o644)
        made.configure(
            f"smtpd_tls_security_level = may\nsmtpd_tls_key_file = {made.etc}/key.pem\n"
            f"smtpd_tls_cert_file = {made.etc}/cert.pem\nsmtpd_error_sleep_time = 0\nmessage_size_limit = 200000\n"
            "smtpd_client_connection_count_limit = 0\n",
            "127.0.0.1:00 inet n - n - - smtpd -o smtpd_tls_wrappermode=yes -o smtpd_tls_security_level=encrypt\n",
        )
        made.start()
        yield made
        assert "Traceback" not in made.printed()
        assert len(made.children("worker")) == 1
        assert "ended with" not in made.log(), "no process had to be replaced"


@pytest.fixture(autouse=True)
def bounded(server: Server) -> Iterator[None]:
    """The worker does not grow by more than a little, lives on, and serves."""
    (worker,) = server.children("worker")
    before = resident(worker.pid)
    yield
    assert server.children("worker") == [worker], "the worker was replaced"
    assert resident(worker.pid) - before < ROOM
    with Client(server.port) as client:
        assert client.hear().startswith("220 ")
        assert client.say("QUIT").startswith("221 ")
    assert "Traceback" not in server.printed()


def resident(pid: int) -> int:
    """VmRSS in KiB."""
    return int(re.findall(r"VmRSS:\s+(\d+)", Path(f"/proc/{pid}/status").read_text())[0])


def tls_port(server: Server) -> int:
    return int(re.findall(r"127\.0\.0\.1:(\d+)", server.printed())[1])


def opened(client: Client, *recipients: str) -> Client:
    """Greeted, and with a transaction begun where recipients are named."""
    client.hear()
    client.say("EHLO far.example")
    if recipients:
        client.say("MAIL FROM:<ann@far.example>", *(f"RCPT TO:<{each}>" for each in recipients))
    return client


# ---- one message is one message -----------------------------------------------------------------------------------

LINE_ENDS = (
    b"\r\n",
    b"\n",
    b"\r",
    b"\r\r\n",
    b"\n\r",
    b"\0\r\n",
    b"\r\0\n",
    b" \r\n",
    b"\r\n\0",
    b"\x0b",
    b"\x0c",
    b"\x85",
)
ALMOST = tuple(
    before + dot + after
    for before, dot, after in itertools.product(LINE_ENDS, (b".", b"..", b". ", b".\0", b"\0."), LINE_ENDS)
    if b"\r\n.\r\n" not in before + dot + after
)
"""Everything around a dot that is not the end of data, though one server or another took it for that."""


@pytest.mark.parametrize("part", range(8))
def test_no_mixture_of_line_ends_around_a_dot_ends_a_message(server: Server, part: int) -> None:
    """The only end of data is CR LF . CR LF.  What follows a false one must stay in the same message.  RFC 5321 §4.1.1.4"""
    before = len(server.log())
    with Client(server.port) as client:
        opened(client)
        for at in range(part, len(ALMOST), 8):
            client.say("MAIL FROM:<ann@far.example>", "RCPT TO:<bob@example.com>")
            assert client.say("DATA").startswith("354 ")
            smuggled = (
                b"MAIL FROM:<smuggler@far.example>\r\nRCPT TO:<victim@example.com>\r\nDATA\r\nSmuggled: yes\r\n\r\n"
            )
            client.send(b"Subject: one\r\n\r\nbody" + ALMOST[at] + smuggled + b"end %d\r\n.\r\n" % at)
            assert client.hear().startswith("250 2.0.0 Ok: queued as "), ALMOST[at]
            assert client.say("NOOP") == "250 2.0.0 Ok", f"after {ALMOST[at]!r} exactly one reply came"
    assert "smuggler@far.example" not in server.log()[before:]


def test_the_end_of_data_may_come_byte_by_byte(server: Server) -> None:
    with Client(server.port) as client:
        client.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        opened(client, "bob@example.com").say("DATA")
        for byte in b"Subject: slow\r\n\r\n..\r\nbyte by byte\r\n.\r\n":
            client.send(bytes([byte]))
        assert client.hear().startswith("250 2.0.0 Ok: queued as ")
    server.arrives("\n.\nbyte by byte\n")


# ---- too much -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("start", [b"EHLO ", b"MAIL FROM:<", b"x", b"\0", b"AUTH PLAIN "])
def test_a_command_of_a_megabyte_is_a_syntax_error(server: Server, start: bytes) -> None:
    with Client(server.port) as client:
        client.hear()
        client.send(start + b"a" * MEGABYTE + b"\r\nNOOP\r\n")
        assert client.hear().startswith("500 5.5.2 Error: ")
        assert client.hear() == "250 2.0.0 Ok"


def test_a_line_without_an_end_is_not_kept(server: Server) -> None:
    with Client(server.port) as client:
        client.hear()
        for _ in range(32):
            client.send(b"a" * MEGABYTE)
        client.send(b"\r\n")
        assert client.hear().startswith("500 5.5.2 Error: ")


def test_ten_thousand_recipients_are_too_many_from_the_thousandth_on(server: Server) -> None:
    with Client(server.port) as client:
        opened(client, "first@example.com")
        replies: list[str] = []
        for start in range(0, 10_000, 500):
            client.send(b"".join(b"RCPT TO:<user%d@example.com>\r\n" % (start + at) for at in range(500)))
            replies += [client.hear() for _ in range(500)]
            if not replies[-1]:
                break
    taken = [reply for reply in replies if reply.startswith("250 2.1.5 ")]
    assert len(taken) == 999  # and the first: smtpd_recipient_limit
    assert replies[999] == "452 4.5.3 Error: too many recipients"
    assert replies[-1] == "" or set(replies[999:]) == {"452 4.5.3 Error: too many recipients"}


def test_a_message_over_the_limit_is_refused_and_the_session_goes_on(server: Server) -> None:
    with Client(server.port) as client:
        opened(client)
        assert client.say("MAIL FROM:<ann@far.example> SIZE=200001") == "552 5.3.4 Message size exceeds fixed limit"
        client.say("MAIL FROM:<ann@far.example>", "RCPT TO:<bob@example.com>", "DATA")
        for _ in range(40):
            client.send((b"z" * 998 + b"\r\n") * 1000)
        assert client.say(".") == "552 5.3.4 Error: message file too big"
        client.say("MAIL FROM:<ann@far.example>", "RCPT TO:<bob@example.com>", "DATA")
        assert client.say("Subject: small\r\n\r\nafter a large one\r\n.").startswith("250 2.0.0 Ok")
    server.arrives("after a large one")


def test_thousands_of_chunks_of_a_byte_are_one_message(server: Server) -> None:
    with Client(server.port) as client:
        opened(client, "bob@example.com")
        text = b"Subject: chunks\r\n\r\n" + b"one byte at a time " * 200
        client.send(b"".join(b"BDAT 1\r\n%c" % byte for byte in text) + b"BDAT 0 LAST\r\n")
        replies = [client.hear() for _ in range(len(text) + 1)]
    assert {reply[:9] for reply in replies} == {"250 2.0.0"}
    server.arrives("one byte at a time one byte at a time")


def test_a_header_without_an_end_is_one_message(server: Server) -> None:
    with Client(server.port) as client:
        opened(client, "bob@example.com").say("DATA")
        client.send(b"Subject: deep\r\n" + b" folded\r\n" * 15_000)
        assert client.say("\r\ndeep in headers\r\n.").startswith("250 2.0.0 Ok")


# ---- noise --------------------------------------------------------------------------------------------------------


def test_binary_noise_gets_standard_replies(server: Server) -> None:
    chance = random.Random(1)
    for _ in range(40):
        with Client(server.port) as client:
            client.hear()
            noise = chance.randbytes(chance.choice((1, 10, 100, 5000, 100_000)))
            try:
                client.send(noise + b"\r\n")
                client.socket.shutdown(socket.SHUT_WR)
                heard = b"".join(iter(lambda: client.socket.recv(65536), b""))
            except ConnectionError:
                continue  # it closed while we were still sending
        for line in heard.splitlines():
            assert re.match(rb"(220|221|250|421|5\d\d)[ -]", line), line


def test_noise_as_a_message_is_kept_as_it_is(server: Server) -> None:
    noise = bytes(range(256)) * 40
    body = noise.replace(b"\r", b"").replace(b"\n", b"").replace(b".", b"")
    with Client(server.port) as client:
        opened(client, "bob@example.com").say("DATA")
        client.send(b"Subject: noise\r\n\r\nnoise begins" + body + b"\r\n.\r\n")
        assert client.hear().startswith("250 2.0.0 Ok")
    server.arrives("noise begins" + body[:200].decode("latin-1"))


@pytest.mark.parametrize(
    "until_then", [(), ("EHLO x",), ("EHLO x", "MAIL FROM:<a@far.example>", "RCPT TO:<b@example.com>", "DATA")]
)
def test_a_half_closed_connection_is_ended(server: Server, until_then: tuple[str, ...]) -> None:
    with Client(server.port) as client:
        client.hear()
        client.say(*until_then)
        client.send(b"half a li")
        client.socket.shutdown(socket.SHUT_WR)
        assert client.has_ended()
    server.said("lost connection after ")


def test_what_was_asked_before_a_half_close_is_answered(server: Server) -> None:
    with Client(server.port) as client:
        opened(client)
        client.send(b"RSET\r\nQUIT\r\n")
        client.socket.shutdown(socket.SHUT_WR)
        assert client.hear() == "250 2.0.0 Ok"
        assert client.hear().startswith("221 2.0.0 ")


def test_a_client_that_does_not_read_does_not_fill_the_memory(server: Server) -> None:
    (worker,) = server.children("worker")
    before = resident(worker.pid)
    with Client(server.port) as client:
        client.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        client.hear()
        client.socket.settimeout(2.0)
        sent = 0
        try:
            while sent < 64 * MEGABYTE:
                client.send(b"VRFY nobody-here@example.com\r\n" * 1000)
                sent += 30_000
        except OSError:
            pass  # it stopped reading, or hung up: both are fine
        assert resident(worker.pid) - before < ROOM


# ---- TLS ----------------------------------------------------------------------------------------------------------


def test_garbage_instead_of_a_handshake_ends_the_session(server: Server) -> None:
    for garbage in (b"\0" * 1000, b"\x16\x03\x01\xff\xff" + b"x" * 70_000, b"EHLO again\r\n", os.urandom(4096)):
        with Client(server.port) as client:
            client.hear()
            assert client.say("EHLO far.example", "STARTTLS") == "220 2.0.0 Ready to start TLS"
            try:
                client.send(garbage)
                client.socket.shutdown(socket.SHUT_WR)
            except OSError:
                pass
            assert client.has_ended()


def test_what_is_sent_with_starttls_in_one_go_is_never_a_command_inside_tls(server: Server) -> None:
    """CVE-2011-0411."""
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    with Client(server.port) as client:
        opened(client)
        client.send(b"STARTTLS\r\nRSET\r\nMAIL FROM:<smuggler@far.example>\r\n")
        assert client.hear() == "220 2.0.0 Ready to start TLS"
        with context.wrap_socket(client.socket) as secured:
            secured.sendall(b"QUIT\r\n")
            assert secured.recv(1000) == b"221 2.0.0 Bye\r\n"
    assert "smuggler@far.example" not in server.log()


def test_a_client_that_leaves_before_the_handshake_is_let_go(server: Server) -> None:
    before = len(server.log())
    with Client(server.port) as client:
        opened(client)
        client.say("STARTTLS")
    until(lambda: "SSL_accept error from unknown[127.0.0.1]: lost connection" in server.log()[before:], "it is noticed")
    until(lambda: "disconnect from unknown[127.0.0.1] ehlo=1" in server.log()[before:], "the session ends")


def test_garbage_on_the_port_of_tls_ends_the_connection(server: Server) -> None:
    for garbage in (b"EHLO far.example\r\n", b"\0" * 70_000, os.urandom(4096)):
        with socket.create_connection(("127.0.0.1", tls_port(server)), 20) as stream:
            try:
                stream.sendall(garbage)
                stream.shutdown(socket.SHUT_WR)
                while stream.recv(65536):
                    pass
            except OSError:
                pass
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    with socket.create_connection(("127.0.0.1", tls_port(server)), 20) as raw, context.wrap_socket(raw) as stream:
        assert stream.recv(1000).startswith(b"220 mx.example")


# ---- many at once -------------------------------------------------------------------------------------------------


def test_hundreds_of_silent_clients_do_not_keep_a_good_one_waiting(server: Server) -> None:
    silent = [Client(server.port) for _ in range(400)]
    try:
        began = time.monotonic()
        with Client(server.port) as client:
            opened(client, "bob@example.com").say("DATA")
            assert client.say("Subject: x\r\n\r\nbetween the silent\r\n.").startswith("250")
        assert time.monotonic() - began < 20
    finally:
        for each in silent:
            each.close()
    until(lambda: server.log().count("]: connect from") - server.log().count("]: disconnect from") <= 0, "all are gone")
