"""Invariant: whatever main.cf, master.cf, the tables and resolv.conf hold, every rule of `seawall check` ends, and says
only places that exist: never a traceback, never a hang."""

from pathlib import Path

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from seawall.cli.lint.every_rule import RULES, examine, findings_of
from seawall.cli.lint.site import read_site
from seawall.config.registry import REGISTRY
from seawall.config.settings import load
from seawall.config.source import ConfigTrouble
from seawall.policy.list_status import known_lists
from seawall.policy.registry import RESTRICTIONS
from seawall.policy.stages import STAGES
from tests.cli.lint.cases import HOST, NOW, read_cases

LISTS = [stage.parameter for stage in STAGES.values()]
FILES = ["/etc/postfix/t", "/etc/postfix/u", "/etc/gone", "/etc/postfix", "/etc/\0", "t"]
TABLES = st.builds(
    lambda kind, file: f"{kind}:{file}",
    st.sampled_from(
        ["hash", "texthash", "cidr", "regexp", "pcre", "lmdb", "cdb", "proxy:hash", "proxy:pgsql", "x", "nis", "static"]
    ),
    st.sampled_from([*FILES, "{", "{{a b}}", ""]),
)
WORDS = st.one_of(
    st.sampled_from(sorted(RESTRICTIONS)),
    st.sampled_from(
        ["warn_if_reject", "one", "two", "$one", "${one", "$mynetworks", "{", "}", ",", "", "a:b:c", "=", "*3"]
    ),
    st.builds(
        lambda zone, end: zone + end,
        st.sampled_from(sorted(known_lists())),
        st.sampled_from(["", "=127.0.0.2", "=127.0.0.[", "=x", "=300.1.1.1", "*-2"]),
    ),
    st.sampled_from(["0.0.0.0/0", "[::]/0", "10.0.0.1/8", "1.2.3.4/99", "zen.spamhaus.org=127.0.0.[2..11]", "8.8.8.8"]),
    TABLES,
    st.text(max_size=5),
)
VALUES = st.lists(WORDS, max_size=7).map(lambda words: "\n  ".join(" ".join(words).split("\n")))
NAMES = st.one_of(
    st.sampled_from(LISTS),
    st.sampled_from(sorted(REGISTRY)),
    st.sampled_from(["one", "two", "smtpd_restriction_classes", "mynetworks"]),
)
SIMPLE = st.sampled_from(
    [
        "yes",
        "no",
        "0",
        "1",
        "-1",
        "550",
        "450",
        "999999999999999999999",
        "1d",
        "x",
        "$one",
        "${stress?{1}:{2}}",
        "/etc/postfix/t",
        "encrypt",
        "!TLSv1 >=x",
    ]
)
LINES = st.builds(lambda name, value: f"{name} = {value}", NAMES, st.one_of(VALUES, SIMPLE))
MAIN = st.lists(LINES, max_size=12).map("\n".join)
SERVICES = st.sampled_from(
    [
        "smtp inet n - n - - smtpd",
        "submission inet n - n - 1 smtpd\n  -o smtpd_tls_wrappermode=yes\n # comment\n  -o { smtpd_client_restrictions = reject, permit }",
        "smtps inet n - y - - smtpd -o smtpd_sasl_auth_enable=yes -o mynetworks=0.0.0.0/0",
        "smtp inet n - n - 1 postscreen",
        "x unix - - y - - pipe user=root",
        "smtp unix - - y - 0 smtp -o smtpd_banner=x",
        "broken",
        "y inet y - n - - spawn",
        "smtp inet n - n - - smtpd -o smtpd_timeout",
    ]
)
CONTENTS = st.one_of(
    st.lists(
        st.sampled_from(
            [
                "a b",
                "A b",
                "*.x REJECT",
                "192.0.2.0/24 OK",
                "192.0.2.1/24 BLOCK",
                "0.0.0.0/0 x",
                "if /a/",
                "endif",
                "/./ OK",
                "/x/i $9",
                "/(/ x",
                "  more",
                "# no",
                "x check_client_access hash:/x",
                "[::1]/0 1",
                "password = x",
                "nameserver 8.8.8.8",
                "nameserver",
                "-----BEGIN CERTIFICATE-----",
                "-----END CERTIFICATE-----",
            ]
        ),
        max_size=8,
    ).map(lambda lines: "\n".join(lines).encode()),
    st.binary(max_size=60),
)


def lay(root: Path, files: dict[str, bytes]) -> None:
    for name, content in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)


@settings(
    max_examples=150, deadline=5000, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
@given(
    main=st.one_of(MAIN, st.text(max_size=60)),
    master=st.one_of(st.lists(SERVICES, max_size=4).map("\n".join), st.text(max_size=40)),
    table=CONTENTS,
    other=CONTENTS,
)
def test_no_configuration_upsets_a_rule(tmp_path: Path, main: str, master: str, table: bytes, other: bytes) -> None:
    lay(
        tmp_path,
        {
            "etc/postfix/main.cf": main.encode("utf-8", "surrogatepass"),
            "etc/postfix/master.cf": master.encode("utf-8", "surrogatepass"),
            "etc/postfix/t": table,
            "etc/postfix/u": other,
            "etc/resolv.conf": other,
        },
    )
    try:
        site = read_site(load("/etc/postfix", str(tmp_path), HOST), NOW)
    except ConfigTrouble:
        return
    for finding in examine(site):
        assert finding.what and finding.why
        assert finding.location is None or finding.location.line >= 0


@settings(max_examples=40, deadline=5000, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_a_case_of_one_rule_upsets_no_other_even_when_it_is_cut_short(tmp_path: Path, data: st.DataObject) -> None:
    case = data.draw(st.sampled_from(CASES))
    case.lay(tmp_path)
    text = case.files["/etc/postfix/main.cf"]
    (tmp_path / "etc/postfix/main.cf").write_text(text[: data.draw(st.integers(0, len(text)))])
    try:
        site = read_site(load("/etc/postfix", str(tmp_path), HOST), NOW)
    except ConfigTrouble:
        return
    for rule in RULES:
        list(findings_of(rule, site))


CASES = tuple(read_cases())
