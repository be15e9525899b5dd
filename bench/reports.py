"""What reports cost over millions of attempts: CPU, wall time and memory of each, in a process of its own, as a cold start.

    python -m bench.reports /tmp/books                        10 million attempts of 30 days, made when they are not there
    python -m bench.reports /tmp/books50 --rows 50_000_000
    python -m bench.reports /tmp/books --only overview        one of them

Reports of sums read hours that were rolled up, the ledger where those cannot tell; the others read the ledger. The
targets are for two cores: a report that is to take a second may use two seconds of CPU. That is what counts here, because
wall time depends on what else the machine does. The exit code says whether all were reached.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any, NamedTuple

import polars as pl
from rich.console import Console
from rich.table import Table

from tollbook_analytics import (
    Filters,
    Plan,
    Swap,
    Window,
    anomalies,
    budgets,
    cache,
    conversations,
    drift,
    economics,
    errors,
    forecast,
    latency,
    latency_cost,
    month_end,
    overview,
    reliability,
    spend,
    tokens,
    turns,
    unpriced,
    versions,
    waste,
    what_if,
)
from tollbook_analytics.rollup import composed, hours, latencies
from tollbook_analytics.totals import collect

from . import ledger as made_up

CORES = 2
ZONE = "Europe/Berlin"
LAST = date(2026, 11, 24)
NOW = datetime(2026, 11, 24, 21, 17, tzinfo=UTC)
MONTH = Window.named("30d", NOW, ZONE)
PAGES = {name: Window.named(name, NOW, ZONE) for name in ("today", "month", "7d")}
ONE_KEY = Filters(key=("key-007",))
ONE_MODEL = Filters(model=("gpt-4.1",))

RATES = pl.DataFrame(
    {
        "model": ["gpt-5-mini", "gpt-5-mini"],
        "above": [0, 8_000],
        "input": [250_000, 500_000],
        "cache_read": [25_000, 50_000],
        "output": [2_000_000, 3_000_000],
    }
)
PLAN = Plan((Swap(None, "gpt-5-mini"),))
LIMITS = pl.DataFrame(
    {
        "name": ["all", "some keys"],
        "scope": ["all", "key"],
        "subject": [None, "key-0*"],
        "limit_nano": [10**14, 10**13],
        "window": ["month", "month"],
    }
)


class Books(NamedTuple):
    """What was made and rolled up."""

    ledger: pl.LazyFrame
    hours: pl.LazyFrame
    latencies: pl.LazyFrame


class Case(NamedTuple):
    """A report, and how many seconds it may take on two cores with 10 and with 50 million attempts."""

    make: Callable[[Books], pl.DataFrame]
    ten: float
    fifty: float


def _hours(books: Books, *windows: Window, every: Any = None) -> pl.LazyFrame:
    edges = set().union(*(each.edges(every) | each.previous().edges() for each in windows))
    return composed(books.ledger, books.hours, edges, until=NOW)


def _page(books: Books, filters: Filters, *, key: bool = False) -> pl.DataFrame:
    """With a filter that the histograms know not (a key), waiting is told by the ledger."""
    frame = filters.of(_hours(books, *PAGES.values()))
    return overview(frame, PAGES, latencies=filters.of(books.ledger if key else _waits(books)))


def _waits(books: Books) -> pl.LazyFrame:
    # As the hours are told by their beginning: the door to the data would compose them likewise.
    return books.latencies.rename({"hour": "started"})


CASES: dict[str, Case] = {
    "overview": Case(lambda b: _page(b, Filters()), 1.5, 3),
    "overview of a model": Case(lambda b: _page(b, ONE_MODEL), 1, 3),
    "overview of a key": Case(lambda b: _page(b, ONE_KEY, key=True), 1, 3),
    "spend by key and day": Case(lambda b: spend(_hours(b, MONTH, every="day"), MONTH, ["key"], "day"), 1, 3),
    "spend by model, a key": Case(lambda b: spend(ONE_KEY.of(_hours(b, MONTH)), MONTH, ["model"]), 1, 3),
    "spend by end user": Case(lambda b: spend(b.ledger, MONTH, ["end_user"], top=20), 1, 3),
    "spend by tag": Case(lambda b: spend(b.ledger, MONTH, ["tag"]), 1, 3),
    "tokens by model": Case(lambda b: tokens(_hours(b, MONTH), MONTH, ["model"]), 1, 3),
    "cache by model": Case(lambda b: cache(_hours(b, MONTH), MONTH, ["model"]), 1, 3),
    "waste by team": Case(lambda b: waste(_hours(b, MONTH), MONTH, ["team"]), 1, 3),
    "reliability by provider": Case(lambda b: reliability(_hours(b, MONTH), MONTH, ["provider"], "day"), 1, 3),
    "errors": Case(lambda b: errors(_hours(b, MONTH), MONTH), 1, 3),
    "latency by model": Case(lambda b: latency(_waits(b), MONTH, ["model"]), 1, 3),
    "latency of a key": Case(lambda b: latency(ONE_KEY.of(b.ledger), MONTH, exact=False), 1, 3),
    "latency × cost": Case(lambda b: latency_cost(_waits(b), MONTH), 1, 3),
    "month-end": Case(lambda b: month_end(_hours(b, MONTH, every="day"), NOW, ZONE), 1, 3),
    "forecast": Case(lambda b: forecast(_hours(b, MONTH, every="day"), NOW, ZONE), 1, 3),
    "budgets": Case(lambda b: budgets(_hours(b, MONTH, every="day"), LIMITS, NOW, ZONE), 1, 3),
    "anomalies, key and model": Case(lambda b: anomalies(_hours(b, MONTH, every="day"), MONTH), 1, 3),
    "anomalies, end users": Case(lambda b: anomalies(b.ledger, MONTH, ["end_user"]), 3, 9),
    "unpriced": Case(lambda b: unpriced(_hours(b, MONTH), MONTH), 1, 3),
    "versions": Case(lambda b: versions(_hours(b, MONTH), MONTH), 1, 3),
    "drift": Case(lambda b: drift(_hours(b, MONTH, every="day"), MONTH), 1, 3),
    "what-if": Case(lambda b: what_if(_hours(b, MONTH), MONTH, RATES.head(1), PLAN), 3, 9),
    "what-if with steps": Case(lambda b: what_if(b.ledger, MONTH, RATES, PLAN), 3, 9),
    "conversations": Case(lambda b: conversations(b.ledger, MONTH, top=50), 3, 9),
    "turns": Case(lambda b: turns(b.ledger, MONTH), 3, 9),
    "economics by team": Case(lambda b: economics(b.ledger, MONTH, ["team"]), 3, 9),
}


def prepare(folder: Path, rows: int) -> None:
    """The ledger of 30 days, and its hours and histograms, day by day as a recorder would keep them."""
    (folder / "ledger").mkdir(parents=True, exist_ok=True)
    known, days = made_up.world(), 30
    for number in range(days):
        of = LAST - timedelta(days=days - 1 - number)
        file = folder / "ledger" / f"{of}.parquet"
        if not file.exists():
            made_up.write_day(file, of, rows // days, known)
        start = datetime(of.year, of.month, of.day, tzinfo=UTC)
        window = Window(start, start + timedelta(days=1))
        for name, roll, order in (("hours", hours, ["hour"]), ("latencies", latencies, ["metric", "hour"])):
            rolled = folder / name / file.name
            if not rolled.exists():
                rolled.parent.mkdir(exist_ok=True)
                collect(roll(pl.scan_parquet(file), window)).sort(order).write_parquet(rolled, row_group_size=100_000)


def one(folder: Path, name: str) -> None:
    """Make one report here and tell what it took."""
    books = Books(*(pl.scan_parquet(folder / table / "*.parquet") for table in Books._fields))
    cpu, wall = time.process_time(), time.perf_counter()
    made = CASES[name].make(books)
    took = {"cpu": time.process_time() - cpu, "wall": time.perf_counter() - wall, "rows": made.height}
    # Of this process alone: what getrusage tells begins with what its parent had.
    status = Path("/proc/self/status").read_text()
    took["memory"] = int(next(line for line in status.splitlines() if line.startswith("VmHWM")).split()[1]) / 1024
    print(json.dumps(took))


def main() -> int:
    """Measure and print; 1 when a target was missed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--rows", type=int, default=10_000_000)
    parser.add_argument("--only", action="append", default=[], choices=list(CASES), metavar="NAME")
    parser.add_argument("--one", choices=list(CASES), help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.one:
        one(arguments.folder, arguments.one)
        return 0
    console = Console(width=110)
    with console.status("making and rolling up the ledger"):
        prepare(arguments.folder, arguments.rows)
    rows = pl.scan_parquet(arguments.folder / "ledger" / "*.parquet").select(pl.len()).collect().item()
    table = Table(title=f"{rows:,} attempts of 30 days; seconds of CPU on {CORES} cores, cold, in a process of its own")
    for title in ("report", "CPU s", "may take", "wall s", "peak MB", "rows"):
        table.add_column(title, justify="left" if title == "report" else "right")
    missed = False
    for name in arguments.only or CASES:
        case = CASES[name]
        command = [sys.executable, "-m", "bench.reports", str(arguments.folder), "--one", name]
        told = subprocess.run(
            command, capture_output=True, text=True, check=True, env={**os.environ, "POLARS_MAX_THREADS": str(CORES)}
        )
        took = json.loads(told.stdout)
        may = CORES * (case.ten if rows < 20_000_000 else case.fifty)
        late, large = took["cpu"] > may, took["memory"] > 600
        missed = missed or late or large
        table.add_row(
            name,
            f"{'[red]' if late else ''}{took['cpu']:.2f}",
            f"{may:g}",
            f"{took['wall']:.2f}",
            f"{'[red]' if large else ''}{took['memory']:.0f}",
            f"{took['rows']:,}",
        )
    console.print(table)
    return int(missed)


if __name__ == "__main__":
    sys.exit(main())
