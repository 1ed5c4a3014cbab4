"""The engine by dialogues: each is read whole and byte by byte, and must come out the same."""

import pytest

from seawall.mail.reply import Reply
from seawall.smtp import events
from seawall.smtp.end_of_data import BareNewline
from seawall.smtp.events import NEED_DATA
from seawall.smtp.rules import Rules
from seawall.smtp.server import Server
from seawall.smtp.states import OUT_OF_ORDER, TRANSITIONS, State
from tests.smtp.dialogue import HOST, Judge, agree, bytewise, play, replies, whole

RULES = Rules(HOST, forbid_unauth_pipelining=False, message_size_limit=1000)
HELLO = b"EHLO client.example\r\n"
START = HELLO + b"MAIL FROM:<a@b.c>\r\nRCPT TO:<d@e.f>\r\n"


def heard(data: bytes, rules: Rules = RULES, judge: Judge = agree) -> list[str]:
    at_once = play(whole(data), rules, judge)
    assert play(bytewise(data), rules, judge) == at_once
    return replies(at_once)


CASES = [
    (b"MAIL FROM:<a@b.c>\r\n", ["250 2.0.0 Ok"]),
    (b"RCPT TO:<a@b.c>\r\n", ["503 5.5.1 Error: need MAIL command"]),
    (b"DATA\r\n", ["503 5.5.1 Error: need RCPT command"]),
    (b"MAIL FROM:<a@b.c>\r\nMAIL FROM:<a@b.c>\r\n", ["250 2.0.0 Ok", "503 5.5.1 Error: nested MAIL command"]),
    (b"MAIL FROM:<a@b.c>\r\nDATA\r\n", ["250 2.0.0 Ok", "554 5.5.1 Error: no valid recipients"]),
    (b"MAIL FROM:<a@b.c>\r\nRSET\r\nDATA\r\n", ["250 2.0.0 Ok", "250 2.0.0 Ok", "503 5.5.1 Error: need RCPT command"]),
    (b"MAIL\r\n", ["501 5.5.4 Syntax: MAIL FROM:<address>"]),
    (b"MAIL FROM:\r\n", ["501 5.5.4 Syntax: MAIL FROM:<address>"]),
    (b"MAIL FROM a@b\r\n", ["501 5.5.4 Syntax: MAIL FROM:<address>"]),
    (b"MAIL FROM:<a\r\n", ["501 5.1.7 Bad sender address syntax"]),
    (b"MAIL FROM:<a@b.c> SIZE=1001\r\n", ["552 5.3.4 Message size exceeds fixed limit"]),
    (b"MAIL FROM:<a@b.c>\r\nRCPT TO:<>\r\n", ["250 2.0.0 Ok", "501 5.1.3 Bad recipient address syntax"]),
    (b"MAIL FROM:<a@b.c>\r\nRCPT\r\n", ["250 2.0.0 Ok", "501 5.5.4 Syntax: RCPT TO:<address>"]),
    (START + b"DATA x\r\n", ["250 2.0.0 Ok"] * 3 + ["501 5.5.4 Syntax: DATA"]),
    (START + b"ETRN x\r\n", ["250 2.0.0 Ok"] * 3 + ["503 Error: MAIL transaction in progress"]),
    (b"HELO\r\n", ["501 Syntax: HELO hostname"]),
    (b"EHLO \r\n", ["501 Syntax: EHLO hostname"]),
    (b"RSET x\r\n", ["501 5.5.4 Syntax: RSET"]),
    (b"NOOP x\r\n", ["250 2.0.0 Ok"]),
    (b"VRFY\r\n", ["501 5.5.4 Syntax: VRFY address [SMTPUTF8]"]),
    (b"VRFY a SMTPUTF8\r\n", ["250 2.0.0 Ok"]),
    (b"ETRN\r\n", ["500 Syntax: ETRN domain"]),
    (b"ETRN a..b\r\n", ["501 Error: invalid parameter syntax"]),
    (b"ETRN @a.b\r\n", ["250 2.0.0 Ok"]),
    (b"STARTTLS\r\n", ["502 5.5.1 Error: command not implemented"]),
    (b"STARTTLS x\r\n", ["501 5.5.4 Syntax: STARTTLS"]),
    (b"AUTH PLAIN\r\n", ["503 5.5.1 Error: authentication not enabled"]),
    (b"XCLIENT\r\n", ["501 5.5.4 Syntax: XCLIENT attribute=value..."]),
    (b"XCLIENT NAME=x\r\n", ["550 5.7.0 Error: insufficient authorization"]),
    (b"EXPN x\r\n", ["500 5.5.2 Error: command not recognized"]),
    (b"\r\n", ["500 5.5.2 Error: bad syntax"]),
    (b"   \r\n", ["500 5.5.2 Error: bad syntax"]),
    (b"NOOP\xff\r\n", ["500 5.5.2 Error: bad UTF-8 syntax"]),
    (b"NOOP\0 QUIT\r\n", ["250 2.0.0 Ok"]),
    (b"x" * 3000 + b"\r\nNOOP\r\n", ["500 5.5.2 Error: line too long", "250 2.0.0 Ok"]),
    (b"Subject: x\r\nNOOP\r\n", ["221 2.7.0 Error: I can break rules, too. Goodbye."]),
    (b"QUIT\r\nNOOP\r\n", ["221 2.0.0 Bye"]),
    (b"noop\r\nhelp\r\n", ["250 2.0.0 Ok", "250 2.0.0 Ok"]),
    (START + b"BDAT\r\n", ["250 2.0.0 Ok"] * 3 + ["521 5.5.4 Syntax: BDAT count [LAST]"]),
    (START + b"BDAT x LAST\r\n", ["250 2.0.0 Ok"] * 3 + ["521 5.5.4 Syntax: BDAT count [LAST]"]),
    (b"BDAT 5 LAST\r\nhelloNOOP\r\n", ["503 5.5.1 Error: need RCPT command", "250 2.0.0 Ok"]),
    (
        b"MAIL FROM:<a@b.c>\r\nBDAT 5\r\nhelloBDAT 2 LAST\r\nxxNOOP\r\n",
        [
            "250 2.0.0 Ok",
            "554 5.5.1 Error: no valid recipients",
            "551 5.0.0 Discarded 2 bytes after earlier error",
            "250 2.0.0 Ok",
        ],
    ),
    (
        START + b"BDAT 0\r\nRCPT TO:<a@b>\r\nDATA\r\nRSET\r\nMAIL FROM:<a@b>\r\n",
        ["250 2.0.0 Ok"] * 3
        + ["551 5.7.1 Null BDAT request", "503 5.5.1 Error: RCPT after BDAT", "503 5.5.1 Error: DATA after BDAT"]
        + ["250 2.0.0 Ok"] * 2,
    ),
    (
        START + b"BDAT 1001 LAST\r\n" + b"x" * 1001 + b"NOOP\r\n",
        ["250 2.0.0 Ok"] * 3 + ["552 5.3.4 Chunk exceeds message size limit", "250 2.0.0 Ok"],
    ),
    (
        START + b"BDAT 5\r\nhelloMAIL FROM:<a@b>\r\nRCPT TO:<a@b>\r\nBDAT 0 LAST\r\nMAIL FROM:<a@b>\r\n",
        ["250 2.0.0 Ok"] * 4
        + ["503 5.5.1 Error: nested MAIL command", "503 5.5.1 Error: RCPT after BDAT", "250 2.0.0 Ok", "250 2.0.0 Ok"],
    ),
]


