"""What judging a refused recipient and taking in a small message cost, without a socket: `python -m bench.policy`.

Config A of the tests below a root of its own, its zone file as the resolver (all answers are there at once), a spool
and a journal that keep nothing; the users are in a file, so that this machine's NSS is not measured.  Each figure is the least of several short runs, as the machine may be shared.
"""

from __future__ import annotations

import itertools
import shutil
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterator
from functools import partial
from pathlib import Path

from seawall.clock import SystemClock
from seawall.config.settings import Settings, load
from seawall.dns.answers import Answer as Dns
from seawall.dns.zone import Zone
from seawall.eager import result_now
from seawall.intake.cleanup import Cleanup
from seawall.journal.record import Record
from seawall.mail.envelope import Body, Origin, Recipient, Submission
from seawall.mail.message import Message
from seawall.mail.queue_id import QueueIds
from seawall.policy.attempt import Attempt
from seawall.policy.judge import Answer, Judge
from seawall.policy.verdict import Act, Verdict
from seawall.policy.world import WorldFacts
from seawall.routing.resolve import Routing
from seawall.tables.registry import Tables

CONFIG = Path(__file__).resolve().parent.parent / "tests" / "golden" / "config-a"
RUNS = 12
ROUNDS = 1000
RECEIVED = b"""\
Received: from mx%d.good.example (mx%d.good.example [203.0.113.25])
\tby hub.good.example (Postfix) with ESMTPS id 4ZzQ1%d
\tfor <list@cape.com>; Mon, 23 Nov 2026 13:25:00 +0000 (UTC)
"""
HEADERS = (
    b"".join(RECEIVED % (at, at, at) for at in range(4))
    + b"DKIM-Signature: v=1; a=rsa-sha256; c=relaxed/relaxed; d=good.example; s=one;\n"
    + b"".join(b"\tb=" + b"k9" * 34 + b"\n" for _ in range(4))
    + b"From: Bob <bob@good.example>\nTo: list@cape.com\nSubject: a usual one\nMessage-Id: <1@good.example>\n"
    + b"Date: Mon, 23 Nov 2026 13:25:00 +0000\nMIME-Version: 1.0\nContent-Type: text/plain; charset=utf-8\n"
    + b"Content-Transfer-Encoding: 8bit\nX-Mailer: some mailer\nUser-Agent: some agent\n"
)
SMALL = b"From: bob@good.example\nTo: list@cape.com\nSubject: a small one\nMessage-Id: <1@good.example>\n"
BODY = b"\n" + b"a line of text\n" * 70
"""Some 1 KiB."""


def best(step: Callable[[], object], rounds: int = ROUNDS) -> float:
    """Microseconds of CPU a call: the least of several runs."""
    found = float("inf")
    for _ in range(RUNS):
        begin = time.thread_time()
        for _ in range(rounds):
            step()
        found = min(found, time.thread_time() - begin)
    return found / rounds * 1e6


class Cached:
    """A zone as the resolver's cache answers: one look into a dictionary."""

    def __init__(self, zone: Zone) -> None:
        self._zone = zone
        self._cache: dict[tuple[str, str], Dns] = {}

    def ask(self, name: str, kind: str) -> Dns:
        """The zone's answer."""
        key = (name.rstrip(".").lower(), kind)
        found = self._cache.get(key)
        if found is None:
            found = self._cache[key] = self._zone.ask(name, kind)
        return found


class NullJournal:
    """Takes records and forgets them."""

    def write(self, record: Record) -> None:
        """Nothing."""


class NullResting:
    """Takes messages and forgets them."""

    async def store(self, message: Message) -> None:
        """Nothing."""


class Parts:
    """Config A, compiled."""

    def __init__(self, root: Path) -> None:
        etc = root / "etc" / "postfix"
        shutil.copytree(CONFIG, etc)
        (root / "var" / "spool" / "postfix").mkdir(parents=True)
        (etc / "users").write_text("alice x\nbob x\n")
        overrides = {"local_recipient_maps": "texthash:/etc/postfix/users $alias_maps"}
        self.settings: Settings = load("/etc/postfix", str(root)).with_overrides(overrides)
        self.tables = Tables(str(root), "/etc/postfix")
        self.routing = Routing(self.settings, self.tables)
        zone = Cached(Zone("$TTL 300\n" + (etc / "zone").read_text()))
        self.facts = WorldFacts(self.settings, self.tables, self.routing, zone)
        self.judge = Judge(self.settings, self.facts)
        self.cleanup = Cleanup(
            self.settings,
            self.routing,
            self.tables,
            NullResting(),
            None,
            NullJournal(),
            SystemClock(),
            QueueIds(1),
        )


