"""Probes among the mail: they take turns with it, leave nothing on the disk, and nobody hears of them but who asked."""

import asyncio

import pytest

from seawall.mail.envelope import Envelope, Origin, Recipient
from seawall.mail.message import Content, Message
from seawall.mail.outcome import Bounced, Deferred, Outcome
from seawall.mail.probe_sender import ProbeSender
from seawall.mail.queue_id import QueueIds
from seawall.mail.reply import Reply
from seawall.mail.verified import Learned, Standing
from seawall.spool.probes import Prober
from tests.crash.common import ARRIVED
from tests.spool.world import Way, World

ANN = "ann@b.example"
GOOD, BAD, UNCLEAR = Standing.DELIVERABLE, Standing.UNDELIVERABLE, Standing.DEFERRED


class Probing(World):
    """A manager's world with a prober; `aliases` is what cleanup makes of an address, None where a table fails."""

    def __init__(self, main_cf: str = "", aliases: dict[str, tuple[str, ...] | None] | None = None) -> None:
        super().__init__(main_cf)
        self.aliases = aliases or {}
        manager = self.start()
        sender = ProbeSender("double-bounce@mx.example.org")
        self.prober = Prober(
            manager.deliveries, manager.rules, self.address, sender, self.ids, self.journal, self.clock
        )

    async def address(self, sender: str, address: str) -> tuple[str, tuple[Recipient, ...]] | None:
        found = self.aliases.get(address, (address,))
        return None if found is None else (sender, tuple(Recipient(each, address) for each in found))


def learned(address: str, standing: Standing, text: str) -> Learned:
    return Learned(address, standing, text)


async def test_a_probe_is_a_job_without_content_and_leaves_nothing() -> None:
    world = Probing()
    assert await world.prober.probe(ANN) == (learned(ANN, GOOD, "delivered to maildir"),)
    (job,) = world.agents.jobs
    assert (job.is_probe, job.content.size, job.envelope.sender) == (True, 0, "double-bounce@mx.example.org")
    assert world.queue() == []
    assert world.taken == []
    assert world.manager is not None and not world.manager.active
    assert [line.partition(": ")[2] for line in world.lines()] == [
        "from=<double-bounce@mx.example.org>, size=0, nrcpt=1 (queue active)",
        "to=<ann@b.example>, relay=local, delay=0, delays=0/0/0/0, dsn=2.0.0, status=deliverable (delivered to maildir)",
        "removed",
    ]


@pytest.mark.parametrize(
    ("outcome", "standing"),
    [(Bounced(status="5.1.1", text="no such user"), BAD), (Deferred(status="4.4.1", text="away"), UNCLEAR)],
)
@pytest.mark.parametrize(("more", "word"), [("", ""), ("address_verify_negative_cache = no\n", "-but-not-cached")])
async def test_a_failure_is_told_to_nobody(outcome: Outcome, standing: Standing, more: str, word: str) -> None:
    world = Probing(more)
    world.agents.script[ANN] = [outcome]
    assert await world.prober.probe(ANN) == (learned(ANN, standing, outcome.text),)
    assert world.taken == []
    assert world.queue() == []
    assert any(f"status=undeliverable{word} ({outcome.text})" in line for line in world.lines())


async def test_an_alias_of_one_is_followed_and_an_alias_of_several_is_good() -> None:
    world = Probing(aliases={"one@b.example": (ANN,), "all@b.example": (ANN, "bob@b.example")})
    world.agents.script[ANN] = [Bounced(status="5.1.1", text="no such user")]
    assert await world.prober.probe("one@b.example") == (
        learned("one@b.example", BAD, "no such user"),
        learned(ANN, BAD, "no such user"),
    )
    several = await world.prober.probe("all@b.example")
    assert several == (learned("all@b.example", GOOD, "aliased to multiple recipients"),)
    assert len(world.agents.jobs) == 1


async def test_where_a_table_fails_nothing_is_learned() -> None:
    assert await Probing(aliases={ANN: None}).prober.probe(ANN) == ()


async def test_what_routing_says_of_an_address_is_an_answer() -> None:
    world = Probing("defer_transports = slow\n")
    world.routes.ways["odd"] = Way("", "", "odd", is_malformed=True)
    world.routes.ways[ANN] = Way("", "", ANN, error="table", has_failed=True)
    world.routes.ways["late@b.example"] = Way("slow", "x", "late@b.example")
    assert [(each.standing, each.text) for each in await world.prober.probe("odd")] == [(BAD, "bad address syntax")]
    assert [(each.standing, each.text) for each in await world.prober.probe(ANN)] == [
        (UNCLEAR, "address resolver failure")
    ]
    assert [each.standing for each in await world.prober.probe("late@b.example")] == [UNCLEAR]
    assert world.agents.jobs == []


