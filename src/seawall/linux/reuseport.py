"""Sorting new connections in the kernel: a classic BPF program that picks a socket of an SO_REUSEPORT group.

socket(7) SO_ATTACH_REUSEPORT_CBPF.  The program sees the first packet of a connection and answers with the index,
in the order of `listen()`, of the socket that gets it.  We answer with a hash of the client's network, so that one
network always meets one worker (docs/design.md, Processes).
"""

from __future__ import annotations

import ctypes
import socket
import struct
from collections.abc import Sequence

from seawall.mail.network import Network

SO_ATTACH_REUSEPORT_CBPF = 51  # asm-generic/socket.h

_NET = 0xFFF00000  # SKF_NET_OFF (-0x100000): offsets from the network header, linux/filter.h
_LD_W_ABS, _LD_H_ABS, _LD_IMM = 0x20, 0x28, 0x00
_AND, _MUL, _XOR, _RSH, _MOD = 0x54, 0x24, 0xA4, 0x74, 0x94
_XOR_X, _TAX, _TXA, _ST, _LDX_MEM = 0xAC, 0x07, 0x87, 0x02, 0x61
_JEQ, _RET_A = 0x15, 0x16

MIX = 0x846CA68B
"""An odd multiplier with well-mixed bits; ours, its spread is tested."""
MOST_EXEMPT = 64
"""Exempt networks that the program tells apart; chosen so that the program stays far below the kernel's 4096 steps."""

Step = tuple[int, int, int, int]


def _step(code: int, value: int = 0, when_true: int = 0, when_false: int = 0) -> Step:
    return (code, when_true, when_false, value & 0xFFFFFFFF)


def _words(network: Network) -> list[tuple[int, int, int]]:
    """(word, mask, value) of each 32-bit word of the source address that the network constrains."""
    out = []
    for word in range(network.width // 32):
        bits = min(32, max(0, network.bits - 32 * word))
        if bits:
            mask = (0xFFFFFFFF << (32 - bits)) & 0xFFFFFFFF
            out.append((word, mask, (network.value >> (network.width - 32 * (word + 1))) & mask))
    return out


def network_program(width: int, bits: int, sockets: int, key: int, exempt: Sequence[Network] = ()) -> tuple[Step, ...]:
    """The program for one address family.

    `width` is 32 or 128, `bits` the prefix that is hashed (at most 64 of IPv6), `key` an odd number drawn at start,
    so that nobody can aim at a worker.  Clients of `exempt` networks are sorted by source port as well.
    """
    source = 12 if width == 32 else 8
    port = 20 if width == 32 else 40
    hashed: list[Step] = []
    for word in range(1 if width == 32 else 2):
        part = min(32, max(0, bits - 32 * word))
        mask = (0xFFFFFFFF << (32 - part)) & 0xFFFFFFFF if part else 0
        hashed += [
            _step(_LD_W_ABS, _NET + source + 4 * word),
            _step(_AND, mask),
            _step(_MUL, key + 2 * word),
        ]
        hashed += [_step(_LDX_MEM, 1), _step(_XOR_X)] if word else []
        hashed += [_step(_ST, 1)]
    # a product's low bits know little of the network's high ones: fold, multiply again, take the upper half
    fold = [_step(_TAX), _step(_RSH, 15), _step(_XOR_X), _step(_MUL, MIX), _step(_RSH, 16)]
    finish = [*fold, _step(_MOD, sockets), _step(_RET_A)]
    by_port = [_step(_TAX), _step(_LD_H_ABS, _NET + port), _step(_MUL, key), _step(_XOR_X), *finish]
    tests: list[Step] = []
    for network in exempt[:MOST_EXEMPT]:
        words = _words(network) if network.width == width else []
        test: list[Step] = []
        if network.width == width and not words:
            test = [_step(_LD_IMM, 0), _step(_JEQ, 0, 0, 0)]
        for at, (word, mask, value) in enumerate(words):
            left = 3 * (len(words) - at - 1) + 2  # the rest of the tests, and the two steps that mark a match
            test += [_step(_LD_W_ABS, _NET + source + 4 * word), _step(_AND, mask), _step(_JEQ, value, 0, left)]
        tests += [*test, _step(_LD_IMM, 1), _step(_ST, 0)] if test else []
    clear = [_step(_LD_IMM, 0), _step(_ST, 0)]
    choose = [_step(_LDX_MEM, 0), _step(_TXA), _step(_JEQ, 0, 0, 2), _step(_LDX_MEM, 1), _step(_TXA)]
    # JEQ 0: not exempt, fall to the two loads and `finish`; otherwise jump over loads to the port's part
    choose[2] = _step(_JEQ, 0, 0, 2 + len(finish))
    port_part = [_step(_LDX_MEM, 1), _step(_TXA), *by_port]
    return (*clear, *tests, *hashed, *choose, *finish, *port_part)


def attach(listener: socket.socket, program: Sequence[Step]) -> bool:
    """Attach to the group of `listener`; False where this kernel has no such program (one worker then serves alone)."""
    packed = b"".join(struct.pack("HBBI", *step) for step in program)
    steps = ctypes.create_string_buffer(packed, len(packed))
    description = struct.pack("HxxxxxxP", len(program), ctypes.addressof(steps))
    try:
        listener.setsockopt(socket.SOL_SOCKET, SO_ATTACH_REUSEPORT_CBPF, description)
    except OSError:
        return False
    return True
