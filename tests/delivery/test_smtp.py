import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest
import trustme
import uvloop

from seawall.clock import SystemClock
from seawall.config.master_cf import STANDARD, parse_master
from seawall.config.settings import ConfigTrouble, Settings
from seawall.delivery.smtp import SmtpDelivery
from seawall.journal.record import MemoryJournal
from seawall.mail.envelope import Recipient
from seawall.mail.job import Job
from seawall.mail.outcome import Bounced, Deferred, Delivered
from seawall.routing.mx import Destination, NoTarget, Target
from tests.delivery.world import BODY, job, told

HELLO = {"EHLO": "250-mx.far.example\r\n250-PIPELINING\r\n250 SIZE 1000000"}


@dataclass
class Server:
    """A server that answers by a table: the longest prefix of the line that is in `answers` decides.

    ``drop`` closes the connection.  `heard` is every line, `bodies` the contents as sent.
    """

    answers: dict[str, str] = field(default_factory=dict)
    greeting: str = "220 mx.far.example ESMTP"
    context: ssl.SSLContext | None = None
    heard: list[str] = field(default_factory=list)
    bodies: list[bytes] = field(default_factory=list)
    sessions: int = 0
    port: int = 0
    under_way: set[asyncio.Task[None]] = field(default_factory=set)

    def answer(self, line: str) -> str:
        for length in range(len(line), 0, -1):
            if line[:length] in self.answers:
                return self.answers[line[:length]]
        return {"DATA": "354 go on", "QUIT": "221 bye"}.get(line, "250 2.0.0 Ok")

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.sessions += 1
        task = asyncio.current_task()
        assert task is not None
        self.under_way.add(task)
        try:
            await self.talk(reader, writer)
        except (ConnectionError, asyncio.IncompleteReadError, ssl.SSLError):
            pass
        finally:
            await closed(writer)

    async def talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self.greeting == "drop":
            return
        if self.greeting == "silence":
            await reader.read()
            return
        writer.write(self.greeting.encode() + b"\r\n")
        while line := (await reader.readline()).decode():
            line = line.removesuffix("\r\n")
            self.heard.append(line)
            answer = self.answer(line)
            if answer == "drop":
                return
            writer.write(answer.encode() + b"\r\n")
            if line == "QUIT":
                return
            if line == "STARTTLS" and self.context is not None and answer.startswith("2"):
                await writer.start_tls(self.context)
            if answer.startswith("354"):
                self.bodies.append(await self.body(reader))
                for reply in self.answers.get(".", "250 2.0.0 Ok: queued as 1234").split("|"):
                    if reply == "drop":
                        return
                    writer.write(reply.encode() + b"\r\n")

    async def body(self, reader: asyncio.StreamReader) -> bytes:
        lines = []
        while (line := await reader.readline()) not in (b".\r\n", b""):
            lines.append(line)
        return b"".join(lines)


async def closed(writer: asyncio.StreamWriter) -> None:
    """Close, and wait until it is done."""
    writer.close()
    with contextlib.suppress(ConnectionError, ssl.SSLError):
        await writer.wait_closed()


@asynccontextmanager
async def at_socket(server: Server, path: Path) -> AsyncIterator[None]:
    """Run a server on a UNIX-domain socket."""
    async with await asyncio.start_unix_server(server.serve, path):
        yield
    await asyncio.gather(*server.under_way)


@asynccontextmanager
async def listening(*servers: Server) -> AsyncIterator[None]:
    """Run servers, each on a port of its own."""
    opened = []
    for server in servers:
        made = await asyncio.start_server(server.serve, "127.0.0.1", 0)
        server.port = made.sockets[0].getsockname()[1]
        opened.append(made)
    try:
        yield
    finally:
        for made in opened:
            made.close()
            await made.wait_closed()
        await asyncio.gather(*(task for server in servers for task in server.under_way))


@dataclass
class Names:
    """Exchanges that know some domains; a literal address is itself."""

    known: dict[str, list[Target] | NoTarget] = field(default_factory=dict)
    asked: list[tuple[Destination, bool]] = field(default_factory=list)

    async def find(self, destination: Destination, *, loops_matter: bool = True) -> list[Target] | NoTarget:
        self.asked.append((destination, loops_matter))
        if destination.address:
            return [Target(destination.host, destination.address)]
        return self.known.get(destination.host, NoTarget("5.4.4", "Host not found"))


