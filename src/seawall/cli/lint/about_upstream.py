"""A proxy in front, or a server behind: who may say for whom he speaks, and who is asked for whom.  docs/in-front.md"""

from __future__ import annotations

import os
from collections.abc import Iterator

from seawall.cli.lint.rule import ERROR, WARNING, Hit, Rule
from seawall.cli.lint.site import Calm, Site
from seawall.config.master_cf import Service
from seawall.config.source import ConfigTrouble
from seawall.mail.network import parse_address
from seawall.policy.proof.doors import host_of, is_loopback, is_proxied, unreachable
from seawall.policy.proof.stranger import is_public
from seawall.upstream.rules import UPSTREAM, parse_place

PROTOCOL = "seawall_upstream_protocol"
PROGRAMS = ("smtpd", "postscreen")
NOT_OF_A_DOOR = frozenset({"service-lacking", "transport-missing", "tls-none", "tls-none-out"})
"""Rules about what is the business of the server behind."""


def servers(site: Site) -> Iterator[tuple[Service, str, Calm]]:
    """The services that clients connect to: with their programs, and what they see."""
    for scope, service in site.scopes():
        program = "" if service is None else os.path.basename(service.command)
        if service is not None and service.type == "inet" and program in PROGRAMS:
            yield service, program, scope


def behind(site: Site) -> Iterator[tuple[Service, Calm, str, int]]:
    """The services that are the door alone: with the host (empty for a socket) and port of the server behind."""
    for service, _, scope in servers(site):
        if scope.text(UPSTREAM):
            try:
                host, port, _ = parse_place(scope.settings, scope.text(UPSTREAM))
            except ConfigTrouble:
                continue
            yield service, scope, host, port


def is_door_alone(site: Site) -> bool:
    """True where all that clients connect to has a server behind: then nothing is stored or delivered here."""
    every = [bool(scope.text(UPSTREAM)) for _, _, scope in servers(site)]
    return bool(every) and all(every)


def believes_strangers(site: Site) -> Iterator[Hit]:
    """The PROXY protocol on a port that strangers reach."""
    for service, program, scope in servers(site):
        name = f"{program}_upstream_proxy_protocol"
        if is_proxied(scope.settings, program, service) and not unreachable(service, scope.settings):
            yield Hit(
                f"{service.name} {program}: {name} = {scope.text(name)} on a port that strangers reach: they may pretend to be anybody",
                scope.where(name) or service.location,
                f"127.0.0.1:{service.name.rpartition(':')[2]}, or the proxy's side of the network, in place of {service.name}",
            )


def behind_is_far(site: Site) -> Iterator[Hit]:
    """The server behind has an address that strangers reach too."""
    for service, scope, host, _ in behind(site):
        if parse_address(host) is not None and not is_loopback(host) and is_public(host):
            yield Hit(
                f"{UPSTREAM} = {scope.text(UPSTREAM)}: at a public address strangers may say as well who they are",
                scope.where(UPSTREAM) or service.location,
            )


def behind_is_here(site: Site) -> Iterator[Hit]:
    """The server behind is one of our own services, which has a server behind as well."""
    listening = {(host_of(service.name), service.name.rpartition(":")[2]) for service, _, _, _ in behind(site)}
    for service, scope, host, port in behind(site):
        for own_host, own_port in listening:
            number = {"smtp": "25"}.get(own_port, own_port)
            if number == str(port) and (is_loopback(host) if not own_host else own_host == host):
                yield Hit(
                    f"{UPSTREAM} = {scope.text(UPSTREAM)} is this server itself: every mail would go round",
                    scope.where(UPSTREAM) or service.location,
                )


def behind_is_not_told(site: Site) -> Iterator[Hit]:
    """The server behind takes everybody for us."""
    for service, scope, host, _ in behind(site):
        if scope.text(PROTOCOL) == "none":
            trusted = " and mynetworks has it by default" if not host or is_loopback(host) else ""
            yield Hit(
                f"{PROTOCOL} = none: the server behind takes every client for this host{trusted}",
                scope.where(PROTOCOL) or service.location,
            )


RULES = (
    Rule(
        "proxy-believed",
        ERROR,
        "Who may say for whom he speaks may relay, and has no reputation to lose: only a proxy of ours may.",
        "an address that only the proxy reaches",
        believes_strangers,
    ),
    Rule(
        "upstream-public",
        WARNING,
        "The server behind believes what it is told of a client, whoever says it.",
        "127.0.0.1, a private network, or a firewall that lets only this host through to that port",
        behind_is_far,
    ),
    Rule(
        "upstream-self",
        ERROR,
        "A server cannot stand behind itself.",
        "the port of the server that stays",
        behind_is_here,
    ),
    Rule(
        "upstream-unnamed",
        ERROR,
        "If that is a client that it trusts, it relays for everybody; if not, all its checks of clients are blind.",
        "seawall_upstream_protocol = proxy",
        behind_is_not_told,
    ),
)
