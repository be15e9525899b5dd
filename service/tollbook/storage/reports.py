"""What reports are made of: questions answered, hours rolled, days sealed. One thread at a time rolls and seals."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing
from datetime import datetime
from pathlib import Path
from typing import Any

from . import arrow, rollup, sealing, spending
from .duck import Tables
from .progress import ROLLED, SEALED, go_to, until
from .rollup import full
from .sealing import day_of
from .view import spend


class Reports:
    """Over the tables of a recorder; every method may raise `duckdb.Error`."""

    def __init__(self, tables: Tables) -> None:
        self._tables = tables

    def spend(self, question: spending.Question, key_id: str | None) -> list[dict[str, Any]]:
        """What was spent: one dictionary for each group."""
        query, values = spending.select(question, key_id, ledger=self._view(), rolled=self.progress(ROLLED))
        with closing(self._tables.cursor()) as cursor:
            found = cursor.execute(query, values)
            names = [column[0] for column in found.description or ()]
            return [dict(zip(names, row, strict=True)) for row in found.fetchall()]

    def frame(self, name: spending.Frame, filters: spending.Filters, key_id: str | None) -> bytes:
        """Rows of the view `spend`, or rolled-up hours, as an Arrow IPC stream."""
        where, values = spending.condition(filters, key_id)
        if name == "ledger":
            query = f"SELECT * FROM ({self._view()}) WHERE {where} ORDER BY started"  # noqa: S608 - our own names
        else:
            hours = f"SELECT *, hour AS started FROM {name}"  # noqa: S608
            query = f"SELECT * EXCLUDE (started) FROM ({hours}) WHERE {where} ORDER BY hour"  # noqa: S608
        with closing(self._tables.cursor()) as cursor:
            return arrow.stream(cursor, query, values)

    def progress(self, name: str) -> datetime | None:
        """How far hours are rolled, or days sealed; None before the first."""
        with closing(self._tables.cursor()) as cursor:
            return until(cursor, name)

    def roll(self, now: datetime) -> bool:
        """Roll the next hours that are over, of one day at the most, or those of a day in which something changed.

        False when there are none.
        """
        stretch = self._next_hours(now)
        if stretch is None:
            return False
        start, end = stretch
        corrected, _ = self._beside()
        with self._tables.transaction() as cursor:
            rollup.roll(cursor, start, end, corrected=corrected)
            # What was sealed with other figures is to be sealed again.
            sealed = until(cursor, SEALED) or start
            cursor.execute("DELETE FROM touched WHERE hour >= ? AND hour < ? AND hour >= ?", [start, end, sealed])
            cursor.execute("UPDATE touched SET rolled = true WHERE hour >= ? AND hour < ?", [start, end])
            rolled = until(cursor, ROLLED)
            if rolled is None or end > rolled:
                go_to(cursor, ROLLED, end)
        return True

    def seal(self, directory: Path, now: datetime) -> bool:
        """Seal the next day whose hours are rolled, or one in which something changed; False when there is none."""
        day = self._next_day(now)
        if day is None:
            return False
        corrected, successes = self._beside()
        with closing(self._tables.cursor()) as cursor:
            sealing.seal(cursor, directory, day, corrected=corrected, successes=successes)
        with self._tables.transaction() as cursor:
            cursor.execute("DELETE FROM touched WHERE rolled AND hour >= ? AND hour < ?", [day, day + sealing.DAY])
            sealed = until(cursor, SEALED)
            if sealed is None or day >= sealed:
                go_to(cursor, SEALED, day + sealing.DAY)
        return True

    def _next_hours(self, now: datetime) -> tuple[datetime, datetime] | None:
        rolled = self.progress(ROLLED)
        again: datetime | None = self._one("SELECT min(hour) FROM touched WHERE NOT rolled")
        if again is not None and rolled is not None:
            return day_of(again), min(day_of(again) + sealing.DAY, rolled)
        last = full(now - rollup.SETTLED)
        start = self._next(rolled, last, ROLLED, full)
        return None if start is None else (start, min(day_of(start) + sealing.DAY, last))

    def _next_day(self, now: datetime) -> datetime | None:
        again: datetime | None = self._one("SELECT min(hour) FROM touched WHERE rolled")
        if again is not None:
            return day_of(again)
        rolled = self.progress(ROLLED)
        if rolled is None:
            return None
        return self._next(self.progress(SEALED), day_of(min(rolled, now)), SEALED, day_of)

    def _next(self, done: datetime | None, last: datetime, name: str, whole: Any) -> datetime | None:
        """The next hour or day in which there was a call, before `last`. Those without one are done at once."""
        first: datetime | None = (
            self._one("SELECT min(started) FROM ledger")
            if done is None
            else self._one("SELECT min(started) FROM ledger WHERE started >= ?", [done])
        )
        if first is not None and whole(first) < last:
            found: datetime = whole(first)
            return found
        if done is not None and done < last:
            with self._tables.transaction() as cursor:
                go_to(cursor, name, last)
        return None

    def _view(self) -> str:
        """The columns of the view `spend`, joined with nothing that is empty."""
        corrected, successes = self._beside()
        return spend(corrected=corrected, successes=successes)

    def _beside(self) -> tuple[bool, bool]:
        """Whether any cost was corrected, and any success told."""
        corrected, successes = self._tables.read("SELECT EXISTS (FROM corrected), EXISTS (FROM successes)")[0]
        return bool(corrected), bool(successes)

    def _one(self, query: str, values: Sequence[Any] = ()) -> Any:
        return self._tables.read(query, values)[0][0]
