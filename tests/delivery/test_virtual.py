from pathlib import Path

import pytest

from tests.delivery.world import BODY, World, files_below, job, told

CONFIGURATION = ("Deferred", "4.3.5", "mail system configuration error")


def settings_for(world: World, more: str = "") -> str:
    ann = world.users["ann"]
    return (
        f"virtual_mailbox_domains = v.example\nvirtual_mailbox_base = {world.base}/home\nvirtual_minimum_uid = 1\n"
        "virtual_mailbox_maps = inline:{eve@v.example=ann/eve/,zoe@v.example=ann/zoe,@all.example=ann/all/}\n"
        f"virtual_uid_maps = static:{ann.uid}\nvirtual_gid_maps = static:{ann.gid or 1}\n" + more
    )


async def test_a_path_with_a_slash_at_its_end_is_a_maildir(world: World) -> None:
    agent = world.agent(settings_for(world))
    delivery = await agent.deliver(job("Eve+x@v.example", transport="virtual", original="eve@v.example"))
    assert told(delivery) == ("Delivered", "2.0.0", "delivered to maildir")
    assert delivery.outcomes[0].relay == "virtual"
    assert world.maildir(world.users["ann"], "eve") == [
        b"Return-Path: <ann@far.example>\nX-Original-To: eve@v.example\nDelivered-To: Eve+x@v.example\n" + BODY
    ]


async def test_a_path_without_is_a_mailbox_file(world: World) -> None:
    delivery = await world.agent(settings_for(world)).deliver(job("zoe@v.example", transport="virtual"))
    assert told(delivery) == ("Delivered", "2.0.0", "delivered to mailbox")
    text = Path(world.users["ann"].home, "zoe").read_bytes()
    assert text.startswith(b"From ann@far.example  ")
    assert b"\nDelivered-To: zoe@v.example\n" in text


async def test_a_domain_may_have_one_mailbox_for_all(world: World) -> None:
    agent = world.agent(settings_for(world))
    assert told(await agent.deliver(job("x@all.example", transport="virtual")))[0] == "Delivered"


async def test_an_unknown_user_bounces(world: World) -> None:
    delivery = await world.agent(settings_for(world)).deliver(job("Nemo@v.example", transport="virtual"))
    assert told(delivery) == ("Bounced", "5.1.1", 'unknown user: "nemo@v.example"')


async def test_a_loop_bounces(world: World) -> None:
    content = b"Delivered-To: eve@v.example\n\nx\n"
    delivery = await world.agent(settings_for(world)).deliver(
        job("eve@v.example", transport="virtual", content=content)
    )
    assert told(delivery) == ("Bounced", "5.4.6", "mail forwarding loop for eve@v.example")


@pytest.mark.parametrize(
    ("more", "warning"),
    [
        ("virtual_uid_maps =\n", "recipient eve@v.example: not found in virtual_uid_maps"),
        ("virtual_uid_maps = static:none\n", "recipient eve@v.example: bad uid none in virtual_uid_maps"),
        (
            "virtual_uid_maps = static:99\nvirtual_minimum_uid = 100\n",
            "recipient eve@v.example: bad uid 99 in virtual_uid_maps",
        ),
        ("virtual_gid_maps = static:0\n", "recipient eve@v.example: bad gid 0 in virtual_gid_maps"),
        ("virtual_gid_maps = static:99999999999\n", "recipient eve@v.example: bad gid 99999999999 in virtual_gid_maps"),
    ],
)
async def test_a_wrong_owner_is_our_mistake_and_the_mail_waits(world: World, more: str, warning: str) -> None:
    agent = world.agent(settings_for(world, more))
    assert told(await agent.deliver(job("eve@v.example", transport="virtual"))) == CONFIGURATION
    assert world.warnings == [warning]
    assert not list(files_below(world.base / "home"))


async def test_a_table_that_is_away_makes_mail_wait(world: World) -> None:
    agent = world.agent(settings_for(world, "virtual_mailbox_maps = fail:x\n"))
    assert told(await agent.deliver(job("eve@v.example", transport="virtual"))) == CONFIGURATION


async def test_the_limit_counts(world: World) -> None:
    agent = world.agent(settings_for(world, "virtual_mailbox_limit = 50\nmessage_size_limit = 40\n"))
    assert told(await agent.deliver(job("eve@v.example", transport="virtual"))) == (
        "Bounced",
        "5.2.2",
        "maildir delivery failed: error writing message: File too large",
    )
