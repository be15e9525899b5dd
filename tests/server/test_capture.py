"""Content leaves only where it was asked for, and keys never do."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tollbook.telemetry import environment as env

from .asking import ask, stream
from .receiver import SERVER, Collector, Record, Span
from .running import MASTER, running
from .upstream import Exchange, Upstream, chat_whole

ASKED, ANSWERED, HEADER = "canary-asked-4e7b", "canary-answered-91dc", "canary-header-0f3a"
UPSTREAM_KEY = "sk-canary-upstream-77f0"


async def _answers(x: Exchange) -> None:
    await x.answer(chat_whole(ANSWERED))


def _config(upstream: Upstream, **telemetry: Any) -> dict[str, Any]:
    place = {"model": "openai_like/*", "api_base": f"{upstream.url}/v1", "api_key": UPSTREAM_KEY}
    return {
        "model_list": [{"model_name": "chat/*", "litellm_params": place}],
        "general_settings": {"master_key": "os.environ/TOLLBOOK_MASTER_KEY"},
        "telemetry": telemetry,
    }


def test_by_default_no_canary_is_in_any_exported_byte_nor_in_the_log_nor_in_metrics(
    tmp_path: Path, upstream: Upstream
) -> None:
    upstream.scripts["answers-canary"] = _answers
    with Collector() as collector:
        environment = {"TOLLBOOK_MASTER_KEY": MASTER, **collector.environment}
        with running(tmp_path, _config(upstream), environment=environment) as gateway, gateway.client() as http:
            secret = http.post("/v1/keys", json={"alias": "ours"}).json()["secret"]
            with gateway.client(secret) as ours:
                ours.headers["x-canary"] = HEADER
                for model in ("chat/answers-canary", "chat/nobody", "nobody"):
                    ask(ours, model, ASKED, instructions=ASKED, user=f"{ASKED}-user")
                    answer = stream(ours, model, ASKED)
            with gateway.client("sk-wrong-canary-key") as stranger:
                ask(stranger, "chat/answers-canary", ASKED)
            metrics = http.get("/metrics").content
            collector.until(lambda: "tollbook.cost" in collector.metrics or "tollbook.requests" in collector.metrics)
            collector.trace(answer.headers["x-tollbook-trace-id"])
            collector.until(lambda: collector.records)
        log = gateway.log.encode()

    assert len(collector.raw) > 3
    assert b'"event":"call"' in log
    for name, raw in (("an export", b"\n".join(collector.raw)), ("the log", log), ("/metrics", metrics)):
        for canary in (ASKED, ANSWERED, HEADER, UPSTREAM_KEY, MASTER, secret, "sk-wrong-canary-key"):
            assert canary.encode() not in raw, f"{canary} in {name}"


@pytest.mark.parametrize(
    ("word", "in_span", "in_event"),
    [
        ("NO_CONTENT", False, False),
        ("SPAN_ONLY", True, False),
        ("EVENT_ONLY", False, True),
        ("SPAN_AND_EVENT", True, True),
    ],
)
def test_content_goes_where_the_environment_says(
    tmp_path: Path, upstream: Upstream, word: str, in_span: bool, in_event: bool
) -> None:
    upstream.scripts["answers-canary"] = _answers
    with Collector() as collector:
        environment = {"TOLLBOOK_MASTER_KEY": MASTER, env.CAPTURE: word, **collector.environment}
        with running(tmp_path, _config(upstream), environment=environment) as gateway, gateway.client() as http:
            answer = ask(http, "chat/answers-canary", ASKED)
            trace = answer.headers["x-tollbook-trace-id"]
            spans = collector.trace(trace)
            record = collector.until(lambda: _details(collector, trace)) if in_event else _details(collector, trace)

    (inference,) = [span for span in spans if "gen_ai.operation.name" in span.attributes]
    assert _messages(inference) == (_expected() if in_span else None)
    assert bool(record) == in_event
    if record is not None:
        told = record.attributes["gen_ai.input.messages"]
        assert told == ({"role": "user", "parts": ({"type": "text", "content": ASKED},)},)
        assert record.attributes["gen_ai.usage.input_tokens"] == 11
        assert record.span_id == inference.span_id
    assert not any(ASKED in str(span.attributes) for span in spans if span.kind == SERVER)
    assert ASKED not in gateway.log


def _details(collector: Collector, trace: str) -> Record | None:
    found = (each for each in collector.records if each.trace_id == trace and each.name.endswith("operation.details"))
    return next(found, None)


def _messages(span: Span) -> tuple[Any, Any] | None:
    if "gen_ai.input.messages" not in span.attributes:
        return None
    told = span.attributes["gen_ai.input.messages"], span.attributes["gen_ai.output.messages"]
    return json.loads(told[0]), json.loads(told[1])


def _expected() -> tuple[Any, Any]:
    asked = [{"role": "user", "parts": [{"type": "text", "content": ASKED}]}]
    parts = [{"type": "text", "content": ANSWERED}]
    return asked, [{"role": "assistant", "parts": parts, "finish_reason": "stop"}]