def client(main_cf: str = "", names: Names | None = None, journal: MemoryJournal | None = None) -> SmtpDelivery:
    basics = "myhostname = us.example\nmydomain = example\nsmtp_tls_security_level =\n"
    configuration = Settings.from_text(basics + main_cf)
    services = parse_master(STANDARD, "master.cf", configuration)
    return SmtpDelivery(configuration, services, names or Names(), journal or MemoryJournal(), SystemClock())


def to(server: Server | int, *addresses: str, content: bytes = BODY, transport: str = "smtp") -> Job:
    """A job for a server on this host."""
    port = server if isinstance(server, int) else server.port
    made = job("x@y", content=content, transport=transport, nexthop=f"[127.0.0.1]:{port}")
    recipients = tuple(Recipient(address) for address in addresses or ("bob@far.example",))
    return replace(made, recipients=recipients)


async def test_a_message_is_handed_over_in_one_breath_where_the_server_pipelines() -> None:
    server = Server(dict(HELLO))
    async with listening(server):
        (outcome,) = (await client().deliver(to(server))).outcomes
    assert isinstance(outcome, Delivered)
    assert (outcome.status, outcome.text) == ("2.0.0", "250 2.0.0 Ok: queued as 1234")
    assert outcome.relay == f"127.0.0.1[127.0.0.1]:{server.port}"
    assert server.heard == [
        "EHLO us.example",
        f"MAIL FROM:<ann@far.example> SIZE={len(BODY) + 2}",
        "RCPT TO:<bob@far.example>",
        "DATA",
        "QUIT",
    ]
    assert server.bodies == [BODY.replace(b"\n.\n", b"\n..\n").replace(b"\n", b"\r\n")]


def test_uvloop_serves_as_well() -> None:
    async def deliver() -> str:
        server = Server(HELLO)
        async with listening(server):
            return told(await client().deliver(to(server, "bob@far.example")))[0]

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        assert runner.run(deliver()) == "Delivered"


async def test_a_server_without_ehlo_is_told_helo() -> None:
    server = Server({"EHLO": "502 5.5.1 what"}, greeting="220 mx.far.example")
    async with listening(server):
        assert told(await client().deliver(to(server)))[0] == "Delivered"
    assert server.heard[:2] == ["EHLO us.example", "HELO us.example"]
    assert server.heard[2] == "MAIL FROM:<ann@far.example>"


@pytest.mark.parametrize("hello", [HELLO, {}], ids=["pipelined", "one by one"])
@pytest.mark.parametrize(
    ("command", "reply", "outcome"),
    [
        ("RCPT", "550 5.1.1 no such user", ("Bounced", "5.1.1", "550 5.1.1 no such user", "RCPT TO command")),
        ("RCPT", "450 4.2.0 later", ("Deferred", "4.2.0", "450 4.2.0 later", "RCPT TO command")),
        ("RCPT", "552 5.5.3 too many", ("Bounced", "5.5.3", "552 5.5.3 too many", "RCPT TO command")),
        ("RCPT", "350 5.5.0 go", ("Bounced", "5.5.0", "350 5.5.0 go", "RCPT TO command")),
        ("MAIL", "550 go away", ("Bounced", "5.0.0", "550 go away", "MAIL FROM command")),
        ("DATA", "451 4.3.0 busy", ("Deferred", "4.3.0", "451 4.3.0 busy", "DATA command")),
        (".", "554 5.7.1 spam", ("Bounced", "5.7.1", "554 5.7.1 spam", "end of DATA command")),
        (
            ".",
            "452-4.3.1 full\r\n452 4.3.1 disk",
            ("Deferred", "4.3.1", "452-4.3.1 full 452 4.3.1 disk", "end of DATA command"),
        ),
    ],
)
async def test_a_refusal_is_told_in_postfixs_words(
    hello: dict[str, str], command: str, reply: str, outcome: tuple[str, str, str, str]
) -> None:
    server = Server({**hello, command: reply})
    async with listening(server):
        delivery = await client().deliver(to(server))
    kind, status, said, where = outcome
    text = f"host 127.0.0.1[127.0.0.1] said: {said} (in reply to {where})"
    assert told(delivery) == (kind, status, text)
    assert delivery.outcomes[0].remote_mta == "127.0.0.1"
    assert delivery.outcomes[0].diagnostic == said
    assert server.heard[-1] == "QUIT"


