"""The words of a command line: how smtpd(8) cuts it, and the values of MAIL and RCPT parameters (RFC 5321 §4.1.2)."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from types import MappingProxyType

import msgspec
from msgspec.structs import replace

from seawall.mail.address import is_hostname, literal_address, split_address
from seawall.mail.envelope import Body, Notify, Ret
from seawall.mail.reply import Reply

BLANKS = " \t\n\v\f\r"
# A word of an address that needs no quotes, as mail.rfc822.parse_path knows it.
_ATOM = r"[A-Za-z0-9#$&'*+/=?^_`{}~-]+"
_PLAIN = re.compile(
    r"[ \t]*([Mm][Aa][Ii][Ll]|[Rr][Cc][Pp][Tt])[ \t]+([Ff][Rr][Oo][Mm]:|[Tt][Oo]:)[ \t]*"
    rf"(<(?:({_ATOM}(?:\.{_ATOM})*@[A-Za-z0-9-]+(?:\.[A-Za-z0-9-]+)*)>|[^<>\"\\\s]*>))"
    r'((?:[ \t]+[^<>"\\:\s]+)*)[ \t]*\Z'
)
_HEX = re.compile(r"\+([0-9A-Fa-f]{2})|\+")
_UTF8_ESCAPE = re.compile(r"\\x\{([0-9A-Fa-f]{1,6})\}|\\")
# What most addresses look like; whatever is not so simple is looked at piece by piece.
_PLAIN_ADDRESS = re.compile(
    r"[A-Za-z0-9_.+=][A-Za-z0-9_.+=-]*@(?=[0-9.-]*[A-Za-z_])(?:[A-Za-z0-9_][A-Za-z0-9_-]{0,61}[A-Za-z0-9_]\.)*[A-Za-z0-9_][A-Za-z0-9_-]{0,61}[A-Za-z0-9_]\Z"
)
_LARGEST = (1 << 63) - 1

BAD_SENDER = Reply(501, "5.1.7", "Bad sender address syntax")
BAD_RECIPIENT = Reply(501, "5.1.3", "Bad recipient address syntax")


_NOTHING_BROKEN: frozenset[int] = frozenset()


class Words(msgspec.Struct, frozen=True):
    """A command line cut at blanks.  `broken` holds the indexes of words with a quote or bracket that never closes.

    `address` is that of the third word, where it is ``<local@domain>`` and nothing in it needs a closer look; else empty.
    """

    words: tuple[str, ...]
    broken: frozenset[int] = _NOTHING_BROKEN
    address: str = ""


def split_command(line: str) -> Words:
    """Cut a line as smtpd_token(3) does: blanks inside ``<>`` and quotes do not cut, ``FROM:`` and ``TO:`` end a word."""
    plain = _PLAIN.match(line)
    if plain is not None:
        verb, preposition, path, address, rest = plain.groups("")
        given = (verb, preposition, path, *rest.split()) if rest else (verb, preposition, path)
        return Words(given, _NOTHING_BROKEN, address)
    if '"' not in line and "<" not in line and "\\" not in line and ":" not in line and line.isascii():
        return Words(tuple(line.split()))
    return _split_slowly(line)


def _split_slowly(line: str) -> Words:
    words: list[str] = []
    broken: set[int] = set()
    word: list[str] = []
    at, length = 0, len(line)
    while at < length:
        mark = line[at]
        at += 1
        if mark in BLANKS:
            if word:
                words.append("".join(word))
                word = []
        elif mark in '<"':
            end, is_closed = _closing(line, at, ">" if mark == "<" else '"')
            word.append(line[at - 1 : end])
            at = end
            if not is_closed:
                broken.add(len(words))
        elif mark == "\\":
            word.append(line[at - 1 : at + 1])
            at += 1
        else:
            word.append(mark)
            if mark == ":" and "".join(word).lower() in ("to:", "from:"):
                words.append("".join(word))
                word = []
    if word:
        words.append("".join(word))
    return Words(tuple(words), frozenset(broken))


def _closing(line: str, at: int, last: str) -> tuple[int, bool]:
    """Behind the mark that closes what was opened before `at`; quotes stand within brackets, brackets nest."""
    wanted = [last]
    while at < len(line):
        mark = line[at]
        at += 1
        if mark == "\\":
            if at == len(line):
                break
            at += 1
        elif mark == wanted[-1]:
            wanted.pop()
            if not wanted:
                return at, True
        elif mark == '"':
            wanted.append('"')
        elif mark == "<" and wanted[-1] == ">":
            wanted.append(">")
    return at, False


def decode_xtext(text: str) -> str | None:
    """RFC 3461 §4 xtext; None where it is malformed.  ``+00`` is malformed too: no text of ours has a NUL."""
    if "+" not in text:
        return text
    octets = bytearray()
    at = 0
    for found in _HEX.finditer(text):
        digits = found.group(1)
        if digits is None or digits == "00":
            return None
        octets += text[at : found.start()].encode("utf-8", "surrogateescape")
        octets.append(int(digits, 16))
        at = found.end()
    octets += text[at:].encode("utf-8", "surrogateescape")
    return octets.decode("utf-8", "surrogateescape")


def _decode_utf8_xtext(text: str) -> str | None:
    """The address of ``ORCPT=utf-8;``: ``\\x{HEX}`` beside xtext.  RFC 6533 §3"""
    parts: list[str] = []
    at = 0
    for found in _UTF8_ESCAPE.finditer(text):
        digits = found.group(1)
        if digits is None or not 0 < int(digits, 16) < 0x110000 or 0xD800 <= int(digits, 16) < 0xE000:
            return None
        parts += (text[at : found.start()], chr(int(digits, 16)))
        at = found.end()
    return decode_xtext("".join((*parts, text[at:])))


def is_plain(address: str) -> bool:
    """True for what most addresses look like: nothing in it needs a closer look, and its domain is a host name."""
    return _PLAIN_ADDRESS.match(address) is not None and len(address) < 256


def is_malformed(address: str, *, may_begin_with_minus: bool = False, smtputf8: bool = False) -> bool:
    """True where no such address can be routed: the domain is no name and no address literal.  smtpd_check_addr(3)

    The rest of what routing knows (tables, rewriting) has no part in this.  One dot at the end is let pass.
    """
    if is_plain(address):
        return False
    if address.startswith("-") and not may_begin_with_minus:
        return True
    local, domain = split_address(address)
    if domain is None:
        return False
    if domain.endswith(".") and domain != ".":
        domain = domain[:-1]
    if not local and not domain:
        return True
    if smtputf8 and not domain.isascii():
        return not all(0 < len(label) <= 63 for label in domain.split("."))
    return not is_hostname(domain) and literal_address(domain) is None


class Offer(msgspec.Struct, frozen=True):
    """Which parameters this session may use."""

    dsn: bool = True
    smtputf8: bool = True
    verp: bool = False
    verp_filter: str = "-=+"
    default_verp: str = "+="


class MailParameters(msgspec.Struct, frozen=True):
    """What stands behind the address of MAIL FROM."""

    size: int = 0
    body: Body = Body.UNSTATED
    smtputf8: bool = False
    ret: Ret = Ret.DEFAULT
    envid: str = ""
    auth: str | None = None
    verp: str = ""


class RcptParameters(msgspec.Struct, frozen=True):
    """What stands behind the address of RCPT TO."""

    notify: int = 0
    orcpt: str = ""


NO_MAIL_PARAMETERS = MailParameters()
NO_RCPT_PARAMETERS = RcptParameters()
_NOT_SUPPORTED = Reply(555, "5.5.4", "Unsupported option")
_NO_DSN = Reply(501, "5.7.1", "DSN support is disabled")


def _unsupported(word: str) -> Reply:
    return Reply(555, "5.5.4", f"Unsupported option: {word}")


def _size(value: str, given: MailParameters, offer: Offer) -> MailParameters | Reply:
    """RFC 1870 §6."""
    if not (value.isascii() and value.isdigit()):
        return Reply(501, "5.5.4", "Bad message size syntax")
    if len(value) > 30 or int(value) > _LARGEST:
        return Reply(552, "5.3.4", "Message size exceeds file system imposed limit")
    return replace(given, size=int(value))


def _body(value: str, given: MailParameters, offer: Offer) -> MailParameters | Reply:
    """RFC 6152."""
    word = value.upper()
    if word not in (Body.SEVEN_BIT.value, Body.EIGHT_BIT.value):
        return _NOT_SUPPORTED
    return replace(given, body=Body(word))


def _ret(value: str, given: MailParameters, offer: Offer) -> MailParameters | Reply:
    """RFC 3461 §4.3."""
    if not offer.dsn:
        return _NO_DSN
    word = value.upper()
    if given.ret is not Ret.DEFAULT or word not in ("FULL", "HDRS"):
        return Reply(501, "5.5.4", "Bad RET parameter syntax")
    return replace(given, ret=Ret(word))


def _envid(value: str, given: MailParameters, offer: Offer) -> MailParameters | Reply:
    """RFC 3461 §4.4."""
    if not offer.dsn:
        return _NO_DSN
    decoded = decode_xtext(value)
    if given.envid or not decoded or not all(" " <= mark <= "~" for mark in decoded):
        return Reply(501, "5.5.4", "Bad ENVID parameter syntax")
    return replace(given, envid=decoded)


def _auth(value: str, given: MailParameters, offer: Offer) -> MailParameters | Reply:
    """RFC 4954 §5; ``<>`` says that the sender is unknown."""
    if given.auth:
        return Reply(503, "5.5.4", "Error: multiple AUTH= options")
    return replace(given, auth="" if value == "<>" else printable(value))


MailParameter = Callable[[str, MailParameters, Offer], MailParameters | Reply]
MAIL_PARAMETERS: Mapping[str, MailParameter] = MappingProxyType(
    {"BODY": _body, "SIZE": _size, "AUTH": _auth, "RET": _ret, "ENVID": _envid}
)


def _verp(word: str, given: MailParameters, offer: Offer) -> MailParameters | Reply:
    """``XVERP`` or ``XVERP=+=``, for smtpd_authorized_verp_clients.  VERP_README"""
    _, equals, delimiters = word.partition("=")
    if not equals:
        return replace(given, verp=offer.default_verp)
    if len(delimiters) != 2 or not all(mark in offer.verp_filter for mark in delimiters):
        return Reply(501, "5.5.4", f"Error: XVERP needs two characters from {offer.verp_filter}")
    return replace(given, verp=delimiters)


def parse_mail_parameters(words: tuple[str, ...], offer: Offer) -> MailParameters | Reply:
    """The words behind the address; the first that is wrong gives the reply."""
    given: MailParameters | Reply = NO_MAIL_PARAMETERS
    for word in words:
        if isinstance(given, Reply):
            return given
        name, equals, value = word.partition("=")
        name = name.upper()
        parameter = MAIL_PARAMETERS.get(name) if equals else None
        if parameter is not None:
            given = parameter(value, given, offer)
            if given is _NOT_SUPPORTED:
                return _unsupported(word)
        elif name == "SMTPUTF8" and not equals and offer.smtputf8:
            given = replace(given, smtputf8=True)
        elif name == "XVERP" and offer.verp:
            given = _verp(word, given, offer)
        else:
            given = _unsupported(word)
    return given


_NOTIFY: Mapping[str, Notify] = MappingProxyType({each.name or "": each for each in Notify})


def _notify(value: str) -> int:
    """The number of a `Notify`, 0 where the words are wrong.  RFC 3461 §4.1: NEVER stands alone."""
    given = Notify.DEFAULT
    for word in value.upper().split(","):
        flag = _NOTIFY.get(word)
        if not flag:
            return 0
        given |= flag
    if Notify.NEVER in given and given is not Notify.NEVER:
        return 0
    return given.value


def _orcpt(value: str) -> str:
    """``type;address`` decoded, empty where it is malformed.  RFC 3461 §4.2"""
    kind, semicolon, coded = value.partition(";")
    if not semicolon or not kind:
        return ""
    address = _decode_utf8_xtext(coded) if kind.lower() == "utf-8" else decode_xtext(coded)
    return "" if address is None else f"{kind};{address}"


def parse_rcpt_parameters(words: tuple[str, ...], offer: Offer) -> RcptParameters | Reply:
    """The words behind the address; the first that is wrong gives the reply."""
    notify, orcpt = 0, ""
    for word in words:
        name, equals, value = word.partition("=")
        name = name.upper()
        if name not in ("NOTIFY", "ORCPT") or not equals:
            return _unsupported(word)
        if not offer.dsn:
            return _NO_DSN
        if name == "NOTIFY":
            if notify or not (notify := _notify(value)):
                return Reply(501, "5.5.4", "Error: Bad NOTIFY parameter syntax")
        elif orcpt or not (orcpt := _orcpt(value)):
            return Reply(501, "5.5.4", "Error: Bad ORCPT parameter syntax")
    return RcptParameters(notify, orcpt)


def printable(text: str, *, utf8: bool = True) -> str:
    """`text` with every control and undecodable byte replaced by ``?``; without `utf8`, every byte beyond ASCII.  printable(3)"""
    if text.isascii():
        return text if text.isprintable() else _UNPRINTABLE.sub("?", text)
    if utf8:
        return _UNPRINTABLE.sub("?", text)
    octets = text.encode("utf-8", "surrogateescape").decode("latin-1")
    return _NOT_ASCII.sub("?", octets)


_UNPRINTABLE = re.compile(r"[\x00-\x1f\x7f-\x9f\ud800-\udfff]")
_NOT_ASCII = re.compile(r"[^ -~]")
_NEUTERED = str.maketrans(dict.fromkeys(' <>()\\";@', "?"))


def neuter(text: str, *, utf8: bool = True) -> str:
    """`text` without what could mislead the reader of a header.  smtpd(8) NEUTER_CHARACTERS"""
    return printable(text, utf8=utf8).translate(_NEUTERED)


def escape(text: bytes) -> str:
    """Bytes for the log with C escapes, as escape(3) writes them."""
    return "".join(_ESCAPES.get(octet) or (chr(octet) if 32 <= octet < 127 else f"\\{octet:03o}") for octet in text)


_ESCAPES: Mapping[int, str] = MappingProxyType(
    {7: "\\a", 8: "\\b", 12: "\\f", 10: "\\n", 13: "\\r", 9: "\\t", 11: "\\v", 92: "\\\\"}
)
