"""What the host says of itself, for the defaults of myhostname and mynetworks.  Postfix get_hostname(3), mynetworks(3)"""

from __future__ import annotations

import socket
import struct
from dataclasses import dataclass

from seawall.mail.network import Network, parse_address

RTM_GETADDR = 22
NLM_F_REQUEST_DUMP = 0x301
NLMSG_ERROR, NLMSG_DONE, RTM_NEWADDR = 2, 3, 20
IFA_ADDRESS, IFA_LOCAL = 1, 2
FAMILY_WIDTHS = ((socket.AF_INET, 32), (socket.AF_INET6, 128))


@dataclass(frozen=True, slots=True)
class Host:
    """The host's own name, and its addresses, each with the prefix length of its network (`Network.value` unmasked)."""

    name: str
    addresses: tuple[Network, ...]

    @staticmethod
    def here() -> Host:
        """This host, as it is now."""
        return Host(socket.gethostname(), read_addresses())


LOOPBACK = Host("localhost", (Network(0x7F000001, 8, 32), Network(1, 128, 128)))
"""A host that knows nothing but itself: for tests and for configurations of somebody else."""


def read_addresses() -> tuple[Network, ...]:
    """All addresses of all interfaces, asked of the kernel by rtnetlink(7); empty where it will not tell."""
    try:
        with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, socket.NETLINK_ROUTE) as link:
            link.settimeout(2)
            return tuple(address for family, width in FAMILY_WIDTHS for address in ask_addresses(link, family, width))
    except OSError:
        return LOOPBACK.addresses


def ask_addresses(link: socket.socket, family: int, width: int) -> list[Network]:
    """The addresses of one family."""
    link.sendto(struct.pack("=LHHLLB3xi", 24, RTM_GETADDR, NLM_F_REQUEST_DUMP, 1, 0, family, 0), (0, 0))
    found: list[Network] = []
    while True:
        data = link.recv(1 << 18)
        while len(data) >= 16:
            length, kind = struct.unpack_from("=LH", data)
            if kind in (NLMSG_DONE, NLMSG_ERROR) or length < 16:
                return found
            if kind == RTM_NEWADDR:
                found.extend(parse_message(data[16:length], width))
            data = data[(length + 3) & ~3 :]


def parse_message(body: bytes, width: int) -> list[Network]:
    """The address of one RTM_NEWADDR message: IFA_LOCAL where it is given (IPv4), otherwise IFA_ADDRESS."""
    bits = body[1]
    attributes: dict[int, bytes] = {}
    rest = body[8:]
    while len(rest) >= 4:
        length, kind = struct.unpack_from("=HH", rest)
        if length < 4:
            break
        attributes[kind] = rest[4:length]
        rest = rest[(length + 3) & ~3 :]
    packed = attributes.get(IFA_LOCAL, attributes.get(IFA_ADDRESS, b""))
    return [Network(int.from_bytes(packed, "big"), min(bits, width), width)] if len(packed) * 8 == width else []


def format_network(value: int, bits: int, width: int) -> str:
    """``192.0.2.0/24`` or ``[2001:db8::]/32``, with the host's bits cleared."""
    shift = width - bits
    packed = ((value >> shift) << shift).to_bytes(width // 8, "big")
    if width == 32:
        return f"{socket.inet_ntop(socket.AF_INET, packed)}/{bits}"
    return f"[{socket.inet_ntop(socket.AF_INET6, packed)}]/{bits}"


def class_bits(value: int) -> int:
    """The prefix length of an IPv4 address's old class A, B, C or D network."""
    if value < 1 << 31:
        return 8
    if value < 3 << 30:
        return 16
    if value < 7 << 29:
        return 24
    return 4


def mynetworks(style: str, host: Host, interfaces: tuple[str, ...], protocols: tuple[str, ...]) -> str:
    """The default of mynetworks: one network for each of the host's addresses that mail comes in by.

    `interfaces` and `protocols` are inet_interfaces and inet_protocols, each ``all`` or a list.
    ``subnet`` takes the interface's network, ``host`` the address alone, ``class`` the old class network.
    """
    widths = [
        width
        for name, width in (("ipv4", 32), ("ipv6", 128))
        if not {"all", name}.isdisjoint(protocol.lower() for protocol in protocols)
    ]
    wanted = {parsed for name in interfaces for parsed in [parse_address(name.strip("[]"))] if parsed is not None}
    loopback_only = [name.lower() for name in interfaces] in (["loopback-only"], ["localhost"])
    everything = any(name.lower() == "all" for name in interfaces)
    result: dict[str, None] = {}
    for width in widths:
        for address in host.addresses:
            if address.width != width:
                continue
            is_loopback = address.value >> 24 == 127 if width == 32 else address.value == 1
            if not (everything or (loopback_only and is_loopback) or (address.value, width) in wanted):
                continue
            bits = address.bits
            if style == "host":
                bits = width
            elif style == "class" and width == 32:
                bits = class_bits(address.value)
            result[format_network(address.value, bits, width)] = None
    return " ".join(result)
