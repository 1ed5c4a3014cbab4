"""`seawall postconf` shows what Postfix's would; test_postconf_peer.py asks the real one."""

from pathlib import Path

import pytest

from seawall.cli.postconf import main

MAIN = """\
compatibility_level = 3.6
# a remark
site = example.org
myhostname = mx.$site
lost = 1
smtpd_client_restrictions = permit_mynetworks,
    check_client_access hash:/etc/postfix/a_rather_long_name_of_a_table,
    reject_unknown_client_hostname
seawall_workers = 2
"""
MASTER = """\
smtp      inet  n       -       n       -       -       smtpd
  -o smtpd_timeout=5 -o { smtpd_banner = $myhostname hello }
# a remark
list      unix  -       n       n       -       10      pipe
  flags=R user=list argv=/bin/list { a b } ${recipient}
"""


@pytest.fixture
def directory(tmp_path: Path) -> str:
    (tmp_path / "main.cf").write_text(MAIN)
    (tmp_path / "master.cf").write_text(MASTER)
    return str(tmp_path)


def run(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, list[str], list[str]]:
    code = main(list(arguments))
    said = capsys.readouterr()
    return code, said.out.splitlines(), said.err.splitlines()


def test_n_shows_what_is_set_sorted_and_on_one_line(capsys: pytest.CaptureFixture[str], directory: str) -> None:
    code, out, err = run(capsys, "-c", directory, "-n")
    assert code == 0
    assert out == [
        "compatibility_level = 3.6",
        f"config_directory = {directory}",
        "myhostname = mx.$site",
        "site = example.org",
        "smtpd_client_restrictions = permit_mynetworks, check_client_access "
        "hash:/etc/postfix/a_rather_long_name_of_a_table, reject_unknown_client_hostname",
    ]
    assert err == [f"postconf: warning: {directory}/main.cf: unused parameter: lost=1"]


def test_x_expands_and_h_and_h_capital_hide(capsys: pytest.CaptureFixture[str], directory: str) -> None:
    assert run(capsys, "-c", directory, "-x", "myhostname")[1] == ["myhostname = mx.example.org"]
    assert run(capsys, "-c", directory, "-hx", "myhostname")[1] == ["mx.example.org"]
    assert run(capsys, "-c", directory, "-H", "myhostname")[1] == ["myhostname"]


def test_f_folds_at_80_columns(capsys: pytest.CaptureFixture[str], directory: str) -> None:
    assert run(capsys, "-c", directory, "-nf", "smtpd_client_restrictions")[1] == [
        "smtpd_client_restrictions = permit_mynetworks, check_client_access",
        "    hash:/etc/postfix/a_rather_long_name_of_a_table,",
        "    reject_unknown_client_hostname",
    ]


def test_d_shows_defaults_and_knows_nothing_of_main_cf(capsys: pytest.CaptureFixture[str], directory: str) -> None:
    code, out, err = run(capsys, "-c", directory, "-d", "smtpd_timeout", "compatibility_level")
    assert (code, out, err) == (0, ["smtpd_timeout = ${stress?{10}:{300}}s", "compatibility_level = 0"], [])


def test_all_parameters_are_shown_but_ours(capsys: pytest.CaptureFixture[str], directory: str) -> None:
    _, out, _ = run(capsys, "-c", directory, "-d")
    assert len(out) > 909
    assert not any(line.startswith("seawall_") for line in out)
    assert run(capsys, "-c", directory, "seawall_workers")[1] == ["seawall_workers = 2"]


def test_an_unknown_name_is_a_warning(capsys: pytest.CaptureFixture[str], directory: str) -> None:
    code, out, err = run(capsys, "-c", directory, "nope")
    assert (code, out, err[0]) == (0, [], "postconf: warning: nope: unknown parameter")


def test_o_overrides_for_this_once(capsys: pytest.CaptureFixture[str], directory: str) -> None:
    assert run(capsys, "-c", directory, "-o", "site=other.org", "-x", "myhostname")[1] == ["myhostname = mx.other.org"]
    code, _, err = run(capsys, "-c", directory, "-o", "site", "myhostname")
    assert (code, err) == (1, ["postconf: fatal: invalid parameter override: site: missing '=' after attribute name"])


def test_c_capital_picks_a_class(capsys: pytest.CaptureFixture[str], directory: str) -> None:
    assert run(capsys, "-c", directory, "-C", "user")[1] == ["site = example.org"]
    assert "list_time_limit = $command_time_limit" in run(capsys, "-c", directory, "-C", "service")[1]


