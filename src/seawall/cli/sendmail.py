"""sendmail(1): submit a message, with the options that Postfix's sendmail knows."""

from __future__ import annotations

import os
import pwd
import secrets
import socket
import sys
from collections.abc import Sequence
from typing import BinaryIO

import msgspec

from seawall.cli import newaliases, postqueue
from seawall.cli.queue_tool import Fatal, Options, parse_options, places_of, say, settings_of
from seawall.cli.sendmail_session import serve
from seawall.cli.sendmail_text import extract_recipients, parse_list, read_message
from seawall.config.settings import ConfigTrouble, Settings
from seawall.mail.address import quote_path
from seawall.mail.envelope import Notify
from seawall.mail.reply import Reply
from seawall.spool.disk import Disk
from seawall.spool.handing_in import FORMAT, Handed, HandedRecipient, Verdict, checksum, escape, format_handed, is_clean
from seawall.spool.pickup import write_drop
from seawall.spool.places import Places
from seawall.spool.submission import PATIENCE
from seawall.tables.table import TableUnsupported

TOOL = "sendmail"
USAGE = "usage: sendmail [options] [recipient...]"
LETTERS = "A:B:C:F:GILN:O:R:UV:X:b:c:ef:h:imno:p:r:q:tvx"
OPTIONAL = "q"
OK, EX_USAGE, EX_UNAVAILABLE, EX_OSERR, TEMPFAIL = 0, 64, 69, 71, 75
BODIES = {"7BIT": "7BIT", "8BITMIME": "8BITMIME"}
WORDS_OF_NOTIFY = {
    "never": Notify.NEVER,
    "success": Notify.SUCCESS,
    "failure": Notify.FAILURE,
    "delay": Notify.DELAY,
}
MODES = {"m": "mail", "p": "mailq", "i": "newaliases", "d": "daemon", "l": "daemon", "v": "verify", "s": "session"}
"""What follows -b.  Never changed."""
QUEUED = Reply(250, "2.0.0", "Ok")
NOT_WRITTEN = Reply(451, "4.3.0", "Error: queue file write error")


def main(arguments: list[str]) -> int:
    """Run it; its exit code (sysexits(3), 0 only when the message is durable)."""
    try:
        options = parse_options(_separated(arguments), LETTERS, USAGE, optional=OPTIONAL, code=EX_USAGE)
        return _run(options)
    except Fatal as trouble:
        say(TOOL, f"fatal: {trouble}")
        return trouble.code


def _separated(arguments: Sequence[str]) -> list[str]:
    """sendmail's -c is nobody's, ours names the configuration; -C is sendmail's word for it."""
    return ["-c" + word[2:] if word.startswith("-C") else word for word in arguments]


def _run(options: Options) -> int:
    mode = "mail"
    for letter, value in options.given:
        if letter == "b":
            if value not in MODES:
                raise Fatal(f"unsupported: -b{value}", EX_USAGE)
            mode = MODES[value]
        elif letter == "I":
            mode = "newaliases"
        elif letter == "q" and not value[:1].isdigit():
            mode = "flush"
    place = [f"-c{value}" for value in options.values("c")]
    place += [word for value in options.values("root") for word in ("--root", value)]
    if mode == "mailq":
        return postqueue.main(["-p", *place])
    if mode == "newaliases":
        return newaliases.main(place)
    if mode == "flush":
        return _flush(options, place)
    if mode == "daemon":
        raise Fatal("the server is started with `seawall serve`", EX_USAGE)
    if mode == "session":
        return _talk(options)
    return _submit(options, asks=mode == "verify")


def _flush(options: Options, place: list[str]) -> int:
    """-q, -qIid, -qRsite"""
    value = options.values("q")[-1]
    if value.startswith("I"):
        return postqueue.main(["-i", value[1:], *place])
    if value.startswith("R"):
        return postqueue.main(["-s", value[1:], *place])
    return postqueue.main(["-f", *place])


def _submit(options: Options, *, asks: bool) -> int:
    """Hand a message in; where it `asks` (-bv), one of our own about which only a report will be mailed."""
    if asks and options.has("t"):
        raise Fatal(f"{_user()}: -t option cannot be used with -bv", EX_USAGE)
    settings = settings_of(options)
    places = places_of(settings)
    keeps_dots = options.has("i") or "i" in options.values("o")
    limit = _size_limit(settings)
    content = b"" if asks else read_message(_stdin(), ends_at_dot=not keeps_dots, limit=limit)
    if content is None:
        raise Fatal("Message file too big", EX_UNAVAILABLE)
    addresses = [address for word in options.words for address in parse_list(word)]
    if options.has("t"):
        addresses += extract_recipients(content)
        if not addresses:
            raise Fatal(f"{_user()}: No recipient addresses found in message header", TEMPFAIL)
    if not addresses:
        raise Fatal("Recipient addresses must be specified on the command line or via the -t option", EX_USAGE)
    handed = _handed(options, addresses, content)
    if asks:
        content = _question(handed)
        handed = msgspec.structs.replace(handed, size=len(content), checksum=checksum(content), asks=True)
    verdict = _hand_in(places, handed, content)
    if verdict is None:
        _drop(places, handed, content)
    if verdict is None or verdict.code < 300:
        if asks:
            sys.stdout.write(f"Mail Delivery Status Report will be mailed to <{_reported_to(handed)}>.\n")
        return OK
    text = f"{_user()}: {verdict.code} {verdict.status} {verdict.text}"
    raise Fatal(text, TEMPFAIL if verdict.code < 500 else EX_UNAVAILABLE)


