"""Which processes use a data directory together: whose turn it is to write, and who is still there."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Collection
from pathlib import Path


class Turn:
    """Whose turn it is to write, among processes. Who waits is woken by the system."""

    def __init__(self, path: Path) -> None:
        self._file = os.open(path, os.O_CREAT | os.O_RDWR, 0o600)

    def __enter__(self) -> None:
        fcntl.flock(self._file, fcntl.LOCK_EX)

    def __exit__(self, *failure: object) -> None:
        fcntl.flock(self._file, fcntl.LOCK_UN)

    def close(self) -> None:
        """Closing twice is closing once."""
        if self._file >= 0:
            os.close(self._file)
            self._file = -1


class Presence:
    """Which processes are there: each has a file that it keeps locked for as long as it runs."""

    def __init__(self, folder: Path, worker: str) -> None:
        folder.mkdir(mode=0o700, exist_ok=True)
        self._folder = folder
        self._own = folder / worker
        # It gets its name when it is locked, so that nobody takes it for one that was left behind.
        draft = folder / f".{worker}"
        self._file = os.open(draft, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600)
        fcntl.flock(self._file, fcntl.LOCK_EX)
        draft.rename(self._own)

    def alive(self, worker: str) -> bool:
        """Whether a process still runs."""
        try:
            file = os.open(self._folder / worker, os.O_RDWR)
        except FileNotFoundError:
            return False
        try:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        finally:
            os.close(file)
        return False

    def forget_the_dead(self, *, but: Collection[str]) -> None:
        """Remove the files of processes that ended, except those whose calls are not settled yet."""
        for path in self._folder.iterdir():
            if path.name not in but and not path.name.startswith(".") and not self.alive(path.name):
                path.unlink(missing_ok=True)

    def close(self) -> None:
        """This process ends. Closing twice is closing once."""
        if self._file >= 0:
            self._own.unlink(missing_ok=True)
            os.close(self._file)
            self._file = -1
