"""AUTH with the real parts behind it: Dovecot, saslauthd, sasldb, and our own file of users.  No password is written down."""

import base64
import hashlib
import hmac
from collections.abc import Iterator

import argon2
import pytest

from seawall.linux.crypt import crypt
from tests.box import Box
from tests.system.box_site import BoxSite
from tests.system.server import until

pytestmark = [pytest.mark.peer, pytest.mark.xdist_group("auth")]

RIGHT = "Sesam-0ffne-dich"
WRONG = "Simsalabim-7"
MAIN_CF = """\
compatibility_level = 3.6
myhostname = pop.cape.com
mynetworks =
mydestination = $myhostname
alias_maps =
smtpd_peername_lookup = no
smtpd_sasl_auth_enable = yes
smtpd_relay_restrictions = permit_sasl_authenticated, reject_unauth_destination
transport_maps = inline:{{relay.example = smtp:[192.0.2.25]:2525}}
seawall_workers = 1
"""
DOVECOT = """\
protocols =
log_path = /var/log/dovecot.log
ssl = no
auth_mechanisms = plain login cram-md5
disable_plaintext_auth = no
passdb {
  driver = passwd-file
  args = scheme=PLAIN /etc/dovecot/people
}
userdb {
  driver = static
  args = uid=vmail gid=vmail home=/nonexistent
}
auth_failure_delay = 0
service anvil {
  unix_listener anvil-auth-penalty {
    mode = 0
  }
}
service auth {
  unix_listener /var/spool/postfix/private/auth {
    mode = 0660
    user = postfix
    group = postfix
  }
}
"""


@pytest.fixture
def site(box: Box) -> Iterator[BoxSite]:
    made = BoxSite(box)
    yield made
    made.stop()
    assert "Traceback" not in made.printed()
    nothing_tells_a_password(made)


def nothing_tells_a_password(site: BoxSite) -> None:
    """Neither the log nor the journal nor what is printed has a password, in the clear or encoded."""
    files = site.box.files("/var/lib/postfix")
    assert any(path.endswith("journal.sqlite") for path in files)
    texts = [site.log().encode("latin-1"), site.printed().encode("latin-1"), *filter(None, map(site.box.read, files))]
    for password in (RIGHT, WRONG):
        for user in ("", "alice", "nobody-here"):
            plain = base64.b64encode(f"\0{user}\0{password}".encode() if user else password.encode())
            assert not any(secret in text for text in texts for secret in (password.encode(), plain))


