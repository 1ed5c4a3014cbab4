"""Probes: every agent says what it would do, in Postfix's words, and does none of it.  verify(8)"""

from dataclasses import replace

import msgspec
import pytest

from seawall.config.settings import ConfigTrouble
from seawall.mail.job import Job
from tests.delivery.test_smtp import HELLO, Server, client, listening, to
from tests.delivery.world import World, files_below, job, told, with_aliases


def probe(address: str, transport: str = "local", nexthop: str = "example") -> Job:
    return replace(job(address, transport=transport, nexthop=nexthop, content=b""), is_probe=True)


async def asked(world: World, address: str, more: str = "", transport: str = "local", nexthop: str = "example") -> str:
    """What a probe is told; nothing may have been written."""
    agent = world.agent(more)
    before = set(files_below(world.base))
    kind, status, text = told(await agent.deliver(probe(address, transport, nexthop)))
    assert set(files_below(world.base)) == before
    return f"{kind} {status} {text}"


@pytest.mark.parametrize(
    ("more", "text"),
    [
        ("", "delivers to maildir"),
        ("home_mailbox =\n", "delivers to mailbox"),
        ("home_mailbox = box\n", "delivers to mailbox"),
        ("mailbox_command = /bin/false $USER\n", "delivers to command: /bin/false $USER"),
        ("mailbox_transport = discard:nowhere\n", "nowhere"),
    ],
)
async def test_a_user_is_deliverable_in_whatever_way_he_gets_his_mail(world: World, more: str, text: str) -> None:
    assert await asked(world, "ann@example", more) == f"Delivered 2.0.0 {text}"


async def test_a_forward_file_is_not_followed(world: World) -> None:
    file = world.write("~/.forward", "|exit 75\n", world.users["ann"])
    assert await asked(world, "ann+x@example") == f"Delivered 2.0.0 forward via file: {file}"


async def test_an_alias_is_not_followed(world: World) -> None:
    more = with_aliases(world, "team ann, nobody-at-all\nprog |exit 75\n")
    assert await asked(world, "Team@example", more) == "Delivered 2.0.0 aliased to ann, nobody-at-all"
    assert await asked(world, "prog@example", more) == "Delivered 2.0.0 aliased to |exit 75"


async def test_an_unknown_user_is_undeliverable_but_for_a_luser_relay(world: World) -> None:
    assert await asked(world, "nemo@example") == 'Bounced 5.1.1 unknown user: "nemo"'
    more = "luser_relay = $user@far.example\n"
    assert await asked(world, "nemo@example", more) == "Delivered 2.0.0 forwards to nemo@far.example"


async def test_soft_bounce_makes_no_difference(world: World) -> None:
    assert await asked(world, "nemo@example", "soft_bounce = yes\n") == 'Bounced 5.1.1 unknown user: "nemo"'


async def test_a_virtual_mailbox_is_looked_up_and_not_opened(world: World) -> None:
    more = (
        f"virtual_mailbox_domains = v.example\nvirtual_mailbox_base = {world.base}/v\nvirtual_minimum_uid = 1\n"
        "virtual_mailbox_maps = inline:{eve@v.example=eve/,zoe@v.example=zoe}\n"
        "virtual_uid_maps = static:77\nvirtual_gid_maps = static:77\n"
    )
    assert await asked(world, "eve@v.example", more, "virtual") == "Delivered 2.0.0 delivers to maildir"
    assert await asked(world, "zoe@v.example", more, "virtual") == "Delivered 2.0.0 delivers to mailbox"
    assert await asked(world, "nemo@v.example", more, "virtual") == 'Bounced 5.1.1 unknown user: "nemo@v.example"'


async def test_a_pipe_is_not_run(world: World) -> None:
    agent = world.agent(master_cf="trap unix - n n - - pipe user=ann argv=/bin/false ${recipient}\n")
    delivery = await agent.deliver(probe("x@example", "trap"))
    assert told(delivery) == ("Delivered", "2.0.0", "delivers to command: /bin/false")


