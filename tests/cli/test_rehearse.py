"""`seawall rehearse`: the language of Postfix's restriction tests, line by line."""

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


def test_a_dollar_that_names_no_parameter_stands_for_itself() -> None:
    answers = play(
        "mydestination here.example",
        "mynetworks 198.18.0.0/15",
        "sender_restrictions check_sender_access,regexp:{{/^(.*)@b\\.example$/ REJECT not $1, $$, ${1}}}",
        "mail a@b.example",
        "restriction_class odd,check_sender_access,regexp:{{/^c@(.*)$/ DEFER ${1}}}",
        "sender_restrictions odd",
        "mail c@d.example",
        "sender_restrictions ,",
        "relay_domains $mydestination",
        "recipient_restrictions reject_unauth_destination",
        "rcpt x@here.example",
    )

    assert answers[3] == "554 5.7.1 <a@b.example>: Sender address rejected: not a, $, a"
    assert answers[6] == "450 4.7.1 <c@d.example>: Sender address rejected: d.example"
    assert answers[-1] == "OK"


def test_at_data_a_single_recipient_is_known_and_several_are_not() -> None:
    lines = ("data_restrictions reject_unauth_destination", "mydestination here.example", "mail a@b.example")
    refused = "554 5.7.1 <x@far.example>: Relay access denied"

    assert play(*lines, "rcpt x@far.example", "data")[-1] == refused
    assert play(*lines, "rcpt x@far.example", "rcpt y@far.example", "data")[-1] == "OK"
    assert play(*lines, "rcpt x@far.example", "mail a@b.example", "data")[-1] == "OK"


def test_a_line_longer_than_any_command_is_answered_by_what_there_is() -> None:
    [answer] = play("recipient_restrictions permit mynetworks reject all")

    assert answer.startswith("Commands...\n")
    assert "\tclient <name> <address> [<code>]\n" in answer
    assert "<parameter> <value>" in answer


def test_a_class_that_main_cf_declares_can_be_filled() -> None:
    answers = play(
        "smtpd_restriction_classes Mine", "Mine reject", "sender_restrictions Mine", "mail a@b.example", "mine x"
    )

    assert answers[3] == "554 5.7.1 <a@b.example>: Sender address rejected: Access denied"
    assert answers[4] == "bad command"


def test_answers_are_filtered_as_smtpd_dns_reply_filter_says() -> None:
    rehearsal = Rehearsal(dns=ZONE)
    for line in ("sender_restrictions reject_unknown_sender_domain", "smtpd_dns_reply_filter static:ignore"):
        result_now(rehearsal.play(line))
    answered = result_now(rehearsal.play("mail a@friend.example"))

    assert answered is not None
    assert answered.answer == "OK"
    assert answered.log == (
        "ignoring DNS RR: friend.example. 60 IN MX 10 mx.friend.example.",
        "warning: friend.example: MX or address lookup error: DNS reply filter drops all results",
    )


def test_no_probe_is_sent_every_address_would_take_mail() -> None:
    assert play("sender_restrictions reject_unverified_sender", "mail a@friend.example") == ["OK", "OK"]
    assert play("recipient_restrictions reject_unverified_recipient", "rcpt a@friend.example") == ["OK", "OK"]


def test_log_lines_quote_addresses_as_the_servers_do() -> None:
    rehearsal = Rehearsal(dns=ZONE)
    for line in ("mail a;b@friend.example", "recipient_restrictions reject"):
        result_now(rehearsal.play(line))
    answered = result_now(rehearsal.play("rcpt b@c.example"))

    assert answered is not None
    assert 'from=<"a;b"@friend.example> to=<b@c.example>' in answered.log[0]


@pytest.mark.parametrize(
    "line",
    [
        "maps_rbl_domains bl.example", "myorigin here.example", "mydestination here.example", "inet_interfaces 127.0.0.1",
        "proxy_interfaces 192.0.2.1", "recipient_delimiter +", "smtpd_restriction_classes ,", "alias_maps ,",
        "sender_canonical_maps ,", "recipient_canonical_maps ,", "canonical_maps inline:{a=b}", "virtual_alias_maps ,",
        "virtual_alias_domains a.example", "virtual_mailbox_maps ,", "virtual_mailbox_domains ,", "local_recipient_maps ,",
        "permit_mx_backup_networks 192.0.2.0/24", "parent_domain_matches_subdomains relay_domains", "mail_name Postfix",
        "smtpd_sender_login_maps ,", "smtpd_null_access_lookup_key <>", "double_bounce_sender double-bounce",
        "rbl_reply_maps ,", "smtpd_expansion_filter abc", "default_rbl_reply {$rbl_code x}", "relay_recipient_maps ,",
        "address_verify_sender postmaster", "smtpd_sasl_security_options noanonymous", "relay_clientcerts ,",
        "local_header_rewrite_clients permit_mynetworks", "unverified_sender_reject_reason x", "stress x",
        "unverified_recipient_reject_reason x", "unknown_helo_hostname_tempfail_action defer", "mynetworks 127.0.0.0/8",
        "unknown_address_tempfail_action defer", "unverified_recipient_tempfail_action defer", "relay_domains a.example",
        "unverified_sender_tempfail_action defer", "smtpd_log_access_permit_actions static:all", "msg_verbose 1",
        "smtpd_dns_reply_filter ,", "info_log_address_format internal", "unknown_client_reject_code 550",
        "invalid_hostname_reject_code 550", "unknown_hostname_reject_code 550", "unknown_address_reject_code 550",
        "relay_domains_reject_code 550", "maps_rbl_reject_code 550", "access_map_reject_code 550", "reject_code 550",
        "access_map_defer_code 450", "defer_code 450", "non_fqdn_reject_code 550", "smtpd_delay_reject 0",
        "allow_untrusted_routing 1", "multi_recipient_bounce_reject_code 550", "unverified_sender_reject_code 550",
        "unverified_sender_defer_code 450", "unverified_recipient_reject_code 550", "plaintext_reject_code 450",
        "unverified_recipient_defer_code 450", "unknown_local_recipient_reject_code 450", "address_verify_poll_count 3",
        "unknown_relay_recipient_reject_code 450", "unknown_virtual_alias_reject_code 450", "smtpd_peername_lookup 1",
        "unknown_virtual_mailbox_reject_code 450", "show_user_unknown_table_name 0", "smtpd_reject_unlisted_sender 1",
        "smtpd_reject_unlisted_recipient 0", "smtpd_client_port_logging 1", "smtpd_tls_ask_ccert 1",
    ],
)  # fmt: skip
def test_whatever_postfix_s_own_test_driver_sets_can_be_set(line: str) -> None:
    assert play(line, "helo x", "mail a@friend.example") == ["OK", "OK", "OK"]
