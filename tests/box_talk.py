"""One dialogue over TCP, from an address of the test's choice, as a list of acts; the transcript is what came back.

Acts, each a pair: ``("send", bytes as Latin-1)``, ``("expect", number of lines)`` to read that many reply lines,
``("expect-close", "")`` to read until the server closes, ``("listen", seconds)`` to read until it is silent for so long, ``("starttls", file)`` with a client certificate and its key in `file`, or none where it is empty, ``("shutdown", "")`` to close our half,
``("close", "")``, ``("pause", seconds)``.
"""

from __future__ import annotations

import contextlib
import socket
import ssl
import time
from collections.abc import Callable
from typing import Any

PATIENCE = 12.0  # seconds that the first line of a reply may take


class _Wire:
    """A connection that hands out lines, and knows when the server has closed."""

    def __init__(self, stream: socket.socket) -> None:
        self.stream = stream
        self.closed = False
        self.reset = False
        self._rest = b""

    def line(self, patience: float) -> bytes | None:
        """The next line without its end; None when the server closed or was silent for so long."""
        end = time.monotonic() + patience
        while b"\n" not in self._rest and not self.closed:
            left = end - time.monotonic()
            if left <= 0:
                return None
            self.stream.settimeout(left)
            try:
                got = self.stream.recv(65536)
            except (TimeoutError, ssl.SSLWantReadError):
                return None
            except OSError:
                self.reset = True
                got = b""
            if not got:
                self.closed = True
            self._rest += got
        if b"\n" not in self._rest:
            line, self._rest = self._rest, b""
            return line or None
        line, _, self._rest = self._rest.partition(b"\n")
        return line if not line.endswith(b"\r") else line[:-1]

    def send(self, data: bytes) -> None:
        self.stream.settimeout(30)
        try:
            self.stream.sendall(data)
        except OSError:
            self.reset = True


def converse(
    acts: list[list[Any]], port: int, source: str = "", address: str = "192.0.2.1", patience: float = PATIENCE
) -> dict[str, Any]:
    """Play the acts; for each ``expect`` and ``listen`` the lines that came, and whether the server had closed by then."""
    heard: list[dict[str, Any]] = []
    stream = socket.create_connection((address, port), timeout=patience, source_address=(source, 0) if source else None)
    stream.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    wire = _Wire(stream)
    try:
        for act, value in acts:
            _ACTS[act](wire, value, patience, heard)
            if act == "expect" and len(heard[-1]["lines"]) < value:
                break  # silence or the end: nothing after it would mean what it was to mean
    finally:
        wire.stream.close()
    return {"heard": heard}


def _send(wire: _Wire, value: str, patience: float, heard: list[dict[str, Any]]) -> None:
    wire.send(value.encode("latin-1"))


def _expect(wire: _Wire, value: int, patience: float, heard: list[dict[str, Any]]) -> None:
    lines: list[str] = []
    while len(lines) < value and (line := wire.line(patience)) is not None:
        lines.append(line.decode("latin-1"))
    heard.append({"lines": lines, "closed": wire.closed})


def _expect_close(wire: _Wire, value: int, patience: float, heard: list[dict[str, Any]]) -> None:
    """As `_expect`, and then the end of the connection."""
    lines: list[str] = []
    while not wire.closed and (line := wire.line(patience)) is not None:
        lines.append(line.decode("latin-1"))
    heard.append({"lines": lines, "closed": wire.closed})


def _listen(wire: _Wire, value: float, patience: float, heard: list[dict[str, Any]]) -> None:
    lines: list[str] = []
    wait = patience
    while (line := wire.line(wait)) is not None:
        lines.append(line.decode("latin-1"))
        # a reply of several lines is not over before its last
        wait = patience if line[3:4] == b"-" else float(value)
    heard.append({"lines": lines, "closed": wire.closed})


def _starttls(wire: _Wire, value: str, patience: float, heard: list[dict[str, Any]]) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    if value:
        context.load_cert_chain(value)
    wire.stream.settimeout(patience)
    try:
        wire.stream = context.wrap_socket(wire.stream)
    except OSError:
        wire.reset = True


def _shutdown(wire: _Wire, value: str, patience: float, heard: list[dict[str, Any]]) -> None:
    with contextlib.suppress(OSError):
        wire.stream.shutdown(socket.SHUT_WR)


def _close(wire: _Wire, value: str, patience: float, heard: list[dict[str, Any]]) -> None:
    wire.stream.close()
    wire.closed = True


def _pause(wire: _Wire, value: float, patience: float, heard: list[dict[str, Any]]) -> None:
    time.sleep(float(value))


_ACTS: dict[str, Callable[[_Wire, Any, float, list[dict[str, Any]]], None]] = {
    "send": _send,
    "expect": _expect,
    "expect-close": _expect_close,
    "listen": _listen,
    "starttls": _starttls,
    "shutdown": _shutdown,
    "close": _close,
    "pause": _pause,
}
