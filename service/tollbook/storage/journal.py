"""The journal: where a finished call is acknowledged, one SQLite file per worker.

`Journal` belongs to the worker: it takes entries from any event loop and commits them in groups from a thread of its
own, so that many waiting calls share one sync of the disk. `JournalFile` is the file itself, for both sides: the
recorder opens its own, reads what is new, and trims what its tables hold.

A file carries its own identity (`uuid`) and never uses a sequence number twice, so the recorder's high-water mark
tells for ever what it has seen of it, whatever the file is called and however often it is read.
"""

from __future__ import annotations

import asyncio
import os
import queue
import sqlite3
import sys
import threading
import uuid
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

from tollbook.errors import Unavailable

if sys.version_info >= (3, 14):
    from compression.zstd import ZstdCompressor
else:
    from backports.zstd import ZstdCompressor

FORMAT = 2
"""Of the file's table and of what its blobs hold (`facts.FORMAT`); a file with a newer one is left alone."""

GROUP = 256
"""Entries that share one commit at most."""

_SCHEMA = """
CREATE TABLE IF NOT EXISTS identity (uuid TEXT NOT NULL, format INTEGER NOT NULL);
-- AUTOINCREMENT: without it SQLite starts again at 1 when the table has been emptied.
CREATE TABLE IF NOT EXISTS entries (
    sequence INTEGER PRIMARY KEY AUTOINCREMENT,
    recorded INTEGER NOT NULL,
    call_id TEXT NOT NULL,
    facts BLOB NOT NULL,
    response_id TEXT,
    head BLOB,
    content BLOB
);
CREATE INDEX IF NOT EXISTS entries_response ON entries (response_id) WHERE response_id IS NOT NULL;
"""


class Entry(NamedTuple):
    """What a worker writes: facts, and head and content of a turn if there is one (`storage.pack` makes the blobs)."""

    recorded: int
    call_id: str
    facts: bytes
    response_id: str | None
    head: bytes | None
    content: bytes | None


class Written(NamedTuple):
    """An entry as it stands in the file, its content compressed."""

    sequence: int
    recorded: int
    call_id: str
    facts: bytes
    response_id: str | None
    head: bytes | None
    content: bytes | None

    @property
    def size(self) -> int:
        return len(self.facts) + len(self.head or b"") + len(self.content or b"")


class NewerFormat(sqlite3.DatabaseError):
    """The journal was written by a newer Tollbook."""


def journals_path(directory: Path) -> Path:
    return directory / "journals"


def make_directory(directory: Path) -> None:
    """Make the data directory, and the one for journals in it, for its owner only."""
    for path in (directory, journals_path(directory)):
        path.mkdir(mode=0o700, parents=True, exist_ok=True)


def unavailable(error: BaseException) -> Unavailable:
    """What a caller is told when the disk or a database refuses."""
    return Unavailable(f"The storage is not available: {error}", code="storage_unavailable")


def _connect(path: Path | str) -> sqlite3.Connection:
    return sqlite3.connect(path, timeout=10, isolation_level=None, check_same_thread=False)


def _prepare(connection: sqlite3.Connection) -> None:
    connection.execute("PRAGMA journal_mode = WAL")
    connection.executescript(_SCHEMA)
    connection.execute("INSERT INTO identity VALUES (?, ?)", (uuid.uuid4().hex, FORMAT))


def _make(path: Path) -> None:
    """Make a journal that appears under its name when it is ready: the recorder may open it at any moment.

    The file is there before SQLite sees it, so that it and its companions (-wal, -shm) are never readable by others.
    """
    draft = path.with_name(f"{path.name}.{uuid.uuid4().hex}")
    os.close(os.open(draft, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600))
    connection = _connect(draft)
    try:
        _prepare(connection)
    finally:
        connection.close()
    with suppress(FileExistsError):  # another worker of the same name was faster
        os.link(draft, path)
    draft.unlink()


