"""Beside the real postmap: tables in OpenLDAP and MariaDB behind TLS, client certificates, SASL and passwords."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
import trustme

from tests.box import Box
from tests.box_ldap import ADMIN, BASE, BoxLdap
from tests.box_mariadb import BoxMariaDb
from tests.conftest import unavailable
from tests.tables.test_peer_remote import Asked

pytestmark = [pytest.mark.peer, pytest.mark.xdist_group("remote tables")]

KEYS = ("a@b", "no@b")


@pytest.fixture(scope="module")
def box() -> Iterator[Box]:
    with Box() as made:
        made.write("/etc/postfix/main.cf", "compatibility_level = 3.6\n")
        yield made


@pytest.fixture(scope="module")
def papers(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Files: authority.pem that signed server.pem and client.pem, and other.pem that signed nothing."""
    place = tmp_path_factory.mktemp("papers")
    authority, other = trustme.CA(), trustme.CA()
    authority.cert_pem.write_to_path(place / "authority.pem")
    other.cert_pem.write_to_path(place / "other.pem")
    for name, issued in (
        ("server", authority.issue_cert("127.0.0.1", "localhost", common_name="127.0.0.1")),
        ("named", authority.issue_cert("db.example", common_name="db.example")),
        ("client", authority.issue_cert("client.example", common_name="client")),
    ):
        issued.private_key_and_cert_chain_pem.write_to_path(place / f"{name}.pem")
    (place / "hashed").mkdir()
    (place / "hashed" / "authority.pem").write_bytes((place / "authority.pem").read_bytes())
    subprocess.run(["openssl", "rehash", str(place / "hashed")], check=True)
    for each in (*place.parents, place, *place.rglob("*")):  # servers that are not root read them
        if each.is_relative_to(tempfile.gettempdir()) and each != Path(tempfile.gettempdir()):
            each.chmod(each.stat().st_mode | (0o055 if each.is_dir() else 0o044))
    return place


SLAPD = """\
TLSCACertificateFile {place}/authority.pem
TLSCertificateFile {place}/server.pem
TLSCertificateKeyFile {place}/server.pem
TLSVerifyClient try
access to attrs=userPassword by anonymous auth by * none
access to * by users read by anonymous auth
authz-regexp uid=([^,]*),cn=[^,]*,cn=auth uid=$1,{base}
authz-regexp gidNumber=0\\+uidNumber=0,cn=peercred,cn=external,cn=auth {admin}
authz-regexp cn=client {admin}
authz-policy to
sasl-auxprops slapd
sasl-secprops none
"""
"""Only who has logged in may read."""
PEOPLE = f"""\
dn: {BASE}
objectClass: dcObject
objectClass: organization
o: x
dc: example

dn: uid=a,{BASE}
objectClass: inetOrgPerson
objectClass: mailThing
cn: a
sn: a
uid: a
mail: a@b
maildrop: a@home
userPassword: wonder
authzTo: dn.exact:uid=a,{BASE}

"""
TABLE = f"search_base = {BASE}\nquery_filter = (mail=%s)\nversion = 3\n"
SIMPLE = f"bind = simple\nbind_dn = uid=a,{BASE}\nbind_pw = wonder\n"
PLAIN, SECURE = "server_host = ldap://127.0.0.1:3389\n", "server_host = ldaps://127.0.0.1:3636\n"
LOCAL = "server_host = ldapi://%2Frun%2Fldapi\n"
DEMAND = "tls_require_cert = yes\n"
START = "start_tls = yes\n"
DIGEST = "bind = sasl\nsasl_mechs = DIGEST-MD5\nbind_dn = a\nbind_pw = wonder\n"


def directories(place: Path) -> tuple[tuple[str, bool], ...]:
    """Tables, and whether they find what is there."""
    good, bad = f"tls_ca_cert_file = {place}/authority.pem\n", f"tls_ca_cert_file = {place}/other.pem\n"
    client = f"tls_cert = {place}/client.pem\ntls_key = {place}/client.pem\n"
    return (
        (f"{PLAIN}bind = no\n", False),
        (f"{PLAIN}{SIMPLE}", True),
        (f"{PLAIN}{SIMPLE}{START}{DEMAND}{good}", True),
        (f"{PLAIN}{SIMPLE}{START}{DEMAND}{bad}", False),
        (f"{PLAIN}{SIMPLE}{START}{bad}", True),
        (f"{PLAIN}{SIMPLE}{START}", True),
        (f"{SECURE}{SIMPLE}{DEMAND}{good}", True),
        (f"{SECURE}{SIMPLE}{DEMAND}{bad}", False),
        (f"{SECURE}{SIMPLE}", True),
        (
            f"{SECURE.replace('127.0.0.1', 'localhost')}{SIMPLE}{DEMAND}{good}",
            False,
        ),  # it is the host's own name that counts
        (f"{SECURE.replace('127.0.0.1', '127.0.0.2')}{SIMPLE}{DEMAND}{good}", False),
        (f"{PLAIN}{DIGEST}", True),
        (f"{PLAIN}{DIGEST.replace('wonder', 'wrong')}", False),
        (f"{PLAIN}{DIGEST}sasl_minssf = 112\n", True),
        (f"{PLAIN}{DIGEST}sasl_authz_id = u:a\n", True),
        (f"{PLAIN}{DIGEST}sasl_authz_id = u:b\n", False),
        (f"{PLAIN}{DIGEST.replace('DIGEST-MD5', 'SCRAM-SHA-256')}", True),
        (f"{PLAIN}{DIGEST.replace('DIGEST-MD5', 'CRAM-MD5')}", True),
        (f"{SECURE}{DIGEST.replace('DIGEST-MD5', 'PLAIN')}{good}", True),
        (f"{LOCAL}bind = sasl\nsasl_mechs = EXTERNAL\n", True),
        (f"{PLAIN}bind = sasl\nsasl_mechs = NOSUCH\nbind_dn = a\nbind_pw = wonder\n", False),
        (f"{PLAIN}{DIGEST.replace('DIGEST-MD5', 'NOSUCH, DIGEST-MD5')}", True),
        (f"{PLAIN}{DIGEST.replace('DIGEST-MD5', 'CRAM-MD5 SCRAM-SHA-1')}", True),
        (f"{PLAIN}{DIGEST.replace('DIGEST-MD5', '')}", True),
        (f"{LOCAL}bind = sasl\n", False),
        (f"{PLAIN}{DIGEST}sasl_realm = box\n", True),
        (f"{PLAIN}{START}{good}{client}bind = sasl\nsasl_mechs = EXTERNAL\n", True),
        (f"{SECURE}{DEMAND}{good}{client}bind = sasl\nsasl_mechs = EXTERNAL\n", True),
        (f"{SECURE}{good}bind = sasl\nsasl_mechs = EXTERNAL\n", False),
        (f"{PLAIN}{SIMPLE}{START}{DEMAND}tls_ca_cert_file = {place}/none.pem\n", False),
    )


