"""A private OpenLDAP server in a box: ldap://127.0.0.1:3389 and ldapi://%2Frun%2Fldapi, base ``dc=example,dc=com``.

With a certificate (`more`) also ldaps://127.0.0.1:3636.  ``cn=admin,dc=example,dc=com`` has the password "secret"; everybody may read.
"""

from __future__ import annotations

import signal
import time
from types import TracebackType

from tests.box import Box, BoxTrouble

PORT, SECURE_PORT = 3389, 3636
BASE = "dc=example,dc=com"
ADMIN = f"cn=admin,{BASE}"
CONFIGURATION = f"""\
include /etc/ldap/schema/core.schema
include /etc/ldap/schema/cosine.schema
include /etc/ldap/schema/inetorgperson.schema
attributetype ( 1.3.6.1.4.1.99999.1 NAME 'maildrop' EQUALITY caseIgnoreMatch SYNTAX 1.3.6.1.4.1.1466.115.121.1.15 )
attributetype ( 1.3.6.1.4.1.99999.2 NAME 'memberdn' EQUALITY caseIgnoreMatch SYNTAX 1.3.6.1.4.1.1466.115.121.1.15 )
attributetype ( 1.3.6.1.4.1.99999.3 NAME 'memberaddr' EQUALITY caseIgnoreMatch SYNTAX 1.3.6.1.4.1.1466.115.121.1.15 )
objectclass ( 1.3.6.1.4.1.99999.9 NAME 'mailThing' SUP top AUXILIARY MAY ( maildrop $ memberdn $ memberaddr $ mail ) )
modulepath /usr/lib/ldap
moduleload back_mdb
pidfile /run/slapd.pid
sizelimit 100
allow bind_v2
database mdb
suffix "{BASE}"
rootdn "{ADMIN}"
rootpw secret
directory /var/lib/ldap
dbnosync
"""


class BoxLdap:
    """A directory in `box`; as a context manager it is started, and stopped at the end.  `more` is slapd.conf(5)."""

    def __init__(self, box: Box, more: str = "") -> None:
        self._box = box
        self._more = more
        self.pid = 0

    def __enter__(self) -> BoxLdap:
        self.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.stop()

    def start(self) -> None:
        """Start it, empty; returns once it answers."""
        box = self._box
        box.run("install", "-d", "-o", "openldap", "-g", "openldap", "/var/lib/ldap")
        box.write("/etc/ldap/box.conf", CONFIGURATION + self._more)
        secure = f" ldaps://127.0.0.1:{SECURE_PORT}/" if "TLSCertificateFile" in self._more else ""
        listens = f"ldap://127.0.0.1:{PORT}/ ldapi://%2Frun%2Fldapi{secure}"
        self.pid = box.start(
            "/usr/sbin/slapd", "-d", "0", "-f", "/etc/ldap/box.conf", "-h", listens, output="/var/log/slapd.log"
        )
        if not box.listens(PORT, "127.0.0.1") or not box.alive(self.pid):
            text = (box.read("/var/log/slapd.log") or b"").decode("utf-8", "replace")
            raise BoxTrouble(f"slapd does not start:\n{text}")

    def add(self, ldif: str) -> None:
        """Add entries."""
        end = time.monotonic() + 10
        words = ("-x", "-H", f"ldap://127.0.0.1:{PORT}", "-D", ADMIN, "-w", "secret")
        done = self._box.run("ldapadd", *words, stdin=ldif, check=False)
        while done.code == 255 and time.monotonic() < end:  # it accepts before it serves
            done = self._box.run("ldapadd", *words, stdin=ldif, check=False)
        if done.code:
            raise BoxTrouble(f"ldapadd: {done.err}")

    def stop(self) -> None:
        """End it."""
        if self.pid and self._box.alive(self.pid):
            self._box.kill(self.pid, signal.SIGKILL)
            self._box.ended(self.pid, 10)
        self.pid = 0
