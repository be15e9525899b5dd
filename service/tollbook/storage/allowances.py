"""What is spent and reserved of budgets, and used of limits: allowances.sqlite, one file for all workers.

Whoever asks gives a job: a function over a `Ledger`, one transaction. A thread does the jobs, as many as are waiting in one
commit, so that an event loop never waits for SQLite. The transactions of different processes follow one another: a lock on
a file of its own wakes who waits at once, where SQLite's own would have it sleep and look again.

The file is not synced at each commit (`synchronous = NORMAL`). What was committed survives the end of the process, `kill -9`
included, for the system has it by then; a power cut may take the last moments of it, and with them the calls that were under
way. The books themselves are synced (`storage/journal.py`), and no reservation is worth more than the call that it was for.
"""

from __future__ import annotations

import asyncio
import fcntl
import logging
import os
import queue
import sqlite3
import threading
import time
import uuid
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

from tollbook.errors import ConfigError, Unavailable

T = TypeVar("T")

FILE = "allowances.sqlite"
LOCK = "allowances.lock"
WORKERS = "workers"
"""A folder with a locked file for each process that may hold reservations; the lock ends with the process."""

LAYOUT = 1
GROUP = 256
"""Jobs that share one commit at most."""
_REMEMBERED = 10_000
"""Accounts of which it is remembered that they were tidied."""
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

_SCHEMA = """
CREATE TABLE IF NOT EXISTS spent (
    account  TEXT NOT NULL,
    begins   INTEGER NOT NULL,       -- nanoseconds since 1970: the piece of time in which it was spent
    ends     INTEGER NOT NULL,
    amount   INTEGER NOT NULL,       -- nano-USD
    PRIMARY KEY (account, begins, ends)
) STRICT, WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS holds (
    call_id  TEXT NOT NULL,
    account  TEXT NOT NULL,
    bound    INTEGER NOT NULL,       -- nano-USD, tokens or calls
    at       INTEGER NOT NULL,
    worker   TEXT NOT NULL,          -- "" for a response that is made in background: it outlives its worker
    PRIMARY KEY (call_id, account)
) STRICT, WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS holds_of_account ON holds (account, bound);
CREATE TABLE IF NOT EXISTS buckets (
    account  TEXT PRIMARY KEY,
    full_at  INTEGER NOT NULL,
    seen     INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS warned (
    account  TEXT PRIMARY KEY,
    at       INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
"""

_LAST = "\U0010ffff"
"""Comes after every letter."""

_log = logging.getLogger("tollbook")


class Held(NamedTuple):
    """What a call reserved on an account, and when."""

    account: str
    bound: int
    at: int


