import asyncio
import os
from pathlib import Path

import pytest
from msgspec.structs import replace as replaced

from seawall.delivery.maildir import Maildirs, Written
from seawall.delivery.writers import Places
from seawall.mail.envelope import Notify
from seawall.mail.message import Message
from seawall.mail.outcome import Bounced, Delivered
from tests.delivery.world import BODY, IS_ROOT, World, kind, message, with_aliases


async def direct(world: World, mail: Message, main_cf: str = "") -> list[tuple[str, str, str]] | None:
    """What became of each recipient, or None where the message must take the spool."""
    outcomes = await world.agent(main_cf).deliver_directly(mail)
    return None if outcomes is None else [kind(outcome) for outcome in outcomes]


async def test_mail_for_local_users_lies_in_their_maildirs(world: World) -> None:
    bob = world.add_user("bob")
    sent = ("Delivered", "2.0.0", "delivered to maildir")
    assert await direct(world, message("ann@example", "bob+x@example")) == [sent, sent]
    headers = b"Return-Path: <ann@far.example>\nX-Original-To: bob+x@example\nDelivered-To: bob+x@example\n"
    assert world.maildir(bob) == [headers + BODY]
    assert len(world.maildir(world.users["ann"])) == 1
    for user in (world.users["ann"], bob):
        (path,) = Path(user.home, "Maildir", "new").iterdir()
        assert path.stat().st_uid == user.uid
        assert list(Path(user.home, "Maildir", "tmp").iterdir()) == []


async def nothing_is_written(world: World, mail: Message, main_cf: str = "") -> None:
    assert await direct(world, mail, main_cf) is None
    assert not list(world.base.rglob("new/*"))
    assert not list(world.base.rglob("tmp/*"))


@pytest.mark.parametrize(
    "main_cf",
    [
        "mailbox_command = true\n",
        "mailbox_command_maps = inline:{ann=true}\n",
        "mailbox_transport = lmtp:x\n",
        "mailbox_transport_maps = inline:{ann=lmtp:x}\n",
        "home_mailbox = box\n",
        "home_mailbox =\n",
        "defer_transports = local\n",
        "alias_maps = inline:{ann=bob@far.example}\n",
        "alias_maps = fail:x\n",
        "transport_maps = inline:{ann@example=error:closed}\n",
    ],
)
async def test_whatever_comes_between_leads_through_the_spool(world: World, main_cf: str) -> None:
    await nothing_is_written(world, message("ann@example"), main_cf)


@pytest.mark.parametrize("address", ["ann@far.example", "nemo@example", "ann+a/b@example", "@example"])
async def test_mail_for_others_leads_through_the_spool(world: World, address: str) -> None:
    await nothing_is_written(world, message("ann@example", address))


async def test_a_loop_leads_through_the_spool(world: World) -> None:
    await nothing_is_written(world, message("ann@example", content=b"Delivered-To: ann@example\n\nx\n"))


async def test_one_mailbox_twice_leads_through_the_spool(world: World) -> None:
    await nothing_is_written(world, message("ann@example", "ann+x@example"))


async def test_eleven_recipients_lead_through_the_spool(world: World) -> None:
    users = [world.add_user(f"u{number}") for number in range(11)]
    await nothing_is_written(world, message(*(f"{user.name}@example" for user in users)))
    assert await direct(world, message(*(f"{user.name}@example" for user in users[:10]))) is not None


async def test_a_wish_to_hear_of_success_leads_through_the_spool(world: World) -> None:
    await nothing_is_written(world, message("ann@example", notify=Notify.SUCCESS.value))
    assert await direct(world, message("ann@example", notify=Notify.FAILURE.value)) is not None


async def test_hold_filter_and_redirect_lead_through_the_spool(world: World) -> None:
    mail = message("ann@example")
    for change in ({"hold": True}, {"filter": "smtp:x"}, {"redirect": "a@b"}):
        changed = Message(mail.queue_id, 1.0, replaced(mail.envelope, **change), mail.content)
        await nothing_is_written(world, changed)


@pytest.mark.parametrize("name", [".forward", ".forward+x"])
async def test_a_forward_file_leads_through_the_spool(world: World, name: str) -> None:
    world.write(f"~/{name}", "", world.users["ann"])
    await nothing_is_written(world, message("ann+x@example"))


