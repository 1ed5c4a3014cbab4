"""Sessions played twice: before the judge in memory, and before the real Postfix in the box, under the same settings."""

from __future__ import annotations

from collections.abc import Coroutine, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

from seawall.config.host import LOOPBACK
from seawall.config.settings import Settings
from seawall.dns.hosts import Hosts
from seawall.dns.zone import Zone
from seawall.eager import result_now
from seawall.mail.rfc822 import Path, parse_path
from seawall.policy.attempt import UNKNOWN, Attempt, NameStatus
from seawall.policy.judge import Judge
from seawall.policy.verdict import Act, Remark, Verdict
from seawall.policy.world import WorldFacts
from seawall.routing.resolve import Routing
from seawall.tables.registry import Tables
from tests.box import Box

BASE: Mapping[str, str] = {
    "compatibility_level": "3.6",
    "myhostname": "mail.here.example",
    "mydestination": "here.example, $myhostname",
    "inet_interfaces": "192.0.2.1",
    "mynetworks": "127.0.0.0/8, 10.0.0.0/8, trusted.example",
    "local_recipient_maps": "inline:{joe=x, ann=x, dashed-name=x}",
    "alias_maps": "",
    "relay_domains": "relay.example, listed.example",
    "relay_recipient_maps": "inline:{ok@listed.example=x, @relay.example=x}",
    "virtual_alias_domains": "alias.example",
    "virtual_alias_maps": "inline:{known@alias.example=joe, moved@here.example=ann@friend.example}",
    "virtual_mailbox_domains": "box.example",
    "virtual_mailbox_maps": "inline:{user@box.example=x}",
    "recipient_delimiter": "+",
    "smtpd_peername_lookup": "no",
    "smtpd_authorized_xclient_hosts": "198.18.0.0/15",
    "smtpd_error_sleep_time": "0",
    "smtpd_client_connection_count_limit": "0",  # nobody counts, nobody waits for anvil(8)
    "smtpd_hard_error_limit": "1000",
    "smtpd_soft_error_limit": "1000",
    "smtpd_junk_command_limit": "1000",
    # every list needs a guard; this one lets everybody pass, so that the other lists decide
    "smtpd_relay_restrictions": "check_client_access static:OK, reject",
    "smtpd_sasl_auth_enable": "no",
    "smtputf8_enable": "yes",
    "disable_vrfy_command": "no",
}

ZONE = """\
$TTL 300
friend.example.        MX  10 mx.friend.example.
friend.example.        NS  ns.friend.example.
mx.friend.example.     A   198.18.9.9
ns.friend.example.     A   198.18.9.10
only-a.example.        A   198.18.9.11
only-6.example.        AAAA 2001:db8::11
text.example.          TXT "no address"
null.example.          MX  0 .
badmx.example.         MX  10 mx_.-bad.example.
evil.example.          MX  10 mx.evil.example.
evil.example.          NS  ns.evil.example.
sub.evil.example.      A   198.18.9.13
mx.evil.example.       A   198.18.66.6
ns.evil.example.       A   198.18.66.7
lost.example.          MX  10 nowhere.example.
bot.example.           A   198.18.7.7
cname.example.         CNAME friend.example.
relay.example.         A   198.18.9.12
listed.example.        A   198.18.9.12
backup.example.        MX  10 mx.friend.example.
backup.example.        MX  20 mail.here.example.
primary.example.       MX  10 mail.here.example.
7.7.18.198.bl.example.  A 127.0.0.2
7.7.18.198.bl.example.  TXT "listed, see http://bl.example/?198.18.7.7"
8.7.18.198.bl.example.  A 127.0.0.10
10.7.18.198.bl.example. A 127.0.0.4
10.7.18.198.bl.example. TXT "odd $client ${helo_name} \\195\\188 \\009 <x>"
3.2.1.10.bl.example.    A 127.0.0.2
bot.example.dbl.example.     A 127.0.1.2
friend.example.dbl.example.  A 127.0.1.4
friend.example.dbl.example.  TXT "friends are listed"
liar.evil.example.dbl.example. A 127.0.1.9
here.example.dbl.example.    A 127.0.1.2
;!servfail 9.7.18.198.bl.example ANY
;!servfail only-a.example.dbl.example ANY
;!servfail broken.example ANY
;!servfail half.example MX
half.example.          A   198.18.9.14
"""


