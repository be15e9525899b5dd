"""config.example.yaml is the documentation of the schema: it loads, it is complete, and what it has switched off works."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from tollbook.config import load_config, schema
from tollbook.config.budgets import BUDGET, LIMIT
from tollbook.config.source import parse

EXAMPLE = Path(__file__).parents[1] / "config.example.yaml"
_SWITCHED_OFF = re.compile(r"^( *)#(?! \S)(?=\S| {2})(.*)$", re.MULTILINE)


class Environment(dict[str, str]):
    """One in which every variable is set."""

    def __contains__(self, name: object) -> bool:
        return True

    def __missing__(self, name: str) -> str:
        return f"value-of-{name.lower()}"


ENVIRONMENT = Environment(TOLLBOOK_DATA_DIR="")


@pytest.fixture(scope="module")
def switched_on() -> str:
    return _SWITCHED_OFF.sub(r"\1\2", EXAMPLE.read_text())


def keys(switched_on: str) -> dict[str, set[str]]:
    """The keys under each section, models taken together."""
    value, _ = parse(switched_on, "example")
    models: list[dict[str, Any]] = value["model_list"]
    params = [model["litellm_params"] for model in models]
    return {
        "top": set(value),
        "model": set().union(*models),
        "params": set().union(*params),
        "model_info": set().union(*(model.get("model_info", {}) for model in models)),
        "prices": {key for entry in value["prices"] for key in entry if not schema.is_price(key)},
        "timeouts": set().union(*(one.get("timeouts", {}) for one in params)),
        "general_settings": set(value["general_settings"]),
        "router_settings": set(value["router_settings"]),
        "litellm_settings": set(value["litellm_settings"]),
        "telemetry": set(value["telemetry"]),
        "budgets": set().union(*value["budgets"]),
        "limits": set().union(*value["limits"]),
    }


def test_the_example_loads_without_a_warning() -> None:
    config = load_config(EXAMPLE, ENVIRONMENT)

    assert config.names == ("gpt", "claude", "simulated/*", "everything")
    assert config.warnings == ()


def test_what_is_switched_off_would_load_too(switched_on: str, tmp_path: Path) -> None:
    file = tmp_path / "config.yaml"
    file.write_text(switched_on)

    config = load_config(file, ENVIRONMENT)

    assert config.names == ("gpt", "claude", "simulated/*", "everything", "deepseek", "gemini", "gpt-4")
    assert [warning.rpartition(".")[2] for warning in config.warnings] == ["tags: has no effect in this version"]
    assert [d.provider for d in config.routes["claude"].deployments] == ["anthropic", "bedrock"]


@pytest.mark.parametrize(
    ("section", "schema_keys"),
    [
        ("top", schema.TOP),
        ("model", schema.ENTRY),
        ("params", schema.PARAMS),
        ("model_info", schema.MODEL_INFO),
        ("prices", schema.PRICE_ENTRY),
        ("timeouts", schema.TIMEOUTS),
        ("general_settings", schema.GENERAL),
        ("router_settings", schema.ROUTER),
        ("litellm_settings", schema.LITELLM),
        ("telemetry", schema.TELEMETRY),
        ("budgets", BUDGET),
        ("limits", LIMIT),
    ],
)
def test_the_example_shows_every_key_of_the_schema(section: str, schema_keys: schema.Keys, switched_on: str) -> None:
    shown = {key for key in keys(switched_on)[section] if key in schema_keys or not schema.is_price(key)}
    assert set(schema_keys) == shown


def test_the_example_says_the_defaults_that_hold(tmp_path: Path, switched_on: str) -> None:
    """A setting shown as switched off in general, router and telemetry, with its default, changes nothing when switched on."""
    from tollbook.config import GeneralSettings, RouterSettings, TelemetrySettings

    file = tmp_path / "config.yaml"
    file.write_text(switched_on)
    shown = load_config(file, ENVIRONMENT)

    assert shown.general.max_request_size_mb == GeneralSettings().max_request_size_mb
    assert shown.general.budget_output_tokens == GeneralSettings().budget_output_tokens
    assert shown.general.store_prompts_in_spend_logs == GeneralSettings().store_prompts_in_spend_logs
    for name in (
        "num_retries",
        "retry_after",
        "allowed_fails",
        "cooldown_time",
        "max_fallbacks",
        "routing_strategy",
        "latency_buffer",
        "latency_lifetime",
        "enable_mid_stream_fallback_continuation",
    ):
        assert getattr(shown.router, name) == getattr(RouterSettings(), name)
    for name in ("cost_attributes", "capture_content", "trust_remote_context"):
        assert getattr(shown.telemetry, name) == getattr(TelemetrySettings(), name)
