"""What budgets cost.

    python -m bench.allowances

Admission and settlement alone, one call after the other and many at a time; and the whole pipeline with the simulated provider
and books on disk: without the table of allowances, with it and no budget, and with one.
"""

from __future__ import annotations

import asyncio
import statistics
import tempfile
import time
from pathlib import Path

from rich.console import Console
from rich.table import Table

from tollbook.access.admission import Bound
from tollbook.access.allowances import Allowances
from tollbook.access.keys import NOBODY, Keys
from tollbook.books import Books
from tollbook.call import Attempt, Call, Cost
from tollbook.config import config_from
from tollbook.gateway import Gateway
from tollbook.pricing.book import PriceBook
from tollbook.responses.usage import Usage
from tollbook.storage import open_store
from tollbook.storage.allowances import AllowanceTable
from tollbook.storage.keys import KeyTable

CALLS = 2_000
ROUNDS = 3
WINDOWS = ("day", "30d", "month", "total")


def budgets(count: int) -> list[dict[str, object]]:
    """So many large ones for everything."""
    return [{"name": window, "amount": 1e6, "window": window} for window in WINDOWS[:count]]


async def alone(folder: Path, *, together: int, count: int) -> tuple[float, float]:
    """Microseconds of CPU for a call, and the median wait for admission, with so many calls at a time."""
    keys_table, table = KeyTable(folder), AllowanceTable(folder)
    keys = Keys(keys_table)
    keys.configure(config_from({"budgets": budgets(count)}, {}).budgets, ())
    allowances = Allowances(table, keys)
    waits: list[float] = []

    async def client(name: int) -> None:
        for number in range(CALLS // together):
            call = Call(id=f"call_{name}_{number}", operation="create", started=0, model="m", outcome="completed")
            began = time.perf_counter()
            await allowances.admit(call, allowances.terms(call, "m"), Bound(10_000_000, 0))
            waits.append(time.perf_counter() - began)
            cost = Cost("priced", total=1000)
            call.attempts.append(Attempt(1, "d", "p", "m", "initial", 0, cost=cost, usage=Usage(input=1)))
            allowances.ends(call)

    began = time.process_time()
    await asyncio.gather(*(client(name) for name in range(together)))
    await table.run(id)  # after everything that was asked before
    used = time.process_time() - began
    table.close()
    keys_table.close()
    return used / CALLS * 1e6, statistics.median(waits) * 1e6


async def pipeline(folder: Path, *, count: int | None) -> float:
    """Microseconds of CPU for a whole call; `count` budgets, None without the table."""
    keys_table, table = KeyTable(folder), AllowanceTable(folder)
    keys = Keys(keys_table)
    said = {
        "model_list": [{"model_name": "m", "litellm_params": {"model": "simulated/echo"}}],
        "budgets": budgets(count or 0),
    }
    config = config_from(said, {})
    keys.configure(config.budgets, ())
    allowances = None if count is None else Allowances(table, keys)
    books = Books(open_store(folder), PriceBook(), [] if allowances is None else [allowances])
    gateway = Gateway(config, books=books, environment={}, allowances=allowances)

    async def client(calls: int) -> None:
        for _ in range(calls):
            await gateway.create(books.begin("create"), {"model": "m", "input": "hello there"}, NOBODY)

    await client(100)
    began = time.process_time()
    await asyncio.gather(*(client(CALLS // 8) for _ in range(8)))
    used = time.process_time() - began
    await gateway.close()
    table.close()
    keys_table.close()
    return used / CALLS * 1e6


async def main() -> None:
    console = Console()
    drawn = Table("calls at a time", "budgets", "CPU of a call", "median wait")
    for together, count in ((1, 1), (10, 1), (100, 1), (10, 4)):
        with tempfile.TemporaryDirectory() as folder:
            used, wait = await alone(Path(folder), together=together, count=count)
        drawn.add_row(str(together), str(count), f"{used:.0f} µs", f"{wait:.0f} µs")
    console.print(drawn)
    ways: dict[str, int | None] = {"without the table": None, "no budget": 0, "one budget": 1}
    rounds: dict[str, list[float]] = {way: [] for way in ways}
    for _ in range(ROUNDS):
        for way, count in ways.items():
            with tempfile.TemporaryDirectory() as folder:
                rounds[way].append(await pipeline(Path(folder), count=count))
    drawn = Table("whole pipeline", "CPU of a call")
    for way, found in rounds.items():
        drawn.add_row(way, f"{statistics.median(found):.0f} µs")
    console.print(drawn)


if __name__ == "__main__":
    asyncio.run(main())
