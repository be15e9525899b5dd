"""A deployment of the gateway for every recording: where each of them would live if the replay server were the provider."""

from __future__ import annotations

from functools import cache
from typing import Any

from tollbook.config import Config, config_from
from tollbook.providers import Endpoint
from tollbook.providers.registry import endpoint_of

from .library import entries

# The collection's name of a host -> ours, where they differ.
PROVIDER = {
    "azure-ai": "azure_ai",
    "vertex": "vertex_ai",
    "vercel-gateway": "vercel",
    "local": "openai_like",
    "pydantic-gateway": "openai_like",
}


ENVIRONMENT = {
    **{
        f"{name}_API_KEY": "sk-test"
        for name in ("OPENAI", "AZURE", "AZURE_AI", "ANTHROPIC", "GEMINI", "CO", "COHERE", "XAI")
    },
    "AWS_ACCESS_KEY_ID": "AKIDEXAMPLE",
    "AWS_SECRET_ACCESS_KEY": "example",
}
"""Credentials, so that thousands of deployments need not repeat them."""


def params(entry: dict[str, Any], base: str) -> dict[str, Any]:
    """`litellm_params` for one recording that answers at `base` (a URL without a trailing slash)."""
    api, host = entry["api"], entry["provider"]
    model = entry["model"] or "a-model"
    provider = PROVIDER.get(host, host)
    found: dict[str, Any] = {"api_base": base}
    if host == "bedrock" and api.startswith("openai."):
        model = f"{'responses' if api == 'openai.responses' else 'chat'}/{model}"
    elif api.startswith("bedrock.invoke") and "claude" in model:
        model = f"invoke/{model}"
    elif api == "openai.chat":
        if provider in ("openai", "azure", "xai"):
            found["use_chat_completions_api"] = True
        if host == "gemini":
            provider = "gemini_openai"  # Gemini's own endpoint that is compatible with OpenAI
    elif api == "openai.responses" and provider not in ("openai", "azure"):
        found["use_responses_api"] = True
    elif api == "anthropic.messages":
        provider = "anthropic"
    if api.startswith("openai.") and provider != "azure":
        found["api_base"] = f"{base}/v1"
    if provider == "bedrock":
        found["aws_region_name"] = "us-east-1"
    elif provider == "vertex_ai":
        found |= {"vertex_project": "test-project", "vertex_location": "us-central1", "access_token": "ya29.test"}
    if provider == "azure":
        found["api_version"] = "2025-04-01-preview"
    return {"model": f"{provider}/{model}", **found}


@cache
def _config() -> Config:
    listed = [
        {"model_name": entry["id"], "litellm_params": params(entry, f"http://127.0.0.1:1/{entry['id']}")}
        for entry in entries()
    ]
    return config_from({"model_list": listed}, ENVIRONMENT)


@cache
def endpoint(recording_id: str) -> Endpoint:
    """Where, and in which language, the gateway would send a call for this recording."""
    route = _config().route(recording_id)
    assert route is not None
    return endpoint_of(route.deployments[0], ENVIRONMENT)


def target(recording_id: str) -> tuple[str, str]:
    """The provider and its model, as the price book is asked for them."""
    route = _config().route(recording_id)
    assert route is not None
    return endpoint(recording_id).provider, route.deployments[0].model
