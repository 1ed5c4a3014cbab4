"""A name server that is slow: `python -m bench.slow_dns ADDRESS SERVER SECONDS`.

It hears questions by UDP on ADDRESS, has them answered by SERVER at once, and passes the answers on so many seconds later.
"""

from __future__ import annotations

import select
import socket
import sys
import time
from collections import deque

PORT = 53
ANSWERED = 1.0
"""Seconds that the server behind may take."""


def answer_to(behind: socket.socket, question: bytes) -> bytes | None:
    """The answer, None where it does not come in time; what came too late for an earlier question is passed over."""
    behind.send(question)
    try:
        while True:
            answer = behind.recv(65535)
            if answer[:2] == question[:2]:
                return answer
    except TimeoutError:
        return None


def main() -> None:
    """Serve until the process is ended."""
    address, server, seconds = sys.argv[1], sys.argv[2], float(sys.argv[3])
    front = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    front.bind((address, PORT))
    behind = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    behind.connect((server, PORT))
    behind.settimeout(ANSWERED)
    late: deque[tuple[float, bytes, tuple[str, int]]] = deque()
    while True:
        wait = max(0.0, late[0][0] - time.monotonic()) if late else None
        if select.select([front], [], [], wait)[0]:
            question, client = front.recvfrom(4096)
            answer = answer_to(behind, question)
            if answer is not None:
                late.append((time.monotonic() + seconds, answer, client))
        while late and late[0][0] <= time.monotonic():
            _, answer, client = late.popleft()
            front.sendto(answer, client)


if __name__ == "__main__":
    main()
