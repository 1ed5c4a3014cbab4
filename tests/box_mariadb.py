"""A private MariaDB in a box: 127.0.0.1:3306 and /run/mysqld/mysqld.sock; the user `mail` has the password "secret"."""

from __future__ import annotations

import signal
import time
from types import TracebackType

from tests.box import Box, BoxTrouble

DATA = "/var/lib/mysql"
SOCKET = "/run/mysqld/mysqld.sock"
PORT = 3306
GRANT = (
    "CREATE DATABASE mail; CREATE USER mail@'%' IDENTIFIED BY 'secret'; CREATE USER mail@localhost IDENTIFIED BY 'secret';"
    " GRANT SELECT, EXECUTE ON mail.* TO mail@'%'; GRANT SELECT, EXECUTE ON mail.* TO mail@localhost;"
)


class BoxMariaDb:
    """MariaDB in `box`; as a context manager it is started, and stopped at the end.  `more` are options of mariadbd."""

    def __init__(self, box: Box, *more: str) -> None:
        self._box = box
        self._more = more
        self.pid = 0

    def __enter__(self) -> BoxMariaDb:
        self.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.stop()

    def start(self) -> None:
        """Start it with an empty database `mail`; returns once it answers."""
        box = self._box
        for place in (DATA, "/run/mysqld"):
            box.run("install", "-d", "-o", "mysql", "-g", "mysql", place)
        made = ("--no-defaults", f"--datadir={DATA}", "--user=mysql")
        box.run("mariadb-install-db", *made, "--skip-test-db", "--auth-root-authentication-method=normal")
        self.pid = box.start(
            "/usr/sbin/mariadbd",
            *made,
            f"--socket={SOCKET}",
            f"--port={PORT}",
            "--bind-address=127.0.0.1",
            "--skip-name-resolve",
            "--innodb-flush-log-at-trx-commit=0",
            "--innodb-buffer-pool-size=16M",
            "--skip-log-bin",
            *self._more,
            output="/var/log/mariadb.log",
        )
        end = time.monotonic() + 20
        while self.sql("SELECT 1", database="mysql", check=False) != "1\n":
            if time.monotonic() > end or not box.alive(self.pid):
                text = (box.read("/var/log/mariadb.log") or b"").decode("utf-8", "replace")
                raise BoxTrouble(f"MariaDB does not start:\n{text}")
        self.sql(GRANT, database="mysql")

    def sql(self, text: str, *, database: str = "mail", check: bool = True) -> str:
        """Run statements as root; what they print, columns with tabs between."""
        words = ("--no-defaults", f"--socket={SOCKET}", "-u", "root", "-N", "-B", "--default-character-set=utf8mb4")
        return self._box.run("mariadb", *words, database, stdin=text, check=check).out

    def stop(self) -> None:
        """End it."""
        if self.pid and self._box.alive(self.pid):
            self._box.kill(self.pid, signal.SIGKILL)
            self._box.ended(self.pid, 10)
        self.pid = 0
