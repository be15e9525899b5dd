"""Metrics of several workers as one: each writes what it holds to a file of the data directory, any of them adds them up.

A worker that died stays in the sums (its counters were real); its gauges go with it. Which one lives is told by a lock that
it holds on a file of its own, so a process id that was given to somebody else misleads nobody. When workers start, what
the dead have left is folded into one file. A gateway that starts anew begins at zero, as Prometheus expects of a restart.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

import msgspec

from .instruments import Instrument
from .marks import replace_file
from .meter import Meter, Snapshot, added, decode

FOLDER = "metrics"
_DEAD = "dead.state"


class Folded(msgspec.Struct, array_like=True):
    """The dead, as one. `names`: files that are in it and may still lie about."""

    names: list[str]
    snapshot: Snapshot


def clear(directory: Path) -> None:
    """Begin at zero: for whoever starts the whole gateway, before there is any worker."""
    with suppress(FileNotFoundError):
        for path in (directory / FOLDER).iterdir():
            path.unlink(missing_ok=True)


class Board:
    """Where the workers of a gateway find each other's metrics. Without a directory there is only this one."""

    def __init__(self, directory: Path | None, worker: str, meter: Meter, instruments: list[Instrument]) -> None:
        self._folder = None if directory is None else directory / FOLDER
        self._meter = meter
        self._instruments = instruments
        self._lock: IO[bytes] | None = None
        self._last = b""
        if self._folder is not None:
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._fold()
            self._name = f"{worker}-{os.getpid()}-{meter.since}"
            self._lock = (self._folder / f"{self._name}.lock").open("wb")
            fcntl.flock(self._lock, fcntl.LOCK_EX)
            self.write()

    def write(self) -> None:
        """Let the others see what this worker holds by now."""
        if self._folder is None:
            return
        content = self._meter.encoded()
        if content != self._last:
            with suppress(OSError):  # a full disk has its own alarms; the next write may do
                replace_file(self._folder / f"{self._name}.state", content)
                self._last = content

    def snapshot(self) -> Snapshot:
        """All workers together, this one as it is now, the others as of a second ago at the most."""
        own = self._meter.snapshot()
        if self._folder is None:
            return added([own], self._instruments)
        folded = self._folded()
        parts = [own, *((folded.snapshot,) if folded else ())]
        for path in self._folder.glob("*.state"):
            if path.name == _DEAD or path.stem == self._name or (folded and path.name in folded.names):
                continue
            found = _read(path)
            if found is not None:
                parts.append(found if self._alive(path) else _without_gauges(found))
        return added(parts, self._instruments)

    def close(self) -> None:
        """Leave the counters behind, and let go."""
        self.write()
        if self._lock is not None:
            self._lock.close()

    def _fold(self) -> None:
        with self._folding():
            folded = self._folded()
            assert self._folder is not None
            for name in folded.names if folded else ():
                (self._folder / name).unlink(missing_ok=True)
            dead = [path for path in self._folder.glob("*.state") if path.name != _DEAD and not self._alive(path)]
            parts = [found for path in dead if (found := _read(path)) is not None]
            if parts:
                whole = added(
                    [*((folded.snapshot,) if folded else ()), *map(_without_gauges, parts)], self._instruments
                )
                names = [path.name for path in dead]
                replace_file(self._folder / _DEAD, msgspec.msgpack.encode(Folded(names, whole)))
            for path in dead:
                path.unlink(missing_ok=True)
                path.with_suffix(".lock").unlink(missing_ok=True)

    def _folded(self) -> Folded | None:
        assert self._folder is not None
        try:
            return msgspec.msgpack.decode((self._folder / _DEAD).read_bytes(), type=Folded)
        except (OSError, msgspec.DecodeError):
            return None

    @contextmanager
    def _folding(self) -> Iterator[None]:
        assert self._folder is not None
        with (self._folder / "fold.lock").open("wb") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield

    @staticmethod
    def _alive(state: Path) -> bool:
        try:
            with state.with_suffix(".lock").open("rb") as lock:
                fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        except OSError:
            return False
        return False


def _read(path: Path) -> Snapshot | None:
    """What a worker wrote; None where it is gone by now, or of another version."""
    try:
        return decode(path.read_bytes())
    except (OSError, ValueError):
        return None


def _without_gauges(snapshot: Snapshot) -> Snapshot:
    return Snapshot(snapshot.since, snapshot.totals, snapshot.spreads, {})
