"""A server under measurement: started, waited for, its CPU and memory read from the kernel, stopped."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

_TICKS = os.sysconf("SC_CLK_TCK")


def free_port() -> int:
    """A port on the loopback address that nobody uses now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Server:
    """A process that answers on a loopback port; ended with the block."""

    def __init__(
        self,
        arguments: Sequence[str],
        port: int,
        *,
        environment: Mapping[str, str],
        path: str,
        stdout: str | None = None,
    ) -> None:
        self._arguments = [sys.executable, *arguments]
        self._environment = {**os.environ, **environment}
        self._path = path
        self._stdout = stdout
        self.port = port
        self.seconds_to_start = 0.0
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        began = time.perf_counter()
        where = None if self._stdout is None else os.open(self._stdout, os.O_WRONLY)
        self._process = subprocess.Popen(self._arguments, env=self._environment, stdout=where)
        if where is not None:
            os.close(where)
        while True:
            try:
                urllib.request.urlopen(f"http://127.0.0.1:{self.port}{self._path}", timeout=1).close()
            except urllib.error.HTTPError:
                break
            except OSError:
                if time.perf_counter() - began > 30 or self._process.poll() is not None:
                    raise RuntimeError(f"{self._arguments} did not start") from None
                time.sleep(0.02)
            else:
                break
        self.seconds_to_start = time.perf_counter() - began
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._process is not None
        self._process.send_signal(signal.SIGTERM)
        self._process.wait(20)

    @property
    def cpu(self) -> float:
        """Seconds of CPU so far, user and system."""
        assert self._process is not None
        fields = Path(f"/proc/{self._process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / _TICKS

    @property
    def peak_memory(self) -> float:
        """Megabytes of resident memory at the most."""
        assert self._process is not None
        status = Path(f"/proc/{self._process.pid}/status").read_text()
        return int(next(line for line in status.splitlines() if line.startswith("VmHWM")).split()[1]) / 1024
