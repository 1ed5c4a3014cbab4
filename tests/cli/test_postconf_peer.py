"""`seawall postconf` beside the real one, on the same configurations."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from seawall.cli.postconf import main
from seawall.config.registry import REGISTRY
from seawall.config.settings import COMPUTED, READ_ONLY
from tests.box import Box

pytestmark = pytest.mark.peer

SEED = Path(__file__).parent.parent / "config" / "seed"
ODD = """\
# comment
compatibility_level = 3.6
  # indented comment
foo = bar
used=yes
myhostname = $used.example.com
smtpd_restriction_classes = cls1, cls2
cls1 = permit
virtual_alias_maps = pgsql:vpm hash:/etc/foo
  # more
  inline:{ {a@b = c, d}, x=y }
vpm_hosts = 1.2.3.4
vpm_bogus = 1
mynetworks = 127.0.0.0/8
mynetworks = 10.0.0.0/8
smtp_helo_name = $nonexist ${foo2?x}
smtpd_banner = ${{$compatibility_level} <level {3.6}?{old}:{new}} $$x
   tail    spaced
relayhost = ${{10} > {9} ? {${used?{[a]}:{[b]}}} : {[c]}}
fallback_relay = [x.y]
process_name = zz
smtpx_destination_concurrency_limit=4
local_destination_concurrency_limit = 3
default_rbl_reply = $rbl_code a
local_header_rewrite_clients =
"""
ODD_MASTER = """\
smtp      inet  n       -       y       -       -       smtpd
  -o smtpd_tls_wrappermode=yes -o { smtpd_client_restrictions = permit_mynetworks, reject}
  -v -o cls2=reject -o bogus=1 -o syslog_name=postfix/$service_name
smtpx     unix  -       -       n       -       -       smtp
  -o smtp_helo_name=$process_name
mailman   unix  -       n       n       -       10       pipe
  flags=FRX user=list argv=/usr/lib/mailman/bin/to-mailman.py ${nexthop} ${mailbox} { a b c } a_word_that_does_not_fit_on_the_line
