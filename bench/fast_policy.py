"""A policy service that says DUNNO to everything, as cheaply as Python can: `python -m bench.fast_policy PATH`."""

from __future__ import annotations

import asyncio
import os
import sys
from typing import cast

import uvloop

END = b"\n\n"


class Dunno(asyncio.Protocol):
    """One connection."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Somebody will ask."""
        self._transport = cast(asyncio.Transport, transport)
        self._rest = b""

    def data_received(self, data: bytes) -> None:
        """An answer for each whole question."""
        *questions, self._rest = (self._rest + data).split(END)
        if questions:
            self._transport.write(b"action=DUNNO\n\n" * len(questions))


async def main(path: str) -> None:
    """Serve until the process is ended."""
    server = await asyncio.get_running_loop().create_unix_server(Dunno, path)
    os.chmod(path, 0o666)  # any service of the box may ask
    await server.serve_forever()


if __name__ == "__main__":
    uvloop.run(main(sys.argv[1]))
