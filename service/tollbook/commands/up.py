"""tollbook up: gateway and dashboard together on this machine, with a key to begin with. Ctrl-C stops both."""

from __future__ import annotations

import http.client
import os
import signal
import socket
import subprocess
import sys
import time
from argparse import ArgumentParser, Namespace
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

from tollbook.errors import ConfigError, TollbookError

from . import dashboard
from .configured import config_argument, configured, data_dir_argument
from .serve import port_number
from .terminal import complain, say
from .version import own_version

if TYPE_CHECKING:
    from tollbook.access.keys import Keys
    from tollbook.config import Config

HELP = "run gateway and dashboard together on this machine, with a key to begin with"

ALIAS = "local"
"""The key that is made here."""
KEY_FILE = "local.key"
"""In the data directory, readable by its owner only. A key's secret is shown once and then nowhere; this one is kept,
so that what was pasted yesterday works today."""

_MADE_BY = "tollbook up"
_HOST = "127.0.0.1"
_LOOK = 0.1
"""Seconds between two looks at the processes."""
_PATIENCE = 60
"""Seconds that they may take to start."""
_GRACE = 35
"""Seconds that they may take to stop: streams get 30 to end."""


def arguments(parser: ArgumentParser) -> None:
    config_argument(parser)
    parser.add_argument("--port", type=port_number, default=4000, help="the gateway's port (default: %(default)s)")
    parser.add_argument(
        "--dashboard-port", type=port_number, default=8501, help="the dashboard's port (default: %(default)s)"
    )
    data_dir_argument(parser)


def run(args: Namespace) -> int:
    app = dashboard.installed_app()
    if app is None:
        complain(dashboard.MISSING)
        return 1
    config = configured(args)
    gateway_port, dashboard_port = _free(args.port, "--port"), _free(args.dashboard_port, "--dashboard-port")
    url = f"http://{_HOST}:{gateway_port}"
    secret = local_key(config.data_dir)

    asked: list[int] = []
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda told, _: asked.append(told))
    serve = [sys.executable, "-m", "tollbook", "serve", "--host", _HOST, "--port", str(gateway_port)]
    serve += ["--data-dir", str(config.data_dir), *(["--config", args.config] if args.config else [])]
    pages = dashboard.command(app, _HOST, dashboard_port)
    # A terminal that shows a key to copy is no place for a line of JSON for every call.
    quiet = {"TOLLBOOK_ACCESS_LOG": "false", **os.environ}
    processes = [subprocess.Popen(serve, env=quiet)]  # noqa: S603 - our own interpreter and module
    try:
        processes.append(
            # Streamlit's greeting on stdout is about itself.
            subprocess.Popen(pages, env=dashboard.environment(_HOST, url), stdout=subprocess.DEVNULL)  # noqa: S603
        )
        waiting = [(gateway_port, "/health/ready"), (dashboard_port, "/_stcore/health")]
        end = time.monotonic() + _PATIENCE
        while not asked and all(process.poll() is None for process in processes):
            if waiting:
                waiting = [place for place in waiting if not answers(*place)]
                if not waiting:
                    _greet(config, url, dashboard_port, secret)
                elif time.monotonic() > end:
                    complain(f"nothing answers on port {waiting[0][0]} after {_PATIENCE} seconds")
                    break
            time.sleep(_LOOK)
    finally:
        _stop(processes, asked)
    return 0 if asked else 1


def local_key(data_dir: Path) -> str:
    """The secret of the key that this command keeps in the data directory; a new key if there is none that works.

    Raises Conflict when somebody else's key has its name.
    """
    from tollbook.access.keys import Keys
    from tollbook.storage.keys import KeyTable

    file = data_dir / KEY_FILE
    with closing(KeyTable(data_dir)) as table:
        keys = Keys(table)
        kept = file.read_text().strip() if file.exists() else ""
        if kept and _enters(keys, kept):
            return kept
        for key in keys.list():
            if (key.alias, key.owner) == (ALIAS, _MADE_BY):
                keys.revoke(key.id, actor=_MADE_BY)
        secret, _ = keys.create(ALIAS, owner=_MADE_BY, actor=_MADE_BY)
    file.unlink(missing_ok=True)
    with os.fdopen(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as private:
        private.write(f"{secret}\n")
    return secret


def _enters(keys: Keys, secret: str) -> bool:
    try:
        # A gateway without a master key lets in other texts, too, but as nobody.
        return keys.authenticate(secret).alias == ALIAS
    except TollbookError:
        return False


def _free(port: int, option: str) -> int:
    """The port, or any for 0. Raises ConfigError if somebody has it: their answers would be taken for ours."""
    with socket.socket() as trial:
        trial.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            trial.bind((_HOST, port))
        except OSError as error:
            raise ConfigError(f"port {port} cannot be had ({error.strerror}); choose another with {option}") from None
        free: int = trial.getsockname()[1]
        return free


def answers(port: int, path: str) -> bool:
    """Whether somebody answers there, with 200."""
    with closing(http.client.HTTPConnection(_HOST, port, timeout=2)) as connection:
        try:
            connection.request("GET", path)
            return connection.getresponse().status == 200
        except (OSError, http.client.HTTPException):
            return False


def _greet(config: Config, url: str, dashboard_port: int, secret: str) -> None:
    names = config.names
    model = "simulated/echo" if "simulated/*" in names else next((n for n in names if "*" not in n), "simulated/echo")
    more = f" and {len(names) - 6} more" if len(names) > 6 else ""
    say(
        f"""
{own_version()} is running. Ctrl-C stops it.

  Gateway    {url}
  Dashboard  http://{_HOST}:{dashboard_port}
  Models     {", ".join(names[:6])}{more}
  Books      {config.data_dir}
  Key        {secret}

Try it:

curl {url}/v1/responses \\
  -H "Authorization: Bearer {secret}" \\
  -H "Content-Type: application/json" \\
  -d '{{"model": "{model}", "input": "Hello!"}}'
"""
    )
    sys.stdout.flush()


def _stop(processes: list[subprocess.Popen[bytes]], asked: list[int]) -> None:
    """End them all; a second Ctrl-C, or no end within the grace, ends them at once."""
    for process in processes:
        if process.poll() is None:
            process.terminate()
    end = time.monotonic() + _GRACE
    before = len(asked)
    while any(process.poll() is None for process in processes):
        if len(asked) > before or time.monotonic() > end:
            for process in processes:
                process.kill()
        time.sleep(_LOOK)
