"""What the proof knows of restrictions is all that there are, and what it says of them is so."""

from __future__ import annotations

import pytest

from seawall.config.host import LOOPBACK
from seawall.config.settings import Settings
from seawall.policy.bench import Argument
from seawall.policy.proof.about import ABOUT, Permits
from seawall.policy.proof.search import Kind, examine
from seawall.policy.registry import RESTRICTIONS
from tests.policy.proof.relay_cases import BASE

ARGUMENTS = {
    Argument.NONE: "",
    Argument.TABLE: " static:OK",
    Argument.DOMAIN: " wl.example",
    Argument.SERVICE: " unix:private/policy",
    Argument.NUMBER: " 1",
}
TLS = {"smtpd_tls_security_level": "may", "smtpd_tls_ask_ccert": "yes"}
EXPECTED = {Permits.ANYBODY: Kind.RELAYS, Permits.PATTERN: Kind.RELAYS}


def test_every_restriction_is_known() -> None:
    assert ABOUT.keys() == RESTRICTIONS.keys()


@pytest.mark.parametrize("name", sorted(ABOUT))
def test_what_may_permit_a_stranger_is_what_relays_before_a_guard(name: str) -> None:
    lists = {"smtpd_relay_restrictions": f"members, {name}{ARGUMENTS[RESTRICTIONS[name].argument]}, reject"}
    classes = {"smtpd_restriction_classes": "members", "members": "permit_mynetworks"}
    text = "".join(f"{key} = {value}\n" for key, value in {**BASE, **TLS, **lists, **classes}.items())

    finding = examine(Settings.from_text(text, host=LOOPBACK), {"smtp": "smtp"})

    expected = EXPECTED.get(ABOUT[name].permits, Kind.PROVED)
    if name == "check_policy_service":
        expected = Kind.DEPENDS
    if name == "permit":  # Postfix looks no further for a guard, finds none, and does not start
        expected = Kind.PROVED
    assert finding.kind is expected
