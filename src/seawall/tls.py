"""TLS above a plain connection: contexts out of a configuration, and one side of a session as bytes in and bytes out.

postconf(5) smtpd_tls_*, RFC 3207, RFC 8314.  No sockets in here: whoever owns the connection carries the bytes.
What Python's ssl module lacks is docs/differences.md D-5 and D-16.
"""

from __future__ import annotations

import hashlib
import ssl
import warnings
from collections.abc import Mapping
from types import MappingProxyType

from seawall.config.settings import Settings
from seawall.mail.envelope import TlsFacts

LARGEST_RECORD = 1 << 16
"""Bytes that are asked for at once; a TLS record has at most 16 KiB.  RFC 8446 §5.1"""

VERSIONS: Mapping[str, ssl.TLSVersion] = MappingProxyType(
    {
        "sslv3": ssl.TLSVersion.SSLv3,
        "tlsv1": ssl.TLSVersion.TLSv1,
        "tlsv1.0": ssl.TLSVersion.TLSv1,
        "tlsv1.1": ssl.TLSVersion.TLSv1_1,
        "tlsv1.2": ssl.TLSVersion.TLSv1_2,
        "tlsv1.3": ssl.TLSVersion.TLSv1_3,
    }
)
_OFF: Mapping[str, ssl.Options] = MappingProxyType(
    {
        "sslv3": ssl.Options.OP_NO_SSLv3,
        "tlsv1": ssl.Options.OP_NO_TLSv1,
        "tlsv1.0": ssl.Options.OP_NO_TLSv1,
        "tlsv1.1": ssl.Options.OP_NO_TLSv1_1,
        "tlsv1.2": ssl.Options.OP_NO_TLSv1_2,
        "tlsv1.3": ssl.Options.OP_NO_TLSv1_3,
    }
)


DIGEST = "sha256"
"""What fingerprints are made with where nothing else is said."""


class ServerContext(ssl.SSLContext):
    """smtpd(8)'s context, and the digest that it knows certificates by."""

    fingerprint_digest: str = DIGEST


class TlsTrouble(Exception):
    """A context cannot be made, or a handshake failed; the text is for the log."""


