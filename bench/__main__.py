"""What the gateway costs, as ratios to a bare pass-through measured in the same run.

    python -m bench                     the whole table, about two minutes
    python -m bench --only native       fewer rows
    python -m bench --requests 500      a quick look

Absolute figures depend on the machine; quote the ratios.
"""

from __future__ import annotations

import argparse
import asyncio
import tempfile
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.table import Table

from .load import Latencies, run
from .mock import DELTAS
from .process import Server, free_port

CONFIG = """
general_settings:
  master_key: sk-bench
model_list:
  - model_name: native
    litellm_params: {{model: openai/gpt-4o-mini, api_key: none, api_base: "{upstream}"}}
  - model_name: translated
    litellm_params:
      model: openai_like/gpt-4o-mini
      api_key: none
      api_base: "{upstream}"
      input_cost_per_token: 0.00000015
      output_cost_per_token: 0.0000006
"""


@dataclass(frozen=True)
class Row:
    """One measurement; `cpu` is milliseconds per request of the process under test."""

    name: str
    stream: bool
    clients: int
    cpu: float
    latencies: Latencies
    memory: float


def measure(name: str, server: Server, model: str, *, stream: bool, requests: int, clients: int) -> Row:
    """After a warm-up, the CPU that `requests` of them took."""
    url = f"http://127.0.0.1:{server.port}/v1/responses"
    asyncio.run(run(url, model, stream=stream, requests=clients * 2, clients=clients, key="sk-bench"))
    before = server.cpu
    latencies = asyncio.run(run(url, model, stream=stream, requests=requests, clients=clients, key="sk-bench"))
    return Row(name, stream, clients, (server.cpu - before) / requests * 1000, latencies, server.peak_memory)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--requests", type=int, default=2000, help="JSON requests per row (streams: a tenth)")
    parser.add_argument("--clients", type=int, nargs="*", default=[32, 128], help="clients at once")
    parser.add_argument("--only", choices=["native", "translated"], help="leave the other out")
    arguments = parser.parse_args()
    console = Console(width=max(Console().width, 110))
    rows: list[Row] = []
    mock_port, bare_port = free_port(), free_port()
    upstream = f"http://127.0.0.1:{mock_port}/v1"
    uvicorn = ["-m", "uvicorn", "--log-level", "warning", "--no-access-log"]
    models = [arguments.only] if arguments.only else ["native", "translated"]

    def series(name: str, server: Server, model: str) -> None:
        for clients in arguments.clients:
            for stream in (False, True):
                requests = max(arguments.requests // (10 if stream else 1), clients)
                with console.status(f"{name}: {requests} {'streams' if stream else 'requests'} from {clients} clients"):
                    rows.append(measure(name, server, model, stream=stream, requests=requests, clients=clients))

    with (
        tempfile.TemporaryDirectory() as folder,
        Server([*uvicorn, "--port", str(mock_port), "bench.mock:app"], mock_port, environment={}, path="/"),
    ):
        config = Path(folder) / "config.yaml"
        config.write_text(CONFIG.format(upstream=upstream))
        direct = {
            stream: asyncio.run(
                run(f"{upstream}/responses", "x", stream=stream, requests=arguments.requests // 10, clients=32)
            )
            for stream in (False, True)
        }
        with Server(
            [*uvicorn, "--port", str(bare_port), "bench.passthrough:app"],
            bare_port,
            environment={"UPSTREAM": upstream},
            path="/",
        ) as bare:
            series("pass-through", bare, "native")
        started: list[float] = []
        for telemetry in (False, True):
            port = free_port()
            environment = {"OTEL_EXPORTER_OTLP_ENDPOINT": f"http://127.0.0.1:{mock_port}"} if telemetry else {}
            serve = ["-m", "tollbook", "--config", str(config), "--port", str(port)]
            data = ["--data-dir", str(Path(folder) / f"data{telemetry}")]
            with Server([*serve, *data], port, environment=environment, path="/health/ready") as gateway:
                started.append(gateway.seconds_to_start)
                for model in models:
                    series(f"{model}{' + traces' if telemetry else ''}", gateway, model)

    bare_rows = {(row.stream, row.clients): row for row in rows if row.name == "pass-through"}
    table = Table(title=f"ms per request; a stream has {DELTAS} deltas; ratios are to the pass-through of the same row")
    for title in (
        "what",
        "form",
        "clients",
        "CPU ms",
        "ratio",
        "p50 ms",
        "added",
        "p99 ms",
        "added",
        "peak MB",
        "failed",
    ):
        table.add_column(title, justify="left" if title in ("what", "form") else "right")
    for row in rows:
        yardstick = bare_rows[row.stream, row.clients]
        plain = direct[row.stream]
        table.add_row(
            row.name,
            "stream" if row.stream else "JSON",
            str(row.clients),
            f"{row.cpu:.2f}",
            f"{row.cpu / yardstick.cpu:.2f}×",
            f"{row.latencies.p50:.1f}",
            f"{row.latencies.p50 - plain.p50:+.1f}",
            f"{row.latencies.p99:.1f}",
            f"{row.latencies.p99 - plain.p99:+.1f}",
            f"{row.memory:.0f}",
            str(row.latencies.failed),
        )
    console.print(table)
    console.print(f"start to first answer: {max(started):.2f} s")


if __name__ == "__main__":
    main()
