"""Servers of tcp: and socketmap: tables, as small as they can be: one process, one thread a connection.

``python -m tests.box_maps tcp PORT`` and ``… socketmap PORT|PATH`` answer from `ANSWERS`: a key that is not there is not
found, and the keys of `RAW` get those bytes, whatever the protocol says.
"""

from __future__ import annotations

import os
import socketserver
import sys

ANSWERS = {
    b"a@b": b"x y%z",
    b"user@example.com": b"user@elsewhere.example",
    "ü@x".encode(): "größe".encode(),
    b"A@B": b"upper",
    b"empty": b"",
    b"long": b"v" * 3000,
    b"a b%c": b"odd",
}
TCP_RAW = {
    b"temp": b"400 try later\n",
    b"perm": b"500 no such\n",
    b"odd": b"300 what\n",
    b"bad": b"200 %zz\n",
    b"none": b"junk\n",
    b"huge": b"200 " + b"x" * 5000 + b"\n",
    b"short": b"200\n",
    b"notext": b"500 \n",
    b"bare": b"200 a b c\n",
    b"latin": b"200 \xff\n",
    b"hang": b"",
}
SOCKETMAP_RAW = {
    b"temp": b"10:TEMP later,",
    b"timeout": b"8:TIMEOUT ,",
    b"perm": b"9:PERM gone,",
    b"odd": b"3:ODD,",
    b"bad": b"x:OK,",
    b"comma": b"4:OK a;",
    b"huge": b"100001:OK " + b"x" * 99998 + b",",
    b"most": b"100000:OK " + b"x" * 99997 + b",",
    b"bare": b"2:OK,",
    b"nothing": b"8:NOTFOUND,",
    b"latin": b"4:OK \xff,",
    b"hang": b"",
}


class Tcp(socketserver.StreamRequestHandler):
    def handle(self) -> None:
        for line in self.rfile:
            word, _, text = line.rstrip(b"\n").partition(b" ")
            key = unquote(text)
            if word != b"get":
                return
            if key in TCP_RAW:
                self.wfile.write(TCP_RAW[key])
            elif key in ANSWERS:
                self.wfile.write(b"200 " + b"".join(b"%%%02x" % sign for sign in ANSWERS[key]) + b"\n")
            else:
                self.wfile.write(b"500 not found\n")


def unquote(text: bytes) -> bytes:
    first, *rest = text.split(b"%")
    return first + b"".join(bytes((int(piece[:2], 16),)) + piece[2:] for piece in rest)


class Socketmap(socketserver.StreamRequestHandler):
    def handle(self) -> None:
        while True:
            digits = b""
            while (sign := self.rfile.read(1)) and sign != b":":
                digits += sign
            if not digits:
                return
            question = self.rfile.read(int(digits) + 1)[:-1]
            name, _, key = question.partition(b" ")
            if key in SOCKETMAP_RAW:
                self.wfile.write(SOCKETMAP_RAW[key])
                continue
            answer = ANSWERS.get(key) if name == b"virtual" else None
            text = b"NOTFOUND " if answer is None else b"OK " + answer
            self.wfile.write(b"%d:%b," % (len(text), text))


class Tcp4(socketserver.ThreadingTCPServer):
    allow_reuse_address = True
    daemon_threads = True


class Unix(socketserver.ThreadingUnixStreamServer):
    daemon_threads = True


def main(arguments: list[str]) -> None:
    handler = {"tcp": Tcp, "socketmap": Socketmap}[arguments[0]]
    if arguments[1].startswith("/"):
        server: socketserver.BaseServer = Unix(arguments[1], handler)
        os.chmod(arguments[1], 0o777)
    else:
        server = Tcp4(("127.0.0.1", int(arguments[1])), handler)
    server.serve_forever()


if __name__ == "__main__":
    main(sys.argv[1:])