@pytest.mark.parametrize(("data", "wanted"), CASES, ids=[repr(data[-40:]) for data, _ in CASES])
def test_a_dialogue_is_answered_as_postfix_answers_it(data: bytes, wanted: list[str]) -> None:
    assert heard(data) == wanted


def test_content_comes_with_lf_and_without_stuffed_dots() -> None:
    data = START + b"DATA\r\nSubject: x\r\n\r\n..one\r\n.\r\nNOOP\r\n"
    found = play(whole(data), RULES)
    assert [each for each in found if isinstance(each, bytes)] == [b"Subject: x\n\n.one\n"]
    assert play(bytewise(data), RULES) == found
    end = next(each for each in found if isinstance(each, events.EndOfData))
    assert (end.size, end.fault, end.by_chunks) == (len(b"Subject: x\r\n\r\n.one\r\n"), events.Fault.NONE, False)


def test_content_beyond_the_limit_is_dropped_and_said_at_the_end() -> None:
    found = play(whole(START + b"DATA\r\n" + b"x" * 2000 + b"\r\n.\r\nNOOP\r\n"), RULES)
    end = next(each for each in found if isinstance(each, events.EndOfData))
    assert end.fault is events.Fault.SIZE
    assert replies(found)[-1] == "250 2.0.0 Ok"


