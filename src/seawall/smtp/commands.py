"""Every command that smtpd(8) knows: how its words are read, and what is said of them.

A reader gets the engine and the words and gives the event, or `Refused`.  Replies are Postfix's.  RFC 5321 §4.1.1
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Protocol

from seawall.mail.address import is_hostname, literal_address
from seawall.mail.reply import Reply
from seawall.mail.rfc822 import BadPath, parse_path
from seawall.smtp.events import (
    Auth,
    Bdat,
    Command,
    Data,
    Ehlo,
    Etrn,
    Helo,
    Help,
    Mail,
    Noop,
    Note,
    Quit,
    Rcpt,
    Refused,
    Rset,
    StartTls,
    Vrfy,
    XClient,
    XForward,
)
from seawall.smtp.grammar import (
    BAD_RECIPIENT,
    BAD_SENDER,
    Offer,
    Words,
    decode_xtext,
    neuter,
    parse_mail_parameters,
    parse_rcpt_parameters,
    printable,
)
from seawall.smtp.rules import Rules
from seawall.smtp.states import OUT_OF_ORDER, State

_LARGEST = (1 << 63) - 1


class Standing(Protocol):
    """What a reader may ask of the engine."""

    rules: Rules
    state: State
    discarded: frozenset[str]
    helo: str | None
    line: str
    is_encrypted: bool
    is_authenticated: bool
    may_verp: bool
    may_xclient: bool
    may_xforward: bool
    size: int


Reader = Callable[[Standing, Words], Command]

_HELO_FIRST = Reply(503, "5.5.1", "Error: send HELO/EHLO first")
_NOT_IMPLEMENTED = Reply(502, "5.5.1", "Error: command not implemented")
_TOO_LARGE = Reply(552, "5.3.4", "Message size exceeds fixed limit")
_DECLARE_UTF8 = Reply(553, "5.6.7", "Must declare SMTPUTF8 to send unicode address")
_UNAUTHORIZED = Reply(550, "5.7.0", "Error: insufficient authorization")
_VALUE_LIMIT = 255  # bytes of one XCLIENT or XFORWARD value, smtpd(8)


def _refuse(command: str, code: int, status: str, text: str) -> Refused:
    return Refused(command, Reply(code, status, text))


def _disorder(engine: Standing, command: str) -> Refused | None:
    reply = OUT_OF_ORDER[engine.state].get(command)
    return None if reply is None else Refused(command, reply)


def _helo(engine: Standing, words: Words) -> Command:
    if len(words.words) < 2:
        return _refuse("HELO", 501, "", "Syntax: HELO hostname")
    raw = " ".join(words.words[1:])
    return Helo(neuter(raw, utf8=engine.rules.smtputf8), raw)


def _ehlo(engine: Standing, words: Words) -> Command:
    if len(words.words) < 2:
        return _refuse("EHLO", 501, "", "Syntax: EHLO hostname")
    raw = " ".join(words.words[1:])
    return Ehlo(neuter(raw, utf8=engine.rules.smtputf8), raw)


def _sasl_is_open(engine: Standing) -> bool:
    return engine.rules.sasl and (engine.is_encrypted or not engine.rules.auth_needs_tls)


def _offer(engine: Standing) -> Offer:
    rules = engine.rules
    return Offer(
        dsn="DSN" not in engine.discarded,
        smtputf8=rules.smtputf8 and "SMTPUTF8" not in engine.discarded,
        verp=engine.may_verp,
        verp_filter=rules.verp_filter,
        default_verp=rules.default_verp,
    )


def _mail(engine: Standing, words: Words) -> Command:
    if engine.helo is None and engine.rules.helo_required:
        return Refused("MAIL", _HELO_FIRST)
    disorder = _disorder(engine, "MAIL")
    if disorder is not None:
        return disorder
    given = words.words
    if len(given) < 3 or given[1].lower() != "from:":
        return _refuse("MAIL", 501, "5.5.4", "Syntax: MAIL FROM:<address>")
    if 2 in words.broken:
        return Refused("MAIL", BAD_SENDER)
    sender = words.address
    if not sender:
        path = parse_path(given[2], strict=engine.rules.strict_envelopes)
        if isinstance(path, BadPath):
            return Refused("MAIL", BAD_SENDER, note=Note.BAD_ADDRESS, sample=printable(given[2]))
        sender = path.address
    if len(given) == 3 and (not engine.rules.strict_smtputf8 or sender.isascii()):
        return Mail(sender, given[2])
    return _mail_with_parameters(engine, given, sender)


def _mail_with_parameters(engine: Standing, given: tuple[str, ...], sender: str) -> Command:
    parameters = parse_mail_parameters(given[3:], _offer(engine))
    if isinstance(parameters, Reply):
        return Refused("MAIL", parameters)
    limit = engine.rules.message_size_limit
    if limit and parameters.size > limit:
        return Refused("MAIL", _TOO_LARGE, note=Note.REJECT, sample=sender)
    if parameters.verp and not sender:
        return _refuse("MAIL", 503, "5.5.4", "Error: XVERP requires non-null sender")
    if engine.rules.strict_smtputf8 and not parameters.smtputf8 and not sender.isascii():
        return Refused("MAIL", _DECLARE_UTF8)
    return Mail(
        sender,
        given[2],
        size=parameters.size,
        body=parameters.body,
        smtputf8=parameters.smtputf8,
        ret=parameters.ret,
        envid=parameters.envid,
        auth=parameters.auth,
        verp=parameters.verp,
    )


def _rcpt(engine: Standing, words: Words) -> Command:
    disorder = _disorder(engine, "RCPT")
    if disorder is not None:
        return disorder
    given = words.words
    if len(given) < 3 or given[1].lower() != "to:":
        return _refuse("RCPT", 501, "5.5.4", "Syntax: RCPT TO:<address>")
    if 2 in words.broken:
        return Refused("RCPT", BAD_RECIPIENT)
    recipient = words.address
    if not recipient:
        path = parse_path(given[2], strict=engine.rules.strict_envelopes, allow_empty=False)
        if isinstance(path, BadPath):
            return Refused("RCPT", BAD_RECIPIENT, note=Note.BAD_ADDRESS, sample=printable(given[2]))
        recipient = path.address
    if len(given) == 3:
        return Rcpt(recipient, given[2])
    parameters = parse_rcpt_parameters(given[3:], _offer(engine))
    if isinstance(parameters, Reply):
        return Refused("RCPT", parameters)
    return Rcpt(recipient, given[2], notify=parameters.notify, orcpt=parameters.orcpt)


def _data(engine: Standing, words: Words) -> Command:
    disorder = _disorder(engine, "DATA")
    if disorder is not None:
        return disorder
    if len(words.words) != 1:
        return _refuse("DATA", 501, "5.5.4", "Syntax: DATA")
    return DATA


def _bdat(engine: Standing, words: Words) -> Command:
    """What follows a BDAT that cannot be understood would be taken for commands, so that ends the session."""
    if "CHUNKING" in engine.discarded:
        return Refused("BDAT", Reply(521, "5.5.1", "Error: command not implemented"), hangs_up=True)
    given = words.words
    is_last = len(given) == 3
    size = given[1] if len(given) in (2, 3) else ""
    is_number = size.isascii() and size.isdigit() and len(size) < 20
    if not is_number or int(size) >= 1 << 63 or (is_last and given[2].upper() != "LAST"):
        reply = Reply(521, "5.5.4", "Syntax: BDAT count [LAST]")
        return Refused("BDAT", reply, hangs_up=True, note=Note.BDAT_SYNTAX, sample=printable(engine.line)[:100])
    return Bdat(int(size), is_last, engine.state is State.RCPT)


def _rset(engine: Standing, words: Words) -> Command:
    return RSET if len(words.words) == 1 else _refuse("RSET", 501, "5.5.4", "Syntax: RSET")


def _noop(engine: Standing, words: Words) -> Command:
    return NOOP


def _vrfy(engine: Standing, words: Words) -> Command:
    rules = engine.rules
    if rules.disable_vrfy:
        return _refuse("VRFY", 502, "5.5.1", "VRFY command is disabled")
    given = words.words[1:]
    smtputf8 = False
    if rules.smtputf8 and "SMTPUTF8" not in engine.discarded and given and given[-1].upper() == "SMTPUTF8":
        given, smtputf8 = given[:-1], True
    if not given:
        return _refuse("VRFY", 501, "5.5.4", "Syntax: VRFY address" + (" [SMTPUTF8]" if rules.smtputf8 else ""))
    argument = " ".join(given)
    path = parse_path(argument, allow_empty=False)
    if isinstance(path, BadPath):
        return Refused("VRFY", BAD_RECIPIENT, note=Note.BAD_ADDRESS, sample=printable(argument))
    if rules.strict_smtputf8 and not smtputf8 and not path.address.isascii():
        return Refused("VRFY", _DECLARE_UTF8)
    return Vrfy(path.address, argument, smtputf8)


def _etrn(engine: Standing, words: Words) -> Command:
    if engine.helo is None and engine.rules.helo_required:
        return _refuse("ETRN", 503, "", "Error: send HELO/EHLO first")
    disorder = _disorder(engine, "ETRN")
    if disorder is not None:
        return disorder
    if len(words.words) != 2:
        return _refuse("ETRN", 500, "", "Syntax: ETRN domain")
    domain = words.words[1]
    if domain[:1] in ("@", "#"):
        domain = domain[1:]
    if not is_hostname(domain) and literal_address(domain) is None:
        return _refuse("ETRN", 501, "", "Error: invalid parameter syntax")
    return Etrn(domain)


def _quit(engine: Standing, words: Words) -> Command:
    return QUIT


def _help(engine: Standing, words: Words) -> Command:
    return HELP


def _starttls(engine: Standing, words: Words) -> Command:
    if len(words.words) != 1:
        return _refuse("STARTTLS", 501, "5.5.4", "Syntax: STARTTLS")
    if engine.is_encrypted:
        return _refuse("STARTTLS", 554, "5.5.1", "Error: TLS already active")
    if not engine.rules.offers_tls or "STARTTLS" in engine.discarded:
        return Refused("STARTTLS", _NOT_IMPLEMENTED)
    return STARTTLS


def _auth(engine: Standing, words: Words) -> Command:
    if engine.helo is None and engine.rules.helo_required:
        return Refused("AUTH", _HELO_FIRST)
    if not _sasl_is_open(engine) or "AUTH" in engine.discarded:
        return _refuse("AUTH", 503, "5.5.1", "Error: authentication not enabled")
    disorder = _disorder(engine, "AUTH")
    if disorder is not None:
        return disorder
    if engine.is_authenticated:
        return _refuse("AUTH", 503, "5.5.1", "Error: already authenticated")
    if not 2 <= len(words.words) <= 3:
        return _refuse("AUTH", 501, "5.5.4", "Syntax: AUTH mechanism")
    initial = words.words[2] if len(words.words) == 3 else None
    if initial is not None and len(initial) > engine.rules.response_limit:
        return _refuse("AUTH", 500, "5.5.6", "SASL response limit exceeded")
    return Auth(words.words[1], initial)


def _attributes(command: str, words: Words) -> tuple[tuple[str, str], ...] | Refused:
    """``NAME=value`` words, decoded.  Postfix before 2.3 did not encode, so what cannot be decoded is taken as it is."""
    found: list[tuple[str, str]] = []
    for word in words.words[1:]:
        name, _, value = word.partition("=")
        if not value:
            return _refuse(command, 501, "5.5.4", "Error: attribute=value expected")
        if len(value) > _VALUE_LIMIT:
            return _refuse(command, 501, "5.5.4", "Error: attribute value too long")
        decoded = decode_xtext(value)
        found.append((name, printable(value if decoded is None else decoded)))
    return tuple(found)


def _named_attributes(
    engine: Standing, words: Words, command: str, allowed: bool
) -> tuple[tuple[str, str], ...] | Refused:
    disorder = _disorder(engine, command)
    if disorder is not None:
        return disorder
    if len(words.words) < 2:
        return _refuse(command, 501, "5.5.4", f"Syntax: {command} attribute=value...")
    if not allowed:
        return Refused(command, _UNAUTHORIZED)
    return _attributes(command, words)


def _xclient(engine: Standing, words: Words) -> Command:
    attributes = _named_attributes(engine, words, "XCLIENT", engine.may_xclient)
    return attributes if isinstance(attributes, Refused) else XClient(attributes)


def _xforward(engine: Standing, words: Words) -> Command:
    attributes = _named_attributes(engine, words, "XFORWARD", engine.may_xforward)
    return attributes if isinstance(attributes, Refused) else XForward(attributes)


DATA = Data()
RSET = Rset()
NOOP = Noop()
LISTED_NOOP = Noop(is_listed=True)
QUIT = Quit()
HELP = Help()
STARTTLS = StartTls()


@dataclass(frozen=True, slots=True)
class Verb:
    """One command.

    `is_limited`: repeating it counts as junk.  `is_open`: allowed before STARTTLS where TLS is required.
    `ends_group`: must be the last of a pipelined group (RFC 2920 §3.1).
    """

    name: str
    read: Reader
    is_limited: bool = False
    is_open: bool = False
    ends_group: bool = False


VERBS: Mapping[str, Verb] = MappingProxyType(
    {
        verb.name: verb
        for verb in (
            Verb("HELO", _helo, is_limited=True, is_open=True, ends_group=True),
            Verb("EHLO", _ehlo, is_limited=True, is_open=True, ends_group=True),
            Verb("XCLIENT", _xclient, is_open=True),
            Verb("XFORWARD", _xforward),
            Verb("STARTTLS", _starttls, is_open=True),
            Verb("AUTH", _auth),
            Verb("MAIL", _mail),
            Verb("RCPT", _rcpt),
            Verb("DATA", _data, ends_group=True),
            Verb("BDAT", _bdat),
            Verb("RSET", _rset, is_limited=True),
            Verb("NOOP", _noop, is_limited=True, is_open=True, ends_group=True),
            Verb("VRFY", _vrfy, is_limited=True, ends_group=True),
            Verb("ETRN", _etrn, is_limited=True),
            Verb("QUIT", _quit, is_open=True),
            Verb("HELP", _help, is_open=True),
        )
    }
)
"""In the order in which the disconnect line counts them."""

COMMAND_LIST = " ".join(sorted(VERBS))
UNKNOWN = "unknown"
"""Stands for all commands that are none."""
