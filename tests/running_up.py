"""`tollbook up`, or whatever starts it, in a process group of its own."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path


class Started:
    """Something that printed the call to paste."""

    def __init__(self, process: subprocess.Popen[str], output: Path, curl: str) -> None:
        self.process = process
        self.output = output
        self.curl = curl
        (self.key,) = re.findall(r"Bearer (\S+)\"", curl)

    def interrupt(self, *, within: float) -> int:
        """Ctrl-C as a terminal gives it: to the whole group. The exit code."""
        os.killpg(self.process.pid, signal.SIGINT)
        return self.process.wait(within)


@contextmanager
def started(
    command: Sequence[str], folder: Path, environment: Mapping[str, str], *, within: float
) -> Iterator[Started]:
    """Runs a command until it has printed its `curl`. The whole group is gone at the end, whatever happened."""
    output = folder / "output.txt"
    with output.open("w") as log:
        process = subprocess.Popen(
            command, cwd=folder, env=environment, stdout=log, stderr=subprocess.STDOUT, text=True, process_group=0
        )
    try:
        end = time.monotonic() + within
        while not (curl := re.search(r"^curl (?:.*\\\n)*.*\n\n", output.read_text(), re.MULTILINE)):
            assert process.poll() is None, output.read_text()
            assert time.monotonic() < end, output.read_text()
            time.sleep(0.05)
        yield Started(process, output, curl[0])
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def closed(port: int) -> bool:
    """Whether nobody listens there."""
    with socket.socket() as asking:
        return asking.connect_ex(("127.0.0.1", port)) != 0


def members(group: int) -> list[str]:
    """The command lines of a process group that are still there (Linux)."""
    found = []
    for status in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = status.read_text().rpartition(") ")[2].split()
            line = status.with_name("cmdline").read_text().replace("\0", " ")
        except OSError:  # it ended meanwhile
            continue
        if int(fields[2]) == group and fields[0] != "Z":
            found.append(line)
    return found
