"""Dialogues over a transport in memory: replies and log lines, word for word Postfix's."""

import asyncio
from collections.abc import Callable
from types import SimpleNamespace

import pytest

from seawall.dns.names import ClientNames
from seawall.mail.action import Action, What
from seawall.mail.reply import Reply
from seawall.policy.verdict import Act, Verdict
from tests.edge.world import HOST, World, refuse, settle

WHO = "client.example.org[192.0.2.7]"
ENVELOPE = ("EHLO x", "MAIL FROM:<a@b.c>", "RCPT TO:<u@example.com>")


async def test_a_message_is_taken_over() -> None:
    world = World()
    talk = world.dialogue()
    assert talk.heard() == [f"220 {HOST} ESMTP Seawall"]
    assert talk.say("EHLO x")[0] == f"250-{HOST}"
    assert talk.say("MAIL FROM:<a@b.c>", "RCPT TO:<u@example.com>") == ["250 2.1.0 Ok", "250 2.1.5 Ok"]
    assert talk.say("DATA") == ["354 End data with <CR><LF>.<CR><LF>"]
    assert talk.say(b"Subject: x\r\n\r\n..hi\r\n.\r\n") == ["250 2.0.0 Ok: queued as Q1"]
    assert talk.say("QUIT") == ["221 2.0.0 Bye"]
    assert talk.transport.closed
    kept = world.intake.opened[0]
    assert kept.content == b"Subject: x\n\n.hi\n"
    assert [each.address for each in kept.recipients] == ["u@example.com"]
    assert (kept.submission.sender, kept.submission.origin.protocol) == ("a@b.c", "ESMTP")
    assert (kept.finished, kept.aborted) == (True, False)
    assert world.log == [
        f"connect from {WHO}",
        f"Q1: client={WHO}",
        f"disconnect from {WHO} ehlo=1 mail=1 rcpt=1 data=1 quit=1 commands=5",
    ]


async def test_a_message_in_chunks_is_taken_over() -> None:
    world = World()
    talk = world.dialogue()
    talk.say(*ENVELOPE)
    assert talk.say(b"BDAT 5\r\nhelloBDAT 3 LAST\r\nabc") == [
        "250 2.0.0 Ok: 5 bytes",
        "250 2.0.0 Ok: 10 bytes queued as Q1",
    ]
    assert world.intake.opened[0].content == b"helloabc\n"


async def test_a_refused_recipient_is_logged_with_its_session() -> None:
    world = World()
    world.judge.refusals["u@example.com"] = refuse("<u@example.com>: Relay access denied", 554)
    talk = world.dialogue()
    assert talk.say(*ENVELOPE)[-1] == "554 5.7.1 <u@example.com>: Relay access denied"
    assert not world.intake.opened
    assert world.log[-1] == (
        f"NOQUEUE: reject: RCPT from {WHO}: 554 5.7.1 <u@example.com>: Relay access denied; "
        "from=<a@b.c> to=<u@example.com> proto=ESMTP helo=<x>"
    )
    assert talk.say("RCPT TO:<v@example.com>", "DATA") == ["250 2.1.5 Ok", "354 End data with <CR><LF>.<CR><LF>"]


async def test_a_judge_that_has_to_ask_changes_no_reply() -> None:
    replies = []
    for waits in (False, True):
        world = World()
        world.judge.waits = waits
        world.judge.refusals["bad@example.com"] = refuse("<bad@example.com>: no")
        talk = world.dialogue()
        talk.heard()
        group = b"MAIL FROM:<a@b.c>\r\nRCPT TO:<u@example.com>\r\nRCPT TO:<bad@example.com>\r\nDATA\r\n"
        replies.append(await talk.said("EHLO x", group, b"text\r\n.\r\nQUIT\r\n"))
    assert replies[0] == replies[1]
    assert replies[0][-5:] == [
        "250 2.1.5 Ok",
        "550 5.7.1 <bad@example.com>: no",
        "354 End data with <CR><LF>.<CR><LF>",
        "250 2.0.0 Ok: queued as Q1",
        "221 2.0.0 Bye",
    ]


async def test_hello_is_remembered_in_a_form_that_is_safe() -> None:
    world = World()
    world.judge.refusals["rcpt"] = refuse("no")
    world.dialogue().say("EHLO a(b)<c>@d", "MAIL FROM:<>", "RCPT TO:<u@example.com>")
    assert world.log[-1].endswith("from=<> to=<u@example.com> proto=ESMTP helo=<a?b??c??d>")


