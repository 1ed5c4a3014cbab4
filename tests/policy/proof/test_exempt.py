"""relay-proof over exemptions: a check that stood in the way counts no more, a guard always does."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from seawall.cli.relay_proof import prove
from seawall.cli.relay_proof_text import Line, as_json, as_text
from seawall.config.settings import load
from seawall.policy.exempt import RESTRICTIONS
from seawall.policy.proof.parts import Reducer
from seawall.policy.proof.search import Kind, examine
from seawall.policy.proof.session import play
from seawall.policy.proof.world import World
from tests.policy.proof.random_lists import random_settings, sessions
from tests.policy.proof.test_property import COMMANDS, settings_of

TAIL = "added=2020-01-01 until=2999-01-01 by=ann  they know"
BASE = """\
compatibility_level = 3.6
myhostname = mail.here.example
mydestination = here.example
mynetworks = 127.0.0.0/8
local_recipient_maps =
alias_maps =
inet_protocols = ipv4
"""
BY_NAME = """\
smtpd_relay_restrictions =
smtpd_recipient_restrictions = reject_unknown_client_hostname, check_client_access inline:{unknown=OK}, reject_unauth_destination
"""
BY_HELO = """\
smtpd_relay_restrictions =
smtpd_helo_required = yes
smtpd_recipient_restrictions = reject_non_fqdn_helo_hostname, check_helo_access regexp:{{/^short$$/ OK}}, reject_unauth_destination
"""
AFTER_GUARD = """\
smtpd_client_restrictions = reject_unknown_client_hostname
smtpd_helo_restrictions = reject_invalid_helo_hostname, reject_non_fqdn_helo_hostname, reject_rbl_client bl.example
smtpd_relay_restrictions =
smtpd_recipient_restrictions = permit_mynetworks, reject_unauth_destination, reject_unknown_client_hostname, permit
"""


def prove_with(root: Path, main_cf: str, *lines: str, exempt_file: str = "seawall.exempt") -> Line:
    etc = root / "etc" / "postfix"
    etc.mkdir(parents=True, exist_ok=True)
    (etc / "main.cf").write_text(BASE + main_cf)
    (etc / exempt_file).write_text("".join(f"{line}\n" for line in lines))
    (found,) = prove(load("/etc/postfix", str(root)))
    return found


@pytest.mark.parametrize(
    ("main_cf", "line"),
    [
        (BY_NAME, f"198.18.5.0/24 reject_unknown_client_hostname {TAIL}"),
        (BY_NAME, f"198.18.5.7 all {TAIL}"),
        (BY_NAME, f"8.0.0.0/8 reject_unknown_client {TAIL}"),
        (BY_HELO, f"198.18.5.0/24 reject_non_fqdn_helo_hostname {TAIL}"),
        (BY_HELO, f"mx.friend.example reject_non_fqdn_helo_hostname {TAIL}"),
        (BY_HELO, f".friend.example all {TAIL}"),
    ],
)
def test_a_check_that_guarded_by_chance_guards_no_more_where_somebody_is_exempt_from_it(
    tmp_path: Path, main_cf: str, line: str
) -> None:
    assert prove_with(tmp_path, main_cf).finding.kind is Kind.PROVED
    found = prove_with(tmp_path, main_cf, line)
    assert found.finding.kind is Kind.RELAYS
    assert found.played == (True,)
    key = line.split()[0]
    assert f"  {key} is exempt from what might have refused it: seawall exempt remove {key}\n" in as_text([found])
    assert f'"exempt": [\n            "{key}"' in as_json([found])


@pytest.mark.parametrize(
    "line",
    [
        f"198.18.5.0/24 reject_rbl_client {TAIL}",
        f"mx.friend.example reject_unknown_client_hostname {TAIL}",
        "198.18.5.0/24 all added=2020-01-01 until=2020-02-01 by=ann  it is over",
        f"198.18.5.0/24 reject_unauth_destination {TAIL}",
    ],
)
def test_an_exemption_from_another_check_or_one_that_is_over_or_none_opens_nothing(tmp_path: Path, line: str) -> None:
    assert prove_with(tmp_path, BY_NAME, line).finding.kind is Kind.PROVED


def test_guards_guard_whoever_is_exempt_from_whatever(tmp_path: Path) -> None:
    lines = [f"{key} all {TAIL}" for key in ("0.0.0.0/1", "128.0.0.0/1", ".friend.example", "198.18.5.7")]
    found = prove_with(tmp_path, AFTER_GUARD, *lines)
    assert found.finding.kind is Kind.PROVED
    assert {guard.place.name for guard in found.finding.guards if guard.place} == {"reject_unauth_destination"}
    assert any(
        table.name == "seawall-exempt:/etc/postfix/seawall.exempt" and table.digest for table in found.finding.tables
    )


def test_a_service_with_a_file_of_its_own_is_proved_with_that(tmp_path: Path) -> None:
    prove_with(tmp_path, BY_NAME, f"198.18.5.0/24 all {TAIL}", exempt_file="other")
    (tmp_path / "etc/postfix/master.cf").write_text(
        "smtp inet n - n - - smtpd\n26 inet n - n - - smtpd\n  -o seawall_exempt_file=/etc/postfix/other\n"
        "smtp unix - - n - - smtp\nrelay unix - - n - - smtp\nlocal unix - n n - - local\n"
    )
    (tmp_path / "etc/postfix/seawall.exempt").unlink(missing_ok=True)
    kinds = [line.finding.kind for line in prove(load("/etc/postfix", str(tmp_path)))]
    assert kinds == [Kind.PROVED, Kind.RELAYS]


KEYS = (
    "203.0.113.0/24",
    "198.51.100.66",
    ".stranger.example",
    "stranger.com",
    ".stranger.org",
    "client.stranger.example",
)
GUARDED = (
    ("reject_unknown_client_hostname", "check_client_access inline:{unknown=OK}"),
    ("reject_non_fqdn_helo_hostname", "check_helo_access regexp:{{/^[x7]$$/ OK}}"),
    ("reject_rbl_client bl.example", "permit_dnswl_client wl.example"),
)
"""A check, and a permit for those whom it refuses."""
CONFIGURATIONS = 150
EACH = 120


def test_what_is_proved_with_exemptions_no_session_gets_through(tmp_path: Path) -> None:
    """Brute force: random lists, random entries of which some fit the random sessions' clients."""
    chance = random.Random(67)
    relaying = 0
    for number in range(CONFIGURATIONS):
        values = random_settings(chance)
        check, permit = chance.choice(GUARDED)
        name = chance.choice(("smtpd_relay_restrictions", "smtpd_recipient_restrictions"))
        values[name] = f"{check}, {permit}, {values[name]}"
        checks = [*chance.sample(RESTRICTIONS, 3), *([check.split()[0]] if chance.random() < 0.7 else [])]
        entries = [(key, ",".join(checks)) for key in chance.sample(KEYS, 2)]
        file = tmp_path / str(number)
        file.write_text("".join(f"{key} {checks} {TAIL}\n" for key, checks in entries))
        settings = settings_of({**values, "seawall_exempt_file": str(file)})
        finding = examine(settings, COMMANDS)
        relaying += finding.kind is Kind.RELAYS and examine(settings_of(values), COMMANDS).kind is Kind.PROVED
        if finding.kind is Kind.RELAYS or finding.note:
            continue
        world = World(settings)
        reducer = Reducer(world, COMMANDS)
        for session in sessions(chance, EACH):
            if session.helo is None and settings.flag("smtpd_helo_required"):
                continue
            if play(world, session).accepted and reducer.is_relayed(session.recipient):
                raise AssertionError((finding, values, entries, session))
    assert relaying > 0