class Ledger:
    """One transaction. Sums are remembered within it, for nobody else can change them."""

    __slots__ = ("_connection", "_pruned", "_reserved", "_spent", "_worker", "now")

    def __init__(self, connection: sqlite3.Connection, worker: str, now: int, pruned: dict[str, int]) -> None:
        self._connection = connection
        self._worker = worker
        self.now = now
        self._pruned = pruned
        self._spent: dict[tuple[str, int], int] = {}
        self._reserved: dict[str, int] = {}

    # ------------------------------------------------------------------------------------------------------------ money

    def spent(self, account: str, since: int) -> int:
        """What was spent in pieces of time that end after `since`."""
        known = self._spent.get((account, since))
        if known is None:
            known = self._spent[account, since] = self._one(
                "SELECT coalesce(sum(amount), 0) FROM spent WHERE account = ? AND ends > ?", account, since
            )
        return known

    def pieces(self, account: str, since: int) -> list[tuple[int, int]]:
        """The same piece by piece: when it ends, and how much. Oldest first."""
        found = self._connection.execute(
            "SELECT ends, amount FROM spent WHERE account = ? AND ends > ? ORDER BY ends", (account, since)
        )
        return found.fetchall()

    def spend(self, account: str, grain: tuple[int, int], amount: int, forget: int) -> None:
        """Count money in a piece of time, from its begin to its end. Pieces that ended before `forget` are of no use any more."""
        if self._pruned.get(account) != grain[0]:
            if len(self._pruned) >= _REMEMBERED:
                self._pruned.clear()
            self._pruned[account] = grain[0]
            self._connection.execute("DELETE FROM spent WHERE account = ? AND ends <= ?", (account, forget))
        self._connection.execute(
            "INSERT INTO spent VALUES (?, ?, ?, ?) ON CONFLICT DO UPDATE SET amount = amount + excluded.amount",
            (account, *grain, amount),
        )
        for known, since in self._spent:
            if known == account and grain[1] > since:
                self._spent[known, since] += amount

    def reset(self, account: str) -> None:
        """Nothing was spent on an account, and no warning given. What is reserved stays."""
        self._connection.execute("DELETE FROM spent WHERE account = ?", (account,))
        self._connection.execute("DELETE FROM warned WHERE account = ?", (account,))
        self._spent.clear()

    def accounts(self, prefix: str) -> list[str]:
        """The accounts that begin so, on which something was spent."""
        found = self._connection.execute(
            "SELECT DISTINCT account FROM spent WHERE account >= ? AND account < ?", (prefix, prefix + _LAST)
        )
        return [account for (account,) in found]

    def shares(self, prefix: str, since: int) -> list[tuple[str, int, int]]:
        """Of each account that begins so: what was spent in pieces of time that end after `since`, and what is reserved. Those
        with the most come first; those with nothing are left out."""
        found = self._connection.execute(
            """
            SELECT account, sum(spent) AS spent, sum(reserved) FROM (
                SELECT account, amount AS spent, 0 AS reserved FROM spent
                WHERE account >= ?1 AND account < ?2 AND ends > ?3
                UNION ALL
                SELECT account, 0, bound FROM holds WHERE account >= ?1 AND account < ?2
            )
            GROUP BY account HAVING sum(spent) > 0 OR sum(reserved) > 0 ORDER BY spent DESC, account
            """,
            (prefix, prefix + _LAST, since),
        )
        return found.fetchall()

    # ----------------------------------------------------------------------------------------------------- reservations

    def reserved(self, account: str) -> int:
        """What calls under way hold of an account."""
        known = self._reserved.get(account)
        if known is None:
            known = self._reserved[account] = self._one(
                "SELECT coalesce(sum(bound), 0) FROM holds WHERE account = ?", account
            )
        return known

    def hold(self, call_id: str, account: str, bound: int) -> None:
        """Reserve so much for a call, beside what it holds there already."""
        self._connection.execute(
            "INSERT INTO holds VALUES (?, ?, ?, ?, ?) ON CONFLICT DO UPDATE SET bound = bound + excluded.bound",
            (call_id, account, bound, self.now, self._worker),
        )
        if account in self._reserved:
            self._reserved[account] += bound

    def held(self, call_id: str) -> list[Held]:
        """What a call holds."""
        found = self._connection.execute("SELECT account, bound, at FROM holds WHERE call_id = ?", (call_id,))
        return [Held(*row) for row in found]

    def release(self, call_id: str) -> list[Held]:
        """What a call held; it holds nothing any more."""
        held = self.held(call_id)
        if held:
            self._connection.execute("DELETE FROM holds WHERE call_id = ?", (call_id,))
        for account, bound, _ in held:
            if account in self._reserved:
                self._reserved[account] -= bound
        return held

    def hand_over(self, call_id: str, to: str, *, without: str) -> None:
        """What a call holds is held by another one, which belongs to no worker, except on accounts that begin so."""
        self._connection.execute("DELETE FROM holds WHERE call_id = ? AND account GLOB ? || '*'", (call_id, without))
        self._connection.execute(
            "UPDATE OR REPLACE holds SET call_id = ?, worker = '' WHERE call_id = ?", (to, call_id)
        )
        self._reserved.clear()

    def let_go(self, *, free: int, forget: int) -> None:
        """What no worker holds and nobody settled: it reserves nothing when it is older than `free`, and is forgotten when it
        is older than `forget`."""
        self._connection.execute("UPDATE holds SET bound = 0 WHERE worker = '' AND at <= ? AND bound > 0", (free,))
        self._connection.execute("DELETE FROM holds WHERE worker = '' AND at <= ?", (forget,))
        self._reserved.clear()

    def holders(self) -> dict[str, list[str]]:
        """The calls that hold something, by worker."""
        found: dict[str, list[str]] = {}
        for worker, call_id in self._connection.execute(
            "SELECT DISTINCT worker, call_id FROM holds WHERE worker <> ''"
        ):
            found.setdefault(worker, []).append(call_id)
        return found

    # ----------------------------------------------------------------------------------------------- limits and warnings

    def bucket(self, account: str) -> tuple[int, int]:
        """When it will be full, and when it was looked at; (0, 0) for one that is new."""
        found = self._connection.execute("SELECT full_at, seen FROM buckets WHERE account = ?", (account,)).fetchone()
        return found or (0, 0)

    def fill(self, account: str, full_at: int, seen: int) -> None:
        self._connection.execute("INSERT OR REPLACE INTO buckets VALUES (?, ?, ?)", (account, full_at, seen))

    def drop_full(self, before: int) -> None:
        """Buckets that were full by then: they are as good as new."""
        self._connection.execute("DELETE FROM buckets WHERE full_at < ?", (before,))

    def warned(self, account: str) -> int:
        """When a warning was given last; 0 if none was."""
        return self._one("SELECT coalesce(max(at), 0) FROM warned WHERE account = ?", account)

    def warn(self, account: str) -> None:
        self._connection.execute("INSERT OR REPLACE INTO warned VALUES (?, ?)", (account, self.now))

    def _one(self, query: str, *values: Any) -> int:
        (found,) = self._connection.execute(query, values).fetchone()
        return int(found)


