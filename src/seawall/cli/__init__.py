"""The commands, one a file: `seawall NAME …` runs `seawall.cli.NAME.main`.  postfix(1), postconf(1), postmap(1) …"""

from __future__ import annotations

COMMANDS: dict[str, tuple[str, str]] = {
    # name: (module below seawall.cli, one line of help)
    "serve": ("serve", "run the server"),
    "demo": ("demo", "run a demonstration server on loopback, with nothing to configure"),
    "postfix": ("postfix", "start, stop, reload, status, check, flush: for hands that expect Postfix's"),
    "check": ("check", "everything wrong, dead, doubtful or needlessly dear in a configuration"),
    "rehearse": ("rehearse", "play one session, no network client needed"),
    "explain": ("explain", "every check that a session met, and why it ended so"),
    "relay-proof": ("relay_proof", "prove that no stranger can relay, or print a session that does"),
    "exempt": ("exempt", "misconfigured but honest senders, and the checks that have no say about them"),
    "lists": ("lists", "ask every DNS list of a configuration whether it answers soundly"),
    "route": ("route", "where mail for an address goes, and why"),
    "policy-service": ("policy_service", "answer somebody else's Postfix with Seawall's own checks"),
    "postconf": ("postconf", "show and edit parameters"),
    "postmap": ("postmap", "build and query lookup tables"),
    "postalias": ("postalias", "build and query alias tables"),
    "newaliases": ("newaliases", "rebuild the alias database"),
    "postqueue": ("postqueue", "show and flush the queue"),
    "mailq": ("mailq", "show the queue"),
    "postsuper": ("postsuper", "delete, hold, release, requeue mail"),
    "postcat": ("postcat", "show a queue file"),
    "sendmail": ("sendmail", "submit a message"),
}
"""Every command.  A literal that is never changed; the help text and the reference page are drawn from it."""
