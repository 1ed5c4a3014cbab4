"""Client certificates beside the real Postfix: what permits by them, and which key each table is asked for."""

from __future__ import annotations

import ssl
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import trustme

from seawall.config.settings import Settings
from seawall.eager import result_now
from seawall.mail.envelope import TlsFacts
from seawall.policy.attempt import Attempt
from seawall.policy.verdict import Act, Verdict
from seawall.tls import TlsServer, TlsTrouble, fingerprint, public_key, server_context
from tests.box import Box
from tests.policy.versus import BASE, FIRST_PORT, Court

CERTIFICATE, KEY = "{certificate}", "{key}"
LISTS = (
    "permit_tls_clientcerts, reject", "permit_tls_all_clientcerts, reject",
    "check_ccert_access inline:{ {CERT=REJECT by certificate} }, permit", "check_ccert_access inline:{ {KEY=REJECT by key} }, permit",
    "check_ccert_access inline:{ {CERT=REJECT by certificate}, {KEY=REJECT by key} }, permit",
    "check_ccert_access { inline:{ {CERT=REJECT by certificate}, {KEY=REJECT by key} }, search_order = pubkey_fingerprint, cert_fingerprint }, permit",
    "check_ccert_access { inline:{ {CERT=REJECT by certificate} }, search_order = pubkey_fingerprint }, permit",
    "check_ccert_access { inline:{ {CERT=REJECT by certificate}, {KEY=REJECT by key} }, { search_order = pubkey_fingerprint, cert_fingerprint } }, permit",
    "check_ccert_access { inline:{ {CERT=REJECT by certificate} }, { search_order = pubkey_fingerprint } }, permit",
    "check_ccert_access { inline:{ {CERT=REJECT by certificate} }, search_order=cert_fingerprint }, permit",
    "check_ccert_access { inline:{ {CERT=REJECT by certificate} }, { search_order = nonsense } }, permit",
    "check_ccert_access inline:{ {CERT=OK} }, reject", "check_ccert_access inline:{ {CERT=DUNNO}, {KEY=DEFER} }, permit",
    "check_ccert_access inline:{a=b}, reject", "check_ccert_access fail:gone, permit", "reject_plaintext_session, permit",
)  # fmt: skip
RELAYED = ("", "inline:{ {CERT=x} }", "inline:{ {KEY=x} }", "fail:gone")
SETTINGS = (
    *({"smtpd_recipient_restrictions": text, "relay_clientcerts": ""} for text in LISTS),
    *({"smtpd_recipient_restrictions": LISTS[0], "relay_clientcerts": text} for text in RELAYED[1:]),
    {"smtpd_recipient_restrictions": LISTS[1], "relay_clientcerts": "fail:gone"},
)
DIGESTS = ("md5", "sha1", "sha256", "sha384", "sha512")
BY_DIGEST = (
    {"smtpd_recipient_restrictions": LISTS[2]},
    {"smtpd_recipient_restrictions": LISTS[3]},
    {"smtpd_recipient_restrictions": LISTS[0], "relay_clientcerts": RELAYED[1]},
    {"smtpd_recipient_restrictions": LISTS[0], "relay_clientcerts": RELAYED[2]},
)


@dataclass(frozen=True, slots=True)
class Papers:
    """Files of a server and of a client, and what the server learns of the client with and without a certificate."""

    options: dict[str, str]
    client: str
    shown: TlsFacts
    hidden: TlsFacts
    by_digest: dict[str, TlsFacts]


def shake_hands(context: ssl.SSLContext, client: ssl.SSLContext) -> TlsFacts:
    server = TlsServer(context)
    coming, going = ssl.MemoryBIO(), ssl.MemoryBIO()
    talk = client.wrap_bio(coming, going)
    for _ in range(5):
        try:
            talk.do_handshake()
        except ssl.SSLWantReadError:
            pass
        server.receive(going.read())
        coming.write(server.take_output())
    return server.facts()


@pytest.fixture(scope="module")
def papers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Papers]:
    directory: Path = tmp_path_factory.mktemp("papers")
    directory.chmod(0o755)
    authority = trustme.CA()
    authority.cert_pem.write_to_path(directory / "authority.pem")
    server, client = (
        authority.issue_cert("mail.here.example"),
        authority.issue_cert("client.example", common_name="Clara"),
    )
    server.private_key_and_cert_chain_pem.write_to_path(directory / "server.pem")
    client.private_key_and_cert_chain_pem.write_to_path(directory / "client.pem")
    options = {
        "smtpd_tls_cert_file": f"{directory}/server.pem",
        "smtpd_tls_key_file": f"{directory}/server.pem",
        "smtpd_tls_CAfile": f"{directory}/authority.pem",
        "smtpd_tls_security_level": "may",
        "smtpd_tls_ask_ccert": "yes",
    }
    context = context_of(options, "sha256")
    plain, armed = (ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT) for _ in range(2))
    for each in (plain, armed):
        each.check_hostname, each.verify_mode = False, ssl.CERT_NONE
    armed.load_cert_chain(directory / "client.pem")
    by_digest = {digest: shake_hands(context_of(options, digest), armed) for digest in DIGESTS}
    yield Papers(options, f"{directory}/client.pem", by_digest["sha256"], shake_hands(context, plain), by_digest)


def context_of(options: dict[str, str], digest: str) -> ssl.SSLContext:
    text = "\n".join(f"{name} = {value}" for name, value in options.items())
    settings = Settings.from_text(f"{text}\nsmtpd_tls_fingerprint_digest = {digest}")
    return server_context(settings, mandatory=False)


