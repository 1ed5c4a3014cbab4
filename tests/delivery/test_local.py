import os
from dataclasses import replace
from pathlib import Path

import pytest

from seawall.mail.envelope import Notify, Recipient
from seawall.mail.outcome import Forward
from tests.delivery.world import BODY, World, job, kind, told, with_aliases


async def test_a_users_mail_lands_in_his_maildir_with_the_headers_in_postfixs_order(world: World) -> None:
    delivery = await world.agent().deliver(job("Ann+list@example", original="friend@example"))
    assert told(delivery) == ("Delivered", "2.0.0", "delivered to maildir")
    assert delivery.outcomes[0].relay == "local"
    assert world.maildir(world.users["ann"]) == [
        b"Return-Path: <ann@far.example>\nX-Original-To: friend@example\nDelivered-To: Ann+list@example\n" + BODY
    ]


async def test_the_original_recipient_is_not_told_where_that_is_off(world: World) -> None:
    await world.agent("enable_original_recipient = no\n").deliver(job("ann@example", original="a@example"))
    assert world.maildir(world.users["ann"])[0].startswith(
        b"Return-Path: <ann@far.example>\nDelivered-To: ann@example\n"
    )


async def test_the_maildir_belongs_to_its_user(world: World) -> None:
    ann = world.users["ann"]
    await world.agent().deliver(job("ann@example"))
    for path in Path(ann.home, "Maildir").rglob("*"):
        assert (path.stat().st_uid, path.stat().st_gid) == (ann.uid, ann.gid)
        assert path.stat().st_mode & 0o077 == 0


async def test_an_unknown_user_bounces(world: World) -> None:
    delivery = await world.agent().deliver(job("nemo@example"))
    assert told(delivery) == ("Bounced", "5.1.1", 'unknown user: "nemo"')


async def test_soft_bounce_keeps_what_would_bounce(world: World) -> None:
    delivery = await world.agent("soft_bounce = yes\n").deliver(job("nemo@example"))
    assert told(delivery) == ("Deferred", "4.1.1", 'unknown user: "nemo"')


async def test_a_user_database_that_is_away_defers(world: World) -> None:
    agent = world.agent()
    world.unreachable = True
    assert told(await agent.deliver(job("ann@example"))) == ("Deferred", "4.0.0", "user lookup error")


async def test_mail_that_was_here_before_is_a_loop(world: World) -> None:
    content = b"Received: x\nDelivered-To: ANN@example\nSubject: x\n\nbody\n"
    delivery = await world.agent().deliver(job("ann@example", content=content))
    assert told(delivery) == ("Bounced", "5.4.6", "mail forwarding loop for ann@example")


async def test_a_message_over_the_mailbox_limit_bounces_as_over_quota(world: World) -> None:
    delivery = await world.agent("mailbox_size_limit = 100\nmessage_size_limit = 90\n").deliver(job("ann@example"))
    assert told(delivery) == ("Bounced", "5.2.2", "maildir delivery failed: error writing message: File too large")
    assert world.maildir(world.users["ann"]) == []
    assert list(Path(world.users["ann"].home, "Maildir", "tmp").iterdir()) == []


async def test_postmaster_without_alias_is_discarded_with_a_warning(world: World) -> None:
    delivery = await world.agent().deliver(job("postmaster@example"))
    assert told(delivery) == ("Delivered", "2.0.0", "discarded")
    assert world.warnings == ["required alias not found: postmaster"]


async def test_a_luser_relay_gets_mail_for_strangers(world: World) -> None:
    delivery = await world.agent("luser_relay = ann+$local\n").deliver(job("nemo@example"))
    assert told(delivery) == ("Delivered", "2.0.0", "delivered to maildir")
    assert b"Delivered-To: nemo@example\n" in world.maildir(world.users["ann"])[0]


async def test_delivered_to_names_the_last_address_where_it_is_not_frozen(world: World) -> None:
    agent = world.agent("luser_relay = ann+$local\nfrozen_delivered_to = no\n")
    await agent.deliver(job("nemo@example"))
    assert b"Delivered-To: ann+nemo@mx.example\n" in world.maildir(world.users["ann"])[0]


async def test_mailbox_transport_passes_the_recipient_on(world: World) -> None:
    agent = world.agent("mailbox_transport = error:5.7.1 closed on Sundays\n")
    assert told(await agent.deliver(job("ann@example"))) == ("Bounced", "5.7.1", "closed on Sundays")


