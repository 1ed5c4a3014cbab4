"""postfix(1) start: reads the configuration once, opens what needs root, and runs the supervisor."""

from __future__ import annotations

import os
import secrets
import sys
import time
from collections.abc import Callable, Mapping

from seawall.config.master_cf import Service
from seawall.config.settings import ConfigTrouble, Settings
from seawall.config.support import stopping
from seawall.journal.log_lines import LineFormat
from seawall.journal.writer import FileSink, Sink, SyslogSink, TerminalSink
from seawall.mail.network import Network, parse_network
from seawall.run import listeners as sockets
from seawall.run.configuration import Read, read
from seawall.run.records import MasterSaid
from seawall.run.site import PidFile, Site, StartTrouble, open_log, postfix_is_running
from seawall.run.supervisor import Plan, Supervisor

MOST_WORKERS = 128
"""More would not find a place in a queue id."""
SMTP_SERVERS = frozenset({"smtpd", "postscreen"})
"""Commands of master.cf whose inet services we answer on."""


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
            interfaces = found.settings.with_overrides(service.overrides).words("inet_interfaces")
            addresses += sockets.addresses(position, service.name, interfaces, families)
    return addresses


class Server:
    """One run of `seawall serve`: everything between the command line and the supervisor."""

    def __init__(self, directory: str, root: str, overrides: Mapping[str, str] | None, *, quiet: bool = False) -> None:
        self._directory = directory
        self._root = root
        self._overrides = overrides
        self._quiet = quiet
        self._found = read(directory, root, overrides)
        self._site = Site.of(self._found.settings)
        self._sink: Sink = TerminalSink(self._form())

    def _form(self) -> LineFormat:
        settings = self._found.settings
        return LineFormat(settings.text("myhostname"), settings.text("syslog_name"), os.getpid())

    def say(self, level: str, text: str) -> None:
        """A line of master's in the log."""
        message = text if level == "info" else f"{level}: {text}"
        self._sink.take([MasterSaid(at=time.time(), message=message)])

    def run(self, ready: Callable[[tuple[str, ...]], None]) -> int:
        """Serve until told to stop; `ready(addresses)` once mail can come.  Raises what keeps a start from happening."""
        settings = self._found.settings
        stop_for_what_is_not_done(self._found)
        if postfix_is_running(settings):
            raise StartTrouble("Postfix is running on this configuration: `postfix stop` first, then start Seawall", 75)
        self._site.prepare()
        pid_file = PidFile(self._site)
        pid_file.take()
        try:
            plan, names = self._plan()
            self._sink = self._log_sink()
            self.say(
                "info", f"daemon started -- version {settings.text('mail_version')}, configuration {self._directory}"
            )
            supervisor = Supervisor(plan, self.say, lambda: ready(names))
            code = supervisor.run(self._reload)
            self.say("info", "stopped")
            return code
        finally:
            pid_file.give_back()

    def _plan(self) -> tuple[Plan, tuple[str, ...]]:
        found = self._found
        workers = worker_count(found.settings)
        key = secrets.randbits(31) | 1
        addresses = addresses_of(found)
        if not addresses:
            raise StartTrouble("master.cf has no inet service with smtpd: there is nothing to listen on")
        exempt = exempt_networks(found.settings)
        groups, sorted_by_kernel = [], True
        for address in addresses:
            group, works = sockets.open_group(address, workers, key, exempt)
            sorted_by_kernel = sorted_by_kernel and works
            groups.append((sockets.describe(address.service, group[0]), group))
        if not sorted_by_kernel:
            self.say("warning", "this kernel cannot sort connections (SO_ATTACH_REUSEPORT_CBPF): one worker serves")
            workers = 1
        plan = self._plan_of(found, workers)
        plan.groups = groups
        return plan, tuple(f"{info.address}:{info.port}" for info, _ in groups)

    def _plan_of(self, found: Read, workers: int) -> Plan:
        return Plan(
            configuration=found.configuration,
            root=self._root,
            directory=self._directory,
            user=self._site.account.name if self._site.account else "",
            workers=workers,
            open_log=lambda: open_log(found.settings, self._site.account),
        )

    def _log_sink(self) -> Sink:
        descriptor = open_log(self._found.settings, self._site.account)
        if descriptor is not None:
            return FileSink(descriptor, self._form())
        return log_elsewhere(self._form())

    def _reload(self) -> Plan | None:
        """A plan for the configuration as it is now; None, and a line in the log, where it is invalid."""
        try:
            found = read(self._directory, self._root, self._overrides)
            site = Site.of(found.settings)
            stop_for_what_is_not_done(found)
        except (ConfigTrouble, StartTrouble) as trouble:
            self.say("error", f"reload: {trouble}; the old configuration stays in use")
            return None
        self._name_what_needs_a_restart(found, site)
        old, self._found = self._found, found
        self._sink = self._log_sink()
        return self._plan_of(found, worker_count(old.settings))

    def _name_what_needs_a_restart(self, found: Read, site: Site) -> None:
        for name in ("queue_directory", "data_directory", "mail_owner", "inet_interfaces", "inet_protocols"):
            before, after = self._found.settings.text(name), found.settings.text(name)
            if before != after:
                self.say("warning", f"reload: {name} changed from '{before}' to '{after}': this needs a restart")
        if _inet(self._found.services) != _inet(found.services):
            self.say("warning", "reload: the inet services of master.cf changed: this needs a restart")


def stop_for_what_is_not_done(found: Read) -> None:
    """A parameter that rejects, filters, signs, encrypts or diverts and is not implemented keeps a server from starting.

    Raises StartTrouble that names each, with file, line, consequence and remedy.
    """
    reasons = [str(finding) for finding in stopping(found.settings, found.services)]
    if reasons:
        raise StartTrouble("\n  ".join(["this configuration asks for what Seawall does not do:", *reasons]))


def _inet(services: tuple[Service, ...]) -> list[tuple[str, str]]:
    return [(s.name, s.command) for s in services if s.type == "inet" and s.command in SMTP_SERVERS]


def log_elsewhere(form: LineFormat) -> Sink:
    """Where the log goes without maillog_file: a terminal that somebody watches, else syslog."""
    if sys.stderr.isatty() or not os.path.exists("/dev/log"):
        return TerminalSink(form)
    return SyslogSink(form)
