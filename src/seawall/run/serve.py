"""postfix(1) start: reads the configuration once, opens what needs root, and runs the supervisor."""

from __future__ import annotations

import os
import secrets
import socket
import sys
import time
from collections.abc import Callable, Mapping
from typing import TypeAlias

import msgspec

from seawall.config.master_cf import Service
from seawall.config.settings import ConfigTrouble, Settings
from seawall.config.support import IGNORE_PARAMETERS, bad_values, stopping, unserved
from seawall.journal.log_lines import LineFormat
from seawall.journal.writer import FileSink, Sink, SyslogSink, TerminalSink
from seawall.mail.network import Network, parse_network
from seawall.run import listeners as sockets
from seawall.run.configuration import Read, read
from seawall.run.messages import ListenerInfo
from seawall.run.records import MasterSaid
from seawall.run.site import PidFile, Site, StartTrouble, allow_many_files, open_log, postfix_is_running
from seawall.run.spawn_services import run_as_another
from seawall.run.spawn_sockets import SpawnSockets
from seawall.run.supervisor import Plan, Supervisor

MOST_WORKERS = 128
"""More would not find a place in a queue id."""
SMTP_SERVERS = frozenset({"smtpd", "postscreen"})
"""Commands of master.cf whose inet services we answer on."""
NEED_A_RESTART = (
    "queue_directory",
    "data_directory",
    "mail_owner",
    "inet_interfaces",
    "inet_protocols",
    "seawall_workers",
)
"""Parameters that a reload does not change."""

Group: TypeAlias = tuple[ListenerInfo, list[socket.socket]]
"""An address, and a socket on it for each worker."""


def worker_count(settings: Settings) -> int:
    """seawall_workers, or one for each core."""
    wanted = settings.number("seawall_workers")
    return min(wanted, MOST_WORKERS) if wanted > 0 else len(os.sched_getaffinity(0))


def exempt_networks(settings: Settings) -> list[Network]:
    """Networks whose clients are spread over all workers: loopback and the networks that mynetworks names itself."""
    words = ("127.0.0.0/8", "[::1]/128", *settings.words("mynetworks"))
    return [network for network in map(parse_network, words) if network is not None]


def addresses_of(found: Read) -> list[sockets.Address]:
    """The addresses that the configuration's SMTP servers listen on.  Raises ListenTrouble."""
    families = sockets.protocol_families(found.settings.words("inet_protocols"))
    addresses: list[sockets.Address] = []
    for position, service in enumerate(found.services):
        if service.type == "inet" and service.command in SMTP_SERVERS:
            settings = found.settings.with_overrides(service.overrides)
            tls_first = settings.flag("smtpd_tls_wrappermode")
            interfaces = settings.words("inet_interfaces")
            addresses += sockets.addresses(position, service.name, interfaces, families, clients_begin=tls_first)
    return addresses


