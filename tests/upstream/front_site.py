"""A real Postfix behind and a Seawall in front of it, in one box: laid out, started, spoken to.

Postfix has its smtpd on 127.0.0.1:10025 (PROXY), 10026 (XCLIENT) and a socket; Seawall has a port for each way to get there.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from tests.box import Box, Heard
from tests.system.box_site import BoxSite

STRANGER, OTHER, LISTED = "198.18.3.4", "198.18.4.4", "198.18.5.9"
PROXY, PROXY_V2, XCLIENT, SOCKET, ONE, GREY, DEAD, DOOR, NONE = 25, 2501, 2502, 2503, 2504, 2505, 2506, 2507, 2508
POSTFIX = """\
compatibility_level = 3.6
myhostname = mail.example
inet_protocols = ipv4
mynetworks = 127.0.0.0/8
mydestination = example.com
local_recipient_maps = inline:{alice=x,bob=x}
alias_maps =
home_mailbox = Maildir/
smtpd_peername_lookup = no
smtpd_client_connection_count_limit = 0
smtpd_relay_restrictions = permit_sasl_authenticated, reject_unauth_destination
transport_maps = inline:{{relay.example = smtp:[192.0.2.25]:2525}}
smtpd_sasl_type = dovecot
smtpd_sasl_path = private/auth
smtpd_tls_security_level = may
smtpd_tls_cert_file = /etc/postfix/cert.pem
smtpd_tls_key_file = /etc/postfix/key.pem
message_size_limit = 52428800
mailbox_size_limit = 0
"""
BEHIND = """\
127.0.0.1:10025 inet n - n - - smtpd -o smtpd_upstream_proxy_protocol=haproxy
127.0.0.1:10026 inet n - n - - smtpd -o smtpd_authorized_xclient_hosts=127.0.0.1
front unix n - n - - smtpd -o smtpd_upstream_proxy_protocol=haproxy
"""
FRONT = """\
compatibility_level = 3.6
myhostname = mx.example
inet_protocols = ipv4
mynetworks = 127.0.0.0/8
queue_directory = /var/spool/front
data_directory = /var/lib/front
syslog_name = seawall
smtpd_peername_lookup = no
seawall_workers = 1
seawall_upstream = 127.0.0.1:10025
seawall_upstream_wait = 2s
seawall_upstream_timeout = 4s
postscreen_greet_wait = 1s
postscreen_dnsbl_sites = bl.example
postscreen_dnsbl_action = enforce
seawall_greylist_delay = 600s
"""
IN_FRONT = f"""\
smtp inet n - n - - smtpd
{PROXY_V2} inet n - n - - smtpd -o seawall_upstream_protocol=proxy-v2
{XCLIENT} inet n - n - - smtpd -o seawall_upstream=127.0.0.1:10026 -o seawall_upstream_protocol=xclient
{SOCKET} inet n - n - - smtpd -o seawall_upstream=unix:/var/spool/postfix/public/front
{ONE} inet n - n - - smtpd -o seawall_upstream_connections=1
{GREY} inet n - n - - smtpd -o seawall_greylist=yes
{DEAD} inet n - n - - smtpd -o seawall_upstream=127.0.0.1:9
{DOOR} inet n - n - - smtpd -o seawall_door=yes
{NONE} inet n - n - - smtpd -o seawall_upstream=127.0.0.1:10026 -o seawall_upstream_protocol=none
"""
ZONE = "$TTL 300\n9.5.18.198.bl.example. IN A 127.0.0.2\n"
MAKE_KEY = (
    "cd /etc/postfix && openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 30 "
    "-subj /CN=mail.example -keyout key.pem -out cert.pem 2>/dev/null"
)
PATIENCE = 15.0


LOGINS = "smtpd_sasl_auth_enable = yes\n"
"""For Postfix, where Dovecot runs beside it."""


class FrontSite(BoxSite):
    """Both servers; `postfix` and `pid` are their first processes.  `behind` and `more` are lines for their main.cf."""

    def __init__(self, box: Box, *, behind: str = "", more: str = "") -> None:
        super().__init__(box)
        standard = (box.read("/etc/postfix/master.cf") or b"").decode()
        master = re.sub(r"(?m)^smtp +inet .*\n", BEHIND, standard, count=1)
        self.lay_out(POSTFIX + behind, {"master.cf": master}, ZONE)
        box.run("sh", "-c", MAKE_KEY)
        box.write("/etc/front/main.cf", FRONT + more)
        box.write("/etc/front/master.cf", IN_FRONT)
        for place in ("/var/spool/front", "/var/lib/front"):
            box.run("install", "-d", "-o", "postfix", place)
        self.postfix = self.strangers = 0

    def begin_behind(self) -> FrontSite:
        self.postfix = self.box.start_postfix()
        return self

    def begin(self) -> FrontSite:
        if not self.postfix:
            self.begin_behind()
        self.pid = self.box.start_seawall("-c", "/etc/front")
        return self

    def end(self) -> None:
        self.stop()
        self.stop_behind()

    def stop_behind(self) -> None:
        if self.postfix:
            self.box.stop_postfix(self.postfix)
            self.postfix = 0

    def new_address(self) -> str:
        """A stranger who was not here yet."""
        self.strangers += 1
        return f"198.18.6.{self.strangers}"

    def was_behind(self, client: str) -> bool:
        """Postfix has heard of this client."""
        text = f"connect from unknown[{client}]"
        return any(text in line and "postfix/smtpd" in line for line in self.log().splitlines())

    def smtpds(self) -> list[int]:
        """Postfix's smtpd processes."""
        return [pid for pid, line in self.box.processes().items() if re.match(r"smtpd |\S*/smtpd ", line)]

    def visit(self, *lines: str, port: int = PROXY, source: str = STRANGER, first: float = 0.0) -> list[Heard]:
        """A dialogue, each line after the reply to the one before; what was heard, the greeting first."""
        acts: list[tuple[str, Any]] = [("listen", 0.05)]
        for line in lines:
            acts += [("send", line if line.endswith("\n") else f"{line}\r\n"), ("listen", 0.05)]
        return self.box.talk(acts, port=port, source=source, patience=PATIENCE)

    def act(self, acts: Sequence[tuple[str, Any]], port: int = PROXY, source: str = STRANGER) -> list[tuple[str, ...]]:
        """A dialogue act by act; the lines heard at each."""
        return replies(self.box.talk(acts, port=port, source=source, patience=PATIENCE))

    def messages(self, text: str) -> list[str]:
        """Mails with this text, of all users."""
        return [mail for user in ("alice", "bob") for mail in self.mail(user) if text in mail]


def replies(heard: Sequence[Heard]) -> list[tuple[str, ...]]:
    return [each.lines for each in heard]


def codes(heard: Sequence[tuple[str, ...]]) -> list[str]:
    """The code of each reply."""
    return [lines[-1][:3] if lines else "" for lines in heard]
