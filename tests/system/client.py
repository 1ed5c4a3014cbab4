"""A plain SMTP client: says what it is told, hears whole replies, bounded in time."""

from __future__ import annotations

import socket
from types import TracebackType

PATIENCE = 20.0  # seconds that a reply may take on a busy machine


class Client:
    """One connection; `hear` gives a reply as one text, its lines parted by line ends, empty at the end."""

    def __init__(self, port: int, address: str = "127.0.0.1", source: str = "", patience: float = PATIENCE) -> None:
        self.socket = socket.create_connection((address, port), patience, (source, 0) if source else None)
        self._file = self.socket.makefile("rb")

    def __enter__(self) -> Client:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        self._file.close()
        self.socket.close()

    def send(self, data: bytes) -> None:
        self.socket.sendall(data)

    def hear(self) -> str:
        lines: list[str] = []
        while True:
            line = self._file.readline().decode("latin-1").rstrip("\r\n")
            if not line:
                return "\n".join(lines)
            lines.append(line)
            if line[3:4] != "-":
                return "\n".join(lines)

    def say(self, *lines: str) -> str:
        """Send each line and hear its reply; the last reply."""
        reply = ""
        for line in lines:
            self.send(line.encode("latin-1") + b"\r\n")
            reply = self.hear()
        return reply

    def has_ended(self) -> bool:
        """True once the server has closed; what it still says before that is thrown away."""
        try:
            while self._file.readline():
                pass
        except ConnectionResetError:
            pass
        return True


def submit(port: int, recipient: str, content: str, *, sender: str = "ann@far.example", source: str = "") -> str:
    """One message on a connection of its own; the reply to its end, or the first refusal."""
    with Client(port, source=source) as client:
        client.hear()
        for line in ("EHLO far.example", f"MAIL FROM:<{sender}>", f"RCPT TO:<{recipient}>", "DATA"):
            reply = client.say(line)
            if not reply.startswith(("2", "3")):
                return reply
        return client.say(content.replace("\n", "\r\n") + "\r\n.")
