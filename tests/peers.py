"""The real parts that tests compare with: Debian's Postfix, Dovecot and others, unpacked below `.cache/peers`.

``python -m tests.peers fetch`` downloads the packages and what they depend on beyond this host, and unpacks them with
`dpkg-deb -x`. Nothing is installed: the host's /usr, /etc and /var stay as they are. `tests/box.py` lays the tree over
/usr in a mount namespace of its own.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parent.parent
CACHE = CHECKOUT / ".cache"
APT = CACHE / "apt"
PEERS = CACHE / "peers"
ROOT = PEERS / "root"
STAMP = PEERS / "stamp"
PYTHON = PEERS / "python"
"""For PYTHONPATH in a box: packages of Debian's Python that no index has as a wheel."""

PACKAGES = (
    "postfix",
    "postfix-cdb",
    "postfix-ldap",
    "postfix-lmdb",
    "postfix-mysql",
    "postfix-pcre",
    "postfix-pgsql",
    "postfix-sqlite",
    "dovecot-core",
    "dovecot-imapd",
    "dovecot-lmtpd",
    "sasl2-bin",
    "libsasl2-modules",
    "db-util",
    "swaks",
    "tinycdb",
    "iproute2",
    "nsd",
    "postgresql-15",
    "mariadb-server",
    "slapd",
    "ldap-utils",
    "memcached",
    "postgrey",
)
ALONE = ("python3-bonsai", "python3-spf")  # without what they depend on: Debian's Python is not wanted
FORMAT = "2"  # of the unpacked tree; another number unpacks anew
TOOLS = ("apt-get", "dpkg-deb", "unshare", "mount")
HOST_LISTS = Path("/var/lib/apt/lists")


class PeersTrouble(Exception):
    """The peers cannot be had here; the text says what is missing and what to do."""


def wanted_stamp() -> str:
    return "\n".join((f"format {FORMAT}", *PACKAGES, *ALONE, ""))


def are_here() -> bool:
    """True when the tree below `.cache/peers/root` is whole and of this version."""
    return STAMP.exists() and STAMP.read_text() == wanted_stamp()


def missing() -> str:
    """Why the peers cannot be used now, with the remedy; empty when they can."""
    if are_here():
        return ""
    absent = [tool for tool in TOOLS if shutil.which(tool) is None]
    if absent:
        return f"{', '.join(absent)} not found: the peers need Debian 12 or a relative of it"
    return "the peers are not unpacked: python -m tests.peers fetch"


def fetch() -> None:
    """Download and unpack, unless that is done already."""
    if are_here():
        return
    absent = [tool for tool in TOOLS if shutil.which(tool) is None]
    if absent:
        raise PeersTrouble(f"{', '.join(absent)} not found: the peers come from Debian's archive; use a Debian 12 host")
    STAMP.unlink(missing_ok=True)
    _download()
    shutil.rmtree(ROOT, ignore_errors=True)
    ROOT.mkdir(parents=True)
    for package in sorted((APT / "archives").glob("*.deb")):
        _run(["dpkg-deb", "-x", str(package), str(ROOT)])
    _arrange()
    STAMP.write_text(wanted_stamp())


def _download() -> None:
    for directory in ("archives/partial", "lists/partial"):
        (APT / directory).mkdir(parents=True, exist_ok=True)
    host_has_lists = any(HOST_LISTS.glob("*Packages*"))
    attempts = ((False, False), (True, True)) if host_has_lists else ((True, True),)
    trouble = ""
    for private, update in attempts:
        options = _apt_options(private_lists=private)
        try:
            if update:
                _run(["apt-get", *options, "update"])
            _run(["apt-get", *options, "--yes", "--no-install-recommends", "--download-only", "install", *PACKAGES])
            _run(["apt-get", *options, "download", *ALONE], where=APT / "archives")
            return
        except PeersTrouble as failed:
            trouble = str(failed)
    raise PeersTrouble(f"{trouble}\nthe peers come from Debian 12 (bookworm); /etc/apt must name such a mirror")


def _apt_options(*, private_lists: bool) -> list[str]:
    """Everything that apt writes goes below `.cache/apt`; what the host has installed is read only."""
    options = [
        f"Dir::Cache={APT}",
        f"Dir::Cache::archives={APT}/archives/",
        "Debug::NoLocking=1",
        "APT::Keep-Downloaded-Packages=1",
        "APT::Update::Post-Invoke::=",
        "Acquire::Languages=none",
    ]
    if private_lists:
        options.append(f"Dir::State::lists={APT}/lists/")
    return [word for option in options for word in ("-o", option)]


def _arrange() -> None:
    """Make the tree fit a merged /usr, and give config A the daemon directory that it names."""
    for name in ("bin", "sbin", "lib", "lib64"):
        folder = ROOT / name
        if folder.is_dir() and not folder.is_symlink():
            shutil.copytree(folder, ROOT / "usr" / name, symlinks=True, dirs_exist_ok=True)
            shutil.rmtree(folder)
    libexec = ROOT / "usr/libexec"
    libexec.mkdir(exist_ok=True)
    if not (libexec / "postfix").exists():
        (libexec / "postfix").symlink_to("../lib/postfix/sbin")
    PYTHON.mkdir(exist_ok=True)
    for name in ("bonsai", "spf.py"):
        module = PYTHON / name
        module.unlink(missing_ok=True)
        module.symlink_to(f"../root/usr/lib/python3/dist-packages/{name}")


def _run(command: Sequence[str], where: Path | None = None) -> str:
    done = subprocess.run(
        command, capture_output=True, text=True, errors="replace", timeout=900, check=False, cwd=where
    )
    if done.returncode:
        raise PeersTrouble(f"{' '.join(command)}\n{done.stdout[-2000:]}{done.stderr[-2000:]}".rstrip())
    return done.stdout


def main(arguments: Sequence[str]) -> int:
    if list(arguments) == ["fetch"]:
        try:
            fetch()
        except PeersTrouble as trouble:
            sys.stderr.write(f"{trouble}\n")
            return 69
        return 0
    if list(arguments) == ["status"]:
        sys.stdout.write((missing() or f"the peers are in {ROOT}") + "\n")
        return 0
    sys.stderr.write("usage: python -m tests.peers fetch|status\n")
    return 64


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
