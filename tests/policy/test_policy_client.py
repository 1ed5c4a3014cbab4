"""The client of policy services beside a real one: connections kept and given up, tries, limits, and the breaker."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from seawall.config.settings import Settings
from seawall.policy.policy_client import TRIAL_PATIENCE, PolicyClient
from seawall.policy.policy_service import MOST_ANSWER, PolicyAnswer, Service, parse_service
from tests.policy_server import PolicyServer

QUESTION = b"request=smtpd_access_policy\nprotocol_state=RCPT\n\n"
SETTINGS = Settings.from_text("")

Start = Callable[..., tuple[PolicyServer, PolicyClient]]


@pytest.fixture
async def start(tmp_path: Path) -> AsyncIterator[Start]:
    """Starts a service with a script, and a client with terms of its own."""
    started: list[tuple[PolicyServer, PolicyClient]] = []

    def start_both(script: str, terms: str = "", most: int = 50) -> tuple[PolicyServer, PolicyClient]:
        server = PolicyServer("unix:policy", script, directory=str(tmp_path))
        client = PolicyClient(service_of(f"{{ unix:policy {terms} }}"), str(tmp_path / "policy"), most)
        started.append((server, client))
        return server, client

    yield start_both
    for server, client in started:
        await end(client)
        server.close()


async def end(client: PolicyClient) -> None:
    """Close it, and let its connections end."""
    client.close()
    for _ in range(3):
        await asyncio.sleep(0)


def service_of(argument: str) -> Service:
    return parse_service(argument, SETTINGS)


async def test_an_answer_is_the_action_as_it_came(start: Start) -> None:
    server, client = start("-> REJECT 5.7.1 go = away")

    assert await client.ask(QUESTION) == PolicyAnswer("REJECT 5.7.1 go = away")
    assert server.take() == [QUESTION[:-1]]


async def test_one_connection_serves_question_after_question(start: Start) -> None:
    server, client = start("")
    for _ in range(5):
        await client.ask(QUESTION)

    assert server.connections == 1


async def test_request_limit_ends_a_connection(start: Start) -> None:
    server, client = start("", "request_limit=2")
    for _ in range(5):
        await client.ask(QUESTION)

    assert server.connections == 3


async def test_a_connection_that_the_service_ended_meanwhile_is_not_used(start: Start) -> None:
    server, client = start("-> OK", "try_limit=1")
    await client.ask(QUESTION)
    server.drop()

    assert (await client.ask(QUESTION)).action == "OK"


async def test_sessions_at_the_same_time_have_a_connection_each_up_to_the_bound(start: Start) -> None:
    server, client = start("-> *after 0.05 OK", most=3)
    heard = await asyncio.gather(*(client.ask(QUESTION) for _ in range(10)))

    assert [answer.action for answer in heard] == ["OK"] * 10
    assert server.connections == 3


BROKEN = {
    "*raw junk\\n\\n": "missing attribute action in input from {}",
    "*raw foo=bar\\n\\n": "missing attribute action in input from {}",
    "*raw action\\n\\n": "missing value for string attribute action from {}",
    "*close action=DUNNO": "premature end-of-input on {} while reading input attribute value",
    "*close acti": "premature end-of-input on {} while reading input attribute name",
    "*close": "",
    "*close action=OK\\n": "premature end-of-input on {} while reading input attribute name",
    f"*raw action=\\{{x*{MOST_ANSWER}}}\\n\\n": f"answer of more than {MOST_ANSWER} bytes from {{}}",
}


async def test_an_answer_that_makes_no_sense_is_tried_again_and_then_given_up(tmp_path: Path) -> None:
    services = [PolicyServer(f"unix:{at}", f"-> {script}", directory=str(tmp_path)) for at, script in enumerate(BROKEN)]
    clients = [PolicyClient(service_of(f"unix:{at}"), str(tmp_path / str(at)), 5) for at in range(len(services))]
    heard = await asyncio.gather(*(client.ask(QUESTION) for client in clients))
    for at, (answer, wanted) in enumerate(zip(heard, BROKEN.values(), strict=True)):
        remark = [wanted.format(at)] if wanted else []
        assert answer.action is None
        assert list(answer.remarks) == [*remark, *remark, f"problem talking to server {at}: Application error"]
        assert len(services[at].take()) == 2
        assert not clients[at].is_away
    for client, service in zip(clients, services, strict=True):
        await end(client)
        service.close()


async def test_attributes_that_nobody_asked_for_are_skipped(start: Start) -> None:
    _, client = start("-> *raw x=1\\naction=HOLD\\naction=OK\\njunk\\n\\n")

    assert (await client.ask(QUESTION)).action == "HOLD"


async def test_what_follows_an_answer_is_not_taken_for_the_next_one(start: Start) -> None:
    server, client = start("-> *raw action=OK\\n\\naction=REJECT\\n\\n")

    assert [(await client.ask(QUESTION)).action for _ in range(3)] == ["OK"] * 3
    assert server.connections == 3


async def test_a_hung_service_costs_the_timeout_once(start: Start) -> None:
    server, client = start("-> *silent", "timeout=1s")
    loop = asyncio.get_running_loop()
    before = loop.time()
    answer = await client.ask(QUESTION)

    assert answer == PolicyAnswer(None, ("problem talking to server policy: Connection timed out",))
    assert loop.time() - before < 1.5
    assert len(server.take()) == 1


async def test_nobody_there_is_told_in_postfix_words_and_opens_the_breaker(start: Start, tmp_path: Path) -> None:
    client = PolicyClient(service_of("{ unix:private/gone, retry_delay=1s }"), str(tmp_path / "gone"), 50)
    answer = await client.ask(QUESTION)

    assert answer.action is None
    assert answer.remarks[:3] == (
        "connect to private/gone: No such file or directory",
        "connect to private/gone: No such file or directory",
        "problem talking to server private/gone: No such file or directory",
    )
    assert client.is_away
    assert await client.ask(QUESTION) == PolicyAnswer(None)


async def test_a_slow_but_lawful_service_leaves_the_breaker_alone(start: Start) -> None:
    _, client = start("-> *after 0.4 OK", "timeout=1s", most=2)
    heard = await asyncio.gather(*(client.ask(QUESTION) for _ in range(4)))

    assert [answer.action for answer in heard] == ["OK"] * 4
    assert not client.is_away


async def test_once_it_is_found_to_hang_nobody_waits_long_and_its_return_is_noticed(start: Start) -> None:
    server, client = start("-> *silent", "timeout=1s")
    await asyncio.gather(*(client.ask(QUESTION) for _ in range(3)))
    assert client.is_away
    loop = asyncio.get_running_loop()
    longest = 0.0
    end = loop.time() + 1.2
    while loop.time() < end:  # while it hangs, one session in a while is the trial, and waits a little
        before = loop.time()
        assert (await client.ask(QUESTION)).action is None
        longest = max(longest, loop.time() - before)
        await asyncio.sleep(0.02)
    assert longest < TRIAL_PATIENCE + 0.4

    server.load("-> OK")
    before = loop.time()
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(5):
            while (await client.ask(QUESTION)).action is None:
                await asyncio.sleep(0.02)
    assert loop.time() - before < 5
    assert not client.is_away


async def test_inet_services_are_found_by_name_and_number() -> None:
    server = PolicyServer("inet:127.0.0.1:0", "-> OK")
    port = server.address[1]
    for host in ("127.0.0.1:", "localhost:", "[127.0.0.1]:", ""):
        client = PolicyClient(service_of(f"inet:{host}{port}"), "", 5)
        assert (await client.ask(QUESTION)).action == "OK"
        await end(client)
    server.close()


async def test_a_service_that_is_back_within_the_tries_is_not_missed(tmp_path: Path) -> None:
    client = PolicyClient(service_of("unix:policy"), str(tmp_path / "policy"), 5)
    loop = asyncio.get_running_loop()
    servers: list[PolicyServer] = []
    loop.call_later(0.2, lambda: servers.append(PolicyServer("unix:policy", "-> OK", directory=str(tmp_path))))
    answer = await client.ask(QUESTION)

    assert answer == PolicyAnswer("OK", ("connect to policy: No such file or directory",))
    await end(client)
    servers[0].close()
