"""A sentence in the registry is kept: somebody reads the parameter.  And what somebody reads is not listed as not done.

Names are looked for in the source: as a literal, as the end of one that is put together (``"smtp_" + name``), or as a
formatted string.  That finds every honest use; it cannot see whether the use is right.
"""

import ast
import re
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path

from seawall.config.expand import names_used
from seawall.config.parameter import Kind
from seawall.config.registry import REGISTRY
from seawall.config.registry.templates import SUFFIXES
from seawall.config.registry.unsupported import unsupported

SOURCE = Path(__file__).parent.parent.parent / "src" / "seawall"
ELSEWHERE = ("config/registry", "config/reference.py", "config/names.py", "cli/postconf", "cli/lint", "policy/proof")
"""Where names stand that are not acted on there."""
PREFIXES: Mapping[str, tuple[str, ...]] = {"delivery": ("smtp_", "lmtp_"), "routing": ("address_verify_",)}
"""Packages that put names together, and from what."""
READ_OTHERWISE: Mapping[str, str] = {
    # name: who reads it, though no literal says so
    "local_destination_concurrency_limit": "spool, as the limit of the transport local",
    "local_destination_recipient_limit": "spool, as the limit of the transport local",
}
LISTS_OTHERS = "proxy_read_maps"
"""Its value is made of every parameter that may name a table; reading it acts on none of them."""
ONLY_NAMED: Mapping[str, str] = {
    # name: why it stands in the source though nobody acts on it
    "lmtp_connection_cache_time_limit": "ends as the time limit of a spawn(8) service does",
    "lmtp_connection_reuse_time_limit": "ends as the time limit of a spawn(8) service does",
    "max_idle": "a policy service's own setting has the same word",
    "postscreen_command_time_limit": "ends as the time limit of a spawn(8) service does",
    "setgid_group": "a spawn(8) service must not run as it",
    "smtp_connection_cache_time_limit": "ends as the time limit of a spawn(8) service does",
    "smtp_connection_reuse_time_limit": "ends as the time limit of a spawn(8) service does",
    "smtpd_proxy_filter": "an access table warns of actions that need the queue file where it is set",
    "tls_export_cipherlist": "looks like the lists that tls.py reads",
    "tls_low_cipherlist": "looks like the lists that tls.py reads",
}


def modules() -> Iterator[tuple[str, ast.Module]]:
    for path in SOURCE.rglob("*.py"):
        name = path.relative_to(SOURCE).as_posix()
        if not name.startswith(ELSEWHERE):
            yield name, ast.parse(path.read_text())


def pattern_of(string: ast.JoinedStr) -> str:
    """A formatted string as an expression; empty where it has too little text of its own to say anything."""
    texts = [part.value for part in string.values if isinstance(part, ast.Constant) and isinstance(part.value, str)]
    if sum(map(len, texts)) < 8:
        return ""
    return "".join(
        re.escape(part.value) if isinstance(part, ast.Constant) and isinstance(part.value, str) else "[a-z_]*"
        for part in string.values
    )


@cache
def read_names() -> frozenset[str]:
    found: set[str] = set()
    suffixes = {suffix.removeprefix("_"): base for suffix, base in SUFFIXES.items()}
    for name, tree in modules():
        for node in ast.walk(tree):
            if isinstance(node, ast.JoinedStr) and (pattern := pattern_of(node)):
                form = re.compile(pattern)
                found.update(one for one in REGISTRY if form.fullmatch(one))
                found.update(base for suffix, base in suffixes.items() if pattern.endswith(suffix))
            elif isinstance(node, ast.Constant) and isinstance(node.value, str):
                found.add(node.value)
                found.update(prefix + node.value for prefix in PREFIXES.get(name.split("/")[0], ()))
                found.update([suffixes[node.value]] if node.value in suffixes else [])
    found &= REGISTRY.keys()
    grown = True
    while grown:  # what the value of a parameter that is read is made of is read with it
        more = {
            inner
            for name in found
            if REGISTRY[name].kind is not Kind.RAW and name != LISTS_OTHERS
            for inner in names_used(REGISTRY[name].default)
            if inner in REGISTRY
        }
        grown = not more <= found
        found |= more
    return frozenset(found)


def test_a_parameter_that_we_say_we_act_on_is_read_by_somebody() -> None:
    silent = {name for name, parameter in REGISTRY.items() if parameter.is_acted_on} - read_names()
    assert silent == set(READ_OTHERWISE)


def test_a_parameter_that_somebody_reads_is_not_listed_as_not_done() -> None:
    assert {name for name in read_names() if unsupported(name) is not None} <= set(ONLY_NAMED)
