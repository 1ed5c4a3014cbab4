"""The ways to log in, by smtpd_sasl_type: one visible table."""

from __future__ import annotations

from collections.abc import Callable

from seawall.config.settings import ConfigTrouble, Settings
from seawall.edge.login import Login
from seawall.edge.login_cyrus import CyrusLogin
from seawall.edge.login_dovecot import DovecotLogin
from seawall.edge.login_users import UsersLogin
from seawall.edge.profile import at_once
from seawall.tables.registry import Tables

TYPES: dict[str, Callable[[Settings, Callable[[str], bool]], Login]] = {
    "cyrus": CyrusLogin,
    "dovecot": DovecotLogin,
    "seawall": UsersLogin,
}
"""Never changed.  Each is called with the configuration and smtpd_sasl_mechanism_filter."""


def make_login(settings: Settings, tables: Tables) -> Login:
    """The login of a service that has smtpd_sasl_auth_enable.  Raises ConfigTrouble for what cannot be served."""
    kind = settings.text("smtpd_sasl_type")
    make = TYPES.get(kind)
    if make is None:
        raise ConfigTrouble(
            f"smtpd_sasl_type = {kind} is not served; have: {', '.join(TYPES)}", settings.where("smtpd_sasl_type")
        )
    wanted = tables.string_list(settings.text("smtpd_sasl_mechanism_filter"), title="smtpd_sasl_mechanism_filter")
    for pattern in wanted.patterns:
        if pattern.table is not None:
            at_once(pattern.table, "smtpd_sasl_mechanism_filter")
    return make(settings, lambda name: bool(wanted.test(name.lower()) is True))
