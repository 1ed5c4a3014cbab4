import pytest

from seawall.intake.rules import FULL_NAME, INTERNAL
from seawall.journey import RestingTrouble
from seawall.mail.action import Action, What
from seawall.mail.envelope import Notify, Origin, Recipient, Submission
from seawall.mail.message import Message
from seawall.mail.outcome import Bounced, Deferred, Delivered, Outcome
from seawall.mail.reply import Reply
from tests.intake.conftest import Bench, MakeBench, all_bytes

STRANGER = Origin(client_name="mx.example", client_address="198.18.0.1", helo="mx.example", protocol="ESMTP")
CONTENT = b"From: a@b\nTo: c@d\nMessage-Id: <1@b>\n\nhello\n"


async def receive(
    bench: Bench,
    content: bytes = CONTENT,
    *,
    origin: Origin = STRANGER,
    sender: str = "a@b.example",
    recipients: tuple[Recipient, ...] = (Recipient("alice@example.org", "alice@example.org"),),
    actions: tuple[Action, ...] = (),
    extra: tuple[str, ...] = (),
) -> Reply:
    reception = bench.cleanup.open(Submission(origin=origin, sender=sender, extra=extra))
    for action in actions:
        reception.apply(action)
    for recipient in recipients:
        reception.add_recipient(recipient)
    for at in range(0, len(content), 7000):
        reception.write(content[at : at + 7000])
    return await reception.finish()


class Mailboxes:
    """A direct way that answers what it was told to."""

    def __init__(self, *outcomes: Outcome) -> None:
        self.outcomes = outcomes
        self.messages: list[Message] = []

    async def deliver(self, message: Message) -> tuple[Outcome, ...] | None:
        self.messages.append(message)
        return self.outcomes or None


SENT = Delivered("2.0.0", "delivered to maildir", "local")


async def test_a_message_is_put_to_rest_before_the_250(bench: MakeBench) -> None:
    made = bench()
    reply = await receive(made)
    message = made.spool.only
    assert reply == Reply(250, "2.0.0", f"Ok: queued as {message.queue_id}")
    assert message.content.memory.endswith(CONTENT)
    assert message.content.memory.startswith(b"Received: from mx.example (mx.example [198.18.0.1])\n")
    assert message.envelope.sender == "a@b.example"
    assert message.envelope.recipients[0].orcpt == "rfc822;alice@example.org"
    assert made.lines == [f"{message.queue_id}: message-id=<1@b>"]


async def test_what_the_spool_cannot_keep_is_refused_in_its_words(bench: MakeBench) -> None:
    made = bench()
    made.spool.trouble = RestingTrouble(Reply(452, "4.3.1", "Insufficient system storage"))
    assert (await receive(made)).line() == "452 4.3.1 Insufficient system storage"


async def test_a_large_message_is_the_same_message(bench: MakeBench) -> None:
    made = bench()
    content = CONTENT + b"0123456789abcdef" * 20_000 + b"\n"
    await receive(made, content)
    assert made.spool.only.content.memory.endswith(content)
    assert (made.cleanup.flight.in_memory, made.cleanup.flight.in_files) == (0, 0)


async def test_a_disk_without_room_is_temporary_and_ours(bench: MakeBench) -> None:
    made = bench()
    made.cleanup.rules.directory = "/proc/none"
    reply = await receive(made, CONTENT + b"x" * 200_000)
    assert reply.line() == "451 4.3.0 Error: queue file write error"
    assert "write queue file" in made.lines[0]


async def test_a_message_over_the_limit_is_refused_and_not_kept(bench: MakeBench) -> None:
    made = bench("message_size_limit = 1000\n")
    reception = made.cleanup.open(Submission(origin=STRANGER, sender=""))
    reception.add_recipient(Recipient("alice@example.org"))
    for _ in range(1000):
        reception.write(b"1234567\n")
    assert reception.received == 9000  # with a CR for each line, as on the wire
    assert made.cleanup.flight.in_memory < 1000
    assert (await reception.finish()).line() == "552 5.3.4 Error: message file too big"


async def test_a_reset_frees_everything(bench: MakeBench) -> None:
    made = bench()
    reception = made.cleanup.open(Submission(origin=STRANGER, sender=""))
    reception.write(b"x" * 300_000)
    reception.abort()
    reception.abort()
    assert (made.cleanup.flight.in_memory, made.cleanup.flight.in_files) == (0, 0)


async def test_too_many_hops_are_a_loop(bench: MakeBench) -> None:
    reply = await receive(bench(), b"Received: x\n" * 49 + b"\n")
    assert reply.line() == "554 5.4.0 Error: too many hops"


async def test_a_table_that_fails_defers_the_mail(bench: MakeBench) -> None:
    made = bench("virtual_alias_maps = fail:broken\n")
    assert (await receive(made)).line() == "451 4.3.0 Error: queue file write error"
    assert made.lines[-1].endswith("map lookup problem for alice@example.org -- message not accepted, try again later")


