"""A next hop inside the box: takes mail over SMTP or LMTP, keeps what it was given, refuses what it is asked to refuse.

A recipient whose local part is ``answer-NNN`` gets the reply code NNN at RCPT; the sender ``answer-NNN`` gets it at MAIL,
and ``data-NNN`` as the local part of the last recipient gives it at the end of data.
"""

from __future__ import annotations

import re
import socket
import threading
from collections.abc import Callable
from typing import BinaryIO, cast


class Sink:
    """Threads that accept. A message is the envelope's commands, an empty line, and the content."""

    def __init__(self, address: str, port: int) -> None:
        self._listener = socket.create_server((address, port))
        self._lock = threading.Lock()
        self._messages: list[bytes] = []
        threading.Thread(target=self._accept, daemon=True, name=f"sink {port}").start()

    def take(self) -> list[bytes]:
        """What came in since the last call."""
        with self._lock:
            taken, self._messages = self._messages, []
        return taken

    def count(self) -> int:
        """How many messages `take` would give."""
        with self._lock:
            return len(self._messages)

    def _accept(self) -> None:
        while True:
            stream, _ = self._listener.accept()
            threading.Thread(target=self._serve, args=(stream,), daemon=True).start()

    def _serve(self, stream: socket.socket) -> None:
        stream.settimeout(60)
        try:
            with stream, stream.makefile("rwb", buffering=65536) as file:
                _Session(self._keep).talk(cast(BinaryIO, file))
        except OSError:
            return

    def _keep(self, message: bytes) -> None:
        with self._lock:
            self._messages.append(message)


class _Session:
    """One client of the sink."""

    def __init__(self, keep: Callable[[bytes], None]) -> None:
        self._keep = keep
        self._envelope: list[bytes] = []
        self._lmtp = False

    def talk(self, file: BinaryIO) -> None:
        self._say(file, b"220 sink.example ESMTP")
        while line := file.readline():
            verb = line[:4].upper()
            if verb == b"QUIT":
                self._say(file, b"221 2.0.0 Bye")
                return
            if verb == b"DATA":
                self._data(file)
                continue
            self._say(file, self._answer(verb, line.rstrip(b"\r\n")))

    def _answer(self, verb: bytes, line: bytes) -> bytes:
        if verb in (b"EHLO", b"LHLO"):
            self._lmtp = verb == b"LHLO"
            return b"250-sink.example\r\n250-PIPELINING\r\n250-SIZE 50000000\r\n250-ENHANCEDSTATUSCODES\r\n250-DSN\r\n250 8BITMIME"
        if verb == b"HELO":
            return b"250 sink.example"
        if verb in (b"MAIL", b"RCPT"):
            refused = re.search(rb"<answer-(\d{3})@", line)
            if refused:
                code = refused[1]
                return code + b" " + code[:1] + b".1.1 refused as asked"
            if verb == b"MAIL":
                self._envelope = []
            self._envelope.append(line)
            return b"250 2.1.0 Ok"
        if verb == b"RSET":
            self._envelope = []
        return b"250 2.0.0 Ok"

    def _data(self, file: BinaryIO) -> None:
        recipients = [line for line in self._envelope if line[:4].upper() == b"RCPT"]
        if not recipients:
            self._say(file, b"503 5.5.1 no recipients")
            return
        self._say(file, b"354 go on")
        content: list[bytes] = []
        while (line := file.readline()) and line != b".\r\n":
            content.append(line[1:] if line.startswith(b".") else line)
        refused = re.search(rb"<data-(\d{3})@", recipients[-1])
        if refused:
            reply = refused[1] + b" " + refused[1][:1] + b".0.0 refused as asked"
        else:
            self._keep((b"\r\n".join([*self._envelope, b"", b""]) + b"".join(content)).replace(b"\r\n", b"\n"))
            reply = b"250 2.0.0 Ok: kept"
        for _ in recipients if self._lmtp else recipients[:1]:
            self._say(file, reply)

    def _say(self, file: BinaryIO, text: bytes) -> None:
        file.write(text + b"\r\n")
        file.flush()