async def test_success_where_there_can_be_none_is_a_protocol_error() -> None:
    server = Server({"DATA": "250 fine"})
    async with listening(server):
        delivery = await client().deliver(to(server))
    text = "Protocol error: host 127.0.0.1[127.0.0.1] said: 250 fine (in reply to DATA command)"
    assert told(delivery) == ("Bounced", "5.5.0", text)


async def test_recipients_have_each_their_own_outcome() -> None:
    server = Server({**HELLO, "RCPT TO:<b": "550 5.1.1 no", "RCPT TO:<c": "450 4.2.0 later"})
    async with listening(server):
        delivery = await client().deliver(to(server, "a@x", "b@x", "c@x"))
    assert [type(outcome) for outcome in delivery.outcomes] == [Delivered, Bounced, Deferred]
    assert len(server.bodies) == 1


async def test_a_server_that_wants_content_for_nobody_gets_none() -> None:
    server = Server({**HELLO, "RCPT": "550 5.1.1 no"})
    async with listening(server):
        assert told(await client().deliver(to(server)))[0] == "Bounced"
    assert server.bodies == [b""]


@pytest.mark.parametrize(
    ("answers", "greeting", "doing"),
    [
        ({}, "drop", "receiving the initial server greeting"),
        ({"EHLO": "drop"}, "220 x", "performing the EHLO handshake"),
        ({"MAIL": "drop"}, "220 x", "sending MAIL FROM"),
        ({"RCPT": "drop"}, "220 x", "sending RCPT TO"),
        ({"DATA": "drop"}, "220 x", "sending DATA command"),
        ({".": "drop"}, "220 x", "sending end of data -- message may be sent more than once"),
    ],
)
async def test_a_lost_connection_defers(answers: dict[str, str], greeting: str, doing: str) -> None:
    server = Server(answers, greeting)
    async with listening(server):
        delivery = await client().deliver(to(server))
    assert told(delivery) == ("Deferred", "4.4.2", f"lost connection with 127.0.0.1[127.0.0.1] while {doing}")
    assert isinstance(delivery.outcomes[0], Deferred)
    assert delivery.outcomes[0].site_down


async def test_a_silent_server_is_not_waited_for_for_ever() -> None:
    server = Server(greeting="silence")
    async with listening(server):
        delivery = await client("smtp_helo_timeout = 1s\n").deliver(to(server))
    text = "conversation with 127.0.0.1[127.0.0.1] timed out while receiving the initial server greeting"
    assert told(delivery) == ("Deferred", "4.4.2", text)


async def test_a_refused_connection_defers() -> None:
    server = Server()
    async with listening(server):
        pass
    delivery = await client().deliver(to(server))
    text = f"connect to 127.0.0.1[127.0.0.1]:{server.port}: Connection refused"
    assert told(delivery) == ("Deferred", "4.4.1", text)
    assert delivery.outcomes[0].relay == "none"


@pytest.mark.parametrize(("more", "kind"), [("", "Deferred"), ("smtp_skip_5xx_greeting = no\n", "Bounced")])
async def test_a_greeting_of_5xx_is_skipped_or_believed(more: str, kind: str) -> None:
    server = Server(greeting="554 5.3.2 no service here")
    async with listening(server):
        got = told(await client(more).deliver(to(server)))
    text = "host 127.0.0.1[127.0.0.1] refused to talk to me: 554 5.3.2 no service here"
    assert got == (kind, "4.3.2" if kind == "Deferred" else "5.3.2", text)


async def test_a_message_over_the_servers_limit_is_not_sent() -> None:
    server = Server({"EHLO": "250-mx.far.example\r\n250 SIZE 10"})
    async with listening(server):
        got = told(await client().deliver(to(server)))
    text = f"message size {len(BODY)} exceeds size limit 10 of server 127.0.0.1[127.0.0.1]"
    assert got == ("Bounced", "5.3.4", text)
    assert server.bodies == []


async def test_a_spilled_body_is_sent_whole(tmp_path: Path) -> None:
    lines = b"".join(b"%06d " % number + b"x" * 80 + b"\n" for number in range(20000))
    server = Server({"EHLO": "250 mx.far.example"})
    async with listening(server):
        made = to(server, content=b"Subject: big\n\n" + lines)
        assert told(await client().deliver(made))[0] == "Delivered"
    assert server.bodies == [made.content.memory.replace(b"\n", b"\r\n")]