def test_directories_behind_tls_and_sasl_answer_as_to_postfix(box: Box, papers: Path) -> None:
    if sys.version_info[:2] != (3, 11):
        unavailable("Debian's python3-bonsai is made for Python 3.11: make PYTHON=/path/to/python3.11")
    with BoxLdap(box, SLAPD.format(place=papers, base=BASE, admin=ADMIN)) as directory:
        directory.add(PEOPLE)
        asked = Asked(box)
        tables = directories(papers)
        for text, finds in tables:
            asked.table("ldap", TABLE + text, KEYS if finds else KEYS[:1])
        found = asked.agree(40)

    assert found == [found for _, finds in tables for found in ((True, False) if finds else (False,))]


SQL = "dbname = mail\npassword = secret\nquery = SELECT goto FROM aliases WHERE address = '%s'\n"
USERS = """\
CREATE TABLE aliases (address varchar(20), goto varchar(20));
INSERT INTO aliases VALUES ('a@b', 'a@home');
CREATE USER tls@'%' IDENTIFIED BY 'secret' REQUIRE SSL;
CREATE USER paper@'%' IDENTIFIED BY 'secret' REQUIRE X509;
CREATE USER clara@'%' IDENTIFIED BY 'secret' REQUIRE SUBJECT '{subject}';
CREATE USER free@'%';
GRANT SELECT ON mail.* TO tls@'%', paper@'%', clara@'%', free@'%';
"""


def databases(place: Path) -> tuple[tuple[str, bool], ...]:
    """Tables, and whether they find what is there."""
    good, bad = f"tls_CAfile = {place}/authority.pem\n", f"tls_CAfile = {place}/other.pem\n"
    client = f"tls_cert_file = {place}/client.pem\ntls_key_file = {place}/client.pem\n"
    here, there = "hosts = 127.0.0.1\n", "hosts = localhost\n"
    return (
        (f"{here}user = mail\n", True),
        (f"{here}user = mail\npassword = wrong\n", False),
        (f"{here}user = free\npassword =\n", True),
        (f"{here}user = nobody\n", False),
        (f"{here}user = tls\n", False),
        (f"{here}user = tls\n{good}", True),
        (f"{here}user = tls\n{bad}", False),
        (f"{here}user = tls\n{good}tls_verify_cert = yes\n", True),
        (f"{here}user = tls\ntls_CApath = {place}/hashed\n", True),
        (f"{here}user = tls\n{client}", True),
        (f"{here}user = paper\n{good}", False),
        (f"{here}user = paper\n{good}{client}", True),
        (f"{here}user = clara\n{good}{client}", True),
        (f"{here}user = clara\n{good}{client.replace('client.pem', 'named.pem')}", False),
        (f"{here}user = mail\n{good}{client}", True),
        (f"{there}user = mail\n{good}", True),
        (f"{here}user = tls\ntls_CAfile = {place}/none.pem\n", False),
        (f"{here}user = tls\n{good}tls_ciphers = ECDHE-RSA-AES256-GCM-SHA384:ECDHE-ECDSA-AES256-GCM-SHA384\n", True),
        (f"{here}user = tls\noption_file = /etc/postfix/tls.cnf\n", True),
        (f"{here}user = tls\noption_file = /etc/postfix/tls.cnf\noption_group = other\n", False),
    )


def test_databases_behind_tls_answer_as_to_postfix(box: Box, papers: Path) -> None:
    tls = tuple(
        f"--ssl-{word}={papers}/{name}.pem"
        for word, name in (("ca", "authority"), ("cert", "server"), ("key", "server"))
    )
    with BoxMariaDb(box, *tls) as database:
        subject = box.run(
            "openssl", "x509", "-in", f"{papers}/client.pem", "-noout", "-subject", "-nameopt", "compat"
        ).out
        database.sql(USERS.format(subject=subject.strip().removeprefix("subject=").strip()))
        box.write(
            "/etc/postfix/tls.cnf", f"[client]\nssl-ca = {papers}/authority.pem\n[other]\nssl-ca = {papers}/other.pem\n"
        )
        asked = Asked(box)
        tables = databases(papers)
        for text, finds in tables:
            names = {line.partition(" ")[0] for line in text.splitlines()}
            usual = "".join(line + "\n" for line in SQL.splitlines() if line.partition(" ")[0] not in names)
            asked.table("mysql", usual + text, KEYS if finds else KEYS[:1])
        found = asked.agree(30)

    assert found == [found for _, finds in tables for found in ((True, False) if finds else (False,))]