async def test_an_alias_without_end_defers_the_mail(bench: MakeBench) -> None:
    made = bench("virtual_alias_maps = regexp:{{/(.*)@example.org/ x$$1@example.org}}\n")
    assert (await receive(made)).line() == "451 4.6.0 Alias expansion error"


async def test_a_stray_carriage_return_becomes_a_blank(bench: MakeBench) -> None:
    made = bench("cleanup_replace_stray_cr_lf = yes\n")
    await receive(made, b"Subject: a\rb\n\nx\ry\n.\r\n")
    assert made.spool.only.content.memory.endswith(b"Subject: a b\n\nx y\n. \n")


async def test_unwanted_characters_are_stripped_or_refused(bench: MakeBench) -> None:
    made = bench("message_strip_characters = \\0\n")
    await receive(made, b"A: b\n\nx\0y\n")
    assert made.spool.only.content.memory.endswith(b"xy\n")
    refusing = bench("message_reject_characters = \\0\n")
    assert (await receive(refusing, b"A: b\n\nx\0y\n")).line() == "550 5.7.1 disallowed character"


async def test_policy_s_actions_reach_the_message(bench: MakeBench) -> None:
    made = bench()
    actions = (
        Action(What.HOLD),
        Action(What.FILTER, "scan:[127.0.0.1]:10025"),
        Action(What.REDIRECT, "trap@example.org"),
        Action(What.PREPEND, "X-Seen: yes"),
        Action(What.PREPEND, "no header"),
        Action(What.BCC, "copy@example.org"),
    )
    await receive(made, actions=actions)
    envelope = made.spool.only.envelope
    assert (envelope.hold, envelope.filter, envelope.redirect) == (True, "scan:[127.0.0.1]:10025", "trap@example.org")
    assert made.spool.only.content.memory.startswith(b"X-Seen: yes\nReceived: ")
    assert [(each.address, each.notify) for each in envelope.recipients] == [
        ("alice@example.org", 0),
        ("copy@example.org", Notify.NEVER.value),
    ]


async def test_discarded_mail_is_acknowledged_and_forgotten(bench: MakeBench) -> None:
    made = bench()
    assert (await receive(made, actions=(Action(What.DISCARD),))).code == 250
    assert not made.spool.messages


async def test_a_content_filter_is_for_mail_from_outside_only(bench: MakeBench) -> None:
    made = bench("content_filter = scan:x\n")
    await receive(made)
    await receive(made, origin=Origin(is_local=True), extra=(INTERNAL,))
    assert [message.envelope.filter for message in made.spool.messages] == ["scan:x", ""]


async def test_a_local_submission_gets_the_headers_it_lacks(bench: MakeBench) -> None:
    made = bench()
    origin = Origin(is_local=True, submitted_by="userid 1000")
    await receive(
        made, b"To: bob\nSubject: x\n\nx\n", origin=origin, sender="ann", extra=(FULL_NAME + "Ann (A.) Other",)
    )
    text = made.spool.only.content.memory.decode()
    queue_id = made.spool.only.queue_id
    assert text.startswith(
        f"Received: by mail.example.org (Seawall, from userid 1000)\n\tid {queue_id}; Mon, 23 Nov 2026 "
    )
    assert "\nTo: bob@example.org\nSubject: x\n" in text
    assert f"\nMessage-Id: <{queue_id}@mail.example.org>\nDate: Mon, 23 Nov 2026 " in text
    assert '\nFrom: "Ann (A.) Other" <ann@example.org>\n\nx\n' in text


async def test_our_own_reports_have_a_plain_received_header_and_no_copies(bench: MakeBench) -> None:
    made = bench("always_bcc = copy@example.org\n")
    await receive(made, origin=Origin(is_local=True), sender="", extra=(INTERNAL,))
    assert made.spool.only.content.memory.startswith(b"Received: by mail.example.org (Seawall)\n\tid ")
    assert made.spool.only.envelope.is_report
    assert len(made.spool.only.envelope.recipients) == 1


async def test_mail_without_recipients_is_refused(bench: MakeBench) -> None:
    assert (await receive(bench(), recipients=())).line() == "550 5.1.0 Error: no recipients specified"


async def test_the_direct_way_leaves_nothing_in_the_spool(bench: MakeBench) -> None:
    made = bench(direct=Mailboxes(SENT))
    reply = await receive(made)
    queue_id = reply.text.rpartition(" ")[2]
    assert not made.spool.messages
    assert made.lines[0] == f"{queue_id}: message-id=<1@b>"
    assert made.lines[1].startswith(f"{queue_id}: from=<a@b.example>, size=")
    assert made.lines[2].startswith(f"{queue_id}: to=<alice@example.org>, relay=local, delay=")
    assert made.lines[2].endswith("dsn=2.0.0, status=sent (delivered to maildir)")
    assert made.lines[3] == f"{queue_id}: removed"


