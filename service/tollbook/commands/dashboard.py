"""tollbook dashboard: the pages that read the books, in a process of their own."""

from __future__ import annotations

import os
import sys
from argparse import ArgumentParser, Namespace
from importlib.util import find_spec
from pathlib import Path

from tollbook.access.address import loopback

from .serve import port_number
from .terminal import complain, note

HELP = "run the dashboard, which reads a running gateway"

MISSING = 'the dashboard is not installed. Install it with: pip install "tollbook[dashboard]"'


def arguments(parser: ArgumentParser) -> None:
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on (default: %(default)s)")
    parser.add_argument("--port", type=port_number, default=8501, help="port to listen on (default: %(default)s)")
    parser.add_argument(
        "--url",
        default=os.environ.get("TOLLBOOK_URL", "http://127.0.0.1:4000"),
        help="the gateway (default: $TOLLBOOK_URL, else http://127.0.0.1:4000). "
        "Its key is read from $TOLLBOOK_API_KEY, never from the command line, which others can see",
    )


def run(args: Namespace) -> int:
    if (app := installed_app()) is None:
        complain(MISSING)
        return 1
    if not loopback(args.host):
        note(f"the dashboard asks nobody for a password, and {args.host} is reachable from others")
    told = command(app, args.host, args.port)
    sys.stdout.flush()
    # In place of this process, so that whoever stops it stops Streamlit.
    return os.execve(told[0], told, environment(args.host, args.url))  # noqa: S606 - our own interpreter


def environment(host: str, url: str) -> dict[str, str]:
    """What the pages read: where the gateway is."""
    found = {**os.environ, "TOLLBOOK_URL": url}
    if loopback(host):
        # A web page elsewhere could have its own name lead to this machine and read the books (DNS rebinding).
        found.setdefault("STREAMLIT_SERVER_ALLOWED_HOSTS", f"localhost 127.0.0.1 {host}")
    return found


def command(app: Path, host: str, port: int) -> list[str]:
    """Streamlit's command line (https://docs.streamlit.io/develop/api-reference/configuration/config.toml)."""
    options = {
        "server.address": host,
        "server.port": str(port),
        "server.headless": "true",
        "browser.gatherUsageStats": "false",
    }
    flags = [part for name, value in options.items() for part in (f"--{name}", value)]
    return [sys.executable, "-m", "streamlit", "run", str(app), *flags]


def installed_app() -> Path | None:
    """Where the pages begin, if they are installed."""
    package = find_spec("tollbook_dashboard")
    if package is None or package.origin is None or find_spec("streamlit") is None:
        return None
    app = Path(package.origin).with_name("app.py")
    return app if app.is_file() else None