def question(server: Server, address: str) -> Job:
    return replace(to(server, address, content=b""), is_probe=True)


async def test_a_server_is_asked_up_to_the_recipient() -> None:
    server = Server(HELLO | {"RCPT TO:<bob": "250 2.1.5 fine", "RCPT TO:<eve": "550 5.1.1 nobody"})
    async with listening(server):
        agent = client("soft_bounce = yes\n")
        assert told(await agent.deliver(question(server, "bob@far.example"))) == (
            "Delivered",
            "2.1.5",
            "250 2.1.5 fine",
        )
        assert told(await agent.deliver(question(server, "eve@far.example"))) == (
            "Bounced",
            "5.1.1",
            "host 127.0.0.1[127.0.0.1] said: 550 5.1.1 nobody (in reply to RCPT TO command)",
        )
    assert [line.split(" ")[0] for line in server.heard] == 2 * ["EHLO", "MAIL", "RCPT", "RSET", "QUIT"]
    assert server.bodies == []


@pytest.mark.parametrize(
    ("more", "wanted", "words"),
    [
        ({"DATA": "354 go on"}, ("Delivered", "2.0.0", "354 go on"), ["EHLO", "MAIL", "RCPT", "DATA"]),
        (
            {"DATA": "554 5.7.1 not you"},
            (
                "Bounced",
                "5.7.1",
                "host 127.0.0.1[127.0.0.1] said: 554 5.7.1 not you (in reply to DATA command)",
            ),
            ["EHLO", "MAIL", "RCPT", "DATA", "RSET", "QUIT"],
        ),
        (
            {"MAIL": "451 4.7.1 later"},
            (
                "Deferred",
                "4.7.1",
                "host 127.0.0.1[127.0.0.1] said: 451 4.7.1 later (in reply to MAIL FROM command)",
            ),
            ["EHLO", "MAIL", "RSET", "QUIT"],
        ),
        ({"RSET": "drop"}, ("Delivered", "2.0.0", "354 go on"), ["EHLO", "MAIL", "RCPT", "DATA"]),
        ({"RCPT": "drop"}, ("Deferred", "4.4.2", "lost connection with"), ["EHLO", "MAIL", "RCPT"]),
    ],
)
async def test_a_server_may_be_asked_up_to_data(
    more: dict[str, str], wanted: tuple[str, str, str], words: list[str]
) -> None:
    server = Server({"EHLO": "250 mx.far.example"} | more)
    async with listening(server):
        kind, status, text = told(
            await client("smtp_address_verify_target = data\n").deliver(question(server, "bob@far.example"))
        )
    assert (kind, status) == wanted[:2]
    assert text.startswith(wanted[2])
    assert [line.split(" ")[0] for line in server.heard] == words
    assert server.bodies == [] or server.bodies == [b""]


async def test_a_server_that_ends_after_the_recipient_has_answered_all_the_same() -> None:
    server = Server(HELLO | {"RSET": "drop"})
    async with listening(server):
        assert told(await client().deliver(question(server, "bob@far.example")))[0] == "Delivered"


def test_a_target_that_is_neither_is_a_mistake() -> None:
    with pytest.raises(ConfigTrouble, match="use rcpt or data"):
        client("smtp_address_verify_target = mail\n")


async def test_a_question_of_sendmail_follows_aliases_and_forward_files(world: World) -> None:
    world.write("~/.forward", "ann, eve@far.example\n", world.users["ann"])
    agent = world.agent(with_aliases(world, 'team ann, nemo, "|exit 75"\n'))
    asked_for = probe("team@example")
    delivery = await agent.deliver(replace(asked_for, envelope=msgspec.structs.replace(asked_for.envelope, asks=True)))
    (outcome,) = delivery.outcomes
    assert sorted(each.text for each in (outcome, *outcome.also)) == [
        "delivers to command: exit 75",
        "delivers to maildir",
        "forwards to eve@far.example",
        'unknown user: "nemo"',
    ]
    assert delivery.forwards == ()
    assert world.maildir(world.users["ann"]) == []