@dataclass(frozen=True, slots=True)
class Client:
    """Who knocks."""

    name: str = "bot.example"
    address: str = "198.18.7.7"
    status: NameStatus = NameStatus.OK
    reverse_name: str = ""

    @property
    def shown_reverse(self) -> str:
        return self.reverse_name or self.name


STRANGER = Client()
NAMELESS = Client(UNKNOWN, "198.18.7.8", NameStatus.PERMANENT)
UNCLEAR = Client(UNKNOWN, "198.18.7.9", NameStatus.TEMPORARY)
FORGED = Client(UNKNOWN, "198.18.7.10", NameStatus.PERMANENT, "liar.evil.example")
INSIDER = Client("desk.here.example", "10.1.2.3")


@dataclass(frozen=True, slots=True)
class Session:
    """One dialogue: each recipient is a RCPT; `data` asks for DATA after them, `end` for the verdict on the message too.

    With `etrn` or `vrfy` that command follows HELO instead of a message.  `login` is who has logged in.
    """

    settings: Mapping[str, str] = field(default_factory=dict)
    client: Client = STRANGER
    helo: str = "bot.example"
    sender: str = "a@friend.example"
    recipients: Sequence[str] = ("joe@here.example",)
    data: bool = False
    end: bool = False
    etrn: str = ""
    vrfy: str = ""
    login: str = ""


Replies = tuple[str, ...]
"""What CONNECT, HELO, MAIL, each RCPT, DATA and the message were answered: ``OK`` or the refusal."""


class Court:
    """The judges of several configurations; a configuration is compiled once."""

    def __init__(self) -> None:
        self._zone = Zone(ZONE)
        self.remarks: list[tuple[Session, Remark]] = []
        self._judges: dict[tuple[tuple[str, str], ...], Judge] = {}

    def judge(self, overrides: Mapping[str, str]) -> Judge:
        key = tuple(sorted(overrides.items()))
        judge = self._judges.get(key)
        if judge is None:
            settings = settings_of(overrides)
            tables = Tables()
            facts = WorldFacts(settings, tables, Routing(settings, tables), self._zone, Hosts())
            judge = self._judges[key] = Judge(settings, facts, needs_guard=False)
        return judge

    def play(self, session: Session) -> Replies:
        """As `_play`, and what was remarked is kept."""
        self._attempt = Attempt("")
        try:
            return self._play(session)
        finally:
            self.remarks.extend((session, remark) for remark in self._attempt.remarks)

    def _play(self, session: Session) -> Replies:
        """The session as smtpd(8) would lead it, up to the first refusal that leaves nothing to ask."""
        judge = self.judge(session.settings)
        client = session.client
        attempt = self._attempt = Attempt(
            address=client.address,
            name=client.name,
            name_status=client.status,
            reverse_name=client.shown_reverse,
            reverse_name_status=NameStatus.OK if client.reverse_name else client.status,
            protocol="SMTP",
            sasl_username=session.login,
            sasl_method="XCLIENT" if session.login else "",
        )
        heard = [_step(judge.connect(attempt))]
        if heard[-1] != "OK":
            return tuple(heard)
        attempt.helo, attempt.where = session.helo, "HELO"
        heard.append(_step(judge.helo(attempt)))
        if heard[-1] != "OK":
            return tuple(heard)
        if session.etrn or session.vrfy:
            return (*heard, _side_step(judge, attempt, session))
        attempt.sender, attempt.where = address_in(session.sender), "MAIL"
        heard.append(_malformed(judge, attempt.sender, "", "5.1.7 Bad sender address syntax", session))
        if heard[-1] == "OK":
            heard[-1] = _step(judge.mail(attempt))
        if heard[-1] != "OK":
            return tuple(heard)
        first = None
        for recipient in session.recipients:
            attempt.recipient, attempt.where = address_in(recipient), "RCPT"
            text = "5.1.3 Bad recipient address syntax"
            heard.append(_malformed(judge, attempt.recipient, attempt.sender, text, session))
            if heard[-1] == "OK":
                heard[-1] = _step(judge.rcpt(attempt))
            if heard[-1] == "OK":
                attempt.recipient_count += 1
                first = first or attempt.recipient
            elif ends(heard[-1]):
                return tuple(heard)
        if session.data and first is not None:
            attempt.recipient, attempt.where = first, "DATA"
            heard.append(_step(judge.data(attempt)))
            if session.end and heard[-1] == "OK":
                attempt.where = "END-OF-MESSAGE"
                heard.append(_step(judge.end_of_data(attempt)))
        return tuple(heard)