async def test_a_user_database_that_is_away_leads_through_the_spool(world: World) -> None:
    agent = world.agent()
    world.unreachable = True
    assert await agent.deliver_directly(message("ann@example")) is None


async def test_a_recipient_who_fails_is_told_apart(world: World) -> None:
    bob = world.add_user("bob")
    Path(bob.home, "Maildir").write_text("in the way")
    outcomes = await world.agent().deliver_directly(message("ann@example", "bob@example"))
    assert outcomes is not None
    assert isinstance(outcomes[0], Delivered)
    assert isinstance(outcomes[1], Bounced)
    assert outcomes[1].text.startswith(f"maildir delivery failed: create maildir file {bob.home}/Maildir/tmp/")
    assert len(world.maildir(world.users["ann"])) == 1


async def test_a_home_that_cannot_be_entered_is_told_apart(world: World) -> None:
    if not IS_ROOT:
        return
    bob = world.add_user("bob")
    os.chown(bob.home, 0, 0)
    os.chmod(bob.home, 0o755)
    outcomes = await world.agent().deliver_directly(message("ann@example", "bob@example"))
    assert outcomes is not None
    assert [type(outcome) for outcome in outcomes] == [Delivered, Bounced]


async def test_a_file_that_was_not_synced_is_not_published(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """As after a disk error: the fsync fails, so nobody may see the mail."""
    order: list[str] = []
    bob = world.add_user("bob")
    agent = world.agent()

    def failing_sync(self: Maildirs, written: Written) -> None:
        order.append("sync")
        os.close(written.descriptor)
        sync(self, written)  # EBADF from fsync, as good as EIO

    sync = Maildirs.sync
    monkeypatch.setattr(Maildirs, "sync", failing_sync)
    outcomes = await agent.deliver_directly(message("ann@example", "bob@example"))
    assert outcomes is not None
    assert [type(outcome).__name__ for outcome in outcomes] == ["Bounced", "Bounced"]
    assert not list(world.base.rglob("new/*"))
    assert not list(world.base.rglob("tmp/*"))
    assert world.maildir(bob) == []
    assert order == ["sync", "sync"]


async def test_many_at_once_all_arrive(world: World) -> None:
    users = [world.add_user(f"u{number}") for number in range(5)]
    agent = world.agent()

    async def send(number: int) -> None:
        outcomes = await agent.deliver_directly(
            message(f"u{number % 5}@example", f"u{(number + 1) % 5}@example", content=b"\n%d\n" % number)
        )
        assert outcomes is not None
        assert all(isinstance(outcome, Delivered) for outcome in outcomes)

    await asyncio.gather(*(send(number) for number in range(100)))
    for place, user in enumerate(users):
        wanted = {number for number in range(100) if place in (number % 5, (number + 1) % 5)}
        assert {int(mail.rpartition(b"\n\n")[2]) for mail in world.maildir(user)} == wanted
        assert all(path.stat().st_uid == user.uid for path in Path(user.home, "Maildir").rglob("*"))


async def test_virtual_mailboxes_take_the_direct_way_too(world: World) -> None:
    ann = world.users["ann"]
    main_cf = (
        f"virtual_mailbox_domains = v.example\nvirtual_mailbox_base = {world.base}\nvirtual_minimum_uid = 1\n"
        "virtual_mailbox_maps = inline:{eve@v.example=home/ann/eve/,zoe@v.example=home/ann/zoe}\n"
        f"virtual_uid_maps = static:{ann.uid}\nvirtual_gid_maps = static:{ann.gid or 1}\n"
    )
    assert await direct(world, message("eve@v.example"), main_cf) == [("Delivered", "2.0.0", "delivered to maildir")]
    assert len(world.maildir(ann, "eve")) == 1
    assert await direct(world, message("zoe@v.example"), main_cf) is None


async def test_an_alias_for_somebody_else_is_no_hindrance(world: World) -> None:
    assert await direct(world, message("ann@example"), with_aliases(world, "team ann\n")) is not None


def test_places_are_bounded_for_each_disk_and_each_mailbox() -> None:
    places = Places(for_filesystem=3, for_recipient=2)
    assert places.take({1}, {"a"})
    assert places.take({1}, {"a"})
    assert not places.take({1}, {"a"})
    assert not places.take({2}, {"a"})
    assert places.take({1, 2}, {"b"})
    assert not places.take({1}, {"c"})
    places.give_back({1}, {"a"})
    assert places.take({1}, {"a"})
