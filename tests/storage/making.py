"""Calls and turns as the gateway would make them."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import Any

from tollbook.call import Attempt, Call, Cost, Line
from tollbook.responses.ids import make_id
from tollbook.responses.usage import Usage
from tollbook.storage import Turn


def call(**changes: Any) -> Call:
    """A call that was retried once and answered."""
    now = time.time_ns()
    cost = Cost(
        "priced",
        (Line("input", 100, 2_500_000, 250_000), Line("output", 20, None, 200_000)),
        450_000,
        "2026-11",
        "catalogue",
    )
    made = Call(
        id=make_id("call"),
        operation="create",
        started=now,
        model="gpt-4o",
        key_id="key_1",
        tags=("blue", "green"),
        outcome="completed",
        finish="stop",
        notes=["top_k: dropped"],
        ended=now + 1_500_000_000,
        trace_id="0af7651916cd43dd8448eb211c80319c",
        span_id="b7ad6b7169203331",
        temperature=0.5,
        attempts=[
            Attempt(1, "gpt-4o@azure", "azure", "gpt-4o-eu", "initial", now, error_kind="overloaded", status_code=503),
            Attempt(
                2,
                "gpt-4o@openai",
                "openai",
                "gpt-4o",
                "retry",
                now + 1000,
                status_code=200,
                outcome="completed",
                usage=Usage(input=100, output=20, tools={"web_search": 1}),
                cost=cost,
                headers={"x-request-id": "req_1"},
            ),
        ],
    )
    for name, value in changes.items():
        setattr(made, name, value)
    return made


def turn(of: Call, parent: Turn | None = None, **changes: Any) -> Turn:
    """The turn that a call made, as the next of its parent."""
    identifier = changes.get("response_id", make_id("resp"))
    made = Turn(
        response_id=identifier,
        previous_response_id=parent.response_id if parent else None,
        session_id=parent.session_id if parent else identifier,
        session_started=parent.session_started if parent else of.started,
        number=parent.number + 1 if parent else 1,
        key_id=of.key_id,
        call_id=of.id,
        trace_id=of.trace_id,
        span_id=of.span_id,
        model=of.model,
        deployment="gpt-4o@openai",
        provider="openai",
        native=False,
        created=of.started,
        status="completed",
        request={"model": of.model, "temperature": 0.5, "tools": []},
        input=[{"type": "message", "role": "user", "content": "Tell me of Michael Jordan."}],
        response={"id": identifier, "object": "response", "output": [{"type": "message", "content": []}]},
    )
    return replace(made, **changes)
