"""Who comes to the door, in every configuration that makes a difference."""

from __future__ import annotations

from collections.abc import Iterator

from tests.door.versus_postscreen import Case, Visit, address, says

ENVELOPE = ("EHLO client.example", "MAIL FROM:<a@b.example>", "RCPT TO:<x@example.com>")
POLITE = says(*ENVELOPE, "QUIT")
EARLY = says(*ENVELOPE[1:], "QUIT", early="EHLO early\r\n")
DEEP = {
    "pipelining": ("EHLO client.example", "MAIL FROM:<a@b.example>\r\nRCPT TO:<x@example.com>\r\n"),
    "non_smtp_command": ("EHLO client.example", "GET / HTTP/1.0", "Subject: hello there", "XYZZY"),
    "bare_newline": ("EHLO client.example\n", "MAIL FROM:<a@b.example>"),
}
ALL_DEEP = {f"postscreen_{name}_enable": "yes" for name in DEEP}
LISTED = 9
"""The client that bl.example names in every case; wl.example names 8, other.example 7 with several answers."""


def zone(cases: int) -> str:
    lines = ["$TTL 300"]
    for at in range(cases):
        for client, domain, answer in (
            (9, "bl.example", "127.0.0.2"),
            (8, "wl.example", "127.0.0.3"),
            (8, "bl.example", "127.0.0.2"),
            (7, "other.example", "127.0.0.4"),
            (7, "other.example", "127.0.1.10"),
            (6, "wl.example", "127.0.0.3"),
        ):
            reverse = ".".join(reversed(address(at, client).split(".")))
            lines.append(f"{reverse}.{domain}. IN A {answer}")
        reverse = ".".join(reversed(address(at, 5).split(".")))
        lines.append(f";!servfail {reverse}.bl.example A")
    return "\n".join(lines) + "\n"


def cases() -> Iterator[Case]:
    yield Case("defaults", {}, (Visit(POLITE), Visit(POLITE), Visit(EARLY, 2), Visit(EARLY, 1)))
    for action in ("ignore", "enforce", "drop"):
        yield Case(f"early talker, {action}", {"postscreen_greet_action": action}, (Visit(EARLY), Visit(POLITE)))
        yield Case(
            f"listed, {action}",
            {"postscreen_dnsbl_sites": "bl.example", "postscreen_dnsbl_action": action},
            (Visit(POLITE, 9), Visit(POLITE, 2), Visit(POLITE, 2), Visit(POLITE, 5), Visit(EARLY, 9)),
        )
        yield Case(
            f"denied, {action}",
            {"postscreen_access_list": "cidr:/etc/postfix/access.cidr", "postscreen_denylist_action": action},
            (Visit(POLITE, 1), Visit(POLITE, 2), Visit(POLITE, 3), Visit(POLITE, 4)),
            {"access.cidr": access(range(256))},
        )
        for name, lines in DEEP.items():
            settings = {f"postscreen_{name}_enable": "yes", f"postscreen_{name}_action": action}
            yield Case(
                f"{name}, {action}",
                settings,
                (Visit(says(*lines, *ENVELOPE, "QUIT")), Visit(POLITE), Visit(POLITE, 2), Visit(POLITE, 2)),
            )
    yield from lists()
    yield from dialogues()
    yield from limits()
    yield from encrypted()


def access(numbers: range) -> str:
    lines = []
    for at in numbers:
        for client, word in ((1, "reject"), (2, "permit"), (3, "dunno"), (4, "what")):
            lines.append(f"{address(at, client)} {word}")
    return "\n".join(lines) + "\n"


