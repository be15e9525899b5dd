"""The recorder: the one owner of the tables.

It takes over what the journals hold, a few times a second and in one transaction with a high-water mark per journal,
and trims them afterwards. Killed at any point, it finds everything again: what was not committed is still in a
journal, what was committed but not trimmed lies under the mark. Journals of workers that died are taken over like any other.
"""

from __future__ import annotations

import logging
import sqlite3
import threading
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import duckdb

from tollbook.errors import ConfigError, NotFound

from . import facts, pack, spending
from .duck import Link, Row, Tables
from .journal import JournalFile, Written, journals_path, unavailable
from .pack import Kept
from .progress import ROLLED, SEALED
from .recent import RECENT, Recent
from .reports import Reports
from .spending import Frame

_log = logging.getLogger("tollbook.storage")

INTERVAL = 1.0
"""Seconds between two looks at the journals. Lookups do not wait for it: they read the journals first."""

TRIM = 1.0
"""Seconds between two trims of a journal: trimming keeps its worker from writing for a moment."""

RETENTION = 3600.0
"""Seconds between two removals of old content."""

ROLLING = 60.0
"""Seconds between two looks for hours to roll and days to seal."""

BATCH_ROWS, BATCH_BYTES = 1000, 16 * 2**20
"""Of one transaction."""

_DAY = 86_400_000_000_000


def tables_path(directory: Path) -> Path:
    return directory / "tollbook.duckdb"


