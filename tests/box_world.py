"""The world inside a box: what `build` lays out in fresh mount, network and process namespaces.

The peers lie over /usr; /usr, /etc and /var are private copies in memory, /home, /var/spool and /var/lib are empty
file systems of the box's own (in memory, or below a directory of the checkout where a test wants a real disk), the network
is a loopback interface to which 198.18.0.0/15 (bots, RFC 2544) and 192.0.2.1 (the server) belong as well.
Nothing here touches the host: every mount and every address ends with the namespaces.
"""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
from pathlib import Path

from tests.peers import CACHE, CHECKOUT, ROOT

SERVER_ADDRESS = "192.0.2.1"
SINK_ADDRESS = "192.0.2.25"
BOTS = "198.18.0.0/15"
HOSTS = f"127.0.0.1 localhost\n::1 localhost\n{SERVER_ADDRESS} pop.cape.com pop\n"
# what every zone of the box's name server has beside its own records
SOA = "$TTL 60\n. 60 IN SOA ns. hostmaster. 1 60 60 60 60\n. 60 IN NS ns.\nns. 60 IN A 127.0.0.1\n"
WORLD = CACHE / "box"
POSTFIX = Path("/etc/postfix")
LOG = Path("/var/log/mail.log")

# name, uid, gid, home
USERS: tuple[tuple[str, int, int, str], ...] = (
    ("postfix", 901, 901, "/var/spool/postfix"),
    ("dovecot", 903, 903, "/usr/lib/dovecot"),
    ("dovenull", 904, 904, "/nonexistent"),
    ("nsd", 905, 905, "/var/lib/nsd"),
    ("vmail", 906, 906, "/var/mail/virtual"),
    ("postgres", 908, 908, "/var/lib/postgresql"),
    ("mysql", 909, 909, "/var/lib/mysql"),
    ("openldap", 910, 910, "/var/lib/ldap"),
    ("memcache", 911, 911, "/nonexistent"),
    ("alice", 3001, 3001, "/home/alice"),
    ("bob", 3002, 3002, "/home/bob"),
    ("carol", 3003, 3003, "/home/carol"),
    ("dave", 3004, 3004, "/home/dave"),
    ("erin", 3005, 3005, "/home/erin"),
)
GROUPS: tuple[tuple[str, int], ...] = (("postdrop", 902), ("sasl", 907))
PEOPLE_FROM = 3000  # uids from here on are people with a home
# crypt(3) of "secret", the password of all people here
PASSWORD = "$6$seawall$5K2Ei07g1HMXEO2NN0Lpso.R/4Xk/5YbJynN0mv.rw.ACJ0EJ/j1D6.XXIgNbmvUji.Rg0sQJ60Z/KL4mKXJM."

DYNAMIC_MAPS = """\
cdb\tpostfix-cdb.so\tdict_cdb_open\tmkmap_cdb_open
ldap\tpostfix-ldap.so\tdict_ldap_open
lmdb\tpostfix-lmdb.so\tdict_lmdb_open\tmkmap_lmdb_open
mysql\tpostfix-mysql.so\tdict_mysql_open
pcre\tpostfix-pcre.so\tdict_pcre_open
pgsql\tpostfix-pgsql.so\tdict_pgsql_open
sqlite\tpostfix-sqlite.so\tdict_sqlite_open
"""
# The services of Debian's master.cf, none of them in a chroot.
MASTER_CF = """\
smtp      inet  n       -       n       -       -       smtpd
pickup    unix  n       -       n       60      1       pickup
cleanup   unix  n       -       n       -       0       cleanup
qmgr      unix  n       -       n       300     1       qmgr
tlsmgr    unix  -       -       n       1000?   1       tlsmgr
rewrite   unix  -       -       n       -       -       trivial-rewrite
bounce    unix  -       -       n       -       0       bounce
defer     unix  -       -       n       -       0       bounce
trace     unix  -       -       n       -       0       bounce
verify    unix  -       -       n       -       1       verify
flush     unix  n       -       n       1000?   0       flush
proxymap  unix  -       -       n       -       -       proxymap
proxywrite unix -       -       n       -       1       proxymap
smtp      unix  -       -       n       -       -       smtp
relay     unix  -       -       n       -       -       smtp
showq     unix  n       -       n       -       -       showq
error     unix  -       -       n       -       -       error
retry     unix  -       -       n       -       -       error
discard   unix  -       -       n       -       -       discard
local     unix  -       n       n       -       -       local
virtual   unix  -       n       n       -       -       virtual
lmtp      unix  -       -       n       -       -       lmtp
anvil     unix  -       -       n       -       1       anvil
scache    unix  -       -       n       -       1       scache
"""
CONFIGURATION = {
    "main.cf": "compatibility_level = 3.6\nbiff = no\n",
    "master.cf": MASTER_CF,
    "dynamicmaps.cf": DYNAMIC_MAPS,
    "aliases": "postmaster: root\n",
}


def build(disk: Path | None = None) -> None:
    """Lay everything out. Runs as root (of a user namespace at least), first of all in the box."""
    _mount("--make-rprivate", "/")
    WORLD.mkdir(parents=True, exist_ok=True)
    _mount("-t", "tmpfs", "-o", "mode=755", "box", str(WORLD))
    _mount("-t", "proc", "proc", "/proc")
    _open_the_way(Path(sys.base_prefix))
    _open_the_way(CHECKOUT)
    _overlay(Path("/usr"), ROOT / "usr")
    _overlay(Path("/etc"), ROOT / "etc")
    _overlay(Path("/var"), ROOT / "var")
    _mount("-t", "tmpfs", "-o", "mode=755", "box", "/run")
    for place in ("/home", "/var/spool", "/var/lib", "/var/mail"):
        _own(Path(place), disk)
    _devices()
    _network()
    _etc()
    _homes()