async def test_the_greeting_does_not_wait_for_the_clients_name_but_the_log_does() -> None:
    world = World()
    world.names.gate = asyncio.Event()
    talk = world.dialogue()
    assert talk.heard() == [f"220 {HOST} ESMTP Seawall"]
    assert talk.say("EHLO x", "MAIL FROM:<a@b.c>")[-1] == "250 2.1.0 Ok"
    talk.say_only("RCPT TO:<u@example.com>")
    assert talk.heard() == []
    assert world.log == []
    world.names.gate.set()
    await settle()
    assert talk.heard() == ["250 2.1.5 Ok"]
    assert world.judge.asked[-1] == ("rcpt", "client.example.org")
    assert world.log == [f"connect from {WHO}", f"Q1: client={WHO}"]


async def test_a_client_that_goes_before_its_name_is_known_is_logged_all_the_same() -> None:
    world = World()
    world.names.gate = asyncio.Event()
    talk = world.dialogue()
    talk.transport.close()
    assert world.log == []
    world.names.gate.set()
    await settle()
    assert world.log == [
        f"connect from {WHO}",
        f"lost connection after CONNECT from {WHO}",
        f"disconnect from {WHO} commands=0/0",
    ]


async def test_a_look_up_that_fails_leaves_the_client_without_a_name() -> None:
    world = World()

    def broken(address: str, then: Callable[[ClientNames], None]) -> None:
        raise ValueError("a defect")

    world.edge.names = SimpleNamespace(tell_names=broken)
    talk = world.dialogue()
    await settle()
    assert talk.say("QUIT")[-1] == "221 2.0.0 Bye"
    assert world.log[:2] == [
        "connect from unknown[192.0.2.7]",
        "warning: unknown[192.0.2.7]: ValueError in the look-up of its name: a defect",
    ]


async def test_without_names_everybody_is_unknown() -> None:
    world = World("smtpd_peername_lookup = no\n")
    world.dialogue().say("QUIT")
    assert world.log == [
        "connect from unknown[192.0.2.7]",
        "disconnect from unknown[192.0.2.7] quit=1 commands=1",
    ]


async def test_where_refusals_are_not_put_off_the_client_hears_them_instead_of_the_greeting() -> None:
    world = World("smtpd_delay_reject = no\n")
    world.judge.refusals["connect"] = refuse("<client.example.org>: Client host rejected: no", 554)
    talk = world.dialogue()
    assert talk.heard() == ["554 5.7.1 <client.example.org>: Client host rejected: no"]
    assert talk.say("EHLO x", "NOOP") == [f"503 5.7.0 Error: access denied for {WHO}"] * 2
    assert talk.say("QUIT") == ["221 2.0.0 Bye"]
    assert world.log[-1].endswith("ehlo=0/1 noop=0/1 quit=1 commands=1/3")


async def test_where_refusals_are_not_put_off_every_step_may_refuse() -> None:
    world = World("smtpd_delay_reject = no\n")
    world.judge.refusals["helo"] = refuse("<x>: Helo command rejected: no")
    world.judge.refusals["mail"] = refuse("<a@b.c>: Sender address rejected: no")
    talk = world.dialogue()
    talk.heard()
    assert talk.say("HELO x", "MAIL FROM:<a@b.c>", "RCPT TO:<u@example.com>") == [
        "550 5.7.1 <x>: Helo command rejected: no",
        "550 5.7.1 <a@b.c>: Sender address rejected: no",
        "503 5.5.1 Error: need MAIL command",
    ]


async def test_who_speaks_before_a_greeting_that_waits_is_out_of_step() -> None:
    world = World("smtpd_delay_reject = no\n")
    world.names.gate = asyncio.Event()
    talk = world.dialogue()
    assert talk.say("EHLO x") == []
    world.names.gate.set()
    await settle()
    assert talk.heard() == ["554 5.5.0 Error: SMTP protocol synchronization"]
    assert world.log[1] == f"improper command pipelining after CONNECT from {WHO}: EHLO x\\r\\n"


async def test_a_verdict_may_end_the_session_with_or_without_a_word() -> None:
    world = World()
    world.judge.refusals["u@example.com"] = refuse("bye", 521, "5.7.0", hangs_up=True)
    talk = world.dialogue()
    assert talk.say(*ENVELOPE)[-1] == "521 5.7.0 bye"
    assert talk.transport.closed
    world.judge.refusals["u@example.com"] = Verdict(Act.REJECT, hangs_up=True)
    talk = world.dialogue()
    assert talk.say(*ENVELOPE)[-1] == "250 2.1.0 Ok"
    assert talk.transport.closed


