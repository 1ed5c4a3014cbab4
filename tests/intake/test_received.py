from seawall.intake.received import ReceivedHeaders
from seawall.mail.envelope import Origin, TlsFacts

HEADERS = ReceivedHeaders("mail.example.org", "Seawall", tls_header=True, sasl_header=True)
AT = 1_795_440_300.0


def lines(origin: Origin, recipient: str = "") -> list[str]:
    return HEADERS.header(origin, "QID", AT, recipient).splitlines()


def test_several_recipients_are_not_named() -> None:
    origin = Origin(client_name="mx.example", client_address="198.18.0.1", helo="h.example", protocol="SMTP")
    found = lines(origin)
    assert found[0] == "Received: from h.example (mx.example [198.18.0.1])"
    assert found[1] == "\tby mail.example.org (Seawall) with SMTP id QID;"
    assert found[2].startswith("\tMon, 23 Nov 2026 ")


def test_a_sole_recipient_is_named_in_quotes_where_needed() -> None:
    origin = Origin(client_name="unknown", client_address="2001:db8::1", protocol="ESMTP")
    found = lines(origin, "a b@example.org")
    assert found[0] == "Received: from unknown (unknown [IPv6:2001:db8::1])"
    assert found[2].startswith('\tfor <"a b"@example.org>; Mon, 23 Nov 2026 ')


def test_a_helo_name_cannot_write_headers() -> None:
    origin = Origin(client_name="unknown", client_address="198.18.0.1", helo='x)\n\ty: "(<@;:')
    assert lines(origin)[0] == f"Received: from x???y{'?' * 8} (unknown [198.18.0.1])"


def test_tls_and_login_stand_in_comments() -> None:
    tls = TlsFacts("TLSv1.3", "TLS_AES_256_GCM_SHA384", 256, 256)
    origin = Origin(client_address="198.18.0.1", tls=tls, sasl_username="ann)x", protocol="ESMTPSA")
    found = lines(origin)
    assert found[1] == "\t(using TLSv1.3 with cipher TLS_AES_256_GCM_SHA384 (256/256 bits))"
    assert found[2] == "\t(No client certificate requested)"
    assert found[3] == "\t(Authenticated sender: ann?x)"


def test_a_client_certificate_is_named() -> None:
    tls = TlsFacts("TLSv1.2", "X", 128, 128, peer_subject="client", peer_issuer="CA (x)", peer_trusted=True)
    found = lines(Origin(client_address="198.18.0.1", tls=tls))
    assert found[2] == '\t(Client CN "client", Issuer "CA ?x?" (verified OK))'
