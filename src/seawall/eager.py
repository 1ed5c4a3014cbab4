"""Run a coroutine now; let it become a task only if it really has to wait.

The hot path is written once, as coroutines, yet a dialogue whose checks are all local must run without a task
switch (docs/design.md, "The hot path").  So a coroutine is driven by hand up to its first real wait.  Where it ends before
that, its result is there at once; where it waits, a task takes it over from exactly that point.

Code that runs inside may await futures, but must not ask for `asyncio.current_task()` before its first wait
(`asyncio.timeout` and `TaskGroup` do): whatever needs those starts a task of its own and awaits that.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Generator
from typing import Any, Generic, TypeVar

T = TypeVar("T")


class _Rest(Generic[T]):
    """The part of a coroutine that is left after its first wait, as an awaitable for a task."""

    __slots__ = ("_coroutine", "_waiting_for")

    def __init__(self, coroutine: Coroutine[Any, Any, T], waiting_for: Any) -> None:
        self._coroutine = coroutine
        self._waiting_for = waiting_for

    def __await__(self) -> Generator[Any, Any, T]:
        waiting_for = self._waiting_for
        send, throw = self._coroutine.send, self._coroutine.throw
        try:
            while True:
                try:
                    answer = yield waiting_for
                except BaseException as trouble:  # cancellation and errors belong to the coroutine
                    waiting_for = throw(trouble)
                else:
                    waiting_for = send(answer)
        except StopIteration as stop:
            result: T = stop.value
            return result


async def _finish(rest: _Rest[T]) -> T:
    return await rest


def run_eagerly(coroutine: Coroutine[Any, Any, T], done: Callable[[T], None]) -> asyncio.Task[T] | None:
    """Drive `coroutine`; call ``done(result)`` at once where it never waits, and return None.

    Where it waits, the task that goes on with it is returned and `done` is not called: the caller adds its own
    callback.  An exception raised before the first wait is raised here.
    """
    try:
        waiting_for = coroutine.send(None)
    except StopIteration as stop:
        done(stop.value)
        return None
    return asyncio.get_running_loop().create_task(_finish(_Rest(coroutine, waiting_for)))


def now_or_later(coroutine: Coroutine[Any, Any, T]) -> T | Awaitable[T]:
    """The result where the coroutine never waits, else an awaitable that goes on from its first wait.

    For look-ups that give their answer at once where they can.  An exception raised before the first wait is raised here.
    """
    try:
        waiting_for = coroutine.send(None)
    except StopIteration as stop:
        result: T = stop.value
        return result
    return _Rest(coroutine, waiting_for)


async def within(work: Awaitable[T], seconds: float | None) -> T:
    """The result of `work`.  Raises TimeoutError after `seconds` (None: never), and then it is cancelled.

    asyncio.wait_for for code that runs here: from Python 3.12 on that one asks for the current task.
    """
    task = asyncio.ensure_future(work)
    try:
        done, _ = await asyncio.wait({task}, timeout=seconds)
        if not done:
            raise TimeoutError
        return task.result()
    finally:
        task.cancel()  # nothing, where it is done


def result_now(coroutine: Coroutine[Any, Any, T]) -> T:
    """The result of a coroutine that must not wait; RuntimeError where it does.  For tools and tests with local parts."""
    try:
        coroutine.send(None)
    except StopIteration as stop:
        result: T = stop.value
        return result
    coroutine.close()
    raise RuntimeError("a question to the network where none may be asked")
