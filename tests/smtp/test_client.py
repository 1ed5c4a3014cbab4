import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from seawall.mail.envelope import Envelope, Notify, Origin, Recipient
from seawall.smtp import client
from seawall.smtp.client import ClientEngine, Features, ServerConfusion, ServerReply, Step, WireContent

REPLIES = b"220 mx ESMTP\r\n250-mx\r\n250 SIZE 10\r\n550-5.1.1 no\r\n550 5.1.1 such user\r\n"


def replies(engine: ClientEngine) -> list[ServerReply]:
    found = []
    while (reply := engine.next_reply()) is not None:
        found.append(reply)
    return found


@pytest.mark.parametrize("size", [1, 2, 7, 1000])
def test_replies_are_paired_with_commands_however_they_arrive(size: int) -> None:
    engine = ClientEngine()
    engine.send(Step.HELLO, b"EHLO x\r\n")
    engine.send(Step.RCPT, b"RCPT TO:<a@b>\r\n")
    found = []
    for at in range(0, len(REPLIES), size):
        engine.receive_data(REPLIES[at : at + size])
        found += replies(engine)
    assert found == [
        ServerReply(220, ("220 mx ESMTP",), Step.GREETING),
        ServerReply(250, ("250-mx", "250 SIZE 10"), Step.HELLO),
        ServerReply(550, ("550-5.1.1 no", "550 5.1.1 such user"), Step.RCPT),
    ]
    assert not engine.is_waiting


@pytest.mark.parametrize(
    ("line", "code", "status"),
    [
        ("250 2.1.5 Ok", 250, "2.1.5"),
        ("250 Ok", 250, "2.0.0"),
        ("550 4.1.1 the digits disagree", 550, "5.0.0"),
        ("450", 450, "4.0.0"),
        ("550 5.1.1", 550, "5.1.1"),
        ("what?\r\n250 2.1.5 Ok", 250, "2.1.5"),
        ("999 x", 999, "5.5.0"),
        ("354 go", 354, "5.5.0"),
    ],
)
def test_a_reply_has_a_status_whatever_the_server_said(line: str, code: int, status: str) -> None:
    engine = ClientEngine()
    engine.receive_data(line.encode() + b"\r\n")
    (reply,) = replies(engine)
    assert (reply.code, reply.status) == (code, status)


@pytest.mark.parametrize("data", [b"x" * 10000, b"250-x\r\n" * 101, b"220 x\r\n250 more\r\n"])
def test_a_server_that_talks_too_much_is_left(data: bytes) -> None:
    engine = ClientEngine()
    engine.receive_data(data)
    with pytest.raises(ServerConfusion):
        replies(engine)


def test_nothing_may_wait_behind_starttls() -> None:
    engine = ClientEngine()
    engine.receive_data(b"220 go\r\n250 injected\r\n")
    engine.next_reply()
    with pytest.raises(ServerConfusion):
        engine.start_tls()


@given(st.binary(max_size=300))
def test_no_server_causes_anything_but_confusion(data: bytes) -> None:
    engine = ClientEngine()
    engine.receive_data(data)
    try:
        for reply in replies(engine):
            assert re.fullmatch(r"[245]\.\d+\.\d+", reply.status)
            assert not re.search(r"[\x00-\x1f\x7f]", reply.text)
    except ServerConfusion:
        pass


def test_features_are_what_ehlo_offered() -> None:
    reply = ServerReply(
        250, ("250-mx.example hi", "250-size 100", "250-AUTH=PLAIN", "250-DSN", "250 odd word"), Step.HELLO
    )
    features = client.parse_features(reply, ignored=frozenset({"DSN"}))
    assert features.name == "mx.example"
    assert features.keywords == {"SIZE": "100", "AUTH": "PLAIN", "ODD": "word"}
    assert features.size_limit == 100
    assert Features({"SIZE": "x"}).size_limit == 0


ALL = Features({"SIZE": "", "8BITMIME": "", "DSN": "", "SMTPUTF8": ""})
ENVELOPE = Envelope("a b@x", (), Origin(), body="8BITMIME", smtputf8=True, ret="HDRS", envid="a+b c")


def test_mail_from_says_what_the_server_offers() -> None:
    assert client.mail_from(ENVELOPE, 10, Features()) == b'MAIL FROM:<"a b"@x>\r\n'
    wanted = b'MAIL FROM:<"a b"@x> SIZE=10 BODY=8BITMIME SMTPUTF8 ENVID=a+2Bb+20c RET=HDRS\r\n'
    assert client.mail_from(ENVELOPE, 10, ALL) == wanted
    assert client.mail_from(Envelope("", (), Origin()), 1, Features()) == b"MAIL FROM:<>\r\n"


def test_rcpt_to_says_what_the_server_offers() -> None:
    recipient = Recipient("bob@x", orcpt="rfc822;b=c@x", notify=(Notify.SUCCESS | Notify.DELAY).value)
    assert client.rcpt_to(recipient, Features()) == b"RCPT TO:<bob@x>\r\n"
    assert client.rcpt_to(recipient, ALL) == b"RCPT TO:<bob@x> ORCPT=rfc822;b+3Dc@x NOTIFY=SUCCESS,DELAY\r\n"
    never = Recipient("bob@x", notify=Notify.NEVER.value)
    assert client.rcpt_to(never, ALL) == b"RCPT TO:<bob@x> NOTIFY=NEVER\r\n"


def wire(data: bytes, limit: int, sizes: list[int]) -> bytes:
    """The whole of a content as it goes over the wire, fed in parts."""
    content = WireContent(limit)
    out, at = b"", 0
    for size in sizes:
        out += content.feed(data[at : at + size])
        at += size
    return out + content.feed(data[at:]) + content.finish()


@pytest.mark.parametrize(
    ("data", "wanted"),
    [
        (b"", b".\r\n"),
        (b"a\n", b"a\r\n.\r\n"),
        (b"a", b"a\r\n.\r\n"),
        (b".\n..\n", b"..\r\n...\r\n.\r\n"),
        (b"\n.", b"\r\n..\r\n.\r\n"),
        (b"abcdefghij\n", b"abcdefgh\r\n ij\r\n.\r\n"),
        (b".bcdefghij", b"..bcdefgh\r\n ij\r\n.\r\n"),
        (b"12345678.\n", b"12345678\r\n .\r\n.\r\n"),
        (b"12345678\n", b"12345678\r\n.\r\n"),
    ],
)
@pytest.mark.parametrize("sizes", [[], [1] * 20, [3, 5]])
def test_content_on_the_wire(data: bytes, wanted: bytes, sizes: list[int]) -> None:
    assert wire(data, 8, sizes) == wanted


@given(
    st.lists(st.sampled_from([b"\n", b".", b"a", b"bcd", b"\r", b" ", b"....", b"x" * 9]), max_size=40),
    st.lists(st.integers(0, 9), max_size=10),
    st.sampled_from([0, 1, 8]),
)
@settings(max_examples=300, deadline=None)
def test_content_never_ends_early_and_comes_back_whole(parts: list[bytes], sizes: list[int], limit: int) -> None:
    data = b"".join(parts)
    sent = wire(data, limit, sizes)
    assert sent == wire(data, limit, [])
    body = sent.removesuffix(b".\r\n")
    assert sent.endswith(b".\r\n")
    assert b"\r\n.\r\n" not in b"\r\n" + body
    lines = [line.removeprefix(b".") for line in body.split(b"\r\n")]
    if limit:
        assert all(len(line) <= limit + 1 for line in lines)
    else:
        whole = b"\n".join(lines)
        assert whole == data + (b"" if data.endswith(b"\n") or not data else b"\n")
