"""A real gateway, as a user starts it: a process of its own on a free port."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.error import URLError

START = 30.0
"""Seconds until it must answer; a loaded machine is slow."""


def free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port: int = free.getsockname()[1]
        return port


def environment(**more: str) -> dict[str, str]:
    """The test's own environment without credentials or settings of the developer's."""
    foreign = ("TOLLBOOK_", "OTEL_", "STREAMLIT_", "OPENAI_", "ANTHROPIC_", "GEMINI_", "AWS_", "AZURE_", "GOOGLE_")
    return {name: value for name, value in os.environ.items() if not name.startswith(foreign)} | more


@contextmanager
def served(
    folder: Path, *arguments: str, port: int = 0, python: str = sys.executable, **variables: str
) -> Iterator[str]:
    """Runs `tollbook` with books in `folder`; gives its URL. Its log is `folder/gateway.log`."""
    port = port or free_port()
    folder.mkdir(parents=True, exist_ok=True)
    command = [python, "-m", "tollbook", "serve", "--port", str(port), "--data-dir", str(folder / "books")]
    with (folder / "gateway.log").open("wb") as log:
        process = subprocess.Popen(
            [*command, *arguments], stdout=log, stderr=subprocess.STDOUT, env=environment(**variables), cwd=folder
        )
        try:
            url = f"http://127.0.0.1:{port}"
            wait_for(f"{url}/health/ready", process, folder / "gateway.log")
            yield url
        finally:
            process.terminate()
            process.wait(40)


def wait_for(url: str, process: subprocess.Popen[Any], log: Path) -> None:
    """Until `url` answers 200."""
    end = time.monotonic() + START
    while time.monotonic() < end:
        assert process.poll() is None, f"it ended:\n{log.read_text()[-4000:]}"
        try:
            with urllib.request.urlopen(url, timeout=2) as answer:
                if answer.status == 200:
                    return
        except (URLError, OSError):
            time.sleep(0.1)
    raise AssertionError(f"it did not answer in {START:.0f} seconds:\n{log.read_text()[-4000:]}")


def respond(url: str, model: str = "simulated/echo", *, key: str = "", **fields: Any) -> dict[str, Any]:
    """One response, made over HTTP."""
    headers = {"content-type": "application/json"} | ({"authorization": f"Bearer {key}"} if key else {})
    body = json.dumps({"model": model, "input": "Hello!", **fields}).encode()
    with urllib.request.urlopen(urllib.request.Request(f"{url}/v1/responses", body, headers), timeout=20) as answer:
        made: dict[str, Any] = json.loads(answer.read())
        return made
