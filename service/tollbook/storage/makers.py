"""Who sealed what: a small SQLite file that every worker reads, so that sealed reasoning finds its maker after a
restart, too.

Digests only, thirty days of them, a million at the most. Losing one costs a replay without that reasoning, so writing is
left to a thread and nobody waits for it.
"""

from __future__ import annotations

import logging
import os
import sqlite3
import time
from collections.abc import Sequence
from pathlib import Path
from queue import SimpleQueue
from threading import Lock, Thread

from . import Maker

FILE = "makers.sqlite"
KEPT = 30 * 86_400
"""Seconds."""
MOST = 1_000_000

_SCHEMA = """
CREATE TABLE IF NOT EXISTS makers (
    mark        BLOB PRIMARY KEY,  -- digest of an item's seal or id
    deployment  TEXT NOT NULL,
    at          INTEGER NOT NULL,  -- seconds since 1970
    model       TEXT NOT NULL DEFAULT ''  -- the public name it answered for
) STRICT, WITHOUT ROWID
"""

_log = logging.getLogger("tollbook")


class MakerTable:
    """Marks and their makers. `learn` returns at once; `find` reads the disk: an event loop calls it in a thread."""

    def __init__(self, directory: Path) -> None:
        path = directory / FILE
        path.touch(mode=0o600)
        path.chmod(0o600)
        self._connection = sqlite3.connect(path, check_same_thread=False, isolation_level=None, timeout=5.0)
        self._lock = Lock()
        self._owner = os.getpid()
        self._connection.execute("PRAGMA journal_mode=WAL")
        self._connection.execute("PRAGMA synchronous=NORMAL")
        self._connection.execute(_SCHEMA)
        if "model" not in {row[1] for row in self._connection.execute("PRAGMA table_info(makers)")}:  # of 0.1
            self._connection.execute("ALTER TABLE makers ADD COLUMN model TEXT NOT NULL DEFAULT ''")
        self._forget()
        self._queue: SimpleQueue[tuple[list[bytes], Maker] | None] = SimpleQueue()
        self._thread: Thread | None = None

    def learn(self, marks: list[bytes], maker: Maker) -> None:
        """Keep them; what is known already gets the new maker."""
        if os.getpid() != self._owner:  # a forked child has no thread, and the file is its parent's
            return
        if self._thread is None:
            self._thread = Thread(target=self._write, name="tollbook-makers", daemon=True)
            self._thread.start()
        self._queue.put((marks, maker))

    def find(self, marks: Sequence[bytes]) -> dict[bytes, Maker]:
        """Those that are known. An unreadable file knows none."""
        places = ",".join("?" * len(marks))
        try:
            with self._lock:
                rows = self._connection.execute(
                    f"SELECT mark, deployment, model FROM makers WHERE mark IN ({places})",  # noqa: S608 - question marks only
                    marks,
                ).fetchall()
        except sqlite3.Error as failure:
            _log.warning("The makers of sealed reasoning cannot be read: %s", failure)
            return {}
        return {mark: Maker(deployment, model) for mark, deployment, model in rows}

    def close(self) -> None:
        """Write what is left. Closing twice is closing once."""
        if self._thread is not None and os.getpid() == self._owner:
            self._queue.put(None)
            self._thread.join()
            self._thread = None
        with self._lock:
            self._connection.close()

    def _write(self) -> None:
        going = True
        while going:
            batch = [self._queue.get()]
            while not self._queue.empty():
                batch.append(self._queue.get())
            going = None not in batch
            now = int(time.time())
            rows = [
                (mark, entry[1].deployment, now, entry[1].model)
                for entry in batch
                if entry is not None
                for mark in entry[0]
            ]
            try:
                with self._lock:
                    self._connection.execute("BEGIN")
                    self._connection.executemany(
                        "INSERT OR REPLACE INTO makers (mark, deployment, at, model) VALUES (?, ?, ?, ?)", rows
                    )
                    self._connection.execute("COMMIT")
            except sqlite3.Error as failure:
                _log.warning("The makers of sealed reasoning were not kept: %s", failure)

    def _forget(self) -> None:
        """At start: what is old, and what is too many."""
        self._connection.execute("DELETE FROM makers WHERE at < ?", (int(time.time()) - KEPT,))
        (count,) = self._connection.execute("SELECT count(*) FROM makers").fetchone()
        if count > MOST:
            self._connection.execute(
                "DELETE FROM makers WHERE mark IN (SELECT mark FROM makers ORDER BY at LIMIT ?)", (count - MOST,)
            )