async def test_fallback_transport_takes_strangers_alone(world: World) -> None:
    agent = world.agent("fallback_transport = retry:gone fishing\n")
    assert told(await agent.deliver(job("nemo@example"))) == ("Deferred", "4.0.0", "gone fishing")
    assert told(await agent.deliver(job("ann@example")))[0] == "Delivered"


async def test_an_mbox_in_the_spool_directory(world: World) -> None:
    ann = world.users["ann"]
    spool = world.base / "mail"
    spool.mkdir()
    spool.chmod(0o1777)
    agent = world.agent("home_mailbox =\n")
    for _ in range(2):
        assert told(await agent.deliver(job("ann@example", sender=""))) == (
            "Delivered",
            "2.0.0",
            "delivered to mailbox",
        )
    text = (spool / "ann").read_bytes()
    assert text.startswith(b"From MAILER-DAEMON  ")
    assert text.count(b"\nFrom MAILER-DAEMON  ") == 1
    assert b"Return-Path: <>\nDelivered-To: ann@example\n" in text
    assert b"\n>From here on" in text
    assert text.endswith(b"bye\n\n")
    assert (spool / "ann").stat().st_uid == ann.uid
    assert sorted(path.name for path in spool.iterdir()) == ["ann"]


async def test_require_home_directory_defers_where_it_is_gone(world: World) -> None:
    ann = world.users["ann"]
    Path(ann.home).rmdir()
    delivery = await world.agent("require_home_directory = yes\n").deliver(job("ann@example"))
    text = f"cannot access home directory {ann.home}: No such file or directory"
    assert told(delivery) == ("Deferred", "4.3.0", text)


# -- aliases ------------------------------------------------------------------------------------------------------


async def test_an_alias_leads_to_a_user_and_to_the_world(world: World) -> None:
    agent = world.agent(with_aliases(world, "team ann, bob@far.example\n"))
    delivery = await agent.deliver(job("team@example", original="team@example", notify=Notify.SUCCESS.value))
    assert told(delivery)[0] == "Delivered"
    assert len(world.maildir(world.users["ann"])) == 1
    assert delivery.forwards == (
        Forward(
            sender="ann@far.example",
            recipients=(Recipient("bob@far.example", "team@example", notify=Notify.NEVER.value),),
            delivered_to="team@example",
        ),
    )


async def test_an_alias_that_names_itself_means_the_user(world: World) -> None:
    agent = world.agent(with_aliases(world, "ann ann, bob@far.example\n"))
    delivery = await agent.deliver(job("ann@example"))
    assert len(world.maildir(world.users["ann"])) == 1
    assert [forward.recipients[0].address for forward in delivery.forwards] == ["bob@far.example"]


async def test_an_owner_alias_becomes_the_sender(world: World) -> None:
    agent = world.agent(with_aliases(world, "team bob@far.example\nowner-team ann\n"))
    delivery = await agent.deliver(job("team@example"))
    assert [forward.sender for forward in delivery.forwards] == ["owner-team@mx.example"]
    agent = world.agent(with_aliases(world, "team ann\nowner-team ann\n", "expand_owner_alias = yes\n"))
    delivery = await agent.deliver(job("team@example"))
    assert [forward.sender for forward in delivery.forwards] == ["ann@mx.example"]
    assert world.maildir(world.users["ann"]) == []  # behind an owner every address becomes a new message


async def test_what_defers_sends_nothing_on(world: World) -> None:
    agent = world.agent(with_aliases(world, 'team bob@far.example, "|exit 75"\n'))
    delivery = await agent.deliver(job("team@example"))
    assert told(delivery) == ("Deferred", "4.3.0", "temporary failure")
    assert delivery.forwards == ()


async def test_each_end_of_an_alias_is_told(world: World) -> None:
    agent = world.agent(with_aliases(world, 'team ann, nemo, "|exit 65", bob@far.example\n'))
    delivery = await agent.deliver(job("team@example", original="team@example", notify=Notify.FAILURE.value))
    (first,) = delivery.outcomes
    assert kind(first) == ("Bounced", "5.1.1", 'unknown user: "nemo"')
    assert first.final == Recipient("nemo@mx.example", "team@example", notify=Notify.FAILURE.value)
    assert [(kind(each), each.final and each.final.address) for each in first.also] == [
        (("Delivered", "2.0.0", "delivered to maildir"), "ann@mx.example"),
        (("Bounced", "5.6.0", "data format error"), None),
    ]
    assert [forward.recipients[0].address for forward in delivery.forwards] == ["bob@far.example"]


