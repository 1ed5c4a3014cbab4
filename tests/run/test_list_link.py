"""What one worker finds out of a DNS list the others know, without a question and without a word."""

from __future__ import annotations

from collections.abc import Callable

from seawall.dns.answers import Answer, Found, NoSuchName, Resource
from seawall.journal.record import MemoryJournal
from seawall.policy.list_watch import Heard, Kind
from seawall.policy.list_watching import Watched
from seawall.run import messages as m
from seawall.run.list_link import WorkerLists
from tests.door.test_lists import Clock
from tests.edge.test_limits import Timer


class Watcher:
    """Passes each worker's news on to all others, when it is there."""

    def __init__(self) -> None:
        self.links: list[Link] = []
        self.is_there = True


class Link:
    def __init__(self, watcher: Watcher) -> None:
        self.passed: list[m.LinkMessage] = []
        self.heard: Callable[[m.LinkMessage], None] = self.passed.append
        self._watcher = watcher
        watcher.links.append(self)

    def tell(self, message: m.LinkMessage) -> bool:
        for link in self._watcher.links if self._watcher.is_there else ():
            if link is not self:
                link.heard(message)
        return self._watcher.is_there


class Worker:
    def __init__(self, world: World, index: int) -> None:
        self.journal, self.link = MemoryJournal(), Link(world.watcher)
        self.asked: list[str] = []
        self._world = world
        self.lists = WorkerLists(self, Clock(world.timer), self.journal, self.link, 3600.0, asks_regularly=index == 0)
        self.watched: Watched = self.lists.watching.watch("bl.example", Kind.ADDRESSES)

    def ask(self, name: str, kind: str) -> Answer:
        self.asked.append(name)
        is_listed = self._world.lies or name.startswith("2.0.0.127.")
        return Found((Resource(kind, name, "127.0.0.2", 5),)) if is_listed else NoSuchName()

    @property
    def told(self) -> list[str]:
        return [type(record).__name__ for record in self.journal.records]


class World:
    def __init__(self) -> None:
        self.timer, self.watcher, self.lies = Timer(), Watcher(), True
        self.workers = [Worker(self, index) for index in range(3)]


def test_who_finds_it_out_tells_the_log_and_the_others_believe_it() -> None:
    world = World()
    first, second, third = world.workers
    assert second.watched.believes() is False
    assert [worker.watched.is_aside for worker in world.workers] == [True] * 3
    assert [worker.told for worker in world.workers] == [[], ["ListPutAside"], []]
    assert (first.asked, third.asked) == ([], [])
    world.lies, world.timer.now = False, world.timer.now + 61
    for worker in world.workers:
        worker.lists.watching.look()
    assert [worker.watched.is_aside for worker in world.workers] == [False] * 3
    assert second.told == ["ListPutAside", "ListTakenBack"]
    assert (third.told, third.asked) == ([], [])


def test_it_comes_back_though_nobody_tells_of_it() -> None:
    world = World()
    world.workers[1].watched.believes()
    world.lies, world.watcher.is_there = False, False
    world.timer.now += 121
    world.workers[2].lists.watching.look()
    assert not world.workers[2].watched.is_aside


def test_without_the_watcher_everybody_finds_it_out_for_himself() -> None:
    world = World()
    world.watcher.is_there = False
    for worker in world.workers:
        worker.watched.heard(Heard.ERROR, "192.0.2.1", "127.255.255.254")
        assert worker.told == ["ListPutAside"]


def test_only_the_first_worker_asks_regularly() -> None:
    world = World()
    world.lies, world.timer.now = False, world.timer.now + 70
    for worker in world.workers:
        worker.lists.watching.look()
    assert [len(worker.asked) for worker in world.workers] == [3, 0, 0]


def test_what_is_not_about_lists_is_passed_on() -> None:
    link = World().workers[0].link
    link.heard(m.GreylistAnswer(7, ()))
    assert link.passed == [m.GreylistAnswer(7, ())]
