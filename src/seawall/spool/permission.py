"""Which local users may submit, look at the queue and flush it.  postconf(5) authorized_submit_users and its sisters"""

from __future__ import annotations

from seawall.config.settings import Settings
from seawall.spool.control import Allowed
from seawall.tables.match import StringList
from seawall.tables.registry import Tables
from seawall.tables.table import TableTrouble

PARAMETERS = ("authorized_submit_users", "authorized_mailq_users", "authorized_flush_users")


def allowed_by(settings: Settings, tables: Tables) -> Allowed:
    """The lists of a configuration, as Control and SubmissionServer ask them; trouble with a table is a no."""
    lists: dict[str, StringList] = {name: tables.string_list(settings.text(name)) for name in PARAMETERS}

    async def allowed(parameter: str, user: str) -> bool:
        try:
            return await lists[parameter].matches(user)
        except TableTrouble:
            return False

    return allowed
