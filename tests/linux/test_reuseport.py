"""The program that sorts connections: run here by an interpreter of the few instructions that it uses."""

import ipaddress
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from seawall.linux.reuseport import MOST_EXEMPT, Step, network_program
from seawall.mail.network import Network, parse_network

NET = 0xFFF00000
M32 = 0xFFFFFFFF


def run(program: tuple[Step, ...], packet: bytes) -> int:
    """What the kernel would answer for a packet that starts with its network header."""
    a = x = at = 0
    memory: dict[int, int] = {}
    while True:
        code, when_true, when_false, value = program[at]
        at += 1
        offset = value - NET
        match code:
            case 0x20:
                a = int.from_bytes(packet[offset : offset + 4], "big")
            case 0x28:
                a = int.from_bytes(packet[offset : offset + 2], "big")
            case 0x00:
                a = value
            case 0x54:
                a &= value
            case 0x24:
                a = a * value & M32
            case 0x74:
                a >>= value
            case 0x94:
                a %= value
            case 0xAC:
                a ^= x
            case 0x07:
                x = a
            case 0x87:
                a = x
            case 0x02:
                memory[value] = a
            case 0x61:
                x = memory[value]
            case 0x15:
                at += when_true if a == value else when_false
            case 0x16:
                return a
            case _:
                raise AssertionError(f"instruction {code:#x}")


def packet(address: str, port: int) -> bytes:
    parsed = ipaddress.ip_address(address)
    if parsed.version == 4:
        return bytes(12) + parsed.packed + bytes(4) + port.to_bytes(2, "big")
    return bytes(8) + parsed.packed + bytes(16) + port.to_bytes(2, "big")


def network(text: str) -> Network:
    found = parse_network(text)
    assert found is not None
    return found


odd = st.integers(0, 2**31 - 1).map(lambda n: n | 1)


@given(odd, st.integers(1, 64), st.ip_addresses(v=4), st.integers(0, 255), st.integers(0, 65535), st.integers(0, 65535))
def test_one_ipv4_network_always_meets_one_worker(key, sockets, address, host, port, other) -> None:
    program = network_program(32, 24, sockets, key)
    neighbour = str(ipaddress.ip_address((int(address) & ~255) | host))
    chosen = run(program, packet(str(address), port))
    assert chosen == run(program, packet(neighbour, other))
    assert 0 <= chosen < sockets


@given(odd, st.integers(1, 64), st.ip_addresses(v=6), st.integers(0, 2**72 - 1))
def test_one_ipv6_network_always_meets_one_worker(key, sockets, address, host) -> None:
    program = network_program(128, 56, sockets, key)
    neighbour = str(ipaddress.IPv6Address((int(address) >> 72 << 72) | host))
    assert run(program, packet(str(address), 1)) == run(program, packet(neighbour, 2))


@given(odd)
def test_networks_are_spread_over_all_workers(key: int) -> None:
    program = network_program(32, 24, 2, key)
    chosen = Counter(run(program, packet(f"198.18.{n}.1", 1)) for n in range(256))
    assert min(chosen[0], chosen[1]) >= 64


@pytest.mark.parametrize(
    ("exempt", "inside", "outside"),
    [
        ("127.0.0.0/8", "127.0.0.1", "198.18.0.1"),
        ("198.18.4.0/22", "198.18.7.9", "198.18.8.9"),
        ("2001:db8::/40", "2001:db8:ff::1", "2001:db8:100::1"),
        ("::1/128", "::1", "::2"),
        ("0.0.0.0/0", "203.0.113.1", None),
    ],
)
def test_an_exempt_network_is_spread_by_source_port(exempt: str, inside: str, outside: str | None) -> None:
    width, bits = (128, 56) if ":" in inside else (32, 24)
    program = network_program(width, bits, 4, 0x9E3779B1, [network("10.0.0.0/8"), network(exempt)])
    assert len({run(program, packet(inside, port)) for port in range(2000, 2400)}) == 4
    if outside is not None:
        assert len({run(program, packet(outside, port)) for port in range(2000, 2400)}) == 1


def test_the_program_stays_small_whatever_is_exempt() -> None:
    many = [network(f"10.{n // 256}.{n % 256}.0/24") for n in range(1000)]
    assert len(network_program(32, 24, 8, 5, many)) < 5 * MOST_EXEMPT + 40
    assert all(0 <= step[1] < 256 and 0 <= step[2] < 256 for step in network_program(32, 24, 8, 5, many))
