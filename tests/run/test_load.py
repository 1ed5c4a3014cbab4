"""What a worker has, and how the number of its places follows from the memory that it fills."""

from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from seawall.journal.records.load import CrowdThinned, StressChanged
from seawall.run.load import LEAST_PLACES, Means, Service, fitting, host_memory, memory_used

HAS = Means(places=1000, memory=1 << 30)


def test_where_memory_is_short_places_shrink_by_and_by_and_come_back() -> None:
    assert fitting(HAS, HAS.memory + 1, 1000, 800) == 700
    assert fitting(HAS, HAS.memory + 1, 110, 110) == LEAST_PLACES
    assert fitting(HAS, HAS.memory * 9 // 10, 700, 650) == 700
    assert fitting(HAS, HAS.memory // 2, 700, 650) == 788
    assert fitting(HAS, 0, 990, 0) == 1000


@given(st.integers(0, 1 << 32), st.integers(1, 1000), st.integers(0, 1000))
def test_there_are_never_too_many_places_nor_none(memory: int, most: int, held: int) -> None:
    assert min(most, LEAST_PLACES) <= fitting(HAS, memory, most, held) <= HAS.places


def test_a_small_worker_keeps_what_it_has() -> None:
    assert fitting(Means(places=8, memory=1), 2, 8, 8) == 8


def test_memory_is_what_the_kernel_says() -> None:
    total = int(Path("/proc/meminfo").read_text().split()[1]) << 10
    assert 0 < memory_used() < host_memory() <= total + (1 << 20)


def test_a_services_stress_is_told_with_what_was_counted() -> None:
    service = Service("smtp", 100, lambda: 120)
    assert service.share() == {"sessions": 1.2}
    line = StressChanged(at=0.0, who="service smtp", is_on=True, cause=service.cause()).text()
    assert line == (
        "warning: service smtp is under stress: 120 sessions, and 100 are this worker's share of its process limit"
    )
    assert StressChanged(at=0.0, who="worker 1", is_on=False).text() == "worker 1 is no longer under stress"


def test_one_line_tells_of_many_clients() -> None:
    told = CrowdThinned(
        at=0.0, who="worker 0", turned_away=312, let_go=25, seconds=10.04, held=15000, most=15000, loudest=(("a", 9),)
    )
    assert told.text() == (
        "warning: worker 0 has too many connections: 312 turned away and 25 let go in 10 s; 15000 of 15000 held; "
        "loudest networks: a (9)"
    )
