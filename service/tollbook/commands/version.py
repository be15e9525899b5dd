"""tollbook version."""

from __future__ import annotations

import platform
from argparse import ArgumentParser, Namespace
from importlib.metadata import PackageNotFoundError, version

from .terminal import say

HELP = "print the version"

_LIBRARIES = ("duckdb", "genai-prices", "httpx", "litestar", "opentelemetry-sdk", "uvicorn")


def arguments(parser: ArgumentParser) -> None:
    parser.add_argument("--libraries", action="store_true", help="also those of Python and of what Tollbook stands on")


def run(args: Namespace) -> int:
    say(own_version())
    if args.libraries:
        for name, found in [("python", platform.python_version()), *((name, _of(name)) for name in _LIBRARIES)]:
            say(f"  {name} {found}")
    return 0


def own_version() -> str:
    """Such as "tollbook 0.1.0"."""
    return f"tollbook {_of('tollbook')}"


def _of(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return "not installed"
