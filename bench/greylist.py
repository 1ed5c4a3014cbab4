"""Greylisting: what a million triplets cost in memory and time, and postgrey beside our policy service on the same traffic.

`python -m bench.greylist` prints both; `--triplets N` and `--questions N` make it smaller.  postgrey is Debian's, with its
Berkeley DB on the box's disk; both are asked by the policy protocol over one connection, strangers first, then the
same again (they are put off), as fast as they answer.
"""

from __future__ import annotations

import argparse
import gc
import json
import os
import random
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from tests.box import Box, missing

from seawall.policy.greylist import Greylist, Rules, TripletRow
from seawall.policy.greylist_store import GreylistStore

PORT = 10050
TRIPLETS = 1_000_000
QUESTIONS = 20_000
ASKED = 200_000
POLICY = """request=smtpd_access_policy
protocol_state=RCPT
protocol_name=ESMTP
client_address={address}
client_name=unknown
reverse_client_name=unknown
helo_name=h.example
sender={sender}
recipient={recipient}
recipient_count=0
queue_id=
instance={number:x}.1.0
size=0
etrn_domain=
sasl_method=
sasl_username=
sasl_sender=

"""


def stranger(number: int) -> tuple[str, str, str]:
    """(address, sender, recipient) of the triplet of a number; ten of a network."""
    network = number // 10
    address = f"{1 + (network >> 16) % 200}.{network >> 8 & 255}.{network & 255}.{1 + number % 250}"
    name = "".join(chr(97 + (number >> shift) % 26) for shift in (0, 3, 6, 9, 12, 15))  # digits are folded away
    return address, f"{name}{chr(97 + number % 10)}@sender{number}.example", f"user{number % 1000}@here.example"