async def test_a_recipient_that_is_only_sent_on_has_no_text_yet(world: World) -> None:
    agent = world.agent(with_aliases(world, "team bob@far.example\n"))
    recipients = (Recipient("ann@example"), Recipient("team@example"))
    delivery = await agent.deliver(replace(job("ann@example"), recipients=recipients))
    assert [kind(outcome)[2] for outcome in delivery.outcomes] == ["delivered to maildir", ""]
    assert [forward.place for forward in delivery.forwards] == [1]


@pytest.mark.parametrize("asked", ["team@example", "team+x@example"])
async def test_the_owner_of_an_alias_hears_of_its_commands(world: World, asked: str) -> None:
    agent = world.agent(with_aliases(world, 'team "|exit 65"\nowner-team ann\nother "|exit 65"\n'))
    (outcome,) = (await agent.deliver(job(asked, original=asked))).outcomes
    assert (outcome.tell, outcome.text) == ("owner-team@mx.example", "data format error")
    (outcome,) = (await agent.deliver(job("other@example"))).outcomes
    assert outcome.tell == ""


async def test_the_owner_of_an_alias_hears_of_its_loops(world: World) -> None:
    agent = world.agent(with_aliases(world, "team ann\nowner-team ann\n", "expand_owner_alias = yes\n"))
    (outcome,) = (await agent.deliver(job("team@example", content=b"Delivered-To: team@example\n\n"))).outcomes
    assert (outcome.tell, outcome.text) == ("ann@mx.example", "mail forwarding loop for team@example")


async def test_an_alias_loop_ends(world: World) -> None:
    agent = world.agent(with_aliases(world, "a b\nb a\n"))
    assert told(await agent.deliver(job("a@example"))) == ("Bounced", "5.4.6", "alias database loop for b")


async def test_an_empty_alias_defers(world: World) -> None:
    agent = world.agent(with_aliases(world, "a ,\n"))
    assert told(await agent.deliver(job("a@example"))) == ("Deferred", "4.3.0", "alias database unavailable")
    assert world.warnings == ["no recipient in alias lookup result for a"]


async def test_a_missing_alias_file_defers(world: World) -> None:
    agent = world.agent(f"alias_maps = texthash:{world.base}/none\n")
    assert told(await agent.deliver(job("ann@example"))) == ("Deferred", "4.3.0", "alias database unavailable")


async def test_an_extension_goes_on_where_aliases_propagate_it(world: World) -> None:
    text = with_aliases(world, "team bob@far.example\n", "propagate_unmatched_extensions = alias\n")
    delivery = await world.agent(text).deliver(job("team+x@example"))
    assert delivery.forwards[0].recipients[0].address == "bob+x@far.example"
    delivery = await world.agent(with_aliases(world, "team bob@far.example\n")).deliver(job("team+x@example"))
    assert delivery.forwards[0].recipients[0].address == "bob@far.example"


async def test_a_file_of_an_alias_is_appended_to(world: World) -> None:
    target = world.base / "archive"
    os.chown(world.base, world.users["nobody"].uid, world.users["nobody"].gid)
    agent = world.agent(with_aliases(world, f"keep {target}\n"))
    assert told(await agent.deliver(job("keep@example"))) == (
        "Delivered",
        "2.0.0",
        f"delivered to file: {target}",
    )
    assert target.read_bytes().startswith(b"From ann@far.example  ")
    assert target.stat().st_uid == world.users["nobody"].uid  # root's alias file: default_privs


async def test_dev_null_takes_everything(world: World) -> None:
    agent = world.agent(with_aliases(world, "void /dev/null\n"))
    assert told(await agent.deliver(job("void@example"))) == ("Delivered", "2.0.0", "delivered to file: /dev/null")


async def test_an_executable_file_is_not_written_to(world: World) -> None:
    target = world.write("program", "x", world.users["nobody"], 0o755)
    agent = world.agent(with_aliases(world, f"keep {target}\n"))
    text = f"cannot append message to file {target}: destination file is executable"
    assert told(await agent.deliver(job("keep@example"))) == ("Bounced", "5.7.1", text)


async def test_files_and_commands_are_restricted_by_where_they_stand(world: World) -> None:
    text = with_aliases(world, 'f /x\nc "|x"\n', "allow_mail_to_files = forward\nallow_mail_to_commands = forward\n")
    agent = world.agent(text)
    assert told(await agent.deliver(job("f@example"))) == ("Bounced", "5.7.1", "mail to file is restricted")
    assert told(await agent.deliver(job("c@example"))) == ("Bounced", "5.7.1", "mail to command is restricted")


