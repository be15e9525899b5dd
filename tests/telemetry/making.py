"""Spans and calls to test with."""

from __future__ import annotations

from typing import Any

from tollbook.call import Attempt, Call, Cost, Line
from tollbook.responses.usage import Usage
from tollbook.telemetry.sampling import span_id, trace_id
from tollbook.telemetry.spans import CLIENT, Span

BEGAN = 1_800_000_000_000_000_000
MS = 1_000_000

PRICED = Cost(
    "priced",
    (
        Line("input", 800, 2_500_000, 2_000_000),
        Line("cache_read", 1000, 250_000, 250_000),
        Line("output", 50, 10**7, 500_000),
    ),
    2_750_000,
    "catalogue 1",
    "catalogue",
    input_rate=2_500_000,
)
USAGE = Usage(input=800, cache_read=1000, output=50, reasoning=14)


def span(name: str = "a span", **fields: Any) -> Span:
    """A finished span of a trace of its own."""
    given = {"trace_id": trace_id(), "span_id": span_id(), "parent_id": "", "start": BEGAN, "end": BEGAN + MS} | fields
    return Span(name=name, kind=CLIENT, attributes={"tollbook.test": name}, **given)


def call(**fields: Any) -> Call:
    """A streamed create that took 100 ms and went well; `fields` say what was otherwise."""
    made = Call(
        id="call_1",
        operation="create",
        started=BEGAN,
        model="gpt",
        stream=True,
        key_id="key_1",
        key_alias="ours",
        team="search",
        trace_id="4bf92f3577b34da6a3ce929d0e0e4736",
        span_id="00f067aa0ba902b7",
        attempts=[attempt()],
        outcome="completed",
        finish="stop",
        first_output=BEGAN + 40 * MS,
        ended=BEGAN + 100 * MS,
        events=20,
        bytes_out=4000,
        response_id="resp_1",
        session_id="resp_1",
    )
    for name, value in fields.items():
        setattr(made, name, value)
    return made


def attempt(number: int = 1, **fields: Any) -> Attempt:
    """One that answered, from 10 to 90 ms after the call began."""
    made = Attempt(
        number=number,
        deployment="gpt-1",
        provider="openai",
        model="gpt-4o-mini",
        reason="initial",
        started=BEGAN + 10 * MS,
        host="api.openai.com",
        port=443,
        first_byte=BEGAN + 30 * MS,
        first_event=BEGAN + 35 * MS,
        first_output=BEGAN + 40 * MS,
        ended=BEGAN + 90 * MS,
        status_code=200,
        outcome="completed",
        served_model="gpt-4o-mini-2024-07-18",
        service_tier="default",
        usage=USAGE,
        cost=PRICED,
        span_id=f"{number:016x}",
    )
    for name, value in fields.items():
        setattr(made, name, value)
    return made
