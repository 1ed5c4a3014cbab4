"""`seawall relay-proof` on sites as they lie on disk: its words, its exit codes, and scripts that `seawall rehearse` plays."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from seawall.cli import exits, rehearse, relay_proof

SEED_A = """\
compatibility_level = 0
mydestination = $myhostname, localhost, texthash:/etc/postfix/domain-accept
myhostname = pop.cape.com
mynetworks = texthash:/etc/postfix/ip-relay
alias_maps =
relay_domains = texthash:/etc/postfix/domain-relay
smtpd_helo_required = yes
smtpd_helo_restrictions = permit_mynetworks, reject_invalid_hostname, reject_non_fqdn_hostname
smtpd_recipient_restrictions = regexp:/etc/postfix/recipient_regexp,
    permit_sasl_authenticated, reject_non_fqdn_recipient,
    reject_unknown_recipient_domain, permit_mynetworks,
    reject_unauth_destination
smtpd_sender_restrictions = permit_mynetworks, reject_unauth_pipelining,
    reject_non_fqdn_sender, reject_unknown_sender_domain, permit
"""
SEED_B = """\
compatibility_level = 0
myhostname = mail.here.example
smtpd_recipient_restrictions =
       permit_sasl_authenticated
       permit_mynetworks
       check_recipient_access proxy:pgsql:/etc/postfix/vpm_recipient_access
       check_sender_access hash:/etc/postfix/smtpd_sender_access
       check_recipient_access hash:/etc/postfix/smtpd_recipient_access
       reject_rbl_client dul.dnsbl.sorbs.net
       check_policy_service unix:private/vpm-pfpolicy
       reject_unauth_destination
smtpd_sender_restrictions =
       permit_mynetworks
       reject_unknown_sender_domain
       reject_unknown_recipient_domain
smtpd_client_restrictions =
       check_client_access hash:/etc/postfix/smtpd_client_access
       reject_unknown_client_hostname
smtpd_helo_restrictions =
       check_helo_access hash:/etc/postfix/smtpd_helo_names
       reject_invalid_helo_hostname
       reject_non_fqdn_helo_hostname
smtpd_data_restrictions =
       reject_unauth_pipelining
