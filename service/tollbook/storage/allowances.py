"""What is spent and reserved of budgets, and used of limits: allowances.sqlite, one file for all workers.

Whoever asks gives a job: a function over a `Tally`, one transaction. A thread does the jobs, as many as are waiting in one
commit, so that an event loop never waits for SQLite. The transactions of different processes follow one another: a lock on
a file of its own wakes who waits at once, where SQLite's own would have it sleep and look again.

The file is not synced at each commit (`synchronous = NORMAL`). What was committed survives the end of the process, `kill -9`
included, for the system has it by then; a power cut may take the last moments of it, and with them the calls that were under
way. The books themselves are synced (`storage/journal.py`), and no reservation is worth more than the call that it was for.
"""

from __future__ import annotations

import asyncio
import logging
import os
import queue
import sqlite3
import threading
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

from tollbook.errors import ConfigError, Unavailable

from .presence import Presence, Turn
from .tally import Tally, lay_out

T = TypeVar("T")

FILE = "allowances.sqlite"
LOCK = "allowances.lock"
WORKERS = "workers"
"""A folder with a locked file for each process that may hold reservations; the lock ends with the process."""

GROUP = 256
"""Jobs that share one commit at most."""
_WAIT = 10.0
"""Seconds to wait for a process that writes without our lock."""
_AGAIN = 1.0
"""Seconds after which what could not be written is tried again."""
_HOUR = 3_600_000_000_000
_TIDY = _HOUR // 6
"""Nanoseconds between two looks at what is of no use any more."""
_UNSETTLED = 24 * _HOUR
"""Age at which a response that is made in background, and that nobody asked for, reserves nothing any more."""
_FORGOTTEN = 30 * _UNSETTLED

_log = logging.getLogger("tollbook")


_Told = tuple["asyncio.Future[Any] | None", Any, Exception | None]
"""Who waits, the answer, or what went wrong."""


class _Waiting(NamedTuple):
    """A job, and who is told how it went: a future of an event loop, or a function that the thread calls."""

    job: Callable[[Tally], Any]
    future: asyncio.Future[Any] | None
    loop: asyncio.AbstractEventLoop | None
    done: Callable[[Any], None] | None


class AllowanceTable:
    """The file in `directory`, or memory when there is no directory.

    Safe to use from several threads and event loops. Raises ConfigError when a newer Tollbook wrote the file, Unavailable (code
    "storage_unavailable") when it cannot be used. `worker` names this process; what it holds when it ends without settling is
    settled by the next one (`left_behind`).
    """

    def __init__(self, directory: Path | None = None, *, clock: Callable[[], int] = time.time_ns) -> None:
        self.clock = clock
        self.worker = uuid.uuid4().hex
        self._directory = directory
        self._tidied = 0
        self._pruned: dict[str, int] = {}
        self._unwritten: list[_Waiting] = []
        self._again = 0.0
        self._failing = False
        self._queue: queue.SimpleQueue[_Waiting | None] = queue.SimpleQueue()
        self._thread: threading.Thread | None = None
        self._starting = threading.Lock()
        self._closed = False
        self._writing = threading.Lock()
        if directory is None:
            self._presence: Presence | None = None
            self._turn: AbstractContextManager[object] = nullcontext()
            self._connection = self._reader = _connect(":memory:")
            self._reading = self._writing
        else:
            _prepare(directory)
            self._turn = Turn(directory / LOCK)
            self._presence = Presence(directory / WORKERS, self.worker)
            self._connection, self._reader = _connect(directory / FILE), _connect(directory / FILE)
            self._reading = threading.Lock()
        try:
            with self._turn, _transaction(self._connection):
                lay_out(self._connection, FILE if directory is None else str(directory / FILE))
        except (sqlite3.Error, ConfigError) as failure:
            self.close()
            raise failure if isinstance(failure, ConfigError) else _unavailable(failure) from failure

    async def run(self, job: Callable[[Tally], T]) -> T:
        """What a job answers, once what it wrote is committed. Raises Unavailable when it could not be."""
        loop = asyncio.get_running_loop()
        future: asyncio.Future[T] = loop.create_future()
        self._put(_Waiting(job, future, loop, None))
        return await future

    def post(self, job: Callable[[Tally], T], done: Callable[[T], None] | None = None) -> None:
        """Do a job after those that are waiting; nobody waits for it. It is tried again until it is written.

        `done` is called with its answer, in the thread.
        """
        self._put(_Waiting(job, None, None, done))

    def do(self, job: Callable[[Tally], T]) -> T:
        """Do a job now, in this thread: for programs without an event loop. Raises Unavailable."""
        try:
            with self._writing, self._turn, _transaction(self._connection):
                return job(self._tally(self._connection))
        except sqlite3.Error as failure:
            raise _unavailable(failure) from failure

    def read(self, job: Callable[[Tally], T]) -> T:
        """What a job that writes nothing finds, of one moment. Raises Unavailable."""
        try:
            with self._reading, _transaction(self._reader, "DEFERRED"):
                return job(self._tally(self._reader))
        except sqlite3.Error as failure:
            raise _unavailable(failure) from failure

    def left_behind(self) -> list[str]:
        """The calls of processes that ended without settling them. Raises Unavailable."""
        if self._presence is None:
            return []
        holders = self.read(lambda tally: tally.holders())
        gone = {worker for worker in holders if worker != self.worker and not self._presence.alive(worker)}
        self._presence.forget_the_dead(but=gone)
        return [call_id for worker in gone for call_id in holders[worker]]

    def close(self) -> None:
        """Do what is waiting, then let go of the file. Closing twice is closing once."""
        with self._starting:
            self._closed = True
            thread, self._thread = self._thread, None
        if thread is not None:
            self._queue.put(None)
            thread.join()
        if self._unwritten:
            _log.error("%d calls could not be settled; they are settled at the next start", len(self._unwritten))
            self._unwritten = []
        with self._writing:
            self._connection.close()
        with self._reading:
            self._reader.close()
        if self._presence is not None:
            self._presence.close()
        if isinstance(self._turn, Turn):
            self._turn.close()

    # ------------------------------------------------------------------------------------------------------- the thread

    def _put(self, waiting: _Waiting) -> None:
        with self._starting:
            if self._closed:
                raise Unavailable("The storage is closed.", code="storage_unavailable")
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="tollbook-allowances", daemon=True)
                self._thread.start()
            self._queue.put(waiting)

    def _run(self) -> None:
        going = True
        while going:
            batch: list[_Waiting | None] = []
            with suppress(queue.Empty):
                batch.append(self._queue.get(timeout=_AGAIN if self._unwritten else None))
                while len(batch) < GROUP:
                    batch.append(self._queue.get_nowait())
            going = None not in batch
            waiting = [each for each in batch if each is not None]
            if self._unwritten and (not going or time.monotonic() >= self._again):
                waiting, self._unwritten = [*self._unwritten, *waiting], []
            if waiting:
                self._write(waiting)

    def _write(self, waiting: list[_Waiting]) -> None:
        """Do jobs in one transaction; when that fails, each in one of its own, so that none fails for another's sake."""
        try:
            with self._writing, self._turn, _transaction(self._connection):
                tally = self._tally(self._connection)
                self._tidy(tally)
                answers = [each.job(tally) for each in waiting]
        except Exception as failure:
            if len(waiting) > 1:
                for each in waiting:
                    self._write([each])
            else:
                self._fail(waiting[0], failure)
        else:
            self._failing = False
            _answer(waiting, answers)

    def _fail(self, waiting: _Waiting, failure: Exception) -> None:
        error = _unavailable(failure) if isinstance(failure, sqlite3.Error) else failure
        if waiting.loop is not None:
            _wake(waiting.loop, [(waiting.future, None, error)])
        elif isinstance(failure, sqlite3.Error):
            if not self._failing:
                self._failing = True
                _log.warning("Calls cannot be settled, which is tried again every second: %s", failure)
            self._again = time.monotonic() + _AGAIN
            self._unwritten.append(waiting)
        else:
            _log.error("A call could not be settled", exc_info=failure)

    def _tidy(self, tally: Tally) -> None:
        if tally.now - self._tidied < _TIDY and tally.now >= self._tidied:
            return
        self._tidied = tally.now
        tally.let_go(free=tally.now - _UNSETTLED, forget=tally.now - _FORGOTTEN)
        tally.drop_full(tally.now - _TIDY)

    def _tally(self, connection: sqlite3.Connection) -> Tally:
        return Tally(connection, self.worker, self.clock(), self._pruned)