async def _awaited(answer: Awaitable[Verdict]) -> Verdict:
    return await answer


def heard(answer: Answer) -> Verdict:
    """The verdict, which is there without a wait."""
    return answer if isinstance(answer, Verdict) else result_now(_awaited(answer))


def session(judge: Judge, sender: str, recipient: str) -> Verdict:
    """Connection to RCPT."""
    attempt = Attempt("198.18.3.4", name="client.good.example", reverse_name="client.good.example", protocol="ESMTP")
    heard(judge.connect(attempt))
    attempt.where, attempt.helo = "EHLO", "client.good.example"
    heard(judge.helo(attempt))
    attempt.where, attempt.sender = "MAIL", sender
    heard(judge.mail(attempt))
    attempt.where, attempt.recipient = "RCPT", recipient
    return heard(judge.rcpt(attempt))


def message(cleanup: Cleanup, content: bytes) -> None:
    """MAIL to the end of DATA, for one local recipient."""
    origin = Origin("client.good.example", "198.18.3.4", "1234", "client.good.example", "client.good.example", "ESMTP")
    reception = cleanup.open(Submission(origin, "bob@good.example", len(content), Body.UNSTATED))
    reception.add_recipient(Recipient("list@cape.com"))
    reception.write(content)
    reply = result_now(reception.finish())
    if reply.code != 250:
        raise SystemExit(reply.line())


def a_second(root: Path) -> Iterator[tuple[str, float]]:
    """Verdicts a CPU second of the judge alone: a session from connection to RCPT each."""
    judge = Parts(root).judge
    for what, recipient in (("refused", "no-such-user@cape.com"), ("accepted", "list@cape.com")):
        cost = best(partial(session, judge, "bob@good.example", recipient))
        yield f"our judge alone, configuration A, {what}, per CPU second", 1e6 / cost


def main() -> None:
    """Print the table."""
    with tempfile.TemporaryDirectory() as directory:
        measure(Parts(Path(directory)))


def measure(parts: Parts) -> None:
    """Each figure on a line."""
    judge, facts, numbers = parts.judge, parts.facts, itertools.count()
    sender, stranger, ours = "bob@good.example", "joe@far.example", "no-such-user@cape.com"
    expected = {
        ours: f"550 5.1.1 <{ours}>: Recipient address rejected: User unknown in local recipient table",
        stranger: f"450 4.1.2 <{stranger}>: Recipient address rejected: Domain not found",
    }
    for address, text in expected.items():
        verdict = session(judge, sender, address)
        if verdict.reply is None or verdict.reply.line() != text:
            raise SystemExit(f"not as expected: {verdict}")
    if session(judge, sender, "list@cape.com").act is Act.REJECT:
        raise SystemExit("an alias is refused")

    def fresh() -> Verdict:
        number = next(numbers)
        return session(judge, f"bob{number}@good.example", f"no-such-user{number}@cape.com")

    def route() -> object:
        return result_now(parts.routing.resolve(ours))

    networks = facts.clients(parts.settings.text("mynetworks"), "mynetworks")
    known = result_now(parts.routing.resolve(ours))
    listing = parts.routing.recipients.listing
    rows: tuple[tuple[str, Callable[[], object]], ...] = (
        ("a refused session, known addresses", lambda: session(judge, sender, ours)),
        ("a refused session, new addresses", fresh),
        ("a refused session, no such domain", lambda: session(judge, sender, stranger)),
        ("an accepted recipient", lambda: session(judge, sender, "list@cape.com")),
        ("Routing.resolve, ours", route),
        ("Routing.resolve, a stranger's", lambda: result_now(parts.routing.resolve(sender))),
        ("RecipientTables.listing", lambda: result_now(listing(known))),
        ("find_address", lambda: result_now(parts.routing.recipients.virtual_alias_maps.find_address(ours))),
        ("recipient_regexp", lambda: facts.maps("regexp:/etc/postfix/recipient_regexp", "x").lookup(ours)),
        ("mynetworks", lambda: networks.test("client.good.example", "198.18.3.4")),
        ("Attempt", lambda: Attempt("198.18.3.4", name="client.good.example", reverse_name="client.good.example")),
        ("Cleanup, few headers", lambda: message(parts.cleanup, SMALL + BODY)),
        ("Cleanup, 1.7 KiB of headers", lambda: message(parts.cleanup, HEADERS + BODY)),
    )
    for name, step in rows:
        print(f"{name:<36} {best(step):6.2f} µs", flush=True)


if __name__ == "__main__":
    main()
