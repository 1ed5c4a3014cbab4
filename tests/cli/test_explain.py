"""`seawall explain`: a script's checks one by one, and a session that the journal store remembers."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from seawall.cli import exits
from seawall.cli.explain import main
from seawall.journal.batch import batch_of
from seawall.journal.record import Record
from seawall.journal.records.edge import Connected, Disconnected, Remarked
from seawall.journal.store import Store
from seawall.run.site import OWN

ZONE = "$TTL 60\nfriend.example. MX 10 mx.friend.example.\n;!timeout slow.example ANY\n"


@pytest.fixture
def site(tmp_path: Path) -> Path:
    etc = tmp_path / "etc/postfix"
    etc.mkdir(parents=True)
    (etc / "main.cf").write_text(
        "compatibility_level = 3.6\nmydestination = here.example\nalias_maps =\nlocal_recipient_maps =\n"
        "data_directory = /var/lib/postfix\nmynetworks = 127.0.0.0/8\n"
        "smtpd_recipient_restrictions = permit_mynetworks, check_sender_access inline:{x.example=strict}, "
        "reject_unknown_sender_domain, reject_unauth_destination\n"
        "smtpd_restriction_classes = strict\nstrict = reject_non_fqdn_sender, reject\n"
    )
    (tmp_path / "zone").write_text(ZONE)
    return tmp_path


def explain(site: Path, *words: str) -> int:
    return main(["-c", "/etc/postfix", "--root", str(site), "--dns", str(site / "zone"), *words])


def test_every_check_of_a_line_is_shown_with_what_it_asked_and_heard(
    site: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    (site / "script").write_text("client c.example 198.18.1.1\nmail a@friend.example\nrcpt b@elsewhere.example\n")

    assert explain(site, "--rehearse", str(site / "script")) == exits.OK
    lines = [line.partition("  (")[0] for line in capfd.readouterr().out.splitlines()]
    after = lines[lines.index(">>> rcpt b@elsewhere.example") + 1 :]
    assert after[:3] == [
        "  smtpd_relay_restrictions:",
        "    permit_mynetworks: no opinion",
        "      asked clients mynetworks c.example 198.18.1.1: no",
    ]
    assert "      because: relay-denied (elsewhere.example)" in after
    assert after[-1].startswith("454 4.7.1 <b@elsewhere.example>: Relay access denied")


def test_a_list_that_a_table_gave_stands_inside_its_check(site: Path, capfd: pytest.CaptureFixture[str]) -> None:
    (site / "script").write_text("client c.example 198.18.1.1\nmail a@x.example\nrcpt b@here.example\n")

    assert explain(site, "--json", "--rehearse", str(site / "script")) == exits.OK
    told = json.loads(capfd.readouterr().out.splitlines()[-1])
    check = next(step for step in told["checks"] if step["name"].startswith("check_sender_access"))
    assert check["said"] == "refuses: 554 5.7.1 <a@x.example>: Sender address rejected: Access denied"
    assert [step["name"] for step in check["inside"]] == ["strict"]
    assert [step["name"] for step in check["inside"][0]["inside"]] == ["reject_non_fqdn_sender", "reject"]
    assert all(step["seconds"] >= 0 for step in told["checks"])


def test_trouble_is_what_a_check_heard(site: Path, capfd: pytest.CaptureFixture[str]) -> None:
    (site / "script").write_text("client c.example 198.18.1.1\nmail a@slow.example\nrcpt b@here.example\n")

    explain(site, "--rehearse", str(site / "script"))
    out = capfd.readouterr().out
    assert "asked dns slow.example MX: no answer" in out
    assert "reject_unknown_sender_domain: defers what would be permitted: 450 4.1.8" in out


CHECKS = json.dumps([
    {"parameter": "smtpd_relay_restrictions", "name": "reject_unauth_destination", "said": "refuses: 454 4.7.1 no",
     "seconds": 0.25, "asked": [{"kind": "route", "words": ["b@x", "a@y"], "heard": "b@x by smtp:x"}]}
])  # fmt: skip


def keep(site: Path, *records: Record) -> None:
    store = Store(site / "var/lib/postfix" / OWN / "journal.sqlite")
    store.add([batch_of(records)])
    store.close()


def session(number: int, at: float, recipient: str) -> list[Record]:
    name, address = "c.example", "198.18.1.1"
    refused = Remarked(
        at=at + 1,
        number=number,
        name=name,
        address=address,
        what="reject",
        where="RCPT",
        message="454 4.7.1 no",
        sender="a@friend.example",
        recipient=recipient,
        protocol="ESMTP",
        helo="h.example",
        reason="relay-denied",
        evidence=("e.example",),
        checks=CHECKS,
    )
    return [
        Connected(at=at, number=number, name=name, address=address),
        refused,
        Disconnected(at=at + 2, number=number, name=name, address=address),
    ]


def test_a_session_of_the_log_is_told_and_judged_again(site: Path, capfd: pytest.CaptureFixture[str]) -> None:
    keep(site, *session(7, 100.0, "old@elsewhere.example"), *session(8, 150.0, "x@other.example"))
    keep(site, *session(7, 200.0, "b@elsewhere.example"))

    assert explain(site, "7") == exits.OK
    out = capfd.readouterr().out
    assert "because: relay-denied (e.example)" in out
    assert "reject_unauth_destination: refuses: 454 4.7.1 no  (250.00 ms)" in out
    assert "asked route b@x a@y: b@x by smtp:x" in out
    assert ">>> client c.example 198.18.1.1 2" in out
    assert ">>> rcpt <b@elsewhere.example>" in out
    assert "old@elsewhere.example" not in out
    assert "other.example" not in out
    assert out.rstrip().endswith("454 4.7.1 <b@elsewhere.example>: Relay access denied")


def test_a_session_that_nobody_knows_is_said(site: Path, capfd: pytest.CaptureFixture[str]) -> None:
    keep(site, *session(7, 100.0, "b@elsewhere.example"))

    assert explain(site, "4711") == 1
    assert explain(site, "4cXyz12345") == 1
    assert "knows no session 4711" in capfd.readouterr().err


def test_without_a_store_the_store_is_missed(site: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert explain(site, "7") == exits.NOINPUT
    assert "journal store" in capfd.readouterr().err