@contextmanager
def _transaction(connection: sqlite3.Connection, kind: str = "IMMEDIATE") -> Iterator[None]:
    connection.execute(f"BEGIN {kind}")
    try:
        yield
        connection.execute("COMMIT")
    finally:
        if connection.in_transaction:
            connection.execute("ROLLBACK")


def _prepare(directory: Path) -> None:
    """The file, readable by its owner only."""
    try:
        directory.mkdir(parents=True, exist_ok=True)
        os.close(os.open(directory / FILE, os.O_RDWR | os.O_CREAT, 0o600))
    except OSError as failure:
        raise ConfigError(f"The table of allowances cannot be opened: {failure}.") from failure


def _connect(path: Path | str) -> sqlite3.Connection:
    try:
        connection = sqlite3.connect(path, timeout=_WAIT, isolation_level=None, check_same_thread=False)
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = NORMAL")
    except sqlite3.Error as failure:
        raise _unavailable(failure) from failure
    return connection


def _answer(waiting: Sequence[_Waiting], answers: Sequence[Any]) -> None:
    """Tell everybody: one hop to each event loop, however many wait on it."""
    by_loop: dict[asyncio.AbstractEventLoop, list[_Told]] = {}
    for each, answer in zip(waiting, answers, strict=True):
        if each.loop is not None:
            by_loop.setdefault(each.loop, []).append((each.future, answer, None))
        elif each.done is not None:
            try:
                each.done(answer)
            except Exception:  # whatever it is, the thread goes on
                _log.exception("What a settled call has led to could not be told")
    for loop, told in by_loop.items():
        _wake(loop, told)


def _wake(loop: asyncio.AbstractEventLoop, told: list[_Told]) -> None:
    with suppress(RuntimeError):  # the loop has been closed: nobody waits any more
        loop.call_soon_threadsafe(_resolve, told)


def _resolve(told: list[_Told]) -> None:
    for future, answer, error in told:
        if future is None or future.done():  # its task was cancelled
            continue
        if error is None:
            future.set_result(answer)
        else:
            future.set_exception(error)


def _unavailable(failure: sqlite3.Error) -> Unavailable:
    return Unavailable(f"Budgets and limits cannot be kept now: {failure}.", code="storage_unavailable")