class JournalFile:
    """The open file, or memory when `path` is None. Its methods may be called from any thread; all may raise `sqlite3.Error`.

    Only a `writer` waits for the disk: what a reader writes (trimming) may be lost in a power cut without harm.
    """

    def __init__(self, path: Path | None, *, writer: bool) -> None:
        if writer and path is not None and not path.exists():
            _make(path)
        self._lock = threading.Lock()
        self._connection = _connect(":memory:" if path is None else path)
        try:
            if path is None:
                _prepare(self._connection)
            self._connection.execute(f"PRAGMA synchronous = {'FULL' if writer else 'NORMAL'}")
            self.uuid, version = self._connection.execute("SELECT uuid, format FROM identity").fetchone()
            if version > FORMAT:
                raise NewerFormat(f"it has format {version}, this Tollbook knows {FORMAT}")
            if writer and version < FORMAT:  # its older entries stay what they are
                self._connection.execute("UPDATE identity SET format = ?", (FORMAT,))
        except BaseException:
            self._connection.close()
            raise

    def append(self, rows: Sequence[Sequence[Any]]) -> None:
        """Add entries in one transaction: all of them or none."""
        with self._lock:
            self._connection.execute("BEGIN IMMEDIATE")
            try:
                self._connection.executemany(
                    "INSERT INTO entries (recorded, call_id, facts, response_id, head, content) VALUES (?, ?, ?, ?, ?, ?)",
                    rows,
                )
                self._connection.execute("COMMIT")
            except BaseException:
                with suppress(sqlite3.OperationalError):  # SQLite has rolled back already when the disk was full
                    self._connection.execute("ROLLBACK")
                raise

    def after(self, sequence: int, *, rows: int, size: int) -> list[Written]:
        """The oldest entries above a sequence number: at most so many rows, and no more once they have so many bytes."""
        entries: list[Written] = []
        with self._lock:
            cursor = self._connection.execute(
                "SELECT * FROM entries WHERE sequence > ? ORDER BY sequence LIMIT ?", (sequence, rows)
            )
            for row in cursor:
                entries.append(Written._make(row))
                size -= entries[-1].size
                if size <= 0:
                    break
            cursor.close()
        return entries

    def turn(self, response_id: str, after: int) -> Written | None:
        """The last entry above a sequence number that holds this response."""
        # The unary + keeps SQLite on the index of the id instead of walking all later entries.
        return self._one("response_id = ? AND +sequence > ? ORDER BY +sequence DESC", response_id, after)

    def call(self, call_id: str, after: int) -> Written | None:
        """The first entry above a sequence number that holds this call; without an index, for it is seldom asked."""
        return self._one("call_id = ? AND sequence > ? ORDER BY sequence", call_id, after)

    def _one(self, where: str, identifier: str, after: int) -> Written | None:
        query = f"SELECT * FROM entries WHERE {where} LIMIT 1"  # noqa: S608 - of our own words
        with self._lock:
            row = self._connection.execute(query, (identifier, after)).fetchone()
        return None if row is None else Written._make(row)

    def oldest(self) -> int | None:
        """When the oldest entry was recorded, in nanoseconds since 1970; None when there is none."""
        with self._lock:
            row = self._connection.execute("SELECT recorded FROM entries ORDER BY sequence LIMIT 1").fetchone()
        return None if row is None else row[0]

    def trim(self, sequence: int) -> None:
        """Forget entries up to a sequence number."""
        with self._lock:
            self._connection.execute("DELETE FROM entries WHERE sequence <= ?", (sequence,))

    def close(self) -> None:
        with self._lock:
            self._connection.close()


class _Waiting(NamedTuple):
    entry: Entry
    future: asyncio.Future[None]
    loop: asyncio.AbstractEventLoop


class Journal:
    """A worker's side: `append` returns when the entry is on the disk."""

    def __init__(self, path: Path | None) -> None:
        self.file = JournalFile(path, writer=True)
        self._queue: queue.SimpleQueue[_Waiting | None] = queue.SimpleQueue()
        self._closed = False
        self._compressor = ZstdCompressor()
        self._thread = threading.Thread(target=self._run, name="tollbook-journal", daemon=True)
        self._thread.start()

    async def append(self, entry: Entry) -> None:
        """Raises `Unavailable` when the entry could not be written; it may be tried again."""
        if self._closed:
            raise Unavailable("The storage is closed.", code="storage_unavailable")
        loop = asyncio.get_running_loop()
        future: asyncio.Future[None] = loop.create_future()
        self._queue.put(_Waiting(entry, future, loop))
        await future

    def stop(self) -> None:
        """Write what is waiting and take no more; the file stays open for who shares it."""
        if not self._closed:
            self._closed = True
            self._queue.put(None)
            self._thread.join()

    def close(self) -> None:
        """Stop, and let go of the file."""
        self.stop()
        self.file.close()

    def _run(self) -> None:
        going = True
        while going:
            batch = [self._queue.get()]
            with suppress(queue.Empty):
                while len(batch) < GROUP:
                    batch.append(self._queue.get_nowait())
            going = None not in batch
            waiting = [each for each in batch if each is not None]
            if waiting:
                self._write(waiting)

    def _write(self, waiting: list[_Waiting]) -> None:
        try:
            self.file.append([self._compressed(each.entry) for each in waiting])
        except Exception as error:  # whatever it is, nobody may wait for ever
            if len(waiting) == 1:
                _answer(waiting, unavailable(error))
            else:  # one that is too large for what is left of the disk must not fail the others
                for each in waiting:
                    self._write([each])
        else:
            _answer(waiting, None)

    def _compressed(self, entry: Entry) -> Entry:
        if entry.content is None:
            return entry
        return entry._replace(content=self._compressor.compress(entry.content, ZstdCompressor.FLUSH_FRAME))


def _answer(waiting: list[_Waiting], error: Unavailable | None) -> None:
    """Wake those who wait: one hop to each event loop, however many wait on it."""
    by_loop: dict[asyncio.AbstractEventLoop, list[asyncio.Future[None]]] = {}
    for each in waiting:
        by_loop.setdefault(each.loop, []).append(each.future)
    for loop, futures in by_loop.items():
        with suppress(RuntimeError):  # the loop has been closed: nobody waits any more
            loop.call_soon_threadsafe(_resolve, futures, error)


def _resolve(futures: list[asyncio.Future[None]], error: Unavailable | None) -> None:
    for future in futures:
        if future.done():  # its task was cancelled
            continue
        if error is None:
            future.set_result(None)
        else:
            future.set_exception(error)