def _side_step(judge: Judge, attempt: Attempt, session: Session) -> str:
    """ETRN or VRFY."""
    if session.etrn:
        attempt.etrn_domain, attempt.where = session.etrn, "ETRN"
        return _step(judge.etrn(attempt))
    attempt.recipient, attempt.where = address_in(session.vrfy), "VRFY"
    text = "5.1.3 Bad recipient address syntax"
    heard = _malformed(judge, attempt.recipient, "", text, session)
    return _step(judge.vrfy(attempt)) if heard == "OK" else heard


def ends(reply: str) -> bool:
    """True where the server closes after its reply."""
    return reply[:3] in ("421", "521")


def address_in(path: str) -> str:
    """The address between the brackets, as the edge hands it on."""
    parsed = parse_path(f"<{path}>")
    assert isinstance(parsed, Path)
    return parsed.address


def _malformed(judge: Judge, address: str, sender: str, text: str, session: Session) -> str:
    if not result_now(judge.is_malformed(address, sender, smtputf8=False)):
        return "OK"
    soft = session.settings.get("soft_bounce") == "yes"
    return f"401 4{text[1:]}" if soft else f"501 {text}"


def _step(answer: object) -> str:
    if not isinstance(answer, Verdict):
        assert isinstance(answer, Coroutine)
        answer = result_now(answer)
    verdict = answer
    assert isinstance(verdict, Verdict)
    if verdict.act is not Act.REJECT:
        return "OK"
    return verdict.reply.line() if verdict.reply is not None else "hangup"


def settings_of(overrides: Mapping[str, str]) -> Settings:
    """The base with some parameters set otherwise."""
    text = "\n".join(f"{name} = {value}" for name, value in {**BASE, **overrides}.items())
    return Settings.from_text(text, host=LOOPBACK)


FIRST_PORT = 3000


RESOLVING = frozenset(
    {"mydestination", "relay_domains", "transport_maps", "virtual_alias_domains", "virtual_mailbox_domains"}
)
"""Parameters that trivial-rewrite(8) reads: they must stand in main.cf, an option of smtpd does not reach it."""
PORTS = 100
"""Configurations to one start of Postfix."""


def ask_postfix(box: Box, sessions: Sequence[Session]) -> list[Replies]:
    """Play all sessions before the real Postfix, started as often as that takes."""
    heard: dict[int, Replies] = {}
    for batch in _batches(sessions):
        box.wipe()
        court = PostfixCourt(box, [sessions[at].settings for at in batch])
        try:
            heard.update(zip(batch, court.play([sessions[at] for at in batch]), strict=True))
        finally:
            court.close()
    return [heard[at] for at in range(len(sessions))]


def _batches(sessions: Sequence[Session]) -> Iterator[list[int]]:
    """Numbers of sessions that one start can serve."""
    by_main: dict[tuple[tuple[str, str], ...], dict[tuple[tuple[str, str], ...], list[int]]] = {}
    for at, session in enumerate(sessions):
        key = tuple(sorted(session.settings.items()))
        main = tuple(item for item in key if item[0] in RESOLVING)
        by_main.setdefault(main, {}).setdefault(key, []).append(at)
    for configurations in by_main.values():
        every = list(configurations.values())
        for first in range(0, len(every), PORTS):
            yield [at for numbers in every[first : first + PORTS] for at in numbers]