def lists() -> Iterator[Case]:
    def scored(name: str, sites: str, *clients: int, **settings: str) -> Case:
        options = {f"postscreen_{key}": value for key, value in settings.items()}
        visits = tuple(Visit(POLITE, client) for client in clients)
        return Case(name, {"postscreen_dnsbl_sites": sites, "postscreen_dnsbl_action": "enforce", **options}, visits)

    yield scored("weights", "bl.example*3, wl.example*-2", 9, 8, 6, dnsbl_threshold="2")
    yield scored("filters", "other.example=127.0.0.[2..4]*2 other.example=127.0.[0;1].10*3", 7, 9, dnsbl_threshold="5")
    yield scored("filter that fits nobody", "bl.example=127.0.0.[3..9]", 9)
    yield scored("well known elsewhere", "wl.example*-3", 6, 6, dnsbl_allowlist_threshold="-2", pipelining_enable="yes")
    yield Case(
        "reply map",
        {
            "postscreen_dnsbl_sites": "bl.example",
            "postscreen_dnsbl_action": "drop",
            "postscreen_dnsbl_reply_map": "inline:{bl.example=the-list.example}",
        },
        (Visit(POLITE, 9),),
    )
    yield Case("veto", {"postscreen_allowlist_interfaces": "!192.0.2.1, static:all"}, (Visit(POLITE), Visit(POLITE)))
    yield Case("no teaser", {"postscreen_greet_banner": ""}, (Visit(POLITE), Visit(EARLY, 2)))
    yield Case(
        "old words",
        {"respectful_logging": "no", "postscreen_access_list": "cidr:/etc/postfix/access.cidr"},
        (Visit(POLITE, 1), Visit(POLITE, 2)),
        {"access.cidr": access(range(256))},
    )
    yield Case("words of the list", {"postscreen_access_list": "permit_mynetworks, bogus, permit"}, (Visit(POLITE),))
    yield Case("no memory", {"postscreen_cache_map": ""}, (Visit(POLITE), Visit(POLITE)))


def dialogues() -> Iterator[Case]:
    commands = (
        (
            "HELO",
            "HELO there",
            "EHLO",
            "EHLO there and more",
            "MAIL",
            "MAIL FROM:<>",
            "MAIL FROM:<a>",
            "RCPT",
            "RCPT TO:<x>",
        ),
        ("RCPT TO:<x>", "MAIL FROM:a@b", 'RCPT TO:<"a b"@c>', "RCPT TO:<@r:a@b>", "RSET", "RCPT TO:<a>"),
        (
            "NOOP",
            "VRFY",
            "VRFY x",
            "ETRN",
            "ETRN a.example",
            "AUTH PLAIN x",
            "XCLIENT A=b",
            "STARTTLS",
            "HELP",
            "noop x",
        ),
        ("DATA",),
        ("DATA now",),
        ("EHLO x", "MAIL FROM:<a@b>", "DATA"),
        ("BDAT",),
        ("BDAT 4 LAST",),
        ("EHLO x", "MAIL FROM:<a@b>", "BDAT 4 LAST\r\nabcd"),
        ("  EHLO  x", "mail  from:<a\\@b>", "rcpt to:<c>", "", " ", "\x00", "EHLO \x80\x81", "EHLO x\x00y"),
        ("\x80\x81", "a:b", ":b", "a\x01:b", "QUIT now"),
    )
    listed = {"postscreen_dnsbl_sites": "bl.example", "postscreen_dnsbl_action": "enforce"}
    for at, lines in enumerate(commands):
        yield Case(f"dialogue {at}", listed, (Visit(says(*lines, "QUIT"), 9),))
    strict = {"postscreen_helo_required": "yes", "postscreen_disable_vrfy_command": "yes"}
    yield Case("strict", {**listed, **strict}, (Visit(says(*ENVELOPE[1:], "ETRN x", "VRFY x", *ENVELOPE, "QUIT"), 9),))
    yield Case("softly", {**listed, "soft_bounce": "yes"}, (Visit(says(*ENVELOPE, "BOGUS", "DATA"), 9),))
    dropped = {**listed, "postscreen_dnsbl_action": "drop"}
    yield Case("softly dropped", {**dropped, "soft_bounce": "yes"}, (Visit(POLITE, 9),))
    footer = "call us, $client_address at $server_name"
    yield Case(
        "footer",
        {**listed, "postscreen_reject_footer": f"{footer}\\nsoon"},
        (Visit(says(*ENVELOPE, "ETRN x", "QUIT"), 9),),
    )
    yield Case("footer on the line", {**dropped, "postscreen_reject_footer": f"\\c; {footer}"}, (Visit(POLITE, 9),))
    yield Case("keywords", {**listed, "postscreen_discard_ehlo_keywords": "etrn, dsn, vrfy"}, (Visit(POLITE, 9),))
    yield Case(
        "keywords of some",
        {**listed, "postscreen_discard_ehlo_keyword_address_maps": "static:{etrn, dsn}"},
        (Visit(POLITE, 9),),
    )
    yield Case(
        "filter",
        {**listed, "postscreen_command_filter": "pcre:{{/^BOGUS (.*)/ EHLO $1}}"},
        (Visit(says("BOGUS client.example", *ENVELOPE[1:], "QUIT"), 9),),
    )
    yield Case(
        "all deep tests", ALL_DEEP, (Visit(POLITE), Visit(POLITE), Visit(says("EHLO x", "QUIT"), 2), Visit(POLITE, 2))
    )
    yield Case(
        "fails after it passed",
        {**ALL_DEEP, "postscreen_bare_newline_action": "enforce"},
        (Visit(says(*ENVELOPE, "RSET\n", "MAIL FROM:<b@c>", "RCPT TO:<d@e>", "QUIT")), Visit(POLITE)),
    )