# -- several servers ----------------------------------------------------------------------------------------------


def two(first: Server, second: Server) -> Job:
    """A job whose next hop lists two servers."""
    return replace(to(first), nexthop=f"[127.0.0.1]:{first.port}, [127.0.0.1]:{second.port}")


async def test_the_next_server_is_tried_where_the_first_cannot_now() -> None:
    first, second = Server({**HELLO, "RCPT": "450 4.2.0 later"}), Server(dict(HELLO))
    journal = MemoryJournal()
    async with listening(first, second):
        delivery = await client(journal=journal).deliver(two(first, second))
    assert told(delivery)[0] == "Delivered"
    assert delivery.outcomes[0].relay == f"127.0.0.1[127.0.0.1]:{second.port}"
    (skipped,) = journal.records
    assert skipped.text() == ("QUEUEID: host 127.0.0.1[127.0.0.1] said: 450 4.2.0 later (in reply to RCPT TO command)")


async def test_a_refusal_for_good_is_final_at_the_first_server() -> None:
    first, second = Server({**HELLO, "RCPT": "550 5.1.1 no"}), Server(dict(HELLO))
    async with listening(first, second):
        assert told(await client().deliver(two(first, second)))[0] == "Bounced"
    assert second.sessions == 0


async def test_a_server_that_breaks_off_is_followed_by_the_next() -> None:
    first, second = Server({**HELLO, ".": "drop"}), Server(dict(HELLO))
    async with listening(first, second):
        assert told(await client().deliver(two(first, second)))[0] == "Delivered"


async def test_a_fallback_relay_takes_what_has_no_host() -> None:
    server = Server(dict(HELLO))
    async with listening(server):
        agent = client(f"smtp_fallback_relay = [127.0.0.1]:{server.port}\n")
        delivery = await agent.deliver(replace(to(server), nexthop="none.example"))
    assert told(delivery)[0] == "Delivered"


async def test_mail_that_loops_goes_to_no_fallback_relay() -> None:
    server = Server(dict(HELLO))
    names = Names({"us.example": NoTarget("5.4.6", "mail for us.example loops back to myself")})
    async with listening(server):
        agent = client(f"smtp_fallback_relay = [127.0.0.1]:{server.port}\n", names)
        delivery = await agent.deliver(replace(to(server), nexthop="us.example"))
    assert told(delivery) == ("Bounced", "5.4.6", "mail for us.example loops back to myself")
    assert server.sessions == 0


async def test_a_relayhost_that_is_not_found_is_our_mistake_and_the_mail_waits() -> None:
    agent = client("relayhost = gone.example\n")
    assert told(await agent.deliver(replace(to(1), nexthop="gone.example"))) == ("Deferred", "4.3.5", "Host not found")
    assert told(await agent.deliver(replace(to(1), nexthop="other.example"))) == ("Bounced", "5.4.4", "Host not found")


async def test_no_more_addresses_and_sessions_than_allowed() -> None:
    server = Server({**HELLO, "MAIL": "450 4.2.0 later"})
    async with listening(server):
        names = Names({"far.example": [Target("mx", "127.0.0.1", number) for number in range(9)]})
        made = replace(to(server), nexthop=f"far.example:{server.port}")
        assert told(await client("", names).deliver(made))[0] == "Deferred"
        assert server.sessions == 2  # smtp_mx_session_limit
        server.greeting, server.sessions = "450 4.3.2 not now", 0
        assert told(await client("", names).deliver(made))[0] == "Deferred"
        assert server.sessions == 5  # smtp_mx_address_limit


async def test_a_server_that_has_our_name_is_ourselves_on_port_25_alone() -> None:
    server = Server({"EHLO": "250-us.example\r\n250 SIZE"})
    async with listening(server):
        assert told(await client().deliver(to(server)))[0] == "Delivered"


# -- lmtp ---------------------------------------------------------------------------------------------------------


