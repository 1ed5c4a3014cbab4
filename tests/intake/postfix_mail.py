r"""Record what the real cleanup(8) makes of mail: ``python -m tests.intake.postfix_mail`` writes postfix_mail.json.

Each case is sent once as a stranger (headers left alone) and once as ourselves (headers completed), under two
configurations.  What lands in the mailboxes, what stays in the queue, the reply and cleanup's log lines are kept,
with dates and queue ids masked.  test_postfix_mail.py asks ours the same.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from tests.box import Box

RECORDED = Path(__file__).parent / "postfix_mail.json"
USUAL = """\
compatibility_level = 3.6
mail_name = Seawall
myhostname = mail.example.org
myorigin = example.org
mydestination = $myhostname, localhost, example.org
append_dot_mydomain = yes
home_mailbox = Maildir/
alias_maps =
mynetworks = 127.0.0.0/8, 198.18.0.0/15
smtpd_peername_lookup = no
notify_classes =
virtual_alias_domains = v.example
virtual_alias_maps = texthash:MAPS/virtual
canonical_maps = texthash:MAPS/canonical
recipient_delimiter = +
masquerade_domains = masq.example
masquerade_exceptions = root
enable_long_queue_ids = yes
smtpd_recipient_restrictions = permit_mynetworks, reject
defer_transports = smtp
local_recipient_maps =
"""
CHECKED = (
    USUAL
    + """\
header_checks = regexp:MAPS/header_checks
body_checks = regexp:MAPS/body_checks
remote_header_rewrite_domain = domain.invalid
always_bcc = carol@example.org
sender_bcc_maps = inline:{new.name@example.org=dave@example.org}
recipient_bcc_maps = inline:{bob@example.org=erin}
undisclosed_recipients_header = To: undisclosed-recipients:;
always_add_missing_headers = yes
propagate_unmatched_extensions = canonical
header_size_limit = 1000
message_strip_characters = \\0
"""
)
MAPS = {
    "virtual": (
        "info@v.example bob@example.org, carol\nlist@v.example info@v.example, alice, dave@example.org\n"
        "@w.example @example.org\nloop@v.example loop@v.example, dave\nbad@v.example ,\n"
    ),
    "canonical": "old@host.example.org new.name@example.org\noldname@example.org erin\n",
    "header_checks": (
        "/^Subject:.*reject me/ REJECT no thanks\n/^Subject:.*later/ REJECT 4.7.9 come back\n"
        "/^Subject:.*discard me/ DISCARD bye\n/^Subject:.*hold me/ HOLD wait\n/^X-Strip:/ STRIP gone\n"
        "/^X-Repl:/ REPLACE X-New: new value\n/^X-Pre:/ PREPEND X-Before: yes\n"
        "/^X-Redirect:/ REDIRECT erin@example.org\n/^X-Bcc:/ BCC dave@example.org\n/evil/ WARN evil\n/^X-Ign/ IGNORE\n"
        "/^Subject: s$/ INFO seen\n/^Subject: pass/ PASS\n/^Subject: bad/ PREPEND no header\n/^Subject: odd/ FROB\n"
    ),
    "body_checks": (
        "/reject this/ REJECT 5.7.9 body bad\n/bodydrop/ IGNORE\n/bodyrepl/ REPLACE replaced\n/bodypre/ PREPEND before\n"
        "/evil/ WARN\n"
    ),
}
HEAD = "From: x@y.example\nTo: alice@example.org\nSubject: t\nMessage-Id: <1@y>\nDate: Mon, 1 Jan 2024 00:00:00 +0000\n"
SENDER, ALICE = "s@z.example", ("alice@example.org",)
# content, sender, recipients
CASES: list[tuple[str, str, tuple[str, ...]]] = [
    *(
        (content, SENDER, ALICE)
        for content in (
            HEAD + "\nbody\n",
            "\nbody\n",
            "",
            "no header at all\nFrom: x\n",
            " leading blank\nFrom: x\n",
            'From: me\nTo: you, Bob <bob>, "Q T" <q.t@host>\nCc: group: a, b@c;, d@e.f\nSubject: s\n\nx\n',
            "From someone Mon Jan\n>From other\nSubject: x\n\nbody\n",
            "Subject : old style\nFROM\t: me@here\nbcc: secret@x\nReturn-Path: <r@p>\nContent-Length: 3\n\nx\n",
            "Subject: x\nX-Foo: " + "a" * 3000 + "\n\n" + "b" * 3000 + "\n",
            "Resent-From: r\nSubject: s\nTo: u\n\nx\n",
            "Resent-To: r\nResent-Bcc: z\nDate: d\n\nx\n",
            "Message-ID: <abc@def>\nMessage-Id: <second@x>\nTo: a\n b,\n\tc\n\nx\n",
            "To: " + ", ".join(f"user{n}@some.domain.example" for n in range(12)) + "\nFrom: u\n\nx\n",
            'To: undisclosed-recipients:;\nReply-To: (hi) me (there)\nSender: "a\\"b" <c>\nErrors-To: <@x,@y:u@v>\n\nx\n',
            "To: a@b\nApparently-To: q\nDisposition-Notification-To: d\nMail-Followup-To: f\nReturn-Receipt-To: g\n\nx\n",
            "X: y\nnot a header\nZ: w\n\nbody\n",
            'To: broken <a@b\nCc: foo bar baz\nFrom: "unterminated\n\nx\n',
            "Received: a\n" * 49 + "To: x@y.z\n\nx\n",
            "Received: a\n" * 48 + "To: x@y.z\n\nx\n",
            "To: a%b, c!d, e@f., @g, h@\nFrom: <>\n\nx\n",
            "To:\nCc: ,,,\nFrom: \n\nx\n",
            "From: old@host.example.org\nTo: oldname@example.org, x@a.masq.example, root@a.masq.example\n\nx\n",
            "A" * 10 + ": " + "v" * 200 + "\n cont\n\ttab\n  two\nB: c\n \n d\n\nx\n",
            'Content-Type: multipart/mixed; boundary="xx"\nSubject: m\n\npre\n--xx\nContent-Type: text/plain\nX-Evil: 1\n\n'
            "hello evil\n--xx\nContent-Type: message/rfc822\n\nSubject: nested evil\nTo: a\n\nevil again\n--xx--\nafter\n",
            "Content-Type: multipart/mixed;\n boundary=xx; boundary=yy\n\n--yy\nX-Evil: 1\nno header, evil\n\n--xx\nX-Ign: 1\n\nx\n",
            "Subject: please reject me\n\nx\n",
            "Subject: maybe later\n\nx\n",
            "Subject: please discard me\n\nx\n",
            "Subject: please hold me\n\nx\n",
            "Subject: please strip me\nX-Strip: yes\nX-Repl: old\nX-Pre: a\nX-Ign: a\n\nx\nbodyreject not\n",
            "Subject: redir\nX-Redirect: a\n\nreject this\n",
            "Subject: bcc\nX-Bcc: a\n\nx\n",
            "Subject: b\n\none\nbodydrop\ntwo\nbodyrepl\nbodypre\n",
            "Subject: b\n\nbody reject this\n",
            "Subject: pass on\nX-Strip: stays\n\nreject this\n",
            "Subject: bad\nSubject: odd\n\nx\n",
        )
    ),
    (HEAD + "\nx\n", SENDER, ("alice@example.org", "bob@example.org", "ALICE@example.org")),
    (HEAD + "\nx\n", SENDER, ("info@v.example",)),
    (HEAD + "\nx\n", SENDER, ("info+ext@v.example", "list@v.example")),
    (HEAD + "\nx\n", SENDER, ("carol@w.example",)),
    (HEAD + "\nx\n", SENDER, ("alice@example.org", "bad@v.example")),
    (HEAD + "\nx\n", "mailer-daemon@example.org", ALICE),
    (HEAD + "\nx\n", "", ALICE),
    (HEAD + "\nx\n", "old@host.example.org", ("oldname@example.org",)),
]
SEND = r"""
import glob, json, re, smtplib, subprocess, sys, time
def boxes():
    return {name: open(name, encoding="utf-8", errors="surrogateescape").read() for name in glob.glob("/home/*/Maildir/new/*")}