class Recorder:
    """Owns the tables of a directory, or of memory when it is None; then `journal` is the only journal.

    `recent` bytes of turns are held in memory. The lookups may be called from any thread. They raise `NotFound`, and
    `Unavailable` when a disk or database refuses.
    """

    def __init__(
        self,
        directory: Path | None,
        *,
        journal: JournalFile | None = None,
        retention_days: float | None = None,
        recent: int = RECENT,
    ) -> None:
        self._directory = directory
        self._retention_days = retention_days
        self._tables = Tables(None if directory is None else tables_path(directory))
        self._reports = Reports(self._tables)
        self._journals: dict[Path | None, JournalFile] = {} if journal is None else {None: journal}
        self._refused: set[Path] = set()
        self._marks = self._tables.marks()
        self._deleted = self._tables.deletions(since=time.time_ns() - _DAY)
        """Ids deleted lately: an entry that reaches a journal afterwards (a background response that ends) stays dead."""
        self._recent = Recent(recent)
        self._writing = threading.Lock()
        self._listing = threading.Lock()
        self._trimmed = self._expired = self._rolled = 0.0
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="tollbook-recorder", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Take over what is there, and let go of the files."""
        self._stopping.set()
        self._thread.join()
        with self._writing:
            try:
                self._drain()
                self._trim()
            except (duckdb.Error, sqlite3.Error, OSError) as error:
                _log.warning("What the journals hold stays there until the next start: %s", error)
            self._tables.close()
        for path, journal in self._journals.items():
            if path is not None:
                journal.close()

    # Taking over

    def _run(self) -> None:
        pause = INTERVAL
        while True:
            try:
                with self._writing:
                    self._drain()
                    self._trim_now_and_then()
                    self._expire_now_and_then()
                self._roll_now_and_then()
                pause = INTERVAL
            except Exception as error:  # whatever it is, the entries are safe in their journals and the next try may do
                pause = min(pause * 2, 10.0)
                expected = isinstance(error, (duckdb.Error, sqlite3.Error, OSError, ConfigError))
                _log.error(
                    "The books could not be written, next try in %.1f s: %s", pause, error, exc_info=not expected
                )
            if self._stopping.wait(pause):
                return

    def drain(self) -> None:
        """Take over everything that is acknowledged by now."""
        with _storage(), self._writing:
            self._drain()

    def _drain(self) -> None:
        for journal in self._files():
            more = True
            while more:
                entries = journal.after(self._marks.get(journal.uuid, 0), rows=BATCH_ROWS, size=BATCH_BYTES)
                if entries:
                    self._take(journal, entries)
                # What arrives meanwhile waits for the next round: a commit costs the same for one row and for fifty.
                more = len(entries) == BATCH_ROWS or sum(entry.size for entry in entries) >= BATCH_BYTES

    def _take(self, journal: JournalFile, entries: list[Written]) -> None:
        last = entries[-1].sequence
        try:
            taken = self._tables.take([_row(entry) for entry in entries], journal=journal.uuid, sequence=last)
        except (duckdb.FatalException, duckdb.ConnectionException):
            self._tables.reopen()
            raise
        for row in taken:
            if row.head is not None and row.content is not None:
                self._recent.put(row.head[0], Kept(row.head, row.content))
        self._marks[journal.uuid] = last

    def _trim_now_and_then(self) -> None:
        if time.monotonic() - self._trimmed >= TRIM:
            self._trimmed = time.monotonic()
            self._trim()

    def _trim(self) -> None:
        for journal in self._files():
            journal.trim(self._marks.get(journal.uuid, 0))

    def _expire_now_and_then(self) -> None:
        if self._retention_days is not None and (not self._expired or time.monotonic() - self._expired >= RETENTION):
            self._expired = time.monotonic()
            self._tables.expire(before=time.time_ns() - int(self._retention_days * _DAY))
            self._recent.clear()

    def _roll_now_and_then(self) -> None:
        if self._rolled and time.monotonic() - self._rolled < ROLLING:
            return
        while not self._stopping.is_set():  # step by step: whoever waits to write comes between
            with self._writing:
                if not self._step():
                    break
        self._rolled = time.monotonic()

    def _step(self) -> bool:
        now = datetime.now(UTC).replace(tzinfo=None)
        rolled = self._reports.roll(now)
        return rolled or (self._directory is not None and self._reports.seal(self._directory, now))

    def _files(self) -> list[JournalFile]:
        """All journals there are by now, opened."""
        if self._directory is None:
            return list(self._journals.values())
        with self._listing:
            for path in sorted(journals_path(self._directory).glob("*.sqlite")):
                if path not in self._journals and path not in self._refused:
                    try:
                        self._journals[path] = JournalFile(path, writer=False)
                    except sqlite3.OperationalError:
                        raise  # busy or out of space: the next look opens it
                    except sqlite3.DatabaseError as error:  # no journal, broken, or of a newer Tollbook
                        self._refused.add(path)
                        _log.error("The journal %s cannot be read and is left alone: %s", path, error)
            return list(self._journals.values())

    # Lookups

    def turn(self, response_id: str, key_id: str | None) -> Kept:
        """The turn of a response."""
        with _storage():
            found = self._turn(response_id, key_id)
        if found is None:
            raise NotFound(f"No response found with id '{response_id}'.", param="response_id")
        return found

    def chain(self, response_id: str, key_id: str | None) -> list[Kept]:
        """The turns that led to a response and its own, oldest first."""
        with _storage():
            return self._chain(response_id, key_id)

    def delete(self, response_id: str, key_id: str | None) -> Kept:
        """Remove a turn; answers what it was."""
        with _storage(), self._writing:
            self._drain()
            found = self._turn(response_id, key_id)
            now = time.time_ns()
            if found is None or not self._tables.delete(response_id, key_id, now):
                raise NotFound(f"No response found with id '{response_id}'.", param="response_id")
            self._deleted[response_id] = now
            self._recent.drop(response_id)
            return found

    def call(self, call_id: str, key_id: str | None) -> dict[str, Any]:
        """One call, as JSON."""
        with _storage():
            rows = self._call(call_id, key_id)
        if rows is None:
            raise NotFound(f"No call found with id '{call_id}'.", param="call_id")
        return facts.to_json(rows)

    def calls(self, key_id: str | None, limit: int, before: str | None) -> list[dict[str, Any]]:
        """Calls as JSON, newest first."""
        self.drain()
        with _storage():
            found = self._tables.calls(key_id=key_id, limit=max(limit, 0), before=before)
        if found is None:
            raise NotFound(f"No call found with id '{before}'.", param="before")
        return [facts.to_json(rows) for rows in found]

    def spend(self, question: Mapping[str, Any], key_id: str | None) -> list[dict[str, Any]]:
        """What was spent, as a `spending.Question` asks."""
        self.drain()
        with _storage():
            return self._reports.spend(_question(question), key_id)

    def frame(self, name: Frame, filters: Mapping[str, Any], key_id: str | None) -> bytes:
        """Rows for reports, as Arrow IPC."""
        self.drain()
        with _storage():
            return self._reports.frame(name, spending.Filters(**filters), key_id)

    def progress(self) -> dict[str, str | None]:
        """How far hours are rolled and days sealed."""
        with _storage():
            found = {name: self._reports.progress(name) for name in (ROLLED, SEALED)}
        return {name: None if until is None else until.isoformat() for name, until in found.items()}

    def _turn(self, response_id: str, key_id: str | None) -> Kept | None:
        return self._near(response_id, key_id) or self._tables.turn(response_id, key_id)

    def _near(self, response_id: str, key_id: str | None) -> Kept | None:
        """A turn that needs no look into the tables: in a journal, and then the newest there is, or a recent one.

        Entries under the mark do not count: the tables know better (they may have been deleted since).
        """
        if response_id in self._deleted:
            return None
        last = self._last(journal.turn(response_id, self._marks.get(journal.uuid, 0)) for journal in self._files())
        if last is None or last.head is None or last.content is None:
            kept = self._recent.get(response_id)
        else:
            kept = Kept(pack.unpack_head(last.head), last.content)
        return kept if kept is not None and key_id in (None, kept.head[_KEY]) else None

    def _call(self, call_id: str, key_id: str | None) -> list[facts.Row] | None:
        found = (journal.call(call_id, self._marks.get(journal.uuid, 0)) for journal in self._files())
        first = min((each for each in found if each is not None), key=lambda each: each.recorded, default=None)
        if first is None:
            return self._tables.call(call_id, key_id)
        rows = list(_row(first).ledger)
        return rows if key_id in (None, rows[0][_CALL_KEY]) else None

    @staticmethod
    def _last(found: Iterable[Written | None]) -> Written | None:
        return max((each for each in found if each is not None), key=lambda each: each.recorded, default=None)

    def _chain(self, response_id: str, key_id: str | None) -> list[Kept]:
        """Walks from child to parent: through what is near as far as that reaches, then through the session's links."""
        path: list[Kept | Link] = []
        seen: set[str] = set()
        links: dict[str, Link] = {}
        wanted: str | None = response_id
        while wanted is not None:
            if wanted in seen:  # a turn that is its own ancestor
                raise _missing(wanted)
            step: Kept | Link | None = self._near(wanted, key_id) or links.get(wanted)
            if step is None:
                step = self._tables.turn(wanted, key_id)
                if step is None:
                    raise _missing(wanted)
                if not links and step.head[_PREVIOUS] is not None:
                    links = self._tables.links(step, key_id)
            seen.add(wanted)
            path.append(step)
            wanted = step.head[_PREVIOUS] if isinstance(step, Kept) else step.previous_response_id
        found = self._tables.turns([step for step in path if isinstance(step, Link)], key_id)
        chain: list[Kept] = []
        for step in reversed(path):
            kept = step if isinstance(step, Kept) else found.get(step.response_id)
            if kept is None:  # deleted since it was walked over
                raise _missing(step.response_id if isinstance(step, Link) else response_id)
            chain.append(kept)
        return chain


_KEY = pack.HEAD.index("key_id")
_PREVIOUS = pack.HEAD.index("previous_response_id")
_CALL_KEY = [column.name for column in facts.LEDGER].index("key_id")


def _row(entry: Written) -> Row:
    return Row(
        entry.recorded,
        facts.rows(pack.unpack_facts(entry.facts), entry.recorded),
        None if entry.head is None else pack.unpack_head(entry.head),
        entry.content,
    )


def _question(told: Mapping[str, Any]) -> spending.Question:
    filters = spending.Filters(**told["filters"])
    return spending.Question(**{**told, "filters": filters, "by": tuple(told["by"])})


def _missing(response_id: str) -> NotFound:
    return NotFound(
        f"Previous response with id '{response_id}' not found.",
        code="previous_response_not_found",
        param="previous_response_id",
    )


@contextmanager
def _storage() -> Iterator[None]:
    """What a disk or a database refuses is told to callers as `Unavailable`."""
    try:
        yield
    except (duckdb.Error, sqlite3.Error, OSError) as error:
        raise unavailable(error) from error
