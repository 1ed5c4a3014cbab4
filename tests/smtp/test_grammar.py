import pytest
from hypothesis import given
from hypothesis import strategies as st

from seawall.mail.envelope import Body, Notify, Ret
from seawall.mail.reply import Reply
from seawall.smtp import grammar
from seawall.smtp.grammar import Offer, decode_xtext, is_malformed, parse_mail_parameters, parse_rcpt_parameters


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("NOOP", ("NOOP",)),
        ("  NOOP  x ", ("NOOP", "x")),
        ("MAIL FROM:<a@b>", ("MAIL", "FROM:", "<a@b>")),
        ("mail from: <a@b> SIZE=1  BODY=8BITMIME", ("mail", "from:", "<a@b>", "SIZE=1", "BODY=8BITMIME")),
        ("MAIL FROM:a@b", ("MAIL", "FROM:", "a@b")),
        ("MAIL FROM <a@b>", ("MAIL", "FROM", "<a@b>")),
        ('RCPT TO:<"a b"@c>', ("RCPT", "TO:", '<"a b"@c>')),
        ('RCPT TO:"a b"@c', ("RCPT", "TO:", '"a b"@c')),
        ("MAIL FROM:<a>SIZE=1", ("MAIL", "FROM:", "<a>SIZE=1")),
        ("MAIL FROM:<a <b> c> d", ("MAIL", "FROM:", "<a <b> c>", "d")),
        ("VRFY a\\ b c", ("VRFY", "a\\ b", "c")),
        ("Subject: hello", ("Subject:", "hello")),
        ("", ()),
        (" \t ", ()),
    ],
)
def test_a_command_is_cut_as_postfix_cuts_it(line: str, words: tuple[str, ...]) -> None:
    assert grammar.split_command(line).words == words


@pytest.mark.parametrize("line", ["MAIL FROM:<a", 'MAIL FROM:"a', "MAIL FROM:<a\\>", 'MAIL FROM:<"a>'])
def test_what_never_closes_is_known_as_broken(line: str) -> None:
    assert grammar.split_command(line).broken == {2}


@given(st.text(alphabet=st.sampled_from('MAILFROTC:<>"\\@ab \t=.'), max_size=30))
def test_the_short_way_to_cut_gives_what_the_long_way_gives(text: str) -> None:
    assert grammar.split_command(text) == grammar._split_slowly(text)


@pytest.mark.parametrize(
    ("coded", "text"),
    [("plain", "plain"), ("a+2Bb", "a+b"), ("+41+42", "AB"), ("a+00", None), ("a+", None), ("+zz", None)],
)
def test_xtext_is_decoded_and_a_nul_is_none(coded: str, text: str | None) -> None:
    assert decode_xtext(coded) == text


def test_parameters_of_mail_are_read() -> None:
    words = ("SIZE=100", "body=8bitmime", "RET=HDRS", "ENVID=a+2Bb", "SMTPUTF8", "AUTH=<>")
    given = parse_mail_parameters(words, Offer())
    assert isinstance(given, grammar.MailParameters)
    assert (given.size, given.body, given.ret) == (100, Body.EIGHT_BIT, Ret.HDRS)
    assert (given.envid, given.smtputf8, given.auth) == ("a+b", True, "")


