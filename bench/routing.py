"""What routing costs: the decision, and a fallback.

    python -m bench.routing

The decision is choosing among 100 deployments of one model, holding a place there and letting go of it. The fallback is
what a provider that answers 500 at once adds to a call that another provider then answers, through the whole gateway in
one process, against a server on the loopback address.
"""

from __future__ import annotations

import asyncio
import json
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from tollbook.access.keys import NOBODY
from tollbook.books import Books
from tollbook.config import config_from
from tollbook.gateway import Gateway
from tollbook.pricing.book import PriceBook
from tollbook.routing.router import Router
from tollbook.routing.strategies import STRATEGIES
from tollbook.storage import open_store

DEPLOYMENTS = 100
DECISIONS = 20_000
CALLS = 400


def microseconds(strategy: str, *, cooling: int, limits: bool) -> float:
    """The median of a decision's CPU time, over rounds of a thousand."""
    params: dict[str, Any] = {"model": "simulated/echo"} | ({"rpm": 10**6, "tpm": 10**9} if limits else {})
    models = [{"model_name": "m", "litellm_params": {**params, "weight": 1 + n % 3}} for n in range(DEPLOYMENTS)]
    config = config_from({"model_list": models, "router_settings": {"routing_strategy": strategy}}, {})
    router = Router(config, price=lambda _: 1.0)
    for deployment in config.routes["m"].deployments[:cooling]:
        health = router.health(deployment)
        health.cooling_until = health.free_at = time.monotonic() + 3600
    rounds = []
    for _ in range(DECISIONS // 1000):
        began = time.thread_time()
        for _ in range(1000):
            choice = router.plan("m").next(None)
            assert choice is not None
            choice.close()
        rounds.append((time.thread_time() - began) * 1000)
    return statistics.median(rounds)


async def _serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """500 for the model "bad", an answer for any other; connections are kept."""
    message = {"role": "assistant", "content": "hello"}
    usage = {"prompt_tokens": 5, "completion_tokens": 1, "total_tokens": 6}
    good = {
        "id": "c",
        "model": "m",
        "choices": [{"index": 0, "message": message, "finish_reason": "stop"}],
        "usage": usage,
    }
    answers = {
        True: (500, json.dumps({"error": {"message": "no", "type": "server_error"}}).encode()),
        False: (200, json.dumps(good).encode()),
    }
    try:
        while True:
            head = await reader.readuntil(b"\r\n\r\n")
            length = next(int(f[15:]) for f in head.lower().split(b"\r\n") if f.startswith(b"content-length:"))
            status, body = answers[b'"bad"' in await reader.readexactly(length)]
            fields = f"HTTP/1.1 {status} x\r\ncontent-type: application/json\r\ncontent-length: {len(body)}\r\n\r\n"
            writer.write(fields.encode() + body)
    except (asyncio.IncompleteReadError, ConnectionError):
        writer.close()


async def fallback() -> tuple[list[float], list[float]]:
    """Milliseconds of calls that are answered at once, and of calls that fall back first; taken in turns."""
    server = await asyncio.start_server(_serve, "127.0.0.1", 0)
    base = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"

    def entry(name: str, model: str) -> dict[str, Any]:
        prices = {"input_cost_per_token": 1e-6, "output_cost_per_token": 2e-6}
        place = {"model": f"openai_like/{model}", "api_base": base, "api_key": "k"}
        return {"model_name": name, "litellm_params": {**place, **prices}}

    settings = {"num_retries": 0, "disable_cooldowns": True, "fallbacks": [{"broken": ["good"]}]}
    config = config_from(
        {"model_list": [entry("good", "good"), entry("broken", "bad")], "router_settings": settings}, {}
    )
    found: dict[str, list[float]] = {"good": [], "broken": []}
    with tempfile.TemporaryDirectory() as folder:
        gateway = Gateway(config, books=Books(open_store(Path(folder)), PriceBook()), environment={})
        for number in range(CALLS):
            for name, times in found.items():
                began = time.perf_counter()
                await gateway.create(gateway.books.begin("create"), {"model": name, "input": "hi"}, NOBODY)
                if number >= CALLS // 10:
                    times.append((time.perf_counter() - began) * 1000)
        await gateway.close()
    server.close()
    return found["good"], found["broken"]


def main() -> None:
    """Measure and print."""
    console = Console()
    table = Table(title=f"a decision among {DEPLOYMENTS} deployments, µs (median)")
    table.add_column("strategy")
    cases = {"all ready": (0, False), "half cooling": (DEPLOYMENTS // 2, False), "with rpm and tpm": (0, True)}
    for title in cases:
        table.add_column(title, justify="right")
    for strategy in STRATEGIES:
        row = [microseconds(strategy, cooling=cooling, limits=limits) for cooling, limits in cases.values()]
        table.add_row(strategy, *(f"{value:.1f}" for value in row))
    console.print(table)
    direct, fallen = asyncio.run(fallback())
    p50, p99 = statistics.median, lambda values: statistics.quantiles(values, n=100)[98]
    added = p50(fallen) - p50(direct)
    console.print(f"direct      p50 {p50(direct):.2f} ms, p99 {p99(direct):.2f} ms")
    console.print(f"fallen back p50 {p50(fallen):.2f} ms, p99 {p99(fallen):.2f} ms: p50 {added:+.2f} ms")


if __name__ == "__main__":
    main()
