"""A Seawall inside the box, as root with real users: laid out, started, asked, and stopped."""

from __future__ import annotations

import json
import re
import signal
import sys
from collections.abc import Mapping
from pathlib import Path

from tests.box import Box, Ran
from tests.system.server import until

GOLDEN = Path(__file__).parents[1] / "golden"
INDEXED = re.compile(r"\bhash:/etc/postfix/([^\s,{}]+)")
STRANGER = "198.18.3.4"  # client.good.example
PATIENCE = 12.0


class BoxSite:
    """One server in a box.  `log` begins where the site was laid out."""

    def __init__(self, box: Box) -> None:
        self.box = box
        self.pid = 0
        box.wipe()
        box.remove("/var/log/seawall.log")
        self.lay_out("")

    def lay_out(self, main_cf: str, files: Mapping[str, str] | None = None, zone: str = "") -> None:
        """Write main.cf and files below /etc/postfix; build the hash: maps that main.cf names."""
        files = files or {}
        self.box.write("/etc/postfix/main.cf", main_cf)
        for name, text in files.items():
            self.box.write(f"/etc/postfix/{name}", text)
        for name in sorted(set(INDEXED.findall(main_cf)) & files.keys()):
            self.box.run("postalias" if name == "aliases" else "postmap", f"hash:/etc/postfix/{name}")
        self.box.zone(zone)

    def lay_out_config_a(self, more: str = "", **others: str) -> None:
        """The thread's first configuration, word for word, with the maps that the corpus has for it."""
        folder = GOLDEN / "config-a"
        files = {
            path.relative_to(folder).as_posix(): path.read_text()
            for path in folder.rglob("*")
            if path.is_file() and path.name not in ("main.cf", "zone")
        }
        text = (folder / "main.cf").read_text()
        self.lay_out(text + more, {**files, **others}, (folder / "zone").read_text())

    def start(self, port: int = 25) -> BoxSite:
        before = len(self.printed())
        self.pid = self.box.start_seawall(port=port)
        until(lambda: "seawall: ready" in self.printed()[before:], "it is ready")
        return self

    def stop(self) -> None:
        if self.pid:
            self.box.stop(self.pid, timeout=30)
            self.pid = 0

    def printed(self) -> str:
        """Standard output and error of the server."""
        return (self.box.read("/var/log/seawall.log") or b"").decode("latin-1")

    def log(self) -> str:
        return self.box.log()[0]

    def said(self, text: str) -> None:
        until(lambda: text in self.log(), f"the log says: {text}")

    def children(self, role: str) -> list[int]:
        """Process ids of the children of one role, the spawner included where it is `delivery`."""
        return [pid for pid, line in self.box.processes().items() if f"-m seawall.run.{role} " in line]

    def mail(self, user: str) -> list[str]:
        """What lies in new/ of a user's Maildir."""
        texts = [self.box.read(path) for path in self.box.files(f"/home/{user}/Maildir/new")]
        return [text.decode("latin-1") for text in texts if text is not None]

    def arrives(self, user: str, text: str) -> str:
        """Wait for a mail with this text; the mail."""
        until(lambda: any(text in mail for mail in self.mail(user)), f"{user} gets: {text}")
        return next(mail for mail in self.mail(user) if text in mail)

    def submit(self, sender: str, recipient: str, text: str, *, source: str = STRANGER, port: int = 25) -> list[str]:
        """Send one message; the replies to MAIL, RCPT, DATA and its end, as far as it came."""
        acts: list[tuple[str, object]] = [("expect", 1), ("send", "EHLO client.good.example\r\n"), ("listen", 0.05)]
        for line in (f"MAIL FROM:<{sender}>", f"RCPT TO:<{recipient}>", "DATA", f"Subject: test\r\n\r\n{text}\r\n."):
            acts += [("send", f"{line}\r\n"), ("expect", 1)]
        heard = self.box.talk(acts, port=port, source=source, patience=PATIENCE)
        replies = [heard.lines[0] for heard in heard[2:] if heard.lines]
        return replies[: next((at for at, reply in enumerate(replies, 1) if reply[0] not in "23"), len(replies))]

    def accepted(self, sender: str, recipient: str, text: str, *, source: str = STRANGER, port: int = 25) -> None:
        """Send one message, which must be taken."""
        replies = self.submit(sender, recipient, text, source=source, port=port)
        assert replies[-1].startswith("250 2.0.0 Ok: queued as "), replies

    def seawall(self, *words: str, user: int = 0, stdin: str = "", check: bool = True) -> Ran:
        """Run a command of Seawall's, as root or as an ordinary user."""
        as_user = ["setpriv", f"--reuid={user}", f"--regid={user}", "--clear-groups"] if user else []
        command = [*as_user, sys.executable, "-m", "seawall", *words]
        return self.box.run(*command, stdin=stdin, check=check)

    def python(self, script: str, *words: object) -> object:
        """Run a script in the box with the words as `given`; what it prints is JSON."""
        text = f"import json, sys\ngiven = json.loads(sys.argv[1])\n{script}"
        return json.loads(self.box.run(sys.executable, "-c", text, json.dumps(words)).out)

    def status(self, pid: int) -> dict[str, str]:
        """/proc/PID/status."""
        lines = (self.box.read(f"/proc/{pid}/status") or b"").decode("latin-1").splitlines()
        return {name: value.strip() for name, _, value in (line.partition(":") for line in lines)}

    def kill(self, pid: int, number: signal.Signals = signal.SIGKILL) -> None:
        self.box.kill(pid, number)