# -- :include: ----------------------------------------------------------------------------------------------------


async def test_an_include_file_lists_addresses(world: World) -> None:
    listed = world.write("etc/list", "# the team\nbob@far.example,\n  ann\n\nzoe@far.example # not a comment\n")
    agent = world.agent(with_aliases(world, f"team :include:{listed}\n"))
    delivery = await agent.deliver(job("team@example"))
    sent = [recipient.address for forward in delivery.forwards for recipient in forward.recipients]
    assert sent[:3] == ["bob@far.example", "ann@mx.example", "zoe@far.example"]


@pytest.mark.parametrize("trouble", ["missing", "world writable", "relative", "directory"])
async def test_an_include_file_that_cannot_be_trusted_bounces(world: World, trouble: str) -> None:
    listed = str(world.write("etc/list", "ann\n", mode=0o646 if trouble == "world writable" else 0o644))
    path = {"missing": "/none", "relative": "etc/list", "directory": str(world.base)}.get(trouble, listed)
    agent = world.agent(with_aliases(world, f"team :include:{path}\n"))
    assert told(await agent.deliver(job("team@example"))) == ("Bounced", "5.3.5", "mail system configuration error")


async def test_include_files_that_include_each_other_end(world: World) -> None:
    world.write("etc/one", f":include:{world.base}/etc/two\n")
    world.write("etc/two", f":include:{world.base}/etc/one\nann\n")
    agent = world.agent(with_aliases(world, f"team :include:{world.base}/etc/one\n"))
    delivery = await agent.deliver(job("team@example"))
    assert [forward.recipients[0].address for forward in delivery.forwards] == ["ann@mx.example"]


# -- .forward -----------------------------------------------------------------------------------------------------


async def test_a_forward_file_sends_mail_on_and_keeps_a_copy(world: World) -> None:
    world.write("~/.forward", "\\ann, bob@far.example\n", world.users["ann"])
    delivery = await world.agent().deliver(job("ann@example"))
    assert told(delivery)[0] == "Delivered"
    assert len(world.maildir(world.users["ann"])) == 1
    assert delivery.forwards == (
        Forward("ann@far.example", (Recipient("bob@far.example"),), delivered_to="ann@example"),
    )


async def test_a_forward_file_for_an_extension_goes_first(world: World) -> None:
    ann = world.users["ann"]
    world.write("~/.forward", "a@far.example\n", ann)
    world.write("~/.forward+list", "b@far.example\n", ann)
    agent = world.agent()
    for address, wanted in (("ann@example", "a"), ("ann+list@example", "b"), ("ann+other@example", "a")):
        delivery = await agent.deliver(job(address))
        assert delivery.forwards[0].recipients[0].address == f"{wanted}@far.example"


async def test_an_extension_with_a_slash_is_dropped(world: World) -> None:
    delivery = await world.agent().deliver(job("ann+../../etc@example"))
    assert told(delivery)[0] == "Delivered"
    assert world.warnings == ["QUEUEID: address with illegal extension: ann+../../etc"]


async def test_an_empty_forward_file_means_the_mailbox(world: World) -> None:
    world.write("~/.forward", "# nothing\n", world.users["ann"])
    assert told(await world.agent().deliver(job("ann@example"))) == ("Delivered", "2.0.0", "delivered to maildir")


async def test_a_world_writable_forward_file_is_ignored(world: World) -> None:
    path = world.write("~/.forward", "bob@far.example\n", world.users["ann"], 0o666)
    assert told(await world.agent().deliver(job("ann@example"))) == ("Delivered", "2.0.0", "delivered to maildir")
    assert world.warnings == [f"file {path} is world writable"]


async def test_a_symbolic_link_is_no_forward_file(world: World) -> None:
    ann = world.users["ann"]
    world.write("secret", "bob@far.example\n")
    Path(ann.home, ".forward").symlink_to(world.base / "secret")
    assert told(await world.agent().deliver(job("ann@example")))[2] == "delivered to maildir"
    assert world.warnings == [f"file {ann.home}/.forward is not a regular file"]


async def test_files_of_a_forward_file_are_the_users(world: World) -> None:
    ann = world.users["ann"]
    world.write("~/.forward", "~/archive, ~/Second/\n", ann)
    delivery = await world.agent().deliver(job("ann@example"))
    assert told(delivery) == ("Delivered", "2.0.0", "delivered to maildir")
    assert Path(ann.home, "archive").stat().st_uid == ann.uid
    assert len(world.maildir(ann, "Second")) == 1