def _mount(*words: str) -> None:
    subprocess.run(["mount", *words], check=True, timeout=30)


def _overlay(place: Path, *above: Path) -> None:
    """A private, writable copy of a directory; what is in `above` lies over it."""
    name = place.name
    upper, work = WORLD / f"{name}.up", WORLD / f"{name}.work"
    upper.mkdir()
    work.mkdir()
    lower = ":".join(str(path) for path in (*above, place) if path.is_dir())
    _mount("-t", "overlay", "-o", f"lowerdir={lower},upperdir={upper},workdir={work}", "box", str(place))


def _open_the_way(path: Path) -> None:
    """Let other users through the directories that lead to the interpreter and the checkout."""
    for parent in reversed((path, *path.parents)):
        if parent != Path("/") and not parent.stat().st_mode & 0o001:
            _overlay(parent)
            parent.chmod(0o711)


def _own(place: Path, disk: Path | None) -> None:
    """An empty file system of the box's own at `place`."""
    place.mkdir(exist_ok=True)
    if disk is None:
        _mount("-t", "tmpfs", "-o", "mode=755", "box", str(place))
        return
    store = disk / place.name
    store.mkdir(parents=True, exist_ok=True)
    _mount("--bind", str(store), str(place))


def _devices() -> None:
    """A /dev of the box's own, so that its /dev/log is nobody else's."""
    dev = WORLD / "dev"
    dev.mkdir()
    _mount("-t", "tmpfs", "-o", "mode=755", "box", str(dev))
    for name in ("null", "zero", "full", "random", "urandom", "tty"):
        (dev / name).touch()
        _mount("--bind", f"/dev/{name}", str(dev / name))
    for name in ("pts", "shm"):
        (dev / name).mkdir()
    _mount("--bind", "/dev/pts", str(dev / "pts"))
    _mount("-t", "tmpfs", "-o", "mode=1777", "box", str(dev / "shm"))
    for name, target in (("fd", "fd"), ("stdin", "fd/0"), ("stdout", "fd/1"), ("stderr", "fd/2")):
        (dev / name).symlink_to(f"/proc/self/{target}")
    (dev / "ptmx").symlink_to("pts/ptmx")
    _mount("--move", str(dev), "/dev")


def _network() -> None:
    socket.sethostname("box.example")
    Path("/proc/sys/net/unix/max_dgram_qlen").write_text("512")  # as systemd sets it for /dev/log
    for words in (
        ("link", "set", "lo", "up"),
        ("address", "add", f"{SERVER_ADDRESS}/32", "dev", "lo"),
        ("address", "add", f"{SINK_ADDRESS}/32", "dev", "lo"),
        ("route", "add", "local", BOTS, "dev", "lo"),
    ):
        subprocess.run(["ip", *words], check=True, timeout=30)


def _etc() -> None:
    etc = Path("/etc")
    passwd = "".join(f"{name}:x:{uid}:{gid}:{name.title()}:{home}:/bin/sh\n" for name, uid, gid, home in USERS)
    shadow = "".join(f"{name}:{PASSWORD if uid > PEOPLE_FROM else '*'}:19000::::::\n" for name, uid, _, _ in USERS)
    group = "".join(f"{name}:x:{gid}:\n" for name, _, gid, _ in USERS)
    group += "".join(f"{name}:x:{gid}:\n" for name, gid in GROUPS)
    names = {row[0] for row in USERS} | {row[0] for row in GROUPS}
    for file, more in (("passwd", passwd), ("shadow", shadow), ("group", group)):
        lines = (etc / file).read_text().splitlines(keepends=True)
        kept = "".join(line for line in lines if line.partition(":")[0] not in names)
        replace(etc / file, kept + more)
    replace(etc / "resolv.conf", "nameserver 127.0.0.1\nsearch .\noptions timeout:3 attempts:1\n")
    replace(etc / "hosts", HOSTS)
    replace(etc / "nsswitch.conf", "passwd: files\ngroup: files\nshadow: files\nhosts: files dns\nservices: files\n")
    replace(etc / "mailname", "pop.cape.com\n")
    for file, text in CONFIGURATION.items():
        replace(POSTFIX / file, text)
    replace(etc / "aliases", "postmaster: root\n")


def replace(path: Path, text: str) -> None:
    """Write a file anew, whatever was there (a link included)."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.unlink(missing_ok=True)
    path.write_text(text)


def _homes() -> None:
    for name, uid, gid, home in USERS:
        if uid >= PEOPLE_FROM or name == "vmail":
            Path(home).mkdir(parents=True, exist_ok=True)
            os.chown(home, uid, gid)
    spool = Path("/var/spool/mail")
    spool.mkdir()
    spool.chmod(0o1777)
    Path("/var/mail").chmod(0o1777)
    Path("/var/spool/postfix").mkdir(mode=0o755)
    data = Path("/var/lib/postfix")
    data.mkdir(mode=0o755)
    shutil.chown(data, "postfix", "postfix")
    for tool in (Path("/usr/sbin/postdrop"), Path("/usr/sbin/postqueue")):
        shutil.chown(tool, group="postdrop")
        tool.chmod(0o2755)


def copy_configuration(source: Path) -> None:
    """Lay the files of a directory over /etc/postfix."""
    shutil.copytree(source, POSTFIX, dirs_exist_ok=True)
