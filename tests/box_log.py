"""The box's /dev/log: what programs log there is appended to a file, a line each."""

from __future__ import annotations

import os
import re
import socket
import threading
from pathlib import Path

# <priority>Mmm dd hh:mm:ss before the text, as glibc's syslog(3) writes it
HEAD = re.compile(rb"^<\d+>(?:[A-Z][a-z]{2} [ \d]\d \d\d:\d\d:\d\d )?")


class SystemLog:
    """A thread that receives datagrams; each line starts with the program's name."""

    def __init__(self, file: Path, place: str = "/dev/log") -> None:
        self.file = file
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(place)
        os.chmod(place, 0o666)

    def start(self) -> None:
        self.file.touch()
        threading.Thread(target=self._receive, daemon=True, name="system log").start()

    def _receive(self) -> None:
        with self.file.open("ab", buffering=0) as out:
            while True:
                line = self._socket.recv(65536)
                out.write(HEAD.sub(b"", line).rstrip(b"\n\0") + b"\n")