def test_bare_newlines_are_refused_at_the_end_of_the_content_where_they_are_forbidden() -> None:
    rules = Rules(HOST, bare_newline=BareNewline.REJECT, forbid_unauth_pipelining=False)
    found = play(whole(START + b"DATA\r\na\nb\r\n.\r\n"), rules)
    assert next(each for each in found if isinstance(each, events.EndOfData)).fault is events.Fault.BARE_NEWLINE
    assert heard(b"NOOP\nNOOP\r\n", rules) == [f"550 5.5.2 {HOST} Error: bare <LF> received"]


def test_chunks_are_glued_together() -> None:
    data = START + b"BDAT 4\r\na\r\nbBDAT 3\r\nc\r\nBDAT 2 LAST\r\n.d"
    found = play(whole(data), RULES)
    assert b"".join(each for each in found if isinstance(each, bytes)) == b"a\nbc\n.d\n"
    content = [each for each in play(bytewise(data), RULES) if isinstance(each, bytes)]
    assert b"".join(content) == b"a\nbc\n.d\n"


def test_an_empty_last_chunk_ends_the_content_once() -> None:
    found = play(whole(START + b"BDAT 5\r\nhelloBDAT 0 LAST\r\n"), RULES)
    assert b"".join(each for each in found if isinstance(each, bytes)) == b"hello\n"
    assert sum(isinstance(each, events.EndOfData) for each in found) == 1


def test_a_chunk_that_the_judge_refuses_is_read_before_the_refusal_is_said() -> None:
    def judge(event: events.Command) -> Reply | None:
        return Reply(554, "5.7.1", "no") if isinstance(event, events.Bdat) else None

    wanted = ["250 2.0.0 Ok"] * 3 + ["554 5.7.1 no", "551 5.0.0 Discarded 3 bytes after earlier error", "250 2.0.0 Ok"]
    assert heard(START + b"BDAT 5\r\nNOOP\nBDAT 3\r\nxyzRSET\r\n", RULES, judge) == wanted


def test_after_a_refused_end_of_data_there_is_no_transaction() -> None:
    def judge(event: events.Command) -> Reply | None:
        return Reply(550, "5.7.1", "no") if isinstance(event, events.EndOfData) else None

    assert heard(START + b"DATA\r\nx\r\n.\r\nRCPT TO:<a@b>\r\n", RULES, judge)[-2:] == [
        "550 5.7.1 no",
        "503 5.5.1 Error: need MAIL command",
    ]


def test_hello_is_needed_where_the_site_wants_one() -> None:
    rules = Rules(HOST, helo_required=True, forbid_unauth_pipelining=False)
    assert heard(b"MAIL FROM:<a@b>\r\nETRN x.y\r\nHELO x\r\nMAIL FROM:<a@b>\r\n", rules) == [
        "503 5.5.1 Error: send HELO/EHLO first",
        "503 Error: send HELO/EHLO first",
        "250 2.0.0 Ok",
        "250 2.0.0 Ok",
    ]


def test_tls_comes_first_where_it_is_required() -> None:
    rules = Rules(HOST, offers_tls=True, requires_tls=True, forbid_unauth_pipelining=False)
    assert heard(b"EHLO x\r\nMAIL FROM:<a@b>\r\nNOOP\r\nSTARTTLS\r\n", rules) == [
        "250 2.0.0 Ok",
        "530 5.7.0 Must issue a STARTTLS command first",
        "250 2.0.0 Ok",
        "250 2.0.0 Ok",
    ]


def test_a_denied_client_may_only_quit() -> None:
    server = Server(RULES)
    server.denied = Reply(503, "5.7.0", "Error: access denied for x[192.0.2.1]")
    found = replies(play([b"EHLO x\r\nFOO\r\nQUIT\r\n"], RULES, agree, server))
    assert found == ["503 5.7.0 Error: access denied for x[192.0.2.1]"] * 2 + ["221 2.0.0 Bye"]


@pytest.mark.parametrize("data", [b"EHLO x\r\nNOOP\r\n", b"NOOP\r\nQUIT\r\n", b"HELO x\r\nMAIL FROM:<a@b>\r\n"])
def test_who_does_not_wait_where_he_must_is_out_of_step(data: bytes) -> None:
    assert replies(play([data], Rules(HOST))) == ["554 5.5.0 Error: SMTP protocol synchronization"]


def test_a_group_of_commands_may_come_at_once_after_ehlo() -> None:
    server = Server(Rules(HOST))
    play([HELLO], server.rules, agree, server)
    group = b"MAIL FROM:<a@b>\r\nRCPT TO:<c@d>\r\nRCPT TO:<e@f>\r\nDATA\r\n"
    assert replies(play([group], server.rules, agree, server))[-1].startswith("354")
    assert not server.pipelined


