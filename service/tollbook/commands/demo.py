"""tollbook demo: a month of calls that nobody made, and everything open to look at it. One command more removes it."""

from __future__ import annotations

import asyncio
import http.client
import json
import os
import random
import shutil
import sys
import threading
import time
import webbrowser
from argparse import ArgumentParser, ArgumentTypeError, Namespace
from collections.abc import Callable
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

from tollbook.call import format_usd

from . import dashboard, up
from .serve import port_number
from .terminal import complain, note, say

HELP = "fill a folder of its own with a month of simulated calls, and open everything"

DIRECTORY = Path("tollbook-demo")
_EVERY = 2.0
"""Seconds between two calls that go on being made while it is looked at."""


def arguments(parser: ArgumentParser) -> None:
    parser.add_argument(
        "--days", type=_count(1, 400), default=30, metavar="N", help="how far back (default: %(default)s)"
    )
    parser.add_argument(
        "--calls", type=_count(10, 1_000_000), default=3000, metavar="N", help="about so many (default: %(default)s)"
    )
    parser.add_argument(
        "--data-dir", type=Path, default=DIRECTORY, metavar="DIR", help="a folder for it alone (default: %(default)s)"
    )
    parser.add_argument("--port", type=port_number, default=4000, help="the gateway's port (default: %(default)s)")
    parser.add_argument(
        "--dashboard-port", type=port_number, default=8501, help="the dashboard's port (default: %(default)s)"
    )
    parser.add_argument("--fill-only", action="store_true", help="only fill the folder")
    parser.add_argument("--quiet", action="store_true", help="no further calls while it is looked at")
    parser.add_argument("--no-browser", action="store_true", help="open no browser")
    parser.add_argument("--remove", action="store_true", help="remove the folder, with everything in it")


def run(args: Namespace) -> int:
    from tollbook.demo import MARK

    directory: Path = args.data_dir
    if args.remove:
        return _remove(directory)
    if not args.fill_only and dashboard.installed_app() is None:
        complain(dashboard.MISSING)
        return 1
    if (directory / MARK).is_file() and (directory / "tollbook.duckdb").is_file():
        note(f"{directory} is filled already; `tollbook demo --remove` removes it")
    else:
        _fill(directory, args.days, args.calls)
    return 0 if args.fill_only else _open(args)


def _remove(directory: Path) -> int:
    from tollbook.demo import MARK
    from tollbook.server.presence import find

    if not (directory / MARK).is_file():
        complain(f"{directory} is no demo's folder: nothing was removed")
        return 1
    if find(directory) is not None:
        complain(f"a gateway runs on {directory}: stop it first")
        return 1
    shutil.rmtree(directory)
    note(f"removed {directory}")
    return 0


def _fill(directory: Path, days: int, calls: int) -> None:
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    from tollbook.demo.stage import play

    began = time.monotonic()
    columns = (TextColumn("Playing"), BarColumn(), MofNCompleteColumn(), TextColumn("calls"), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True, disable=not sys.stderr.isatty()) as progress:
        line = progress.add_task("", total=calls)

        def told(done: int) -> None:
            progress.update(line, completed=done)

        played = asyncio.run(play(directory, datetime.now(UTC), days=days, calls=calls, told=told))
    seconds = time.monotonic() - began
    note(f"{played.calls:,} calls of {days} days, ${format_usd(played.cost)} that nobody paid, in {seconds:.0f} s")


def _open(args: Namespace) -> int:
    from tollbook.demo.stage import CONFIG

    directory: Path = args.data_dir
    os.environ["TOLLBOOK_DEMO"] = "1"  # the pages say so
    args.config = str(directory / CONFIG)
    over = threading.Event()
    company: list[threading.Thread] = []
    if not args.quiet:
        company.append(threading.Thread(target=_go_on, args=(args.port, up.local_key(directory), over), daemon=True))
    if not args.no_browser:
        company.append(threading.Thread(target=_show, args=(args.dashboard_port, over), daemon=True))
    for each in company:
        each.start()
    try:
        code = up.run(args)
    finally:
        over.set()
    say(f"\nNothing in {directory} is real. `tollbook demo --remove` removes it.")
    return code


def _go_on(port: int, secret: str, over: threading.Event) -> None:
    """A call now and then, so that the pages live."""
    from tollbook.demo.cast import MODELS, TAG

    chance = random.Random()  # noqa: S311 - it plays
    while not over.wait(chance.uniform(0.5, 1.5) * _EVERY):
        body = {
            "model": chance.choice(MODELS).name,
            "input": f"Tell me something about number {chance.randrange(1000)}.",
            "user": f"visitor-{chance.randrange(1, 9)}",
            "metadata": {"tags": TAG, "task": "live"},
        }
        headers = {"content-type": "application/json", "authorization": f"Bearer {secret}"}
        with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=30)) as connection:
            try:
                connection.request("POST", "/v1/responses", json.dumps(body), headers)
                connection.getresponse().read()
            except (OSError, http.client.HTTPException):
                continue  # it is starting, or stopping


def _show(port: int, over: threading.Event) -> None:
    """The dashboard in a browser, once it answers."""
    while not over.wait(0.3):
        if up.answers(port, "/_stcore/health"):
            webbrowser.open(f"http://127.0.0.1:{port}")
            return


def _count(least: int, most: int) -> Callable[[str], int]:
    def number(text: str) -> int:
        if not text.isdecimal() or not least <= int(text) <= most:
            raise ArgumentTypeError(f"a number from {least} to {most}")
        return int(text)

    return number