async def test_lmtp_answers_for_each_recipient(tmp_path: Path) -> None:
    server = Server(
        {"LHLO": "250-mx\r\n250 PIPELINING", "RCPT TO:<b": "550 5.1.1 no", ".": "250 2.1.5 a|552 5.2.2 c is full"}
    )
    path = tmp_path / "socket"
    async with at_socket(server, path):
        wanted = replace(to(1, "a@x", "b@x", "c@x", transport="lmtp"), nexthop=f"unix:{path}")
        delivery = await client().deliver(wanted)
    name = f"us.example[{path}]"
    assert [(outcome.status, outcome.text, outcome.relay) for outcome in delivery.outcomes] == [
        ("2.1.5", "250 2.1.5 a", name),
        ("5.1.1", f"host {name} said: 550 5.1.1 no (in reply to RCPT TO command)", name),
        ("5.2.2", f"host {name} said: 552 5.2.2 c is full (in reply to end of DATA command)", name),
    ]


async def test_who_was_answered_before_lmtp_broke_off_is_not_tried_again(tmp_path: Path) -> None:
    server = Server({".": "250 2.1.5 a|drop"})
    path = tmp_path / "socket"
    async with at_socket(server, path):
        wanted = replace(to(1, "a@x", "b@x", transport="lmtp"), nexthop=f"unix:{path}")
        delivery = await client().deliver(wanted)
    assert [type(outcome) for outcome in delivery.outcomes] == [Delivered, Deferred]


async def test_a_missing_socket_defers(tmp_path: Path) -> None:
    wanted = replace(to(1, transport="lmtp"), nexthop=f"unix:{tmp_path}/none")
    text = f"connect to us.example[{tmp_path}/none]: No such file or directory"
    assert told(await client().deliver(wanted)) == ("Deferred", "4.4.1", text)


# -- TLS ----------------------------------------------------------------------------------------------------------

STARTTLS = {"EHLO": "250-mx.far.example\r\n250 STARTTLS", "STARTTLS": "220 2.0.0 go"}


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


def with_tls(authority: trustme.CA, name: str = "127.0.0.1") -> Server:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert(name).configure_cert(context)
    return Server(dict(STARTTLS), context=context)


@pytest.mark.parametrize("level", ["may", "encrypt"])
async def test_tls_is_used_where_it_is_offered(authority: trustme.CA, level: str) -> None:
    server = with_tls(authority)
    async with listening(server):
        assert told(await client(f"smtp_tls_security_level = {level}\n").deliver(to(server)))[0] == "Delivered"
    assert server.heard[:3] == ["EHLO us.example", "STARTTLS", "EHLO us.example"]
    assert len(server.bodies) == 1


async def test_tls_that_is_demanded_and_not_offered_defers() -> None:
    server = Server(dict(HELLO))
    async with listening(server):
        got = told(await client("smtp_tls_security_level = encrypt\n").deliver(to(server)))
        assert got == ("Deferred", "4.7.4", "TLS is required, but was not offered by host 127.0.0.1[127.0.0.1]")
        assert told(await client("smtp_tls_security_level = may\n").deliver(to(server)))[0] == "Delivered"
    assert len(server.bodies) == 1


async def test_a_failed_handshake_is_followed_by_clear_text_only_where_tls_was_a_choice() -> None:
    server = Server({**STARTTLS, "STARTTLS": "220 go\r\nnonsense instead of TLS"})
    async with listening(server):
        got = told(await client("smtp_tls_security_level = encrypt\n").deliver(to(server)))
        assert got == ("Deferred", "4.7.5", "Cannot start TLS: handshake failure")
        assert told(await client("smtp_tls_security_level = may\n").deliver(to(server)))[0] == "Delivered"
    assert len(server.bodies) == 1


async def test_verify_believes_only_who_was_vouched_for(authority: trustme.CA, tmp_path: Path) -> None:
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    right, wrong = with_tls(authority), with_tls(authority, "mx.other.example")
    agent = client(f"smtp_tls_security_level = verify\nsmtp_tls_CAfile = {tmp_path}/ca.pem\n")
    async with listening(right, wrong):
        assert told(await agent.deliver(to(right)))[0] == "Delivered"
        assert told(await agent.deliver(to(wrong))) == ("Deferred", "4.7.5", "Server certificate not verified")
    assert wrong.bodies == []


async def test_a_level_that_we_lack_is_a_mistake_of_the_configuration() -> None:
    with pytest.raises(ConfigTrouble, match="dane"):
        client("smtp_tls_security_level = dane\n")