def encrypted() -> Iterator[Case]:
    """STARTTLS before a client has passed."""
    deep = {"postscreen_pipelining_enable": "yes", "postscreen_tls_security_level": "may"}
    secured = (*says("EHLO x", "STARTTLS", ends=False), ("starttls", ""), *says(*ENVELOPE, "QUIT", greeted=False))
    yield Case("STARTTLS", deep, (Visit(secured), Visit(POLITE), Visit(secured, 2)))
    must = {**deep, "postscreen_tls_security_level": "encrypt"}
    yield Case("STARTTLS demanded", must, (Visit(POLITE), Visit(secured, 2)))
    again = says("EHLO x", "STARTTLS", "NOOP", "QUIT", greeted=False)
    yield Case("STARTTLS twice", deep, (Visit((*secured[:6], *again)), Visit(says("STARTTLS", "QUIT"), 2)))
    noise = says("EHLO x", "STARTTLS", "this is no handshake", ends=True)
    yield Case("no handshake", deep, (Visit(noise),))


def crowd(client: int, last: int) -> Visit:
    """Clients that come one after the other while all before them still wait."""
    beside = (crowd(client + 1, last),) if client < last else ()
    return Visit(POLITE, client, beside)


def limits() -> Iterator[Case]:
    yield Case(
        "stress",
        {"postscreen_pre_queue_limit": "10", "postscreen_greet_wait": "${stress?{1}:{3}}s"},
        (crowd(1, 12), Visit(POLITE, 1)),
        is_ordered=False,
    )
    deep = {"postscreen_pipelining_enable": "yes"}
    yield Case("too many commands", {**deep, "postscreen_command_count_limit": "3"}, (Visit(says(*["NOOP"] * 5)),))
    yield Case(
        "quit counts not", {**deep, "postscreen_command_count_limit": "2"}, (Visit(says("NOOP", "NOOP", "QUIT")),)
    )
    long = {**deep, "line_length_limit": "600"}
    for size in (598, 599, 600, 601, 700):
        yield Case(f"line of {size}", long, (Visit(says("NOOP " + "x" * (size - 5), "QUIT")),))
    yield Case("line without end", long, (Visit((("listen", 0.05), ("send", "x" * 5000), ("expect-close", ""))),))
    yield Case(
        "too slow",
        {**deep, "postscreen_command_time_limit": "3s"},
        (Visit((*says("NOOP", ends=False), ("expect-close", ""))),),
    )
    yield Case("gone at once", {}, (Visit((("close", ""),)),))
    yield Case("gone after the teaser", {}, (Visit((("expect", 1), ("close", ""))),))
    yield Case("gone after", deep, (Visit(says()), Visit(says("EHLO x"), 2), Visit(says(*ENVELOPE), 3)))
    half = (("listen", 0.05), ("send", "EHLO x\r\nNOOP"), ("shutdown", ""), ("expect-close", ""))
    yield Case("half closed", deep, (Visit(half),))
    waiting = says(*ENVELOPE, "QUIT")
    yield Case(
        "too many connections",
        {"postscreen_client_connection_count_limit": "1"},
        (Visit(waiting, 1, (Visit((("expect-close", ""),)),)), Visit(POLITE)),
    )
    yield Case("two at a time", {}, (Visit(waiting, 1, (Visit(waiting),)), Visit(POLITE)))
    yield Case(
        "pipelined greeting",
        {**deep, "postscreen_pipelining_action": "ignore"},
        (Visit(says("EHLO x\r\nMAIL FROM:<a@b>\r\nRCPT TO:<c@example.com>\r\nQUIT\r\n")),),
    )
    yield Case(
        "long early talker", {"postscreen_greet_action": "enforce"}, (Visit(says("QUIT", early="NOOP\r\n" * 300)),)
    )