async def test_probes_keep_to_the_limits_of_their_destination() -> None:
    world = Probing("default_destination_concurrency_limit = 2\n")
    world.agents.gate = asyncio.Event()
    addresses = [f"user{number}@far.example" for number in range(7)]
    for address in addresses:
        world.routes.ways[address] = Way("smtp", "far.example", address)
    probes = [asyncio.ensure_future(world.prober.probe(address)) for address in addresses]
    for _ in range(20):
        await asyncio.sleep(0)
    assert len(world.agents.jobs) == 2
    world.agents.gate.set()
    assert [found[0].standing for found in await asyncio.gather(*probes)] == [GOOD] * 7


async def test_a_destination_that_is_down_is_not_asked_again_and_again() -> None:
    world = Probing("default_destination_concurrency_failed_cohort_limit = 1\ninitial_destination_concurrency = 1\n")
    down = Deferred(status="4.4.1", text="connection refused", site_down=True)
    for name in ("a", "b"):
        world.routes.ways[f"{name}@far.example"] = Way("smtp", "far.example", f"{name}@far.example")
        world.agents.script[f"{name}@far.example"] = [down]
    assert (await world.prober.probe("a@far.example"))[0].text == "connection refused"
    assert (await world.prober.probe("b@far.example"))[0].text == "connection refused"
    assert len(world.agents.jobs) == 1


async def test_a_probe_that_is_broken_off_gives_its_place_back() -> None:
    world = Probing("default_destination_concurrency_limit = 1\n")
    world.agents.gate = asyncio.Event()
    for name in ("a", "b"):
        world.routes.ways[f"{name}@far.example"] = Way("smtp", "far.example", f"{name}@far.example")
    first = asyncio.ensure_future(world.prober.probe("a@far.example"))
    second = asyncio.ensure_future(world.prober.probe("b@far.example"))
    for _ in range(20):
        await asyncio.sleep(0)
    second.cancel()
    await asyncio.gather(second, return_exceptions=True)
    world.agents.gate.set()
    assert (await first)[0].standing is GOOD
    assert [job.recipients[0].address for job in world.agents.jobs] == ["a@far.example"]
    assert (await world.prober.probe("b@far.example"))[0].standing is GOOD


async def test_a_question_of_sendmail_is_answered_by_a_report_on_everybody() -> None:
    world = World()
    world.agents.script["bob@b.example"] = [Bounced(status="5.1.1", text="no such user", relay="local")]
    world.agents.script["eve@b.example"] = [Deferred(status="4.4.1", text="away")]
    names = ("ann", "bob", "eve")
    envelope = Envelope(
        "dave@b.example",
        tuple(Recipient(f"{name}@b.example", f"{name}@b.example") for name in names),
        Origin(is_local=True, submitted_by="userid 1000"),
        filter="smtp:[192.0.2.9]",
        asks=True,
    )
    await world.send(Message(QueueIds(3).next(ARRIVED), ARRIVED, envelope, Content(b"Subject: probe\n\n")))
    question, letter = world.agents.jobs
    assert question.is_probe and question.transport == "local"
    assert not letter.is_probe
    (report,) = world.taken
    assert [recipient.address for recipient in report.envelope.recipients] == ["dave@b.example"]
    text = report.content.memory.decode()
    assert "Subject: Mail Delivery Status Report" in text
    assert "<ann@b.example>: delivery via local: delivered to maildir" in text
    assert "<bob@b.example>: delivery via local: no such user" in text
    assert "<eve@b.example>: away" in text
    assert text.count("\nAction: deliverable\n") == 1
    assert text.count("\nAction: undeliverable\n") == 2
    assert world.queue() == []  # the report is delivered, and nothing is tried again
    assert sum("status=deliverable" in line or "status=undeliverable" in line for line in world.lines()) == 3


async def test_a_report_that_cannot_be_kept_is_made_again() -> None:
    world = World()
    world.intake_reply = Reply(451, "4.3.0", "Error: queue file write error")
    envelope = Envelope("dave@b.example", (Recipient(ANN, ANN),), Origin(is_local=True), asks=True)
    await world.send(Message(QueueIds(3).next(ARRIVED), ARRIVED, envelope, Content(b"Subject: probe\n\n")))
    assert len(world.queue()) == 1
    world.intake_reply = None
    await world.later(400)
    assert len(world.taken) == 1
    assert world.queue() == []
