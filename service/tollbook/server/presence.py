"""Which gateway runs on a data directory: `gateway.pid`, locked for as long as it runs.

The lock tells a running gateway from a file that a crash left behind, whoever has that process id now.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_NAME = "gateway.pid"


@contextmanager
def present(data_dir: Path) -> Iterator[None]:
    """This process is the gateway of a data directory. Where another one is already, that one stays the one to be found."""
    data_dir.mkdir(parents=True, exist_ok=True)
    with (data_dir / _NAME).open("a+") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield
            return
        file.truncate(0)
        file.write(f"{os.getpid()}\n")
        file.flush()
        yield
        file.truncate(0)


def find(data_dir: Path) -> int | None:
    """The process id of the gateway that runs on a data directory; None when none does."""
    try:
        file = (data_dir / _NAME).open("r+")
    except FileNotFoundError:
        return None
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            text = file.read().strip()
            return int(text) if text.isdecimal() else None
    return None
