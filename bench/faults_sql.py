"""What PostgreSQL's troubles do to mail: stopped, hung (SIGSTOP) and slow, each for a while under load.

As `bench.faults_policy` does with a policy service: clients ask for recipients that only the database knows, without a
pause.  No trouble may refuse mail for good or let a stranger's recipient in; once the database is known to be away,
answers come within two seconds; once it is back, mail is taken again within five.
"""

from __future__ import annotations

import argparse
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests import peers
from tests.box import Box
from tests.box_postgres import BoxPostgres
from tests.system.box_site import BoxSite
from tests.system.client import Client
from tests.system.server import until

CLIENTS = 8
PAUSE = 0.02
SLOW = 0.5
OPENS = 12.0
"""Seconds after which the breaker must have opened: one answer's time limit, and what a session waits on after that."""
ANSWERED = 2.0
BACK = 5.0
PATIENCE = 40.0
TROUBLES = ("stopped", "hung", "slow")
HEARD = "/var/log/heard"
TABLES = """\
CREATE TABLE boxes (address text PRIMARY KEY, path text);
INSERT INTO boxes SELECT 'box' || n || '@example.com', 'box' || n || '/' FROM generate_series(0, 99) AS n;
CREATE TABLE delay (seconds float);
INSERT INTO delay VALUES (0);
CREATE FUNCTION box_of(text) RETURNS SETOF text LANGUAGE sql AS
$$ SELECT path FROM boxes, pg_sleep((SELECT seconds FROM delay)) WHERE address = $1 $$;
"""
TABLE_CF = """\
hosts = 127.0.0.1
user = mail
password = secret
dbname = mail
query = SELECT * FROM box_of('%s')
"""
MAIN_CF = """\
seawall_workers = 2
mynetworks = 192.0.2.99
virtual_mailbox_domains = example.com
virtual_mailbox_maps = proxy:pgsql:/etc/postfix/boxes.cf
smtpd_relay_restrictions = reject_unauth_destination
smtpd_recipient_restrictions =
smtpd_error_sleep_time = 0
smtpd_hard_error_limit = 1000000
smtpd_junk_command_limit = 1000000
smtpd_client_connection_count_limit = 0
"""


@dataclass(frozen=True, slots=True)
class Heard:
    """One RCPT: when it was said (monotonic seconds), how long the reply took, its code, and whether anybody has it."""

    at: float
    seconds: float
    code: str
    exists: bool


def ask_all_the_while(number: int, file: str, write: threading.Lock) -> None:
    """One client, inside the box, until its process is ended.  Every fifth recipient is nobody's."""
    count = 0
    while True:
        try:
            with Client(25, patience=PATIENCE) as client:
                client.hear()
                client.say("EHLO client.example", "MAIL FROM:<ann@far.example>")
                while True:
                    count += 1
                    user = f"box{number}" if count % 5 else f"nobody{number}"
                    at = time.monotonic()
                    code = client.say(f"RCPT TO:<{user}@example.com>")[:3]
                    with write, open(file, "a", encoding="ascii") as out:
                        out.write(f"{at} {time.monotonic() - at} {code} {int(count % 5 > 0)}\n")
                    client.say("RSET", "MAIL FROM:<ann@far.example>")
                    threading.Event().wait(PAUSE)
        except OSError:
            threading.Event().wait(PAUSE)


