"""A gateway as its users start it: `python -m tollbook` in a process of its own, on a free loopback port."""

from __future__ import annotations

import os
import signal
import socket
import ssl
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import httpx
import openai
import yaml

T = TypeVar("T")

_PLAIN = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
"""Handed to clients so that they load no certificates: everything here is loopback, and there are hundreds of clients."""

MASTER = "sk-master-canary-8c1f0b7e"
"""The master key of gateways that have one; looked for in everything that leaves a gateway."""

START = 40.0
"""Seconds that a gateway may take to start on a busy machine before a test gives up."""

_INHERITED = ("PATH", "HOME", "LANG", "LC_ALL", "TMPDIR", "VIRTUAL_ENV", "PYTHONPATH", "SSL_CERT_FILE")


def until(look: Callable[[], T], *, seconds: float = 10.0, what: str = "it") -> T:
    """The first true answer of `look`; fails when there is none in time."""
    end = time.monotonic() + seconds
    while not (found := look()):
        if time.monotonic() > end:
            raise AssertionError(f"{what} did not happen within {seconds:g} s; last seen: {found!r}")
        time.sleep(0.02)
    return found


def free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port: int = free.getsockname()[1]
        return port


class Gateway:
    """A gateway and its folder: `config.yaml`, `data/`, and `log`, everything that it wrote to stdout and stderr.

    `config` is a file's text, or what it says. Only `environment` and the bare necessities are handed on.
    """

    def __init__(
        self,
        folder: Path,
        config: Mapping[str, Any] | str | None = None,
        *,
        environment: Mapping[str, str] | None = None,
        arguments: Sequence[str] = (),
        key: str | None = MASTER,
    ) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        self.data = folder / "data"
        self.log_path = folder / "gateway.log"
        self.key = key
        self.port = free_port()
        self._environment = {k: v for k, v in os.environ.items() if k in _INHERITED} | dict(environment or {})
        self._command = [sys.executable, "-m", "tollbook"]
        if config is not None:
            path = folder / "config.yaml"
            path.write_text(config if isinstance(config, str) else yaml.safe_dump(dict(config)))
            self._command += ["--config", str(path)]
        self._command += ["--port", str(self.port), "--data-dir", str(self.data), *arguments]
        self.process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def log(self) -> str:
        return self.log_path.read_text(errors="replace")

    def start(self) -> Gateway:
        """Start and wait until it is ready."""
        with self.log_path.open("ab") as log:
            self.process = subprocess.Popen(
                self._command, stdout=log, stderr=subprocess.STDOUT, env=self._environment, cwd=self.folder
            )
        end = time.monotonic() + START
        while time.monotonic() < end:
            if self.process.poll() is not None:
                raise AssertionError(f"the gateway did not start:\n{self.log[-4000:]}")
            try:
                if httpx.get(f"{self.url}/health/ready", timeout=2.0).status_code == 200:
                    return self
            except httpx.TransportError:
                time.sleep(0.02)
        raise AssertionError(f"the gateway is not ready after {START:g} s:\n{self.log[-4000:]}")

    def stop(self, *, by: signal.Signals = signal.SIGTERM, within: float = 30.0) -> int:
        """Ask it to stop; its exit code."""
        assert self.process is not None
        self.process.send_signal(by)
        try:
            return self.process.wait(within)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            raise AssertionError(f"the gateway did not stop within {within:g} s:\n{self.log[-4000:]}") from None

    def kill(self) -> None:
        """As the machine's power would do it."""
        assert self.process is not None
        self.process.kill()
        self.process.wait()

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Another command of the same program, beside the running gateway, in its environment."""
        command = [sys.executable, "-m", "tollbook", *arguments]
        return subprocess.run(
            command, env=self._environment, capture_output=True, text=True, timeout=60, cwd=self.folder, check=False
        )

    def client(self, key: str | None = "") -> httpx.Client:
        """A plain HTTP client. `key` "" is the gateway's own, None is none."""
        secret = self.key if key == "" else key
        headers = {"authorization": f"Bearer {secret}"} if secret else {}
        return httpx.Client(base_url=self.url, headers=headers, timeout=30.0, verify=_PLAIN, trust_env=False)

    def openai(self, *, path: str = "/v1", key: str | None = None, retries: int = 0) -> openai.OpenAI:
        return openai.OpenAI(
            base_url=self.url + path,
            api_key=key or self.key or "any",
            max_retries=retries,
            timeout=30.0,
            http_client=httpx.Client(verify=_PLAIN, trust_env=False),
        )

    def async_openai(self, *, path: str = "/v1") -> openai.AsyncOpenAI:
        return openai.AsyncOpenAI(base_url=self.url + path, api_key=self.key or "any", max_retries=0, timeout=30.0)

    def call(self, call_id: str) -> dict[str, Any]:
        """What `GET /v1/calls/{id}` tells; a call that is booked a moment after its client left is waited for."""
        with self.client() as client:

            def look() -> dict[str, Any] | None:
                answer = client.get(f"/v1/calls/{call_id}")
                return answer.json() if answer.status_code == 200 else None

            return until(look, what=f"the row of {call_id}")


@contextmanager
def running(folder: Path, config: Mapping[str, Any] | str | None = None, **options: Any) -> Iterator[Gateway]:
    """A started gateway, stopped at the end."""
    gateway = Gateway(folder, config, **options)
    try:
        yield gateway.start()
    finally:
        if gateway.process is not None and gateway.process.poll() is None:
            gateway.stop()
