"""A private PostgreSQL in a box, up in some seconds, which can be stopped, hung, slowed and started again.

    with Box() as box, BoxPostgres(box) as database:
        database.sql("CREATE TABLE aliases (address text, goto text)")
        database.hang()     # it accepts and says nothing
        database.resume()

It listens on 127.0.0.1:5432 and on the socket /run/postgresql/.s.PGSQL.5432. The role `mail` (password "secret", asked for
over TCP) reads everything in the database `mail`.
"""

from __future__ import annotations

import signal
import time
from types import TracebackType

from tests.box import Box, BoxTrouble

BIN = "/usr/lib/postgresql/15/bin"
DATA = "/var/lib/postgresql/data"
SOCKETS = "/run/postgresql"
PORT = 5432
AS_POSTGRES = ("setpriv", "--reuid=postgres", "--regid=postgres", "--clear-groups")
SETTINGS = f"""\
listen_addresses = '127.0.0.1'
port = {PORT}
unix_socket_directories = '{SOCKETS}'
fsync = off
synchronous_commit = off
full_page_writes = off
autovacuum = off
shared_buffers = 8MB
max_connections = 60
max_wal_senders = 0
wal_level = minimal
timezone = 'UTC'
log_timezone = 'UTC'
"""
ACCESS = "local all all trust\nhost all postgres 127.0.0.1/32 trust\nhost all all 127.0.0.1/32 scram-sha-256\n"


class BoxPostgres:
    """PostgreSQL in `box`; as a context manager it is started, and stopped at the end."""

    def __init__(self, box: Box) -> None:
        self._box = box
        self._made = False
        self.pid = 0

    def __enter__(self) -> BoxPostgres:
        self.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.stop()

    def start(self) -> None:
        """Start it, with an empty database `mail` the first time; returns once it answers."""
        box = self._box
        first = not self._made
        if first:
            self._make()
        self.pid = box.start(*AS_POSTGRES, f"{BIN}/postgres", "-D", DATA, output="/var/log/postgres.log")
        end = time.monotonic() + 20
        while self.sql("SELECT 1", database="postgres", check=False) != "1\n":
            if time.monotonic() > end or not box.alive(self.pid):
                text = (box.read("/var/log/postgres.log") or b"").decode("utf-8", "replace")
                raise BoxTrouble(f"PostgreSQL does not start:\n{text}")
        if first:
            self.sql("CREATE ROLE mail LOGIN PASSWORD 'secret' IN ROLE pg_read_all_data", database="postgres")
            self.sql("CREATE DATABASE mail OWNER mail TEMPLATE template0", database="postgres")

    def _make(self) -> None:
        box = self._box
        box.remove(DATA)  # what another database of this box left
        for place in (DATA, SOCKETS):
            box.run("install", "-d", "-o", "postgres", "-g", "postgres", "-m", "0755", place)
        box.run("chmod", "700", DATA)
        box.run("chown", "postgres", "/var/lib/postgresql")
        words = ("-U", "postgres", "-A", "trust", "-E", "UTF8", "--locale=C", "--no-sync", "--no-instructions")
        box.run(*AS_POSTGRES, f"{BIN}/initdb", "-D", DATA, *words)
        box.write(f"{DATA}/postgresql.conf", SETTINGS, owner="postgres")
        box.write(f"{DATA}/pg_hba.conf", ACCESS, owner="postgres")
        self._made = True

    def sql(self, text: str, *, database: str = "mail", check: bool = True) -> str:
        """Run statements; what they print, a row a line, columns with a bar between."""
        words = ("-h", SOCKETS, "-U", "postgres", "-d", database, "-XqAt", "-v", "ON_ERROR_STOP=1", "-f", "-")
        return self._box.run(f"{BIN}/psql", *words, stdin=text, check=check).out

    def stop(self) -> None:
        """End it at once, its clients' connections with it (a fast shutdown)."""
        if self.pid and self._box.alive(self.pid):
            self.resume()
            self._box.kill(self.pid, signal.SIGINT)
            if self._box.ended(self.pid, 10) is None:
                self.kill()
        self.pid = 0

    def kill(self) -> None:
        """End it without a word, as a crash does."""
        for pid in self._processes():
            self._box.kill(pid, signal.SIGKILL)
        self._box.ended(self.pid, 10)

    def hang(self) -> None:
        """It still accepts, the kernel does that, and says nothing any more."""
        for pid in self._processes():
            self._box.kill(pid, signal.SIGSTOP)

    def resume(self) -> None:
        """Go on where `hang` stopped."""
        for pid in self._processes():
            self._box.kill(pid, signal.SIGCONT)

    def _processes(self) -> list[int]:
        """The server first, then what it forked: each of those leads a session of its own."""
        found = [pid for pid, line in self._box.processes().items() if line.startswith("postgres:")]
        return [self.pid, *found]