def memory() -> int:
    """Bytes of this process that lie in memory."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


# ---- in memory ----------------------------------------------------------------------------------------------------


def measure_memory(triplets: int) -> None:
    """Fill, look up, write, load: print what each takes."""
    now, secret = time.time(), b"k" * 16
    gc.collect()
    before = memory()
    greylist = Greylist(Rules(), secret)
    longest = 0.0
    begin = time.perf_counter()
    for number in range(triplets):
        once = time.perf_counter()
        address, sender, recipient = stranger(number)
        greylist.meet(greylist.keys(address, sender, recipient), now, address)
        longest = max(longest, time.perf_counter() - once)
        if not number % 1000:
            greylist.take_changes()
    seconds = time.perf_counter() - begin
    greylist.take_changes()
    gc.collect()
    held = memory() - before
    print(f"{triplets:,} strangers met: {seconds / triplets * 1e6:.1f} µs each, the longest {longest * 1e6:.0f} µs")
    print(f"memory: {held / 2**20:.1f} MiB, {held / triplets:.0f} bytes a triplet; {len(greylist.triplets):,} are held")
    chance = random.Random(1)
    asked = [stranger(chance.randrange(triplets)) for _ in range(min(ASKED, triplets))]
    took: list[float] = []
    for address, sender, recipient in asked:
        once = time.perf_counter()
        greylist.meet(greylist.keys(address, sender, recipient), now + 10, address)
        took.append(time.perf_counter() - once)
    took.sort()
    print(f"look-ups: mean {sum(took) / len(took) * 1e6:.1f} µs, p99 {took[len(took) * 99 // 100] * 1e6:.1f} µs")
    measure_store(triplets, now)


def measure_store(triplets: int, now: float) -> None:
    """The same in SQLite, written in batches as the watcher does; `bench.stores` measures what is read."""
    with tempfile.TemporaryDirectory(dir=Path(__file__).parents[1] / ".cache") as place:
        path = Path(place) / "greylist.sqlite"
        store = GreylistStore(path)
        greylist = Greylist(Rules(), store.secret)
        begin = time.perf_counter()
        rows: list[TripletRow] = []
        for number in range(triplets):
            address, sender, recipient = stranger(number)
            keys = greylist.keys(address, sender, recipient)
            rows.append(TripletRow(keys.triplet, keys.pair, int(now), int(now), number % 2, address, ""))
            if len(rows) == 1000:
                store.save(rows, [])
                rows = []
        store.save(rows, [])
        written = time.perf_counter() - begin
        begin = time.perf_counter()
        for number in range(0, triplets, max(1, triplets // 1000)):
            store.elders(greylist.keys(*stranger(number)).pair)
        asked = (time.perf_counter() - begin) / 1000
        store.close()
        size = path.stat().st_size
        print(f"store: {size / 2**20:.0f} MiB, written at {triplets / written:,.0f} a second")
        print(f"a question for the networks of one sender and recipient: {asked * 1e6:.0f} µs")


# ---- postgrey beside it -------------------------------------------------------------------------------------------


def ask(number: int, connection: socket.socket) -> bytes:
    """One question and its answer."""
    address, sender, recipient = stranger(number)
    question = POLICY.format(address=address, sender=sender, recipient=recipient, number=number)
    connection.sendall(question.encode())
    answer = b""
    while not answer.endswith(b"\n\n"):
        piece = connection.recv(4096)
        if not piece:
            raise ConnectionError("the service hung up")
        answer += piece
    return answer


def cpu_of(pid: int) -> float:
    """CPU seconds of a process and its children so far."""
    total = 0
    for place in Path("/proc").iterdir():
        if place.name.isdigit():
            try:
                fields = (place / "stat").read_text().rsplit(")", 1)[1].split()
            except OSError:
                continue
            if int(place.name) == pid or int(fields[1]) == pid:
                total += int(fields[11]) + int(fields[12])
    return total / os.sysconf("SC_CLK_TCK")


def inside(server: str, questions: int) -> None:
    """In the box: start one of the two, ask, print JSON."""
    place = Path("/var/lib/bench-grey")
    place.mkdir(parents=True)
    (Path("/etc/postfix") / "main.cf").open("a").write(f"\nmynetworks =\ndata_directory = {place}\n")
    ours = [sys.executable, "-m", "seawall", "policy-service", "--listen", f"inet:127.0.0.1:{PORT}", "greylist"]
    # it wants a user of its own; in the box root is as good, for nobody else is there
    theirs = ["postgrey", f"--inet=127.0.0.1:{PORT}", f"--dbdir={place}", "--user=root", "--group=root", "--quiet"]
    with open("/run/bench.out", "wb") as out:
        process = subprocess.Popen(ours if server == "seawall" else theirs, stdout=out, stderr=out)
    begin = time.perf_counter()
    while True:
        try:
            connection = socket.create_connection(("127.0.0.1", PORT), 5)
            break
        except OSError:
            if time.perf_counter() - begin > 20 or process.poll() is not None:
                raise SystemExit(f"{server} does not answer: {Path('/run/bench.out').read_text()}") from None
            time.sleep(0.05)
    found: dict[str, float] = {}
    with connection:
        for what in ("strangers", "again"):
            used, begin = cpu_of(process.pid), time.perf_counter()
            refused = sum(b"reylisted" in ask(number, connection) for number in range(questions))
            found[f"{what}_a_second"] = questions / (time.perf_counter() - begin)
            found[f"{what}_cpu"] = (cpu_of(process.pid) - used) / questions * 1e6
            found[f"{what}_put_off"] = refused
    process.kill()  # postgrey takes its time to leave
    process.wait(10)
    print(json.dumps(found))


def compare(questions: int) -> None:
    """Both, each in a box of its own."""
    trouble = missing()
    if trouble:
        print(f"postgrey: not measured: {trouble}")
        return
    found: dict[str, dict[str, float]] = {}
    for server in ("postgrey", "seawall"):
        with Box() as box:
            ran = box.run(
                sys.executable, "-m", "bench.greylist", "--inside", server, "--questions", str(questions), timeout=600
            )
            if ran.code:
                print(f"{server}: not measured: {ran.err[-500:]}")
                return
            found[server] = json.loads(ran.out.strip().splitlines()[-1])
    print(f"{'':<44}{'postgrey':>12}{'seawall':>12}")
    for what in ("strangers", "again"):
        one, two = (found[server][f"{what}_a_second"] for server in ("postgrey", "seawall"))
        print(f"{what + ', answers a second':<44}{one:>12,.0f}{two:>12,.0f}{two / one:8.1f} x")
        one, two = (found[server][f"{what}_cpu"] for server in ("postgrey", "seawall"))
        print(f"{what + ', µs of CPU each':<44}{one:>12,.0f}{two:>12,.0f}{one / two if two else 0:8.1f} x")
        print(f"{what + ', put off':<44}" + "".join(f"{found[server][f'{what}_put_off']:>12,.0f}" for server in found))


def main() -> None:
    """Print the figures."""
    parser = argparse.ArgumentParser(prog="bench.greylist", description=__doc__)
    parser.add_argument("--triplets", type=int, default=TRIPLETS)
    parser.add_argument("--questions", type=int, default=QUESTIONS)
    parser.add_argument("--inside", choices=("postgrey", "seawall"))
    given = parser.parse_args()
    if given.inside:
        inside(given.inside, given.questions)
        return
    measure_memory(given.triplets)
    compare(given.questions)


if __name__ == "__main__":
    main()