class Server:
    """One run of `seawall serve`: everything between the command line and the supervisor."""

    def __init__(self, directory: str, root: str, overrides: Mapping[str, str] | None) -> None:
        self._directory = directory
        self._root = root
        self._overrides = overrides
        self._found = read(directory, root, overrides)
        """As it was at the start: ports and places stay as it says."""
        self._site = Site.of(self._found.settings)
        self._groups: list[Group] = []
        self._local: list[tuple[ListenerInfo, socket.socket]] = []
        self._spawn = SpawnSockets(self._site.account)
        self._spawn_in_use: list[ListenerInfo] = []
        self._lock = -1
        self._log: int | None = None
        self._sink: Sink = TerminalSink(_form(self._found.settings))

    def say(self, level: str, text: str) -> None:
        """A line of master's in the log."""
        message = text if level == "info" else f"{level}: {text}"
        self._sink.take([MasterSaid(at=time.time(), message=message)])

    def run(self, ready: Callable[[tuple[str, ...]], None]) -> int:
        """Serve until told to stop; `ready(addresses)` once mail can come.  Raises what keeps a start from happening."""
        settings = self._found.settings
        stop_for_what_cannot_be_served(self._found)
        if postfix_is_running(settings):
            raise StartTrouble("Postfix is running on this configuration: `postfix stop` first, then start Seawall", 75)
        allow_many_files()
        self._site.prepare()
        pid_file = PidFile(self._site)
        self._lock = pid_file.take()
        try:
            workers = self._listen()
            self._local = [sockets.open_local(path) for path in self._site.local_sockets()]
            plan = self._plan_of(self._found, workers, self._groups)
            self._use_log(settings)
            self.say(
                "info", f"daemon started -- version {settings.text('mail_version')}, configuration {self._directory}"
            )
            self._name_what_is_not_served(self._found)
            names = tuple(f"{info.address}:{info.port}" for info, _ in self._groups)
            trouble = Supervisor(plan, self.say, lambda: ready(names)).run(self._reload)
            self.say("info", "stopped")
        finally:
            self._spawn.close()
            for path in self._site.local_sockets():
                path.unlink(missing_ok=True)
            pid_file.give_back()
        if trouble:
            raise StartTrouble(trouble)
        return 0

    def _listen(self) -> int:
        """Open all listening sockets; how many workers are to serve them."""
        found = self._found
        workers = worker_count(found.settings)
        key = secrets.randbits(31) | 1
        addresses = addresses_of(found)
        if not addresses:
            raise StartTrouble("master.cf has no inet service with smtpd: there is nothing to listen on")
        exempt = exempt_networks(found.settings)
        sorted_by_kernel = True
        for address in addresses:
            group, works = sockets.open_group(address, workers, key, exempt)
            sorted_by_kernel = sorted_by_kernel and works
            self._groups.append((sockets.describe(address.service, group[0]), group))
        if not sorted_by_kernel:
            self.say("warning", "this kernel cannot sort connections (SO_ATTACH_REUSEPORT_CBPF): one worker serves")
            workers = 1
        return workers

    def _plan_of(self, found: Read, workers: int, groups: list[Group]) -> Plan:
        spawn = self._spawn.of(found)
        infos = [info for info, _ in spawn]
        return Plan(
            configuration=found.configuration,
            root=self._root,
            directory=self._directory,
            user=self._site.account.name if self._site.account else "",
            workers=workers,
            groups=groups,
            local=self._local,
            spawn=spawn,
            open_log=lambda: self._open_log(found.settings),
            settled=lambda: self._settled(infos),
            lock=self._lock,
        )

    def _settled(self, infos: list[ListenerInfo]) -> None:
        self._spawn_in_use = infos
        self._spawn.keep_only(infos)

    def _use_log(self, settings: Settings) -> None:
        """Write to the log that a configuration names, anew where it was rotated.  Raises StartTrouble."""
        descriptor, before = open_log(settings, self._site.account), self._log
        self._sink = log_elsewhere(_form(settings)) if descriptor is None else FileSink(descriptor, _form(settings))
        self._log = descriptor
        if before is not None:
            os.close(before)

    def _open_log(self, settings: Settings) -> int | None:
        """For a child, at any time: a log that cannot be opened any more keeps nobody from serving."""
        try:
            return open_log(settings, self._site.account)
        except StartTrouble as trouble:
            self.say("warning", str(trouble))
            return None

    def _reload(self) -> Plan | None:
        """A plan for the configuration as it is now; None, and a line in the log, where it is invalid."""
        try:
            found = read(self._directory, self._root, self._overrides)
            stop_for_what_cannot_be_served(found)
            groups = self._groups_of(found)
            plan = self._plan_of(found, len(groups[0][1]), groups)
            self._use_log(found.settings)
        except (ConfigTrouble, StartTrouble, sockets.ListenTrouble) as trouble:
            self.say("error", f"reload: {trouble}; the old configuration stays in use")
            self._spawn.keep_only(self._spawn_in_use)
            return None
        self._name_what_needs_a_restart(found)
        self._name_what_is_not_served(found)
        return plan

    def _groups_of(self, found: Read) -> list[Group]:
        """The sockets that are open, each with the place that its service has in master.cf now.  Raises StartTrouble."""
        places = {name: at for at, name in _inet(found.services).items()}
        groups: list[Group] = []
        for info, group in self._groups:
            name = _inet(self._found.services)[info.service]
            if name not in places:
                raise StartTrouble(f"master.cf has no inet service '{name}' with smtpd any more: this needs a restart")
            groups.append((msgspec.structs.replace(info, service=places[name]), group))
        return groups

    def _name_what_is_not_served(self, found: Read) -> None:
        """Services of master.cf behind which there will be nobody, and commands that run as somebody else."""
        ignored = frozenset(found.settings.words(IGNORE_PARAMETERS))
        for finding in unserved(found.services, ignored):
            self.say("warning", str(finding))
        for text in run_as_another(found.services):
            self.say("warning", text)

    def _name_what_needs_a_restart(self, found: Read) -> None:
        for name in NEED_A_RESTART:
            before, after = self._found.settings.text(name), found.settings.text(name)
            if before != after:
                self.say("warning", f"reload: {name} changed from '{before}' to '{after}': this needs a restart")
        for name in sorted(set(_inet(found.services).values()) - set(_inet(self._found.services).values())):
            self.say("warning", f"reload: master.cf has a new inet service '{name}': this needs a restart")


def stop_for_what_cannot_be_served(found: Read) -> None:
    """A value that cannot be read keeps a server from starting, as it would a Postfix program; and so does a parameter
    that rejects, filters, signs, encrypts or diverts and is not implemented.

    Raises StartTrouble that names each, with file, line, consequence and remedy.
    """
    wrong = [str(trouble) for trouble in bad_values(found.settings, found.services)]
    if wrong:
        raise StartTrouble("\n  ".join(wrong))
    reasons = [str(finding) for finding in stopping(found.settings, found.services)]
    if reasons:
        raise StartTrouble("\n  ".join(["this configuration asks for what Seawall does not do:", *reasons]))


def _inet(services: tuple[Service, ...]) -> dict[int, str]:
    """The services that we listen for: places in master.cf, and names."""
    return {at: s.name for at, s in enumerate(services) if s.type == "inet" and s.command in SMTP_SERVERS}


def _form(settings: Settings) -> LineFormat:
    return LineFormat(settings.text("myhostname"), settings.text("syslog_name"), os.getpid())


def log_elsewhere(form: LineFormat) -> Sink:
    """Where the log goes without maillog_file: a terminal that somebody watches, else syslog."""
    if sys.stderr.isatty() or not os.path.exists("/dev/log"):
        return TerminalSink(form)
    return SyslogSink(form)
