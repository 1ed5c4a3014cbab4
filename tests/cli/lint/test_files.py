"""Files and certificates: what no case file can hold."""

import os
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from tests.cli.lint.cases import NOW, findings_in, place

DAY = timedelta(days=1)
TODAY = datetime.fromtimestamp(NOW, UTC)
MAIN = "/etc/postfix/main.cf"


def write_certificate(
    path: Path,
    *,
    name: str = "mx.example.com",
    start: datetime = TODAY - 30 * DAY,
    end: datetime = TODAY + 60 * DAY,
    bits: int = 0,
    key: ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey | None = None,
) -> ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey:
    """A certificate that signs itself, and its key behind it; `bits` makes it an RSA key."""
    own = key or (rsa.generate_private_key(65537, bits) if bits else ec.generate_private_key(ec.SECP256R1()))
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
    certificate = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(own.public_key())
        .serial_number(1)
        .not_valid_before(start)
        .not_valid_after(end)
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
        .sign(own, hashes.SHA256())
    )
    secret = own.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(secret + certificate.public_bytes(serialization.Encoding.PEM))
    path.chmod(0o600)
    return own


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A site with one certificate."""
    (tmp_path / "etc/postfix").mkdir(parents=True)
    (tmp_path / "etc/postfix/main.cf").write_text(
        "myhostname = mx.example.com\nsmtpd_tls_security_level = may\nsmtpd_tls_chain_files = /etc/ssl/mx.pem\n"
    )
    write_certificate(tmp_path / "etc/ssl/mx.pem")
    return tmp_path


def places(root: Path, slug: str) -> list[str]:
    return [place(finding) for finding in findings_in(root, slug)]


@pytest.mark.parametrize(
    "slug",
    [
        "certificate-expired",
        "certificate-expiring",
        "certificate-name",
        "certificate-key-short",
        "certificate-key-wrong",
        "certificate-missing",
        "secret-readable",
    ],
)
def test_nothing_is_said_of_a_sound_certificate(root: Path, slug: str) -> None:
    assert places(root, slug) == []


def test_an_expired_and_an_early_certificate_are_named(root: Path) -> None:
    write_certificate(root / "etc/ssl/mx.pem", end=TODAY - DAY)
    assert places(root, "certificate-expired") == [f"{MAIN}:3"]
    write_certificate(root / "etc/ssl/mx.pem", start=TODAY + DAY)
    assert places(root, "certificate-expired") == [f"{MAIN}:3"]


def test_a_certificate_is_named_two_weeks_before_its_end(root: Path) -> None:
    write_certificate(root / "etc/ssl/mx.pem", end=TODAY + 13 * DAY)
    assert places(root, "certificate-expiring") == [f"{MAIN}:3"]
    assert places(root, "certificate-expired") == []


def test_a_certificate_for_another_host_is_named_and_a_wildcard_will_do(root: Path) -> None:
    write_certificate(root / "etc/ssl/mx.pem", name="www.example.com")
    assert places(root, "certificate-name") == [f"{MAIN}:3"]
    write_certificate(root / "etc/ssl/mx.pem", name="*.example.com")
    assert places(root, "certificate-name") == []


def test_a_short_key_is_named(root: Path) -> None:
    write_certificate(root / "etc/ssl/mx.pem", bits=1024)
    assert places(root, "certificate-key-short") == [f"{MAIN}:3"]


def test_another_certificates_key_is_named(root: Path) -> None:
    write_certificate(root / "etc/ssl/other.pem")
    with (root / "etc/postfix/main.cf").open("w") as file:
        file.write("smtpd_tls_cert_file = /etc/ssl/mx.pem\nsmtpd_tls_key_file = /etc/ssl/other.pem\n")
    assert places(root, "certificate-key-wrong") == [f"{MAIN}:1"]


def test_a_key_that_everybody_may_read_is_named(root: Path) -> None:
    (root / "etc/ssl/mx.pem").chmod(0o644)
    assert places(root, "secret-readable") == [f"{MAIN}:3"]


def test_files_that_others_may_write_are_named(root: Path) -> None:
    assert places(root, "file-writable") == []
    (root / "etc/postfix/main.cf").chmod(0o666)
    assert places(root, "file-writable") == [MAIN]
    (root / "etc/postfix/main.cf").chmod(0o644)
    (root / "etc/postfix").chmod(0o777)
    assert places(root, "file-writable") == ["/etc/postfix"]
    (root / "etc/postfix").chmod(0o1777)
    assert places(root, "file-writable") == [], "a sticky directory lets nobody replace another's file"


def test_a_group_other_than_roots_that_may_write_is_named(root: Path) -> None:
    path = root / "etc/postfix/main.cf"
    if os.getuid() == 0:
        os.chown(path, 0, 12345)
    path.chmod(0o664)
    assert places(root, "file-writable") == ([MAIN] if path.stat().st_gid else [])


def test_a_file_that_is_no_certificate_is_passed_over(root: Path) -> None:
    (root / "etc/ssl/mx.pem").write_bytes(b"-----BEGIN CERTIFICATE-----\n\xff\xfe\n-----END CERTIFICATE-----\n")
    for slug in ("certificate-expired", "certificate-name", "certificate-key-short"):
        assert places(root, slug) == []
    assert places(root, "certificate-key-wrong") == [f"{MAIN}:3"]
