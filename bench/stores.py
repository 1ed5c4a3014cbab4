"""A million greylist triplets and a million clients that have passed: start, memory, look-ups; and postgrey beside it.

`python -m bench.stores [--rows N]`.  First both stores as a worker uses them, while another process goes on writing to
them.  Then Debian's postgrey and `seawall policy-service greylist`, each with the same N triplets in its store on the
box's disk, asked by the policy protocol over one connection, in random order: those that have passed, and strangers.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import socket
import subprocess
import sys
import tempfile
import time
from array import array
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any, TypeVar

from tests.box import Box, missing

from bench.greylist import PORT, ask, cpu_of, stranger
from seawall.door.passed_clients import Change, PassedClients, address_of
from seawall.door.passed_store import FILE as PASSED
from seawall.door.passed_store import PassedLookUps, PassedStore
from seawall.policy.greylist import Greylist, Rules, TripletRow
from seawall.policy.greylist_store import FILE as GREYLIST
from seawall.policy.greylist_store import GreylistLookUps, GreylistStore

T = TypeVar("T")

ROWS = 1_000_000
QUESTIONS = 20_000
LOOKED_UP = 100_000
IN_A_BATCH = 5000
WRITTEN = 500
"""Rows that are written to each store twice a second, while look-ups are measured."""
LEARNT, SEEN = 1000, 400
"""Seconds ago: the first attempt of what is in the store, and the last."""
CACHE = Path(__file__).resolve().parent.parent / ".cache"
FILL_POSTGREY = """
use BerkeleyDB;
my $env = BerkeleyDB::Env->new(-Home => $ARGV[0], -Flags => DB_CREATE|DB_INIT_TXN|DB_INIT_MPOOL|DB_INIT_LOG) or die;
tie(my %db, 'BerkeleyDB::Btree', -Filename => 'postgrey.db', -Flags => DB_CREATE, -Env => $env) or die;
while (<STDIN>) { chomp; my ($key, $value) = split /\\t/; $db{$key} = $value; }
untie %db; $env->txn_checkpoint(0, 0);
"""


def batches(rows: Iterable[Any]) -> Iterator[list[Any]]:
    """The rows, some thousands at a time."""
    left = iter(rows)
    while batch := list(islice(left, IN_A_BATCH)):
        yield batch


def client(number: int) -> str:
    """The address of a client: scattered as clients are, no two alike, one in eight with IPv6."""
    scattered = number * 0x9E3779B1 & 0xFFFFFFFF
    return (
        address_of((1 << 128) | 0x2001_0DB8 << 96 | scattered << 64 | 1) if number % 8 == 0 else address_of(scattered)
    )


def change(number: int, now: int) -> Change:
    """What is known of a client that passed all tests."""
    return client(number), (now + 86400, now + 3600, now + 30 * 86400, now + 30 * 86400, now + 30 * 86400)


def triplet(greylist: Greylist, number: int, now: int) -> TripletRow:
    """One that has passed."""
    address, sender, recipient = stranger(number)
    keys = greylist.keys(address, sender, recipient)
    return TripletRow(keys.triplet, keys.pair, now - LEARNT, now - SEEN, 1, address, "")


def fill_greylist(path: Path, rows: int, now: int) -> None:
    """As the watcher writes."""
    store = GreylistStore(path)
    greylist = Greylist(Rules(), store.secret)
    for batch in batches(triplet(greylist, number, now) for number in range(rows)):
        store.save(batch, [])
    store.close()


def fill_passed(path: Path, rows: int, now: int) -> None:
    """As the watcher writes."""
    store = PassedStore(path)
    for batch in batches(change(number, now) for number in range(rows)):
        store.save(batch)
    store.close()


def pss(pid: int | str = "self") -> int:
    """Bytes of a process that lie in memory, its share of what it shares.  proc(5) smaps_rollup"""
    for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
        if line.startswith("Pss:"):
            return int(line.split()[1]) * 1024
    return 0


def took(once: Callable[[T], object], asked: Sequence[T]) -> dict[str, float]:
    """µs of each call: half of them, 99 of 100, 999 of 1000, and all took no longer."""
    each = array("d", bytes(8 * len(asked)))
    for at, this in enumerate(asked):
        begin = time.perf_counter()
        once(this)
        each[at] = time.perf_counter() - begin
    ordered = sorted(each)
    share = {"p50": 0.5, "p99": 0.99, "p99.9": 0.999, "max": 1.0}
    return {name: 1e6 * ordered[min(len(ordered) - 1, int(part * len(ordered)))] for name, part in share.items()}


# ---- as a worker uses them ----------------------------------------------------------------------------------------


def worker(place: Path, rows: int) -> None:
    """In a process of its own: start, look up, print JSON."""
    chance, now, count = random.Random(1), time.time(), min(LOOKED_UP, rows)
    numbers = {
        "known": [chance.randrange(rows) for _ in range(count)],
        "new": range(2 * rows, 2 * rows + count),  # nobody wrote these
    }
    triplets = {what: [stranger(number) for number in each] for what, each in numbers.items()}
    addresses = {what: [client(number) for number in each] for what, each in numbers.items()}
    took(len, triplets["known"])  # so that its own memory is not counted
    before, begin = pss(), time.perf_counter()
    store = GreylistStore(place / GREYLIST)  # for the key of the hashes, as a worker does
    kept, clients = GreylistLookUps(place / GREYLIST, print), PassedLookUps(place / PASSED, print)
    kept.open()
    clients.open()
    store.close()
    greylist, passed = Greylist(Rules(), store.secret, kept), PassedClients(clients)
    is_sound = not greylist.is_new(greylist.keys(*triplets["known"][0]), now)
    is_sound = is_sound and passed.find(addresses["known"][0]) is not None
    found: dict[str, Any] = {"start": time.perf_counter() - begin}
    kept.warm()
    clients.warm()

    def look(triplet: tuple[str, str, str]) -> bool:
        return greylist.is_new(greylist.keys(*triplet), now)

    for what in numbers:
        found[f"triplets, {what}"] = took(look, triplets[what])
        found[f"passed clients, {what}"] = took(passed.find, addresses[what])
    found["sound"] = (
        is_sound and all(map(look, triplets["new"][:1000])) and not any(map(look, triplets["known"][:1000]))
    )
    found["memory"] = pss() - before
    print(json.dumps(found))


def measure_worker(rows: int) -> list[str]:
    """Fill, start a worker, and write on beside it."""
    now = int(time.time())
    lines: list[str] = []
    with tempfile.TemporaryDirectory(dir=CACHE) as directory:
        place = Path(directory)
        for file, fill in ((GREYLIST, fill_greylist), (PASSED, fill_passed)):
            begin = time.perf_counter()
            fill(place / file, rows, now)
            seconds = time.perf_counter() - begin
            size = (place / file).stat().st_size / 2**20
            lines.append(f"  {file}: {rows:,} rows, {size:,.0f} MiB, written at {rows / seconds:,.0f} a second")
        process = subprocess.Popen(
            [sys.executable, "-m", "bench.stores", "--worker", directory, "--rows", str(rows)],
            stdout=subprocess.PIPE,
            text=True,
        )
        triplets, clients = GreylistStore(place / GREYLIST), PassedStore(place / PASSED)
        greylist, at = Greylist(Rules(), triplets.secret), rows
        while process.poll() is None:
            numbers = range(at, at + WRITTEN)
            triplets.save([triplet(greylist, number, now) for number in numbers], [])
            clients.save([change(number, now) for number in numbers])
            at += WRITTEN
            time.sleep(0.5)
        triplets.close()
        clients.close()
        text = process.communicate()[0]
        if process.returncode:
            raise SystemExit("the worker failed")
        found = json.loads(text)
    lines.append(f"  start of a worker, to its first answers: {1000 * found['start']:.1f} ms")
    lines.append(f"  memory of it all in a worker (PSS): {found['memory'] / 2**20:.1f} MiB")
    if not found["sound"]:
        lines.append("  but what it found is not what was written")
    names = ("p50", "p99", "p99.9", "max")
    lines.append(f"  {'µs a look-up':<44}" + "".join(f"{name:>12}" for name in names))
    measured = ("triplets, known", "triplets, new", "passed clients, known", "passed clients, new")
    return lines + [f"  {what:<44}" + "".join(f"{found[what][name]:>12.1f}" for name in names) for what in measured]


# ---- postgrey beside it -------------------------------------------------------------------------------------------


def fill_postgrey(place: Path, rows: int, now: int) -> None:
    """The same triplets in its own form, through its own library."""
    with tempfile.NamedTemporaryFile("w+") as file:
        for number in range(rows):
            address, sender, recipient = stranger(number)
            network = address.rpartition(".")[0] + ".0"
            file.write(f"{network}/{sender}/{recipient}\t{now - LEARNT},{now - SEEN}\n")
        file.seek(0)
        subprocess.run(["perl", "-e", FILL_POSTGREY, str(place)], stdin=file, check=True)


def inside(server: str, rows: int, questions: int) -> None:
    """In the box: fill, start one of the two, ask, print JSON."""
    place = Path("/var/lib/bench-stores")
    place.mkdir(parents=True)
    (Path("/etc/postfix") / "main.cf").open("a").write(f"\nmynetworks =\ndata_directory = {place}\n")
    ours = [sys.executable, "-m", "seawall", "policy-service", "--listen", f"inet:127.0.0.1:{PORT}", "greylist"]
    # it wants a user of its own; in the box root is as good, for nobody else is there
    theirs = ["postgrey", f"--inet=127.0.0.1:{PORT}", f"--dbdir={place}", "--user=root", "--group=root", "--quiet"]
    if server == "seawall":
        fill_greylist(place / "seawall" / GREYLIST, rows, int(time.time()))
    else:
        fill_postgrey(place, rows, int(time.time()))
    begin = time.perf_counter()
    with open("/run/bench.out", "wb") as out:
        process = subprocess.Popen(ours if server == "seawall" else theirs, stdout=out, stderr=out)
    connection = connect(process, begin)
    chance = random.Random(1)
    known = [chance.randrange(rows) for _ in range(questions)]
    with connection:
        if b"dunno" not in ask(known[0], connection).lower():
            raise SystemExit(f"{server} does not know what is in its store")
        found: dict[str, Any] = {"start": time.perf_counter() - begin, "size": size_of(place)}
        for what, numbers in (("known", known), ("new", list(range(2 * rows, 2 * rows + questions)))):
            used = cpu_of(process.pid)
            found[what] = took(partial(ask, connection=connection), numbers)
            found[what]["cpu"] = (cpu_of(process.pid) - used) / questions * 1e6
        found["memory"] = pss(process.pid)
    process.kill()  # postgrey takes its time to leave
    process.wait(10)
    print(json.dumps(found))


def connect(process: subprocess.Popen[bytes], begin: float) -> socket.socket:
    """To the service, as soon as it listens."""
    while True:
        try:
            return socket.create_connection(("127.0.0.1", PORT), 5)
        except OSError:
            if time.perf_counter() - begin > 60 or process.poll() is not None:
                raise SystemExit(f"no answer: {Path('/run/bench.out').read_text()}") from None
            time.sleep(0.01)


def size_of(place: Path) -> int:
    """Bytes of all files below a directory."""
    return sum(path.stat().st_size for path in place.rglob("*") if path.is_file())


def compare(rows: int, questions: int) -> list[str]:
    """Both, each in a box of its own."""
    trouble = missing()
    if trouble:
        return [f"  postgrey: not measured: {trouble}"]
    found: dict[str, dict[str, Any]] = {}
    words = ["--rows", str(rows), "--questions", str(questions)]
    for server in ("postgrey", "seawall"):
        with tempfile.TemporaryDirectory(dir=CACHE) as disk, Box(Path(disk)) as box:
            ran = box.run(
                "env", "-C", os.getcwd(), sys.executable, "-m", "bench.stores", "--inside", server, *words, timeout=1800
            )
            found[server] = json.loads(ran.out.strip().splitlines()[-1])
    one, two = found["postgrey"], found["seawall"]
    lines = [f"  {'':<44}{'postgrey':>12}{'seawall':>12}"]

    def line(what: str, theirs: float, ours: float, digits: int = 0) -> None:
        lines.append(f"  {what:<44}{theirs:>12,.{digits}f}{ours:>12,.{digits}f}{theirs / ours if ours else 0:8.1f} x")

    line("from its start to the first answer, s", one["start"], two["start"], 2)
    line("memory (PSS), MiB", one["memory"] / 2**20, two["memory"] / 2**20, 1)
    line("on disk, MiB", one["size"] / 2**20, two["size"] / 2**20)
    for what, said in (("known", "has passed"), ("new", "stranger")):
        line(f"{said}: µs from question to answer, p50", one[what]["p50"], two[what]["p50"])
        line(f"{said}: the same, p99", one[what]["p99"], two[what]["p99"])
        line(f"{said}: µs of CPU each", one[what]["cpu"], two[what]["cpu"])
    return lines


def measure(rows: int, questions: int) -> list[str]:
    """Everything."""
    return [*measure_worker(rows), *compare(rows, questions)]


def main() -> None:
    """Print the figures."""
    parser = argparse.ArgumentParser(prog="bench.stores", description=__doc__)
    parser.add_argument("--rows", type=int, default=ROWS)
    parser.add_argument("--questions", type=int, default=QUESTIONS)
    parser.add_argument("--worker", type=Path, help="the directory of the stores")
    parser.add_argument("--inside", choices=("postgrey", "seawall"))
    given = parser.parse_args()
    if given.worker:
        worker(given.worker, given.rows)
    elif given.inside:
        inside(given.inside, given.rows, given.questions)
    else:
        print("\n".join(measure(given.rows, given.questions)))


if __name__ == "__main__":
    main()
