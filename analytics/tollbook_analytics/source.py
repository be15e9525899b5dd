"""Where a ledger comes from: Parquet, a data directory whose gateway is not running, or a gateway that is.

Each way gives the frame that `ledger` describes. The rest of the package asks none of this: a report gets a frame.
"""

from __future__ import annotations

import asyncio
import io
import json
from contextlib import closing
from datetime import UTC, datetime
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from pathlib import Path
from typing import Any
from urllib.parse import urlencode, urlsplit

import polars as pl

from .errors import ReportError
from .ledger import empty, ledger
from .window import Window

_SILENCE = 60.0
"""Seconds without a byte, after which a gateway is given up."""


def from_parquet(path: Path) -> pl.LazyFrame:
    """A file, or a folder with one for each day. Raises ReportError when there is none, NotALedger for something else."""
    files = sorted(path.glob("*.parquet")) if path.is_dir() else [path]
    if not files or not files[0].is_file():
        raise ReportError(f"there is no Parquet at {path}")
    try:
        return ledger(pl.scan_parquet(files))
    except pl.exceptions.PolarsError as error:
        raise ReportError(f"{files[0]} is no Parquet: {error}") from error
    except OSError as error:
        raise ReportError(f"{path} cannot be read: {error.strerror or error}") from error


def from_directory(directory: Path, window: Window) -> pl.LazyFrame:
    """What a gateway that is not running now has booked in the window: days that are sealed as Parquet, the rest from its tables.

    Opening the books takes over what is in journals. Raises ConfigError while a gateway has them open.
    """
    if not (directory / "tollbook.duckdb").exists():
        raise ReportError(f"there are no books in {directory}")
    return asyncio.run(_from_store(directory, window))


async def _from_store(directory: Path, window: Window) -> pl.LazyFrame:
    from tollbook.storage import open_store
    from tollbook.storage.spending import Filters

    store = open_store(directory)
    try:
        sealed = (await store.progress())["sealed"]
        until = datetime.fromisoformat(sealed).replace(tzinfo=UTC) if sealed else window.start
        since = max(min(until, window.end), window.start)
        told = await store.frame("ledger", Filters(start=_nanoseconds(since), end=_nanoseconds(window.end)), None)
    finally:
        await store.close()
    parts = [_arrow(told)]
    if window.start < until and any((directory / "sealed").glob("*.parquet")):
        parts.append(from_parquet(directory / "sealed").filter(pl.col("started") < pl.lit(since)))
    return pl.concat(parts)


def from_gateway(url: str, key: str, window: Window) -> pl.LazyFrame:
    """What a running gateway has booked in the window, as far as the key may see it: `GET /v1/ledger`, an Arrow stream.

    Raises ReportError when nobody answers, or with the gateway's own words when it refuses.
    """
    place = urlsplit(url)
    if place.scheme not in ("http", "https") or not place.hostname:
        raise ReportError(f"{url!r} is no address of a gateway: such as http://127.0.0.1:4000")
    kind = HTTPSConnection if place.scheme == "https" else HTTPConnection
    query = urlencode({"start": window.start.isoformat(), "end": window.end.isoformat()})
    headers = {"accept": "application/vnd.apache.arrow.stream"}
    if key:
        # A key holds nothing but ASCII; what does not is wrong, and the gateway says so.
        headers["authorization"] = "Bearer " + key.encode("ascii", "replace").decode().strip()
    try:
        with closing(kind(place.hostname, place.port, timeout=_SILENCE)) as connection:
            connection.request(
                "GET", f"{place.path.rstrip('/').removesuffix('/v1')}/v1/ledger?{query}", headers=headers
            )
            answer = connection.getresponse()
            body = answer.read()
    except (OSError, HTTPException) as error:
        told = getattr(error, "strerror", None) or str(error) or type(error).__name__
        raise ReportError(f"no gateway answers at {url}: {told}") from error
    if answer.status != 200:
        raise ReportError(f"the gateway at {url} refuses ({answer.status}): {_message(body)}", status=answer.status)
    return _arrow(body)


def _arrow(stream: bytes) -> pl.LazyFrame:
    if not stream:
        return empty()
    try:
        return ledger(pl.read_ipc_stream(io.BytesIO(stream)).lazy())
    except (pl.exceptions.PolarsError, OSError) as error:
        raise ReportError(f"what was answered is no Arrow stream: {error}") from error


def _message(body: bytes) -> str:
    try:
        told: Any = json.loads(body)
        return str(told["error"]["message"])
    except (ValueError, LookupError, TypeError):
        return body[:200].decode("utf-8", "replace") or "without a word"


def _nanoseconds(moment: datetime) -> int:
    return int(moment.timestamp()) * 1_000_000_000 + moment.microsecond * 1000
