from seawall.smtp.extensions import ehlo_lines, format_ehlo, parse_discarded


def test_ehlo_offers_what_postfix_offers_in_its_order() -> None:
    lines = ehlo_lines("h", frozenset(), size=100, starttls=True, mechanisms=("PLAIN", "LOGIN"), broken_auth=True)
    assert lines == (
        "h",
        "PIPELINING",
        "SIZE 100",
        "VRFY",
        "ETRN",
        "STARTTLS",
        "AUTH PLAIN LOGIN",
        "AUTH=PLAIN LOGIN",
        "ENHANCEDSTATUSCODES",
        "8BITMIME",
        "DSN",
        "SMTPUTF8",
        "CHUNKING",
    )


def test_trusted_hosts_are_offered_more() -> None:
    lines = ehlo_lines("h", frozenset(), verp=True, xclient=True, xforward=True)
    assert lines[5:8] == (
        "XVERP",
        "XCLIENT NAME ADDR PROTO HELO REVERSE_NAME PORT LOGIN DESTADDR DESTPORT",
        "XFORWARD NAME ADDR PROTO HELO SOURCE PORT IDENT",
    )


def test_keywords_can_be_taken_away() -> None:
    taken, unknown = parse_discarded(["Pipelining", "DSN", "etrn", "silent-discard", "bogus"])
    assert unknown == ("bogus",)
    lines = ehlo_lines("h", taken)
    assert not {"PIPELINING", "DSN", "ETRN"} & set(lines)
    assert format_ehlo(("h", "SIZE")) == b"250-h\r\n250 SIZE\r\n"
