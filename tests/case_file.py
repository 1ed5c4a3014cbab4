r"""Golden cases: `tests/golden/TOPIC/CASE.case` as values, read and written.

A case is text in sections. Lines before the first section say what the case shows, and `recorded:` with which Postfix::

    # A stranger may not relay.
    recorded: Postfix 3.7.11
    == main.cf
    include config-a
    == master.cf
    smtpd_helo_required = no
    == file virtmaps
    info@v.example alice
    == zone
    good.example. MX 10 mail.good.example.
    == policy unix:private/vpm-pfpolicy
    sender=spammer@* protocol_state=RCPT -> REJECT go away
    == client
    198.18.3.4
    == dialogue
    S: 220 pop.cape.com ESMTP {mail_name}
    C: HELO mail.good.example
    S: 250 pop.cape.com

`main.cf` starts from a base (`include config-a`: the folder `tests/golden/config-a`), further lines are set after it and
hold for the whole server; `master.cf` holds `-o` settings of the one smtpd that this case talks to. A base's own `master.cf`
has services beside it, and its `NAME.rows` are the table NAME of a PostgreSQL that is started for them. `file NAME` is a file
below /etc/postfix. `policy ENDPOINT` is the script of a policy service that listens there (see `tests.policy_server`; DUNNO
where no line of it fits); what shall fail has an endpoint of its own, for a server remembers that. `client` is the source
address.

Dialogue lines. A client line is followed by what the server then says:

====================  =================================================================================================
``C: TEXT``           TEXT and CRLF are sent, with everything kept back before it; then the server is heard
``C+: TEXT``          TEXT and CRLF are kept back, to be sent together with what follows
``C=: TEXT``          as ``C:``, without the CRLF
``C=+: TEXT``         as ``C+:``, without the CRLF
``C*: ACT``           what is kept back is sent; then `starttls`, `shutdown` (our half), `close` (both), `pause SECONDS`
``S: TEXT``           a line that the server says
``S*: closed``        the server closes
``S[seawall D-7]:``   what Seawall says instead of all ``S`` lines at this place; D-7 is a heading of docs/differences.md
``S*[seawall D-7]:``  likewise, for ``closed``
====================  =================================================================================================

TEXT is UTF-8; other bytes are written ``\r \n \t \\ \x00``, and ``\{TEXT*N}`` is TEXT N times. What differs from run to
run is masked in what the server says: `{id} {mail_name} {date} {message-id} …` (see `mask`).

`mailbox NAME` is what lies in somebody's Maildir (or a file below /var/spool/mail) afterwards, `mailbox sink` what the next
hop took, a line each after ``| ``, messages parted by ``|-``. `log` holds the lines about refusals and deliveries.
A section name may end with ``[seawall D-7]``: then it holds for Seawall, and the one without for Postfix.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

GOLDEN = Path(__file__).parent / "golden"
SECTION = re.compile(r"== (.*)")
DIFFERENCE = re.compile(r"(.*?) ?\[seawall (D-\d+)\]")
LINE = re.compile(r"(C=?\+?|C\*|S\*?)(?:\[seawall (D-\d+)\])?: ?(.*)")
ESCAPE = re.compile(rb"\\(?:x([0-9A-Fa-f]{2})|\{((?:[^}\\]|\\.)*)\*(\d+)\}|(.))", re.DOTALL)
PLAIN = {b"r": b"\r", b"n": b"\n", b"t": b"\t", b"\\": b"\\", b"0": b"\0"}


class CaseTrouble(Exception):
    """A case file says something that has no meaning; the text names file and line."""


@dataclass(frozen=True, slots=True)
class ClientLine:
    """One line of the client: the mark before the colon, and the text as it is written."""

    mark: str
    text: str

    @property
    def waits(self) -> bool:
        """True where the server is heard next."""
        return not self.mark.endswith("+")

    def wire(self) -> bytes:
        """The bytes that it sends; none for an act."""
        if self.mark == "C*":
            return b""
        return unescape(self.text) + (b"" if "=" in self.mark else b"\r\n")


@dataclass(frozen=True, slots=True)
class Said:
    """What a server says at one place: its lines, masked and escaped, and whether it then closes."""

    lines: tuple[str, ...] = ()
    closes: bool = False


@dataclass(frozen=True, slots=True)
class Exchange:
    """Client lines, and what is said after them by Postfix, and by Seawall where that differs."""

    client: tuple[ClientLine, ...]
    postfix: Said
    seawall: Said | None = None
    difference: str = ""


@dataclass(frozen=True, slots=True)
class Expected:
    """A section that is compared after the dialogue: for Postfix, and for Seawall where that differs."""

    postfix: tuple[str, ...] = ()
    seawall: tuple[str, ...] | None = None
    difference: str = ""


@dataclass(frozen=True, slots=True)
class Case:
    """One case. Mappings and tuples are in the file's order."""

    name: str
    about: tuple[str, ...] = ()
    recorded: str = ""
    main_cf: str = ""
    options: Mapping[str, str] = field(default_factory=dict)
    files: Mapping[str, str] = field(default_factory=dict)
    zone: str = ""
    policies: Mapping[str, str] = field(default_factory=dict)
    client: str = "198.18.3.4"
    dialogue: tuple[Exchange, ...] = ()
    mailboxes: Mapping[str, Expected] = field(default_factory=dict)
    log: Expected = Expected()

    def is_named(self, words: Sequence[str]) -> bool:
        """True where one of the words is its name or its topic, or there are none."""
        return not words or any(self.name == word or self.name.startswith(f"{word}/") for word in words)

    def differences(self) -> set[str]:
        """The D-nn that this case names."""
        named = {exchange.difference for exchange in self.dialogue}
        named |= {expected.difference for expected in (*self.mailboxes.values(), self.log)}
        return named - {""}