def test_m_capital_shows_services_in_columns(capsys: pytest.CaptureFixture[str], directory: str) -> None:
    assert run(capsys, "-c", directory, "-Mf")[1] == [
        "smtp       inet  n       -       n       -       -       smtpd",
        "    -o smtpd_timeout=5",
        "    -o {smtpd_banner=$myhostname hello}",
        "list       unix  -       n       n       -       10      pipe flags=R user=list",
        "    argv=/bin/list {a b} ${recipient}",
    ]
    assert run(capsys, "-c", directory, "-M", "list/unix")[1] == [
        "list       unix  -       n       n       -       10      pipe flags=R user=list argv=/bin/list {a b} ${recipient}"
    ]


def test_f_capital_shows_fields_and_p_capital_overrides(capsys: pytest.CaptureFixture[str], directory: str) -> None:
    assert run(capsys, "-c", directory, "-F", "*/*/process_limit")[1] == [
        "smtp/inet/process_limit = -",
        "list/unix/process_limit = 10",
    ]
    assert run(capsys, "-c", directory, "-Px")[1] == [
        "smtp/inet/smtpd_banner = mx.example.org hello",
        "smtp/inet/smtpd_timeout = 5",
    ]
    assert run(capsys, "-c", directory, "-P", "*/inet/nope")[2][0] == (
        'postconf: warning: unmatched request: "*/inet/nope"'
    )


def test_types_and_methods_are_listed(capsys: pytest.CaptureFixture[str]) -> None:
    assert "hash" in run(capsys, "-m")[1]
    assert run(capsys, "-l")[1] == ["flock", "fcntl", "dotlock"]
    assert "dovecot" in run(capsys, "-a")[1]
    assert run(capsys, "-T", "run-version")[1][0].startswith("OpenSSL")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["-d", "-n"], "specify one of -d -n"),
        (["-M", "-F"], "specify one of -F -M"),
        (["-M", "-h"], "with option -M, do not specify -h"),
        (["-e"], "-e requires name=value argument"),
        (["-X"], "missing service argument"),
        (["-F", "smtp/inet/nope"], 'invalid service attribute name: "nope"'),
        (["-M", "a/b/c"], "-M option requires service_name[/type]"),
    ],
)
def test_what_does_not_go_together_is_fatal(
    capsys: pytest.CaptureFixture[str], directory: str, arguments: list[str], message: str
) -> None:
    code, _, err = run(capsys, "-c", directory, *arguments)
    assert (code, err[-1]) == (1, f"postconf: fatal: {message}")


def test_a_missing_or_broken_main_cf_is_fatal(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    code, _, err = run(capsys, "-c", str(tmp_path), "-n")
    assert (code, err) == (1, [f"postconf: fatal: open {tmp_path}/main.cf: No such file or directory"])
    (tmp_path / "main.cf").write_text("a = 1\nnonsense\n")
    code, _, err = run(capsys, "-c", str(tmp_path), "-n")
    assert err == [f"postconf: fatal: {tmp_path}/main.cf, line 2: missing '=' after attribute name: \"nonsense\""]


def test_a_missing_master_cf_is_a_warning(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    (tmp_path / "main.cf").write_text("")
    code, out, err = run(capsys, "-c", str(tmp_path), "mail_name")
    assert (code, out) == (0, ["mail_name = Seawall"])
    assert err == [f"postconf: warning: open {tmp_path}/master.cf: No such file or directory"]


def test_root_reads_somebody_elses_configuration(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    (tmp_path / "etc/postfix").mkdir(parents=True)
    (tmp_path / "etc/postfix/main.cf").write_text("myhostname = far.example\n")
    (tmp_path / "etc/postfix/master.cf").write_text("")
    assert run(capsys, "--root", str(tmp_path), "myhostname")[1] == ["myhostname = far.example"]


def test_t_shows_the_texts_of_bounces_and_b_puts_the_parameters_in(
    capsys: pytest.CaptureFixture[str], directory: str
) -> None:
    assert run(capsys, "-c", directory, "-t")[1][:2] == ["failure_template = <<EOF", "Charset: us-ascii"]
    assert run(capsys, "-c", directory, "-b")[1][1] == "This is the mail system at host mx.example.org."


def test_bytes_that_are_no_utf_8_come_out_as_they_went_in(
    capfdbinary: pytest.CaptureFixture[bytes], tmp_path: Path
) -> None:
    (tmp_path / "main.cf").write_bytes(b"relayhost = \xff\xfe\n")
    (tmp_path / "master.cf").write_bytes(b"")
    assert main(["-c", str(tmp_path), "relayhost"]) == 0
    assert capfdbinary.readouterr().out == b"relayhost = \xff\xfe\n"
