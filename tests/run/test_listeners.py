"""The listening sockets: who speaks first, and when a worker hears of a connection."""

import selectors
import socket
from collections.abc import Iterator

import pytest

from seawall.run.listeners import FIRST_WORD, Address, addresses, open_group


def group(*, clients_begin: bool) -> socket.socket:
    listeners, _ = open_group(Address(0, socket.AF_INET, "127.0.0.1", 0, clients_begin), 1, 1, ())
    return listeners[0]


@pytest.fixture(params=[False, True], ids=["server first", "client first"])
def listener(request: pytest.FixtureRequest) -> Iterator[socket.socket]:
    with group(clients_begin=request.param) as made:
        yield made


def is_there(listener: socket.socket, seconds: float) -> bool:
    with selectors.DefaultSelector() as selector:
        selector.register(listener, selectors.EVENT_READ)
        return bool(selector.select(seconds))


def test_who_is_to_be_greeted_is_accepted_before_his_first_byte() -> None:
    with group(clients_begin=False) as listener, socket.create_connection(listener.getsockname(), 5):
        assert is_there(listener, 10)


def test_who_is_to_speak_first_is_accepted_with_his_first_byte() -> None:
    with group(clients_begin=True) as listener, socket.create_connection(listener.getsockname(), 5) as client:
        assert 0 < listener.getsockopt(socket.IPPROTO_TCP, socket.TCP_DEFER_ACCEPT) <= 4 * FIRST_WORD
        assert not is_there(listener, 0.2)
        client.send(b"\x16")
        assert is_there(listener, 10)


def test_every_client_that_speaks_is_served(listener: socket.socket) -> None:
    with socket.create_connection(listener.getsockname(), 5) as client:
        client.sendall(b"hello")
        accepted, _ = listener.accept()
        with accepted:
            assert accepted.recv(10) == b"hello"


def test_a_services_addresses_know_who_begins() -> None:
    found = addresses(3, "127.0.0.1:465", (), (socket.AF_INET,), clients_begin=True)
    assert found == [Address(3, socket.AF_INET, "127.0.0.1", 465, clients_begin=True)]
    assert not addresses(3, "127.0.0.1:25", (), (socket.AF_INET,))[0].clients_begin
