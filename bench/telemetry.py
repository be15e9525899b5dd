"""What telemetry costs: CPU for a call on the event loop's thread and in all, CPU for a delta, and what gets lost.

    python -m bench.telemetry                   cost of a call and of a delta, some seconds
    python -m bench.telemetry --load            500 calls a second for a minute through a real gateway: is anything lost?

Everything is on: traces, metrics, log records, the line on stdout (which goes to /dev/null), a collector that takes it all
in a process of its own. Targets: 0.35 ms on the loop's thread, 0.6 ms in all, 2 µs for a delta.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from tollbook.call import Attempt, Call, Cost, Line
from tollbook.config import TelemetrySettings
from tollbook.responses.ids import make_id
from tollbook.responses.usage import Usage
from tollbook.telemetry import Telemetry

from .load import run
from .process import Server, free_port

ON_THE_LOOP, IN_ALL, PER_DELTA = 0.35, 0.6, 2.0
DELTAS = 200

_COST = Cost(
    "priced",
    (
        Line("input", 820, 2_500_000, 2_050_000),
        Line("cache_read", 1024, 250_000, 256_000),
        Line("output", 180, 10**7, 1_800_000),
    ),
    4_106_000,
    "genai-prices 0.2.3",
    "catalogue",
    input_rate=2_500_000,
)
_USAGE = Usage(input=820, cache_read=1024, output=180, reasoning=64)
_HEADERS = [
    (b"host", b"127.0.0.1:4000"),
    (b"user-agent", b"OpenAI/Python 3.54.0"),
    (b"traceparent", b"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"),
    (b"authorization", b"Bearer sk-bench"),
    (b"content-type", b"application/json"),
]


def finish(call: Call, attempt: Attempt) -> None:
    """What a gateway notes of a call that went well."""
    attempt.status_code, attempt.outcome = 200, "completed"
    attempt.first_byte = attempt.first_event = attempt.first_output = time.time_ns()
    attempt.served_model, attempt.service_tier = "gpt-4o-mini-2024-07-18", "default"
    attempt.upstream_request_id = "req_0123456789abcdef"
    attempt.headers = {"x-ratelimit-remaining-requests": "4999", "x-ratelimit-remaining-tokens": "1999000"}
    attempt.usage, attempt.cost = _USAGE, _COST
    attempt.ended = call.ended = time.time_ns()
    call.first_output, call.finish, call.outcome = attempt.first_output, "stop", "completed"
    call.response_id, call.session_id = "resp_0192f3a4b5c6", "resp_0192f3a4b5c6"


async def calls(telemetry: Telemetry, number: int) -> None:
    """So many calls, through the middleware as HTTP requests are; nothing but telemetry has anything to do."""

    observer = telemetry.observer
    assert observer is not None

    async def answer(scope: Any, receive: Any, send: Any) -> None:  # noqa: ARG001 - ASGI's signature
        scope["path_template"] = "/v1/responses"
        call = Call(make_id("call"), "create", time.time_ns())
        observer.begins(call)
        call.model, call.team, call.key_id, call.end_user = "gpt", "search", "key_1", "somebody"
        call.reasoning_effort, call.max_output_tokens, call.policy = "low", 4096, "simple-shuffle"
        call.request = {"model": "gpt", "input": "Say something short."}
        attempt = Attempt(1, "gpt-1", "openai", "gpt-4o-mini", "initial", time.time_ns(), "api.openai.com", 443)
        call.attempts.append(attempt)
        observer.attempt_begins(call, attempt)
        finish(call, attempt)
        observer.attempt_ends(call, attempt)
        observer.ends(call)
        await send({"type": "http.response.start", "status": 200, "headers": []})

    async def nowhere(message: Any) -> None:
        """Nobody listens."""

    app = telemetry.wrap(answer)
    for done in range(number):
        scope = {
            "type": "http",
            "method": "POST",
            "path": "/v1/responses",
            "headers": _HEADERS,
            "server": ("::1", 4000),
        }
        await app(scope, nowhere, nowhere)
        if done % 500 == 499:
            # As many as come in a second of a busy gateway; the clerk works while the loop would wait for providers.
            await asyncio.sleep(0.25)


def cost(environment: Mapping[str, str], number: int) -> tuple[float, float]:
    """CPU for a call in milliseconds: on the loop's thread, and in all."""
    telemetry = Telemetry(TelemetrySettings(), environment)
    telemetry.start()
    telemetry.open(models={"gpt", "gpt-4o-mini"}, known=lambda *_: True)
    asyncio.run(calls(telemetry, 1000))
    time.sleep(1.5)
    whole, loop = time.process_time(), time.thread_time()
    asyncio.run(calls(telemetry, number))
    loop = time.thread_time() - loop
    telemetry.stop()
    whole = time.process_time() - whole
    return loop / number * 1000, whole / number * 1000


@contextmanager
def silent() -> Iterator[None]:
    """The access log goes to /dev/null."""
    kept = sys.stdout
    with Path(os.devnull).open("w") as nowhere:
        sys.stdout = nowhere
        try:
            yield
        finally:
            sys.stdout = kept