async def test_what_checks_want_done_reaches_intake_once() -> None:
    world = World()
    talk = world.dialogue()
    talk.say("EHLO x", "MAIL FROM:<a@b.c>")
    world.judge.actions = [Action(What.HOLD, "why")]
    talk.say("RCPT TO:<u@example.com>")
    world.judge.actions = [Action(What.BCC, "copy@example.com")]
    talk.say("RCPT TO:<v@example.com>", "DATA", b"x\r\n.\r\n", "MAIL FROM:<a@b.c>", "RCPT TO:<w@example.com>")
    first, second = world.intake.opened
    assert [action.what for action in first.actions] == [What.HOLD, What.BCC]
    assert second.actions == []


async def test_a_message_can_be_refused_at_its_end() -> None:
    world = World()
    world.judge.refusals["end_of_data"] = refuse("<END-OF-MESSAGE>: no")
    talk = world.dialogue()
    talk.say(*ENVELOPE, "DATA")
    assert talk.say(b"x\r\n.\r\n") == ["550 5.7.1 <END-OF-MESSAGE>: no"]
    assert world.intake.opened[0].aborted
    assert talk.say("RCPT TO:<u@example.com>") == ["503 5.5.1 Error: need MAIL command"]


async def test_a_message_that_is_too_large_is_refused_at_its_end() -> None:
    world = World("message_size_limit = 100\n")
    talk = world.dialogue()
    talk.say(*ENVELOPE, "DATA")
    assert talk.say(b"x" * 200 + b"\r\n.\r\n") == ["552 5.3.4 Error: message file too big"]
    assert world.log[-1] == "warning: Q1: queue file size limit exceeded"
    assert world.intake.opened[0].aborted
    assert talk.say("MAIL FROM:<a@b.c> SIZE=101") == ["552 5.3.4 Message size exceeds fixed limit"]
    assert world.log[-1] == (
        f"NOQUEUE: reject: MAIL from {WHO}: 552 5.3.4 Message size exceeds fixed limit; from=<a@b.c> proto=ESMTP helo=<x>"
    )


async def test_without_room_in_the_queue_no_message_begins() -> None:
    world = World()
    world.intake.full = True
    talk = world.dialogue()
    assert talk.say("EHLO x", "MAIL FROM:<a@b.c>")[-1] == "452 4.3.1 Insufficient system storage"
    assert talk.say("RCPT TO:<u@example.com>") == ["503 5.5.1 Error: need MAIL command"]


@pytest.mark.parametrize(
    ("mode", "reply", "content"),
    [
        ("reject", f"550 5.5.2 {HOST} Error: bare <LF> received", b""),
        ("normalize", "250 2.0.0 Ok: queued as Q1", b"a\nb\n"),
        ("note", "250 2.0.0 Ok: queued as Q1", b"a\nb\n"),
        ("no", "250 2.0.0 Ok: queued as Q1", b"a\nb\n"),
    ],
)
async def test_bare_newlines_are_treated_as_the_site_says(mode: str, reply: str, content: bytes) -> None:
    world = World(f"smtpd_forbid_bare_newline = {mode}\n")
    talk = world.dialogue()
    talk.say(*ENVELOPE, "DATA")
    assert talk.say(b"a\nb\r\n.\r\n") == [reply]
    assert world.intake.opened[0].content == content
    talk.say("QUIT")
    assert ("notes=bare_lf" in world.log[-1]) is (mode == "note")


async def test_trusted_clients_may_send_bare_newlines() -> None:
    world = World("smtpd_forbid_bare_newline = reject\n")
    talk = world.dialogue(("10.0.0.1", 1))
    talk.say(*ENVELOPE, "DATA")
    assert talk.say(b"a\n.\n") == ["250 2.0.0 Ok: queued as Q1"]


async def test_intake_may_refuse_what_it_was_given() -> None:
    world = World()
    world.intake.answer = Reply(452, "4.3.1", "Error: queue file write error")
    talk = world.dialogue()
    talk.say(*ENVELOPE, "DATA")
    assert talk.say(b"x\r\n.\r\n") == ["452 4.3.1 Error: queue file write error"]


