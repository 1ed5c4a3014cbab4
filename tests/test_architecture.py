"""The dependency rules of docs/design.md, checked: which way imports may point, and which modules know no world."""

import ast
from pathlib import Path

import pytest

SOURCE = Path(__file__).parent.parent / "src" / "seawall"

# A package may use the rows below its own; within a row only what `MAY_ALSO` names.
ROWS: tuple[tuple[str, ...], ...] = (
    ("cli", "run", "web"),
    ("watch", "defence"),
    ("door", "edge", "upstream", "policy", "routing", "intake", "spool", "delivery", "bounce"),
    (
        "config",
        "tables",
        "dns",
        "smtp",
        "journal",
        "journey",
        "tls",
        "clock",
        "eager",
        "linux",
        "breaker",
        "patience",
        "store",
    ),
    ("mail",),
)
MAY_ALSO: dict[str, frozenset[str]] = {
    "cli": frozenset({"run", "web"}),
    "run": frozenset({"web"}),
    "defence": frozenset({"watch"}),
    "policy": frozenset({"routing"}),
    **{stage: frozenset({"policy", "routing"}) for stage in ("door", "edge", "intake", "spool", "delivery", "bounce")},
    # the languages may use each other, as long as nothing goes round in a circle (checked below)
    **{
        language: frozenset(ROWS[3])
        for language in ("config", "tables", "dns", "smtp", "journal", "journey", "tls", "linux", "eager")
    },
}
PURE = (
    "mail",
    "smtp",
    "breaker.py",
    "patience.py",
    "door/screening.py",
    "door/talk.py",
    "policy/language.py",
    "policy/evaluate.py",
    "policy/exempt.py",
    "policy/exempt_honest.py",
    "policy/greylist.py",
    "policy/list_watch.py",
    "policy/spf.py",
    "policy/spf_record.py",
    "policy/stress.py",
    "policy/worth.py",
    "config/expand.py",
    "spool/scheduler.py",
    "spool/verify_cache.py",
    "bounce/report.py",
)
WORLDLY = frozenset(
    {
        "asyncio",
        "socket",
        "time",
        "os",
        "random",
        "secrets",
        "logging",
        "subprocess",
        "threading",
        "select",
        "uvloop",
        "shutil",
        "tempfile",
        "pathlib",
        "io",
    }
)
PURE_MAY = {"mail/network.py": frozenset({"socket"})}  # inet_pton and inet_ntop only: text to numbers, no network
LONG_FILES: dict[str, str] = {}  # path below src/seawall: the reason
LONG_FUNCTIONS: dict[str, str] = {}  # path:function: the reason


def modules() -> list[Path]:
    return sorted(SOURCE.rglob("*.py"))


def name_of(path: Path) -> str:
    return path.relative_to(SOURCE).as_posix()


def imported(path: Path) -> set[str]:
    """Dotted names of all modules that the file imports, wherever it does."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: imports are absolute"
            names.update(f"{node.module}.{alias.name}" for alias in node.names)
    return names


def package(path: Path) -> str:
    return path.relative_to(SOURCE).parts[0].removesuffix(".py")


def row_of(part: str) -> int:
    return next(at for at, row in enumerate(ROWS) if part in row)


@pytest.mark.parametrize("path", modules(), ids=name_of)
def test_imports_point_downwards(path: Path) -> None:
    here = package(path)
    if here in ("__init__", "__main__", "testing"):
        return
    for name in imported(path):
        parts = name.split(".")
        if parts[0] != "seawall" or len(parts) < 2 or parts[1] == here:
            continue
        there = parts[1]
        allowed = row_of(there) > row_of(here) or there in MAY_ALSO.get(here, frozenset())
        assert allowed, f"{name_of(path)} imports {name}: {here} may not use {there}"


def test_languages_do_not_go_round_in_a_circle() -> None:
    uses: dict[str, set[str]] = {}
    for path in modules():
        here = package(path)
        if here in ROWS[3]:
            found = {n.split(".")[1] for n in imported(path) if n.startswith("seawall.") and n.count(".") >= 1}
            uses.setdefault(here, set()).update((found & set(ROWS[3])) - {here})
    while uses:
        free = [part for part, needs in uses.items() if not needs & uses.keys()]
        assert free, f"a circle among {sorted(uses)}"
        for part in free:
            del uses[part]


@pytest.mark.parametrize("path", [p for p in modules() if name_of(p).startswith(PURE)], ids=name_of)
def test_pure_modules_know_no_world(path: Path) -> None:
    tops = {name.split(".")[0] for name in imported(path)}
    allowed = PURE_MAY.get(name_of(path), frozenset())
    assert not (tops & WORLDLY) - allowed, f"{name_of(path)} imports {sorted(tops & WORLDLY)}"
    assert not any(name.startswith(("seawall.clock", "seawall.journal")) for name in imported(path))


@pytest.mark.parametrize("path", modules(), ids=name_of)
def test_a_module_opens_with_what_it_is_for(path: Path) -> None:
    assert ast.get_docstring(ast.parse(path.read_text())), f"{name_of(path)} has no docstring"


@pytest.mark.parametrize("path", modules(), ids=name_of)
def test_files_and_functions_stay_small(path: Path) -> None:
    text = path.read_text()
    name = name_of(path)
    assert text.count("\n") <= 500 or name in LONG_FILES, f"{name}: {text.count(chr(10))} lines"
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            length = (node.end_lineno or node.lineno) - node.lineno + 1
            assert length <= 50 or f"{name}:{node.name}" in LONG_FUNCTIONS, f"{name}:{node.name} has {length} lines"


@pytest.mark.parametrize("path", modules(), ids=name_of)
def test_no_check_is_switched_off_without_a_reason(path: Path) -> None:
    text = path.read_text()
    assert "type: ignore" not in text
    for word in ("TODO", "FIXME", "XXX", "NotImplementedError"):
        assert word not in text, f"{name_of(path)}: {word}"


def test_only_run_build_joins_the_stages() -> None:
    stages = frozenset({"edge", "upstream", "intake", "spool", "delivery", "bounce", "door"})
    for path in modules():
        here = package(path)
        if here in ("testing", "cli") or name_of(path).startswith("run/build"):
            continue
        met = {n.split(".")[1] for n in imported(path) if n.startswith("seawall.") and n.split(".")[1] in stages}
        assert len(met | ({here} if here in stages else set())) <= 1, f"{name_of(path)} joins {sorted(met)}"
