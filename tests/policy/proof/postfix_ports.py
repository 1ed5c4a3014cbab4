"""The relay cases under the real Postfix: one start, a port for each of them, sessions played over the network."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from tests.box import Box
from tests.policy.proof.relay_cases import BASE, RelayCase

FIRST_PORT = 4000
TESTERS = "198.18.0.0/15"
ROUTING = frozenset(
    {"mydestination", "relay_domains", "virtual_alias_domains", "virtual_mailbox_domains", "transport_maps"}
    | {"parent_domain_matches_subdomains", "compatibility_level"}
)
"""What trivial-rewrite(8) goes by as well."""
CLOSES = "220 2.0.0"


class Ports:
    """Postfix with a service for each case."""

    def __init__(
        self, box: Box, cases: Sequence[RelayCase], zone: str, *, stressed: frozenset[str] = frozenset()
    ) -> None:
        self._box = box
        self._ports = {case.name: FIRST_PORT + at for at, case in enumerate(cases)}
        self._cases = {case.name: case for case in cases}
        self._stressed = stressed
        box.wipe()
        box.zone(zone)
        master = (box.read("/etc/postfix/master.cf") or b"").decode()
        for case in cases:
            master += self._services(case)
            for name, text in case.files.items():
                box.write(f"/etc/postfix/{case.name}/{name}", text)
        main = {**BASE, "smtpd_authorized_xclient_hosts": TESTERS}
        box.write("/etc/postfix/main.cf", "".join(f"{name} = {value}\n" for name, value in main.items()))
        box.write("/etc/postfix/master.cf", master)
        self._master = box.start_postfix()
        for port in self._ports.values():
            assert box.listens(port), port

    def close(self) -> None:
        self._box.stop_postfix(self._master)

    def _services(self, case: RelayCase) -> str:
        port = self._ports[case.name]
        values = dict(case.main)
        options = [f"  -o {{ {name} = {value} }}" for name, value in values.items()]
        extra = ""
        if ROUTING & values.keys():
            options.append(f"  -o rewrite_service_name=rewrite{port}")
            extra = "\n".join([f"rewrite{port} unix - - n - - trivial-rewrite", *options[:-1]]) + "\n"
        if case.name in self._stressed:
            options.append("  -o stress=yes")
        text = ""
        for line in (case.master or "@PORT@ inet n - n - - smtpd\n").splitlines():
            if line.startswith((" ", "\t")):
                text += line + "\n"
                continue
            own = options
            if line.endswith("postscreen"):
                own = [
                    *options,
                    f"  -o smtpd_service_name=pass{port}",
                    "  -o { postscreen_access_list = cidr:{{0.0.0.0/0 permit}} }",
                    "  -o { postscreen_cache_map = }",
                ]
            text += "\n".join([line, *own]) + "\n"
        text = text.replace("@PORT@", str(port)).replace("@PASS@", f"pass{port}") + extra
        return text.replace("@DIR@", f"/etc/postfix/{case.name}")

    def talk(self, case: RelayCase, lines: Sequence[str], source: str = "198.18.3.4") -> list[str]:
        """The last line of each reply: to the greeting, and to every line but PROXY's, before which there is none."""
        acts: list[tuple[str, object]] = []
        if lines[0].startswith("PROXY"):
            acts += [("send", f"{lines[0]}\r\n")]
            lines = lines[1:]
        acts.append(("expect", 1))
        for line in lines:
            acts += [("send", f"{line}\r\n"), ("expect", 1)]
        heard = self._box.talk(acts, port=self._ports[case.name], source=source)
        return [one.lines[-1] if one.lines else "" for one in heard]


def commands(script: Sequence[str]) -> Iterator[str]:
    """A rehearsal's session as a client says it to Postfix, who he is by XCLIENT, or by PROXY where the script says so."""
    reverse = next((line.split()[2] for line in script if line.startswith("assume reverse ")), "")
    is_proxy = any("by PROXY" in line for line in script)
    for line in script:
        words = line.split()
        match words[0]:
            case "client":
                name = words[1] if len(words) == 3 else "[UNAVAILABLE]"
                if is_proxy:
                    yield f"PROXY TCP4 {words[2]} 192.0.2.1 4321 25"
                else:
                    yield f"XCLIENT NAME={name} REVERSE_NAME={reverse or name} ADDR={words[2]}"
            case "helo":
                yield f"HELO {words[1]}"
            case "mail":
                yield f"MAIL FROM:<{words[1].strip('<>')}>"
            case "rcpt":
                yield f"RCPT TO:<{words[1]}>"
            case "data":
                yield "DATA"
            case "end_of_data":
                yield "Subject: through you\r\n\r\nGood day.\r\n."


def zone_of(scripts: Sequence[Sequence[str]]) -> str:
    """The DNS that scripts assume."""
    records: dict[str, None] = {}
    for script in scripts:
        for line in script:
            words = line.split()
            if words[:2] == ["assume", "dns"]:
                dotted = words[4:] if words[3] == "A" else [*words[4:-1], words[-1] + "."]
                records[f"{words[2]}. {words[3]} {' '.join(dotted)}"] = None
    return "".join(f"{record}\n" for record in records)
