"""The Received: header that we put before a message, and the date in our zone.  smtpd(8), pickup(8), RFC 5321 §4.4"""

from __future__ import annotations

import re
import time
from functools import lru_cache

from seawall.mail.address import quote_local
from seawall.mail.dates import format_date
from seawall.mail.envelope import Origin, TlsFacts

_NOT_IN_HELO = re.compile(r'[\x00-\x20\x7f<>()\\";:@]')
_NOT_IN_COMMENT = re.compile(r"[()\\\x00-\x1f\x7f]")


def local_date(at: float) -> str:
    """`at`, seconds since the epoch, as a header writes it in this host's zone."""
    return _date_of_second(int(at))


@lru_cache(maxsize=4)
def _date_of_second(at: int) -> str:
    """The same for all messages of a second."""
    zone = time.localtime(at)
    return format_date(at, zone.tm_gmtoff, zone.tm_zone)


def rfc_address(address: str) -> str:
    """A client's address as Received: shows it: IPv6 with its prefix.  RFC 5321 §4.1.3"""
    return f"IPv6:{address}" if ":" in address else address


class ReceivedHeaders:
    """What a configuration says about our Received: headers."""

    def __init__(
        self,
        hostname: str,
        mail_name: str,
        *,
        tls_header: bool = False,
        ask_certificate: bool = False,
        sasl_header: bool = False,
    ) -> None:
        self._by = f"{hostname} ({mail_name})"
        self._tls_header = tls_header
        self._ask_certificate = ask_certificate
        self._sasl_header = sasl_header

    def header(self, origin: Origin, queue_id: str, at: float, recipient: str = "") -> str:
        """The header with its final LF.  `recipient`, internal form, where there is but one to name."""
        date = local_date(at)
        if not origin.client_address:
            by = f", from {origin.submitted_by}" if origin.submitted_by else ""
            return f"Received: by {self._by[:-1]}{by})\n\tid {queue_id}; {date}\n"
        name = origin.client_name or "unknown"
        helo = _NOT_IN_HELO.sub("?", origin.helo) if origin.helo else name
        lines = [f"Received: from {helo} ({name} [{rfc_address(origin.client_address)}])"]
        if origin.tls is not None and self._tls_header:
            lines += self._tls_lines(origin.tls)
        if origin.sasl_username and self._sasl_header:
            lines.append(f"\t(Authenticated sender: {_comment(origin.sasl_username)})")
        by = f"\tby {self._by} with {origin.protocol or 'SMTP'} id {queue_id}"
        if recipient:
            lines += [by, f"\tfor <{quote_local(recipient)}>; {date}"]
        else:
            lines += [by + ";", f"\t{date}"]
        return "\n".join(lines) + "\n"

    def _tls_lines(self, tls: TlsFacts) -> list[str]:
        """How the session was encrypted.  postconf(5) smtpd_tls_received_header"""
        lines = [f"\t(using {tls.protocol} with cipher {tls.cipher} ({tls.bits}/{tls.algorithm_bits} bits))"]
        if tls.peer_subject:
            state = "verified OK" if tls.peer_trusted else "not verified"
            subject, issuer = _comment(tls.peer_subject), _comment(tls.peer_issuer)
            lines.append(f'\t(Client CN "{subject}", Issuer "{issuer}" ({state}))')
        elif self._ask_certificate:
            lines.append("\t(Client did not present a certificate)")
        else:
            lines.append("\t(No client certificate requested)")
        return lines


def _comment(text: str) -> str:
    """`text` for inside a comment: what could end it becomes ``?``.  comment_sanitize()"""
    return _NOT_IN_COMMENT.sub("?", text)
