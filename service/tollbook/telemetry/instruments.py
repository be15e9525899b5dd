"""Every metric, once: name, unit, labels, buckets.

The GenAI ones follow https://github.com/open-telemetry/semantic-conventions-genai (docs/gen-ai/gen-ai-metrics.md), which is
about to rename them (#521, #374): `Instruments.of("latest")` has the new names. What no convention has yet is `tollbook.*`, with
short labels. Labels are bounded: see `measures`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, fields
from typing import Literal

from tollbook.config.types import MetricsSemconv

from . import names

Kind = Literal["counter", "histogram", "gauge"]

_DURATIONS = (0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64, 1.28, 2.56, 5.12, 10.24, 20.48, 40.96, 81.92, 163.84, 327.68)
"""The convention's, and two more for models that think for minutes."""
_TOKENS = (
    1, 4, 16, 64, 256, 1024, 4096, 16384, 65536, 262144, 1048576, 4194304, 16777216, 67108864,
)  # fmt: skip
_USD = (0.0001, 0.0003, 0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0, 30.0)
_REQUESTS = (
    0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0, 30.0, 60.0, 120.0, 300.0,
)  # fmt: skip
_OVERHEADS = (0.0005, 0.001, 0.002, 0.003, 0.005, 0.0075, 0.01, 0.025, 0.05, 0.1, 0.25)
_SPEEDS = (1.0, 2.5, 5.0, 10.0, 20.0, 30.0, 50.0, 75.0, 100.0, 150.0, 200.0, 300.0, 500.0, 1000.0)


@dataclass(frozen=True, slots=True, eq=False)
class Instrument:
    """One metric. `labels` are the names of what its series are told apart by, in the order of their values.

    Counters count whole numbers of 1/`scale`: money is summed in nano-dollars and told in dollars. `together` says how the
    values of several workers become one: counters and histograms add up in any case.
    """

    name: str
    kind: Kind
    unit: str
    description: str
    labels: tuple[str, ...] = ()
    buckets: tuple[float, ...] = ()
    scale: int = 1
    together: Literal["sum", "max", "min"] = "sum"


_MODEL = (names.OPERATION, names.PROVIDER, names.REQUEST_MODEL, names.RESPONSE_MODEL)
_WHO = ("team", "key")


@dataclass(frozen=True, slots=True)
class Instruments:
    """All of them."""

    server_duration: Instrument
    active: Instrument
    duration: Instrument
    token_usage: Instrument
    input_tokens: Instrument
    output_tokens: Instrument
    first_chunk: Instrument
    cost_histogram: Instrument
    tokens: Instrument
    cost: Instrument
    requests: Instrument
    attempts: Instrument
    speed: Instrument
    overhead: Instrument
    unpriced: Instrument
    saved: Instrument
    cache: Instrument
    dropped: Instrument
    spooled: Instrument
    lag: Instrument
    budget: Instrument

    def __iter__(self) -> Iterator[Instrument]:
        return (getattr(self, field.name) for field in fields(self))

    @classmethod
    def of(cls, semconv: MetricsSemconv = "1.41") -> Instruments:
        """By the names that hold (1.41), or by those that are coming."""
        new = semconv == "latest"
        client = "gen_ai.client.inference" if new else "gen_ai.client.operation"
        return cls(
            server_duration=Instrument(
                "http.server.request.duration",
                "histogram",
                "s",
                "Duration of HTTP requests.",
                (names.HTTP_METHOD, names.HTTP_ROUTE, names.HTTP_STATUS),
                _REQUESTS,
            ),
            active=Instrument(
                "http.server.active_requests",
                "gauge",
                "{request}",
                "HTTP requests that are being answered.",
                (names.HTTP_METHOD,),
            ),
            duration=Instrument(
                f"{client}.duration",
                "histogram",
                "s",
                "Duration of GenAI operations, retries and fallbacks included.",
                (*_MODEL, names.ERROR_TYPE),
                _DURATIONS,
            ),
            token_usage=Instrument(
                "gen_ai.client.token.usage",
                "histogram",
                "{token}",
                "Input and output tokens of an operation.",
                (*_MODEL, names.TOKEN_TYPE),
                _TOKENS,
            ),
            input_tokens=Instrument(
                "gen_ai.client.inference.operation.input_tokens",
                "histogram",
                "{token}",
                "Input tokens of an operation.",
                _MODEL,
                _TOKENS,
            ),
            output_tokens=Instrument(
                "gen_ai.client.inference.operation.output_tokens",
                "histogram",
                "{token}",
                "Output tokens of an operation.",
                _MODEL,
                _TOKENS,
            ),
            first_chunk=Instrument(
                f"{client}.time_to_first_chunk",
                "histogram",
                "s",
                "Time until the first output of a stream.",
                _MODEL,
                _DURATIONS,
            ),
            cost_histogram=Instrument(
                "gen_ai.client.operation.cost", "histogram", "USD", "Cost of an operation.", _MODEL, _USD
            ),
            tokens=Instrument(
                "tollbook.tokens",
                "counter",
                "{token}",
                "Tokens of all attempts, in kinds that add up to the total.",
                ("provider", "model", "type"),
            ),
            cost=Instrument(
                "tollbook.cost",
                "counter",
                "USD",
                "Cost of all attempts, in components that add up to the total.",
                ("provider", "model", "service_tier", *_WHO, "component"),
                scale=10**9,
            ),
            requests=Instrument(
                "tollbook.requests",
                "counter",
                "{request}",
                "Calls that are over.",
                ("route", "outcome", *_WHO),
            ),
            attempts=Instrument(
                "tollbook.attempts",
                "counter",
                "{attempt}",
                "Requests to providers.",
                ("provider", "model", "reason", "result"),
            ),
            speed=Instrument(
                "tollbook.output_speed",
                "histogram",
                "{token}/s",
                "Output tokens a second, from the first output to the end.",
                ("provider", "model"),
                _SPEEDS,
            ),
            overhead=Instrument(
                "tollbook.overhead",
                "histogram",
                "s",
                "Time of a call in which no provider was waited for.",
                ("route",),
                _OVERHEADS,
            ),
            unpriced=Instrument(
                "tollbook.cost.unpriced",
                "counter",
                "{request}",
                "Calls with an attempt whose price nobody knows.",
                ("provider", "model"),
            ),
            saved=Instrument(
                "tollbook.cost.saved",
                "counter",
                "USD",
                "What reading from providers' caches spared.",
                ("reason", "provider", "model"),
                scale=10**9,
            ),
            cache=Instrument(
                "tollbook.cache.requests",
                "counter",
                "{request}",
                "Calls by what the provider's prompt cache did: hit, write, miss.",
                ("result",),
            ),
            dropped=Instrument(
                "tollbook.telemetry.dropped",
                "counter",
                "{item}",
                "Spans and log records that no collector got.",
                ("signal", "reason"),
            ),
            spooled=Instrument(
                "tollbook.telemetry.spooled_bytes",
                "gauge",
                "By",
                "What waits for a collector.",
                ("signal",),
            ),
            lag=Instrument(
                "tollbook.ledger.lag",
                "gauge",
                "s",
                "Age of the oldest call that is in a journal and not yet in the tables.",
                together="max",
            ),
            budget=Instrument(
                "tollbook.budget.remaining",
                "gauge",
                "USD",
                "What is left of a budget.",
                ("scope", "name", "window"),
                together="min",
            ),
        )
