"""A real gateway in a process of its own, with a deployment for each recording of the replay server."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import openai
import yaml

from .deployments import ENVIRONMENT

START = 60.0
"""Seconds that the gateway may take until it serves; thousands of deployments are read and priced."""


@dataclass(frozen=True)
class Running:
    """A gateway, by the base URL for OpenAI clients, in front of a replay server."""

    base: str
    upstream: Any

    def client(self) -> openai.AsyncOpenAI:
        """The SDK as users have it, but for its own retries."""
        return openai.AsyncOpenAI(base_url=self.base, api_key="sk-test", max_retries=0, timeout=60.0)

    def sent(self, *ids: str) -> list[Any]:
        """The bodies that reached the upstream for a sequence of recordings, in order."""
        place = self.upstream.sequence_url(*ids).removeprefix(self.upstream.url)
        return [r.json for r in self.upstream.requests if r.path.split("/")[1] == place.strip("/")]


@contextmanager
def gateway(folder: Path, model_list: list[dict[str, Any]]) -> Iterator[str]:
    """Runs `python -m tollbook` on a free port; gives its base URL for OpenAI clients. Its log is in `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    config = folder / "config.yaml"
    settings: Mapping[str, Any] = {
        "model_list": model_list,
        "router_settings": {"num_retries": 0, "disable_cooldowns": True},
    }
    # Flow style and long lines: a configuration has at most 1 MiB, and these are thousands of deployments.
    dumper = getattr(yaml, "CSafeDumper", yaml.SafeDumper)
    config.write_text(yaml.dump(settings, Dumper=dumper, default_flow_style=True, sort_keys=False, width=100_000))
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("OTEL_", "TOLLBOOK_"))}
    environment |= ENVIRONMENT
    command = [sys.executable, "-m", "tollbook", "serve", "--config", str(config), "--port", str(port)]
    with (folder / "gateway.log").open("wb") as log:
        process = subprocess.Popen(
            [*command, "--data-dir", str(folder / "data")], stdout=log, stderr=subprocess.STDOUT, env=environment
        )
        try:
            _wait(process, f"http://127.0.0.1:{port}/health/ready", folder / "gateway.log")
            yield f"http://127.0.0.1:{port}/v1"
        finally:
            process.terminate()
            try:
                process.wait(40)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def _wait(process: subprocess.Popen[bytes], url: str, log: Path) -> None:
    end = time.monotonic() + START
    while time.monotonic() < end:
        if process.poll() is not None:
            raise AssertionError(f"the gateway did not start:\n{log.read_text()[-4000:]}")
        try:
            if httpx.get(url, timeout=2.0).status_code == 200:
                return
        except httpx.TransportError:
            time.sleep(0.1)
    raise AssertionError(f"the gateway is not ready after {START} s:\n{log.read_text()[-4000:]}")
