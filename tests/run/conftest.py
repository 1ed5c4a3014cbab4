from collections.abc import Iterator

import pytest

from tests.system.server import Server, site


@pytest.fixture
def server() -> Iterator[Server]:
    """A site of its own, not started."""
    with site() as made:
        yield made