# -- commands -----------------------------------------------------------------------------------------------------


async def test_a_command_of_a_forward_file_runs_as_the_user_and_reads_the_message(world: World) -> None:
    ann = world.users["ann"]
    world.write("~/.forward", '"|cat > got; id -u > who; env > environment; exit 0"\n', ann)
    text = "command_execution_directory = $home\n"
    delivery = await world.agent(text).deliver(job("ann+x@example", original="ann+x@example"))
    command = "cat > got; id -u > who; env > environment; exit 0"
    assert told(delivery) == ("Delivered", "2.0.0", f"delivered to command: {command}")
    assert Path(ann.home, "who").read_text() == f"{ann.uid}\n"
    got = Path(ann.home, "got").read_bytes()
    assert got.startswith(b"From ann@far.example  ")
    assert got.endswith(b"Delivered-To: ann+x@example\n" + BODY)
    environment = dict(line.split("=", 1) for line in Path(ann.home, "environment").read_text().splitlines())
    wanted = {
        "HOME": ann.home,
        "USER": "ann",
        "LOGNAME": "ann",
        "SHELL": "/bin/sh",
        "EXTENSION": "x",
        "LOCAL": "ann+x",
        "DOMAIN": "example",
        "SENDER": "ann@far.example",
        "RECIPIENT": "ann+x@example",
        "ORIGINAL_RECIPIENT": "ann+x@example",
        "CLIENT_ADDRESS": "192.0.2.9",
        "PATH": "/usr/bin:/bin",
    }
    assert {name: environment.get(name) for name in wanted} == wanted
    assert "PYTHONPATH" not in environment


@pytest.mark.parametrize(
    ("command", "outcome"),
    [
        ("exit 75", ("Deferred", "4.3.0", "temporary failure")),
        ("echo oops; exit 75", ("Deferred", "4.3.0", "temporary failure. Command output: oops ")),
        ("exit 77", ("Bounced", "5.7.0", "permission denied")),
        ("exit 67", ("Bounced", "5.1.1", "user unknown")),
        ("exit 1", ("Bounced", "5.3.0", 'Command died with status 1: "exit 1"')),
        ("echo 4.2.2 come back; exit 1", ("Deferred", "4.2.2", "come back ")),
        ("kill -9 $$", ("Deferred", "4.3.0", 'Command died with signal 9: "kill -9 $$"')),
        ("printf '\\001x'; exit 1", None),
    ],
)
async def test_how_a_command_ends_decides(world: World, command: str, outcome: tuple[str, str, str] | None) -> None:
    agent = world.agent(f"mailbox_command = {command.replace('$', '$')}\n")
    got = told(await agent.deliver(job("ann@example")))
    assert got == (outcome or ("Bounced", "5.3.0", f'Command died with status 1: "{command}". Command output: _x'))


async def test_a_command_that_takes_too_long_is_killed_with_its_offspring(world: World) -> None:
    ann = world.users["ann"]
    command = f"(sleep 50; echo late > {ann.home}/late) & sleep 50"
    agent = world.agent(f"mailbox_command = {command}\ncommand_time_limit = 1s\n")
    got = told(await agent.deliver(job("ann@example")))
    assert got == ("Bounced", "5.3.0", f'Command time limit exceeded: "{command}"')


async def test_a_command_that_does_not_read_is_delivered_all_the_same(world: World) -> None:
    content = BODY + b"x" * 70 + b"\n" + (b"y" * 75 + b"\n") * 30000
    got = told(await world.agent("mailbox_command = true\n").deliver(job("ann@example", content=content)))
    assert got == ("Delivered", "2.0.0", "delivered to command: true")


async def test_a_command_whose_output_never_ends_is_not_kept(world: World) -> None:
    agent = world.agent("mailbox_command = yes | head -c 3000000; exit 1\n")
    got = told(await agent.deliver(job("ann@example")))
    assert got[1] == "5.3.0"
    assert len(got[2]) < 5000


async def test_what_the_sender_chose_reaches_no_shell(world: World) -> None:
    ann = world.users["ann"]
    agent = world.agent("mailbox_command = printenv SENDER > $HOME/sender\n")
    await agent.deliver(job("ann@example", sender="$(reboot);`x`'\"@far.example"))
    assert Path(ann.home, "sender").read_text() == "__reboot___x___@far.example\n"