"""


def site(root: Path, main_cf: str, master_cf: str = "", **files: str) -> str:
    etc = root / "etc" / "postfix"
    etc.mkdir(parents=True)
    (etc / "main.cf").write_text(main_cf)
    if master_cf:
        (etc / "master.cf").write_text(master_cf)
    for name, text in files.items():
        (etc / name.replace("_in_", "-")).write_text(text)
    return str(root)


def site_a(root: Path, recipients: str) -> str:
    networks = {
        "domain_in_accept": "cape.com x\n",
        "ip_in_relay": "10.1.2.3 x\n",
        "domain_in_relay": "relay.example x\n",
    }
    return site(root, SEED_A, recipient_regexp=recipients, **networks)


def run(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str]:
    code = relay_proof.main(list(arguments))
    return code, capsys.readouterr().out


def script_in(text: str) -> str:
    """The indented lines after the first ``this session relays:``."""
    lines = text.split("this session relays:\n", 1)[1].splitlines()
    script = []
    for line in lines:
        if not line.startswith("      "):
            break
        script.append(line.strip())
    return "\n".join(script) + "\n"


def rehearsed(capsys: pytest.CaptureFixture[str], root: str, script: str, tmp_path: Path) -> list[str]:
    (tmp_path / "script").write_text(script)
    assert rehearse.main(["-c", "/etc/postfix", "--root", root, str(tmp_path / "script")]) == exits.OK
    return capsys.readouterr().out.splitlines()


def test_an_ok_in_the_first_table_of_configuration_a_relays(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    root = site_a(tmp_path / "site", "/[%!@].*[%!@]/ 550 no\n/^abuse@/ OK\n")

    code, text = run(capsys, "--root", root)

    assert code == relay_proof.RELAYS
    assert (
        "permitted by smtpd_recipient_restrictions: check_recipient_access regexp:/etc/postfix/recipient_regexp" in text
    )
    assert "smtpd_relay_restrictions = permit_mynetworks, permit_sasl_authenticated, reject_unauth_destination" in text
    heard = rehearsed(capsys, root, script_in(text), tmp_path)
    assert heard[-2:] == [">>> rcpt abuse@victim.example", "OK"]


def test_configuration_a_is_proved_as_long_as_that_table_gives_no_ok(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    code, text = run(capsys, "--root", site_a(tmp_path, "/[%!@].*[%!@]/ 550 no\n"))

    assert code == exits.OK
    assert "as long as regexp:/etc/postfix/recipient_regexp gives no OK to a stranger's mail (sha256 " in text
    assert "guarded by smtpd_recipient_restrictions: reject_unauth_destination (/etc/postfix/main.cf:12)" in text
    assert text.endswith("proved: no stranger can relay\n")


def test_configuration_b_depends_on_four_parts(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    root = site(tmp_path / "site", SEED_B)

    code, text = run(capsys, "--root", root)

    assert code == exits.OK
    for part in (
        "proxy:pgsql:/etc/postfix/vpm_recipient_access",
        "hash:/etc/postfix/smtpd_sender_access",
        "hash:/etc/postfix/smtpd_recipient_access",
        "unix:private/vpm-pfpolicy",
    ):
        assert f"if {part} says OK" in text
    assert "did not when it was rehearsed" not in text
    assert "did not" not in text
    script = script_in(text)
    assert "assume proxy:pgsql:/etc/postfix/vpm_recipient_access user@victim.example OK\n" in script
    assert run(capsys, "--root", root, "--strict")[0] == relay_proof.RELAYS


def test_a_forged_sender_relays_under_configuration_b(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    root = site(
        tmp_path, SEED_B, smtpd_sender_access="boss@partner.example OK\n", smtpd_recipient_access="x@y.example DUNNO\n"
    )

    code, text = run(capsys, "--root", root, "--json")

    report = json.loads(text)
    assert (code, report["answer"]) == (relay_proof.RELAYS, "relays")
    hole = report["services"][0]["holes"][0]
    assert "mail boss@partner.example" in hole["script"]
    assert hole["relayed_in_rehearsal"]
    assert report["services"][0]["changes"][0]["parameter"] == "smtpd_relay_restrictions"


def test_each_service_of_master_cf_is_looked_at(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    master = """\
smtp inet n - n - - smtpd
submission inet n - n - - smtpd
  -o smtpd_relay_restrictions=permit_sasl_authenticated,reject
127.0.0.1:10025 inet n - n - - smtpd
  -o smtpd_relay_restrictions=
  -o smtpd_recipient_restrictions=check_client_access,static:OK,reject
2526 inet n - n - - smtpd
  -o { smtpd_relay_restrictions = check_helo_access static:OK, reject }
"""
    root = site(tmp_path / "site", "compatibility_level = 3.6\nalias_maps =\n", master)

    code, text = run(capsys, "--root", root)

    answers = [line.split(": ")[-1] for line in text.splitlines() if " inet smtpd (" in line]
    assert answers == ["proved", "proved", "proved", "relays"]
    assert code == relay_proof.RELAYS
    assert "no stranger reaches it: listens on 127.0.0.1 only" in text
    assert "-o { smtpd_relay_restrictions = reject_unauth_destination, check_helo_access static:OK, reject }" in text
    assert rehearsed(capsys, root, script_in(text), tmp_path)[-1] == "OK"


def test_a_configuration_that_cannot_be_read_is_no_proof(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert run(capsys, "--root", str(tmp_path))[0] == exits.CONFIG
    assert (
        run(capsys, "--root", site(tmp_path / "x", "compatibility_level = 3.6\nsmtpd_delay_reject = maybe\n"))[0]
        == exits.CONFIG
    )


def test_a_door_alone_proves_nothing_of_the_server_behind(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    main_cf = "compatibility_level = 3.6\nalias_maps =\nseawall_upstream = 127.0.0.1:10025\n"
    root = site(tmp_path / "site", main_cf, "smtp inet n - n - - smtpd\n")

    assert run(capsys, "--root", root, "--strict")[0] == relay_proof.RELAYS
    code, text = run(capsys, "--root", root)

    assert code == exits.OK
    assert "not proved: the server behind (127.0.0.1:10025) says who may relay" in text
    root = site(tmp_path / "blind", f"{main_cf}seawall_upstream_protocol = none\n", "smtp inet n - n - - smtpd\n")
    assert "takes every client for this host" in run(capsys, "--root", root)[1]
