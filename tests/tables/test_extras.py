"""A library that only some tables need and that is not there."""

import pytest

from seawall.tables.extras import need
from seawall.tables.table import TableUnsupported


def test_a_missing_extra_is_told_with_the_command_that_installs_it() -> None:
    with pytest.raises(TableUnsupported) as trouble:
        need("no_such_library.part", "mysql")
    assert str(trouble.value) == (
        "tables of type mysql need the package no_such_library, which is not installed: pip install 'seawall[mysql]'"
    )


def test_what_is_there_is_given() -> None:
    assert need("asyncpg", "pgsql").__name__ == "asyncpg"