"""
SIMPLE_MASTER = "smtp inet n - n - - smtpd\nsmtp unix - - n - - smtp\nlocal unix - n n - - local\n"
QUESTIONS = (
    "-n",
    "-n -f",
    "-n -x",
    "-n -h",
    "-n -H",
    "-n -C user",
    "-C service",
    "-C service -x",
    "-M",
    "-M -f",
    "-M -x",
    "-M smtp/inet x/y",
    "-F",
    "-F -f",
    "-F -h",
    "-F -H",
    "-F smtp/inet/command */*/chroot",
    "-F smtp/inet/nope",
    "-P",
    "-P -x",
    "-P */*/bogus smtp",
    "-n foo vpm_hosts myhostname nope",
    "-o myhostname=q.r -n -x",
    "-M -h",
    "-M -F",
    "-F smtp/inet/",
)
EDITS = (
    ("-e", "mynetworks=1.2.3.4"),
    ("virtual_alias_maps = $foo bar", "new=1"),
    ("-X", "virtual_alias_maps", "mynetworks"),
    ("-#", "virtual_alias_maps", "mynetworks", "nope"),
    ("-e", "a"),
    ("-Me", "smtp/inet=smtp inet n - n - - smtpd -o a=b -o {c = d e f}"),
    ("-Me", "smtp/inet=new inet n - n - - smtpd -v"),
    ("-Me", "new/unix=new unix n - n - - smtp"),
    ("-Me", "new/unix=new unix n - n"),
    ("-MX", "smtp/inet"),
    ("-M#", "mailman/unix", "smtpx/unix"),
    ("-Fe", "smtp/inet/chroot=n", "mailman/unix/process_limit=5"),
    ("-Fe", "smtp/inet/command=smtpd -o x=y -o { a = b c }"),
    ("-Pe", "smtp/inet/bogus=2", "smtp/inet/new=3", "foo/unix/x=1"),
    ("-PX", "smtp/inet/bogus", "smtpx/unix/smtp_helo_name"),
)
DIFFERENT = frozenset({"html_directory", "mail_name", "readme_directory"})
"""Defaults that differ by the package: docs/differences.md."""
GONE = frozenset({"tls_legacy_public_key_fingerprints", "tlsproxy_client_loglevel_parameter"})
"""What 3.7 has and 3.12 has not."""
NEWER = frozenset(
    {
        "address_verify_map",
        "alias_database",
        "alias_maps",
        "import_environment",
        "mail_release_date",
        "mail_version",
        "milter_default_action",
        "postscreen_cache_map",
        "proxy_read_maps",
        "smtp_tls_dane_insecure_mx_policy",
        "smtp_tls_security_level",
        "smtpd_forbid_bare_newline",
        "smtpd_forbid_unauth_pipelining",
        "tls_eecdh_auto_curves",
        "tls_export_cipherlist",
        "tls_high_cipherlist",
        "tls_low_cipherlist",
        "tls_medium_cipherlist",
        "tls_null_cipherlist",
        "tlsproxy_client_policy_maps",
        "tlsproxy_client_security_level",
    }
)
"""Defaults that changed between 3.7 and 3.12."""


def lines(text: str) -> list[str]:
    """Warnings by content: Postfix gives those of one kind in the order of a hash table."""
    return sorted(text.splitlines())


def said(text: str) -> list[str]:
    """Standard error without the path of the program, and in the order of the alphabet."""
    return lines(text.replace("/usr/sbin/postconf: ", "postconf: "))


@pytest.fixture(scope="module")
def box() -> Iterator[Box]:
    with Box() as opened:
        yield opened


def configuration(directory: Path, name: str) -> str:
    """One of the configurations in a directory that the box sees too; its path."""
    seeds = {"a": SEED / "config-a.main.cf", "b": SEED / "config-b.main.cf"}
    (directory / "main.cf").write_text(seeds[name].read_text() if name in seeds else ODD)
    (directory / "master.cf").write_text(SIMPLE_MASTER if name in seeds else ODD_MASTER)
    for file in ("main.cf", "master.cf"):
        os.utime(directory / file, (0, 0))  # the real one reads a file of this second again and again
    return str(directory)


def both(box: Box, capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[tuple[int, str, list[str]], ...]:
    """(code, output, errors) of the real command and of ours."""
    real = box.run("postconf", *arguments, check=False)
    capsys.readouterr()
    code = main(list(arguments))
    ours = capsys.readouterr()
    return (real.code, real.out, said(real.err)), (code, ours.out, said(ours.err))


@pytest.mark.parametrize("name", ["a", "b", "odd"])
def test_what_is_shown_is_what_postfix_shows(
    box: Box, capsys: pytest.CaptureFixture[str], tmp_path: Path, name: str
) -> None:
    directory = configuration(tmp_path, name)
    for question in QUESTIONS:
        real, ours = both(box, capsys, "-c", directory, "-o", "mail_name=Postfix", *question.split())
        assert ours == real, question


@pytest.mark.parametrize("edit", EDITS, ids=" ".join)
def test_an_edit_leaves_the_files_that_postfixs_leaves(
    box: Box, capsys: pytest.CaptureFixture[str], tmp_path: Path, edit: tuple[str, ...]
) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "ours").mkdir()
    real_directory = configuration(tmp_path / "real", "odd")
    our_directory = configuration(tmp_path / "ours", "odd")
    real = box.run("postconf", "-c", real_directory, *edit, check=False)
    code = main(["-c", our_directory, *edit])
    assert code == real.code
    assert said(capsys.readouterr().err.replace(our_directory, "D")) == said(real.err.replace(real_directory, "D"))
    for file in ("main.cf", "master.cf"):
        assert (tmp_path / "ours" / file).read_text() == (tmp_path / "real" / file).read_text()


def test_every_parameter_of_the_real_one_is_known_and_has_its_default_or_a_newer_one(box: Box) -> None:
    defaults = dict(line.partition(" =")[::2] for line in box.run("postconf", "-d", "-C", "builtin").out.splitlines())
    assert set(defaults) - set(REGISTRY) - READ_ONLY == GONE
    different = {
        name
        for name, value in defaults.items()
        if name in REGISTRY and REGISTRY[name].default.split() != value.split() and name not in COMPUTED
    }
    assert different == NEWER | DIFFERENT
