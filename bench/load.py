"""The load: so many requests from so many clients at once, each client one after the other."""

from __future__ import annotations

import asyncio
import json
import statistics
import time
from dataclasses import dataclass

import aiohttp


@dataclass(frozen=True)
class Latencies:
    """Milliseconds."""

    p50: float
    p99: float
    seconds: float
    failed: int


async def run(
    url: str, model: str, *, stream: bool, requests: int, clients: int, key: str = "", rate: float | None = None
) -> Latencies:
    """Send `requests` and wait for all of every answer; at most `rate` begin in a second."""
    body = json.dumps({"model": model, "input": "Say something short.", "stream": stream}).encode()
    headers = {"content-type": "application/json", **({"authorization": f"Bearer {key}"} if key else {})}
    times: list[float] = []
    failed = 0
    left = iter(range(requests))

    async def client(session: aiohttp.ClientSession) -> None:
        nonlocal failed
        for number in left:
            if rate is not None:
                await asyncio.sleep(max(began + number / rate - time.perf_counter(), 0))
            start = time.perf_counter()
            async with session.post(url, data=body, headers=headers) as answer:
                content = await answer.read()
                if answer.status != 200 or (stream and b"response.completed" not in content):
                    failed += 1
            times.append((time.perf_counter() - start) * 1000)

    began = time.perf_counter()
    connector = aiohttp.TCPConnector(limit=clients)
    async with aiohttp.ClientSession(connector=connector, timeout=aiohttp.ClientTimeout(total=120)) as session:
        await asyncio.gather(*(client(session) for _ in range(clients)))
    seconds = time.perf_counter() - began
    cuts = statistics.quantiles(times, n=100)
    return Latencies(cuts[49], cuts[98], seconds, failed)