def unescape(text: str) -> bytes:
    """The bytes that a dialogue line stands for."""

    def byte(found: re.Match[bytes]) -> bytes:
        number, again, count, letter = found.groups()
        if number:
            return bytes([int(number, 16)])
        if count:
            return ESCAPE.sub(byte, again) * int(count)
        if letter not in PLAIN:
            raise CaseTrouble(f"no such escape: \\{letter.decode()}")
        return PLAIN[letter]

    return ESCAPE.sub(byte, text.encode("utf-8"))


def escape(data: bytes) -> str:
    """The text of bytes in a dialogue line; `unescape` is the way back."""
    names = {0x5C: "\\\\", 0x0D: "\\r", 0x0A: "\\n", 0x09: "\\t"}
    text = "".join(
        chr(byte) if 32 <= byte < 127 and byte != 0x5C else names.get(byte, f"\\x{byte:02x}") for byte in data
    )
    return text[:-1] + "\\x20" if text.endswith(" ") else text


# What differs from run to run, and what stands for it.
MASKS: tuple[tuple[re.Pattern[str], str], ...] = (
    (re.compile(r"(?<=queued as )[0-9A-Za-z]{6,}"), "{id}"),
    (re.compile(r"(?:(?<= id )|(?<=\\tid ))[0-9A-Za-z]{6,}(?=;|$)"), "{id}"),
    (re.compile(r"(?<=/Maildir/tmp/)[^:\s]+"), "{name}"),
    (re.compile(r"^X-(?:Postfix|Seawall)-(?=Queue-ID|Sender)"), "X-{mail_name}-"),
    (re.compile(r"(?<=Queue-ID: )[0-9A-Za-z]{6,}$"), "{id}"),
    (re.compile(r"(?<=^Diagnostic-Code: X-)(?:Postfix|Seawall);"), "{mail_name};"),
    (re.compile(r"(?<=^MAIL FROM:)(<.*> SIZE=)\d+"), r"\1{n}"),
    (re.compile(r"(?<=forwarded as )[0-9A-Za-z]{6,}"), "{id}"),
    (re.compile(r"(?<=^From )(\S+  )[A-Z][a-z]{2} [A-Z][a-z]{2} [ \d]\d \d\d:\d\d:\d\d \d{4}$"), r"\1{date}"),
    (
        re.compile(r"(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun), +\d+ [A-Z][a-z]{2} \d{4} \d\d:\d\d:\d\d [-+]\d{4} \([A-Z]+\)"),
        "{date}",
    ),
    (re.compile(r"(?<=Message-Id: <)(?:\d{14}\.)?[0-9A-Za-z]{6,}(?=@)"), "{message-id}"),
    (re.compile(r"\((?:Postfix|Seawall)\)"), "({mail_name})"),
    (re.compile(r"(?<=ESMTP )(?:Postfix|Seawall)\b"), "{mail_name}"),
    (re.compile(r"\b[0-9A-Za-z]{6,16}\.\d{9,11}/"), "{id}.{time}/"),
    (re.compile(r"(?<=with cipher )\S+ \(\S+ bits\)"), "{cipher}"),
)


def mask(text: str) -> str:
    """The text with everything replaced that differs from run to run or with the program's name."""
    for pattern, stand_in in MASKS:
        text = pattern.sub(stand_in, text)
    return text


def read(path: Path) -> Case:
    """The case of a file. Its name is `TOPIC/CASE`."""
    try:
        case = parse(path.read_text(encoding="utf-8"))
    except CaseTrouble as trouble:
        raise CaseTrouble(f"{path}: {trouble}") from None
    return replace(case, name=f"{path.parent.name}/{path.stem}")


def all_cases(golden: Path = GOLDEN) -> list[Case]:
    """Every case below a folder, by name."""
    return [read(path) for path in sorted(golden.rglob("*.case"))]


