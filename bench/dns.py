"""Questions a second that the resolver asks and hears answered over loopback, none of them from its cache.

The server is a few lines in a process of its own that says NXDOMAIN to everything; the figure is CPU of the asking side.
"""

from __future__ import annotations

import asyncio
import inspect
import multiprocessing
import resource
import socket
import time

import uvloop

from seawall.dns.resolv_conf import ResolverSettings
from seawall.dns.resolver import Resolver

QUESTIONS = 20_000
AT_ONCE = 200


def serve(port: int) -> None:
    """NXDOMAIN with a SOA, for ever."""
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sock.bind(("127.0.0.1", port))
    soa = bytes.fromhex("00000600010000012c001e") + b"\x01a\x00\x01b\x00" + bytes(20)
    soa = soa[:9] + (len(soa) - 11).to_bytes(2, "big") + soa[11:]
    while True:
        data, who = sock.recvfrom(2048)
        end = data.index(b"\0", 12) + 5
        sock.sendto(data[:2] + b"\x81\x83\0\1\0\0\0\1\0\0" + data[12:end] + soa, who)


async def ask_all(resolver: Resolver) -> None:
    """Every question once, some at a time."""
    numbers = iter(range(QUESTIONS))

    async def some() -> None:
        for number in numbers:
            answer = resolver.ask(f"{number % 250}.{number // 250}.18.198.in-addr.arpa", "PTR")
            if inspect.isawaitable(answer):
                await answer

    await asyncio.gather(*(some() for _ in range(AT_ONCE)))


def main() -> None:
    """Print the figures."""
    port = 5399
    server = multiprocessing.Process(target=serve, args=(port,), daemon=True)
    server.start()
    time.sleep(0.2)
    resolver = Resolver(ResolverSettings(servers=(("127.0.0.1", port),)))
    used, begin = resource.getrusage(resource.RUSAGE_SELF), time.perf_counter()
    uvloop.run(ask_all(resolver))
    wall = time.perf_counter() - begin
    after = resource.getrusage(resource.RUSAGE_SELF)
    cpu = after.ru_utime + after.ru_stime - used.ru_utime - used.ru_stime
    print(
        f"{QUESTIONS / wall:8.0f} questions a second, {cpu / QUESTIONS * 1e6:5.1f} µs of CPU each; {resolver.questions_sent} sent"
    )
    server.terminate()


if __name__ == "__main__":
    main()
