"""The ways into a configuration: every smtpd of master.cf that a stranger can reach, directly or through postscreen."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from seawall.config.master_cf import Service
from seawall.config.settings import Settings
from seawall.config.source import ConfigTrouble, Location
from seawall.mail.network import parse_address
from seawall.policy.proof.stranger import is_public
from seawall.policy.stages import STAGES

LOOPBACK_NAMES = frozenset({"localhost", "loopback-only", "ip6-localhost"})
PARAMETERS = (
    *(stage.parameter for stage in STAGES.values()),
    *("smtpd_restriction_classes", "mynetworks", "mydestination", "relay_domains", "virtual_alias_domains"),
    *("virtual_mailbox_domains", "virtual_transport", "local_transport", "relay_transport", "default_transport"),
    *("transport_maps", "relayhost", "allow_untrusted_routing", "smtpd_delay_reject", "smtpd_helo_required"),
    *("smtpd_relay_before_recipient_restrictions", "smtpd_reject_unlisted_recipient", "smtpd_reject_unlisted_sender"),
    *("smtpd_authorized_xclient_hosts", "smtpd_sasl_auth_enable", "smtpd_tls_security_level", "smtpd_tls_ask_ccert"),
    *("smtpd_tls_req_ccert", "smtpd_use_tls", "smtpd_enforce_tls", "smtpd_tls_wrappermode", "relay_clientcerts"),
    *("tls_append_default_CA", "smtpd_tls_CAfile", "smtpd_tls_CApath", "permit_mx_backup_networks", "soft_bounce"),
    *("parent_domain_matches_subdomains", "recipient_delimiter", "smtpd_null_access_lookup_key", "inet_protocols"),
    *("smtpd_sender_login_maps", "local_recipient_maps", "relay_recipient_maps", "virtual_mailbox_maps", "myhostname"),
    *("virtual_alias_maps", "resolve_dequoted_address", "swap_bangpath", "allow_percent_hack", "inet_interfaces"),
    *("sender_dependent_default_transport_maps", "sender_dependent_relayhost_maps", "resolve_numeric_domain"),
    *("smtpd_policy_service_default_action", "smtpd_log_access_permit_actions", "smtpd_proxy_filter", "myorigin"),
    *("proxy_interfaces", "append_at_myorigin", "append_dot_mydomain", "canonical_maps", "mynetworks_style"),
    *("seawall_exempt_file", "seawall_upstream", "seawall_upstream_protocol"),
)
"""All that the proof of a service goes by."""


@dataclass(frozen=True, slots=True)
class Door:
    """One way in.  `settings` is what its smtpd sees; `overrides` what master.cf sets for it.

    `closed` says why no stranger gets there; `proxied` is true where whoever connects is believed to be a proxy.
    """

    name: str
    settings: Settings
    location: Location | None
    overrides: Mapping[str, str]
    closed: str = ""
    proxied: bool = False
    stress: str = ""

    def key(self) -> tuple[object, ...]:
        """Doors with the same key have the same answer."""
        classes = self.settings.words("smtpd_restriction_classes")
        own = tuple(self.settings.text(name) if self.settings.is_set(name) else "" for name in classes)
        return (*(_text(self.settings, name) for name in PARAMETERS), own, self.proxied, self.closed)


def _text(settings: Settings, name: str) -> str:
    try:
        return settings.text(name)
    except ConfigTrouble:
        return ""


def doors(main: Settings, services: Sequence[Service]) -> Iterator[Door]:
    """The doors in master.cf's order, each also under stress where that changes anything."""
    for service in services:
        program = os.path.basename(service.command)
        if service.type != "inet" or program not in ("smtpd", "postscreen"):
            continue
        own = service.settings(main)
        closed = unreachable(service, own)
        behind = service
        proxied = is_proxied(own, program, service)
        if program == "postscreen":
            name = own.text("smtpd_service_name")
            found = next((one for one in services if one.type == "pass" and one.name == name), None)
            if found is None:
                closed = closed or f"postscreen hands nothing on: there is no service {name} of type pass"
            else:
                behind, own = found, found.settings(main)
        title = f"{service.name} {service.type} {program}"
        plain = Door(title, own, service.location, behind.overrides, closed, proxied)
        yield plain
        stressed = Door(
            f"{title} under stress",
            own.with_overrides({"stress": "yes"}),
            service.location,
            behind.overrides,
            closed,
            proxied,
            "yes",
        )
        if stressed.key() != plain.key():
            yield stressed


def unreachable(service: Service, settings: Settings) -> str:
    """Why no stranger can connect; empty where he can."""
    host = host_of(service.name)
    if host:
        return f"listens on {host} only" if is_loopback(host) else ""
    interfaces = settings.words("inet_interfaces")
    if interfaces and all(is_loopback(word) for word in interfaces):
        return f"inet_interfaces = {', '.join(interfaces)}"
    return ""


def host_of(name: str) -> str:
    """The host of ``host:port`` or ``[address]:port``; empty for a port alone."""
    host, colon, _ = name.rpartition(":")
    return host.strip("[]") if colon else ""


def is_loopback(host: str) -> bool:
    """True for this host's own address for itself."""
    name = host.strip("[]").lower()
    if name in LOOPBACK_NAMES:
        return True
    address = parse_address(name)
    return address is not None and (address[0] == 1 if address[1] == 128 else address[0] >> 24 == 127)


def is_proxied(settings: Settings, program: str, service: Service) -> bool:
    """True where the PROXY protocol is spoken on an address that is not private: any stranger may speak it there."""
    name = f"{program}_upstream_proxy_protocol"
    if not settings.text(name):
        return False
    host = host_of(service.name)
    return not (host and parse_address(host) is not None and not is_public(host))


def commands_of(services: Sequence[Service]) -> dict[str, str]:
    """Programs by the names of the services that deliver mail."""
    return {one.name: os.path.basename(one.command) for one in services if one.type in ("unix", "fifo")}
