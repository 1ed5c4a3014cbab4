"""Files: who may write and read them, and whether certificates hold."""

from __future__ import annotations

import os
import re
import ssl
import stat
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from seawall.cli.lint.about_tables import INDEXED, each_file
from seawall.cli.lint.about_tls import level
from seawall.cli.lint.rule import ADVICE, WARNING, Hit, Rule
from seawall.cli.lint.site import Calm, Site
from seawall.config.source import Location

SECRET_TABLES = frozenset({"smtp_sasl_password_maps", "lmtp_sasl_password_maps"})
DATABASES = frozenset({"pgsql", "mysql", "ldap", "mongodb", "sqlite"})
SECRET = re.compile(r"^\s*(password|bind_pw|dbpass|passwd)\s*=\s*\S", re.MULTILINE)
PAIRS = (
    ("smtpd_tls_cert_file", "smtpd_tls_key_file"),
    ("smtpd_tls_eccert_file", "smtpd_tls_eckey_file"),
    ("smtpd_tls_dcert_file", "smtpd_tls_dkey_file"),
    ("smtp_tls_cert_file", "smtp_tls_key_file"),
    ("smtp_tls_eccert_file", "smtp_tls_eckey_file"),
)
CHAINS = ("smtpd_tls_chain_files", "smtp_tls_chain_files")
SOON = timedelta(days=14)
SHORT_RSA = 2048
MOST = 1 << 20


def status(path: str) -> os.stat_result | None:
    """A file's status; None for one that is not there."""
    try:
        return os.stat(path)
    except (OSError, ValueError):
        return None


def head_of(path: str) -> str:
    """The beginning of a small text file; empty for one that cannot be read."""
    try:
        if not os.path.isfile(path):
            return ""
        with open(path, encoding="utf-8", errors="replace") as file:
            return file.read(MOST)
    except (OSError, ValueError):
        return ""


def files(site: Site) -> Iterator[tuple[str, Location | None]]:
    """(file, who names it) of everything that the configuration is made of."""
    directory = site.settings.directory
    yield directory, Location(directory, 0)
    for name in ("main.cf", "master.cf"):
        yield f"{directory}/{name}", Location(f"{directory}/{name}", 0)
    for table in each_file(site):
        yield table.file, table.location
        if table.kind in INDEXED:
            yield table.file + INDEXED[table.kind], table.location
    for name, file, _ in tls_files(site):
        yield file, site.main.where(name)


def writable(site: Site) -> Iterator[Hit]:
    """Files that others than their owner may write."""
    seen: set[str] = set()
    for file, location in files(site):
        found = status(site.settings.path(file)) if file not in seen and file.startswith("/") else None
        seen.add(file)
        if found is None or (stat.S_ISDIR(found.st_mode) and found.st_mode & stat.S_ISVTX):
            continue
        if found.st_mode & stat.S_IWOTH:
            yield Hit(f"{file}: everybody may write it (mode {mode(found)})", location, f"chmod o-w {file}")
        elif found.st_mode & stat.S_IWGRP and found.st_gid != 0:
            yield Hit(
                f"{file}: its group may write it (mode {mode(found)}, group {found.st_gid})",
                location,
                f"chmod g-w {file}",
            )


def mode(found: os.stat_result) -> str:
    """``0644``."""
    return f"{stat.S_IMODE(found.st_mode):04o}"


def open_secrets(site: Site) -> Iterator[Hit]:
    """Passwords and keys that everybody may read."""
    for table in each_file(site):
        is_password = table.use in SECRET_TABLES
        for file in (table.file, table.file + INDEXED.get(table.kind, "\0")) if is_password else (table.file,):
            found = status(site.settings.path(file))
            if found is None or not found.st_mode & stat.S_IROTH or not stat.S_ISREG(found.st_mode):
                continue
            if is_password or (table.kind in DATABASES and SECRET.search(head_of(site.settings.path(file)))):
                yield Hit(
                    f"{file} holds a password, and everybody may read it (mode {mode(found)})",
                    table.location,
                    f"chmod 640 {file}, group postfix for a database's, root's otherwise",
                )
    for name, file, has_key in tls_files(site):
        found = status(site.settings.path(file))
        if (
            has_key
            and found is not None
            and found.st_mode & stat.S_IROTH
            and "PRIVATE KEY" in head_of(site.settings.path(file))
        ):
            yield Hit(
                f"{file} holds a private key, and everybody may read it (mode {mode(found)})",
                site.main.where(name),
                f"chmod 600 {file}",
            )