def apply_protocols(context: ssl.SSLContext, words: tuple[str, ...]) -> None:
    """``>=TLSv1.2``, ``<=TLSv1.3``, ``!SSLv3``, ``TLSv1.2`` (only those named).  smtpd_tls_protocols

    Raises TlsTrouble for a word that is none of these.  Old protocols are the site's choice: no warning is wanted.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        _apply(context, words)


def _apply(context: ssl.SSLContext, words: tuple[str, ...]) -> None:
    named: set[str] = set()
    for word in words:
        sign = next((each for each in (">=", "<=", "!") if word.startswith(each)), "")
        name = word[len(sign) :].strip().lower()
        if name == "sslv2":
            continue  # no library of today has it
        version = VERSIONS.get(name)
        if version is None:
            raise TlsTrouble(f"unknown TLS protocol: {word}")
        if sign == ">=":
            context.minimum_version = version
        elif sign == "<=":
            context.maximum_version = version
        elif sign == "!":
            context.options |= _OFF[name]
        else:
            named.add(name)
    if named:
        for name, option in _OFF.items():
            if VERSIONS[name] not in {VERSIONS[each] for each in named}:
                context.options |= option


def _certificates(settings: Settings) -> tuple[tuple[str, str], ...]:
    """(certificate file, key file) pairs; smtpd_tls_chain_files wins."""
    chains = settings.words("smtpd_tls_chain_files")
    if chains:
        return tuple((settings.path(file), settings.path(file)) for file in chains)
    pairs = (
        ("smtpd_tls_cert_file", "smtpd_tls_key_file"),
        ("smtpd_tls_eccert_file", "smtpd_tls_eckey_file"),
        ("smtpd_tls_dcert_file", "smtpd_tls_dkey_file"),
    )
    named = ((settings.text(certificate), settings.text(key)) for certificate, key in pairs)
    return tuple((settings.path(file), settings.path(key or file)) for file, key in named if file and file != "none")


def server_context(settings: Settings, *, mandatory: bool) -> ServerContext:
    """The context of smtpd(8): keys are read now, by whoever may read them.  Raises TlsTrouble.

    `mandatory`: smtpd_tls_security_level = encrypt or wrapper mode, which have parameters of their own.
    """
    certificates = _certificates(settings)
    if not certificates:
        raise TlsTrouble("No server certs available. TLS won't be enabled")
    context = ServerContext(ssl.PROTOCOL_TLS_SERVER)
    context.fingerprint_digest = settings.text("smtpd_tls_fingerprint_digest")
    which = "mandatory_" if mandatory else ""
    file = ""
    try:
        fingerprint(b"any", context.fingerprint_digest)
        apply_protocols(context, settings.words(f"smtpd_tls_{which}protocols"))
        for file, key in certificates:
            context.load_cert_chain(file, key)
        file = ""
        grade = settings.text(f"smtpd_tls_{which}ciphers")
        excluded = settings.words("smtpd_tls_exclude_ciphers")
        if mandatory:
            excluded += settings.words("smtpd_tls_mandatory_exclude_ciphers")
        _apply_ciphers(context, settings, grade, excluded)
        if settings.flag("smtpd_tls_ask_ccert") or (mandatory and settings.flag("smtpd_tls_req_ccert")):
            _ask_certificates(context, settings)
    except (OSError, ValueError) as trouble:
        raise TlsTrouble(f"cannot load {file or 'TLS settings'}: {trouble}") from trouble
    return context


def _apply_ciphers(context: ssl.SSLContext, settings: Settings, grade: str, excluded: tuple[str, ...]) -> None:
    """TLS 1.2 and older; OpenSSL alone says what TLS 1.3 uses."""
    known = ("high", "medium", "low", "export", "null")
    if grade.lower() not in known:
        raise TlsTrouble(f"invalid TLS cipher grade: {grade}")
    ciphers = settings.text(f"tls_{'high' if grade.lower() == 'high' else 'medium'}_cipherlist")
    context.set_ciphers(":".join((ciphers, *(f"!{each}" for each in excluded))))


def _ask_certificates(context: ssl.SSLContext, settings: Settings) -> None:
    context.verify_mode = ssl.CERT_OPTIONAL
    file, directory = settings.text("smtpd_tls_CAfile"), settings.text("smtpd_tls_CApath")
    if file or directory:
        context.load_verify_locations(
            settings.path(file) if file else None, settings.path(directory) if directory else None
        )


class TlsServer:
    """The server's side of one connection.

    `receive` takes what came and gives what it says; `take_output` is what must be sent.  After a TlsTrouble nothing
    but `take_output` (the alert) makes sense.
    """

    __slots__ = ("_digest", "_incoming", "_object", "_outgoing", "_unsent", "has_ended", "is_established")

    def __init__(self, context: ssl.SSLContext) -> None:
        self._incoming = ssl.MemoryBIO()
        self._outgoing = ssl.MemoryBIO()
        self._object = context.wrap_bio(self._incoming, self._outgoing, server_side=True)
        self._digest = context.fingerprint_digest if isinstance(context, ServerContext) else DIGEST
        self._unsent: list[bytes] = []
        self.is_established = False
        self.has_ended = False
        """The client said that it sends no more."""

    def receive(self, data: bytes) -> bytes:
        """The plain text in `data`; empty while the handshake goes on.  Raises TlsTrouble."""
        self._incoming.write(data)
        if not self.is_established:
            try:
                self._object.do_handshake()
            except (ssl.SSLWantReadError, ssl.SSLWantWriteError):
                return b""
            except (ssl.SSLError, OSError) as trouble:
                raise TlsTrouble(_reason(trouble)) from trouble
            self.is_established = True
            self._flush()
        return self._read()

    def _read(self) -> bytes:
        parts: list[bytes] = []
        while True:
            try:
                part = self._object.read(LARGEST_RECORD)
            except (ssl.SSLWantReadError, ssl.SSLWantWriteError):
                break
            except ssl.SSLZeroReturnError:
                self.has_ended = True
                break
            except (ssl.SSLError, OSError) as trouble:
                raise TlsTrouble(_reason(trouble)) from trouble
            if not part:
                self.has_ended = True
                break
            parts.append(part)
        return b"".join(parts)

    def send(self, data: bytes) -> None:
        """Plain text for the client; before the end of the handshake it waits.  Raises TlsTrouble."""
        self._unsent.append(data)
        if self.is_established:
            self._flush()

    def _flush(self) -> None:
        try:
            for data in self._unsent:
                self._object.write(data)
        except (ssl.SSLError, OSError) as trouble:
            raise TlsTrouble(_reason(trouble)) from trouble
        self._unsent.clear()

    def take_output(self) -> bytes:
        """What must go to the client now."""
        return self._outgoing.read() if self._outgoing.pending else b""

    def say_goodbye(self) -> None:
        """Tell the client that no more comes."""
        if not self.is_established:
            return
        try:
            self._object.unwrap()
        except (ssl.SSLError, OSError, ValueError):
            return  # the client's own goodbye is not waited for

    def facts(self) -> TlsFacts:
        """What was agreed on; certificate facts where the client showed one that the library verified."""
        name, protocol, bits = self._object.cipher() or ("", "", 0)
        certificate = self._object.getpeercert() or {}
        der = self._object.getpeercert(binary_form=True) or b""
        return TlsFacts(
            protocol=self._object.version() or protocol,
            cipher=name,
            bits=bits,
            algorithm_bits=max(bits, _algorithm_bits(name)),
            peer_subject=_common_name(certificate.get("subject")),
            peer_issuer=_common_name(certificate.get("issuer")),
            peer_fingerprint=fingerprint(der, self._digest),
            peer_key_fingerprint=fingerprint(public_key(der), self._digest),
            peer_trusted=bool(der),
        )


def fingerprint(data: bytes, digest: str = DIGEST) -> str:
    """``AB:CD:…``; empty for nothing.  `digest` is one that OpenSSL has, else TlsTrouble.  smtpd_tls_fingerprint_digest"""
    try:
        made = hashlib.new(digest, data, usedforsecurity=False).digest()
    except (ValueError, TypeError):  # unknown, or without a length of its own
        raise TlsTrouble(f'Digest algorithm "{digest}" not found') from None
    return made.hex(":").upper() if data else ""


SEQUENCE, VERSION = 0x30, 0xA0
BEFORE_KEY = 5
"""Fields between the version and the key: serial number, algorithm, issuer, validity, subject.  RFC 5280 §4.1"""


def public_key(certificate: bytes) -> bytes:
    """The SubjectPublicKeyInfo inside a certificate, both DER; empty where there is none."""
    try:
        _, at, _ = _element(certificate, 0)
        _, at, _ = _element(certificate, at)
        tag, _, end = _element(certificate, at)
        if tag == VERSION:
            at = end
        for _ in range(BEFORE_KEY):
            _, _, at = _element(certificate, at)
        tag, _, end = _element(certificate, at)
    except IndexError:
        return b""
    return certificate[at:end] if tag == SEQUENCE and end <= len(certificate) else b""


def _element(data: bytes, at: int) -> tuple[int, int, int]:
    """(tag, where its content begins, where it ends).  IndexError where the data ends before.  X.690 §8.1"""
    tag, length, start = data[at], data[at + 1], at + 2
    if length & 0x80:
        start += length & 0x7F
        length = int.from_bytes(data[at + 2 : start], "big")
    return tag, start, start + length


def _algorithm_bits(cipher: str) -> int:
    """Key bits of the algorithm, where the name tells them."""
    return 256 if "256" in cipher.split("SHA")[0] or "CHACHA20" in cipher else 128 if "128" in cipher else 0


def _common_name(names: object) -> str:
    """The CN out of what `ssl` gives for a subject or issuer."""
    if isinstance(names, tuple):
        for parts in names:
            for pair in parts:
                if len(pair) == 2 and pair[0] == "commonName":
                    return str(pair[1])
    return ""


def _reason(trouble: BaseException) -> str:
    """OpenSSL's words, without Python's."""
    reason = getattr(trouble, "reason", None)
    return str(reason or trouble).replace("_", " ").lower()
