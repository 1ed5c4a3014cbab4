"""Whatever stands in main.cf, the proof gives an answer that can be printed, or says what cannot be read; never a traceback."""

from __future__ import annotations

import json
import random
from pathlib import Path

from seawall.cli.relay_proof import prove
from seawall.cli.relay_proof_text import as_json, as_text
from seawall.config.settings import load
from seawall.config.source import ConfigTrouble
from seawall.policy.registry import RESTRICTIONS
from seawall.tables.table import TableUnsupported

CONFIGURATIONS = 200
WORDS = (
    *RESTRICTIONS,
    *("static:OK", "inline:{a=b}", "regexp:{ {/(/ OK} }", "pcre:/x", "hash:/no", "pipemap:{", "unionmap:{}", "fail:x"),
    *(
        "randmap:{OK,DUNNO}",
        "pgsql:/x",
        "proxy:",
        "foo:bar",
        "{",
        "}",
        "{ inet:1:2, timeout=x }",
        "cls",
        "é",
        "!",
        "-5",
    ),
    *(
        "zen.x=127.0.0.[",
        "warn_if_reject",
        "\udcff",
        "0.0.0.0/0",
        "[::]/0",
        "/no/file",
        "!/no",
        "1.2.3.4/33",
        "tcp:1:2",
    ),
    *(
        "$myhostname",
        "environ:x",
        "unix:passwd.byname",
        "texthash:/dev/null",
        "cidr:{ {0/0 OK} }",
        "nis:x",
        "sqlite:/x",
    ),
)
PARAMETERS = (
    *(f"smtpd_{stage}_restrictions" for stage in ("client", "helo", "sender", "relay", "recipient", "data")),
    *("mynetworks", "relay_domains", "mydestination", "virtual_alias_domains", "virtual_mailbox_domains", "stress"),
    *("smtpd_authorized_xclient_hosts", "cls", "smtpd_restriction_classes", "transport_maps", "relay_clientcerts"),
    *("permit_mx_backup_networks", "smtpd_delay_reject", "smtpd_tls_security_level", "myhostname"),
)


def test_every_configuration_has_an_answer(tmp_path: Path) -> None:
    chance = random.Random(77)
    answered = 0
    for number in range(CONFIGURATIONS):
        etc = tmp_path / str(number) / "etc" / "postfix"
        etc.mkdir(parents=True)
        lines = ["compatibility_level = 3.6\n", "alias_maps =\n"]
        names = chance.sample(PARAMETERS, chance.randint(1, 5))
        lines += [f"{name} = {' '.join(chance.choices(WORDS, k=chance.randint(0, 5)))}\n" for name in names]
        (etc / "main.cf").write_bytes("".join(lines).encode("utf-8", "surrogateescape"))
        try:
            answers = prove(load("/etc/postfix", str(tmp_path / str(number))))
        except (ConfigTrouble, TableUnsupported):
            continue
        answered += 1
        assert json.loads(as_json(answers))["services"]
        assert as_text(answers).splitlines()[-1].startswith(("proved", "relays", "not proved"))

    assert answered > CONFIGURATIONS // 3
