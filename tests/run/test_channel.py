"""Messages between processes: order, descriptors, a reader that does not read, the other side's end."""

import asyncio
import os
import socket

import pytest

from seawall.run import messages as m
from seawall.run.channel import LARGEST, Channel, Codec, pair, receive_now, send_now


def nothing() -> None:
    return None


async def test_messages_arrive_in_order_with_their_descriptors() -> None:
    left, right = pair()
    heard: list[tuple[m.LinkMessage, list[int]]] = []
    ended = asyncio.Event()
    receiving: Channel[m.LinkMessage] = Channel(right, m.LinkMessage, lambda x, fds: heard.append((x, fds)), ended.set)
    sending: Channel[m.LinkMessage] = Channel(left, m.LinkMessage, lambda *_: None, nothing)
    file = os.memfd_create("test")
    os.write(file, b"body")
    sending.send(m.Announce("one"), [file])
    for number in range(2000):  # more than a pipe holds
        sending.send(m.Announce(f"{number}"))
    while len(heard) < 2001:
        await asyncio.sleep(0)
    assert [x.queue_id for x, _ in heard if isinstance(x, m.Announce)] == ["one", *map(str, range(2000))]
    assert os.pread(heard[0][1][0], 10, 0) == b"body"
    os.close(heard[0][1][0])
    os.close(file)
    sending.close()
    await ended.wait()
    assert not receiving.is_open
    assert not receiving.send(m.Announce("late"))


async def test_what_is_no_message_of_ours_is_dropped() -> None:
    left, right = pair()
    heard: list[m.LinkMessage] = []
    channel: Channel[m.LinkMessage] = Channel(right, m.LinkMessage, lambda x, _: heard.append(x), nothing)
    send_now(left, b"\x00garbage")
    send_now(left, Codec[m.LinkMessage](m.LinkMessage).encode(m.Announce("fine")))
    while not heard:
        await asyncio.sleep(0)
    assert heard == [m.Announce("fine")]
    channel.close()
    left.close()


def test_a_message_that_is_too_large_is_refused_where_it_is_made() -> None:
    with pytest.raises(ValueError, match="too large"):
        Codec[m.LinkMessage](m.LinkMessage).encode(m.Announce("x" * (LARGEST + 1)))


def test_a_closed_end_reads_as_empty() -> None:
    left, right = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    left.close()
    assert receive_now(right) == (b"", [])
    right.close()
