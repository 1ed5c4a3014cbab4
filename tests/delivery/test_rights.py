"""With whose rights files, lists and commands are used: a test for each owner.  Collected where the suite runs as root."""

import os
from pathlib import Path

from tests.delivery.world import World, job, told, with_aliases


async def test_an_alias_file_of_a_user_gives_that_users_rights(world: World) -> None:
    ann = world.users["ann"]
    path = world.write("etc/aliases", f"keep {ann.home}/archive\n", ann)
    agent = world.agent(f"alias_maps = texthash:{path}\n")
    assert told(await agent.deliver(job("keep@example")))[0] == "Delivered"
    assert Path(ann.home, "archive").stat().st_uid == ann.uid


async def test_an_alias_file_of_nobody_known_defers(world: World) -> None:
    path = world.write("etc/aliases", "keep /tmp/x\n")
    os.chown(path, 4000000, 4000000)
    agent = world.agent(f"alias_maps = texthash:{path}\n")
    assert told(await agent.deliver(job("keep@example"))) == ("Deferred", "4.3.0", "cannot find alias database owner")


async def test_files_of_an_include_file_are_its_owners(world: World) -> None:
    ann = world.users["ann"]
    listed = world.write("etc/list", f"{ann.home}/archive\n", ann)
    agent = world.agent(with_aliases(world, f"team :include:{listed}\n", "allow_mail_to_files = include\n"))
    assert told(await agent.deliver(job("team@example")))[0] == "Delivered"
    assert Path(ann.home, "archive").stat().st_uid == ann.uid


async def test_somebody_elses_forward_file_is_ignored(world: World) -> None:
    ann = world.users["ann"]
    path = world.write("~/.forward", "bob@far.example\n", ann)
    os.chown(path, world.users["nobody"].uid, ann.gid)
    assert told(await world.agent().deliver(job("ann@example")))[2] == "delivered to maildir"
    assert world.warnings == [f"file {path} has bad owner uid {world.users['nobody'].uid}"]


async def test_a_forward_file_cannot_write_where_its_user_cannot(world: World) -> None:
    ann = world.users["ann"]
    target = Path(world.users["nobody"].home) / "stolen"
    world.write("~/.forward", f"{target}\n", ann)
    delivery = await world.agent().deliver(job("ann@example"))
    text = f"cannot append message to file {target}: cannot create file exclusively: Permission denied"
    assert told(delivery) == ("Bounced", "5.2.0", text)
    assert not target.exists()


async def test_a_command_of_roots_aliases_runs_as_default_privs(world: World) -> None:
    nobody = world.users["nobody"]
    agent = world.agent(with_aliases(world, f'run "|id -u > {nobody.home}/who"\n'))
    assert told(await agent.deliver(job("run@example")))[0] == "Delivered"
    assert Path(nobody.home, "who").read_text() == f"{nobody.uid}\n"
