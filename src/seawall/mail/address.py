"""Mail addresses as text: quoting, splitting, folding, and which names may be a mail domain.

Inside the program an address is in internal form, without quotes (``a b@x``); on the wire and in headers it is in
external form (``"a b"@x``).  Domains are taken at the right-most ``@``, as Postfix does.
"""

from __future__ import annotations

import re

from seawall.mail.network import parse_address

POSTMASTER = "postmaster"
MAILER_DAEMON = "mailer-daemon"
DOUBLE_BOUNCE = "double-bounce"

# Local parts that need no quotes.  RFC 822 dot-string with Postfix's freedom: 8-bit text and most punctuation are atoms.
_DOT_STRING = re.compile(r'[^\x00-\x20\x7f()<>@,;:\\"\[\].]+(?:\.[^\x00-\x20\x7f()<>@,;:\\"\[\].]+)*\Z')
_DOT_STRING_OR_AT = re.compile(r'[^\x00-\x20\x7f()<>,;:\\"\[\].]+(?:\.[^\x00-\x20\x7f()<>,;:\\"\[\].]+)*\Z')
_SPECIAL_822 = re.compile(r'(["\\\r])')
_SPECIAL_821 = re.compile(r'(["\\\r\n])')
_PLAIN_EXTERNAL = re.compile(r'[^"\\]*\Z')
_LABEL = re.compile(r"[A-Za-z0-9_](?:[A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?\Z")
_NOT_NUMERIC = re.compile(r"[A-Za-z_-]")


def _after_route(address: str) -> int:
    """Where the mailbox starts: behind a source route (``@a,@b:``), else 0."""
    return address.find(":") + 1 if address.startswith("@") else 0


def quote_local(address: str, *, expose_at: bool = False, bare: bool = False) -> str:
    """Internal form to external form for headers and logs: the local part is quoted where it is no dot-string.

    `expose_at` leaves ``@`` in the local part alone; `bare` says that there is no domain part at all.
    quote_822_local(3), 8-bit clean.  An empty address becomes ``""``.
    """
    start = _after_route(address)
    end = -1 if bare else address.rfind("@", start)
    if end < 0:
        end = len(address)
    if (_DOT_STRING_OR_AT if expose_at else _DOT_STRING).match(address[start:end]):
        return address
    return address[:start] + '"' + _SPECIAL_822.sub(r"\\\1", address[start:end]) + '"' + address[end:]


def quote_path(address: str) -> str:
    """Internal form to the form of an SMTP path without its brackets.  quote_821_local(3), RFC 5321 §4.1.2.

    The null address stays empty, because ``<>`` is how SMTP writes it.
    """
    if not address:
        return ""
    end = address.rfind("@")
    if end < 0:
        end = len(address)
    if _DOT_STRING.match(address[:end]):
        return address
    return '"' + _SPECIAL_821.sub(r"\\\1", address[:end]) + '"' + address[end:]


def unquote_local(address: str) -> str:
    """External form to internal form: quotes and backslashes of the local part go.  unquote_822_local(3)."""
    if _PLAIN_EXTERNAL.match(address):
        return address
    start = _after_route(address)
    out = [address[:start]]
    quoted = False
    before_domain = -1
    domain = ""
    at = start
    while at < len(address):
        char = address[at]
        if char == '"':
            quoted = not quoted
            at += 1
            continue
        if char == "@" and not quoted:
            before_domain, domain = len(out), address[at:]
        elif char == "\\":
            at += 1
            if at == len(address):
                break
            char = address[at]
        out.append(char)
        at += 1
    if before_domain >= 0:  # what follows the last bare "@" is left as it is
        return "".join(out[:before_domain]) + domain
    return "".join(out)


def split_address(address: str) -> tuple[str, str | None]:
    """(local part, domain) of an internal address, split at the right-most ``@``; domain None where there is none."""
    local, at, domain = address.rpartition("@")
    return (local, domain) if at else (address, None)


def split_extension(
    local: str, delimiters: str, *, owner_request_special: bool = True, double_bounce: str = DOUBLE_BOUNCE
) -> tuple[str, str | None]:
    """(user, extension) at the first of `delimiters`; extension None where the address is not split.  split_addr(3)

    Reserved names stay whole, and so do ``owner-x`` and ``x-request`` where ``-`` delimits and
    owner_request_special says so (postconf(5)).  A split that would leave no user does not happen.
    """
    if not delimiters:
        return local, None
    found = min((at for at in map(local.find, delimiters) if at >= 0), default=-1)
    if found <= 0:
        return local, None
    low = local.lower()
    if low in (POSTMASTER, MAILER_DAEMON) or low == double_bounce.lower():
        return local, None
    if (
        owner_request_special
        and "-" in delimiters
        and (low.startswith("owner-") or (len(low) > 8 and low.endswith("-request")))
    ):
        return local, None
    return local[:found], local[found + 1 :]


def fold(text: str) -> str:
    """The form in which addresses and domains are compared and looked up: letters without case."""
    return text.lower() if text.isascii() else text.casefold()


def is_hostname(name: str) -> bool:
    """True for a name that DNS and mail may carry.  valid_hostname(3): labels to 63, name to 255, ``_`` let in.

    A name of digits and dots alone is an address without its brackets, hence no name.
    """
    if not name or len(name) > 255 or not _NOT_NUMERIC.search(name):
        return False
    return all(_LABEL.match(label) for label in name.split("."))


def is_host_address(text: str) -> bool:
    """True for an IPv4 or IPv6 address without brackets."""
    return parse_address(text) is not None


def literal_address(domain: str) -> str | None:
    """The address inside ``[192.0.2.1]`` or ``[IPv6:2001:db8::1]``; None for anything else.  RFC 5321 §4.1.3"""
    if not (domain.startswith("[") and domain.endswith("]")):
        return None
    inner = domain[1:-1]
    if inner[:5].lower() == "ipv6:":
        inner = inner[5:]
        return inner if ":" in inner and is_host_address(inner) else None
    return inner if ":" not in inner and is_host_address(inner) else None
