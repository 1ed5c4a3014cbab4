from collections.abc import Iterator

import pytest

from tests.system.server import Server, site


@pytest.fixture
def server() -> Iterator[Server]:
    """A site of its own, not started."""
    with site() as made:
        yield made


@pytest.fixture(scope="module")
def running() -> Iterator[Server]:
    """A server that all tests of a file share; each leaves it serving."""
    with site() as made:
        yield made.start()
