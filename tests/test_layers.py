"""The architecture, as a test: who may import whom, where outside libraries live, and what `import tollbook` costs."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import NamedTuple

import pytest

ROOT = Path(__file__).parents[1]
SOURCES = [ROOT / "service", ROOT / "analytics", ROOT / "dashboard"]

LAYERS: list[set[str]] = [
    {"errors", "notices", "version"},
    {"transport", "auth"},
    {"responses"},
    {"config"},
    {"call"},
    {"dialects"},
    {"providers", "pricing", "telemetry", "storage", "routing", "access"},
    {"upstream", "attachments", "tokens", "units", "books"},
    {"history", "stored", "wishes", "continuity", "continuation", "trial"},
    {"hedge", "bounds", "drain"},
    {"gateway"},
    {"facade"},
    {"server", "demo"},
    {"commands"},
    {"__main__"},
    {"tollbook_analytics"},
    {"tollbook_dashboard"},
]
"""From the ground up. A part imports parts of lower layers and itself, never its neighbours."""

FACADE = {"functions", "client", "engine", "streams", "objects", "parameters", "text_format", "blocking"}
"""What users import, and the modules behind it."""

HOMES: dict[str, set[str]] = {
    "httpx": {"auth", "upstream", "attachments"},
    "httpx_aiohttp": {"upstream", "attachments"},
    "aiohttp": {"auth", "upstream", "attachments"},
    "litestar": {"server"},
    "uvicorn": {"server"},
    "duckdb": {"storage"},
    "sqlite3": {"storage"},
    "nanoarrow": {"storage"},
    "psycopg": {"storage"},
    "opentelemetry": {"telemetry"},
    "urllib3": {"telemetry"},
    "grpc": {"telemetry"},
    "polars": {"tollbook_analytics", "tollbook_dashboard"},
    "streamlit": {"tollbook_dashboard"},
    "altair": {"tollbook_dashboard"},
    "google": {"auth"},
    "botocore": {"auth"},
    "azure": {"auth"},
    "genai_prices": {"pricing"},
    "yaml": {"config"},
    "tiktoken": {"tokens"},
    "rich": {"commands"},
}
"""Outside libraries and the parts that may know them. What is imported for type checkers only is free."""

EFFECTS = {
    "asyncio", "datetime", "http", "httpx", "logging", "os", "pathlib", "random", "secrets", "socket", "subprocess",
    "threading", "time", "urllib", "uuid",
}  # fmt: skip
"""What a dialect may not reach: a clock, a client, a logger, the system, chance."""

PURE = {("urllib", "urllib.parse"), ("datetime", "datetime")}


class Import(NamedTuple):
    """One imported module; `typing` where only type checkers see it."""

    importer: str
    target: str
    line: int
    typing: bool

    def __str__(self) -> str:
        return f"{self.importer}:{self.line} imports {self.target}"


def part_of(module: str) -> str:
    """The part of the house that a module of ours belongs to."""
    package, _, rest = module.partition(".")
    if package != "tollbook":
        return package
    part = rest.partition(".")[0]
    return "facade" if not part or part in FACADE else part


@cache
def modules() -> dict[str, Path]:
    found = {}
    for source in SOURCES:
        for path in source.rglob("*.py"):
            parts = path.relative_to(source).with_suffix("").parts
            found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


@cache
def imports() -> tuple[Import, ...]:
    return tuple(one for module, path in modules().items() for one in _imports(module, path))


def _imports(module: str, path: Path) -> Iterator[Import]:
    tree = ast.parse(path.read_text())
    typing = {
        id(inner)
        for node in ast.walk(tree)
        if isinstance(node, ast.If) and ast.unparse(node.test) in ("TYPE_CHECKING", "typing.TYPE_CHECKING")
        for statement in node.body
        for inner in ast.walk(statement)
    }
    package = module if path.name == "__init__.py" else module.rpartition(".")[0]
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            targets = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = package.rsplit(".", node.level - 1)[0] if node.level else ""
            origin = ".".join(filter(None, (base, node.module)))
            # `from . import errors` names a module; `from .errors import NotFound` a thing in one.
            named = [f"{origin}.{alias.name}" for alias in node.names]
            targets = [name if name in modules() else origin for name in named]
        else:
            continue
        for target in dict.fromkeys(targets):
            yield Import(module, target, node.lineno, id(node) in typing)


def ours(module: str) -> bool:
    return module.partition(".")[0] in ("tollbook", "tollbook_analytics", "tollbook_dashboard")


def test_every_part_has_a_layer() -> None:
    known = set().union(*LAYERS)

    assert {part_of(module) for module in modules()} <= known
    assert {part for part in known if part != "facade"} == {part_of(module) for module in modules()} - {"facade"}


def test_the_design_page_names_every_part() -> None:
    page = (ROOT / "service" / "README.md").read_text()

    assert [part for part in set().union(*LAYERS, FACADE) - {"facade"} if not re.search(rf"`{part}/?`", page)] == []


def test_imports_point_down() -> None:
    layer = {part: number for number, parts in enumerate(LAYERS) for part in parts}
    wrong = [
        str(one)
        for one in imports()
        if ours(one.target)
        and part_of(one.importer) != part_of(one.target)
        and layer[part_of(one.importer)] <= layer[part_of(one.target)]
    ]

    assert wrong == []


def test_outside_libraries_have_one_home() -> None:
    wrong = [
        str(one)
        for one in imports()
        if (homes := HOMES.get(one.target.partition(".")[0])) is not None
        and part_of(one.importer) not in homes
        and not one.typing
    ]

    assert wrong == []


def test_dialects_are_pure() -> None:
    wrong = [
        str(one)
        for one in imports()
        if part_of(one.importer) == "dialects"
        and (root := one.target.partition(".")[0]) in EFFECTS
        and (root, one.target) not in PURE
        and not one.typing
    ]

    assert wrong == []


def test_dialects_ask_no_clock() -> None:
    wrong = [
        f"{module}:{node.lineno} {ast.unparse(node)}"
        for module, path in modules().items()
        if part_of(module) == "dialects"
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Attribute) and node.attr in ("now", "utcnow", "today", "time_ns", "perf_counter")
    ]

    assert wrong == []


@pytest.mark.parametrize("name", ["utils", "util", "helpers", "helper", "common", "misc", "manager", "tools_util"])
def test_no_module_is_called_by_a_name_that_says_nothing(name: str) -> None:
    assert [module for module in modules() if module.rpartition(".")[2] == name] == []


def test_the_base_of_the_house_names_every_outside_library_it_uses() -> None:
    """A wheel without extras must be importable: what is no dependency is imported inside functions."""
    optional = {"polars", "streamlit", "altair", "google", "botocore", "azure", "tiktoken", "psycopg", "grpc"}
    wrong = []
    for module, path in modules().items():
        if part_of(module) in ("tollbook_analytics", "tollbook_dashboard"):
            continue
        for node in ast.parse(path.read_text()).body:
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            if isinstance(node, ast.ImportFrom) and not node.level and node.module:
                names = [node.module]
            wrong += [f"{module}:{node.lineno} {name}" for name in names if name.partition(".")[0] in optional]

    assert wrong == []


_WATCHED = """
import socket, sys
opened = []
class Watched(socket.socket):
    def __init__(self, *arguments, **options):
        opened.append(arguments)
        super().__init__(*arguments, **options)
socket.socket = Watched
import tollbook
heavy = ["litestar", "uvicorn", "duckdb", "nanoarrow", "opentelemetry.sdk", "httpx", "aiohttp", "genai_prices", "polars",
         "streamlit", "botocore", "google.auth", "azure", "tiktoken", "yaml", "psycopg"]
print([name for name in heavy if name in sys.modules], opened)
"""


def test_importing_tollbook_loads_nothing_heavy_and_opens_no_socket() -> None:
    told = subprocess.run([sys.executable, "-c", _WATCHED], capture_output=True, text=True, check=True).stdout

    assert told == "[] []\n"
