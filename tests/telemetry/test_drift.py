"""The GenAI conventions move. What OpenTelemetry's own emitter knows is spelled here as it spells it; what it does not know
has a source."""

from __future__ import annotations

import re
from pathlib import Path

import opentelemetry.util.genai
import pytest
from opentelemetry.semconv._incubating.attributes import gen_ai_attributes
from opentelemetry.semconv._incubating.metrics import gen_ai_metrics

from tollbook.telemetry import costs, names
from tollbook.telemetry.instruments import Instruments

_NAME = re.compile(r"gen_ai\.[a-z0-9_.]+[a-z0-9]")

SOURCES = {
    "gen_ai.client.operation.exception": "semantic-conventions-genai docs/gen-ai/gen-ai-exceptions.md",
    "gen_ai.client.operation.cost": "semantic-conventions-genai#443 (draft)",
    "gen_ai.usage.cost": "what backends read until #443 is merged (Langfuse, OpenLIT, Bifrost)",
    "gen_ai.usage.cost.amount": "semantic-conventions-genai#443 (draft)",
    "gen_ai.usage.cost.currency": "semantic-conventions-genai#443 (draft)",
    "gen_ai.usage.cost.source": "semantic-conventions-genai#443 (draft)",
    "gen_ai.client.inference.duration": "semantic-conventions-genai#521 (coming name)",
    "gen_ai.client.inference.time_to_first_chunk": "semantic-conventions-genai#521 (coming name)",
    "gen_ai.client.inference.operation.input_tokens": "semantic-conventions-genai#374 (coming name)",
    "gen_ai.client.inference.operation.output_tokens": "semantic-conventions-genai#374 (coming name)",
}
"""Names of ours that the emitter does not know, and where they are from."""


def theirs() -> set[str]:
    """Every gen_ai name in the emitter and in the constants that it uses."""
    found: set[str] = set()
    for module in (opentelemetry.util.genai, gen_ai_attributes, gen_ai_metrics):
        path = Path(str(module.__file__))
        files = path.parent.glob("*.py") if path.name == "__init__.py" else [path]
        for file in files:
            found |= set(_NAME.findall(file.read_text()))
    return found


def ours() -> set[str]:
    """Every gen_ai name that we emit."""
    found = {value for value in vars(names).values() if isinstance(value, str) and value.startswith("gen_ai.")}
    found |= {
        each.name for kit in (Instruments.of(), Instruments.of("latest")) for each in kit if "gen_ai" in each.name
    }
    found |= set(_NAME.findall(Path(costs.__file__).read_text()))
    return found


def test_every_name_is_known_to_the_emitter_or_has_a_source() -> None:
    unknown = ours() - theirs()

    assert unknown == set(SOURCES), "a name that is unknown needs a source; one that became known needs none any more"


def test_operations_and_providers_are_spelled_as_the_conventions_do() -> None:
    operations = {each.value for each in gen_ai_attributes.GenAiOperationNameValues} | {"fetch_response"}
    providers = {each.value for each in gen_ai_attributes.GenAiProviderNameValues}

    assert set(names.OPERATIONS.values()) <= operations
    assert set(names.PROVIDERS.values()) <= providers | {"moonshot_ai"}, (
        "moonshot_ai: semantic-conventions-genai registry"
    )


@pytest.mark.parametrize("name", ["duration", "first_chunk", "token_usage"])
def test_buckets_begin_as_the_emitters_do(name: str) -> None:
    from opentelemetry.util.genai import _instruments

    instrument = getattr(Instruments.of(), name)
    expected = (
        _instruments._GEN_AI_CLIENT_TOKEN_USAGE_BUCKETS
        if name == "token_usage"
        else _instruments._GEN_AI_CLIENT_OPERATION_DURATION_BUCKETS
    )

    assert list(instrument.buckets[: len(expected)]) == expected


def test_the_two_ways_to_say_the_cost_exclude_each_other() -> None:
    assert "gen_ai.usage.cost" not in costs.PROFILES["semconv_443"](costs.Cost("priced", (), 1), {})