def filled(settings: dict[str, str], facts: TlsFacts) -> dict[str, str]:
    return {
        name: value.replace("CERT=", f"{facts.peer_fingerprint}=").replace("KEY=", f"{facts.peer_key_fingerprint}=")
        for name, value in settings.items()
    }


def ours(court: Court, settings: dict[str, str], tls: TlsFacts) -> str:
    attempt = Attempt(address="198.18.5.5", helo="h.example", sender="a@friend.example", tls=tls, where="RCPT")
    attempt.recipient = "joe@here.example"

    async def judged() -> Verdict:
        answer = court.judge(settings).rcpt(attempt)
        return answer if isinstance(answer, Verdict) else await answer

    verdict = result_now(judged())
    return verdict.reply.line() if verdict.act is Act.REJECT and verdict.reply is not None else "OK"


@pytest.mark.peer
def test_certificates_mean_what_they_mean_to_postfix(box: Box, papers: Papers) -> None:
    main = {"smtpd_tls_fingerprint_digest": "sha256"}
    cases = [filled(settings, papers.shown) for settings in SETTINGS]

    wrong = []
    for settings, said in both(box, papers, main, cases, [papers.shown] * len(cases)):
        wrong += [(settings, *each) for each in said if each[1] != each[2]]
    assert wrong == []


@pytest.mark.peer
def test_every_digest_is_compared_as_postfix_does(box: Box, papers: Papers) -> None:
    cases, facts = [], []
    for digest, shown in papers.by_digest.items():
        for settings in BY_DIGEST:
            cases.append({**filled(settings, shown), "smtpd_tls_fingerprint_digest": digest})
            facts.append(shown)
    cases.append({**cases[0], "smtpd_tls_fingerprint_digest": "sha256"})
    facts.append(papers.shown)

    heard = [said[0] for _, said in both(box, papers, {}, cases, facts)]

    assert [ours for _, _, ours in heard] == [theirs for _, theirs, _ in heard]
    known = [
        "554 5.7.1 <Clara>: Client certificate rejected: by certificate",
        "554 5.7.1 <Clara>: Client certificate rejected: by key",
        "OK",
        "OK",
    ]
    assert [theirs for _, theirs, _ in heard] == [*known * len(DIGESTS), "OK"]


Said = list[tuple[bool, str, str]]
"""With and without a certificate: what Postfix said, and what we do."""


def both(
    box: Box, papers: Papers, main: dict[str, str], cases: list[dict[str, str]], facts: list[TlsFacts]
) -> Iterator[tuple[dict[str, str], Said]]:
    box.wipe()
    master = (box.read("/etc/postfix/master.cf") or b"").decode()
    for at, settings in enumerate(cases):
        options = "".join(f"  -o {{ {name} = {value} }}\n" for name, value in settings.items())
        master += f"{FIRST_PORT + at} inet n - n - - smtpd\n{options}"
    lines = {**BASE, **papers.options, **main}
    box.write("/etc/postfix/main.cf", "".join(f"{name} = {value}\n" for name, value in lines.items()))
    box.write("/etc/postfix/master.cf", master)
    pid = box.start_postfix()
    court = Court()
    try:
        for at, settings in enumerate(cases):
            box.listens(FIRST_PORT + at)
            said: Said = []
            for tls, file in ((facts[at], papers.client), (papers.hidden, "")):
                expected = theirs(box, FIRST_PORT + at, file)
                said.append((bool(file), expected, ours(court, {**papers.options, **settings}, tls)))
            yield settings, said
    finally:
        box.stop_postfix(pid)


def theirs(box: Box, port: int, file: str) -> str:
    acts: list[tuple[str, object]] = [("expect", 1), ("send", "STARTTLS\r\n"), ("expect", 1), ("starttls", file)]
    for command in ("HELO h.example", "MAIL FROM:<a@friend.example>", "RCPT TO:<joe@here.example>"):
        acts += [("send", f"{command}\r\n"), ("expect", 1)]
    last = box.talk(acts, port=port, source="198.18.5.5")[-1].lines[-1]
    return "OK" if last.startswith("250") else last


def test_a_key_has_a_fingerprint_of_its_own(papers: Papers) -> None:
    assert papers.shown.peer_key_fingerprint
    assert papers.shown.peer_key_fingerprint != papers.shown.peer_fingerprint
    assert papers.hidden.peer_fingerprint == papers.hidden.peer_key_fingerprint == ""


@pytest.mark.parametrize("data", [b"", b"\x30", b"\x30\x82\xff\xff", b"0" * 40, b"\x30\x80\x30\x80" + b"\x02\x01" * 9])
def test_what_is_no_certificate_has_no_key(data: bytes) -> None:
    assert fingerprint(public_key(data)) == ""


def test_an_unknown_digest_means_no_tls(papers: Papers) -> None:
    with pytest.raises(TlsTrouble, match='Digest algorithm "nonsense" not found'):
        context_of(papers.options, "nonsense")


def test_an_old_configuration_compares_by_md5(papers: Papers) -> None:
    text = "\n".join(f"{name} = {value}" for name, value in papers.options.items())

    digests = [
        server_context(Settings.from_text(f"compatibility_level = {level}\n{text}"), mandatory=False).fingerprint_digest
        for level in ("2", "3.6")
    ]

    assert digests == ["md5", "sha256"]