def parse(text: str) -> Case:
    """The case that a text describes, without a name."""
    about: list[str] = []
    recorded = ""
    case = Case("")
    mailboxes: dict[str, Expected] = {}
    files: dict[str, str] = {}
    policies: dict[str, str] = {}
    for name, lines in _sections(text):
        plain, difference = _split_difference(name)
        kind, _, rest = plain.partition(" ")
        match kind:
            case "":
                about = [line[2:] for line in lines if line.startswith("# ")]
                recorded = next((line[10:] for line in lines if line.startswith("recorded: ")), "")
            case "main.cf":
                case = replace(case, main_cf="\n".join(lines) + "\n" if lines else "")
            case "master.cf":
                case = replace(case, options=dict(_setting(line) for line in lines if line))
            case "file":
                files[rest] = "".join(f"{line}\n" for line in lines)
            case "zone":
                case = replace(case, zone="".join(f"{line}\n" for line in lines))
            case "policy":
                policies[rest] = "".join(f"{line}\n" for line in lines)
            case "client":
                case = replace(case, client=lines[0])
            case "dialogue":
                case = replace(case, dialogue=tuple(_dialogue(lines)))
            case "mailbox":
                mailboxes[rest] = _merge(mailboxes.get(rest, Expected()), lines, difference)
            case "log":
                case = replace(case, log=_merge(case.log, lines, difference))
            case _:
                raise CaseTrouble(f"no such section: {name}")
    case = replace(case, about=tuple(about), recorded=recorded)
    return replace(case, files=files, policies=policies, mailboxes=mailboxes)


def _sections(text: str) -> Iterator[tuple[str, list[str]]]:
    name = ""
    lines: list[str] = []
    for line in text.splitlines():
        found = SECTION.fullmatch(line)
        if found:
            yield name, lines
            name, lines = found[1], []
        else:
            lines.append(line)
    yield name, lines


def _split_difference(name: str) -> tuple[str, str]:
    found = DIFFERENCE.fullmatch(name)
    return (found[1], found[2]) if found else (name, "")


def _setting(line: str) -> tuple[str, str]:
    name, equals, value = line.partition("=")
    if not equals:
        raise CaseTrouble(f"not a setting: {line}")
    return name.strip(), value.strip()


def _merge(before: Expected, lines: list[str], difference: str) -> Expected:
    if difference:
        return replace(before, seawall=tuple(lines), difference=difference)
    return replace(before, postfix=tuple(lines))


def _dialogue(lines: Iterable[str]) -> Iterator[Exchange]:
    client: list[ClientLine] = []
    said: list[tuple[str, str, str]] = []
    hearing = False
    for line in lines:
        if not line:
            continue
        found = LINE.fullmatch(line)
        if not found:
            raise CaseTrouble(f"not a dialogue line: {line}")
        mark, difference, text = found.groups()
        if mark.startswith("S"):
            said.append((mark, difference or "", text))
            hearing = True
            continue
        if hearing or (client and client[-1].waits and client[-1].mark != "C*"):
            yield _exchange(client, said)
            client, said = [], []
        hearing = False
        client.append(ClientLine(mark, text))
    yield _exchange(client, said)


def _exchange(client: list[ClientLine], said: list[tuple[str, str, str]]) -> Exchange:
    postfix = [entry for entry in said if not entry[1]]
    seawall = [entry for entry in said if entry[1]]
    return Exchange(
        tuple(client), _said(postfix), _said(seawall) if seawall else None, seawall[0][1] if seawall else ""
    )


def _said(entries: list[tuple[str, str, str]]) -> Said:
    lines = tuple(text for mark, _, text in entries if mark == "S")
    return Said(lines, any(mark == "S*" and text == "closed" for mark, _, text in entries))


def format_case(case: Case) -> str:
    """The text of a case; `parse` is the way back."""
    out = [*(f"# {line}" for line in case.about)]
    if case.recorded:
        out.append(f"recorded: {case.recorded}")
    if case.main_cf:
        out += ["== main.cf", *case.main_cf.splitlines()]
    if case.options:
        out += ["== master.cf", *(f"{name} = {value}".rstrip() for name, value in case.options.items())]
    for name, text in case.files.items():
        out += [f"== file {name}", *text.splitlines()]
    if case.zone:
        out += ["== zone", *case.zone.splitlines()]
    for name, text in case.policies.items():
        out += [f"== policy {name}", *text.splitlines()]
    out += ["== client", case.client, "== dialogue"]
    for exchange in case.dialogue:
        out += _format_exchange(exchange)
    for name, expected in case.mailboxes.items():
        out += _format_expected(f"mailbox {name}", expected)
    out += _format_expected("log", case.log)
    return "\n".join(out) + "\n"


def _format_exchange(exchange: Exchange) -> Iterator[str]:
    for line in exchange.client:
        yield f"{line.mark}: {line.text}".rstrip()
    yield from _format_said(exchange.postfix, "")
    if exchange.seawall is not None:
        yield from _format_said(exchange.seawall, f"[seawall {exchange.difference}]")


def _format_said(said: Said, who: str) -> Iterator[str]:
    for line in said.lines:
        yield f"S{who}: {line}".rstrip()
    if said.closes:
        yield f"S*{who}: closed"
    if who and not said.lines and not said.closes:
        yield f"S*{who}: silent"


def _format_expected(name: str, expected: Expected) -> list[str]:
    out = [f"== {name}", *expected.postfix] if expected.postfix else []
    if expected.seawall is not None:
        out += [f"== {name} [seawall {expected.difference}]", *expected.seawall]
    return out
