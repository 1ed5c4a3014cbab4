import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from seawall.delivery.spawner import start_spawner
from tests.delivery.world import IS_ROOT, World

collect_ignore = [] if IS_ROOT else ["test_rights.py"]  # only root can deliver for several users


@pytest.fixture
def world() -> Iterator[World]:
    """A host with the users nobody and ann; its directories may be entered by every uid."""
    base = Path(tempfile.mkdtemp(prefix="delivery-"))
    base.chmod(0o755)
    made = World(base, start_spawner())
    made.add_user("nobody")
    made.add_user("ann")
    try:
        yield made
    finally:
        made.close()
        shutil.rmtree(base)
