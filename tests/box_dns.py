"""The box's name server: one zone file answers for the whole world, what it does not have is NXDOMAIN.

The zone is an RFC 1035 master file with the root as origin; lines `;!servfail NAME TYPE` and `;!timeout NAME TYPE` give
temporary trouble (TYPE may be ANY). The same directives as the zone files of the rehearsal. A name `*.NAME` stands for all
names below NAME, in records and in directives.
"""

from __future__ import annotations

import socket
import struct
import threading

import dns.exception
import dns.flags
import dns.message
import dns.name
import dns.node
import dns.rcode
import dns.rdataclass
import dns.rdatatype
import dns.rrset
import dns.zone

from tests.box_world import SOA


class ZoneServer:
    """Answers UDP and TCP on 127.0.0.1:53 from threads; `load` changes the zone at any time."""

    def __init__(self, text: str, address: str = "127.0.0.1", port: int = 53) -> None:
        self._address = (address, port)
        self._lock = threading.Lock()
        self.load(text)

    def load(self, text: str) -> None:
        trouble: dict[tuple[str, str], str] = {}
        for line in text.splitlines():
            words = line.split()
            if len(words) == 3 and words[0] in (";!servfail", ";!timeout"):
                trouble[words[1].lower().rstrip("."), words[2].upper()] = words[0][2:]
        zone = dns.zone.from_text(SOA + text, origin=dns.name.root, relativize=False, check_origin=False)
        with self._lock:
            self._zone, self._trouble = zone, trouble

    def start(self) -> None:
        udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        udp.bind(self._address)
        tcp = socket.create_server(self._address)
        threading.Thread(target=self._datagrams, args=(udp,), daemon=True, name="dns udp").start()
        threading.Thread(target=self._streams, args=(tcp,), daemon=True, name="dns tcp").start()

    def _datagrams(self, udp: socket.socket) -> None:
        while True:
            wire, client = udp.recvfrom(65535)
            answer = self._answer(wire)
            if answer is not None:
                udp.sendto(answer.to_wire(max_size=4096), client)

    def _streams(self, tcp: socket.socket) -> None:
        while True:
            stream, _ = tcp.accept()
            stream.settimeout(5)
            with stream:
                try:
                    (length,) = struct.unpack("!H", stream.recv(2, socket.MSG_WAITALL))
                    answer = self._answer(stream.recv(length, socket.MSG_WAITALL))
                    if answer is not None:
                        wire = answer.to_wire()
                        stream.sendall(struct.pack("!H", len(wire)) + wire)
                except (OSError, struct.error):
                    continue

    def _answer(self, wire: bytes) -> dns.message.Message | None:
        try:
            query = dns.message.from_wire(wire)
        except dns.exception.DNSException:
            return None
        reply = dns.message.make_response(query, recursion_available=True)
        question = query.question[0]
        name = question.name.to_text(omit_final_dot=True).lower()
        kind = dns.rdatatype.to_text(question.rdtype)
        with self._lock:
            zone, trouble = self._zone, self._trouble
        wild = "*." + name.partition(".")[2]
        while wild != "*." and not {(wild, kind), (wild, "ANY")} & trouble.keys():
            wild = "*." + wild[2:].partition(".")[2]
        here = name if {(name, kind), (name, "ANY")} & trouble.keys() else wild
        match trouble.get((here, kind)) or trouble.get((here, "ANY")):
            case "timeout":
                return None
            case "servfail":
                reply.set_rcode(dns.rcode.SERVFAIL)
                return reply
        self._fill(reply, zone, question.name, question.rdtype)
        return reply

    def _fill(
        self, reply: dns.message.Message, zone: dns.zone.Zone, name: dns.name.Name, kind: dns.rdatatype.RdataType
    ) -> None:
        for _ in range(8):  # links of a CNAME chain
            node = zone.get_node(name) or wildcard(zone, name)
            if node is None:
                below = any(other.is_subdomain(name) for other in zone.nodes)
                reply.set_rcode(dns.rcode.NOERROR if below else dns.rcode.NXDOMAIN)
                break
            found = node.get_rdataset(dns.rdataclass.IN, kind)
            if found is not None:
                reply.answer.append(dns.rrset.from_rdata_list(name, found.ttl, list(found)))
                return
            alias = node.get_rdataset(dns.rdataclass.IN, dns.rdatatype.CNAME)
            if alias is None:
                break
            reply.answer.append(dns.rrset.from_rdata_list(name, alias.ttl, list(alias)))
            name = alias[0].target
        soa = zone.get_rdataset(dns.name.root, dns.rdatatype.SOA)
        if soa is not None:
            reply.authority.append(dns.rrset.from_rdata_list(dns.name.root, soa.ttl, list(soa)))


def wildcard(zone: dns.zone.Zone, name: dns.name.Name) -> dns.node.Node | None:
    """What `*.PARENT` has for a name, PARENT being the nearest that there is.  RFC 4592 §3.3.1"""
    while name != dns.name.root and not any(other.is_subdomain(name) for other in zone.nodes):
        name = name.parent()
        node = zone.get_node(dns.name.Name((b"*", *name.labels)))
        if node is not None:
            return node
    return None