class PostfixCourt:
    """The real Postfix, one port a configuration; all of them agree in what `RESOLVING` names."""

    def __init__(self, box: Box, configurations: Sequence[Mapping[str, str]]) -> None:
        self._box = box
        self._ports: dict[tuple[tuple[str, str], ...], int] = {}
        master = (box.read("/etc/postfix/master.cf") or b"").decode()
        for overrides in configurations:
            key = tuple(sorted(overrides.items()))
            if key in self._ports:
                continue
            port = self._ports[key] = FIRST_PORT + len(self._ports)
            options = "".join(f"  -o {{ {name} = {value} }}\n" for name, value in overrides.items())
            master += f"{port} inet n - n - - smtpd\n{options}"
        box.zone(ZONE)
        resolving = {name: value for name, value in configurations[0].items() if name in RESOLVING}
        settings = {**BASE, **resolving, "header_checks": "static:DISCARD"}  # whatever is accepted ends there
        box.write("/etc/postfix/main.cf", "".join(f"{name} = {value}\n" for name, value in settings.items()))
        box.write("/etc/postfix/master.cf", master)
        self._master = box.start_postfix()
        for port in self._ports.values():
            box.listens(port)

    def close(self) -> None:
        self._box.stop_postfix(self._master)

    def play(self, sessions: Sequence[Session]) -> list[Replies]:
        """All sessions, some at a time."""
        with ThreadPoolExecutor(8) as pool:
            return list(pool.map(self._play, range(len(sessions)), sessions))

    def _play(self, number: int, session: Session) -> Replies:
        port = self._ports[tuple(sorted(session.settings.items()))]
        commands = [_xclient(session.client, session.login), f"HELO {session.helo}", *_commands(session)]
        acts: list[tuple[str, object]] = [("expect", 1)]
        for command in commands:
            acts += [("send", f"{command}\r\n"), ("expect", 1)]
        source = f"198.18.{number // 200 % 200 + 1}.{number % 200 + 1}"
        heard = [h.lines[-1] if h.lines else "" for h in self._box.talk(acts, port=port, source=source)]
        return _after_xclient(heard, session)


def _commands(session: Session) -> list[str]:
    """What the client says after HELO."""
    if session.etrn:
        return [f"ETRN {session.etrn}"]
    if session.vrfy:
        return [f"VRFY <{session.vrfy}>"]
    return [
        f"MAIL FROM:<{session.sender}>",
        *(f"RCPT TO:<{recipient}>" for recipient in session.recipients),
        *(["DATA"] if session.data else []),
        *(["Subject: x\r\n\r\nx\r\n."] if session.data and session.end else []),
    ]


def _xclient(client: Client, login: str) -> str:
    words = {NameStatus.PERMANENT: "[UNAVAILABLE]", NameStatus.TEMPORARY: "[TEMPUNAVAIL]"}
    name = words.get(client.status, client.name)
    reverse = client.reverse_name or name
    more = f" LOGIN={login}" if login else ""
    address = f"IPV6:{client.address}" if ":" in client.address else client.address
    return f"XCLIENT NAME={name} REVERSE_NAME={reverse} ADDR={address}{more}"


def _after_xclient(heard: list[str], session: Session) -> Replies:
    """From the greeting after XCLIENT on, cut where the judge's own play ends."""
    replies: list[str] = []
    accepted = 0
    for at, line in enumerate(heard[1:]):
        # what fast flush says of an ETRN that was allowed is no refusal
        refused = line[:1] in ("4", "5") and not line.startswith(("458 ", "459 "))
        is_data = session.data and at == 3 + len(session.recipients)
        if is_data and not accepted:
            break
        replies.append(line if refused else "OK")
        if refused and (at < 3 or is_data or ends(line)):
            break
        accepted += at >= 3 and not refused
    return tuple(replies)