def tls_files(site: Site) -> Iterator[tuple[str, str, bool]]:
    """(parameter, file, whether a key is in it) of every certificate and key that main.cf names."""
    for certificate, key in PAIRS:
        file, own = site.main.text(certificate), site.main.text(key)
        if file and file != "none" and site.main.is_set(certificate):
            yield certificate, file, own in ("", file)
            if own and own != file:
                yield key, own, True
    for name in CHAINS:
        for file in site.main.words(name):
            yield name, file, True


def pairs(site: Site) -> Iterator[tuple[str, str, str]]:
    """(parameter, certificate file, key file)."""
    for certificate, key in PAIRS:
        file = site.main.text(certificate)
        if file and file != "none" and site.main.is_set(certificate):
            yield certificate, file, site.main.text(key) or file
    for name in CHAINS:
        for file in site.main.words(name):
            yield name, file, file


def missing(site: Site) -> Iterator[Hit]:
    """Certificates and keys that are not there."""
    for name, file, _ in tls_files(site):
        if not os.path.exists(site.settings.path(file).replace("\0", "")):
            yield Hit(f"{name}: {file} is not there: TLS is not offered", site.main.where(name))


def certificates(site: Site) -> Iterator[tuple[str, str, x509.Certificate]]:
    """(parameter, file, its first certificate)."""
    for name, file, _ in pairs(site):
        text = head_of(site.settings.path(file))
        found = re.search(r"-----BEGIN CERTIFICATE-----.*?-----END CERTIFICATE-----", text, re.DOTALL)
        if found is not None:
            try:
                yield name, file, x509.load_pem_x509_certificate(found.group().encode("ascii", "replace"))
            except ValueError:
                continue


def expired(site: Site) -> Iterator[Hit]:
    """Certificates whose time is over, or has not come."""
    now = datetime.fromtimestamp(site.now, UTC)
    for name, file, certificate in certificates(site):
        if certificate.not_valid_after_utc < now:
            yield Hit(
                f"{name}: the certificate in {file} expired on {certificate.not_valid_after_utc:%Y-%m-%d}",
                site.main.where(name),
            )
        elif certificate.not_valid_before_utc > now:
            yield Hit(
                f"{name}: the certificate in {file} is not valid before {certificate.not_valid_before_utc:%Y-%m-%d}",
                site.main.where(name),
            )


def expiring(site: Site) -> Iterator[Hit]:
    """Certificates whose time is nearly over."""
    now = datetime.fromtimestamp(site.now, UTC)
    for name, file, certificate in certificates(site):
        if now <= certificate.not_valid_after_utc < now + SOON:
            yield Hit(
                f"{name}: the certificate in {file} expires on {certificate.not_valid_after_utc:%Y-%m-%d}",
                site.main.where(name),
            )


def other_name(site: Site) -> Iterator[Hit]:
    """Certificates for another host."""
    host = site.main.text("myhostname").lower().rstrip(".")
    if site.settings.root and not site.main.is_set("myhostname"):
        return  # this host's name says nothing of the host whose files these are
    for name, file, certificate in certificates(site):
        if not name.startswith("smtpd_"):
            continue
        names = [each.lower() for each in names_in(certificate)]
        if names and not any(
            each == host or (each.startswith("*.") and host.partition(".")[2] == each[2:]) for each in names
        ):
            yield Hit(
                f"{name}: the certificate in {file} is for {', '.join(names[:5])}, and myhostname is {host}",
                site.main.where(name),
            )


