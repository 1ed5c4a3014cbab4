from pathlib import Path

import pytest

from seawall.config.settings import ConfigTrouble
from seawall.delivery.pipe import expand_words, read_service
from seawall.linux.identity import Identity
from seawall.linux.users import User
from seawall.mail.envelope import Recipient
from tests.delivery.world import BODY, World, job, told

USER = User("vmail", 500, 501, "/", "/bin/sh")


def find_user(name: str) -> User | None:
    return USER if name == "vmail" else User("root", 0, 0, "/", "") if name == "root" else None


def find_group(name: str) -> int | None:
    return {"mail": 8}.get(name)


def test_the_arguments_of_a_service() -> None:
    words = ["flags=DRhu", "user=vmail:mail", "size=10", "argv=/bin/deliver", "-f", "${sender}"]
    service = read_service(words, find_user, find_group)
    assert service.flags == frozenset("DRhu")
    assert service.identity == Identity(500, 8)
    assert service.words == ("/bin/deliver", "-f", "${sender}")
    assert service.size_limit == 10


@pytest.mark.parametrize(
    "words",
    [
        ["user=vmail"],
        ["argv=x"],
        ["user=root", "argv=x"],
        ["user=none", "argv=x"],
        ["user=vmail:none", "argv=x"],
        ["user=vmail", "flags=Z", "argv=x"],
        ["user=vmail", "chroot=/x", "argv=x"],
        ["user=vmail", "odd", "argv=x"],
    ],
)
def test_a_service_that_cannot_be_served_is_a_mistake_of_the_configuration(words: list[str]) -> None:
    with pytest.raises(ConfigTrouble):
        read_service(words, find_user, find_group)


def test_a_word_about_recipients_is_repeated_for_each() -> None:
    words = [
        "flags=hu",
        "user=vmail",
        "argv=run",
        "-f",
        "$sender",
        "--",
        "x=${user}/${extension}@$domain",
        "$(nexthop)",
    ]
    service = read_service(words, find_user, find_group)
    made = job("a@x", sender="", nexthop="HOST")
    recipients = (Recipient("Ann+Box@EXAMPLE"), Recipient("bob@example"))
    assert expand_words(service, "+", made, recipients) == (
        "run",
        "-f",
        "MAILER-DAEMON",
        "--",
        "x=ann/box@example",
        "x=bob/@example",
        "host",
    )


def with_pipe(world: World, script: str, flags: str = "") -> str:
    path = world.write("bin/run", f"#!/bin/sh\n{script}\n", mode=0o755)
    return f"run unix - n n - - pipe flags={flags} user=ann argv={path} ${{recipient}}\n"


async def test_a_command_gets_the_message_as_its_user(world: World) -> None:
    ann = world.users["ann"]
    if ann.uid == 0:
        return
    agent = world.agent(master_cf=with_pipe(world, f'cd {ann.home}; cat > got; id -u > who; echo "$1" > to', "DRO"))
    delivery = await agent.deliver(job("Zoe@v.example", transport="run", original="z@v.example"))
    assert told(delivery) == ("Delivered", "2.0.0", "delivered via run service")
    assert delivery.outcomes[0].relay == "run"
    assert Path(ann.home, "who").read_text() == f"{ann.uid}\n"
    assert Path(ann.home, "to").read_text() == "Zoe@v.example\n"
    assert Path(ann.home, "got").read_bytes() == (
        b"Return-Path: <ann@far.example>\nX-Original-To: z@v.example\nDelivered-To: Zoe@v.example\n" + BODY
    )


async def test_the_original_recipient_is_not_told_where_that_is_off(world: World) -> None:
    ann = world.users["ann"]
    if ann.uid == 0:
        return
    agent = world.agent("enable_original_recipient = no\n", with_pipe(world, f"cat > {ann.home}/got", "O"))
    await agent.deliver(job("Zoe@v.example", transport="run", original="z@v.example"))
    assert Path(ann.home, "got").read_bytes() == BODY


async def test_dots_and_from_lines_are_escaped_where_flags_ask_for_it(world: World) -> None:
    ann = world.users["ann"]
    agent = world.agent(master_cf=with_pipe(world, f"cat > {ann.home}/got", ".B"))
    await agent.deliver(job("zoe@v.example", transport="run"))
    assert Path(ann.home, "got").read_bytes() == BODY.replace(b"\n.\n", b"\n..\n") + b"\n"
    agent = world.agent(master_cf=with_pipe(world, f"cat > {ann.home}/got", ">"))
    await agent.deliver(job("zoe@v.example", transport="run"))
    assert Path(ann.home, "got").read_bytes() == BODY.replace(b"\nFrom here", b"\n>From here")


async def test_an_exit_code_decides(world: World) -> None:
    agent = world.agent(master_cf=with_pipe(world, "echo full; exit 75"))
    assert told(await agent.deliver(job("zoe@v.example", transport="run"))) == (
        "Deferred",
        "4.3.0",
        "temporary failure. Command output: full ",
    )