@contextmanager
def collecting() -> Iterator[tuple[str, Server]]:
    """A collector that takes everything and keeps nothing; its URL."""
    port = free_port()
    arguments = ["-m", "uvicorn", "--log-level", "warning", "--no-access-log", "--port", str(port), "bench.mock:app"]
    with Server(arguments, port, environment={}, path="/") as server:
        yield f"http://127.0.0.1:{port}", server


def delta(number: int) -> float:
    """CPU for a delta in µs that a gateway spends for telemetry's sake: what it notes of each batch of frames."""
    call = Call("call_1", "create", time.time_ns())
    attempt = Attempt(1, "d", "p", "m", "initial", time.time_ns())
    attempt.first_output = last = time.time_ns()

    def noted() -> None:
        nonlocal last
        for _ in range(number):
            now = time.time_ns()
            if attempt.first_event is None:
                attempt.first_event = now
            elif attempt.first_output and now - last > call.longest_gap:
                call.longest_gap, call.longest_gap_at = now - last, now
            last = now

    began = time.thread_time()
    noted()
    return (time.thread_time() - began) / number * 1e6


def main() -> int:
    """Measure and print. 1 when a target is missed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--calls", type=int, default=6000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--load", action="store_true", help="calls through a real gateway, and what its collector got")
    parser.add_argument("--seconds", type=int, default=60)
    parser.add_argument("--rate", type=int, default=500)
    arguments = parser.parse_args()
    if arguments.load:
        return load(arguments.rate, arguments.seconds)
    rows: list[tuple[str, float, float]] = []
    with collecting() as (url, _):
        on = {"OTEL_EXPORTER_OTLP_ENDPOINT": url}
        cases = {
            "everything": on,
            "everything, not compressed": {**on, "OTEL_EXPORTER_OTLP_COMPRESSION": "none"},
            "not sampled": {**on, "OTEL_TRACES_SAMPLER": "always_off"},
            "metrics and the line on stdout": {},
            "metrics": {"TOLLBOOK_ACCESS_LOG": "false"},
            "off": {"OTEL_SDK_DISABLED": "true", "TOLLBOOK_ACCESS_LOG": "false"},
        }
        for name, environment in cases.items():
            os.environ.update(environment)
            with silent():
                measured = [cost(environment, arguments.calls) for _ in range(arguments.rounds)]
            for variable in environment:
                del os.environ[variable]
            rows.append((name, min(loop for loop, _ in measured), min(whole for _, whole in measured)))
    table = Table(title=f"CPU ms for a call, the best of {arguments.rounds} rounds of {arguments.calls}")
    for column in ("what is on", "loop's thread", "in all"):
        table.add_column(column, justify="left" if column == "what is on" else "right")
    for name, loop, whole in rows:
        table.add_row(name, f"{loop:.3f}", f"{whole:.3f}")
    console = Console(width=100)
    console.print(table)
    per_delta = min(delta(200_000) for _ in range(5))
    console.print(f"a delta: {per_delta:.2f} µs, of at most {PER_DELTA:g}")
    _, loop, whole = rows[0]
    return int(loop > ON_THE_LOOP or whole > IN_ALL or per_delta > PER_DELTA)


CONFIG = """
general_settings: {{master_key: sk-bench}}
model_list:
  - model_name: native
    litellm_params: {{model: openai/gpt-4o-mini, api_key: none, api_base: "{upstream}"}}
"""


def load(rate: int, seconds: int) -> int:
    """A paced load through a real gateway; 1 when its collector got less than it made."""
    import urllib.request

    console = Console(width=100)
    with tempfile.TemporaryDirectory() as folder, collecting() as (url, _):
        config = Path(folder) / "config.yaml"
        config.write_text(CONFIG.format(upstream=f"{url}/v1"))
        port = free_port()
        serve = ["-m", "tollbook", "--config", str(config), "--port", str(port), "--data-dir", f"{folder}/data"]
        environment = {"OTEL_EXPORTER_OTLP_ENDPOINT": url}
        with Server(serve, port, environment=environment, path="/health/ready", stdout=os.devnull) as gateway:
            address = f"http://127.0.0.1:{port}/v1/responses"
            requests = rate * seconds
            began = time.perf_counter()
            told = asyncio.run(
                run(address, "native", stream=False, requests=requests, clients=64, key="sk-bench", rate=rate)
            )
            took = time.perf_counter() - began
            asked = urllib.request.Request(
                f"http://127.0.0.1:{port}/metrics", headers={"authorization": "Bearer sk-bench"}
            )
            exposition = urllib.request.urlopen(asked, timeout=10).read().decode()
            cpu, memory = gateway.cpu, gateway.peak_memory
    dropped = [line for line in exposition.splitlines() if line.startswith("tollbook_telemetry_dropped_total")]
    counted = sum(
        float(line.rpartition(" ")[2]) for line in exposition.splitlines() if line.startswith("tollbook_requests_total")
    )
    console.print(
        f"{requests} calls in {took:.0f} s ({requests / took:.0f}/s), {told.failed} failed; counted {counted:.0f}; "
        f"CPU {cpu / requests * 1000:.2f} ms a call in all; peak {memory:.0f} MB; given up: {dropped or 'nothing'}"
    )
    return int(bool(dropped) or counted < requests)


if __name__ == "__main__":
    sys.exit(main())
