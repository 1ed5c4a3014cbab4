"""The whole report on known configurations, word for word: `python -m tests.cli.lint.test_golden` writes it anew."""

import io
import shutil
import tempfile
from pathlib import Path

import pytest

from seawall.cli.check_queue import Waiting
from seawall.cli.check_report import write_text
from seawall.cli.lint.every_rule import examine
from seawall.cli.lint.rule import ADVICE
from seawall.cli.lint.site import read_site
from seawall.config.settings import load
from tests.cli.lint.cases import HOST, NOW
from tests.cli.lint.test_files import write_certificate

HERE = Path(__file__).parent / "golden"
TESTS = Path(__file__).parents[2]
SITES = ("config-a", "config-b", "debian", "clean")
EXTRA = {
    # files of a site that stand elsewhere in the tests, by their names below /etc/postfix
    "config-a": {
        "main.cf": TESTS / "config/seed/config-a.main.cf",
        **{
            name: TESTS / "golden/config-a" / name
            for name in (
                "aliases",
                "bounce.cf",
                "domain-accept",
                "domain-relay",
                "ip-relay",
                "recipient_regexp",
                "transport",
                "virtdoms",
                "virtmaps",
            )
        },
    },
    "config-b": {"main.cf": TESTS / "config/seed/config-b.main.cf"},
}


def lay(name: str, root: Path) -> None:
    """The site's files below `root`, with a certificate where Debian and the clean site name one."""
    etc = root / "etc/postfix"
    etc.mkdir(parents=True)
    if (HERE / name).is_dir():
        for path in (HERE / name).iterdir():
            shutil.copyfile(path, etc / path.name)
    for file, path in EXTRA.get(name, {}).items():
        shutil.copyfile(path, etc / file)
    (root / "etc/aliases").write_text("postmaster: root\n")
    if name == "clean":
        write_certificate(root / "etc/ssl/mx.pem")
    if name == "debian":
        write_certificate(root / "etc/ssl/certs/ssl-cert-snakeoil.pem", name="mail.example.com")
        shutil.copyfile(root / "etc/ssl/certs/ssl-cert-snakeoil.pem", root / "etc/ssl/key")
        (root / "etc/ssl/private").mkdir()
        (root / "etc/ssl/key").rename(root / "etc/ssl/private/ssl-cert-snakeoil.key")
    for path in root.rglob("*"):
        path.chmod(0o755 if path.is_dir() else 0o640)


def report(name: str, root: Path) -> str:
    """The text for people."""
    lay(name, root)
    findings = examine(read_site(load("/etc/postfix", str(root), HOST), NOW))
    out = io.StringIO()
    write_text(findings, Waiting({}, is_running=False), out, main_cf="/etc/postfix/main.cf")
    return out.getvalue()


@pytest.mark.parametrize("name", SITES)
def test_the_report_is_word_for_word_what_was_agreed(name: str, tmp_path: Path) -> None:
    assert report(name, tmp_path) == (HERE / f"{name}.txt").read_text()


@pytest.mark.parametrize("name", ["clean", "debian"])
def test_nothing_above_advice_is_said_of_a_sound_configuration(name: str, tmp_path: Path) -> None:
    lay(name, tmp_path)
    findings = examine(read_site(load("/etc/postfix", str(tmp_path), HOST), NOW))
    assert [each.what for each in findings if each.level != ADVICE] == []


def write() -> None:
    """Write all reports anew."""
    for name in SITES:
        with tempfile.TemporaryDirectory() as root:
            (HERE / f"{name}.txt").write_text(report(name, Path(root)))


if __name__ == "__main__":
    write()