def _talk(options: Options) -> int:
    """-bs"""
    settings = settings_of(options)
    places = places_of(settings)

    def hand_in(handed: Handed, content: bytes) -> Reply:
        try:
            verdict = _hand_in(places, handed, content)
            if verdict is None:
                _drop(places, handed, content)
        except Fatal as trouble:
            say(TOOL, f"warning: {trouble}")
            return NOT_WRITTEN
        return QUEUED if verdict is None else Reply(verdict.code, verdict.status, verdict.text)

    try:
        serve(settings, hand_in, _stdin().fileno(), sys.stdout.fileno())
    except (ConfigTrouble, TableUnsupported) as trouble:
        raise Fatal(str(trouble), TEMPFAIL) from trouble
    except BrokenPipeError:
        return OK  # nobody hears us any more
    return OK


def _question(handed: Handed) -> bytes:
    """The message of -bv; only its report will show anything of it.  sendmail(1)"""
    sender = _reported_to(handed)
    to = ",\n\t".join(quote_path(recipient.address) for recipient in handed.recipients)
    head = f"From: {quote_path(sender)}\n" if sender else ""
    return f"{head}Subject: probe\nTo: {to}\n\n".encode("utf-8", "surrogateescape")


def _reported_to(handed: Handed) -> str:
    """Who gets the report of -bv."""
    return _user().partition("(")[0] if handed.sender is None else handed.sender


def _stdin() -> BinaryIO:
    return sys.stdin.buffer


def _user() -> str:
    uid = os.getuid()
    try:
        return f"{pwd.getpwuid(uid).pw_name}({uid})"
    except KeyError:
        return f"unknown({uid})"


def _size_limit(settings: Settings) -> int:
    try:
        return settings.number("message_size_limit")
    except ConfigTrouble as trouble:
        raise Fatal(str(trouble), TEMPFAIL) from trouble


def _handed(options: Options, addresses: Sequence[str], content: bytes) -> Handed:
    """The submission's first line, from the options."""
    sender: str | None = None
    for value in options.values("f") + options.values("r"):
        found = parse_list(value)
        if len(found) > 1:
            raise Fatal(f"-f option specified malformed sender: {value}", EX_USAGE)
        sender = found[0] if found else ""
    bad = [address for address in [*addresses, sender or ""] if not is_clean(address)]
    if bad:
        raise Fatal(f"address is not UTF-8: {escape(bad[0])}", EX_USAGE)
    notify = _notify(options.values("N"))
    return Handed(
        format=FORMAT,
        recipients=tuple(HandedRecipient(address, notify) for address in dict.fromkeys(addresses)),
        size=len(content),
        checksum=checksum(content),
        sender=sender,
        full_name=escape((options.values("F") or (_full_name(),))[-1]),
        body=_body(options),
        ret=_ret(options.values("R")),
        envid=escape((options.values("V") or ("",))[-1]),
        smtputf8=any(not address.isascii() for address in [*addresses, sender or ""]),
    )


def _full_name() -> str:
    """$NAME, or the account's; sendmail(1) ENVIRONMENT."""
    name = os.environ.get("NAME")
    if name is not None:
        return name
    try:
        account = pwd.getpwuid(os.getuid())
    except KeyError:
        return ""
    return account.pw_gecos.partition(",")[0].replace("&", account.pw_name.capitalize())


def _notify(values: Sequence[str]) -> int:
    """-N never, or a list of success, failure, delay."""
    bits = Notify.DEFAULT
    for value in values[-1:]:
        for word in value.lower().replace(" ", "").split(","):
            if word not in WORDS_OF_NOTIFY:
                raise Fatal("bad -N option value -- specify 'never' or 'failure,delay,success'", EX_USAGE)
            bits |= WORDS_OF_NOTIFY[word]
    if Notify.NEVER in bits and bits != Notify.NEVER:
        raise Fatal("bad -N option value -- specify 'never' or 'failure,delay,success'", EX_USAGE)
    return bits.value


def _ret(values: Sequence[str]) -> str:
    word = values[-1].upper() if values else ""
    if word not in ("", "FULL", "HDRS"):
        raise Fatal("bad -R option value -- specify 'full' or 'hdrs'", EX_USAGE)
    return word


def _body(options: Options) -> str:
    body = ""
    for letter, value in options.given:
        if letter == "B":
            if value not in BODIES:
                raise Fatal("specify: 7BIT or 8BITMIME", EX_USAGE)
            body = BODIES[value]
        elif letter == "o" and value in ("7", "8"):
            body = "7BIT" if value == "7" else "8BITMIME"
    return body


def _hand_in(places: Places, handed: Handed, content: bytes) -> Verdict | None:
    """Over the socket; None where no server listens.  A server that breaks off leaves it unknown: temporary trouble."""
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    connection.settimeout(PATIENCE)
    try:
        try:
            connection.connect(places.submit_socket)
        except OSError:
            return None
        connection.sendall(format_handed(handed) + content)
        connection.shutdown(socket.SHUT_WR)
        with connection.makefile("rb") as stream:
            return msgspec.json.decode(stream.readline(1 << 16), type=Verdict)
    except (OSError, msgspec.MsgspecError) as trouble:
        raise Fatal(f"{_user()}: the mail system broke off: {trouble}", TEMPFAIL) from trouble
    finally:
        connection.close()


def _drop(places: Places, handed: Handed, content: bytes) -> None:
    """The server is down: into the maildrop."""
    say(TOOL, "warning: the Seawall mail system is down; the message waits in the maildrop")
    try:
        write_drop(Disk(), places, secrets.token_hex(16), format_handed(handed), content)
    except OSError as trouble:
        raise Fatal(f"{_user()}: cannot write to {places.maildrop}: {trouble.strerror}", TEMPFAIL) from trouble