def test_the_log_learns_what_came_too_early() -> None:
    server = Server(Rules(HOST, forbid_unauth_pipelining=False))
    server.receive_data(b"EHLO x\r\nMAIL FROM:<a@b>\r\n")
    event = server.next_event()
    assert event == events.Pipelined("EHLO", "MAIL FROM:<a@b>\\r\\n")
    assert isinstance(server.next_event(), events.Ehlo)


def test_while_an_event_waits_for_its_reply_there_is_no_other() -> None:
    server = Server(RULES)
    server.receive_data(b"NOOP\r\nNOOP\r\n")
    while not isinstance(event := server.next_event(), events.Noop):
        assert isinstance(event, events.Pipelined)
    assert server.next_event() is NEED_DATA
    server.send(Reply(250, "2.0.0", "Ok"))
    assert isinstance(server.next_event(), events.Noop)


def test_input_before_tls_is_forgotten() -> None:
    server = Server(Rules(HOST, offers_tls=True, forbid_unauth_pipelining=False))
    server.receive_data(b"EHLO x\r\n")
    assert isinstance(server.next_event(), events.Ehlo)
    server.send(Reply(250, "", HOST))
    server.receive_data(b"STARTTLS\r\nRSET\r\n")
    assert isinstance(server.next_event(), events.StartTls)
    server.send(Reply(220, "2.0.0", "Ready to start TLS"))
    server.drop_input()
    assert server.next_event() is NEED_DATA
    assert server.helo is None


def test_an_authentication_is_a_dialogue_of_its_own() -> None:
    rules = Rules(HOST, sasl=True, forbid_unauth_pipelining=False)
    found = play([b"AUTH LOGIN\r\n", b"NOOP\r\n", b"AUTH LOGIN x y\r\n"], rules)
    assert found[0] == events.Auth("LOGIN", None)
    assert events.AuthLine("NOOP") in found
    assert replies(found) == ["334 VXNlcm5hbWU6", "235 2.7.0 Ok", "501 5.5.4 Syntax: AUTH mechanism"]


def test_a_response_beyond_its_limit_ends_the_authentication() -> None:
    rules = Rules(HOST, sasl=True, response_limit=3000, forbid_unauth_pipelining=False)
    found = replies(
        play([b"AUTH LOGIN\r\n", b"x" * 2500 + b"\r\n", b"AUTH LOGIN\r\n", b"x" * 4000 + b"\r\n", b"NOOP\r\n"], rules)
    )
    assert found == [
        "334 VXNlcm5hbWU6",
        "235 2.7.0 Ok",
        "334 VXNlcm5hbWU6",
        "500 5.5.6 SASL response limit exceeded",
        "250 2.0.0 Ok",
    ]


def test_an_extension_that_is_taken_away_is_refused() -> None:
    rules = Rules(HOST, discarded=frozenset({"DSN", "CHUNKING", "SMTPUTF8"}), forbid_unauth_pipelining=False)
    assert heard(b"MAIL FROM:<a@b> RET=FULL\r\nMAIL FROM:<a@b> SMTPUTF8\r\nBDAT 1 LAST\r\n", rules) == [
        "501 5.7.1 DSN support is disabled",
        "555 5.5.4 Unsupported option: SMTPUTF8",
        "521 5.5.1 Error: command not implemented",
    ]


def test_commands_can_be_named_that_do_nothing_or_end_the_session() -> None:
    rules = Rules(HOST, is_noop=lambda word: word == "XNOP", is_forbidden=lambda word: word == "GET")
    assert replies(play([b"XNOP\r\n", b"GET / HTTP/1.0\r\n"], rules)) == [
        "250 2.0.0 Ok",
        "221 2.7.0 Error: I can break rules, too. Goodbye.",
    ]


def test_a_command_can_be_replaced_before_it_is_read() -> None:
    rules = Rules(HOST, command_filter=lambda line: "NOOP" if line.startswith("FOO") else None)
    assert replies(play([b" FOO\r\n", b"RSET\r\n"], rules)) == ["250 2.0.0 Ok", "250 2.0.0 Ok"]


def test_every_state_knows_its_commands() -> None:
    assert set(TRANSITIONS) == set(State)
    for state, refusals in OUT_OF_ORDER.items():
        assert not refusals.keys() & TRANSITIONS[state].keys() - {"BDAT", "DATA"}, state
