"""Days that are over, as Parquet: what reports read without asking the gateway.

`sealed/2026-11-24.parquet` has the rows of the view `spend` that began on that day (UTC), in the order of time. A day is
sealed when all of its hours are rolled, and again when something in it changed; a file appears complete under its name or
not at all.
"""

from __future__ import annotations

import os
import uuid
from datetime import datetime, timedelta
from pathlib import Path

import duckdb

from .view import spend

DAY = timedelta(days=1)


def sealed_path(directory: Path) -> Path:
    return directory / "sealed"


def day_of(moment: datetime) -> datetime:
    return moment.replace(hour=0, minute=0, second=0, microsecond=0)


def seal(
    cursor: duckdb.DuckDBPyConnection, directory: Path, day: datetime, *, corrected: bool, successes: bool
) -> None:
    """Write the file of a day, or write it again; a day without rows has none."""
    folder = sealed_path(directory)
    folder.mkdir(mode=0o700, exist_ok=True)
    path = folder / f"{day:%Y-%m-%d}.parquet"
    source = f"SELECT * FROM ({spend(corrected=corrected, successes=successes)}) WHERE started >= ? AND started < ?"  # noqa: S608
    if not cursor.execute(f"SELECT 1 FROM ({source}) LIMIT 1", [day, day + DAY]).fetchall():  # noqa: S608
        path.unlink(missing_ok=True)
        return
    draft = folder / f".{path.name}.{uuid.uuid4().hex}"
    os.close(os.open(draft, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
    try:
        target = str(draft).replace("'", "''")
        cursor.execute(
            f"COPY ({source} ORDER BY started, call_id, attempt) TO '{target}' (FORMAT parquet, COMPRESSION zstd)",
            [day, day + DAY],
        )
        draft.chmod(0o600)  # DuckDB makes the file anew
        with draft.open("rb") as written:
            os.fsync(written.fileno())
        draft.replace(path)
    finally:
        draft.unlink(missing_ok=True)
