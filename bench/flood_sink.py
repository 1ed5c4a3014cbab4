"""A server that accepts and holds, and says nothing: `python -m bench.flood_sink`, inside a box.  The least that a flood costs."""

from __future__ import annotations

import select
import socket

from bench.flood_swarm import raise_descriptors

BACKLOG = 4096
AT_ONCE = 64


def main() -> None:
    """Until it is ended."""
    raise_descriptors()
    listener = socket.create_server(("192.0.2.1", 25), backlog=BACKLOG)
    listener.setblocking(False)
    poll = select.epoll()
    poll.register(listener, select.EPOLLIN)
    held: dict[int, socket.socket] = {}
    while True:
        for descriptor, _ in poll.poll(-1, AT_ONCE):
            client = held.get(descriptor)
            if client is None:
                client, _ = listener.accept()
                held[client.fileno()] = client
                poll.register(client, select.EPOLLIN)
            elif not client.recv(65536):
                del held[descriptor]
                client.close()


if __name__ == "__main__":
    main()