async def test_a_part_that_fails_costs_one_session_only() -> None:
    world = World()

    def broken(attempt: object) -> Verdict:
        raise ValueError("a defect")

    world.edge.judge.rcpt = broken
    talk = world.dialogue()
    assert talk.say(*ENVELOPE)[-1] == f"421 4.3.0 {HOST} Server local error"
    assert talk.transport.closed
    assert any("ValueError" in line for line in world.log)


async def test_vrfy_tells_nothing_definite_and_etrn_is_refused() -> None:
    world = World()
    talk = world.dialogue()
    talk.say("EHLO x")
    assert talk.say("VRFY <u@example.com>", "ETRN example.com") == [
        "252 2.0.0 <u@example.com>",
        "459 <example.com>: service unavailable",
    ]
    assert world.log[-1] == f"warning: reject: ETRN example.com... from {WHO}"


async def test_what_is_no_smtp_ends_the_session() -> None:
    world = World()
    talk = world.dialogue()
    talk.heard()
    assert talk.say("GET / HTTP/1.0") == ["221 2.7.0 Error: I can break rules, too. Goodbye."]
    assert world.log[1:] == [
        f"warning: non-SMTP command from {WHO}: GET / HTTP/1.0",
        f"disconnect from {WHO} unknown=0/1 commands=0/1",
    ]


async def test_an_address_that_cannot_be_is_refused_and_logged() -> None:
    world = World()
    talk = world.dialogue()
    talk.say("EHLO x")
    assert talk.say("MAIL FROM:<a@b..c>") == ["501 5.1.7 Bad sender address syntax"]
    assert world.log[-1] == f"warning: Illegal address syntax from {WHO} in MAIL command: <a@b..c>"
    talk.say("MAIL FROM:<a@b.c>")
    assert talk.say("RCPT TO:<a@b..c>", 'RCPT TO:<"a b@">') == ["501 5.1.3 Bad recipient address syntax"] * 2


async def test_a_lost_connection_is_logged_with_its_place() -> None:
    world = World()
    talk = world.dialogue()
    talk.say(*ENVELOPE, "DATA", b"12345")
    talk.transport.close()
    assert world.log[-2:] == [
        f"lost connection after DATA (5 bytes) from {WHO}",
        f"disconnect from {WHO} ehlo=1 mail=1 rcpt=1 data=0/1 commands=3/4",
    ]
    assert world.intake.opened[0].aborted


async def test_a_client_that_closes_its_half_still_gets_its_answers() -> None:
    world = World()
    talk = world.dialogue()
    talk.say("EHLO x")
    world.judge.waits = True
    talk.say_only(b"MAIL FROM:<a@b.c>\r\nRCPT TO:<u@example.com>\r\n")
    assert talk.session.eof_received()
    await settle()
    assert talk.heard() == ["250 2.1.0 Ok", "250 2.1.5 Ok"]
    assert talk.transport.closed
    assert world.log[-2] == f"lost connection after RCPT from {WHO}"


async def test_a_client_that_vanishes_while_its_message_is_stored_loses_nothing() -> None:
    world = World()
    world.intake.gate = asyncio.Event()
    talk = world.dialogue()
    talk.say(*ENVELOPE, "DATA")
    talk.say_only(b"x\r\n.\r\n")
    talk.transport.close()
    world.intake.gate.set()
    await settle()
    kept = world.intake.opened[0]
    assert (kept.finished, kept.aborted) == (True, False)


async def test_replies_to_one_packet_leave_together_though_the_last_had_to_be_waited_for() -> None:
    world = World()
    world.judge.refusals["u@example.com"] = refuse("<u@example.com>: no")
    world.names.gate = asyncio.Event()
    talk = world.dialogue()
    talk.say("EHLO x")
    assert talk.say("MAIL FROM:<a@b.c>\r\nRCPT TO:<u@example.com>\r\nQUIT") == []
    world.names.gate.set()
    await settle()
    assert talk.heard() == ["250 2.1.0 Ok", "550 5.7.1 <u@example.com>: no", "221 2.0.0 Bye"]


async def test_a_reply_is_not_held_back_for_long() -> None:
    world = World()
    world.names.gate = asyncio.Event()
    talk = world.dialogue()
    talk.say("EHLO x")
    assert talk.say("MAIL FROM:<a@b.c>\r\nRCPT TO:<u@example.com>") == []
    said: list[str] = []
    while not said:  # HOLD seconds
        await asyncio.sleep(0)
        said = talk.heard()
    assert said == ["250 2.1.0 Ok"]
    world.names.gate.set()
    await settle()
    assert talk.heard() == ["250 2.1.5 Ok"]
