"""Coroutines that run at once, and become tasks only where they wait."""

import asyncio

import pytest

from seawall.eager import now_or_later, result_now, run_eagerly, within


async def add(left: int, right: int) -> int:
    return left + right


async def test_a_coroutine_that_never_waits_is_done_at_once() -> None:
    results: list[int] = []
    assert run_eagerly(add(1, 2), results.append) is None
    assert results == [3]


async def test_a_coroutine_that_waits_goes_on_in_a_task_from_where_it_was() -> None:
    future: asyncio.Future[int] = asyncio.get_running_loop().create_future()
    steps: list[str] = []

    async def work() -> int:
        steps.append("before")
        value = await future
        await asyncio.sleep(0)
        steps.append("after")
        return value + await add(1, 1)

    task = run_eagerly(work(), lambda _: steps.append("never"))
    assert task is not None
    assert steps == ["before"]
    future.set_result(40)
    assert await task == 42
    assert steps == ["before", "after"]


async def test_an_error_before_the_first_wait_is_raised_to_the_caller() -> None:
    async def fail() -> None:
        raise ValueError("early")

    with pytest.raises(ValueError, match="early"):
        run_eagerly(fail(), lambda _: None)


async def test_an_error_and_a_cancellation_after_it_belong_to_the_task() -> None:
    future: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    async def fail() -> None:
        await future

    task = run_eagerly(fail(), lambda _: None)
    assert task is not None
    future.set_exception(OSError("late"))
    with pytest.raises(OSError, match="late"):
        await task

    cleaned: list[bool] = []

    async def wait_for_ever() -> None:
        try:
            await asyncio.get_running_loop().create_future()
        finally:
            cleaned.append(True)

    waiting = run_eagerly(wait_for_ever(), lambda _: None)
    assert waiting is not None
    await asyncio.sleep(0)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert cleaned == [True]


def test_result_now_refuses_what_would_have_to_wait() -> None:
    assert result_now(add(2, 2)) == 4

    async def wait() -> None:
        await asyncio.sleep(1)

    with pytest.raises(RuntimeError):
        result_now(wait())


async def test_an_answer_comes_now_or_as_what_is_left_to_wait_for() -> None:
    future: asyncio.Future[int] = asyncio.get_running_loop().create_future()

    async def later() -> int:
        return 40 + await future

    assert now_or_later(add(1, 2)) == 3
    answer = now_or_later(later())
    future.set_result(2)
    assert not isinstance(answer, int)
    assert await answer == 42


async def test_a_time_limit_needs_no_task() -> None:
    future: asyncio.Future[int] = asyncio.get_running_loop().create_future()
    heard: list[object] = []

    async def work() -> None:
        try:
            heard.append(await within(future, 0.01))
        except TimeoutError:
            heard.append("too late")

    task = run_eagerly(work(), lambda _: None)
    assert task is not None
    await task
    assert heard == ["too late"]
    assert future.cancelled()
    assert await within(add(1, 2), 1) == 3