def names_in(certificate: x509.Certificate) -> list[str]:
    """The DNS names that a certificate is for."""
    try:
        extension = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName)
        return list(extension.value.get_values_for_type(x509.DNSName))
    except (x509.ExtensionNotFound, ValueError):
        attributes = certificate.subject.get_attributes_for_oid(x509.NameOID.COMMON_NAME)
        return [str(each.value) for each in attributes]


def short_key(site: Site) -> Iterator[Hit]:
    """Keys that are too short for today's libraries."""
    for name, file, certificate in certificates(site):
        try:
            key = certificate.public_key()
        except ValueError:
            continue
        if isinstance(key, rsa.RSAPublicKey) and key.key_size < SHORT_RSA:
            yield Hit(f"{name}: the certificate in {file} has an RSA key of {key.key_size} bits", site.main.where(name))
        elif isinstance(key, ec.EllipticCurvePublicKey) and key.key_size < 224:
            yield Hit(f"{name}: the certificate in {file} has an EC key of {key.key_size} bits", site.main.where(name))


def wrong_key(site: Site) -> Iterator[Hit]:
    """Keys that do not belong to their certificates."""
    for name, file, key in pairs(site):
        certificate, secret = site.settings.path(file), site.settings.path(key)
        if not (os.access(certificate.replace("\0", ""), os.R_OK) and os.access(secret.replace("\0", ""), os.R_OK)):
            continue
        try:
            ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(certificate, secret, password=lambda: "")
        except (ssl.SSLError, OSError, ValueError) as trouble:
            reason = getattr(trouble, "reason", "") or str(trouble)
            yield Hit(
                f"{name}: {file} and its key {key} cannot be used: {reason.replace('_', ' ').lower()}",
                site.main.where(name),
            )


def without_certificate(site: Site) -> Iterator[Hit]:
    """TLS without a certificate."""
    for view, service in site.scopes():
        if service is not None and os.path.basename(service.command) != "smtpd":
            continue
        named = [
            name
            for name in (
                "smtpd_tls_cert_file",
                "smtpd_tls_eccert_file",
                "smtpd_tls_dcert_file",
                "smtpd_tls_chain_files",
            )
            if view.text(name) not in ("", "none")
        ]
        if level(view, "smtpd") in ("may", "encrypt") and not named and not allows_anonymous(view):
            where = view.where("smtpd_tls_security_level") or view.where("smtpd_use_tls")
            yield Hit(
                f"smtpd_tls_security_level = {level(view, 'smtpd')} without a certificate: TLS is not offered",
                where,
                "smtpd_tls_chain_files",
            )


def allows_anonymous(view: Calm) -> bool:
    """True where a certificate is left out on purpose."""
    return view.text("smtpd_tls_cert_file") == "none"


RULES = (
    Rule(
        "file-writable",
        WARNING,
        "Who may write a table decides about all mail; who may write main.cf or master.cf runs programs as root.",
        "only root may write it",
        writable,
    ),
    Rule(
        "secret-readable",
        WARNING,
        "Every account on the machine, and every hole in a web page on it, reads it.",
        "only who needs it may read it",
        open_secrets,
    ),
    Rule("certificate-missing", WARNING, "Without its files STARTTLS is not offered.", "the file", missing),
    Rule(
        "certificate-expired",
        WARNING,
        "Mail clients refuse to log in, and servers that verify refuse to send.",
        "renew it",
        expired,
    ),
    Rule(
        "certificate-expiring", ADVICE, "Renewal should have happened by now.", "see why it was not renewed", expiring
    ),
    Rule(
        "certificate-name",
        WARNING,
        "Mail clients compare the name with what they connected to.",
        "a certificate for myhostname",
        other_name,
    ),
    Rule(
        "certificate-key-short",
        WARNING,
        "Today's libraries refuse such keys.",
        "an EC key, or RSA of 2048 bits",
        short_key,
    ),
    Rule(
        "certificate-key-wrong",
        WARNING,
        "No TLS handshake succeeds.",
        "the key that the certificate was made for",
        wrong_key,
    ),
    Rule("certificate-none", WARNING, "STARTTLS needs a certificate.", "smtpd_tls_chain_files", without_certificate),
)
