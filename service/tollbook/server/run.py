"""Start and stop: one process, or several workers with a recorder of their own beside them."""

from __future__ import annotations

import gc
import logging
import os
import signal
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import uvicorn
from uvicorn.supervisors import Multiprocess

from tollbook.access.address import check_address
from tollbook.config import Config, default_config, load_config

from .app import create_app
from .metrics import begin_at_zero
from .presence import present
from .reload import ignore_hangup

if TYPE_CHECKING:
    from litestar.types import ASGIApp

_log = logging.getLogger("tollbook")

GRACE = 30
"""Seconds that streams get to end when the gateway is asked to stop."""

_CONFIG, _DATA, _STARTED = "TOLLBOOK_WORKER_CONFIG", "TOLLBOOK_WORKER_DATA_DIR", "TOLLBOOK_WORKER_OF"


def serve(config: Config, *, host: str, port: int, workers: int, data_dir: Path) -> None:
    """Run until SIGINT or SIGTERM. Raises ConfigError when the address and the settings do not go together."""
    check_address(host, keyed=config.general.master_key is not None)
    ignore_hangup()
    with present(data_dir):
        if workers > 1:
            _serve_workers(config, host=host, port=port, workers=workers, data_dir=data_dir)
            return
        app = create_app(config, environment=os.environ, data_dir=data_dir)
        spare_the_collector()
        uvicorn.Server(uvicorn.Config(app, host=host, port=port, **_settings())).run()


def spare_the_collector() -> None:
    """What is loaded by now stays for good, so the garbage collector need not look at it again, nor after every 700 new
    objects: a call makes thousands and drops them by reference counting."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 20, 50)


class _Workers(Multiprocess):
    """Workers that are told of a SIGHUP instead of being replaced: each reads the configuration again."""

    def handle_hup(self) -> None:
        for process in self.processes:
            # One that is not ready yet reads the file as it starts.
            if process.pid is not None and process.is_ready(timeout=1):
                os.kill(process.pid, signal.SIGHUP)


def _settings() -> dict[str, Any]:
    return {
        "log_config": None,
        "access_log": False,
        "server_header": False,
        "timeout_graceful_shutdown": GRACE,
        "timeout_keep_alive": 75,
        "ws": "websockets-sansio",
        "lifespan": "on",
    }


def _serve_workers(config: Config, *, host: str, port: int, workers: int, data_dir: Path) -> None:
    """Workers share the port; DuckDB's file belongs to the recorder alone, so that is a process of its own."""
    begin_at_zero(data_dir)
    recorder = subprocess.Popen(  # noqa: S603 - our own interpreter and module
        [sys.executable, "-m", "tollbook", "recorder", "--data-dir", str(data_dir), *_retention(config)],
        stdin=subprocess.DEVNULL,
    )
    os.environ[_CONFIG] = str(config.source or "")
    os.environ[_DATA] = str(data_dir)
    os.environ[_STARTED] = str(os.getpid())
    try:
        settings = uvicorn.Config(
            "tollbook.server.run:worker_app", factory=True, host=host, port=port, workers=workers, **_settings()
        )
        _Workers(settings, sockets=[settings.bind_socket()]).run()
    finally:
        recorder.send_signal(signal.SIGTERM)
        recorder.wait(timeout=GRACE)


def _retention(config: Config) -> list[str]:
    days = config.general.retention_days
    return [] if days is None else ["--retention-days", str(days)]


def worker_app() -> ASGIApp:
    """The application of one worker, from what the first process left in the environment."""
    environment: Mapping[str, str] = os.environ
    source = environment.get(_CONFIG) or None
    config = load_config(Path(source), environment) if source else default_config(environment)
    app = create_app(config, environment=environment, data_dir=Path(environment[_DATA]), worker=f"worker-{os.getpid()}")
    spare_the_collector()
    return app