async def test_a_recipient_who_failed_on_the_direct_way_rests_alone(bench: MakeBench) -> None:
    made = bench(direct=Mailboxes(SENT, Deferred("4.2.2", "over quota", "local"), Bounced("5.2.2", "full", "local")))
    names = tuple(Recipient(f"{name}@example.org") for name in ("alice", "bob", "carol"))
    assert (await receive(made, recipients=names)).code == 250
    assert [each.address for each in made.spool.only.envelope.recipients] == ["bob@example.org", "carol@example.org"]
    assert not any(line.endswith(": removed") for line in made.lines)


async def test_where_the_direct_way_is_shut_mail_rests(bench: MakeBench) -> None:
    made = bench(direct=Mailboxes())
    await receive(made)
    assert len(made.spool.messages) == 1


@pytest.mark.parametrize(
    ("main_cf", "actions", "recipients"),
    [
        ("", (Action(What.HOLD),), 1),
        ("", (Action(What.FILTER, "a:b"),), 1),
        ("", (Action(What.REDIRECT, "a@b"),), 1),
        ("", (Action(What.BCC, "a@b"),), 1),
        ("", (), 11),
        ("always_bcc = a@b\n", (), 1),
        ("header_checks = static:DUNNO\n", (), 1),
        ("content_filter = a:b\n", (), 1),
        ("defer_transports = local\n", (), 1),
        ("seawall_direct_delivery = no\n", (), 1),
    ],
)
async def test_mail_with_a_special_wish_never_goes_directly(
    bench: MakeBench, main_cf: str, actions: tuple[Action, ...], recipients: int
) -> None:
    mailboxes = Mailboxes(SENT)
    made = bench(main_cf, direct=mailboxes)
    await receive(made, actions=actions, recipients=tuple(Recipient(f"u{n}@example.org") for n in range(recipients)))
    assert not mailboxes.messages
    assert len(made.spool.messages) == 1


async def test_whoever_wants_to_hear_of_success_is_queued(bench: MakeBench) -> None:
    mailboxes = Mailboxes(SENT)
    made = bench(direct=mailboxes)
    await receive(made, recipients=(Recipient("alice@example.org", notify=Notify.SUCCESS.value),))
    assert not mailboxes.messages


async def test_there_is_room_only_beyond_queue_minfree_and_one_and_a_half_messages(bench: MakeBench) -> None:
    assert bench("message_size_limit = 1000\n").cleanup.room_for(0)
    assert not bench(f"queue_minfree = {2**31 - 1}\nmessage_size_limit = 0\n").cleanup.room_for(2**60)
    gone = bench()
    gone.cleanup.rules.directory = "/nowhere/at/all"
    assert not gone.cleanup.room_for(0)


async def test_eight_bit_content_is_known_by_its_header(bench: MakeBench) -> None:
    made = bench()
    await receive(made, b"Content-Transfer-Encoding: 8bit\n\nx\n")
    assert made.spool.only.envelope.body == "8BITMIME"


async def test_the_spilled_part_can_be_read_while_the_message_is_stored(bench: MakeBench) -> None:
    seen = []

    class Reading(Mailboxes):
        async def deliver(self, message: Message) -> tuple[Outcome, ...] | None:
            seen.append((message.content.spilled is not None, len(all_bytes(message.content)) == message.content.size))
            return None

    await receive(bench(direct=Reading()), CONTENT + b"x" * 200_000 + b"\n")
    assert seen == [(True, True)]


@pytest.mark.parametrize(
    "header", [b"X-Long: " + b"y" * 60 + b"\n", b"X: y\n", b"To: a@b,\n c@d\n", b"X: " + b"z" * 50_000 + b"\n"]
)
async def test_a_header_block_beyond_all_limits_is_passed_on_as_it_is(bench: MakeBench, header: bytes) -> None:
    made = bench()
    content = header * (400_000 // len(header)) + b"\n" + b"body\n"
    await receive(made, content)
    assert made.spool.only.content.memory.endswith(content)


async def test_a_long_first_line_that_is_no_header_is_body(bench: MakeBench) -> None:
    made = bench()
    await receive(made, b"x" * 400_000 + b"\n")
    assert b")\n\nxxx" in made.spool.only.content.memory


async def test_a_nul_ends_a_header_line_and_stays_in_a_body(bench: MakeBench) -> None:
    made = bench()
    await receive(made, b"Subject: a\0b\n c\0d\nX: y\n\nx\0y\n")
    assert made.spool.only.content.memory.endswith(b"Subject: a\n c\nX: y\n\nx\0y\n")