def load() -> None:
    """All clients."""
    write = threading.Lock()
    threads = [threading.Thread(target=ask_all_the_while, args=(n, HEARD, write)) for n in range(CLIENTS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


@dataclass(frozen=True, slots=True)
class Result:
    """What one trouble came to.  Seconds; `open_slowest` is of answers from when the breaker must be open."""

    trouble: str
    asked: int
    permanent: int
    let_in: int
    deferred: int
    slowest: float
    open_slowest: float
    back_after: float

    @property
    def is_good(self) -> bool:
        """True where everything was as it must be."""
        if self.permanent or self.let_in or self.back_after > BACK:
            return False
        return self.deferred == 0 if self.trouble == "slow" else self.open_slowest <= ANSWERED


class Asked:
    """A server whose mailboxes are in a database, and clients that ask it."""

    def __init__(self, box: Box, database: BoxPostgres) -> None:
        self._box = box
        self._database = database

    def heard(self) -> list[Heard]:
        """Everything so far."""
        text = (self._box.read(HEARD) or b"").decode("ascii")
        rows = [line.split() for line in text.splitlines()]
        return [Heard(float(r[0]), float(r[1]), r[2], r[3] == "1") for r in rows if len(r) == 4]

    def _begin(self, trouble: str) -> None:
        if trouble == "stopped":
            self._database.kill()
        elif trouble == "hung":
            self._database.hang()
        else:
            self._database.sql(f"UPDATE delay SET seconds = {SLOW}")

    def _finish(self, trouble: str) -> None:
        if trouble == "stopped":
            self._database.start()
        elif trouble == "hung":
            self._database.resume()
        else:
            self._database.sql("UPDATE delay SET seconds = 0")

    def run(self, trouble: str, seconds: float) -> Result:
        """Let the database be in trouble for so many seconds."""
        start = time.monotonic()
        until(lambda: sum(one.at > start and one.code == "250" for one in self.heard()) > CLIENTS * 3, "mail is taken")
        began = time.monotonic()
        self._begin(trouble)
        threading.Event().wait(seconds)
        self._finish(trouble)
        over = time.monotonic()
        until(lambda: taken_after(self.heard(), over) is not None, "mail is taken again", 30)
        back = taken_after(self.heard(), over) or over
        until(lambda: sum(one.at > back for one in self.heard()) > CLIENTS * 3, "everybody is served again", 60)
        everything = [one for one in self.heard() if one.at > start]
        during = [one for one in everything if one.at >= began]
        known = [one.seconds for one in during if began + OPENS < one.at < over]
        return Result(
            trouble,
            asked=len(during),
            permanent=sum(one.exists and one.code.startswith("5") for one in everything),
            let_in=sum(not one.exists and one.code.startswith("2") for one in everything),
            deferred=sum(one.code.startswith("4") for one in during),
            slowest=max(one.seconds for one in during),
            open_slowest=max(known, default=0.0),
            back_after=back - over,
        )


def taken_after(heard: Sequence[Heard], moment: float) -> float | None:
    """When the first recipient was taken that was asked for after a moment."""
    return min((one.at + one.seconds for one in heard if one.at > moment and one.code == "250"), default=None)


@contextmanager
def asked_server() -> Iterator[Asked]:
    """Seawall, PostgreSQL and the clients, in a box of their own."""
    with Box() as box, BoxPostgres(box) as database:
        database.sql(TABLES)
        site = BoxSite(box)
        site.lay_out(MAIN_CF)
        box.write("/etc/postfix/boxes.cf", TABLE_CF, mode=0o600)  # root alone may read the password
        site.start()
        path = f"{peers.CHECKOUT}:{peers.CHECKOUT}/src"
        clients = box.start("env", f"PYTHONPATH={path}", sys.executable, "-m", "bench.faults_sql", "--load")
        try:
            yield Asked(box, database)
        finally:
            box.stop(clients)
            site.stop()


def main(arguments: Sequence[str]) -> int:
    """All troubles in turn; 1 where one was not met as it should be."""
    parser = argparse.ArgumentParser(prog="bench.faults_sql", description=__doc__)
    parser.add_argument("--seconds", type=float, default=60.0, help="how long each trouble lasts")
    parser.add_argument("--load", action="store_true", help="be the clients (inside the box)")
    given = parser.parse_args(arguments)
    if given.load:
        Path(HEARD).touch()
        load()
        return 0
    good = True
    with asked_server() as asked:
        for trouble in TROUBLES:
            result = asked.run(trouble, given.seconds)
            good = good and result.is_good
            print(
                f"PostgreSQL {trouble:8} {result.asked} asked, {result.permanent} refused for good, "
                f"{result.let_in} let in, {result.deferred} deferred, slowest {result.slowest:.2f} s, "
                f"once known {result.open_slowest:.2f} s, back after {result.back_after:.2f} s",
                flush=True,
            )
    return int(not good)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
