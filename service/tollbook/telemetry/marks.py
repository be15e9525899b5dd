"""What a collector did not get, kept in the data directory, so that it can be told again from the books.

One small file for each worker: until when everything was delivered, and the spans of time in which something was given up.
A file of a process that was killed says by itself that what came after its last delivery may be missing.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from threading import Lock
from time import monotonic, time_ns

import msgspec

from .environment import Signal
from .outbox import Reason

FOLDER = "telemetry"

_APART = 60_000_000_000
"""Nanoseconds: gaps that are closer are one."""
_MOST = 200
_EVERY = 5.0
"""Seconds between two notes of what was delivered; what was given up is noted at the next of them, too."""


class Gap(msgspec.Struct):
    """A span of time, in nanoseconds since 1970, from which `count` items of a signal were given up."""

    signal: str
    first: int
    last: int
    count: int
    reasons: dict[str, int]


class Mark(msgspec.Struct):
    """Of one process. `clean`: it ended in good order, and everything that is not in a gap was delivered."""

    started: int
    delivered: dict[str, int] = msgspec.field(default_factory=dict)
    gaps: list[Gap] = msgspec.field(default_factory=list)
    clean: bool = False


class Marks:
    """Those of this process; in memory only without a directory. Called from any thread."""

    def __init__(self, directory: Path | None, worker: str) -> None:
        self._path = None if directory is None else directory / FOLDER / f"{worker}.mark.json"
        self._mark = Mark(started=time_ns())
        self._lock = Lock()
        self._dirty = False
        self._written = 0.0

    def move(self, directory: Path, worker: str) -> None:
        """The directory is ours now."""
        self._path = directory / FOLDER / f"{worker}.mark.json"

    def delivered(self, signal: Signal, last: int) -> None:
        with self._lock:
            self._mark.delivered[signal] = max(self._mark.delivered.get(signal, 0), last)
            self._dirty = True

    def lost(self, signal: Signal, reason: Reason, count: int, first: int, last: int) -> None:
        with self._lock:
            self._dirty = True
            for gap in self._mark.gaps:
                if gap.signal == signal and first <= gap.last + _APART and last >= gap.first - _APART:
                    gap.first, gap.last, gap.count = min(gap.first, first), max(gap.last, last), gap.count + count
                    gap.reasons[reason] = gap.reasons.get(reason, 0) + count
                    return
            gaps = self._mark.gaps
            if len(gaps) >= _MOST:  # two that follow each other become one, so that the oldest is not forgotten
                second = gaps.pop(1)
                gaps[0].last, gaps[0].count = max(gaps[0].last, second.last), gaps[0].count + second.count
            gaps.append(Gap(signal, first, last, count, {reason: count}))

    def write(self, *, clean: bool = False, now: bool = False) -> None:
        """Note them, if there is news and it is time."""
        if self._path is None or not (clean or now or (self._dirty and monotonic() - self._written >= _EVERY)):
            return
        with self._lock:
            self._mark.clean = clean
            content = msgspec.json.encode(self._mark)
            self._dirty, self._written = False, monotonic()
        with suppress(OSError):  # a full disk has its own alarms; telemetry never stops a call
            replace_file(self._path, content)


def replace_file(path: Path, content: bytes) -> None:
    """Write a file as a whole, for its owner only: a reader sees the old one or the new one."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    with open(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
        file.write(content)
    draft.replace(path)


def missing(directory: Path, signal: Signal = "traces") -> Iterator[tuple[int, int]]:
    """The spans of time, in nanoseconds since 1970, from which a signal is not (all) with the collector; oldest first.

    A process that was killed misses what came after its last delivery, until now.
    """
    found: list[tuple[int, int]] = []
    for path in (directory / FOLDER).glob("*.mark.json"):
        mark = read(path)
        if mark is None:
            continue
        found += [(gap.first, gap.last) for gap in mark.gaps if gap.signal == signal]
        if not mark.clean:
            found.append((mark.delivered.get(signal, mark.started), time_ns()))
    yield from sorted(found)


def read(path: Path) -> Mark | None:
    """One process's mark; None for a file that is none."""
    try:
        return msgspec.json.decode(path.read_bytes(), type=Mark)
    except (OSError, msgspec.DecodeError):
        return None


def forget(directory: Path) -> None:
    """What was missing until now has been told again."""
    for path in (directory / FOLDER).glob("*.mark.json"):
        path.unlink(missing_ok=True)