@pytest.mark.parametrize(
    ("word", "offer", "line"),
    [
        ("SIZE=x", Offer(), "501 5.5.4 Bad message size syntax"),
        ("SIZE=", Offer(), "501 5.5.4 Bad message size syntax"),
        ("SIZE=\u0664", Offer(), "501 5.5.4 Bad message size syntax"),
        ("SIZE=99999999999999999999999", Offer(), "552 5.3.4 Message size exceeds file system imposed limit"),
        ("body=x", Offer(), "555 5.5.4 Unsupported option: body=x"),
        ("FOO", Offer(), "555 5.5.4 Unsupported option: FOO"),
        ("RET=FULL", Offer(dsn=False), "501 5.7.1 DSN support is disabled"),
        ("RET=x", Offer(), "501 5.5.4 Bad RET parameter syntax"),
        ("ENVID=", Offer(), "501 5.5.4 Bad ENVID parameter syntax"),
        ("ENVID=+0A", Offer(), "501 5.5.4 Bad ENVID parameter syntax"),
        ("SMTPUTF8", Offer(smtputf8=False), "555 5.5.4 Unsupported option: SMTPUTF8"),
        ("XVERP", Offer(), "555 5.5.4 Unsupported option: XVERP"),
        ("XVERP=aa", Offer(verp=True), "501 5.5.4 Error: XVERP needs two characters from -=+"),
    ],
)
def test_a_bad_parameter_of_mail_hears_what_postfix_says(word: str, offer: Offer, line: str) -> None:
    reply = parse_mail_parameters((word,), offer)
    assert isinstance(reply, Reply)
    assert reply.line() == line


def test_a_parameter_said_twice_is_wrong_where_it_must_not_be() -> None:
    for words in (("RET=FULL", "RET=FULL"), ("ENVID=a", "ENVID=a"), ("AUTH=a", "AUTH=b")):
        assert isinstance(parse_mail_parameters(words, Offer()), Reply)


def test_parameters_of_rcpt_are_read() -> None:
    given = parse_rcpt_parameters(("NOTIFY=success,Delay", "ORCPT=rfc822;a+40b"), Offer())
    assert isinstance(given, grammar.RcptParameters)
    assert Notify(given.notify) == Notify.SUCCESS | Notify.DELAY
    assert given.orcpt == "rfc822;a@b"


@pytest.mark.parametrize(
    "word",
    [
        "NOTIFY=",
        "NOTIFY=NEVER,SUCCESS",
        "NOTIFY=x",
        "ORCPT=rfc822",
        "ORCPT=;x",
        "ORCPT=rfc822;+zz",
        "ORCPT=utf-8;\\x{0}",
    ],
)
def test_a_bad_parameter_of_rcpt_is_501(word: str) -> None:
    reply = parse_rcpt_parameters((word,), Offer())
    assert isinstance(reply, Reply)
    assert reply.code == 501


def test_an_international_original_recipient_is_decoded() -> None:
    given = parse_rcpt_parameters(("ORCPT=utf-8;j\\x{F6}rg@x",), Offer())
    assert isinstance(given, grammar.RcptParameters)
    assert given.orcpt == "utf-8;jörg@x"


@pytest.mark.parametrize(
    "address", ["a@b", "a@b_c", "a@b.c.", "a@[192.0.2.1]", "a@b@c", "a", "", "\u00e9@x.y", "a@1.x"]
)
def test_an_address_that_postfix_takes_is_not_malformed(address: str) -> None:
    assert not is_malformed(address)


@pytest.mark.parametrize(
    "address",
    [
        "a@b..c",
        "@",
        "a@",
        "a@1.2.3.4",
        "-a@b.c",
        "a@-b.c",
        "a@b.c..",
        "a@[1.2.3]",
        "a@\u00e9.y",
        "a@" + "x" * 64 + ".y",
        "a@b-",
    ],
)
def test_an_address_that_postfix_refuses_is_malformed(address: str) -> None:
    assert is_malformed(address)


def test_an_international_domain_needs_smtputf8() -> None:
    assert not is_malformed("a@\u00e9.y", smtputf8=True)


def test_a_minus_in_front_may_be_allowed() -> None:
    assert not is_malformed("-a@b.c", may_begin_with_minus=True)


def test_what_cannot_be_printed_becomes_a_question_mark() -> None:
    assert grammar.printable("a\x01\udcffé") == "a??é"
    assert grammar.printable("aé", utf8=False) == "a??"
    assert grammar.neuter("a(b)<c>@d") == "a?b??c??d"
    assert grammar.escape(b"a\r\n\xff\\") == "a\\r\\n\\377\\\\"
