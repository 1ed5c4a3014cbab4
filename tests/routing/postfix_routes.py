"""Record what the real trivial-rewrite(8) answers: ``python -m tests.routing.postfix_routes`` writes postfix_routes.json.

Two configurations, some 700 addresses each: the good, the odd, and chains of atoms and operators drawn at random from
a fixed seed.  test_postfix_routes.py asks ours the same.
"""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tests.box import Box

RECORDED = Path(__file__).parent / "postfix_routes.json"
PLAIN = """\
compatibility_level = 3.6
myhostname = mail.example.org
mydestination = $myhostname, localhost, example.org, inline:{d.example=x}
inet_interfaces = 127.0.0.1, 192.0.2.1
append_dot_mydomain = yes
virtual_alias_domains = inline:{v.example=x}
virtual_mailbox_domains = vm.example
virtual_mailbox_maps = static:x
relay_domains = inline:{r.example=x,q.example=x}
transport_maps = inline:{
  {r.example=smtp:[10.0.0.1]:2525} {.t.example=:foo} {u.example=error:no such place} {u2.example=error:}
  {user@x.example=relay:} {c.example=:}}
recipient_delimiter = +
relayhost = [192.0.2.25]
sender_dependent_relayhost_maps = inline:{ {alice@example.org=[10.9.9.9]} {@s.example=DUNNO} }
"""
ODD = """\
compatibility_level = 3.6
myhostname = mail.example.org
mydestination = $myhostname, localhost, example.org, inline:{d.example=x}
inet_interfaces = 127.0.0.1, 192.0.2.1
proxy_interfaces = 9.9.9.9
virtual_alias_domains = v.example
relay_domains = r.example q.example
transport_maps = inline:{{r.example=smtp:[10.0.0.1]:2525} {t.example=:foo} {vm.example=retry:} {*=uucp:}}
recipient_delimiter = +-
swap_bangpath = no
allow_percent_hack = no
append_dot_mydomain = no
resolve_dequoted_address = no
resolve_null_domain = yes
resolve_numeric_domain = yes
allow_min_user = yes
remote_header_rewrite_domain = domain.invalid
parent_domain_matches_subdomains = relay_domains, transport_maps
sender_dependent_default_transport_maps = inline:{{alice@example.org=lmtp:unix:/x} {@s.example=DUNNO}}
relocated_maps = inline:{bob@q.example=bob@new.example}
empty_address_recipient = nobody
show_user_unknown_table_name = no
"""
ATOMS = [
    "a",
    "bob",
    "example",
    "org",
    "example.org",
    "d.example",
    "x",
    "mail.example.org",
    "v.example",
    "vm.example",
    "r.example",
    "y.r.example",
    "u.example",
    "x.t.example",
    "user@x.example",
    "c.example",
    "other.example",
    "bob+ext",
    "owner-x",
    "localhost",
    "127.0.0.1",
    "[127.0.0.1]",
    "[1.2.3.4]",
    "[IPv6:::1]",
    "1.2.3.4",
    "postmaster",
    "é",
]
OPERATORS = (*'@@@.!%:,"\\ ()<>[]+-_', "")
SAID = [
    "bob",
    "bob@example.org",
    "bob@EXAMPLE.org.",
    "a@b@example.org",
    "a%b@example.org",
    "b!a",
    "@",
    "a@",
    "@a",
    "@a,@b:c@d.example",
    "a@b..c",
    "a@.",
    "-x@example.org",
    '"a b"@example.org',
    "a b@example.org",
    '"x@y"@example.org',
    "x@y@example.org",
    "",
    "MAILER-DAEMON",
    "a@[127.0.0.1]",
    "a@[192.0.2.1]",
    "a@[9.9.9.9]",
    "a@9.9.9.9",
    "a@b_c",
    "a@-b",
    "a@b-",
    "u@u.example",
    "u@u2.example",
    "user@x.example",
    "user+e@x.example",
    "q@c.example",
    "z@q.z.t.example",
    "z@t.example",
    "bob@q.example",
    "bob@v.example",
    "bob@vm.example",
    "a@b.r.example",
]
SENDERS = ("", "alice@example.org", "m@s.example", "n@z.example")

ASK = r"""
import json, socket, sys
def ask(*words):
    with socket.socket(socket.AF_UNIX) as link:
        link.settimeout(20)
        link.connect("/var/spool/postfix/private/rewrite")
        link.sendall("\0".join(words).encode("utf-8", "surrogateescape") + b"\0\0")
        heard = b""
        while not (heard.endswith(b"\0\0") and b"flags" in heard):
            heard += link.recv(65536)
    return heard.decode("utf-8", "surrogateescape").split("\0\0", 1)[1].split("\0")
out = []
for address, sender in json.load(sys.stdin):
    rewritten = [ask("request", "rewrite", "rule", rule, "address", address)[3] if address else "" for rule in ("local", "remote")]
    words = ask("request", "resolve", "sender", sender, "address", address)
    out.append([address, sender, rewritten, words[3::2][:3], int(words[words.index("flags", 2) + 1])])
json.dump(out, sys.stdout)
"""


def addresses() -> Iterator[str]:
    """The addresses to ask."""
    yield from SAID
    chance = random.Random(7)
    for _ in range(650):
        parts = [chance.choice(OPERATORS if at % 2 else ATOMS) for at in range(chance.randint(1, 7))]
        yield "".join(parts)


def record() -> list[dict[str, Any]]:
    """Ask the real one."""
    chance = random.Random(8)
    recorded = []
    with Box() as box:
        for main_cf in (PLAIN, ODD):
            questions = [(address, chance.choice(SENDERS)) for address in addresses()]
            box.write("/etc/postfix/main.cf", main_cf)
            pid = box.start_postfix()
            ran = box.run("python", "-c", ASK, stdin=json.dumps(questions), timeout=120)
            box.stop_postfix(pid)
            recorded.append({"main.cf": main_cf, "answers": json.loads(ran.out)})
    return recorded


def as_lines(recorded: list[dict[str, Any]]) -> str:
    """JSON with one answer a line, so that a new recording shows as a readable difference."""
    sets = []
    for each in recorded:
        answers = ",\n".join(json.dumps(answer, separators=(",", ":")) for answer in each["answers"])
        sets.append(f'{{"main.cf": {json.dumps(each["main.cf"])},\n"answers": [\n{answers}\n]}}')
    return "[\n" + ",\n".join(sets) + "\n]\n"


if __name__ == "__main__":
    RECORDED.write_text(as_lines(record()))