def encoded(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


def ehlo(site: BoxSite) -> tuple[str, ...]:
    """What EHLO offers."""
    acts = [("expect", 1), ("send", "EHLO client.good.example\r\n"), ("listen", 0.05)]
    return site.box.talk(acts, port=25, source="198.18.3.4")[1].lines


def attempt(site: BoxSite, *lines: str) -> list[str]:
    """The replies to AUTH and to each response after it."""
    acts: list[tuple[str, object]] = [("expect", 1), ("send", "EHLO client.good.example\r\n"), ("listen", 0.05)]
    for line in lines:
        acts += [("send", f"{line}\r\n"), ("expect", 1)]
    heard = site.box.talk(acts, port=25, source="198.18.3.4", patience=20)
    return [heard.lines[0] for heard in heard[2:] if heard.lines]


def plain(site: BoxSite, user: str, password: str) -> str:
    """AUTH PLAIN with an initial response."""
    return attempt(site, f"AUTH PLAIN {encoded(f'{chr(0)}{user}{chr(0)}{password}')}")[0]


def plain_in_two(site: BoxSite, user: str, password: str) -> str:
    """AUTH PLAIN without one."""
    challenge, reply = attempt(site, "AUTH PLAIN", encoded(f"\0{user}\0{password}"))
    assert challenge == "334 "
    return reply


def login(site: BoxSite, user: str, password: str) -> str:
    """AUTH LOGIN."""
    first, second, reply = attempt(site, "AUTH LOGIN", encoded(user), encoded(password))
    assert (first, second) == ("334 VXNlcm5hbWU6", "334 UGFzc3dvcmQ6")
    return reply


def cram_md5(site: BoxSite, user: str, password: str) -> str:
    """AUTH CRAM-MD5: the answer depends on the challenge, so the dialogue is the script's."""
    script = """
import base64, hmac, socket
user, password = given
stream = socket.create_connection(("192.0.2.1", 25), 20, ("198.18.3.4", 0)).makefile("rwb", buffering=0)
stream.readline()
stream.write(b"EHLO client.good.example\\r\\n")
while stream.readline()[3:4] == b"-":
    pass
stream.write(b"AUTH CRAM-MD5\\r\\n")
challenge = base64.b64decode(stream.readline()[4:])
digest = hmac.new(password.encode(), challenge, "md5").hexdigest()
stream.write(base64.b64encode(f"{user} {digest}".encode()) + b"\\r\\n")
print(json.dumps(stream.readline().decode().strip()))
"""
    reply = site.python(script, user, password)
    assert isinstance(reply, str)
    return reply


PASSED = "235 2.7.0 Authentication successful"
FAILED = "535 5.7.8 Error: authentication failed: "
WAYS = {"PLAIN": (plain, plain_in_two), "LOGIN": (login,), "CRAM-MD5": (cram_md5,)}


def tried(site: BoxSite, *mechanisms: str) -> None:
    """Each mechanism lets the right password in, and no other; the same is said of a user who does not exist."""
    offered = next(line for line in ehlo(site) if line[4:9] == "AUTH ")[9:].split()
    assert sorted(offered) == sorted(mechanisms)
    for mechanism in mechanisms:
        for way in WAYS[mechanism]:
            assert way(site, "alice", RIGHT) == PASSED
            refusals = {way(site, "alice", WRONG), way(site, "nobody-here", WRONG)}
            assert len(refusals) == 1
            assert refusals.pop().startswith(FAILED)
    site.said("warning: unknown[198.18.3.4]: SASL PLAIN authentication failed: ")


def relays(site: BoxSite) -> None:
    """Who is known may relay, and the log names him."""
    word = f"AUTH PLAIN {encoded(f'{chr(0)}alice{chr(0)}{RIGHT}')}"
    replies = attempt(
        site, word, "MAIL FROM:<alice@pop.cape.com>", "RCPT TO:<far@relay.example>", "DATA", "Subject: x\r\n\r\nx\r\n."
    )
    assert replies[-1].startswith("250 2.0.0 Ok: queued as ")
    site.said("client=unknown[198.18.3.4], sasl_method=PLAIN, sasl_username=alice")


def dovecot(site: BoxSite) -> int:
    """Start Dovecot; its process id, once its socket is there."""
    pid = site.box.start("/usr/sbin/dovecot", "-F", "-c", "/etc/dovecot/seawall.conf", output="/var/log/dovecot.out")
    until(
        lambda: site.box.run("test", "-S", "/var/spool/postfix/private/auth", check=False).code == 0,
        "Dovecot's socket is there",
    )
    return pid


def test_dovecot_says_who_may_log_in_also_after_its_restart(site: BoxSite) -> None:
    site.box.write("/etc/dovecot/seawall.conf", DOVECOT)
    site.box.write("/etc/dovecot/people", f"alice:{{PLAIN}}{RIGHT}\n")
    site.box.run("install", "-d", "-m", "700", "-o", "postfix", "/var/spool/postfix/private")
    site.lay_out(MAIN_CF + "smtpd_sasl_type = dovecot\nsmtpd_sasl_path = private/auth\n")
    pid = dovecot(site)
    try:
        site.start()
        tried(site, "PLAIN", "LOGIN", "CRAM-MD5")
        relays(site)
        assert attempt(site, "AUTH PLAIN", "*") == ["334 ", "501 5.7.0 Authentication aborted"]
        site.box.stop(pid)
        for each, line in site.box.processes().items():
            if line.startswith("dovecot/auth"):
                site.kill(each)  # it would serve on, as long as a connection to it is open
        until(
            lambda: plain(site, "alice", RIGHT).startswith("454 4.7.0 Temporary authentication failure: "), "it is away"
        )
        pid = dovecot(site)
        until(lambda: plain(site, "alice", RIGHT) == PASSED, "it is back")
    finally:
        site.box.stop(pid)


def test_dovecot_may_come_up_after_us(site: BoxSite) -> None:
    site.box.write("/etc/dovecot/seawall.conf", DOVECOT)
    site.box.write("/etc/dovecot/people", f"alice:{{PLAIN}}{RIGHT}\n")
    site.box.run("install", "-d", "-m", "700", "-o", "postfix", "/var/spool/postfix/private")
    site.lay_out(MAIN_CF + "smtpd_sasl_type = dovecot\nsmtpd_sasl_path = private/auth\n")
    site.start()
    assert plain(site, "alice", RIGHT).startswith("503 5.5.1 ")
    pid = dovecot(site)
    try:
        until(lambda: plain(site, "alice", RIGHT) == PASSED, "it was found")
        plain(site, "alice", WRONG)
    finally:
        site.box.stop(pid)


def test_saslauthd_is_asked_as_cyrus_sasl_asks_it(site: BoxSite) -> None:
    hashed = crypt(RIGHT.encode(), b"$6$seawall")
    assert hashed is not None
    shadow = (site.box.read("/etc/shadow") or b"").decode()
    group = (site.box.read("/etc/group") or b"").decode()
    lines = [
        f"alice:{hashed.decode()}:19000::::::" if line.startswith("alice:") else line for line in shadow.splitlines()
    ]
    site.box.write("/etc/shadow", "\n".join(lines) + "\n", mode=0o600)
    site.box.write("/etc/group", group.replace("sasl:x:907:", "sasl:x:907:postfix"))
    site.box.run("install", "-d", "-m", "710", "-g", "sasl", "/run/saslauthd")  # as Debian has it
    pid = site.box.start("/usr/sbin/saslauthd", "-d", "-a", "shadow", "-m", "/run/saslauthd", "-n", "1")
    try:
        until(lambda: site.box.run("test", "-S", "/run/saslauthd/mux", check=False).code == 0, "its socket is there")
        site.lay_out(MAIN_CF, {"sasl/smtpd.conf": "pwcheck_method: saslauthd\nmech_list: PLAIN LOGIN\n"})
        site.start()
        tried(site, "PLAIN", "LOGIN")
        relays(site)
    finally:
        site.box.stop(pid)
        site.box.write("/etc/shadow", shadow, mode=0o640)
        site.box.write("/etc/group", group)
    assert plain(site, "alice", RIGHT).startswith("454 4.7.0 Temporary authentication failure: ")


def test_sasldb_is_read_though_it_is_roots_alone(site: BoxSite) -> None:
    site.box.run("rm", "-f", "/etc/sasldb2")
    site.box.run("saslpasswd2", "-p", "-c", "-u", "pop.cape.com", "alice", stdin=RIGHT)
    site.box.run("chmod", "600", "/etc/sasldb2")
    smtpd_conf = "pwcheck_method: auxprop\nauxprop_plugin: sasldb\nmech_list: PLAIN LOGIN CRAM-MD5\n"
    site.lay_out(MAIN_CF, {"sasl/smtpd.conf": smtpd_conf})
    try:
        site.start()
        tried(site, "PLAIN", "LOGIN", "CRAM-MD5")
    finally:
        site.box.run("rm", "-f", "/etc/sasldb2")


def test_a_file_of_users_holds_argon2_and_crypt_hashes(site: BoxSite) -> None:
    hashed = crypt(RIGHT.encode(), b"$6$seawall")
    assert hashed is not None
    users = f"# our users\nalice:{argon2.PasswordHasher().hash(RIGHT)}\nbob:{hashed.decode()}\n"
    site.lay_out(MAIN_CF + "smtpd_sasl_type = seawall\nseawall_users_file = /etc/postfix/users\n")
    site.box.write("/etc/postfix/users", users, mode=0o600)
    site.start()
    tried(site, "PLAIN", "LOGIN")
    relays(site)
    assert plain(site, "bob", RIGHT) == PASSED
    assert plain(site, "bob", WRONG).startswith(FAILED)


@pytest.mark.parametrize(
    ("smtpd_conf", "what"),
    [
        ("pwcheck_method: authdaemond\n", "authdaemond"),
        ("pwcheck_method: auxprop\nauxprop_plugin: sql\n", "sql"),
        ("pwcheck_method: saslauthd\nmech_list: PLAIN GSSAPI\n", "GSSAPI"),
        ("pwcheck_method: saslauthd\nmech_list: CRAM-MD5\n", "CRAM-MD5"),
    ],
)
def test_a_method_that_cannot_be_served_ends_the_start_with_file_and_method(
    box: Box, smtpd_conf: str, what: str
) -> None:
    site = BoxSite(box)
    site.lay_out(MAIN_CF, {"sasl/smtpd.conf": smtpd_conf})
    done = site.seawall("serve", check=False)
    assert done.code == 78
    assert done.err.startswith("seawall serve: /etc/postfix/sasl/smtpd.conf: ")
    assert f"{what} is not served" in done.err


def test_the_script_of_cram_md5_is_right() -> None:
    """RFC 2195 §2."""
    digest = hmac.new(b"tanstaaftanstaaf", b"<1896.697170952@postoffice.reston.mci.net>", hashlib.md5).hexdigest()
    assert digest == "b913a602c7eda7a495b4e6e7334d3890"
