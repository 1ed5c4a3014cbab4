from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from seawall.intake.content import HEADER_LIMIT, MEMORY_LIMIT, Incoming, InFlight
from tests.intake.conftest import all_bytes


def kept(incoming: Incoming) -> bytes:
    return all_bytes(incoming.content(incoming.head()))


@given(st.lists(st.integers(0, 150_000), max_size=5))
def test_every_byte_is_kept_in_order(sizes: list[int]) -> None:
    flight = InFlight()
    incoming = Incoming("/tmp", flight)
    written = b"A: b\n\n"
    incoming.write(written)
    for at, size in enumerate(sizes):
        piece = bytes([65 + at]) * size
        written += piece
        incoming.write(piece)
    assert incoming.trouble is None
    assert kept(incoming) == written
    assert len(incoming.head()) <= MEMORY_LIMIT
    incoming.close()
    assert (flight.in_memory, flight.in_files) == (0, 0)


def test_small_mail_opens_no_file(tmp_path: Path) -> None:
    incoming = Incoming(str(tmp_path), InFlight())
    incoming.write(b"A: b\n\n" + b"x" * 60_000)
    assert incoming.descriptor == -1
    incoming.close()


def test_a_long_header_block_stays_in_memory_up_to_its_limit(tmp_path: Path) -> None:
    incoming = Incoming(str(tmp_path), InFlight())
    block = b"A: b\n c\n" * 20_000
    incoming.write(block[:100_000])
    for at in range(100_000, len(block), 8192):
        incoming.write(block[at : at + 8192])
    assert incoming.head() == block
    for _ in range(20):
        incoming.write(b"B: c\n" * 2000)
    assert len(incoming.head()) == HEADER_LIMIT
    assert kept(incoming) == block + b"B: c\n" * 40_000
    incoming.close()


def test_a_body_does_not_count_as_header(tmp_path: Path) -> None:
    incoming = Incoming(str(tmp_path), InFlight())
    incoming.write(b"A: b\n" * 15_000 + b"\n" + b"x" * 100_000)
    assert len(incoming.head()) < 2 * MEMORY_LIMIT + 1
    assert incoming.spilled > 0
    incoming.close()


def test_when_memory_is_spoken_for_everything_goes_to_files(tmp_path: Path) -> None:
    flight = InFlight(memory_budget=1000)
    flight.in_memory = 1000
    incoming = Incoming(str(tmp_path), flight)
    incoming.write(b"A: b\n\n")
    incoming.write(b"x" * 5000)
    assert incoming.spilled >= 5000
    assert kept(incoming) == b"A: b\n\n" + b"x" * 5000
    incoming.close()


def test_trouble_is_kept_for_the_end() -> None:
    incoming = Incoming("/nowhere/at/all", InFlight())
    incoming.write(b"\n" + b"x" * 100_000)
    incoming.write(b"more")
    assert incoming.trouble is not None
    incoming.close()