out = []
for content, sender, recipients, ours in json.load(sys.stdin):
    before = set(boxes())
    with smtplib.SMTP(timeout=20) as client:
        client.source_address = ("127.0.0.1" if ours else "198.18.3.4", 0)
        client.connect("127.0.0.1" if ours else "192.0.2.1", 25)
        client.ehlo("client.example")
        client.mail(sender)
        for recipient in recipients:
            client.rcpt(recipient)
        client.docmd("DATA")
        client.send(re.sub(rb"(?m)^\.", b"..", content.encode().replace(b"\n", b"\r\n")) + b".\r\n")
        code, text = client.getreply()
    held = []
    for _ in range(100):
        time.sleep(0.03)
        waiting = subprocess.run(["postqueue", "-j"], capture_output=True, text=True).stdout.splitlines()
        entries = [json.loads(line) for line in waiting]
        if all(entry["queue_name"] in ("hold", "deferred") for entry in entries):
            break
    held = [[entry["queue_name"], entry["sender"], [r["address"] for r in entry["recipients"]]] for entry in entries]
    now = boxes()
    mail = sorted((name.split("/")[2], now[name]) for name in now if name not in before)
    out.append({"reply": f"{code} {text.decode()}", "mail": mail, "held": held})
    subprocess.run(["postsuper", "-d", "ALL"], capture_output=True)
json.dump(out, sys.stdout)
"""
_ID = re.compile(r"\b(?:4[0-9A-Za-z]{8,11}z[0-9A-Za-z]{1,8}|[0-9B-DF-HJ-NP-TV-Zb-df-hj-np-tv-z]{14})\b")
_DATE = re.compile(r"[A-Z][a-z]{2}, [ 0-9]\d [A-Z][a-z]{2} 20[2-9]\d \d\d:\d\d:\d\d [+-]\d{4} \([A-Z]+\)")


def masked(text: str) -> str:
    """`text` without what changes from run to run."""
    return _DATE.sub("DATE", _ID.sub("ID", text))


def record() -> list[dict[str, Any]]:
    """Ask the real one."""
    recorded = []
    with Box() as box:
        for name, text in MAPS.items():
            box.write(f"/etc/postfix/maps/{name}", text)
        for main_cf in (USUAL, CHECKED):
            box.write("/etc/postfix/main.cf", main_cf.replace("MAPS", "/etc/postfix/maps"))
            pid = box.start_postfix()
            cases = [(*case, ours) for case in CASES for ours in (False, True)]
            _, start = box.log()
            ran = box.run("python", "-c", SEND, stdin=json.dumps(cases), timeout=300)
            lines = [line.partition("]: ")[2] for line in box.log(start)[0].splitlines() if "/cleanup[" in line]
            box.stop_postfix(pid)
            answers = json.loads(masked(ran.out))
            recorded.append({"main.cf": main_cf, "answers": answers, "log": [masked(line) for line in lines]})
    return recorded


if __name__ == "__main__":
    RECORDED.write_text(json.dumps(record(), indent=1) + "\n")
