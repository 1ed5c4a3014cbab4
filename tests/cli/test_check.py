"""`seawall check`: what is wrong, where, and what to do."""

import fcntl
import io
import json
from pathlib import Path

import pytest

from seawall.cli import exits
from seawall.cli.check import main
from seawall.cli.check_queue import Waiting
from seawall.cli.check_report import write_text
from seawall.cli.lint.rule import Finding

QUIET = (
    "compatibility_level = 3.6\nmyhostname = mx.example.com\nalias_maps =\nmynetworks = 127.0.0.1\n"
    "smtp_tls_security_level = may\nsmtpd_use_tls = yes\nsmtpd_tls_cert_file = none\n"
)
"""Seven lines of which nothing is to be said."""


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "etc/postfix").mkdir(parents=True)
    return tmp_path


def check(root: Path, capsys: pytest.CaptureFixture[str], text: str, *options: str) -> tuple[int, str]:
    (root / "etc/postfix/main.cf").write_text(text)
    code = main(["--root", str(root), *options])
    return code, capsys.readouterr().out


def test_a_sound_configuration_has_no_remarks(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, out = check(root, capsys, QUIET)
    assert code == exits.OK
    assert out == "0 errors, 0 warnings, 0 pieces of advice: a server would start\n"


def test_what_stops_the_start_is_an_error_with_place_and_remedy(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, out = check(root, capsys, QUIET + "smtpd_milters = inet:localhost:1\n")
    assert code == exits.CONFIG
    assert out.startswith("error    not-served: ")
    assert "  /etc/postfix/main.cf:8  smtpd_milters is not implemented: mail would go unfiltered" in out
    assert "-> take it out, or put its name into seawall_ignore_parameters" in out


def test_an_ignored_parameter_is_a_piece_of_advice(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, out = check(root, capsys, QUIET + "debug_peer_level = 3\n")
    assert code == exits.OK
    assert "debug_peer_level is ignored" in out


def test_a_bad_value_is_an_error(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, out = check(root, capsys, QUIET + "smtpd_timeout = soon\n")
    assert code == exits.CONFIG
    assert "parameter smtpd_timeout: bad time value or unit: soon" in out


def test_a_bad_override_in_master_cf_is_an_error(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (root / "etc/postfix/master.cf").write_text("smtp inet n - n - - smtpd -o smtpd_helo_required=maybe\n")
    code, out = check(root, capsys, QUIET)
    assert code == exits.CONFIG
    assert "/etc/postfix/master.cf:1  bad boolean configuration: smtpd_helo_required = maybe" in out


def test_a_program_that_there_is_nothing_for_is_an_error(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (root / "etc/postfix/master.cf").write_text("628 inet n - n - 1 qmqpd\n")
    code, out = check(root, capsys, QUIET)
    assert code == exits.CONFIG
    assert "qmqpd (628/inet) is not implemented: QMQP is not served" in out


def test_unused_and_gone_names_are_warnings(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, out = check(root, capsys, QUIET + "smtpd_banana = 1\nprogram_directory = /x\n")
    assert code == exits.OK
    assert "unused parameter: smtpd_banana=1" in out
    assert "program_directory is gone" in out and "-> use daemon_directory" in out


def test_a_missing_table_and_a_type_that_is_not_served_are_named(
    root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, out = check(root, capsys, QUIET + "transport_maps = texthash:/etc/postfix/gone\nrelay_domains = nis:x\n")
    assert code == exits.CONFIG
    assert "transport_maps: texthash:/etc/postfix/gone" in out
    assert "relay_domains: nis:x: tables of type nis are not served" in out


def test_mail_in_postfixs_queue_is_counted_and_what_to_do_is_said(
    root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for path in ("deferred/A/A1", "deferred/B/B2", "hold/H3", "pid/master.pid"):
        file = root / "var/spool/postfix" / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(b"x")
    _, out = check(root, capsys, QUIET)
    assert "3 messages in Postfix's queue (2 deferred, 1 hold)" in out
    assert "drain it:" in out and "take it:" in out and "go back:" in out
    assert "Postfix is running" not in out
    with open(root / "var/spool/postfix/pid/master.pid", "rb") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        assert "Postfix is running" in check(root, capsys, QUIET)[1]


def test_json_says_the_same(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, out = check(root, capsys, QUIET + "smtpd_milters = inet:x:1\n", "--json")
    report = json.loads(out)
    assert (code, report["would_start"]) == (exits.CONFIG, False)
    assert report["remarks"][0]["location"] == {"file": "/etc/postfix/main.cf", "line": 8}
    assert report["remarks"][0]["rule"] == "not-served" and report["remarks"][0]["level"] == "error"
    assert report["remarks"][0]["why"] and report["remarks"][0]["instead"]
    assert report["postfix_queue"]["running"] is False


def test_a_broken_main_cf_is_one_error_and_a_missing_one_has_its_own_code(
    root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, out = check(root, capsys, "nonsense\n")
    assert code == exits.CONFIG
    assert "/etc/postfix/main.cf:1  missing '=' after attribute name" in out
    (root / "etc/postfix/main.cf").unlink()
    assert main(["--root", str(root)]) == exits.NOINPUT


def test_a_restriction_that_is_not_known_and_a_list_that_refuses_nothing_are_named(
    root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, out = check(root, capsys, QUIET + "smtpd_sender_restrictions = reject_everything\n")
    assert code == exits.CONFIG and out.endswith("a server would start\n")
    assert "reject_everything" in out and "451 4.3.5" in out
    code, out = check(root, capsys, QUIET + "smtpd_relay_restrictions = permit\n")
    assert code == exits.CONFIG
    assert "specify at least one working instance of" in out


def test_a_template_file_that_does_not_read_is_a_warning(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, out = check(root, capsys, QUIET + "bounce_template_file = /etc/postfix/none.cf\n")
    assert code == exits.OK
    assert "bounce_template_file" in out and "built-in texts serve" in out


def test_only_and_skip_choose_the_rules(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = QUIET + "soft_bounce = yes\nstrict_rfc821_envelopes = yes\n"
    assert "strict-envelopes" in check(root, capsys, text)[1]
    _, out = check(root, capsys, text, "--only", "soft-bounce")
    assert "soft-bounce" in out and "strict-envelopes" not in out
    _, out = check(root, capsys, text, "--skip", "soft-bounce,strict-envelopes")
    assert out.startswith("0 errors, 0 warnings, 0 pieces of advice")


def test_a_rule_that_nobody_knows_is_a_mistake_of_use(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert check(root, capsys, QUIET, "--only", "soft-bounces")[0] == exits.USAGE


def test_warnings_are_an_error_only_where_that_is_asked(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = QUIET + "soft_bounce = yes\n"
    assert check(root, capsys, text)[0] == exits.OK
    assert check(root, capsys, text, "--strict")[0] == exits.CONFIG
    assert check(root, capsys, QUIET + "strict_rfc821_envelopes = yes\n", "--strict")[0] == exits.OK


def test_a_rule_speaks_once_of_all_its_places(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = QUIET + "smtpd_sender_restrictions = permit, reject_non_fqdn_sender,\n  reject_unknown_sender_domain\n"
    _, out = check(root, capsys, text, "--only", "unreachable-check")
    lines = out.split("\n")
    assert lines[0] == "warning  unreachable-check: permit, reject and defer end a list."
    assert [line.split()[0] for line in lines[1:3]] == ["/etc/postfix/main.cf:8", "/etc/postfix/main.cf:9"]
    assert lines[3].strip() == "-> take it out, or put it before the end"
    assert "\33" not in out, "no colours where nobody looks at a terminal"


class Terminal(io.StringIO):
    """Somebody looks."""

    def isatty(self) -> bool:
        return True


def test_levels_are_coloured_on_a_terminal_and_a_configuration_cannot_move_its_cursor() -> None:
    finding = Finding(
        slug="x-y", level="warning", what="a\33[2Jb", why="Because.", instead="c", location=None, stops=False
    )
    out = Terminal()
    write_text([finding], Waiting({}, is_running=False), out, main_cf="/etc/postfix/main.cf")
    assert out.getvalue().startswith("\33[1;33mwarning\33[0m  x-y: Because.\n  /etc/postfix/main.cf  a?[2Jb\n")


def test_the_limits_of_this_host_are_told_and_never_another_hosts(
    root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = root / "etc/postfix"
    (folder / "main.cf").write_text(QUIET + f"queue_directory = {root}\n")
    main(["-c", str(folder)])
    out, error = capsys.readouterr()
    assert "\nunder a flood " in f"\n{out}" and "  set to  what then\n" in out
    assert error == ""
    main(["-c", str(folder), "--json"])
    host = json.loads(capsys.readouterr().out)["host"]
    assert host["sentence"] in out
    assert [each["name"] for each in host["limits"] if each["kind"] == "burst"] != []
    main(["-c", str(folder), "--only", "soft-bounce"])
    assert "under a flood" not in capsys.readouterr().out
    check(root, capsys, QUIET)
    main(["--root", str(root)])
    out, error = capsys.readouterr()
    assert "under a flood" not in out
    assert error == "host limits: not looked at, for with --root they would be this host's\n"
