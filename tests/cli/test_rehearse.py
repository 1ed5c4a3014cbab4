"""`seawall rehearse`: the language of docs/design.md section 9, line by line."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from seawall.cli import exits
from seawall.cli.rehearse import main
from seawall.cli.rehearse_stage import Rehearsal
from seawall.dns.zone import Zone
from seawall.eager import result_now

ZONE = Zone("$TTL 60\nfriend.example. MX 10 mx.friend.example.\n;!servfail broken.example ANY\n")


def play(*lines: str) -> list[str]:
    """The answers, comments and blank lines left out."""
    rehearsal = Rehearsal(dns=ZONE)
    answers = [result_now(rehearsal.play(line)) for line in lines]
    return [answered.answer for answered in answers if answered is not None]


def test_it_starts_as_localhost_with_nothing_forbidden_but_unknown_users_of_nothing() -> None:
    rehearsal = Rehearsal(dns=ZONE)

    assert rehearsal.attempt.client == "localhost[127.0.0.1]"
    assert play("helo x", "mail <>", "rcpt a@friend.example", "data", "etrn x.example") == ["OK"] * 5


def test_every_step_is_answered_by_its_own_list_at_once() -> None:
    assert play(
        "client_restrictions reject_unknown_client",
        "client unknown 192.0.2.1",
        "unknown_client_reject_code 550",
        "client unknown 192.0.2.1 5",
        "client a.example 192.0.2.1 2",
        "helo_restrictions reject_non_fqdn_hostname",
        "helo short",
        "helo a.example",
        "sender_restrictions reject_unknown_sender_domain",
        "mail <a@nosuch.example>",
        "mail a@friend.example",
        "relay_domains relay.example",
        "recipient_restrictions permit_mynetworks,reject_unauth_destination",
        "rcpt <b@friend.example>",
        "rcpt <b@relay.example>",
        "mynetworks 192.0.2.0/24",
        "rcpt <b@friend.example>",
    ) == [
        "OK",
        "450 4.7.25 Client host rejected: cannot find your hostname, [192.0.2.1]",
        "OK",
        "550 5.7.25 Client host rejected: cannot find your hostname, [192.0.2.1]",
        "OK",
        "OK",
        "504 5.5.2 <short>: Helo command rejected: need fully-qualified hostname",
        "OK",
        "OK",
        "450 4.1.8 <a@nosuch.example>: Sender address rejected: Domain not found",
        "OK",
        "OK",
        "OK",
        "554 5.7.1 <b@friend.example>: Relay access denied",
        "OK",
        "OK",
        "OK",
    ]


def test_state_stays_from_line_to_line_and_delayed_lists_speak_at_rcpt() -> None:
    lines = ("helo_restrictions reject_invalid_hostname", "helo -bad", "mail a@b.example", "rcpt c@d.example")
    refusal = "501 5.5.2 <-bad>: Helo command rejected: Invalid name"

    assert play(*lines) == ["OK", refusal, "OK", refusal]
    assert play("smtpd_delay_reject 0", *lines)[-1] == "OK"


def test_a_class_is_defined_and_used() -> None:
    answers = play(
        "restriction_class strict,reject_unknown_sender_domain,reject",
        "sender_restrictions strict",
        "mail a@friend.example",
        "restriction_class strict,permit",
        "mail a@friend.example",
    )

    assert answers == ["OK", "OK", "554 5.7.1 <a@friend.example>: Sender address rejected: Access denied", "OK", "OK"]


def test_braces_protect_what_stands_in_them() -> None:
    answers = play("recipient_restrictions {inline:{ {a@b.example=REJECT no, thanks} }}", "rcpt a@b.example")

    assert answers[0] == "OK"
    assert answers[1].startswith("451") or answers[1].startswith("554")


@pytest.mark.parametrize("line", ["nonsense", "nonsense x", "helo", "rcpt a b", "client x", "client x y 7"])
def test_what_is_no_command_is_told(line: str) -> None:
    assert play(line) == ["bad command"]


def test_a_value_that_its_parameter_does_not_take_is_told_and_changes_nothing() -> None:
    answers = play("reject_code x", "reject_code 555", "client_restrictions reject", "client a.example 192.0.2.1")

    assert "reject_code" in answers[0]
    assert answers[3].startswith("555 5.7.1")


def test_comments_and_blank_lines_ask_nothing() -> None:
    assert play("# a comment", "", "   ", "flush_dnsxl_cache") == ["OK"]


def test_log_lines_are_those_of_the_server() -> None:
    rehearsal = Rehearsal(dns=ZONE)
    for line in ("helo h.example", "mail a@friend.example", "recipient_restrictions nonsense"):
        result_now(rehearsal.play(line))
    answered = result_now(rehearsal.play("rcpt b@c.example"))

    assert answered is not None
    assert answered.log == (
        'warning: unknown smtpd restriction: "nonsense"',
        "NOQUEUE: reject: RCPT from localhost[127.0.0.1]: 451 4.3.5 Server configuration error; "
        "from=<a@friend.example> to=<b@c.example> proto=SMTP helo=<h.example>",
    )


def test_the_command_plays_a_script_with_a_zone(tmp_path: Path, capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    (tmp_path / "zone").write_text("$TTL 60\nfriend.example. MX 10 mx.friend.example.\n")
    script = tmp_path / "script"
    script.write_bytes(
        b"# hello\nsender_restrictions reject_unknown_sender_domain\nmail x\xff@friend.example\nmail x@y.example\n"
    )

    assert main(["--dns", str(tmp_path / "zone"), str(script)]) == exits.OK
    out, err = capfdbinary.readouterr()
    assert out.splitlines() == [
        b">>> # hello",
        b">>> sender_restrictions reject_unknown_sender_domain",
        b"OK",
        b">>> mail x\xff@friend.example",
        b"OK",
        b">>> mail x@y.example",
        b"450 4.1.8 <x@y.example>: Sender address rejected: Domain not found",
    ]
    assert err.startswith(b"NOQUEUE: reject: MAIL from localhost[127.0.0.1]: 450 4.1.8 ")


def test_the_command_reads_a_configuration_below_a_root(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    etc = tmp_path / "etc/postfix"
    etc.mkdir(parents=True)
    (etc / "main.cf").write_text(
        "compatibility_level = 3.6\nmydestination = here.example\nalias_maps =\nlocal_recipient_maps = texthash:/etc/postfix/users\n"
        "smtpd_recipient_restrictions = reject_unauth_destination\n"
    )
    (etc / "users").write_text("joe x\n")
    (tmp_path / "zone").write_text("")
    script = tmp_path / "script"
    script.write_text("client a.example 198.18.1.1\nrcpt joe@here.example\nrcpt ann@here.example\n")

    code = main(["-c", "/etc/postfix", "--root", str(tmp_path), "--dns", str(tmp_path / "zone"), "--json", str(script)])
    answers = [json.loads(line)["answer"] for line in capfd.readouterr().out.splitlines()]
    assert code == exits.OK
    assert answers == [
        "OK",
        "OK",
        "550 5.1.1 <ann@here.example>: Recipient address rejected: User unknown in local recipient table",
    ]


def test_files_that_are_not_there_are_told(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert main([str(tmp_path / "none")]) == exits.NOINPUT
    assert main(["-c", str(tmp_path / "none")]) == exits.CONFIG
    (tmp_path / "zone").write_text("( no zone")
    assert main(["--dns", str(tmp_path / "zone")]) == exits.DATAERR
    assert capfd.readouterr().err.count("seawall rehearse: ") == 3