_Told = tuple["asyncio.Future[Any] | None", Any, Exception | None]
"""Who waits, the answer, or what went wrong."""


class _Waiting(NamedTuple):
    """A job, and who is told how it went: a future of an event loop, or a function that the thread calls."""

    job: Callable[[Ledger], Any]
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
            self._presence: _Presence | None = None
            self._turn: AbstractContextManager[object] = nullcontext()
            self._connection = self._reader = _connect(":memory:")
            self._reading = self._writing
        else:
            _prepare(directory)
            self._turn = _Turn(directory / LOCK)
            self._presence = _Presence(directory / WORKERS, self.worker)
            self._connection, self._reader = _connect(directory / FILE), _connect(directory / FILE)
            self._reading = threading.Lock()
        try:
            with self._turn, _transaction(self._connection):
                _lay_out(self._connection, directory)
        except (sqlite3.Error, ConfigError) as failure:
            self.close()
            raise failure if isinstance(failure, ConfigError) else _unavailable(failure) from failure

    async def run(self, job: Callable[[Ledger], T]) -> T:
        """What a job answers, once what it wrote is committed. Raises Unavailable when it could not be."""
        loop = asyncio.get_running_loop()
        future: asyncio.Future[T] = loop.create_future()
        self._put(_Waiting(job, future, loop, None))
        return await future

    def post(self, job: Callable[[Ledger], T], done: Callable[[T], None] | None = None) -> None:
        """Do a job after those that are waiting; nobody waits for it. It is tried again until it is written.

        `done` is called with its answer, in the thread.
        """
        self._put(_Waiting(job, None, None, done))

    def do(self, job: Callable[[Ledger], T]) -> T:
        """Do a job now, in this thread: for programs without an event loop. Raises Unavailable."""
        try:
            with self._writing, self._turn, _transaction(self._connection):
                return job(self._ledger(self._connection))
        except sqlite3.Error as failure:
            raise _unavailable(failure) from failure

    def read(self, job: Callable[[Ledger], T]) -> T:
        """What a job that writes nothing finds, of one moment. Raises Unavailable."""
        try:
            with self._reading, _transaction(self._reader, "DEFERRED"):
                return job(self._ledger(self._reader))
        except sqlite3.Error as failure:
            raise _unavailable(failure) from failure

    def left_behind(self) -> list[str]:
        """The calls of processes that ended without settling them. Raises Unavailable."""
        if self._presence is None:
            return []
        holders = self.read(lambda ledger: ledger.holders())
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
        if isinstance(self._turn, _Turn):
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
                ledger = self._ledger(self._connection)
                self._tidy(ledger)
                answers = [each.job(ledger) for each in waiting]
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

    def _tidy(self, ledger: Ledger) -> None:
        if ledger.now - self._tidied < _TIDY and ledger.now >= self._tidied:
            return
        self._tidied = ledger.now
        ledger.let_go(free=ledger.now - _UNSETTLED, forget=ledger.now - _FORGOTTEN)
        ledger.drop_full(ledger.now - _TIDY)

    def _ledger(self, connection: sqlite3.Connection) -> Ledger:
        return Ledger(connection, self.worker, self.clock(), self._pruned)


class _Turn:
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


class _Presence:
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


@contextmanager
def _transaction(connection: sqlite3.Connection, kind: str = "IMMEDIATE") -> Iterator[None]:
    connection.execute(f"BEGIN {kind}")
    try:
        yield
        connection.execute("COMMIT")
    finally:
        if connection.in_transaction:
            connection.execute("ROLLBACK")


def _lay_out(connection: sqlite3.Connection, directory: Path | None) -> None:
    (layout,) = connection.execute("PRAGMA user_version").fetchone()
    if layout > LAYOUT:
        path = FILE if directory is None else directory / FILE
        raise ConfigError(f"{path} was written by a newer Tollbook (layout {layout}, known {LAYOUT}).")
    for statement in _SCHEMA.split(";\n"):
        connection.execute(statement)
    connection.execute(f"PRAGMA user_version = {LAYOUT}")


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
